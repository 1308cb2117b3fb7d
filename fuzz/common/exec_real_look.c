/* SPDX-License-Identifier: MIT
 *
 * exec_real_look.c - the oracles of fuzz_owners: whose each frame is, and what everything contains.
 */
#include "exec_real.h"

#include <stdio.h>
#include <string.h>

/* ---- the program's own blocks: both ends carry a stamp ---------------------------------------------------------------- */

bool real_core_stamp(struct real_run *r, struct real_core *c, bool verify)
{
	const size_t bytes = (size_t)1 << (r->run->setup.cfg.frame_shift + c->order);
	unsigned char stamp[16];
	void *at;

	if (!r->addresses)
		return true;
	if (pfa_ptr(r->pfa, c->pfn, &at) != PFA_OK)
		return real_fail(r, "owners code", "a frame of the pool has no address", c->pfn, 0, 1);
	for (unsigned i = 0; i < sizeof(stamp); i++)
		stamp[i] = (unsigned char)(c->stamp >> (i % 4 * 8)) ^ (unsigned char)i;
	for (unsigned end = 0; end < 2; end++) {
		unsigned char *where = (unsigned char *)at + (end ? bytes - sizeof(stamp) : 0);
		if (!verify)
			memcpy(where, stamp, sizeof(stamp));
		else if (memcmp(where, stamp, sizeof(stamp)) != 0)
			return real_fail(r, "owners stamp", "the program's own block was written to by somebody else", c->pfn, c->stamp, end);
	}
	return true;
}

/* ---- whose ------------------------------------------------------------------------------------------------------------ */

static bool is_movable(struct real_run *r, pfa_pfn pfn, struct pfa_movable_info *info)
{
	return pfa_movable_info(r->pfa, pfn, info) == PFA_OK;
}

size_t real_movables(struct real_run *r, pfa_pfn heads[REAL_FRAMES])
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	struct pfa_movable_info info;
	size_t nr = 0;
	pfa_pfn from = 0; /* zones are in order of preference, the list by pfn */
	for (unsigned n = 0; n < cfg->nr_zones; n++) {
		const struct pfa_zone_config *z = NULL;
		for (unsigned i = 0; i < cfg->nr_zones; i++)
			if (cfg->zones[i].start >= from && (!z || cfg->zones[i].start < z->start))
				z = &cfg->zones[i];
		for (pfa_pfn pfn = z->start; pfn < z->start + z->nr_frames; pfn++)
			if (is_movable(r, pfn, &info))
				heads[nr++] = pfn;
		from = z->start + z->nr_frames;
	}
	return nr;
}

/* Arenas say themselves where their units are; nobody else may be there. */
static bool claim_units(struct real_run *r, unsigned char claimed[REAL_FRAMES])
{
	for (unsigned i = 0; i < REAL_EACH; i++) {
		struct real_mapped *a = &r->mapped[i];
		for (size_t k = 0; k < a->nr; k++) {
			pfa_pfn head;
			if (pfa_mapped_head(a->it, a->units[k].at, &head) != PFA_OK)
				return real_fail(r, "owners frames", "a unit of an arena has no frames", 0, k, 0);
			for (size_t f = 0; f < (size_t)1 << a->cfg.order; f++) {
				const size_t at = real_index(r, head + f);
				if (at == SIZE_MAX || claimed[at])
					return real_fail(r, "owners frames", "a unit of an arena lies in frames that are not its own", head + f,
					                 REAL_NOBODY, at == SIZE_MAX ? SIZE_MAX : claimed[at]);
				claimed[at] = (unsigned char)(REAL_MAPPED + i);
			}
		}
	}
	return true;
}

/* One frame that the library says is allocated, or not. */
static bool judge_frame(struct real_run *r, pfa_pfn pfn, unsigned holder, size_t *stored)
{
	struct pfa_frame_info f;
	struct pfa_movable_info info;
	if (pfa_frame_info(r->pfa, pfn, &f) != PFA_OK)
		return real_fail(r, "owners frames", "a frame cannot be asked about", pfn, 0, 1);
	const bool head = f.state == PFA_FRAME_HEAD, used = head || f.state == PFA_FRAME_TAIL;
	if (holder && !used)
		return real_fail(r, "owners frames", "a frame that has an owner is not allocated (owner, state)", pfn, holder, f.state);
	if (!head)
		return true;
	const bool movable = is_movable(r, pfn, &info);
	if (movable != (holder != REAL_CORE && holder != REAL_EXTRA))
		return real_fail(r, "owners frames", "an allocated block is nobody's, or the program's block is movable (owner, movable)", pfn,
		                 holder, movable);
	if (movable && (info.pins || info.locked || info.isolated || info.released))
		return real_fail(r, "owners frames", "a movable block is pinned, locked, isolated or released between two steps", pfn, 0, 1);
	if (!holder)
		*stored += (size_t)1 << f.order;
	return true;
}

static bool look_at_frames(struct real_run *r)
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	unsigned char claimed[REAL_FRAMES];
	size_t stored = 0, expected = 0, base = 0;

	memcpy(claimed, r->holder, sizeof(claimed));
	if (!claim_units(r, claimed))
		return false;
	for (unsigned i = 0; i < cfg->nr_zones; base += cfg->zones[i++].nr_frames)
		for (size_t k = 0; k < cfg->zones[i].nr_frames; k++)
			if (!judge_frame(r, cfg->zones[i].start + k, claimed[base + k], &stored))
				return false;
	for (unsigned i = 0; i < REAL_EACH; i++)
		expected += real_zstore_frames(&r->zstore[i]);
	if (stored != expected)
		return real_fail(r, "owners frames", "movable blocks that no other owner has are not as many frames as the stores have", 0,
		                 expected, stored);
	for (size_t i = 0; i < r->nr_core; i++)
		if (!real_core_stamp(r, &r->core[i], true))
			return false;
	return true;
}

/* ---- sums ------------------------------------------------------------------------------------------------------------- */

static bool look_at_sums(struct real_run *r)
{
	struct pfa_zone_stats now;
	size_t allocated = 0, movable = 0, cores = r->core_frames + r->nr_extra, owned = 0;
	for (unsigned zone = 0; zone < r->run->setup.cfg.nr_zones; zone++) {
		if (pfa_zone_stats_get(r->pfa, zone, &now, sizeof(now)) != PFA_OK)
			return real_fail(r, "owners code", "a zone's sums cannot be had", 0, 0, zone);
		allocated += now.allocated;
		movable += now.movable;
		if (now.isolated || now.held_move)
			return real_fail(r, "owners sums", "something stays isolated, or held for a move, between two steps", 0, 0, now.isolated);
	}
	for (unsigned i = 0; i < REAL_EACH; i++) {
		const struct real_balloon *b = &r->balloon[i];
		if (b->it && pfa_balloon_frames(b->it) != b->frames)
			return real_fail(r, "owners device", "frames in the balloon are not those that its device was told of", 0, b->frames,
			                 pfa_balloon_frames(b->it));
		owned += b->frames + real_zstore_frames(&r->zstore[i]) + (r->mapped[i].nr << r->mapped[i].cfg.order);
	}
	if (allocated != cores + owned)
		return real_fail(r, "owners sums", "frames that are allocated are not those that the owners and the program have", 0,
		                 cores + owned, allocated);
	if (movable != owned)
		return real_fail(r, "owners sums", "movable frames are not those of the owners", 0, owned, movable);
	return true;
}

bool real_look(struct real_run *r, bool all)
{
	struct pfa_violation v;

	if (r->failed || !look_at_sums(r))
		return false;
	for (unsigned i = 0; i < REAL_EACH; i++)
		if ((r->zstore[i].it && !real_zstore_look(r, &r->zstore[i], all)) ||
		    (r->mapped[i].it && !real_mapped_look(r, &r->mapped[i], all)))
			return false;
	if (r->run->o->tells && !real_told_look(r, all))
		return false;
	if (all && !look_at_frames(r))
		return false;
	if (real_calls.check(r->pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &v) != PFA_OK)
		return real_fail(r, "owners check", v.what, v.pfn, v.expected, v.actual);
	return true;
}

/* ---- the picture ------------------------------------------------------------------------------------------------------ */

/* 64 frames a line. A store does not say where its blocks are: s is movable, and nobody else's. */
size_t real_map(char *text, size_t capacity)
{
	static const char letters[] = "spxbBmM";
	struct real_run *r = &real_one;
	const struct pfa_config *cfg = &exec_one.setup.cfg;
	unsigned char claimed[REAL_FRAMES];
	size_t nr = 0, base = 0;

	if (!r->run || !r->pfa || capacity < 80)
		return 0;
	memcpy(claimed, r->holder, sizeof(claimed));
	(void)claim_units(r, claimed);
	nr += (size_t)snprintf(text, capacity, "  (. free, p the program's, b B balloons', m M arenas', s stores', x callbacks')\n");
	for (unsigned i = 0; i < cfg->nr_zones; base += cfg->zones[i++].nr_frames)
		for (size_t k = 0; k < cfg->zones[i].nr_frames && nr + 16 < capacity; k++) {
			struct pfa_frame_info f;
			const bool used = pfa_frame_info(r->pfa, cfg->zones[i].start + k, &f) == PFA_OK &&
			                  (f.state == PFA_FRAME_HEAD || f.state == PFA_FRAME_TAIL);
			if (k % 64 == 0)
				nr += (size_t)snprintf(text + nr, capacity - nr, "%s%10zu ", k ? "\n" : "", (size_t)cfg->zones[i].start + k);
			text[nr++] = used ? letters[claimed[base + k]] : claimed[base + k] ? '!' : f.state == PFA_FRAME_ABSENT ? ' ' : '.';
			if (k + 1 == cfg->zones[i].nr_frames)
				text[nr++] = '\n';
		}
	text[nr < capacity ? nr : capacity - 1] = 0;
	return nr;
}
