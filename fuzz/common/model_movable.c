/* SPDX-License-Identifier: MIT
 *
 * model_movable.c - see model_movable.h.
 */
#include "model_movable.h"

#include <string.h>

void model_movables_init(struct model_movables *mm, unsigned max_owners)
{
	memset(mm, 0, sizeof(*mm));
	mm->max_owners = max_owners;
}

unsigned model_movable_at(const struct model_movables *mm, pfa_pfn pfn)
{
	for (unsigned i = 0; i < MODEL_MOVABLES && mm->nr; i++)
		if (mm->block[i].used && mm->block[i].pfn == pfn)
			return i;
	return MODEL_NO_BLOCK;
}

unsigned model_movable_nth(const struct model_movables *mm, uint64_t n)
{
	unsigned slot = 0;

	for (n %= mm->nr;; slot++)
		if (mm->block[slot].used && n-- == 0)
			return slot;
}

/* ---- what movable blocks refuse, and others do not (model.h) ------------------------------------------------------------ */

struct expectation model_expect_split(const struct model *m, pfa_pfn pfn, unsigned order, unsigned new_order)
{
	struct expectation e = model_expect_free(m, pfn, order);
	size_t index;

	if (e.code == PFA_OK && model_zone_of(m, pfn, &index) < m->nr_zones && m->mobile[index])
		e = (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_MOVABLE };
	if (new_order > order)
		e = (struct expectation){ PFA_EINVAL, 0 };
	return e;
}

struct expectation model_expect_range(const struct model *m, pfa_pfn first, size_t nr_frames)
{
	struct expectation mixed = { PFA_EMISUSE, 1u << PFA_FAULT_MIXED_RANGE };
	bool mobile = false;

	if (nr_frames == 0 || first > SIZE_MAX - nr_frames)
		return (struct expectation){ PFA_EINVAL, 0 };
	for (size_t i = 0; i < nr_frames;) {
		size_t index;
		const unsigned zone = model_zone_of(m, first + i, &index);
		if (zone == m->nr_zones || m->state[index] != MODEL_HEAD)
			return mixed;
		if (m->mobile[index])
			mixed.kinds |= 1u << PFA_FAULT_MOVABLE;
		mobile |= m->mobile[index];
		i += (size_t)1 << m->order[index];
		if (i > nr_frames)
			return mixed;
	}
	if (mobile)
		return (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_MOVABLE };
	return (struct expectation){ PFA_OK, 0 };
}

/* ---- what must come back ------------------------------------------------------------------------------------------- */

int model_expect_lock(const struct model_movables *mm, unsigned slot, unsigned self)
{
	if (slot == MODEL_NO_BLOCK || mm->block[slot].released)
		return PFA_EINVAL;
	if (mm->block[slot].holder == self)
		return PFA_EDEADLK;
	return mm->block[slot].holder ? PFA_EBUSY : PFA_OK;
}

int model_expect_pin(const struct model_movables *mm, unsigned slot, unsigned self, bool inside)
{
	const int lock = model_expect_lock(mm, slot, self);

	if (lock != PFA_OK && (inside || lock != PFA_EDEADLK)) /* the holder may pin, but not an op its own block */
		return lock;
	return mm->block[slot].pins == MODEL_PINS_MAX ? PFA_EAGAIN : PFA_OK;
}

struct expectation model_expect_unpin(const struct model_movables *mm, unsigned slot)
{
	if (slot == MODEL_NO_BLOCK || !mm->block[slot].pins)
		return (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_NOT_PINNED };
	return (struct expectation){ PFA_OK, 0 };
}

struct expectation model_expect_unlock(const struct model_movables *mm, unsigned slot, unsigned self)
{
	if (slot == MODEL_NO_BLOCK || mm->block[slot].holder != self)
		return (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_PAGE_LOCK };
	return (struct expectation){ PFA_OK, 0 };
}

int model_expect_clear(const struct model_movables *mm, unsigned slot, unsigned self)
{
	const int lock = model_expect_lock(mm, slot, self);

	if (lock != PFA_OK)
		return lock;
	return mm->block[slot].pins || mm->block[slot].isolated ? PFA_EBUSY : PFA_OK;
}

struct expectation model_expect_release(const struct model_movables *mm, unsigned slot, unsigned self, bool inside)
{
	const struct model_movable *b = &mm->block[slot];

	if (b->released)
		return (struct expectation){ PFA_EMISUSE, 1u << PFA_FAULT_RELEASED };
	return (struct expectation){ b->holder && b->holder != self && !inside ? PFA_EBUSY : PFA_OK, 0 };
}

int model_expect_destroy(const struct model_movables *mm, unsigned owner)
{
	for (unsigned i = 0; i < MODEL_MOVABLES; i++) {
		const struct model_movable *b = &mm->block[i];
		/* not yet released: EBUSY; released while a lock is held: it would wait for that; pinned alone: needs no owner */
		if (b->used && b->owner == owner && (!b->released || b->holder))
			return PFA_EBUSY;
	}
	return mm->registered[owner] ? PFA_OK : PFA_EINVAL;
}

/* ---- what follows -------------------------------------------------------------------------------------------------- */

static unsigned movable_zone(const struct model *m, pfa_pfn pfn, size_t *index)
{
	return model_zone_of(m, pfn, index);
}

static void movable_mark(struct model_movables *mm, struct model *m, unsigned slot, bool mobile)
{
	const struct model_movable *b = &mm->block[slot];
	size_t index;
	const unsigned zone = movable_zone(m, b->pfn, &index);

	m->mobile[index] = mobile;
	mm->frames[zone] += mobile ? (size_t)1 << b->order : 0 - ((size_t)1 << b->order);
}

unsigned model_movable_make(struct model_movables *mm, struct model *m, pfa_pfn pfn, unsigned order, unsigned owner,
                            unsigned handle)
{
	unsigned slot = 0;

	while (slot < MODEL_MOVABLES && mm->block[slot].used)
		slot++;
	if (slot == MODEL_MOVABLES)
		return MODEL_NO_BLOCK;
	mm->block[slot] = (struct model_movable){ .used = true, .pfn = pfn, .order = order, .owner = owner, .handle = handle,
		                                  .cookie = (++mm->cookies << 32) + (uint64_t)pfn * 3 };
	mm->nr++;
	movable_mark(mm, m, slot, true);
	return slot;
}

void model_movable_unmake(struct model_movables *mm, struct model *m, unsigned slot)
{
	movable_mark(mm, m, slot, false);
	mm->block[slot].used = false;
	mm->nr--;
}

bool model_movable_drop(struct model_movables *mm, struct model *m, unsigned slot)
{
	const struct model_movable *b = &mm->block[slot];

	if (!b->released || b->pins || b->holder || b->isolated)
		return false;
	model_movable_unmake(mm, m, slot);
	model_release(m, b->pfn, b->order);
	return true;
}

bool model_movable_free(struct model_movables *mm, struct model *m, unsigned slot)
{
	struct model_movable *b = &mm->block[slot];
	size_t index;

	b->released = true;
	if (b->pins || b->holder || b->isolated)
		mm->moves[movable_zone(m, b->pfn, &index)].released++;
	return model_movable_drop(mm, m, slot);
}

void model_movable_moved(struct model_movables *mm, struct model *m, unsigned slot, pfa_pfn to)
{
	struct model_movable *b = &mm->block[slot];
	size_t index;

	mm->moves[movable_zone(m, b->pfn, &index)].migrated++;
	movable_mark(mm, m, slot, false);
	model_release_past(m, b->pfn, b->order);
	b->pfn = to;
	movable_mark(mm, m, slot, true);
}

/* ---- views --------------------------------------------------------------------------------------------------------- */

struct pfa_movable_info model_movable_info(const struct model_movables *mm, unsigned slot)
{
	const struct model_movable *b = &mm->block[slot];

	return (struct pfa_movable_info){ .pins = b->pins, .locked = b->holder != 0, .isolated = b->isolated,
		                          .released = b->released };
}

bool model_judge_movable_sums(const struct model_movables *mm, const struct model *m, unsigned zone,
                              const struct pfa_zone_stats *s, struct verdict *v)
{
	const struct model_moves *moves = &mm->moves[zone];
	const struct {
		const char *monitor, *what;
		size_t expected, actual;
	} sums[] = {
		{ "I6 movable", "frames in movable blocks", mm->frames[zone], s->movable },
		{ "I6 isolated", "frames in isolated blocks, while nobody moves any", 0, s->isolated },
		{ "I6 moves", "blocks counted as migrated", moves->migrated, s->nr_migrated },
		{ "I6 moves", "blocks counted as put back", moves->putback, s->nr_putback },
		{ "I6 moves", "blocks counted as released while somebody held them", moves->released, s->nr_released },
		{ "I6 moves", "answers counted as \"again\"", moves->again, s->nr_again },
	};

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		if (sums[i].expected == sums[i].actual)
			continue;
		*v = (struct verdict){ sums[i].monitor, sums[i].what, zone, m->zone[zone].start, sums[i].expected, sums[i].actual };
		return false;
	}
	return true;
}
