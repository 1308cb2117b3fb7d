/* SPDX-License-Identifier: MIT
 *
 * Layer 3: the nouns. Everything that an instance consists of, and which lock guards it.
 *
 * Coordinates: an *offset* is pfn - pfa.base, indexes the frame bytes (flat over the instance's span) and fits 32
 * bits. A *rel* is pfn - zone.origin and indexes the zone's maps; origin is a multiple of the largest block and of the
 * pageblock, so that alignment of a rel is alignment of the pfn.
 */
#ifndef PFAI_INSTANCE_H
#define PFAI_INSTANCE_H

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/movable.h>
#include <pfa/report.h>
#include <pfa/stats.h>

#include "bitset.h"
#include "frame.h"
#include "lock.h"
#include "prng.h"

/* Migrate types as stored: such that zeroed memory means MOVABLE. ISOLATE is never stored: it is what a pageblock with a holder counts
 * as, so that its free memory has counters and sets of its own, and giving the holder up restores the type by itself. */
enum pfai_code {
	PFAI_CODE_MOVABLE = 0,
	PFAI_CODE_UNMOVABLE = 1,
	PFAI_CODE_HIGHATOMIC = 2,
	PFAI_CODE_RECLAIMABLE = 3,
	PFAI_CODE_CMA = 4,
	PFAI_CODES = 5,
	PFAI_CODE_ISOLATE = 5,
	PFAI_PLANES = 6,      /* what free memory is kept by: the types, and ISOLATE */
};

static inline unsigned pfai_code_of_type(unsigned type)
{
	return type < 4 ? type ^ 1 : type;
}

static inline unsigned pfai_type_of_code(unsigned code)
{
	return code < 4 ? code ^ 1 : code;
}

/* Unmovable, movable, reclaimable: the types that lend to each other and that per-CPU caches hold. */
static inline bool pfai_code_is_common(unsigned code)
{
	return code < PFAI_CODE_CMA && code != PFAI_CODE_HIGHATOMIC;
}

/* Unmovable, reclaimable: what an entirely free pageblock does not stay. */
static inline bool pfai_code_reverts(unsigned code)
{
	return code == PFAI_CODE_UNMOVABLE || code == PFAI_CODE_RECLAIMABLE;
}

/*
 * Route of a pageblock, one byte, flat over the span: zone << 2 | code for the common types. HIGHATOMIC's code in the
 * low bits means SLOW: frees go past the caches (HIGHATOMIC, CMA, held or beside a held one in a block that a cache could
 * hold, shared by two zones, in no zone). The rows of
 * slots for that code exist and have a capacity of 0, so that the fast path needs no test of its own.
 * Written under the zone's lock, read under a cache lock.
 */
#define PFAI_ROUTE_SLOW PFAI_CODE_HIGHATOMIC
#define PFAI_ROUTE_ZONE_SHIFT 2u
#define PFAI_ROUTE_CODES 4u

/* Largest order with a cache slot. 2^9 frames of 4 KiB are a huge page, the largest block that is asked for often. */
#define PFAI_CACHE_ORDER_LIMIT 9u
/* A leaf, the grain of the index, is 2^min(pageblock_order, this) frames: 8 words of 64 bits, one cache line. */
#define PFAI_LEAF_ORDER_LIMIT 9u

#define PFAI_PB_PARTIAL (1u << 0) /* has absent frames: can never be reserved */
#define PFAI_PB_SKIP (1u << 2)    /* compaction: nothing could be moved out of it */
#define PFAI_PB_DOOMED (1u << 1)  /* a block that begins here may have a frame that is to become bad: route SLOW */
#define PFAI_PB_LENT (1u << 3)    /* was a CMA area's: a block that begins here may reach into one that has not ended: route SLOW */

/* What was met, and whether platform.fatal knows. Moves away from NONE once; told by pfai_tell() when no lock is held. */
enum pfai_damage { PFAI_DAMAGE_NONE, PFAI_DAMAGE_CACHE, PFAI_DAMAGE_FREE, PFAI_DAMAGE_TOLD };

/* Per (zone, pageblock). Zeroed memory: an entirely free MOVABLE pageblock. Guard: the zone's lock; holder is read without it by
 * frees at level 3, which hold a cache's. */
struct pfai_pb {
	uint32_t used;   /* frames of this pageblock that are not free, absent ones included */
	uint8_t code;    /* own type; isolation never overwrites it */
	uint8_t flags;   /* PFAI_PB_* */
	uint16_t spare;
	pfai_a32 holder; /* token of the isolation that holds it; 0: none */
	uint32_t marked; /* frames known to the reporting device */
};

/* pfai_slot.start of an abandoned slot: all of its part of the entries counts, but those that say PFAI_NO_ENTRY. */
#define PFAI_SLOT_ABANDONED UINT32_MAX
#define PFAI_NO_ENTRY UINT32_MAX

/* A stack of cached blocks of one (zone, type, order). Guard: the cpu's cache lock. */
struct pfai_slot {
	union {
		struct {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
			uint16_t cap, n;
#else
			uint16_t n, cap;
#endif
		};
		uint32_t cap_and_n; /* cap << 16 | n: both by one load */
	};
	uint32_t start;         /* of its entries, see pfai_entries_at() */
	size_t allocs, frees;   /* blocks that pfa_alloc took from here and pfa_free put here, ever */
};

/* One cpu's cache. Guard: lock, unless stated. */
struct pfai_cpu {
	struct pfai_lock lock;
	pfai_a32 held;          /* a hint, read without lock: 0 means that no slot holds anything */
	uint32_t first;         /* row of the zone that served last: zone << 2 << slot_shift */
	size_t seen;            /* sum of all slots' counters when service last came by */
	uint64_t seen_ns;
	/* [zone][code][order], order padded to 2^slot_shift; behind them the entries: the offsets of cached blocks. Every slot
	 * has its part. */
	struct pfai_slot slots[];
};

/* What is constant about a slot, for all cpus: what level 2 goes by. */
struct pfai_slot_home {
	uint32_t first, nr;     /* offsets of its zone's frames: [first, first + nr) */
	uint32_t start;
	uint32_t cap;           /* unless caches are disabled, or the zone refuses */
	uint32_t keep;          /* level 3: it holds more than this many when one is taken, as far as memory allows */
	uint32_t above;         /* cap - keep */
	uint32_t zone;
	uint32_t spare;
};

/* What level 3 adds to a cpu, after its slots. Guard: the cpu's lock. */
struct pfai_full {
	struct pfai_prng random;
	/* The quarantine: a ring of pfa.quarantine offsets, of which n from `first` on are in use. cap: 0 while caches
	 * are disabled. */
	uint32_t first, n, cap;
	/* then: struct pfai_quarantined for each zone, and the ring */
};

/* Blocks that leave a quarantine at once. */
#define PFAI_EVICT_LIMIT 32u

/* Frames of one zone that went into a cpu's quarantine and came out of it, ever. */
struct pfai_quarantined {
	size_t in, out;
};

/* Events of a zone, in the order of pfa_zone_stats. They decide nothing. */
struct pfai_zone_events {
	size_t refill, flush, direct, claim, steal, borrow, reserve, unreserve, lock_steps;
};

/* Of a zone's movable blocks. Guard: none, atomics. */
struct pfai_zone_moves {
	pfai_aword movable, isolated; /* frames, now */
	pfai_aword migrated, putback, released, again; /* events */
};

#define PFAI_COMPACT_SHIFT_LIMIT 6u /* at most every 2^6th request compacts where that was in vain */

/* Compaction of a zone. Guard: busy, a word that is taken as a whole; unless stated. */
struct pfai_compaction {
	pfai_a32 busy;
	pfai_a32 wanted;      /* no guard. 1 + order of a request that failed though there was room; 0: none */
	bool running;         /* src and dst are where the last step of a pass ended */
	size_t hint_end;      /* pageblocks below this have a PFAI_PB_SKIP that this pass, or one that ended early, has set or cleared */
	unsigned order;       /* that this pass is for */
	size_t src;           /* next pageblock of the migrate scanner */
	size_t dst[PFA_ORDER_LIMIT + 1]; /* pageblock of the free scanner, by order of what is looked for */
	pfai_a32 defer_order, defer_shift, deferred; /* no guard: hints */
	pfai_aword scanned, moved, failed, steps; /* events; no guard */
};

/* What changes in a zone, apart from the maps. Guard of everything: lock, unless stated. */
struct pfai_zone_state {
	struct pfai_lock lock;
	/* Hints for failing without a lock: bit o: a free block of order o is on offer. Published at each unlock. */
	pfai_a32 avail_common, avail_cma, avail_high;
	pfai_a32 corrupt; /* enum pfai_damage; damage was met: the zone refuses */

	uint32_t nonempty[PFAI_PLANES]; /* bit per order: the set is not empty */
	size_t present;
	size_t nr_doomed;              /* frames in use that are to become bad */
	size_t free[PFAI_PLANES];      /* free frames by what their pageblock counts as; those of ISOLATE are not on offer */
	size_t nr_held;                /* pageblocks that have a holder */
	size_t reserved_high;          /* frames of HIGHATOMIC pageblocks */
	size_t direct_allocs, direct_frees; /* frames granted and given back past the caches, ever */
	size_t bad;                    /* frames that are marked bad */
	size_t offline;                /* frames that are offline, and so not present */
	size_t guards;                 /* frames that guard blocks; they count as allocated */
	uint32_t reporting;            /* a device wants to know what is freed */
	uint32_t report_quiet;         /* what is put just now requests no pass: the reporter puts it */
	size_t told;                   /* free frames that the device knows */
	size_t held_report;            /* frames that the reporter holds */
	struct pfai_zone_events events;
	struct pfai_zone_moves moves;
	struct {
		size_t told, batches, errors, steps;
	} reports;                     /* events */
	struct pfai_prng random;       /* level 3 */
	struct pfai_compaction compaction;
};

/* A library built with PFA_WITHOUT_REPORTING refuses PFA_CONFIG_REPORTING: to measure beside it what having it costs who does not
 * use it (lib/docs/architecture.md, Free page reporting; ci/checks/fastpath). */
#ifdef PFA_WITHOUT_REPORTING
#define PFAI_REPORTING 0
#else
#define PFAI_REPORTING 1
#endif

/* What is constant after init: platform/posix can make it read-only, as struct pfa and the capacities. */
struct pfai_zone {
	struct pfai_zone_state *st;
	const char *name;
	uint32_t id;
	unsigned top_order;  /* largest order that fits the zone: min(max_order, log2 of its frames) */
	unsigned leaf_top;   /* largest order that one leaf can offer: min(leaf order, top_order) */
	pfa_pfn start, end;  /* [start, end) */
	pfa_pfn origin;
	size_t delta;        /* rel = offset + delta (modulo 2^word) */
	size_t nr_rel;       /* maps cover rels [0, nr_rel): whole pageblocks */
	size_t nr_pb, nr_leaves;
	size_t mark_min, mark_low, mark_high;
	size_t highatomic_limit; /* frames */
	size_t set_words;    /* words of all sets of one type */
	uint32_t set_start[PFA_ORDER_LIMIT + 1]; /* first word of the set of an order within its type's words */

	/* maps. Guard of what they point to: st->lock */
	pfai_word *not_free; /* authoritative. bit per rel; zeroed memory is an entirely free zone */
	/* Content known: as it was left by the free (config.poison), or zero. Xor pfa.zero_invert; NULL: not tracked. Counts
	 * for free frames only. */
	pfai_word *zero;
	pfai_word *doomed;   /* bit per rel: in use, and to become bad when it comes back */
	pfai_word *told;     /* bit per rel: see mark.h. NULL without PFA_CONFIG_REPORTING, as the next */
	pfai_word *pending;  /* set of leaves */
	pfai_word *resident; /* set of pageblocks */
	struct pfai_pb *pb;
	/* Per leaf, the largest order it offers, as leaf_top - order; 0 (zeroed memory) therefore is "the most it can".
	 * LEAF_FULL: nothing. A leaf that is free as a whole and lies in a larger block says 0. */
	uint8_t *leaf;
	/* Sets, per type and order. order < leaf order: the leaves whose largest block is exactly this. From the leaf
	 * order on: the free blocks themselves, each once, at its full size, as rel >> order. */
	pfai_word *sets;
};

#define PFAI_LEAF_FULL 0xFFu

/* One event of a frame, see history.h. number 0: none, or it is being written. Guard: none; whoever may write the block's
 * content writes its events. */
struct pfai_record {
	pfai_aword number;
	pfai_a32 tag;
	pfai_a32 what; /* op << 28 | order << 23 | thread */
};

/* The backtrace of an event, as above. */
struct pfai_trace {
	pfai_aword number;
	pfai_aword nr;
	pfai_aword at[PFA_TRACE_DEPTH];
};

/*
 * Of a movable block, at its first frame: an entry of the owner table. All zero where no movable block begins.
 *
 * lock: the page lock, PFAI_ENTRY_*. Whoever frees the block sets RELEASED, and from then on nobody can take the lock. Who had it,
 * or else who set RELEASED, takes the owner out of `refs`.
 * refs: owner << 16 | REF_ISOLATED | pins. Who makes it 0 frees the block.
 */
struct pfai_entry {
	pfai_a32 lock;
	pfai_a32 refs;
	uint64_t cookie; /* under the page lock */
};

#define PFAI_ENTRY_SELF ((1u << 28) - 1) /* platform.self of the holder; 0: nobody */
#define PFAI_ENTRY_WAITERS (1u << 28)
#define PFAI_ENTRY_MOVABLE (1u << 29)
#define PFAI_ENTRY_RELEASED (1u << 30)

#define PFAI_REF_PINS 0x7FFFu       /* pins */
#define PFAI_REF_ISOLATED (1u << 15) /* a mover has it; set under the page lock only */
#define PFAI_REF_OWNER_SHIFT 16u     /* index + 1; 0: released */

enum pfai_owner_state { PFAI_OWNER_FREE, PFAI_OWNER_BUSY, PFAI_OWNER_REGISTERED };

/* A registered owner. ops and ctx do not change while a block is its own. */
struct pfai_owner {
	pfai_a32 state; /* generation << 16 | enum pfai_owner_state */
	pfai_a32 live;  /* blocks that are movable for it and not released */
	pfai_a32 total; /* entries of the table that name it */
	struct pfa_owner_ops ops;
	void *ctx;
};

/* Movers that there may be at once, each with one op at a time. */
#define PFAI_OPS_LIMIT 64u
#define PFAI_OP_NONE (1u << 31) /* a mover that is in no op */

/* A block that the reporter holds. */
struct pfai_held {
	size_t rel;
	unsigned order;
};

/* Free page reporting. Guard: busy, unless stated. */
struct pfai_report {
	struct pfai_lock busy;  /* who runs a batch or changes the device; has no rank, and may be held over zone locks and the device */
	pfai_a32 state;         /* PFAI_REPORT_*; no guard */
	pfai_a32 self;          /* platform.self of who is inside report(); 0: nobody. No guard */
	pfai_a32 leaving;       /* calls that wait for busy: a pass makes room for them. No guard */
	uint32_t registered, suspended;
	struct pfa_device device;
	uint64_t due;           /* when the pass that was requested begins; 0: not known yet */
	uint64_t refilled;      /* when tokens was looked at last */
	int64_t tokens;         /* bytes that may be told now */
	uint32_t frame_bytes;   /* of a frame */
	uint32_t backoff;       /* errors in a row */
	uint32_t children;      /* forks; a batch of before is not this instance's any more */
	/* The pass: where it is, and what it has to leave for the next one. */
	uint32_t running, zone;
	size_t at;              /* rel */
	bool left, failed;
	/* The batch. Written with the lock of its zone, too. */
	uint32_t nr, batch_zone;
	struct pfai_held held[PFA_REPORT_CAPACITY_LIMIT];
	struct pfa_run runs[PFA_REPORT_CAPACITY_LIMIT];
};

/* A CMA area. Guard: none, atomics; run is written while use says BUSY, and constant while it says LIVE. */
struct pfai_cma {
	pfai_a32 use;     /* generation << 24 | PFAI_CMA_LIVE or _BUSY | calls that are in it */
	pfai_a32 takers;  /* calls that hold, or try to, just now; */
	pfai_a32 ended;   /* times that one of these ended, */
	pfai_a32 waiters; /* and calls that wait for that */
	pfai_a32 granted; /* frames */
	struct pfa_run run;
	pfai_aword allocs, failed, waits; /* events */
};

/* A handle is generation << 24 | index + 1. */
#define PFAI_CMA_LIMIT ((1u << 24) - 1)
#define PFAI_CMA_LIVE (1u << 23)
#define PFAI_CMA_BUSY (1u << 22) /* being made or ended */
#define PFAI_CMA_CALLS (PFAI_CMA_BUSY - 1)

/* Why an instance answers no call any more; 0: it does. */
enum pfai_closed { PFAI_OPEN, PFAI_FORKED, PFAI_ENDED };

/* Nesting of pfa_cache_disable() that is let through. */
#define PFAI_DISABLED_LIMIT 65536u

/* What changes in the instance, apart from zones and caches. */
struct pfai_state {
	/* under set_lock */
	struct pfai_lock set_lock;
	uint32_t disabled;      /* nesting of pfa_cache_disable, up to PFAI_DISABLED_LIMIT */
	pfai_a32 closed;        /* enum pfai_closed; written while no call is in flight */

	pfai_a32 last_token;    /* of an isolation; 0 is none */
	pfai_a32 serving;       /* busy word of pfa_service */
	pfai_a32 nr_walks;      /* walks that run: pfa_fini() would pull the memory from under them */
	uint32_t next_served;   /* under the busy word: the round's next cpu, */
	uint32_t scrub_zone;    /* the scrubber's next pageblock, */
	size_t scrub_pb;
	uint64_t service_next;  /* and the earliest time that the round has found so far */

	/* Level 3: requests that are about to fail. While there are any, frees pass the quarantine by and caches are not
	 * topped up: else what is drained for one request could wander on behind its back. Read under a cache lock, and
	 * every cache lock is taken after it was raised. */
	pfai_a32 starving;
	pfai_a32 guarded;       /* level 3: there were guards; as long as there were none no free looks for them */

	/* events */
	pfai_aword nr_fail, nr_drain, nr_misuse, nr_corrupt, nr_zeroed, nr_zero_skipped;
	/* movers: the platform.self of those inside an owner's op, OP_NONE of the others; nr_movers: how many there are */
	pfai_a32 nr_movers, op_self[PFAI_OPS_LIMIT];
	pfai_a32 nr_owners;
	pfai_a32 orphaned;      /* a child of fork(), where movable blocks may be half-way for good */

	pfai_aword nr_records; /* number of the last event of the history */
};

/* Ways that an allocation or a free of any order may go. alloc: flags name a common type and no more; free: the offset is in
 * range. c: that of the cpu that the caller runs on. No lock held. The arguments are in an order in which the caller has most of
 * them in their registers. */
typedef int pfai_alloc_path(struct pfa *p, struct pfai_cpu *c, pfa_pfn *out, unsigned order, uint32_t flags);
typedef int pfai_free_path(struct pfa *p, struct pfai_cpu *c, unsigned order, size_t offset);

/* Constant after init. */
struct pfa {
	/* the fast path's line */
	unsigned char *cpus;    /* nr_cpus of struct pfai_cpu, cpu_bytes apart */
	size_t cpu_bytes;
	ptrdiff_t cpu_offset;
	pfa_pfn base;           /* a multiple of the pageblock */
	size_t span;            /* frames from base to the end of the last zone */
	pfai_a8 *bytes;         /* frame bytes, by offset */
	pfai_a8 *routes;        /* by offset >> pb_order */
	uint32_t nr_cpus;
	uint32_t cpu_fixed;     /* without cpu_offset: 0 where there is no cpu op, else out of range */
	uint8_t pb_order, slot_shift, cached_orders /* 0 .. cached_orders-1 have slots */, leaf_order;
	/* Orders below this one take the fast paths of pfa_alloc and pfa_free. 0 where something has to be done at each
	 * allocation or free that those do not do: so they need no test for it. */
	uint8_t fast_orders;
	uint8_t level;          /* hardening, 0..3 */
	uint8_t hooks;          /* enum pfai_hook: what is done at each grant and free */
	/* What pfa_alloc and pfa_free hand all others over to: fast paths of other levels, or what does everything. */
	pfai_alloc_path *alloc_path;
	pfai_free_path *free_path;
	size_t nr_slots;        /* of each cpu */
	uint32_t rows[PFA_RECLAIMABLE + 1]; /* by the type of a request: its row of slots, counted from pfai_cpu.first */

	struct pfai_state *st;
	struct pfa_platform os;
	struct pfai_zone *zones;
	uint32_t nr_zones;
	unsigned max_order, frame_shift;
	uint32_t batch_high;    /* configured batch; each slot cuts it to half its cap */
	pfai_word zero_invert;  /* all ones where fresh frames are known to be zero */
	unsigned char *pool;    /* address of frame pool_pfn, or NULL */
	pfa_pfn pool_pfn;
	enum pfa_fatal_policy policy;
	pfai_a32 *generations;  /* by offset, see generation.h; NULL: not configured */
	struct pfai_record *history; /* nr_history of each offset; NULL: not configured */
	struct pfai_trace *traces;   /* nr_traces, a power of two; NULL: not configured */
	uint32_t nr_history, nr_traces, trace_shift;
	struct pfai_entry *table;     /* the owner table, by offset; NULL: not configured */
	struct pfai_owner *owners;
	uint32_t max_owners;
	struct pfai_report *report;   /* NULL: not configured */
	struct pfai_cma *cma;
	uint32_t nr_cma;
	uint8_t poison;         /* enum pfa_poison, never DEFAULT */
	/* Blocks that a cpu's quarantine has room for, config.quarantine + evict; 0: none. When it is full `evict` blocks leave. */
	uint32_t quarantine, evict;
	size_t full_offset;     /* of struct pfai_full in a cpu; 0 below level 3 */
	size_t ring_offset;     /* of the quarantine's ring in it */
	pfai_word content_key[2];
	uint32_t random_key[PFAI_PRNG_KEY_WORDS];

	/* set before threads come, and before the root is made read-only */
	void (*on_unlock)(void *ctx, struct pfa *pfa, unsigned zone);
	void *on_unlock_ctx;

	struct pfai_slot_home homes[]; /* nr_slots, as pfai_cpu.slots. Here, so that no pointer to them has to be loaded. */
};

/* What is done at each grant and free: pfa.hooks. See hook.h. */
enum pfai_hook {
	PFAI_HOOK_CONTENT = 1 << 0,    /* freed content is overwritten, and verified at the grant */
	PFAI_HOOK_HISTORY = 1 << 1,    /* events are kept */
	PFAI_HOOK_GENERATION = 1 << 2, /* the block's generation changes at each free */
	PFAI_HOOK_SHADOW = 1 << 3,     /* a sanitizer's shadow follows */
};

/* Is this hardening level on? A constant where it is not built in. */
#define pfai_level(p, n) (PFA_HARDENING >= (n) && (p)->level >= (n))

/* Is the fast path of level 2 the one inside of pfa_alloc() and pfa_free()? In the build whose highest level that is; elsewhere
 * it is that of level 1, which is most instances' (and 0's). The other one costs a jump more. */
#define PFAI_INSIDE_VERIFIED (PFA_HARDENING == 2)

static inline struct pfai_cpu *pfai_cpu_at(const struct pfa *p, uint32_t cpu)
{
	return (struct pfai_cpu *)(void *)(p->cpus + (size_t)cpu * p->cpu_bytes);
}

/* Level 3 only. */
static inline struct pfai_full *pfai_full_of(const struct pfa *p, struct pfai_cpu *c)
{
	return (struct pfai_full *)(void *)((unsigned char *)c + p->full_offset);
}

static inline struct pfai_quarantined *pfai_quarantined(struct pfai_full *f)
{
	return (struct pfai_quarantined *)(void *)(f + 1);
}

static inline uint32_t *pfai_quarantine_ring(const struct pfa *p, struct pfai_full *f)
{
	return (uint32_t *)(void *)((unsigned char *)f + p->ring_offset);
}

/* Is content that is known (struct pfai_zone.zero, CACHED_ZERO) zero? Else it is poison. */
static inline bool pfai_known_is_zero(const struct pfa *p)
{
	return p->poison != PFA_POISON_LINES && p->poison != PFA_POISON_ALL;
}

/* Streams of the instance's random numbers: one a cpu, one a zone, and those of init. */
#define PFAI_STREAM_ZONE 0x40000000u
#define PFAI_STREAM_INIT 0x80000000u

static inline uint32_t pfai_random_below_locked(const struct pfa *p, struct pfai_zone *z, uint32_t n)
{
	return pfai_prng_below_32(&z->st->random, p->random_key, PFAI_STREAM_ZONE + z->id, n);
}

static inline uint32_t pfai_random_bits_locked(const struct pfa *p, struct pfai_zone *z, unsigned nr)
{
	return pfai_prng_32(&z->st->random, p->random_key, PFAI_STREAM_ZONE + z->id) & ((1u << nr) - 1);
}

static inline size_t pfai_slots_per_cpu(const struct pfa *p)
{
	return p->nr_slots;
}

static inline unsigned pfai_slot_zone(const struct pfa *p, size_t slot)
{
	return (unsigned)(slot >> p->slot_shift >> PFAI_ROUTE_ZONE_SHIFT);
}

static inline unsigned pfai_slot_order(const struct pfa *p, size_t slot)
{
	return (unsigned)(slot & ((1u << p->slot_shift) - 1));
}

/* Slots of one zone lie together, those of one type too. */
static inline size_t pfai_slots_per_zone(const struct pfa *p)
{
	return (size_t)PFAI_ROUTE_CODES << p->slot_shift;
}

static inline size_t pfai_slot_of(const struct pfa *p, unsigned zone, unsigned code, unsigned order)
{
	return ((((size_t)zone << PFAI_ROUTE_ZONE_SHIFT) + code) << p->slot_shift) + order;
}

/* A slot's entries, by its start: counted from the cpu's beginning, so that no pointer to them has to be kept where it could
 * be damaged. */
static inline uint32_t *pfai_entries_at(struct pfai_cpu *c, uint32_t start)
{
	return (uint32_t *)(void *)c + start;
}

/* The slot's capacity as configured, and its part of the cpu's entries: what pfai_cpu says itself may be damaged. */
static inline unsigned pfai_slot_sealed_cap(const struct pfa *p, size_t slot)
{
	return p->homes[slot].cap;
}

static inline uint32_t *pfai_slot_sealed_entries(const struct pfa *p, uint32_t cpu, size_t slot)
{
	return pfai_entries_at(pfai_cpu_at(p, cpu), p->homes[slot].start);
}

/* The zone of a pfn, or NULL. O(zones). */
static inline struct pfai_zone *pfai_zone_of(const struct pfa *p, pfa_pfn pfn)
{
	for (uint32_t i = 0; i < p->nr_zones; i++)
		if (pfn >= p->zones[i].start && pfn < p->zones[i].end)
			return &p->zones[i];
	return NULL;
}

static inline struct pfai_pb *pfai_pb_at(const struct pfa *p, const struct pfai_zone *z, size_t rel)
{
	return &z->pb[rel >> p->pb_order];
}

static inline uint32_t pfai_pb_holder(const struct pfai_pb *pb)
{
	return pfai_load_relaxed(&pb->holder);
}

/* A pageblock's own type; one that does not exist is damage, and counts as MOVABLE (pfai_zone_code_locked() marks it). */
static inline unsigned pfai_pb_own_code(const struct pfai_pb *pb)
{
	return PFAI_LIKELY(pb->code < PFAI_CODES) ? pb->code : PFAI_CODE_MOVABLE;
}

/* What it counts as: ISOLATE as long as it has a holder. */
static inline unsigned pfai_pb_code(const struct pfai_pb *pb)
{
	return PFAI_UNLIKELY(pfai_pb_holder(pb) != 0) ? PFAI_CODE_ISOLATE : pfai_pb_own_code(pb);
}

static inline size_t pfai_offset_of_rel(const struct pfai_zone *z, size_t rel)
{
	return rel - z->delta;
}

/* Can the compiler read a cpu id at an offset from the thread pointer? */
#if defined(__has_builtin) && !defined(PFA_SINGLE)
#if __has_builtin(__builtin_thread_pointer) && (defined(__x86_64__) || defined(__aarch64__) || defined(__riscv))
#define PFAI_HAVE_THREAD_POINTER 1
#endif
#endif

/* The cpu that the caller runs on, as far as it is known without a call; >= nr_cpus sends it to the slow path, which
 * asks the op. May be stale at once. */
PFAI_ALWAYS_INLINE uint32_t pfai_fast_cpu(const struct pfa *p)
{
#ifdef PFAI_HAVE_THREAD_POINTER
	if (PFAI_LIKELY(p->cpu_offset))
		return *(const volatile uint32_t *)(const void *)((const char *)__builtin_thread_pointer() + p->cpu_offset);
#endif
	return p->cpu_fixed;
}

static inline uint32_t pfai_this_cpu(const struct pfa *p)
{
	return p->os.cpu && !p->cpu_offset ? p->os.cpu(p->os.ctx) : pfai_fast_cpu(p);
}

#endif
