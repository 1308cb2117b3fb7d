/* SPDX-License-Identifier: MIT
 *
 * soak.h - what the parts of the soak program share.
 *
 * Threads ("slots") run actors against one instance at a time. Everything that an actor does to the library goes
 * through soak_api.c, which records the call, judges its result, and keeps the two oracles that lie outside of the
 * library: the ownership shadow (one atomic word a frame) and the stamps in the frames themselves. The program
 * obeys the library's rules, and shares no code with it.
 *
 * All accesses to the shadow are relaxed on purpose: if the shadow ordered threads, ThreadSanitizer could not see a
 * hand-over of a frame that the library itself does not order.
 */
#ifndef SOAK_H
#define SOAK_H

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/stats.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef SOAK_SANITIZE
#define SOAK_SANITIZE ""
#endif

#define SOAK_THREADS_MAX 256u
#define SOAK_ZONES_MAX 4u
#define SOAK_HOLES_MAX 5u
#define SOAK_RING 256u
#define SOAK_MAIL 64u

/* ---- random numbers --------------------------------------------------------------------------------------------- */

struct soak_rng {
	uint64_t state;
};

static inline uint64_t soak_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint64_t soak_next(struct soak_rng *rng)
{
	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return soak_mix(rng->state);
}

/* 0 .. bound-1; bound >= 1. */
static inline uint32_t soak_below(struct soak_rng *rng, uint32_t bound)
{
	return (uint32_t)(((soak_next(rng) >> 32) * bound) >> 32);
}

/* True in percent cases out of 100. */
static inline bool soak_chance(struct soak_rng *rng, uint32_t percent)
{
	return soak_below(rng, 100) < percent;
}

/* ---- what is granted -------------------------------------------------------------------------------------------- */

/* Frames [first, first + nr), tiled by allocated blocks of order. tag: owner and generation of the grant. */
struct soak_grant {
	pfa_pfn first;
	uint32_t nr;
	uint32_t order;
	uint32_t tag;
};

/* An unordered set of grants. Guard: the slot's thread, or everybody parked. */
struct soak_bag {
	struct soak_grant *grants;
	unsigned nr, cap;
};

/* ---- what is recorded ------------------------------------------------------------------------------------------- */

/* The operations of the recorder, with the names of their three arguments. */
#define SOAK_OPS(X)                                                                                                    \
	X(none, "", "", "")                                                                                            \
	X(alloc, "order", "flags", "pfn")                                                                              \
	X(alloc_ptr, "order", "flags", "pfn")                                                                          \
	X(alloc_window, "order", "flags", "pfn")                                                                       \
	X(window, "first", "nr", "")                                                                                   \
	X(alloc_exact, "nr", "flags", "pfn")                                                                           \
	X(alloc_bulk, "order", "flags", "nr")                                                                          \
	X(free, "pfn", "order", "tag")                                                                                 \
	X(free_ptr, "pfn", "order", "tag")                                                                             \
	X(free_bulk, "pfn", "order", "nr")                                                                             \
	X(free_range, "pfn", "nr", "tag")                                                                              \
	X(split, "pfn", "order", "new_order")                                                                          \
	X(post, "pfn", "nr", "to")                                                                                     \
	X(fetch, "pfn", "nr", "tag")                                                                                   \
	X(drain, "cpu", "", "")                                                                                        \
	X(purge, "pfn", "", "")                                                                                        \
	X(disable, "", "", "")                                                                                         \
	X(enable, "", "", "")                                                                                          \
	X(service, "budget", "", "")                                                                                   \
	X(stats, "zone", "", "")                                                                                       \
	X(print, "what", "", "")                                                                                       \
	X(check, "level", "", "")                                                                                      \
	X(check_range, "first", "nr", "level")                                                                         \
	X(query, "kind", "order", "flags")                                                                             \
	X(info, "pfn", "", "")                                                                                         \
	X(misuse, "case", "pfn", "order")                                                                              \
	X(movable_set, "pfn", "order", "cell")                                                                         \
	X(movable_clear, "pfn", "cell", "")                                                                            \
	X(page_lock, "pfn", "cell", "wait")                                                                            \
	X(page_unlock, "pfn", "", "")                                                                                  \
	X(pin, "pfn", "cell", "")                                                                                      \
	X(unpin, "pfn", "cell", "")                                                                                    \
	X(migrate, "pfn", "nr", "mode")                                                                                \
	X(compact, "zone", "order", "mode")                                                                            \
	X(isolate, "start", "end", "flags")                                                                            \
	X(test_isolated, "start", "end", "token")                                                                      \
	X(undo_isolate, "start", "end", "token")                                                                       \
	X(alloc_contig_range, "start", "end", "flags")                                                                 \
	X(alloc_contig, "nr", "align", "flags")                                                                        \
	X(free_contig, "pfn", "nr", "tag")                                                                             \
	X(cma_create, "start", "nr", "flags")                                                                          \
	X(cma_destroy, "area", "", "")                                                                                 \
	X(cma_find, "pfn", "", "")                                                                                     \
	X(cma_alloc, "area", "nr", "flags")                                                                            \
	X(cma_release, "area", "pfn", "nr")                                                                            \
	X(cma_stats, "area", "", "")                                                                                   \
	X(offline, "start", "nr", "flags")                                                                             \
	X(online, "start", "nr", "")                                                                                   \
	X(add, "start", "nr", "")                                                                                      \
	X(remove, "start", "nr", "")                                                                                   \
	X(owner_create, "id", "first", "")                                                                             \
	X(owner_destroy, "owner", "", "")                                                                              \
	X(op_isolate, "pfn", "cell", "mode")                                                                           \
	X(op_migrate, "dst", "src", "cell")                                                                            \
	X(op_putback, "pfn", "cell", "")                                                                               \
	X(device, "pfn", "nr", "event")                                                                                \
	X(inflate, "nr", "", "")                                                                                       \
	X(deflate, "nr", "", "")                                                                                       \
	X(low_memory, "order", "nr", "")                                                                               \
	X(put, "object", "bytes", "")                                                                                  \
	X(get, "object", "bytes", "")                                                                                  \
	X(delete, "object", "", "")                                                                                    \
	X(arena_alloc, "bytes", "flags", "")                                                                           \
	X(arena_free, "units", "", "")                                                                                 \
	X(arena_move, "units", "pins", "mode")                                                                         \
	X(arena_use, "units", "pins", "")                                                                              \
	X(report_register, "min_order", "capacity", "discards")                                                        \
	X(report_unregister, "", "", "")                                                                               \
	X(report_suspend, "", "", "")                                                                                  \
	X(report_resume, "", "", "")                                                                                   \
	X(report_flush, "", "", "")                                                                                    \
	X(told, "pfn", "nr", "")                                                                                       \
	X(walk, "order", "zone", "next")                                                                               \
	X(fork, "pid", "", "")                                                                                         \
	X(thread, "slot", "", "")                                                                                      \
	X(park, "epoch", "", "")                                                                                       \
	X(phase, "what", "", "")                                                                                       \
	X(fini, "", "", "")

enum soak_op {
#define SOAK_X(name, a, b, c) SOAK_OP_##name,
	SOAK_OPS(SOAK_X)
#undef SOAK_X
		SOAK_OP_COUNT
};

/* The result of a call that has not returned. */
#define SOAK_PENDING 1

/* One call. Written by its thread only, read by whoever reports a failure. */
struct soak_record {
	_Atomic uint32_t op_actor; /* operation << 8 | actor */
	_Atomic int result;
	_Atomic uintptr_t time_us;
	_Atomic uintptr_t a, b, c;
};

/* Counters per slot and actor. One writer, any reader. */
#define SOAK_TALLY(X) X(steps) X(calls) X(grants) X(frames) X(enomem) X(eagain) X(frees) X(stamps) X(checks) X(refused) X(moves)

struct soak_tally {
#define SOAK_X(name) _Atomic size_t name;
	SOAK_TALLY(SOAK_X)
#undef SOAK_X
};

static inline void soak_count(_Atomic size_t *counter, size_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---- slots and actors ------------------------------------------------------------------------------------------- */

#define SOAK_ACTORS_MAX 32u

enum soak_slot_state { SOAK_SLOT_GONE, SOAK_SLOT_RUNNING, SOAK_SLOT_PARKED };

/* A thread, its place in the shadow (id), and all that it holds. */
struct soak_slot {
	uint32_t id; /* 0 is the main thread's */
	uint32_t cpu;
	struct soak_rng rng;
	pthread_t thread;
	_Atomic uint32_t state;
	_Atomic size_t progress;
	unsigned actor; /* running now */
	uint32_t generation;
	size_t held;        /* frames */
	bool expect_misuse; /* the call in flight is a misuse on purpose */
	unsigned nr_faults; /* told by platform.fatal while expected */
	enum pfa_fault_kind fault;
	volatile uint32_t nr_signals; /* handled; by the thread itself */
	unsigned nr_nonsense, nr_nonsense_told; /* results of ops that are none, and how many were told */
	_Atomic uint32_t may_move; /* the call in flight may move blocks */
	uint32_t weights[SOAK_ACTORS_MAX];
	uint32_t weights_sum;
	void *actor_state[SOAK_ACTORS_MAX];
	struct soak_bag bags[SOAK_ACTORS_MAX];
	struct soak_tally tally[SOAK_ACTORS_MAX];
	_Atomic uint32_t ring_next;
	struct soak_record ring[SOAK_RING];
};

/* What actors hold that is in no bag, at rest. */
struct soak_owned {
	size_t tracked[SOAK_ZONES_MAX]; /* frames that are theirs in the shadow */
	size_t hidden;                  /* frames of owners that do not say which ones */
	size_t movable;                 /* frames in movable blocks, of both kinds */
	size_t owners;
};

/*
 * An actor: one kind of load. Every worker thread runs all of them, by weight; state is per thread. bag_cap grants are
 * kept for it in slot->bags[], which the program verifies at rest and gives back at the end.
 */
struct soak_actor {
	const char *name;
	uint32_t weight; /* chances in 1000, before each thread's own variation */
	unsigned bag_cap;
	size_t state_bytes;
	void (*begin)(struct soak_slot *slot); /* by the main thread, of an instance's life; may be NULL, like all but step */
	void (*end)(struct soak_slot *slot);   /* by the main thread, after all others have ended */
	/* Adds up what it holds besides the bags, and looks at it. By the main thread, while all others are parked */
	void (*owned)(struct soak_slot *slot, struct soak_owned *owned);
	void (*init)(struct soak_slot *slot, void *state);
	void (*step)(struct soak_slot *slot, void *state);
	void (*rest)(struct soak_slot *slot, void *state); /* nothing may be under way afterwards; the thread parks */
	void (*quiet)(struct soak_slot *slot);             /* by the main thread, while all others are parked */
	void (*fini)(struct soak_slot *slot, void *state); /* before the bag is given back and the thread ends */
};

extern const struct soak_actor *const soak_actors[];
extern const unsigned soak_nr_actors;
extern const struct soak_actor soak_actor_mixed, soak_actor_remote, soak_actor_bulk, soak_actor_exact,
	soak_actor_window, soak_actor_urgent, soak_actor_caches, soak_actor_stats, soak_actor_checker,
	soak_actor_service, soak_actor_misuser, soak_actor_churn, soak_actor_forker, soak_actor_signals, soak_actor_owner,
	soak_actor_pinner, soak_actor_migrator, soak_actor_compactor, soak_actor_brief, soak_actor_balloon,
	soak_actor_zstore, soak_actor_mapped, soak_actor_contig, soak_actor_cma,
	soak_actor_hotplug, soak_actor_report, soak_actor_walk;

static inline struct soak_bag *soak_bag(struct soak_slot *slot)
{
	return &slot->bags[slot->actor];
}

static inline struct soak_tally *soak_tally(struct soak_slot *slot)
{
	return &slot->tally[slot->actor];
}

/* Blocks on their way to another thread. */
struct soak_mailbox {
	pthread_mutex_t mutex;
	struct soak_grant grants[SOAK_MAIL];
	unsigned nr;
};

/* ---- canaries: defects of the harness's own, each of which one monitor must see ---------------------------------- */

#define SOAK_CANARIES(X)                                                                                               \
	X(none)                                                                                                        \
	X(stamp) X(grant) X(stall) X(sum) X(zero) X(accepted) X(fatal) X(conserve) X(leak) X(check) X(segv) X(abort)   \
		X(placement) X(disabled) X(coalesce) X(fini) X(liveness) X(result) X(race) X(poison) X(shadow)         \
			X(corruption) X(marks) X(fork) X(inherit) X(handler) X(guard)            \
				X(twice) X(copy) X(lost) X(pin) X(moves) X(dest) X(closed) X(device)      \
					X(object) X(arena) X(held) X(area) X(lent) X(away) X(plugged)                            \
						X(absent) X(host) X(unhost) X(unmarked) X(missed) X(visited) X(unvisited)

enum soak_canary {
#define SOAK_X(name) SOAK_CANARY_##name,
	SOAK_CANARIES(SOAK_X)
#undef SOAK_X
		SOAK_CANARY_COUNT
};

/* True once in a run of this canary, after it was asked for a while. */
bool soak_canary(enum soak_canary which);

/* ---- the run ---------------------------------------------------------------------------------------------------- */

enum soak_cpu_mode { SOAK_CPU_SLOT, SOAK_CPU_RANDOM, SOAK_CPU_HOSTILE, SOAK_CPU_ONE, SOAK_CPU_RSEQ, SOAK_CPU_MODES };

/* An instance's shape, from (seed, round). */
struct soak_geometry {
	struct pfa_config config;
	struct pfa_platform platform;
	struct pfa_zone_config zones[SOAK_ZONES_MAX];
	struct pfa_run holes[SOAK_ZONES_MAX][SOAK_HOLES_MAX];
	struct pfa_run cma[SOAK_ZONES_MAX][1];
	pfa_pfn base; /* of pool, shadow and attributes */
	size_t span;  /* frames */
	size_t present;
	bool mapped;  /* the pool is a memfd, which children share */
	bool guards;  /* PFA_GUARD requests are made */
	unsigned pressure; /* percent of the present frames that all threads together try to hold */
	enum soak_cpu_mode cpu_mode;
};

/* Owners of frames that are no threads; threads' ids are smaller. */
#define SOAK_GUARD_ID 0xFFFu
#define SOAK_COMMON_ID 0xFFEu /* the scripted owner */
#define SOAK_BRIEF_ID 0xFFDu
#define SOAK_DEST_ID 0xFFCu   /* a destination that nobody uses yet */
#define SOAK_BALLOON_ID 0xFFBu
#define SOAK_DEVICE_ID 0xFFAu /* the host that is told of free frames */
#define SOAK_PLUG_ID 0xFF9u   /* in stamps only: of frames that are offline */

#define SOAK_ABSENT 0xFFu
#define SOAK_IN_CMA 0x80u

struct soak_options {
	double time_s;
	double round_s;
	bool round_given;
	unsigned threads;
	uint64_t seed;
	unsigned first_round;
	size_t frames; /* 0: by the seed */
	double watchdog_s;
	const char *json;
	const char *findings;
	const char *command;
	const char *commit;
	enum soak_canary canary;
};

enum soak_command { SOAK_RUN, SOAK_PARK, SOAK_END };

struct soak {
	struct soak_options opt;
	uint64_t start_ns;
	volatile sig_atomic_t interrupted;

	_Atomic unsigned round;
	struct soak_geometry geo;
	struct pfa *pfa;
	void *meta;
	size_t meta_bytes;
	unsigned char *pool;
	size_t pool_bytes;
	int pool_fd; /* geo.mapped */
	size_t frame_bytes;
	unsigned char *attr;      /* per frame of the span: zone | SOAK_IN_CMA, or SOAK_ABSENT */
	_Atomic uint32_t *shadow; /* per frame of the span: tag, 0 when nobody's */
	_Atomic size_t nr_guards[SOAK_ZONES_MAX]; /* frames that guard a block */
	_Atomic uint8_t *moving;  /* per frame of the span: soak_movable.c's */
	_Atomic uint8_t *marks;   /* per frame of the span: soak_ranges.c's */
	bool poisons;             /* frames that are nobody's are poisoned by us (AddressSanitizer) */
	size_t quota;             /* frames a worker tries to hold */

	unsigned nr_slots; /* main, workers, and a visitor for each worker */
	struct soak_slot *slots;
	struct soak_mailbox *mail; /* one a worker */
	_Atomic uint32_t command;
	_Atomic uint32_t epoch;
	pthread_mutex_t park_mutex;
	pthread_cond_t park_cond;
	unsigned nr_parked;
	unsigned nr_workers;

	bool in_child; /* of a fork() */
	_Atomic size_t nr_quiesced;
	_Atomic size_t nr_log_lines; /* that the library has written by its op log */
	_Atomic uint32_t failing;
	_Atomic uint32_t canary_calls;
};

extern struct soak soak;
extern _Thread_local struct soak_slot *soak_self;

static inline struct soak_slot *soak_worker(unsigned i)
{
	return &soak.slots[1 + i];
}

/* The slot of the short-lived thread that worker slot may start. */
static inline struct soak_slot *soak_visitor(const struct soak_slot *slot)
{
	return &soak.slots[slot->id + soak.opt.threads];
}

/* Of a present frame. */
static inline unsigned soak_zone_of(pfa_pfn pfn)
{
	return soak.attr[pfn - soak.geo.base] & ~SOAK_IN_CMA;
}

uint64_t soak_now_ns(void);

/* soak_geometry.c */
void soak_geometry_make(struct soak_geometry *geo, uint64_t seed, unsigned round, size_t frames);
const char *soak_geometry_text(void);
void soak_instance_make(void);
void soak_instance_unmap(void);

/* soak_shadow.c: the oracles. soak_granted() judges what the library granted; soak_release() comes before a free. */
void soak_granted(struct soak_slot *slot, struct soak_grant *grant, uint32_t flags, unsigned align_order);
void soak_release(struct soak_slot *slot, pfa_pfn first, uint32_t nr, uint32_t tag);
void soak_verify(struct soak_slot *slot, const struct soak_grant *grant);
size_t soak_shadow_count(unsigned zone);
void soak_shadow_poison(pfa_pfn first, size_t nr, bool poisoned);
void soak_guarded(struct soak_slot *slot, pfa_pfn pfn, bool on);
uint32_t soak_shadow_tag(pfa_pfn pfn);
/* Frames change hands. */
void soak_shadow_pass(struct soak_slot *slot, pfa_pfn first, size_t nr, uint32_t from, uint32_t to);
void *soak_frame(pfa_pfn pfn);
/* The content of a frame that belongs to this tag; is it still that? */
void soak_stamp(pfa_pfn pfn, uint32_t tag);
bool soak_stamped(pfa_pfn pfn, uint32_t tag);

/* soak_api.c: the library's calls, recorded and judged. take: true when granted. */
bool soak_take(struct soak_slot *slot, unsigned order, uint32_t flags, struct soak_grant *out);
bool soak_take_ptr(struct soak_slot *slot, unsigned order, uint32_t flags, struct soak_grant *out);
bool soak_take_window(struct soak_slot *slot, unsigned order, uint32_t flags, struct pfa_run window,
                      struct soak_grant *out);
bool soak_take_exact(struct soak_slot *slot, uint32_t nr, unsigned align_order, uint32_t flags, struct soak_grant *out);
size_t soak_take_bulk(struct soak_slot *slot, unsigned order, uint32_t flags, size_t nr, struct soak_grant out[]);
void soak_give(struct soak_slot *slot, struct soak_grant grant);
void soak_give_bulk(struct soak_slot *slot, const struct soak_grant grants[], size_t nr);
void soak_split(struct soak_slot *slot, struct soak_grant *grant, unsigned new_order);
void soak_post(struct soak_slot *slot, struct soak_grant grant);
bool soak_fetch(struct soak_slot *slot, struct soak_grant *out);
void soak_service(struct soak_slot *slot, unsigned budget);
void soak_may_move(struct soak_slot *slot, bool may);
unsigned soak_order(struct soak_slot *slot);
uint32_t soak_flags(struct soak_slot *slot);
void soak_bag_put(struct soak_slot *slot, struct soak_grant grant);
struct soak_grant soak_bag_take(struct soak_slot *slot);
void soak_bag_empty(struct soak_slot *slot, unsigned actor);
void soak_expect(struct soak_slot *slot, const char *what, int rc, int wanted);
void soak_fatal_op(void *ctx, const struct pfa_fault *fault);
size_t soak_low_memory(void *ctx, unsigned order, uint32_t flags); /* actor_balloon.c */

void soak_report_child(void); /* actor_report.c */

/* soak_record.c */
struct soak_record *soak_record(struct soak_slot *slot, enum soak_op op, uintptr_t a, uintptr_t b, uintptr_t c);
void soak_recorded(struct soak_record *record, int result);
_Noreturn void soak_fail(const char *monitor, const char *fmt, ...);
void soak_signals(void);

/* soak_quiet.c: what is judged while every worker is parked, and at the end of a round. */
void soak_conservation(const struct pfa_zone_stats *s, unsigned zone);
void soak_quiet_check(void);
void soak_start_census(void);
void soak_end_check(void);

/* soak_report.c */
struct soak_finding {
	uint32_t id;
	const char *monitor, *message;
	const char *report; /* the file with the text, "" if it could not be written */
};

void soak_summary(void (*print)(const char *fmt, ...));
int soak_json(const struct soak_finding *finding);
void soak_report_init(void);
const char *soak_repeat_command(void);
void soak_watch_start(void);
void soak_watch_stop(void);
void soak_say(const char *fmt, ...);

#endif
