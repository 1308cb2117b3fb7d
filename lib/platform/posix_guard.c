/* SPDX-License-Identifier: MIT
 *
 * platform/posix: metadata between guards, and what of it is constant read-only, sealed where the kernel can; guard frames.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <pfa/debug.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__) && !defined(PFA_POSIX_PLAIN)
#include <sys/syscall.h>
/* The C library may be older than the kernel. The number is the same on both; a 32-bit kernel has no such call. */
#if !defined(SYS_mseal) && (defined(__x86_64__) || defined(__aarch64__))
#define SYS_mseal 462
#endif
#endif

size_t pfai_posix_guard_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return page > PFA_GUARD_BYTES_MIN ? page : PFA_GUARD_BYTES_MIN;
}

#ifdef SYS_mseal

static int posix_mseal(void *start, size_t bytes)
{
	return (int)syscall(SYS_mseal, start, bytes, 0ul);
}

#else

static int posix_mseal(void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
	errno = ENOSYS;
	return -1;
}

#endif

bool pfa_posix_can_seal(void)
{
	int saved = errno;
	/* Nothing is sealed by 0 bytes, but the call has to be there, and allowed. */
	bool can = posix_mseal(NULL, 0) == 0;
	errno = saved;
	return can;
}

struct guard_walk {
	size_t guard;
	int err;
	unsigned char *first, *end; /* of the constant regions, their guards included; they lie side by side */
};

/* The unit before the array, the one after it, and the array itself where it is constant. */
static void guard_visit(void *ctx, const struct pfa_region *region)
{
	struct guard_walk *walk = ctx;
	unsigned char *start = (unsigned char *)(uintptr_t)region->start;
	size_t bytes = (region->bytes + walk->guard - 1) & ~(walk->guard - 1);

	if (walk->err)
		return;
	if (mprotect(start - walk->guard, walk->guard, PROT_NONE) != 0 ||
	    mprotect(start + bytes, walk->guard, PROT_NONE) != 0 ||
	    (region->sealed && mprotect(start, bytes, PROT_READ) != 0))
		walk->err = errno;
	if (!region->sealed)
		return;
	if (!walk->first)
		walk->first = start - walk->guard;
	walk->end = start + bytes + walk->guard;
}

int pfai_posix_guard(struct pfa_posix *arena, size_t guard, bool seal)
{
	struct guard_walk walk = { guard, 0, NULL, NULL };

	pfa_regions(arena->pfa, guard_visit, &walk);
	arena->meta.failed = "mprotect";
	if (!walk.err && seal) {
		arena->meta.failed = "mseal";
		if (posix_mseal(walk.first, (size_t)(walk.end - walk.first)) != 0)
			walk.err = errno;
	}
	arena->meta.err = walk.err;
	if (walk.err)
		return pfai_posix_error(walk.err);
	arena->meta.failed = NULL;
	arena->sealed = seal ? walk.first : NULL;
	arena->sealed_bytes = seal ? (size_t)(walk.end - walk.first) : 0;
	return PFA_OK;
}

int pfai_posix_guard_frame(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int code = PFA_OK, saved = errno;

	(void)ctx;
	(void)pfn;
	/* A frame that shares a page with others was never made untouchable. */
	if (((uintptr_t)ptr | bytes) & (page - 1))
		return on ? PFA_ENOTSUP : PFA_OK;
	if (mprotect(ptr, bytes, on ? PROT_NONE : PROT_READ | PROT_WRITE) != 0)
		code = pfai_posix_error(errno);
	errno = saved;
	return code;
}

/* [start, end) of the metadata's mapping goes. */
static bool guard_cut(struct pfa_posix *arena, unsigned char *start, unsigned char *end)
{
	if (start == end || munmap(start, (size_t)(end - start)) == 0)
		return true;
	arena->meta.err = errno;
	arena->meta.failed = "munmap";
	return false;
}

int pfai_posix_unmap_around(struct pfa_posix *arena)
{
	struct pfa_posix_region *meta = &arena->meta;
	unsigned char *base = meta->base, *end = base + meta->map_bytes;
	unsigned char *sealed = arena->sealed, *sealed_end = sealed + arena->sealed_bytes;

	/* After the first cut the mapping ends where the sealed part does: the call may be repeated. */
	if (end > sealed_end && !guard_cut(arena, sealed_end, end))
		return pfai_posix_error(meta->err);
	meta->map_bytes = (size_t)(sealed_end - base);
	if (!guard_cut(arena, base, sealed))
		return pfai_posix_error(meta->err);
	meta->base = NULL;
	return PFA_OK;
}
