/* SPDX-License-Identifier: MIT
 *
 * sut_canary_movable.c - the canaries of movable blocks, moves and compaction.
 */
#include "sut_canary_parts.h"

#include <string.h>

#define CANARY_OWNERS 8u

/* The owners' ops, with the allocator's mistakes in between. */
static struct canary_owner {
	struct pfa_owner_ops ops;
	void *ctx;
} canary_owners[CANARY_OWNERS];
static unsigned canary_nr_owners;
static bool canary_migrates; /* pfa_migrate() runs: it is not compaction that moves */

static int canary_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	const struct canary_owner *o = ctx;
	if (canary_asks_no_more(false))
		return PFA_EBUSY;
	const int said = o->ops.isolate(o->ctx, head, order, cookie + (canary_which == SUT_CANARY_OP_COOKIE), mode);
	(void)canary_asks_no_more(said != PFA_OK);
	return said;
}

static int canary_migrate_op(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	const struct canary_owner *o = ctx;
	void *ptr;
	pfa_pfn low;
	if (canary_which == SUT_CANARY_COMPACTS_DOWN && !canary_migrates && sut_pfa.alloc(canary_sut, order, PFA_MOVABLE, &low) == PFA_OK) {
		if (low < src)
			dst = low;
		else if (sut_pfa.free(canary_sut, low, order) != PFA_OK)
			return PFA_EBUSY;
	}
	int said = o->ops.migrate(o->ctx, dst, src, order, cookie, mode);
	for (unsigned i = 0; i < 64 && said == PFA_EAGAIN && canary_which == SUT_CANARY_AGAIN_FOR_EVER; i++)
		said = o->ops.migrate(o->ctx, dst, src, order, cookie, mode);
	if (said == PFA_OK && canary_which == SUT_CANARY_LOSES_MOVED && canary_cfg.pool && sut_pfa.ptr(canary_sut, dst, &ptr) == PFA_OK)
		memset(ptr, 0x55, 8);
	return said;
}

static void canary_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	const struct canary_owner *o = ctx;
	for (unsigned i = 0; i < (canary_which == SUT_CANARY_PUTBACK_NEVER ? 0u : canary_which == SUT_CANARY_PUTBACK_TWICE ? 2u : 1u); i++)
		o->ops.putback(o->ctx, head, order, cookie);
}

static int canary_owner_create(struct sut *s, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out)
{
	const struct pfa_owner_ops mine = { .size = sizeof(mine), .isolate = canary_isolate, .migrate = canary_migrate_op,
		                            .putback = canary_putback };
	struct canary_owner *o = &canary_owners[canary_nr_owners];

	if (ops->size != sizeof(*ops) || !ops->isolate || !ops->migrate || !ops->putback || canary_nr_owners == CANARY_OWNERS - 1)
		return sut_pfa.owner_create(s, ops, ctx, out);
	*o = (struct canary_owner){ *ops, ctx };
	const int code = sut_pfa.owner_create(s, &mine, o, out);
	canary_nr_owners += code == PFA_OK;
	return code;
}

static int canary_movable_info(struct sut *s, pfa_pfn head, struct pfa_movable_info *out)
{
	const int code = sut_pfa.movable_info(s, head, out);
	if (code == PFA_OK && canary_which == SUT_CANARY_OP_UNLOCKED)
		out->locked = false;
	if (code == PFA_OK && canary_which == SUT_CANARY_MOVABLE_VIEW)
		out->pins++;
	return code;
}

static int canary_pin(struct sut *s, pfa_pfn head)
{
	const int code = sut_pfa.pin(s, head);
	return code == PFA_EDEADLK && canary_which == SUT_CANARY_PINS_INSIDE ? PFA_OK : code;
}

static void canary_keeps(void *ctx, pfa_pfn dst, unsigned order)
{
	(void)ctx;
	(void)dst;
	(void)order;
}

static int canary_migrate(struct sut *s, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int out_results[])
{
	struct pfa_dest mine = { .size = 0 };

	if (canary_which == SUT_CANARY_KEEPS_DESTINATION && dest->size == sizeof(*dest) && dest->give) {
		mine = *dest;
		mine.give = canary_keeps;
		dest = &mine;
	}
	canary_migrates = true;
	if (canary_which == SUT_CANARY_LIST_SHORT && nr > 1)
		out_results[--nr] = PFA_EBUSY;
	const int code = sut_pfa.migrate(s, heads, nr, dest, out_results);
	canary_migrates = false;
	for (size_t i = 0; i < nr && canary_which == SUT_CANARY_SAYS_MOVED && code == PFA_EAGAIN; i++)
		out_results[i] = out_results[i] == PFA_EBUSY ? PFA_OK : out_results[i];
	return canary_which == SUT_CANARY_SAYS_MOVED && code == PFA_EAGAIN && nr == 1 ? out_results[0] == PFA_OK ? PFA_OK : code : code;
}

/* ---- compaction ---------------------------------------------------------------------------------------------------- */

#define CANARY_TOP 64u

/* Compacts once while the frames at the top are taken, and then again, so that blocks move twice. */
static int canary_compact_twice(struct sut *s, uint32_t zone, unsigned order, enum pfa_migrate_mode mode)
{
	const struct pfa_zone_config *z = &canary_cfg.zones[zone];
	pfa_pfn taken[CANARY_TOP];
	unsigned nr = 0;

	for (pfa_pfn pfn = z->start + z->nr_frames; nr < CANARY_TOP && pfn > z->start + z->nr_frames / 2; pfn--)
		if (sut_pfa.alloc_window(s, 0, PFA_MOVABLE | PFA_NOWAIT, (struct pfa_run){ pfn - 1, 1 }, &taken[nr]) == PFA_OK)
			nr++;
	const int code = sut_pfa.compact(s, zone, order, mode, NULL);
	while (nr)
		if (sut_pfa.free(s, taken[--nr], 0) != PFA_OK)
			return PFA_ECORRUPT;
	if (sut_pfa.cache_drain(s, PFA_ALL_CPUS) != PFA_OK)
		return PFA_ECORRUPT;
	return code;
}

static void canary_compact_lies(struct pfa_compact_stats *out, enum pfa_migrate_mode mode)
{
	switch (canary_which) {
	case SUT_CANARY_COMPACT_MOVED: out->moved += out->moved != 0; break;
	case SUT_CANARY_COMPACT_FAILED: out->failed = 0; break;
	case SUT_CANARY_COMPACT_SCANNED: out->scanned -= mode == PFA_MIGRATE_SYNC && out->scanned > out->moved + out->failed; break;
	case SUT_CANARY_COMPACT_STEPS: out->steps *= 100; break;
	case SUT_CANARY_COMPACT_BEFORE: out->index_before++; break;
	case SUT_CANARY_COMPACT_AFTER: out->index_after++; break;
	case SUT_CANARY_COMPACT_MET: out->met++; break;
	default: return;
	}
}

static int canary_compact(struct sut *s, uint32_t zone, unsigned order, enum pfa_migrate_mode mode, struct pfa_compact_stats *out)
{
	if (canary_which == SUT_CANARY_COMPACTS_TWICE && zone < canary_cfg.nr_zones && canary_compact_twice(s, zone, order, mode) != PFA_OK)
		return PFA_ENOMEM;
	if (canary_which == SUT_CANARY_COMPACTS_NOT && zone < canary_cfg.nr_zones && order == PFA_COMPACT_ALL && mode == PFA_MIGRATE_SYNC && !out)
		return PFA_OK;
	const int code = sut_pfa.compact(s, zone, order, mode, out);
	if (out && (code == PFA_OK || code == PFA_ENOMEM))
		canary_compact_lies(out, mode);
	return canary_which == SUT_CANARY_OFFERS && code == PFA_ENOMEM ? PFA_OK : code;
}

/* ---- begin --------------------------------------------------------------------------------------------------------- */

void canary_movable_begin(void)
{
	canary_nr_owners = 0;
}

void canary_movable_ops(struct sut_ops *ops)
{
	ops->owner_create = canary_owner_create;
	ops->movable_info = canary_movable_info;
	ops->pin = canary_pin;
	ops->migrate = canary_migrate;
	ops->compact = canary_compact;
}
