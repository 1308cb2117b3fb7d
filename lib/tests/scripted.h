/* SPDX-License-Identifier: MIT
 *
 * An owner of movable blocks that does what a test says, and looks at everything that it is told: every call of an op is
 * checked against the contract of pfa/movable.h. Blocks are known by their cookies; where each is, how large it is and in
 * what state is kept here, outside of the library.
 */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include "rig.h"

#include <pfa/movable.h>

enum { SCRIPTED_BLOCKS = 1024 };

enum scripted_state { BLOCK_NONE, BLOCK_OWNED, BLOCK_ISOLATED, BLOCK_RELEASED };

enum scripted_op { OP_ISOLATE, OP_MIGRATE, OP_PUTBACK, OPS };

struct scripted {
	struct rig *rig;
	pfa_owner owner;
	bool destroyed;
	struct {
		pfa_pfn at;
		unsigned order;
		enum scripted_state state;
	} blocks[SCRIPTED_BLOCKS]; /* by cookie */
	/* what the ops say; says_after: what they say from the nth call on, if it is not 0 */
	int says[OPS], says_after[OPS];
	unsigned after[OPS];
	/* called inside each op before it returns; may free the block, call the library, and so on */
	void (*inside)(struct scripted *s, enum scripted_op op, uint64_t cookie, pfa_pfn dst, pfa_pfn src);
	void *user;
	/* what was seen */
	unsigned calls[OPS];
	enum pfa_migrate_mode mode; /* of the last call */
};

/* Registers it. */
void scripted_start(struct scripted *s, struct rig *rig);

/* Allocates a block and makes it movable; the cookie. */
uint64_t scripted_take(struct scripted *s, unsigned order);
/* The same for a block that the test has. */
void scripted_adopt(struct scripted *s, uint64_t cookie, pfa_pfn head, unsigned order);
/* Frees it (whatever state it is in, the free must succeed). */
void scripted_free(struct scripted *s, uint64_t cookie);
/* Frees all of them, and the owner is no more. */
void scripted_stop(struct scripted *s);

struct pfa_movable_info scripted_info(const struct scripted *s, uint64_t cookie);

/* Moves one block by flags; the result of it. */
int scripted_move(struct scripted *s, uint64_t cookie, enum pfa_migrate_mode mode, uint32_t flags);

#endif
