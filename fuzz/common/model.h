/* SPDX-License-Identifier: MIT
 *
 * model.h - what a page-frame allocator may do, written down as naively as possible: one byte a frame.
 *
 * The model shares no code with the library. It does not predict which frame is granted: it follows the allocator's
 * choice and judges it. What it keeps per frame is who owns it; blocks in per-CPU caches and free blocks are the same
 * to it ("un-owned"). Counters of the allocator (struct pfa_zone_stats) are inputs of some judgements, and are
 * themselves judged by model_judge_sums().
 *
 * Judgements return true if all is well; else false with *v filled in.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <pfa/config.h>
#include <pfa/harden.h>
#include <pfa/stats.h>

#define MODEL_ZONES 8u
#define MODEL_FRAMES (32768u + (UINT32_C(1) << 18)) /* of all zones together, holes included (huge ones: setup.h) */
#define MODEL_CPUS 16u
#define MODEL_PAGEBLOCKS (MODEL_FRAMES / 64u + 2u * MODEL_ZONES)

enum model_state {
	MODEL_FREE = 0, /* un-owned */
	MODEL_HEAD,     /* first frame of a block that the program owns */
	MODEL_TAIL,     /* another frame of one */
	MODEL_GUARD,    /* beside a PFA_GUARD block, and owned as long as it is; order: 0 before it, 1 after it */
	MODEL_ABSENT,   /* hole */
	MODEL_OFFLINE,  /* doomed: bad when it is online again */
	MODEL_BAD       /* out of use for good */
};

/* A broken promise. The monitor's first word is an invariant id, or the name of an oracle. */
struct verdict {
	const char *monitor;
	const char *what;
	unsigned zone;
	pfa_pfn pfn;
	size_t expected, actual;
};

struct model_zone {
	pfa_pfn start;
	size_t nr;         /* holes included */
	size_t base;       /* index of `start` in the frame arrays */
	size_t pb_first;   /* number of the first pageblock that the zone touches (pfn >> pageblock_order) */
	size_t pb_base;    /* its index in the pageblock array */
	size_t nr_pb;
	size_t present;
	size_t owned;      /* frames, guards included */
	size_t guards;
	size_t owned_cma;  /* of them in CMA pageblocks */
	size_t present_cma;
	size_t bad, bad_cma;
	size_t fading;     /* of them, that may be in quarantine still */
	size_t held;       /* pageblocks that are held */
	size_t mark[3];    /* min, low, high */
	size_t highatomic_frames;
};

#define MODEL_AREAS (MODEL_ZONES + 8u) /* each zone is configured with one at most */

/* A CMA area (model_plug.h). */
struct model_area {
	bool live, configured;
	unsigned zone;
	struct pfa_run run;
	uint32_t handle;
	size_t granted;
	size_t nr_alloc, nr_fail, nr_wait;
};

/* The last event of a frame: number seq (from 1) of those of the blocks that began at frame head. */
struct model_event {
	uint32_t head, seq;
	uint32_t tag, thread;
	unsigned char op, order;
};

struct model {
	unsigned nr_zones;
	unsigned max_order, pageblock_order;
	uint32_t nr_cpus;
	bool can_zero;     /* PFA_ZERO is possible */
	bool has_types;    /* false: CMA and HIGHATOMIC do not exist there */
	size_t nr_frames;  /* of all zones, holes included */
	uint32_t generation;
	uint32_t births;   /* grants and splits so far */
	uint32_t quarantine; /* blocks that each cpu's holds: what is given back rests there before it is granted again */
	uint32_t cpu;      /* of the frees that follow; UINT32_MAX: past the caches */
	uint32_t rests;    /* number of the time since all quarantines were last emptied */
	uint32_t frees[MODEL_CPUS]; /* of blocks, on each cpu */
	bool can_guard;    /* PFA_GUARD is possible */
	unsigned history;  /* config.history */
	uint32_t tag, thread; /* of the events that follow */
	struct model_zone zone[MODEL_ZONES];
	unsigned nr_areas; /* places for them, those of the configuration first */
	struct model_area area[MODEL_AREAS];
	unsigned char state[MODEL_FRAMES];
	unsigned char order[MODEL_FRAMES];  /* of the block, at its head */
	unsigned char doomed[MODEL_FRAMES]; /* 1: owned, and bad once it is given back (3: and rests nowhere then); 2: bad, once it left the quarantine */
	unsigned char zero[MODEL_FRAMES];   /* 1: the frame's content is known to be zero */
	unsigned char mobile[MODEL_FRAMES]; /* 1: at the head of a movable block (model_movable.h) */
	uint32_t owner[MODEL_FRAMES];       /* generation of the grant that owns the frame; 0: nobody */
	unsigned char type[MODEL_PAGEBLOCKS]; /* its own, held or not */
	uint32_t held[MODEL_PAGEBLOCKS];      /* token of who holds it (model_contig.h); 0: nobody */
	uint32_t owned_in[MODEL_PAGEBLOCKS]; /* owned frames of the zone in the pageblock; and the fewest of them */
	uint32_t fewest_in[MODEL_PAGEBLOCKS]; /* since its type was last looked at */
	uint32_t freed_at[MODEL_FRAMES];      /* which free on that cpu gave the frame back */
	uint32_t freed_in[MODEL_FRAMES];      /* and in which time between two emptyings; 0: never */
	unsigned char freed_on[MODEL_FRAMES];
	uint32_t born[MODEL_FRAMES];          /* at the head of an owned block: which birth it was */
	/* only with a history: */
	uint32_t events[MODEL_FRAMES];        /* of the blocks that began at the frame */
	struct model_event last[MODEL_FRAMES];
};

/* A request of any kind, as one. */
struct request {
	unsigned order;        /* of the block that is looked for */
	uint32_t flags;
	bool windowed;
	struct pfa_run window;
	bool exact;            /* alloc_exact: nr_frames single frames, aligned to align_order */
	bool no_guard;         /* bulk, or about no order: calls that, like exact and windowed ones, know no guards */
	size_t nr_frames;
	unsigned align_order;
};

struct request request_block(unsigned order, uint32_t flags);
struct request request_window(unsigned order, uint32_t flags, struct pfa_run window);
struct request request_exact(size_t nr_frames, unsigned align_order, uint32_t flags);

/* Sets the model to the state after init. cfg must be one that pfa_init accepts and fit the limits above: false. */
bool model_init(struct model *m, const struct pfa_config *cfg);

/* Zone of a pfn and the index of its frame; nr_zones if it lies in none. Holes have both. */
unsigned model_zone_of(const struct model *m, pfa_pfn pfn, size_t *out_index);
/* The type as which the pageblock counts: ISOLATE if it is held. */
enum pfa_type model_type_of(const struct model *m, unsigned zone, pfa_pfn pfn);

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The codes that a request may be answered with, whatever the state, as a set (bit -code): only EINVAL and ENOTSUP if
 * the arguments are bad, else OK, ENOMEM and, with NOWAIT or NORETRY, EAGAIN. */
uint32_t model_request_codes(const struct model *m, const struct request *r);
/* What is looked for: of a PFA_GUARD request the block that it is cut from. */
struct request model_sought(const struct request *r);
#define MODEL_CODE(code) (1u << (unsigned)-(code))

/* I15, zone, alignment, hole, window, exact zone: may this grant be? */
bool model_judge_grant(const struct model *m, const struct request *r, pfa_pfn pfn, struct verdict *v);
/* How many frees ago was the last of these frames given back that a quarantine could still hold? UINT32_MAX: none. */
uint32_t model_rested(const struct model *m, pfa_pfn pfn, size_t nr);
/* All quarantines may have been emptied. */
void model_forget_frees(struct model *m);
/* Nothing of the zone is in quarantine. */
void model_none_rests(struct model *m, unsigned zone);
/* This frame may be in quarantine still, and become bad when it leaves that. */
bool model_fades(const struct model *m, pfa_pfn pfn);
/* It was, until pfa_mark_bad() took it out of there. */
void model_mark_faded(struct model *m, pfa_pfn pfn);
/* I3: CMA only to MOVABLE, HIGHATOMIC only to HIGH; with the pageblock types as they are after the grant. */
bool model_judge_type(const struct model *m, const struct request *r, pfa_pfn pfn, struct verdict *v);
/* I12: did whatever left the zone during the request leave enough there? */
bool model_judge_marks(const struct model *m, const struct request *r, unsigned zone,
                       const struct pfa_zone_stats *before, const struct pfa_zone_stats *after, struct verdict *v);
/* Liveness: was this refusal allowed? after: one per zone, as found after the refusal. Checked against the free map:
 * all un-owned frames where the request drains the caches before it gives up; a zone in which nothing is cached else. */
bool model_judge_refusal(const struct model *m, const struct request *r, int code,
                         const struct pfa_zone_stats after[], struct verdict *v);

/* The program owns it now. Returns the generation, which is the stamp's second half. */
uint32_t model_take(struct model *m, pfa_pfn pfn, unsigned order);
uint32_t model_take_guarded(struct model *m, pfa_pfn pfn, unsigned order);
uint32_t model_take_exact(struct model *m, pfa_pfn pfn, size_t nr_frames);

/* ---- frees ------------------------------------------------------------------------------------------------------- */

/* What must come back: the code and, for misuse, the set of fault kinds (bit kind) that are true of this free. */
struct expectation {
	int code;
	uint32_t kinds;
};

struct expectation model_expect_free(const struct model *m, pfa_pfn pfn, unsigned order);
struct expectation model_expect_split(const struct model *m, pfa_pfn pfn, unsigned order, unsigned new_order);
struct expectation model_expect_range(const struct model *m, pfa_pfn first, size_t nr_frames);

void model_release(struct model *m, pfa_pfn pfn, unsigned order);
void model_release_range(struct model *m, pfa_pfn first, size_t nr_frames);
/* Past caches and quarantine, at once into the zone. */
void model_release_past(struct model *m, pfa_pfn pfn, unsigned order);
void model_split(struct model *m, pfa_pfn pfn, unsigned order, unsigned new_order);

/* What pfa_mark_bad() must answer, and what follows: an un-owned frame is bad at once, an owned one when it comes back. */
int model_mark_bad(struct model *m, pfa_pfn pfn);

/* ---- history and handles ----------------------------------------------------------------------------------------- */

/* The newest event of the frame; false: none is known, or its record may have been used again. */
bool model_newest_event(const struct model *m, pfa_pfn pfn, struct pfa_event *out);
/* Which birth the owned block at pfn had; 0: there is no such block. Handles made before another are stale. */
uint32_t model_birth(const struct model *m, pfa_pfn pfn, unsigned order);
/* What pfa_free_checked() must answer to a handle whose generation is right or not. */
struct expectation model_expect_free_checked(const struct model *m, pfa_pfn pfn, unsigned order, bool right);

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Is there an aligned block of un-owned frames that the request may have, in this zone? */
bool model_fits(const struct model *m, const struct request *r, unsigned zone, pfa_pfn *out);
/* Has the zone a block that could be granted if all of it were free? Requests without one drain and give up nothing. */
bool model_has_place(const struct model *m, const struct request *r, unsigned zone);
/* Would the zone's mark let a block of this order go (0: min, 1: low), given its counters? */
bool model_above_mark(const struct request *r, const struct pfa_zone_stats *s, unsigned order, unsigned mark);
/* Must this plain request succeed now, whatever is cached (the request drains), or, with from_zone, from what is in
 * the zones alone? stats: one per zone. */
bool model_must_succeed(const struct model *m, const struct request *r, bool from_zone,
                        const struct pfa_zone_stats stats[]);
/* Bounds of pfa_largest_free: *least is what must be possible at least, *most what can be at most; -1: nothing. */
void model_largest(const struct model *m, uint32_t flags, const struct pfa_zone_stats stats[], int *least, int *most);

/* The conservation law, and each summand that the model knows. */
bool model_judge_sums(const struct model *m, unsigned zone, const struct pfa_zone_stats *s, struct verdict *v);
/* Recounts what the model itself keeps incrementally: the model's own invariant. */
bool model_judge_itself(const struct model *m, struct verdict *v);

/* The allocator says that this pageblock has this type now. */
bool model_set_type(struct model *m, unsigned zone, size_t pageblock, enum pfa_type type, struct verdict *v);

#endif
