/* SPDX-License-Identifier: MIT */
#include "user.h"

#include <string.h>

/* Given back with the answer PFA_ECORRUPT: on offer again after a repair, or never. */
enum { LOST = 2 };

static void granted(struct user *u, pfa_pfn pfn, unsigned order)
{
	if (pfn >= 2 * USER_FRAMES || pfn + ((size_t)1 << order) > 2 * USER_FRAMES)
		u->escaped(u, "a frame outside was granted", pfn);
	for (size_t i = 0; i < (size_t)1 << order; i++)
		if (u->owned[pfn + i]++)
			u->escaped(u, "a frame was granted twice", pfn + i);
	u->blocks[u->nr_blocks].pfn = pfn;
	u->blocks[u->nr_blocks++].order = order;
}

/* What is refused as misuse or use after the end (PFA_ENOTSUP: after a fork) stays with the user for ever. */
static void give(struct user *u, unsigned i)
{
	const pfa_pfn pfn = u->blocks[i].pfn;
	const unsigned order = u->blocks[i].order;
	size_t nr;
	int err;
	switch (rng_below(&u->rng, 8)) {
	case 0:
		err = pfa_free_bulk(u->rig.pfa, order, 1, &pfn, &nr);
		break;
	case 1:
		err = pfa_free_range(u->rig.pfa, pfn, (size_t)1 << order);
		break;
	default:
		err = pfa_free(u->rig.pfa, pfn, order);
	}
	if (err == PFA_OK || err == PFA_ECORRUPT)
		memset(u->owned + pfn, err ? LOST : 0, (size_t)1 << order);
	else if (err != PFA_EMISUSE && err != PFA_ENOTSUP)
		u->escaped(u, pfa_error_name(err), pfn);
	u->blocks[i] = u->blocks[--u->nr_blocks];
}

static void take(struct user *u)
{
	static const uint32_t types[] = {PFA_MOVABLE, PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH};
	const unsigned order = (unsigned)(rng_below(&u->rng, 8) * rng_below(&u->rng, 8) / 7);
	uint32_t flags = types[rng_below(&u->rng, 4)];
	pfa_pfn pfn, some[4];
	size_t nr = 0;
	if (u->nr_blocks + 8 > USER_BLOCKS)
		return;
	switch (rng_below(&u->rng, 8)) {
	case 0:
		(void)!pfa_alloc_bulk(u->rig.pfa, order / 2, flags, 4, some, &nr);
		for (size_t i = 0; i < nr; i++)
			granted(u, some[i], order / 2);
		break;
	case 1:
		if (pfa_alloc_window(u->rig.pfa, order, flags, (struct pfa_run){100, 700}, &pfn) == PFA_OK)
			granted(u, pfn, order);
		break;
	case 2:
		if (pfa_alloc_exact(u->rig.pfa, 5, 0, flags, &pfn) == PFA_OK)
			for (unsigned i = 0; i < 5; i++)
				granted(u, pfn + i, 0);
		break;
	default:
		if (u->rich)
			flags |= rng_one_in(&u->rng, 4) ? PFA_ZERO : rng_one_in(&u->rng, 4) && u->rig.cfg.hardening == 3 ? PFA_GUARD : 0;
		if (pfa_alloc(u->rig.pfa, order, flags, &pfn) == PFA_OK)
			granted(u, pfn, order);
	}
}

void user_step(struct user *u)
{
	struct pfa_frame_info info;
	unsigned largest;
	uint64_t next;
	u->rig.cpu = (uint32_t)rng_below(&u->rng, 2);
	switch (rng_below(&u->rng, 24)) {
	case 0:
		(void)!pfa_cache_drain(u->rig.pfa, rng_one_in(&u->rng, 2) ? PFA_ALL_CPUS : u->rig.cpu);
		break;
	case 1:
		(void)!pfa_cache_purge(u->rig.pfa, rng_below(&u->rng, 2 * USER_FRAMES));
		break;
	case 2:
		if (pfa_cache_disable(u->rig.pfa) == PFA_OK)
			(void)!pfa_cache_enable(u->rig.pfa);
		break;
	case 3:
		u->rig.now_ns += PFA_SERVICE_IDLE_NS;
		(void)!pfa_service(u->rig.pfa, 4, &next);
		(void)!pfa_largest_free(u->rig.pfa, PFA_MOVABLE, &largest);
		(void)!pfa_frame_info(u->rig.pfa, rng_below(&u->rng, 2 * USER_FRAMES), &info);
		break;
	case 4:
		if (u->nr_blocks && u->nr_blocks + 8 < USER_BLOCKS && u->blocks[0].order >= 1) {
			const unsigned order = u->blocks[0].order;
			if (pfa_split(u->rig.pfa, u->blocks[0].pfn, order, order - 1) != PFA_OK)
				break;
			u->blocks[0].order--;
			u->blocks[u->nr_blocks].pfn = u->blocks[0].pfn + ((pfa_pfn)1 << (order - 1));
			u->blocks[u->nr_blocks++].order = order - 1;
		}
		break;
	default:
		if (u->nr_blocks && rng_one_in(&u->rng, 2))
			give(u, (unsigned)rng_below(&u->rng, u->nr_blocks));
		else
			take(u);
	}
}

static void zero_nothing(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	(void)ctx, (void)first, (void)nr_frames, (void)ptr;
}

void user_start(struct user *u, uint32_t level, uint64_t seed)
{
	static struct pfa_run hole = {300, 9}, cma = {384, 64};
	memset(u->owned, 0, sizeof(u->owned));
	u->nr_blocks = 0;
	u->rng.state = seed;
	rig_init(&u->rig);
	struct pfa_zone_config *z = rig_zone(&u->rig, 0, USER_FRAMES);
	z->holes = &hole;
	z->nr_holes = 1;
	z->cma = &cma;
	z->nr_cma = 1;
	z->highatomic_frames = 64;
	rig_zone(&u->rig, USER_FRAMES, USER_FRAMES - 3);
	u->rig.cfg.hardening = level;
	u->rig.cfg.nr_cpus = 2;
	u->rig.cfg.cache_high = 6;
	u->rig.cfg.cache_max_order = 4;
	if (u->rich) {
		u->rig.cfg.flags = PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_GENERATIONS;
		u->rig.cfg.history = 2;
		u->rig.cfg.quarantine = level == 3 ? 8 : 0;
		u->rig.os.zero = zero_nothing;
	}
	rig_start(&u->rig);
	for (unsigned i = 0; i < USER_STEPS / 2; i++)
		user_step(u);
}

void user_repaired(struct user *u)
{
	for (size_t i = 0; i < sizeof(u->owned); i++)
		if (u->owned[i] == LOST)
			u->owned[i] = 0;
}
