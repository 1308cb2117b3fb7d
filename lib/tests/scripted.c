/* SPDX-License-Identifier: MIT */
#include "scripted.h"

#include <string.h>

static int scripted_says(struct scripted *s, enum scripted_op op)
{
	unsigned call = s->calls[op]++;
	return s->says_after[op] && call >= s->after[op] ? s->says_after[op] : s->says[op];
}

/* What holds at each call: the block is ours, movable, not released, and its page lock is the mover's. Returns its pins. */
static unsigned look(struct scripted *s, pfa_pfn head, unsigned order, uint64_t cookie, enum scripted_state state)
{
	struct pfa_movable_info info;
	MUST(!s->destroyed);
	MUST(cookie < SCRIPTED_BLOCKS);
	MUST_EQ(s->blocks[cookie].state, state);
	MUST_EQ(s->blocks[cookie].at, head);
	MUST_EQ(s->blocks[cookie].order, order);
	MUST_EQ(pfa_movable_info(s->rig->pfa, head, &info), PFA_OK);
	MUST(info.locked && !info.released);
	MUST_EQ(info.isolated, state == BLOCK_ISOLATED);
	MUST_EQ(info.owner, s->owner);
	MUST_EQ(rig_info(s->rig, head).state, PFA_FRAME_HEAD);
	MUST_EQ(rig_info(s->rig, head).order, order);
	return info.pins;
}

static int op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct scripted *s = ctx;
	MUST_EQ(look(s, head, order, cookie, BLOCK_OWNED), 0);
	s->mode = mode;
	int says = scripted_says(s, OP_ISOLATE);
	if (s->inside)
		s->inside(s, OP_ISOLATE, cookie, head, head);
	if (says == PFA_OK && s->blocks[cookie].state == BLOCK_OWNED)
		s->blocks[cookie].state = BLOCK_ISOLATED;
	return says;
}

static int op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct scripted *s = ctx;
	struct pfa_movable_info info;
	MUST_EQ(look(s, src, order, cookie, BLOCK_ISOLATED), 0);
	MUST(dst != src);
	MUST_EQ(dst & (((pfa_pfn)1 << order) - 1), 0);
	MUST_EQ(pfa_movable_info(s->rig->pfa, dst, &info), PFA_OK);
	MUST(info.locked && !info.pins);
	MUST_EQ(rig_info(s->rig, dst).order, order);
	s->mode = mode;
	int says = scripted_says(s, OP_MIGRATE);
	if (s->inside)
		s->inside(s, OP_MIGRATE, cookie, dst, src);
	if (says == PFA_OK && s->blocks[cookie].state == BLOCK_ISOLATED) {
		s->blocks[cookie].at = dst;
		s->blocks[cookie].state = BLOCK_OWNED;
	}
	return says;
}

static void op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct scripted *s = ctx;
	(void)look(s, head, order, cookie, BLOCK_ISOLATED);
	s->calls[OP_PUTBACK]++;
	s->blocks[cookie].state = BLOCK_OWNED;
	if (s->inside)
		s->inside(s, OP_PUTBACK, cookie, head, head);
}

void scripted_start(struct scripted *s, struct rig *rig)
{
	static const struct pfa_owner_ops ops = { sizeof(ops), op_isolate, op_migrate, op_putback };
	memset(s, 0, sizeof(*s));
	s->rig = rig;
	EXPECT(pfa_owner_create, PFA_OK, rig->pfa, &ops, s, &s->owner);
	MUST(s->owner != 0);
}

void scripted_adopt(struct scripted *s, uint64_t cookie, pfa_pfn head, unsigned order)
{
	MUST(cookie < SCRIPTED_BLOCKS && s->blocks[cookie].state == BLOCK_NONE);
	s->blocks[cookie].at = head;
	s->blocks[cookie].order = order;
	s->blocks[cookie].state = BLOCK_OWNED;
	EXPECT(pfa_movable_set, PFA_OK, s->rig->pfa, head, s->owner, cookie);
}

uint64_t scripted_take(struct scripted *s, unsigned order)
{
	uint64_t cookie = 0;
	pfa_pfn head;
	EXPECT(pfa_alloc, PFA_OK, s->rig->pfa, order, PFA_MOVABLE, &head);
	while (s->blocks[cookie].state != BLOCK_NONE)
		cookie++;
	scripted_adopt(s, cookie, head, order);
	return cookie;
}

void scripted_free(struct scripted *s, uint64_t cookie)
{
	bool isolated = s->blocks[cookie].state == BLOCK_ISOLATED;
	s->blocks[cookie].state = isolated ? BLOCK_RELEASED : BLOCK_NONE;
	EXPECT(pfa_free, PFA_OK, s->rig->pfa, s->blocks[cookie].at, s->blocks[cookie].order);
}

void scripted_stop(struct scripted *s)
{
	for (uint64_t cookie = 0; cookie < SCRIPTED_BLOCKS; cookie++)
		if (s->blocks[cookie].state == BLOCK_OWNED || s->blocks[cookie].state == BLOCK_ISOLATED)
			scripted_free(s, cookie);
	EXPECT(pfa_owner_destroy, PFA_OK, s->rig->pfa, s->owner);
	s->destroyed = true;
}

struct pfa_movable_info scripted_info(const struct scripted *s, uint64_t cookie)
{
	struct pfa_movable_info info;
	EXPECT(pfa_movable_info, PFA_OK, s->rig->pfa, s->blocks[cookie].at, &info);
	return info;
}

int scripted_move(struct scripted *s, uint64_t cookie, enum pfa_migrate_mode mode, uint32_t flags)
{
	struct pfa_dest dest = { .size = sizeof(dest), .mode = mode, .flags = flags };
	pfa_pfn head = s->blocks[cookie].at;
	int result = PFA_ESTOP - 1;
	int all = pfa_migrate(s->rig->pfa, &head, 1, &dest, &result);
	rig_expect("pfa_migrate", result == PFA_OK ? PFA_OK : PFA_EAGAIN, all, __FILE__, __LINE__);
	return result;
}
