/* SPDX-License-Identifier: MIT
 *
 * The mapped arena's ops: protect, copy, map.
 */
#include "mapped_internal.h"

#include <pfa/copy.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* ThreadSanitizer takes mmap() for a write to all of it, and races with every thread that uses the memory meanwhile; but what
 * it contains does not change. */
#if defined(__SANITIZE_THREAD__)
#define MAPPED_RAW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAPPED_RAW 1
#endif
#endif

static bool mapped_put(const struct pfa_mapped *a, void *at, size_t bytes, uint64_t offset)
{
#ifdef MAPPED_RAW
	return syscall(SYS_mmap, at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, a->fd,
	               (off_t)offset) != -1;
#else
	return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, a->fd, (off_t)offset) != MAP_FAILED;
#endif
}

bool pfai_mapped_map_locked(struct pfa_mapped *a, size_t unit, size_t nr, pfa_pfn head)
{
	const uint64_t offset = a->fd_offset + ((uint64_t)(head - a->pool_pfn) << a->frame_shift);
	if (!mapped_put(a, mapped_address(a, unit), nr * a->unit_bytes, offset))
		return false;
	return a->uffd < 0 || pfai_mapped_uffd_register(a, unit, nr);
}

/* ---- the window: units that are read-only ---- */

static bool mapped_set_writable(struct pfa_mapped *a, size_t unit, size_t nr)
{
	if (a->uffd >= 0)
		return pfai_mapped_uffd_protect(a, unit, nr, false);
	return mprotect(mapped_address(a, unit), nr * a->unit_bytes, PROT_READ | PROT_WRITE) == 0;
}

static bool mapped_set_read_only(struct pfa_mapped *a, size_t unit, size_t nr)
{
	/* Counted before: a fault that it causes must find another count than the one before it. */
	mapped_count(&a->epoch);
	mapped_count(&a->nr_protects);
	if (a->uffd >= 0)
		return pfai_mapped_uffd_protect(a, unit, nr, true);
	return mprotect(mapped_address(a, unit), nr * a->unit_bytes, PROT_READ) == 0;
}

void pfai_mapped_lift_unit_locked(struct pfa_mapped *a, size_t unit)
{
	struct mapped_unit *u = &a->units[unit];
	if (!u->protected)
		return;
	/* If the kernel has no room for the change, a mapping of its own may need less; if that fails, too, the next writer tries
	 * again, in its handler. */
	if (mapped_set_writable(a, unit, 1) || pfai_mapped_map_locked(a, unit, 1, u->head))
		u->protected = false;
}

void pfai_mapped_lift_locked(struct pfa_mapped *a)
{
	size_t unit = a->window, left = SIZE_MAX;
	while (unit < a->window_end) {
		size_t end = unit;
		while (end < a->window_end && a->units[end].protected)
			end++;
		if (end > unit && mapped_set_writable(a, unit, end - unit)) {
			for (size_t i = unit; i < end; i++)
				a->units[i].protected = false;
		}
		for (size_t i = unit; i < end; i++) {
			pfai_mapped_lift_unit_locked(a, i);
			if (a->units[i].protected && left == SIZE_MAX)
				left = i;
		}
		unit = end + 1;
	}
	if (left == SIZE_MAX)
		a->window = a->window_end = 0;
	else
		a->window = left;
}

/* Makes a unit read-only, and in a batch those after it, if they can be moved. */
static bool mapped_protect_locked(struct pfa_mapped *a, size_t unit)
{
	if (a->uffd >= 0 && a->window_end && pfai_mapped_uffd_pending(a)) {
		/* Somebody waits, perhaps for a unit whose turn comes late. */
		mapped_count(&a->nr_waits);
		a->disturbed = true;
	} else if (a->units[unit].protected) {
		return true;
	}
	pfai_mapped_lift_locked(a);
	if (a->window_end) /* the kernel refused to lift what was protected before: more would be lost track of */
		return a->units[unit].protected;
	if (a->disturbed && a->window_limit > 1)
		a->window_limit /= 2;
	else if (!a->disturbed && a->batches && a->window_limit < MAPPED_WINDOW)
		a->window_limit *= 2;
	a->disturbed = false;
	size_t nr = 1, limit = a->batches ? a->window_limit : 1;
	while (nr < limit && unit + nr < a->nr_units && a->units[unit + nr].state == MAPPED_LIVE && !a->units[unit + nr].pins)
		nr++;
	bool done = mapped_set_read_only(a, unit, nr);
	if (!done && nr > 1) {
		nr = 1;
		done = mapped_set_read_only(a, unit, nr);
	}
	/* A call that failed may have done a part: then nothing is certain but that lifting all of it helps. */
	a->window = unit;
	a->window_end = unit + nr;
	for (size_t i = 0; i < nr; i++)
		a->units[unit + i].protected = true;
	if (!done)
		pfai_mapped_lift_locked(a);
	return done;
}

/* ---- ops ---- */

static bool mapped_op_lock(struct pfa_mapped *a, enum pfa_migrate_mode mode)
{
	if (mode == PFA_MIGRATE_ASYNC)
		return pfai_owner_trylock(&a->lock);
	pfai_owner_lock(&a->os, &a->lock);
	return true;
}

static bool mapped_may_move(const struct pfa_mapped *a, uint64_t cookie, pfa_pfn head)
{
	const struct mapped_unit *u = &a->units[cookie];
	return u->state == MAPPED_LIVE && u->head == head && u->pins == 0;
}

static int mapped_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_mapped *a = ctx;
	(void)order;
	if (!mapped_op_lock(a, mode))
		return PFA_EAGAIN;
	bool may = mapped_may_move(a, cookie, head);
	pfai_owner_unlock(&a->os, &a->lock);
	return may ? PFA_OK : PFA_EBUSY;
}

/* Everything is known to be right. Writers are held back, so the copy is what the unit contains until it is mapped. */
static bool mapped_switch_locked(struct pfa_mapped *a, size_t unit, pfa_pfn dst)
{
	struct mapped_unit *u = &a->units[unit];
	void *to, *from;
	if (pfa_ptr(a->pfa, dst, &to) != PFA_OK || pfa_ptr(a->pfa, u->head, &from) != PFA_OK)
		return false;
	if (!mapped_protect_locked(a, unit))
		return false;
	pfa_copy_frames(to, from, a->unit_bytes);
	if (!pfai_mapped_map_locked(a, unit, 1, dst)) {
		/* Whatever it has left behind: the old frames again. */
		if (pfai_mapped_map_locked(a, unit, 1, u->head))
			u->protected = false;
		return false;
	}
	u->head = dst;
	u->protected = false;
	return true;
}

static int mapped_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct pfa_mapped *a = ctx;
	int code = PFA_EBUSY;
	(void)order;
	if (!mapped_op_lock(a, mode))
		return PFA_EAGAIN;
	if (mapped_may_move(a, cookie, src)) {
		if (mapped_switch_locked(a, (size_t)cookie, dst)) {
			mapped_count(&a->nr_moves);
			code = PFA_OK;
		} else {
			mapped_count(&a->nr_refused);
		}
		if (a->uffd >= 0)
			pfai_mapped_uffd_wake(a, (size_t)cookie, 1);
		if (!a->batches)
			pfai_mapped_lift_locked(a);
	}
	pfai_owner_unlock(&a->os, &a->lock);
	return code;
}

static void mapped_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	/* Isolation changed nothing here. */
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
}

const struct pfa_owner_ops pfai_mapped_ops = {sizeof(pfai_mapped_ops), mapped_isolate, mapped_migrate, mapped_putback};
