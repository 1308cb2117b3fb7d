/* SPDX-License-Identifier: MIT
 *
 * exec_real.h - programs of fuzz_owners: the three owners of lib/owners on one instance, and what they must contain.
 *
 * The model is naive and outside of the library: who holds which frame, the bytes of each object and of each unit of an
 * arena. All of it is compared again after every step in which something moved, and a part of it after each other step.
 */
#ifndef FUZZ_EXEC_REAL_H
#define FUZZ_EXEC_REAL_H

#include <setjmp.h>

#include <pfa/balloon.h>
#include <pfa/compact.h>
#include <pfa/contig.h>
#include <pfa/debug.h>
#include <pfa/mapped.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/report.h>
#include <pfa/sim.h>
#include <pfa/stats.h>
#include <pfa/walk.h>
#include <pfa/zstore.h>

#include "exec_ops.h"

#define REAL_EACH 2u      /* balloons, stores, arenas */
#define REAL_FRAMES 1024u /* of all zones together */
#define REAL_GAP 256u     /* between two zones */
#define REAL_STEPS 768u
#define REAL_OBJECTS 128u
#define REAL_DEAD 32u
#define REAL_UNITS 128u
#define REAL_EXTRAS 32u
#define REAL_OBJECT_MAX ((size_t)4096 << 3)
#define REAL_HOGGED UINT16_MAX

enum real_holder {
	REAL_NOBODY, REAL_CORE, REAL_EXTRA, REAL_BALLOON, REAL_MAPPED = REAL_BALLOON + REAL_EACH, REAL_ZSTORE = REAL_MAPPED + REAL_EACH
};

struct real_balloon {
	struct pfa_balloon *it;
	void *memory;
	struct pfa_balloon_config cfg;
	size_t frames;             /* as the device was told */
	unsigned after, times, does;
	bool refused;              /* the device refused, in this step */
};

struct real_object {
	pfa_zobject handle;
	uint32_t bytes, seed;
	unsigned kind;
};

struct real_zstore {
	struct pfa_zstore *it;
	void *memory;
	struct pfa_zstore_config cfg;
	size_t most;               /* bytes of an object */
	struct real_object objects[REAL_OBJECTS];
	size_t nr;
	pfa_zobject dead[REAL_DEAD];
	size_t nr_dead;            /* ever */
	size_t moves;              /* as it was last looked at */
	bool putting;
};

struct real_unit {
	unsigned char *at, *mirror;
	unsigned pins;
	pfa_pfn pinned_at;
};

struct real_mapped {
	struct pfa_mapped *it;
	struct pfa_mapped_config cfg;
	size_t unit_bytes;
	struct real_unit units[REAL_UNITS]; /* ascending */
	size_t nr;
	unsigned batches;
	bool refused;              /* the kernel refused something, ever: units may stay protected */
	size_t moves;
};

struct real_core {
	pfa_pfn pfn;
	uint16_t handle;
	uint8_t order;
	uint32_t stamp;
};

/* When the next pass may begin, and when it must have. Passes that failed in a row are counted from both sides: one that has nothing to
 * tell ends the row, and is not seen. */
struct real_pace {
	unsigned least, most;
	unsigned over;             /* a batch of a zone below this one is of a later pass than the last failure; nr_zones: no pass is under way */
	bool counted;              /* the failure of the pass under way is in them */
	bool again;                /* a batch of the pass under way was told, and another one came */
	bool none;                 /* the device told nothing of a batch, since this was last reset */
	bool flushing;
	uint64_t now;              /* as the service call under way has it */
	uint64_t since, until;     /* the wait began between these */
};

/* The reporting device, as the model has it; see exec_real_report.c. */
struct real_told {
	bool has;                  /* the instance has room for a device */
	bool made;                 /* operations of it are made up */
	bool exact;                /* the model sees all that is allocated */
	bool registered, suspended, walks;
	struct pfa_device device;  /* with its defaults filled in */
	unsigned char known[REAL_FRAMES];    /* told since the frame was last allocated */
	unsigned char in_batch[REAL_FRAMES];
	uint16_t left[REAL_FRAMES]; /* 0x100 and the byte that the host left in the frame; 0: nothing */
	unsigned says, count, times, does;
	bool failed;               /* the device did not do all, since this was last reset */
	size_t calls, frames, walked;
	struct real_pace pace;
	pfa_token token;           /* of an isolation; 0: there is none */
	pfa_pfn held_at;
	struct pfa_cursor cursor;
};

struct real_run {
	struct exec_run *run;
	struct pfa *pfa;
	struct pfa_platform os;
	struct pfa_sim sim;
	bool addresses;            /* frames have some */
	int fd;                    /* of the pool; -1: there is no memfd, and hence no arena */
	unsigned char holder[REAL_FRAMES]; /* of those that the model knows by itself: core, extra, balloons */
	struct real_core core[REAL_FRAMES];
	size_t nr_core, core_frames;
	pfa_pfn extra[REAL_EXTRAS];
	size_t nr_extra;
	struct real_balloon balloon[REAL_EACH];
	struct real_zstore zstore[REAL_EACH];
	struct real_mapped mapped[REAL_EACH];
	unsigned nr_owners;
	uint32_t seed;             /* of the next content */
	unsigned hook_does, hook_times;
	unsigned depth;            /* callbacks that are running */
	unsigned acted;            /* things that callbacks did in this step */
	bool gave;                 /* and frames that they freed */
	unsigned kernel_after, kernel_times, kernel_failed; /* failed: in this step */
	unsigned waits;
	struct real_told told;
	bool failed;
	jmp_buf jump;
};
extern struct real_run real_one;

/* What a canary breaks: the calls, and the device. */
struct real_calls {
	int (*inflate)(struct pfa_balloon *b, size_t frames, size_t *out);
	int (*deflate)(struct pfa_balloon *b, size_t frames, size_t *out);
	int (*tell)(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr);
	int (*z_put)(struct pfa_zstore *z, const void *data, size_t bytes, pfa_zobject *out);
	int (*z_get)(struct pfa_zstore *z, pfa_zobject object, void *out, size_t room, size_t *bytes);
	int (*z_delete)(struct pfa_zstore *z, pfa_zobject object);
	int (*m_free)(struct pfa_mapped *a, void *at, size_t bytes);
	int (*m_move)(struct pfa_mapped *a, const void *at, size_t bytes, const struct pfa_dest *dest, size_t *moved);
	int (*migrate)(struct pfa *pfa, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[]);
	int (*check)(struct pfa *pfa, unsigned level, struct pfa_violation *out);
	int (*alloc)(struct pfa *pfa, unsigned order, uint32_t flags, pfa_pfn *out);
	int (*frame_info)(struct pfa *pfa, pfa_pfn pfn, struct pfa_frame_info *out);
	int (*zone_stats)(struct pfa *pfa, unsigned zone, struct pfa_zone_stats *out, size_t size);
	int (*report)(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done);
	int (*flush)(struct pfa *pfa);
	int (*service)(struct pfa *pfa, unsigned budget, uint64_t *out_next_ns);
	int (*unregister)(struct pfa *pfa);
	int (*walk)(struct pfa *pfa, unsigned min_order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor);
};
extern struct real_calls real_calls;

/* Records the first finding; returns false. */
bool real_fail(struct real_run *r, const char *monitor, const char *what, pfa_pfn pfn, size_t expected, size_t actual);
/* The code is one of those (OK is bit 0, PFA_EINVAL bit 1, ...: REAL_MAY). */
bool real_may(struct real_run *r, int code, uint32_t allowed, const char *what);
#define REAL_MAY(code) (UINT32_C(1) << (unsigned)-(code))
/* Nothing changed since a request was refused for want of memory: so it would be again. */
bool real_really_full(struct real_run *r, int code, unsigned order, uint32_t flags);
/* SIZE_MAX: in no zone. */
size_t real_index(const struct real_run *r, pfa_pfn pfn);
bool real_hold(struct real_run *r, pfa_pfn pfn, size_t nr, enum real_holder from, enum real_holder to);
/* The request flags of a FLAGS argument. */
uint32_t real_flags(uint64_t value);
/* A single frame, from within callbacks; false: there was none. */
bool real_extra_take(struct real_run *r);
bool real_extra_give(struct real_run *r);
/* What callbacks do; returns frames that were freed by it. */
size_t real_does(struct real_run *r, unsigned what, bool hook);
struct pfa_dest real_dest(struct real_run *r, unsigned mode, bool take, bool give, unsigned does);

/* exec_real_ops.c */
bool real_operation(struct real_run *r, const struct prog_op *op, unsigned index);

/* exec_real_balloon.c, _zstore.c, _mapped.c: operations, what can be looked at always, and the end */
bool real_balloon_op(struct real_run *r, const struct prog_op *op);
bool real_balloon_end(struct real_run *r, struct real_balloon *b);
size_t real_deflate_some(struct real_run *r, size_t frames);
bool real_inflate(struct real_run *r, struct real_balloon *b, size_t frames);
int real_device(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr);

bool real_zstore_op(struct real_run *r, const struct prog_op *op);
bool real_zstore_end(struct real_run *r, struct real_zstore *z);
bool real_zstore_look(struct real_run *r, struct real_zstore *z, bool all);
size_t real_zstore_frames(const struct real_zstore *z);
bool real_zstore_delete(struct real_run *r, struct real_zstore *z, size_t at);
bool real_zstore_put(struct real_run *r, struct real_zstore *z, unsigned kind, size_t bytes);
bool real_zstore_get(struct real_run *r, struct real_zstore *z, size_t at, unsigned how);

bool real_mapped_op(struct real_run *r, const struct prog_op *op);
bool real_mapped_end(struct real_run *r, struct real_mapped *a);
bool real_mapped_look(struct real_run *r, struct real_mapped *a, bool all);
bool real_mapped_free(struct real_run *r, struct real_mapped *a, size_t at, size_t nr, bool off);
bool real_mapped_pin(struct real_run *r, struct real_mapped *a, size_t at, size_t nr, bool on);
void real_mapped_write(struct real_run *r, struct real_mapped *a, size_t at, size_t off, size_t nr);

/* exec_real_report.c, _told.c, _pace.c, _walk.c: the reporting device, what is marked, when it is told, and the walk. */
int real_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done);
bool real_report_op(struct real_run *r, const struct prog_op *op);
/* What is made up after an operation; and before the first one. */
bool real_report_made(struct real_run *r, const struct prog_op *op, unsigned index);
bool real_report_begin(struct real_run *r, const struct program *p);
bool real_report_end(struct real_run *r);
bool real_told_look(struct real_run *r, bool all);
/* These frames were granted. */
bool told_taken(struct real_run *r, pfa_pfn pfn, size_t nr);
/* pfa_service(), whose passes come when they may, and when they must. */
int told_service(struct real_run *r, unsigned budget);
/* Asked before the model knows of it. */
bool told_judge_zero(struct real_run *r, pfa_pfn pfn, unsigned order, uint32_t flags);
bool told_judge_grant(struct real_run *r, pfa_pfn pfn, unsigned order, uint32_t flags);

/* exec_real_look.c: the oracles. all: everything there is, else what a step may cost. */
bool real_look(struct real_run *r, bool all);
/* The owners' movable blocks, by pfn; returns how many. */
size_t real_movables(struct real_run *r, pfa_pfn heads[REAL_FRAMES]);
bool real_core_stamp(struct real_run *r, struct real_core *c, bool verify);

#endif
