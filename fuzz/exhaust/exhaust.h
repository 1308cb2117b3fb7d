/* SPDX-License-Identifier: MIT
 *
 * exhaust.h - small-scope exhaustive exploration: every state that one thread can bring a small instance into.
 *
 * An instance lives wholly in memory that its caller gave, so that copying this memory saves it and copying it back, to the same
 * address, restores it. The explorer begins with a fresh instance and carries out every operation of an *alphabet* in every state,
 * breadth first. States are told apart by a *canonical form*, of which 128 bits of hash are kept, with the state that it was first
 * reached from and the operation: a path of fewest operations, from which the state itself is made again when it is expanded.
 *
 * Oracles. Of each transition: the result code, that what is granted is nobody's, present, aligned and not isolated, that a
 * request is refused only where no free block of its size exists, that legal calls are not told to platform.fatal (own map of
 * frames, step.c). Of each new state: pfa_check() with everything, the sums of the counters against that map, each frame as
 * pfa_frame_info() shows it, what the device knows (device.c), what the area granted (area.c), and that what is sealed is as it was. And, of each new state or each nth, the model and all oracles
 * of the harness: its program goes through exec_run() (exec.h), which ends with freeing everything.
 *
 * What the canonical form leaves out (canon.c, the only file of the harness that knows the library's own structures) decides
 * nothing. That is checked: of a sample of transitions that led to a state that was known, both members, the state as it was
 * first reached and as it was reached now, are expanded by all operations, and must give the same codes and equal states.
 */
#ifndef FUZZ_EXHAUST_H
#define FUZZ_EXHAUST_H

#include <pfa/cma.h>
#include <pfa/pfa.h>
#include <pfa/report.h>
#include <pfa/sim.h>

#include "exec.h"
#include "program.h"
#include "setup.h"

#define EX_SPAN_MAX 512u  /* frames from the first zone's first to the last one's end, holes included: what a struct ex_op can name */
#define EX_HOLDS_MAX 8u   /* isolations at once: pageblocks that there can be */
#define EX_CHOICES_MAX 1024u /* operations in one state */
#define EX_EVENTS_MAX 256u /* blocks that one operation moves or releases: frames that there can be */
#define EX_PATH_MAX 400u  /* operations to a state, each of them up to five of a program's PROG_OPS_MAX */

/* ---- the alphabet ------------------------------------------------------------------------------------------------- */

enum ex_kind {
	EX_ALLOC,   /* nr: order; arg: type, zone, whether it is declared movable at once (ex_alloc_arg()) */
	EX_FREE,    /* at: a live block's first frame */
	EX_SPLIT,   /* at, nr: to this order */
	EX_DRAIN,   /* all caches */
	EX_DISABLE, /* caches; */
	EX_ENABLE,
	EX_ISOLATE, /* at: pageblock's first frame; nr: pageblocks; arg: answer */
	EX_UNDO,    /* at: the isolation's first frame */
	EX_CONTIG,  /* pfa_alloc_contig_range() of nr frames from at on; arg: answer */
	EX_MIGRATE, /* the movable block at; arg: answer */
	EX_COMPACT, /* the whole instance; arg: answer */
	EX_SERVICE, /* the clock moves on by PFA_SERVICE_IDLE_NS, and then a whole round; arg: the device's answer, as in the next two */
	EX_STEP,    /* pfa_service() at the same time, with a budget for the caches and one batch */
	EX_FLUSH,
	EX_REGISTER, /* a device; nr: its min_order */
	EX_UNREGISTER,
	EX_SUSPEND,
	EX_RESUME,
	EX_CMA_ALLOC,   /* nr frames; arg: answer */
	EX_CMA_RELEASE, /* nr frames from at on, which are of one grant */
	EX_KINDS
};

/* What the owner of the movable blocks says and does, as long as a call runs. */
enum ex_answer {
	EX_SAYS_YES,
	EX_ISOLATE_BUSY, EX_MIGRATE_BUSY, EX_MIGRATE_AGAIN, EX_ISOLATE_AGAIN,
	EX_ISOLATE_FREES, EX_MIGRATE_FREES, /* the block itself; and then it says yes */
	EX_ANSWERS
};

/* What the reporting device says and does, as long as a call runs. */
enum ex_device {
	EX_DEVICE_OK,
	EX_DEVICE_FAILS, /* nothing is done */
	EX_DEVICE_FIRST, /* the first block of a batch is done, no other */
	EX_DEVICE_LIES,  /* more are done than there are */
	EX_DEVICE_TAKES, /* it allocates up to 16 frames, and frees them; and then all is done */
	EX_DEVICES
};

struct ex_op {
	uint32_t kind : 5, cpu : 2, at : 9, nr : 9, arg : 7; /* at: counted from the first zone's first frame */
};

struct ex_alphabet {
	unsigned orders;         /* bit: order */
	unsigned types;          /* bit: enum pfa_type */
	unsigned owned;          /* bit: order that is also allocated movable, with an owner */
	unsigned zones, cpus;    /* bit: zone that requests name; cpu that allocs and frees run on */
	unsigned isolate;        /* longest isolation, in pageblocks; 0: none */
	unsigned contig;         /* bit k: ranges of 2^k frames, at each frame */
	unsigned answers;        /* bit: enum ex_answer */
	unsigned cma;            /* bit k: runs of 2^k frames of the CMA area, aligned as the smallest of them; at most one area */
	unsigned report;         /* bit: min_order that a device may be registered with */
	unsigned devices;        /* bit: enum ex_device */
	bool split, drain, disable, migrate, compact, service, suspend;
	bool any_cpu;            /* drain, isolate, ... from each cpu, too; else from cpu 0 */
};

static inline unsigned ex_alloc_arg(unsigned type, unsigned zone, bool owned)
{
	return type | zone << 2 | (unsigned)owned << 4;
}

/* ---- one instance, and what it is compared with ------------------------------------------------------------------- */

/* A frame in the own map. */
#define EX_NOBODY 0u
#define EX_INSIDE 0x80u   /* of a block, not its first */
#define EX_HEAD 0x20u     /* | order */
#define EX_OWNED 0x40u    /* the block is movable and has an owner */
#define EX_ORDER 0x1Fu
/* Of what pfa_cma_alloc() granted, in units of the smallest run: the first frame of a grant, or of what is left of one; of a further
 * unit; and all others. */
#define EX_RUN 0x90u
#define EX_RUN_UNIT 0x91u
#define EX_RUN_INSIDE 0x92u
static inline bool ex_is_run(uint8_t frame)
{
	return frame >= EX_RUN && frame <= EX_RUN_INSIDE;
}

struct ex_hold {
	uint16_t start, end;
	uint32_t token;
};

/* The driver's part of a state. The rest is the instance's memory. */
struct ex_world {
	uint64_t now_ns;
	uint32_t nr_holds;
	bool disabled;
	bool registered, suspended; /* a device; */
	uint8_t unit;               /* its min_order */
	struct ex_hold hold[EX_HOLDS_MAX]; /* ascending */
	uint8_t frame[EX_SPAN_MAX];
	uint8_t told[EX_SPAN_MAX];  /* the device was told since the frame was last not free */
};

/* What became of a movable block during the last operation: moved to `to`, or released (to: EX_SPAN_MAX). */
struct ex_event {
	uint16_t from, to;
};

enum ex_forget { EX_FORGET_NOTHING, EX_FORGET_CACHE_ORDER, EX_FORGET_TYPES, EX_FORGET_DUE };
enum ex_plant { EX_PLANT_NOTHING, EX_PLANT_DRAIN_LOSES, EX_PLANT_KEEPS_HOLDER, EX_PLANT_NEWS_LOST, EX_PLANT_RELEASE_UNCOUNTED };

struct ex_key {
	uint64_t a, b;
};

struct ex_machine {
	const struct program *p;
	struct ex_alphabet alphabet;
	struct setup setup;
	struct pfa_sim sim;
	struct pfa_platform platform;
	struct pfa *pfa;
	unsigned char *memory;   /* of the instance */
	size_t bytes, sealed;    /* of which this many come first and are never written: */
	unsigned char *sealed_copy;
	unsigned char *canon;    /* scratch for the canonical form */
	pfa_pfn base;
	unsigned span;
	uint8_t zone_of[EX_SPAN_MAX]; /* by frame; UINT8_MAX: absent */
	size_t present;
	bool no_marks;           /* a request is refused only where nothing is free that its type may have */
	pfa_owner owner;
	pfa_cma area;            /* 0: none */
	unsigned area_first, area_end;
	struct ex_world w;

	/* the operation that runs, or ran last */
	enum ex_answer answer;
	enum ex_device device;
	unsigned batches;        /* that the device was told of */
	int code;
	unsigned granted;        /* frame; EX_SPAN_MAX: none */
	unsigned nr_events;
	struct ex_event event[EX_EVENTS_MAX];
	const char *told;        /* platform.fatal was */
	enum ex_forget forget;
	enum ex_plant plant;
	char finding[192];       /* empty: none */
};

/* Reads the alphabet from the file's comments "# exhaust: WORD..." (README.md). False: *why says what is wrong. */
bool ex_alphabet_read(const char *text, struct ex_alphabet *out, const char **why);
/* The number after word= in such a comment; 0: there is none. */
uint64_t ex_setting(const char *text, const char *word);

/* Makes the instance of a program's configuration, and carries out its operations, which can only be to create an owner. One at a
 * time: memory is the process's. False: *why says what is wrong. */
bool ex_machine_make(struct ex_machine *m, const struct program *p, const struct ex_alphabet *a, const char **why);
void ex_machine_drop(struct ex_machine *m);

/* A saved state: ex_state_bytes() of memory. */
size_t ex_state_bytes(const struct ex_machine *m);
void ex_save(const struct ex_machine *m, void *state);
void ex_restore(struct ex_machine *m, const void *state);

/* The operations that are legal now. */
unsigned ex_choices(const struct ex_machine *m, struct ex_op out[EX_CHOICES_MAX]);
/* Carries one out, with the oracles of a transition. False: m->finding says what is broken. */
bool ex_apply(struct ex_machine *m, struct ex_op op);
/* The oracles of a state. */
bool ex_judge_state(struct ex_machine *m);

/* step.c, for the two below. ex_broken() records the first finding and returns false. */
bool ex_broken(struct ex_machine *m, const char *what, size_t expected, size_t actual);
/* Could these frames be granted as a block? */
bool ex_free(const struct ex_machine *m, unsigned at, unsigned nr, unsigned zone);
/* A grant: is it what nobody has, and the type may have? Then it is the caller's. */
bool ex_grant(struct ex_machine *m, pfa_pfn pfn, unsigned order, unsigned least_zone, unsigned kind, bool movable);
void ex_clear(struct ex_machine *m, unsigned at);

/* device.c: the reporting device */
bool ex_apply_device(struct ex_machine *m, struct ex_op op);
/* After each operation: what is not free is not known. */
bool ex_device_forget(struct ex_machine *m);
bool ex_judge_device(struct ex_machine *m);

/* area.c: the CMA area */
bool ex_area_find(struct ex_machine *m);
static inline bool ex_in_area(const struct ex_machine *m, unsigned at)
{
	return at >= m->area_first && at < m->area_end;
}
/* The smallest run is 2^this frames. */
unsigned ex_area_unit(const struct ex_machine *m);
/* Frames from at on that are left of one grant; at is the first. */
unsigned ex_area_piece(const struct ex_machine *m, unsigned at);
bool ex_apply_cma_alloc(struct ex_machine *m, struct ex_op op);
bool ex_apply_cma_release(struct ex_machine *m, struct ex_op op);
bool ex_judge_area(struct ex_machine *m);

/* canon.c */
size_t ex_sealed_bytes(const struct pfa *pfa);
/* Refuses what has no finite set of states: random numbers, history, generations. */
bool ex_canon_can(const struct pfa *pfa);
/* The hash of the canonical form of the instance and the own map. */
struct ex_key ex_canonical(struct ex_machine *m);
/* Breaks the instance, if the plant is for this kind of operation: before it is carried out. */
void ex_plant(struct ex_machine *m, enum ex_kind kind);

/* ---- the search --------------------------------------------------------------------------------------------------- */

struct ex_limits {
	size_t states;           /* 0: none */
	size_t bytes;            /* memory for states; 0: none */
	unsigned seconds;        /* 0: none */
	unsigned model;          /* each nth new state goes through the model; 0: none */
	unsigned merged;         /* each nth merged pair is expanded; 0: none */
};

enum ex_outcome { EX_COMPLETE, EX_STOPPED, EX_FOUND, EX_FAILED };

struct ex_result {
	enum ex_outcome outcome;
	const char *stopped;     /* by: "states", "memory", "time"; or why it failed */
	size_t states, expanded, transitions, refused; /* refused: transitions whose code was not PFA_OK */
	unsigned depth;          /* of the deepest state */
	size_t state_bytes;      /* of one saved state */
	size_t modelled, pairs, same_bytes; /* same_bytes: merged pairs that did not differ at all */
	struct ex_op path[EX_PATH_MAX]; /* to a finding; with its operation */
	unsigned nr_path;
	bool crashed;            /* the last of them */
	char finding[224];
};

void ex_search(struct ex_machine *m, const struct ex_limits *limits, struct ex_result *r);

/* How the harness proper runs the machine's programs. */
struct exec_options ex_model_options(const struct ex_machine *m);

/* The program that makes these operations, after those of m->p, from the saved state root on. Carries them out, but for the last
 * one if it crashes. False: it has too many. */
bool ex_write(struct ex_machine *m, const void *root, const struct ex_op path[], unsigned nr, bool crashes, struct program *out);

#endif
