/* SPDX-License-Identifier: MIT
 *
 * model_movable.h - which blocks are movable, whose they are, and what each function of pfa/movable.h must answer.
 *
 * The frames of a movable block are owned in the model of model.h like any other; here is what is more about it. Blocks
 * have a slot that stays theirs wherever they move, until they are free or no longer movable. One thread runs at a time, and
 * nobody can wait: where a lock is another thread's, a call that would wait says PFA_EBUSY.
 */
#ifndef FUZZ_MODEL_MOVABLE_H
#define FUZZ_MODEL_MOVABLE_H

#include <pfa/movable.h>

#include "model.h"

#define MODEL_OWNERS 8u
#define MODEL_MOVABLES 256u
#define MODEL_PINS_MAX 32767u
#define MODEL_NO_BLOCK MODEL_MOVABLES

struct model_movable {
	bool used;
	pfa_pfn pfn;
	unsigned order;
	unsigned owner;    /* index */
	uint64_t cookie;
	unsigned pins;
	unsigned holder;   /* of the page lock: thread + 1; 0: nobody */
	bool isolated;     /* a mover has it */
	bool released;     /* it was freed, and somebody still holds it */
	unsigned handle;   /* of the program, to which it comes back */
	size_t pass;       /* of compaction, which moved it last */
};

/* Events, as the zones count them. */
struct model_moves {
	size_t migrated, putback, released, again;
};

struct model_movables {
	unsigned max_owners;
	bool registered[MODEL_OWNERS];
	unsigned nr;                     /* blocks in use */
	struct model_movable block[MODEL_MOVABLES];
	struct model_moves moves[MODEL_ZONES];
	size_t frames[MODEL_ZONES];      /* in movable blocks */
	uint64_t cookies;                /* ever made */
};

void model_movables_init(struct model_movables *mm, unsigned max_owners);

/* Slot of the movable block that begins at pfn, or MODEL_NO_BLOCK; and of the nth in use (nr > 0). */
unsigned model_movable_at(const struct model_movables *mm, pfa_pfn pfn);
unsigned model_movable_nth(const struct model_movables *mm, uint64_t n);

/* ---- what must come back: the caller is thread self - 1; inside: from within an owner's op ------------------------- */

/* Of pfa_page_lock(), trylock and, by them, pfa_pin() and pfa_movable_clear(). slot may be MODEL_NO_BLOCK. */
int model_expect_lock(const struct model_movables *mm, unsigned slot, unsigned self);
int model_expect_pin(const struct model_movables *mm, unsigned slot, unsigned self, bool inside);
struct expectation model_expect_unpin(const struct model_movables *mm, unsigned slot);
struct expectation model_expect_unlock(const struct model_movables *mm, unsigned slot, unsigned self);
int model_expect_clear(const struct model_movables *mm, unsigned slot, unsigned self);
/* pfa_free() with the right order. */
struct expectation model_expect_release(const struct model_movables *mm, unsigned slot, unsigned self, bool inside);
int model_expect_destroy(const struct model_movables *mm, unsigned owner);

/* ---- what follows ---------------------------------------------------------------------------------------------------- */

/* A block of the program becomes movable. Its slot, or MODEL_NO_BLOCK: there is no room for more. */
unsigned model_movable_make(struct model_movables *mm, struct model *m, pfa_pfn pfn, unsigned order, unsigned owner,
                            unsigned handle);
/* It is an ordinary block again. */
void model_movable_unmake(struct model_movables *mm, struct model *m, unsigned slot);
/* It was freed, with the answer OK. True: it is free now; else it is released. */
bool model_movable_free(struct model_movables *mm, struct model *m, unsigned slot);
/* Someone let go of it (pins, holder and isolated are as they are now). True: with that a released block became free. */
bool model_movable_drop(struct model_movables *mm, struct model *m, unsigned slot);
/* It moved. The frames at from are free. */
void model_movable_moved(struct model_movables *mm, struct model *m, unsigned slot, pfa_pfn to);

/* What pfa_movable_info() must say; owner is not filled in. */
struct pfa_movable_info model_movable_info(const struct model_movables *mm, unsigned slot);
/* The counters of a zone. */
bool model_judge_movable_sums(const struct model_movables *mm, const struct model *m, unsigned zone,
                              const struct pfa_zone_stats *s, struct verdict *v);

/* ---- compaction (model_compact.c): un-owned frames are taken for free ones ------------------------------------------- */

/* Un-owned frames of the zones [first, end) that are in no whole block of the order, per mille of all. */
unsigned model_fragmentation(const struct model *m, unsigned first, unsigned end, unsigned order);
/* After compaction to the end, in which no owner refused: what could move is above what is free. Says nothing of zones whose
 * movable blocks are of several orders, pinned or locked. */
bool model_judge_compacted(const struct model_movables *mm, const struct model *m, unsigned zone, struct verdict *v);

#endif
