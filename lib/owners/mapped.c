/* SPDX-License-Identifier: MIT
 *
 * The mapped arena: addresses, pins, batches.
 */
#include "mapped_internal.h"

#include <sys/mman.h>
#include <unistd.h>

#define MAPPED_LIMIT 0x7FFFFFFFu
#define MAPPED_BULK 32u /* frames that are asked for, or moved, by one call */
#define MAPPED_ALIGN_MAX ((size_t)2 << 20) /* what the kernel has huge pages for */

/* ---- life ---- */

static bool mapped_config_fits(const struct pfa_mapped_config *cfg, size_t page)
{
	if (!cfg || !pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) || !cfg->pfa || !cfg->platform ||
	    cfg->platform->size < sizeof(struct pfa_platform) || cfg->fd < 0 || (unsigned)cfg->way > PFA_MAPPED_UFFD)
		return false;
	const uint32_t shift = cfg->frame_shift ? cfg->frame_shift : 12;
	if (shift > 30 || cfg->order > PFA_ORDER_LIMIT || cfg->nr_units == 0 || cfg->nr_units > MAPPED_LIMIT ||
	    ((size_t)1 << shift) % page != 0 || cfg->fd_offset % ((uint64_t)1 << shift) != 0)
		return false;
	const uint64_t unit = (uint64_t)1 << (shift + cfg->order);
	return unit <= SIZE_MAX / 2 / cfg->nr_units;
}

static void mapped_fill(struct pfa_mapped *a, const struct pfa_mapped_config *cfg)
{
	a->pfa = cfg->pfa;
	a->os = *cfg->platform;
	a->fd = cfg->fd;
	a->uffd = -1;
	a->fd_offset = cfg->fd_offset;
	a->pool_pfn = cfg->pool_pfn;
	a->frame_shift = cfg->frame_shift ? cfg->frame_shift : 12;
	a->order = cfg->order;
	a->nr_units = cfg->nr_units;
	a->unit_bytes = (size_t)1 << (a->frame_shift + a->order);
	a->window_limit = MAPPED_WINDOW;
	a->base = a->addresses.base;
}

/* Undoes what pfa_mapped_create() did, in any state that it may be in. */
static void mapped_drop(struct pfa_mapped *a)
{
	struct pfa_posix_region own = a->own;
	pfai_mapped_unwatch(a);
	if (a->uffd >= 0)
		(void)close(a->uffd);
	/* munmap() of whole mappings of ours does not fail, and there is nothing else to do. */
	int code = pfa_posix_unmap(&a->addresses);
	code = pfa_posix_unmap(&own);
	(void)code;
}

int pfa_mapped_create(const struct pfa_mapped_config *cfg, struct pfa_mapped **out)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct pfa_posix_region own, addresses;

	if (!mapped_config_fits(cfg, page) || !out)
		return PFA_EINVAL;
	int code = pfa_posix_map(&own, sizeof(struct pfa_mapped) + cfg->nr_units * sizeof(struct mapped_unit), 0,
	                         PFA_POSIX_ANON);
	if (code != PFA_OK)
		return code;
	const size_t unit = (size_t)1 << ((cfg->frame_shift ? cfg->frame_shift : 12) + cfg->order);
	code = pfa_posix_map(&addresses, unit * cfg->nr_units, unit < MAPPED_ALIGN_MAX ? unit : MAPPED_ALIGN_MAX,
	                     PFA_POSIX_RESERVE);
	struct pfa_mapped *a = own.base;
	a->own = own;
	a->addresses = addresses;
	mapped_fill(a, cfg);
	a->way = cfg->way;
	if (code == PFA_OK && cfg->way != PFA_MAPPED_SIGNAL)
		a->uffd = pfai_mapped_uffd_open(cfg->fd, page);
	if (code == PFA_OK && cfg->way == PFA_MAPPED_UFFD && a->uffd < 0)
		code = PFA_ENOTSUP;
	a->way = a->uffd >= 0 ? PFA_MAPPED_UFFD : PFA_MAPPED_SIGNAL;
	if (code == PFA_OK && a->way == PFA_MAPPED_SIGNAL)
		code = pfai_mapped_watch(a);
	if (code == PFA_OK)
		code = pfa_owner_create(a->pfa, &pfai_mapped_ops, a, &a->owner);
	if (code == PFA_OK)
		*out = a;
	else
		mapped_drop(a);
	return code;
}

int pfa_mapped_destroy(struct pfa_mapped *a)
{
	pfai_owner_lock(&a->os, &a->lock);
	const bool live = a->nr_live != 0;
	pfai_owner_unlock(&a->os, &a->lock);
	if (live)
		return PFA_EBUSY;
	int code = pfa_owner_destroy(a->pfa, a->owner);
	if (code == PFA_OK)
		mapped_drop(a);
	return code;
}

enum pfa_mapped_way pfa_mapped_way_of(const struct pfa_mapped *a)
{
	return a->way;
}

/* ---- addresses ---- */

/* The units that [ptr, ptr + bytes) overlaps; false: it is not in the arena. */
static bool mapped_range(const struct pfa_mapped *a, const void *ptr, size_t bytes, size_t *out_first, size_t *out_nr)
{
	const uintptr_t base = (uintptr_t)a->base, at = (uintptr_t)ptr;
	const size_t total = a->nr_units * a->unit_bytes;
	if (bytes == 0 || at < base || at - base >= total || bytes > total - (at - base))
		return false;
	*out_first = (at - base) / a->unit_bytes;
	*out_nr = (at - base + bytes - 1) / a->unit_bytes - *out_first + 1;
	return true;
}

static bool mapped_all_live_locked(const struct pfa_mapped *a, size_t first, size_t nr)
{
	for (size_t i = first; i < first + nr; i++)
		if (a->units[i].state != MAPPED_LIVE)
			return false;
	return true;
}

/* Finds nr free units in [from, end) and makes them busy. */
static bool mapped_reserve_locked(struct pfa_mapped *a, size_t nr, size_t from, size_t end, size_t *out)
{
	size_t run = 0;
	for (size_t i = from; i < end; i++) {
		run = a->units[i].state == MAPPED_FREE ? run + 1 : 0;
		if (run < nr)
			continue;
		*out = i + 1 - nr;
		for (size_t k = *out; k <= i; k++)
			a->units[k].state = MAPPED_BUSY;
		a->search_from = i + 1;
		return true;
	}
	return false;
}

static bool mapped_reserve(struct pfa_mapped *a, size_t nr, size_t *out)
{
	pfai_owner_lock(&a->os, &a->lock);
	bool found = mapped_reserve_locked(a, nr, a->search_from, a->nr_units, out) ||
	             mapped_reserve_locked(a, nr, 0, a->nr_units, out);
	if (found)
		a->nr_live += nr;
	pfai_owner_unlock(&a->os, &a->lock);
	return found;
}

/* Busy units become free, or live. */
static void mapped_mark(struct pfa_mapped *a, size_t first, size_t nr, enum mapped_state state)
{
	pfai_owner_lock(&a->os, &a->lock);
	for (size_t i = first; i < first + nr; i++)
		a->units[i].state = (uint8_t)state;
	if (state == MAPPED_FREE) {
		a->nr_live -= nr;
		if (first < a->search_from)
			a->search_from = first;
	}
	pfai_owner_unlock(&a->os, &a->lock);
}

static bool mapped_unmap_locked(struct pfa_mapped *a, size_t first, size_t nr)
{
	if (mmap(mapped_address(a, first), nr * a->unit_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
	         -1, 0) == MAP_FAILED)
		return false;
	for (size_t i = first; i < first + nr; i++)
		a->units[i].protected = false;
	if (a->uffd >= 0)
		pfai_mapped_uffd_wake(a, first, nr);
	return true;
}

/* ---- alloc, free ---- */

/* Frees the frames of busy units, which are mapped nowhere any more. */
static int mapped_free_frames(struct pfa_mapped *a, size_t first, size_t nr)
{
	int code = PFA_OK;
	for (size_t i = first; i < first + nr; i++) {
		int freed = pfa_free(a->pfa, a->units[i].head, a->order);
		if (freed != PFA_OK)
			code = freed;
	}
	return code;
}

/* Ascending, so that neighbours are mapped together. nr is MAPPED_BULK at most. */
static void mapped_sort(pfa_pfn pfns[], size_t nr)
{
	for (size_t i = 1; i < nr; i++) {
		pfa_pfn pfn = pfns[i];
		size_t k = i;
		for (; k > 0 && pfns[k - 1] > pfn; k--)
			pfns[k] = pfns[k - 1];
		pfns[k] = pfn;
	}
}

/* Maps units to blocks, one call for each run; all or (some, and false). */
static bool mapped_map_all(struct pfa_mapped *a, size_t unit, const pfa_pfn pfns[], size_t nr)
{
	bool mapped = true;
	pfai_owner_lock(&a->os, &a->lock);
	for (size_t i = 0; i < nr; i++)
		a->units[unit + i].head = pfns[i];
	for (size_t i = 0, run; i < nr && mapped; i += run) {
		for (run = 1; i + run < nr && pfns[i + run] == pfns[i] + (run << a->order); run++)
			;
		mapped = pfai_mapped_map_locked(a, unit + i, run, pfns[i]);
	}
	pfai_owner_unlock(&a->os, &a->lock);
	return mapped;
}

/* Frames for nr <= MAPPED_BULK busy units; *out_done of them have frames afterwards, whatever is returned. */
static int mapped_populate(struct pfa_mapped *a, size_t unit, size_t nr, uint32_t flags, size_t *out_done)
{
	pfa_pfn pfns[MAPPED_BULK];
	int code = pfa_alloc_bulk(a->pfa, a->order, flags, nr, pfns, out_done);
	if (*out_done == 0)
		return code;
	mapped_sort(pfns, *out_done);
	if (!mapped_map_all(a, unit, pfns, *out_done))
		return PFA_ENOMEM;
	for (size_t i = 0; i < *out_done; i++) {
		/* Ops refuse, as long as the unit is busy. */
		int set = pfa_movable_set(a->pfa, pfns[i], a->owner, unit + i);
		if (set != PFA_OK)
			return set;
	}
	return code;
}

int pfa_mapped_alloc(struct pfa_mapped *a, size_t bytes, uint32_t flags, void **out)
{
	const size_t nr = bytes / a->unit_bytes + (bytes % a->unit_bytes != 0);
	size_t first, done = 0;
	int code = PFA_OK;

	if (nr == 0)
		return PFA_EINVAL;
	if (nr > a->nr_units || !mapped_reserve(a, nr, &first))
		return PFA_ENOMEM;
	while (done < nr && code == PFA_OK) {
		size_t got, want = nr - done < MAPPED_BULK ? nr - done : MAPPED_BULK;
		code = mapped_populate(a, first + done, want, flags, &got);
		done += got;
	}
	if (code == PFA_OK) {
		mapped_mark(a, first, nr, MAPPED_LIVE);
		*out = mapped_address(a, first);
		return PFA_OK;
	}
	pfai_owner_lock(&a->os, &a->lock);
	/* What cannot be unmapped is lost until the end: it shows frames that are somebody else's, so nobody gets it. */
	size_t lost = done == 0 || mapped_unmap_locked(a, first, done) ? 0 : done;
	a->nr_live -= lost;
	pfai_owner_unlock(&a->os, &a->lock);
	int freed = mapped_free_frames(a, first, done);
	mapped_mark(a, first + lost, nr - lost, MAPPED_FREE);
	return freed == PFA_OK ? code : freed;
}

int pfa_mapped_free(struct pfa_mapped *a, void *ptr, size_t bytes)
{
	size_t first, nr;
	if (!mapped_range(a, ptr, bytes, &first, &nr) || (unsigned char *)ptr != mapped_address(a, first))
		return PFA_EINVAL;
	int code = PFA_OK;
	pfai_owner_lock(&a->os, &a->lock);
	if (!mapped_all_live_locked(a, first, nr))
		code = PFA_EINVAL;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++)
		if (a->units[i].pins)
			code = PFA_EBUSY;
	if (code == PFA_OK && !mapped_unmap_locked(a, first, nr))
		code = PFA_ENOMEM;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++)
		a->units[i].state = MAPPED_BUSY;
	pfai_owner_unlock(&a->os, &a->lock);
	if (code != PFA_OK)
		return code;
	code = mapped_free_frames(a, first, nr);
	mapped_mark(a, first, nr, MAPPED_FREE);
	return code;
}

/* ---- pins ---- */

int pfa_mapped_pin(struct pfa_mapped *a, const void *ptr, size_t bytes)
{
	size_t first, nr;
	if (!mapped_range(a, ptr, bytes, &first, &nr))
		return PFA_EINVAL;
	pfai_owner_lock(&a->os, &a->lock);
	int code = mapped_all_live_locked(a, first, nr) ? PFA_OK : PFA_EINVAL;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++)
		if (a->units[i].pins == MAPPED_PINS)
			code = PFA_EAGAIN;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++) {
		a->units[i].pins++;
		pfai_mapped_lift_unit_locked(a, i);
	}
	pfai_owner_unlock(&a->os, &a->lock);
	return code;
}

int pfa_mapped_unpin(struct pfa_mapped *a, const void *ptr, size_t bytes)
{
	size_t first, nr;
	if (!mapped_range(a, ptr, bytes, &first, &nr))
		return PFA_EINVAL;
	pfai_owner_lock(&a->os, &a->lock);
	int code = mapped_all_live_locked(a, first, nr) ? PFA_OK : PFA_EINVAL;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++)
		if (a->units[i].pins == 0)
			code = PFA_EINVAL;
	for (size_t i = first; i < first + nr && code == PFA_OK; i++)
		a->units[i].pins--;
	pfai_owner_unlock(&a->os, &a->lock);
	return code;
}

int pfa_mapped_head(struct pfa_mapped *a, const void *ptr, pfa_pfn *out)
{
	size_t first, nr;
	if (!mapped_range(a, ptr, 1, &first, &nr))
		return PFA_EINVAL;
	pfai_owner_lock(&a->os, &a->lock);
	int code = a->units[first].state == MAPPED_LIVE ? PFA_OK : PFA_EINVAL;
	if (code == PFA_OK)
		*out = a->units[first].head;
	pfai_owner_unlock(&a->os, &a->lock);
	return code;
}

/* ---- batches ---- */

void pfa_mapped_batch_begin(struct pfa_mapped *a)
{
	pfai_owner_lock(&a->os, &a->lock);
	a->batches++;
	pfai_owner_unlock(&a->os, &a->lock);
}

void pfa_mapped_batch_end(struct pfa_mapped *a)
{
	pfai_owner_lock(&a->os, &a->lock);
	if (a->batches && --a->batches == 0)
		pfai_mapped_lift_locked(a);
	pfai_owner_unlock(&a->os, &a->lock);
}

int pfa_mapped_move(struct pfa_mapped *a, const void *ptr, size_t bytes, const struct pfa_dest *dest, size_t *out_moved)
{
	pfa_pfn heads[MAPPED_BULK];
	int results[MAPPED_BULK], code = PFA_OK;
	size_t first, nr, moved = 0, at = 0;

	if (out_moved)
		*out_moved = 0;
	if (!mapped_range(a, ptr, bytes, &first, &nr))
		return PFA_EINVAL;
	pfa_mapped_batch_begin(a);
	while (at < nr && (code == PFA_OK || code == PFA_EAGAIN)) {
		size_t some = nr - at < MAPPED_BULK ? nr - at : MAPPED_BULK;
		pfai_owner_lock(&a->os, &a->lock);
		bool live = mapped_all_live_locked(a, first + at, some);
		for (size_t i = 0; i < some; i++)
			heads[i] = a->units[first + at + i].head;
		pfai_owner_unlock(&a->os, &a->lock);
		int now = live ? pfa_migrate(a->pfa, heads, some, dest, results) : PFA_EINVAL;
		for (size_t i = 0; i < some && (now == PFA_OK || now == PFA_EAGAIN); i++)
			moved += results[i] == PFA_OK;
		if (now != PFA_OK)
			code = now;
		at += some;
	}
	pfa_mapped_batch_end(a);
	if (out_moved)
		*out_moved = moved;
	return code;
}

void pfa_mapped_stats_get(const struct pfa_mapped *a, struct pfa_mapped_stats *out)
{
	out->moves = (size_t)atomic_load_explicit(&a->nr_moves, memory_order_relaxed);
	out->protects = (size_t)atomic_load_explicit(&a->nr_protects, memory_order_relaxed);
	out->waits = (size_t)atomic_load_explicit(&a->nr_waits, memory_order_relaxed);
	out->refused = (size_t)atomic_load_explicit(&a->nr_refused, memory_order_relaxed);
}
