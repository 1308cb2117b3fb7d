/* SPDX-License-Identifier: MIT
 *
 * platform/posix: mapped memory, anonymous or in a memfd.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#define POSIX_HUGE_BYTES ((size_t)2 << 20)
#define POSIX_MAP_FLAGS (PFA_POSIX_MEMFD | PFA_POSIX_RESERVE | PFA_POSIX_HUGE)

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static size_t posix_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int posix_failed(struct pfa_posix_region *region, const char *call)
{
	region->err = errno;
	region->failed = call;
	return pfai_posix_error(region->err);
}

static int posix_protection(const struct pfa_posix_region *region)
{
	return region->flags & PFA_POSIX_RESERVE ? PROT_NONE : PROT_READ | PROT_WRITE;
}

/* Reserves region->map_bytes of addresses, aligned: maps too much, and cuts both ends off. */
static int posix_reserve(struct pfa_posix_region *region, size_t align)
{
	size_t page = posix_page_bytes(), slack = align > page ? align - page : 0, before, after;
	unsigned char *start;

	if (region->map_bytes > SIZE_MAX - slack) {
		errno = ENOMEM;
		return posix_failed(region, "mmap");
	}
	start = mmap(NULL, region->map_bytes + slack, posix_protection(region),
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return posix_failed(region, "mmap");
	before = slack ? (align - (uintptr_t)start % align) % align : 0;
	after = slack - before;
	if ((before && munmap(start, before) != 0) ||
	    (after && munmap(start + before + region->map_bytes, after) != 0)) {
		/* Splitting a mapping may need memory; taking all of it away does not. */
		int code = posix_failed(region, "munmap");
		(void)munmap(start, region->map_bytes + slack);
		return code;
	}
	region->base = start + before;
	return PFA_OK;
}

#ifdef PFA_POSIX_PLAIN

static int posix_back_by_memfd(struct pfa_posix_region *region)
{
	errno = ENOSYS;
	return posix_failed(region, "memfd_create");
}

#else

/* Puts a fresh memfd over the reserved addresses. */
static int posix_back_by_memfd(struct pfa_posix_region *region)
{
	struct rlimit limit;

	region->fd = memfd_create("libpfa", MFD_CLOEXEC);
	if (region->fd < 0)
		return posix_failed(region, "memfd_create");
	/* Growing a file over the limit kills the process by SIGXFSZ, so the limit is asked first. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    region->map_bytes > limit.rlim_cur) {
		errno = EFBIG;
		return posix_failed(region, "ftruncate");
	}
	if (ftruncate(region->fd, (off_t)region->map_bytes) != 0)
		return posix_failed(region, "ftruncate");
	if (mmap(region->base, region->map_bytes, posix_protection(region),
	         MAP_SHARED | MAP_FIXED | MAP_NORESERVE, region->fd, 0) == MAP_FAILED)
		return posix_failed(region, "mmap");
	return PFA_OK;
}

#endif

/* Undoes a half-made mapping; err and failed stay as the failure left them. */
static void posix_unmake(struct pfa_posix_region *region)
{
	if (region->base)
		(void)munmap(region->base, region->map_bytes);
	if (region->fd >= 0)
		(void)close(region->fd);
	region->base = NULL;
	region->bytes = 0;
	region->map_bytes = 0;
	region->fd = -1;
}

int pfa_posix_map(struct pfa_posix_region *out, size_t bytes, size_t align, unsigned flags)
{
	size_t page = posix_page_bytes();
	int code;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (bytes == 0 || (align & (align - 1)) != 0 || (flags & ~POSIX_MAP_FLAGS) != 0) {
		errno = EINVAL;
		return posix_failed(out, "pfa_posix_map");
	}
	if (bytes > SIZE_MAX - (page - 1)) {
		errno = ENOMEM;
		return posix_failed(out, "mmap");
	}
	if (flags & PFA_POSIX_HUGE && align < POSIX_HUGE_BYTES)
		align = POSIX_HUGE_BYTES;
	out->bytes = bytes;
	out->map_bytes = (bytes + page - 1) & ~(page - 1);
	out->flags = flags;
	code = posix_reserve(out, align);
	if (code == PFA_OK && flags & PFA_POSIX_MEMFD)
		code = posix_back_by_memfd(out);
	if (code != PFA_OK) {
		posix_unmake(out);
		return code;
	}
#ifdef MADV_HUGEPAGE
	if (flags & PFA_POSIX_HUGE)
		(void)madvise(out->base, out->map_bytes, MADV_HUGEPAGE); /* only advice: EINVAL is fine */
#endif
	return PFA_OK;
}

/* Checks a range given to commit and decommit, and finds its address. */
static int posix_range(struct pfa_posix_region *region, size_t offset, size_t bytes,
                       unsigned char **out_start)
{
	size_t page = posix_page_bytes();

	if (!region->base || bytes == 0 || offset % page || bytes % page || offset > region->map_bytes ||
	    bytes > region->map_bytes - offset) {
		errno = EINVAL;
		return posix_failed(region, "range check");
	}
	*out_start = (unsigned char *)region->base + offset;
	return PFA_OK;
}

int pfa_posix_commit(struct pfa_posix_region *region, size_t offset, size_t bytes)
{
	unsigned char *start;
	int code = posix_range(region, offset, bytes, &start);

	if (code != PFA_OK)
		return code;
	if (mprotect(start, bytes, PROT_READ | PROT_WRITE) != 0)
		return posix_failed(region, "mprotect");
	return PFA_OK;
}

/* Drops the content of a range that nobody can reach any more. Errno says why it failed; *call, in what. */
static bool posix_drop(const struct pfa_posix_region *region, unsigned char *start, size_t offset,
                       size_t bytes, const char **call)
{
#ifdef PFA_POSIX_PLAIN
	(void)region;
	(void)offset;
	*call = "mmap";
	return mmap(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
	            0) != MAP_FAILED;
#else
	if (region->fd >= 0) {
		*call = "fallocate";
		return fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		                 (off_t)bytes) == 0;
	}
	*call = "madvise";
	return madvise(start, bytes, MADV_DONTNEED) == 0;
#endif
}

int pfa_posix_decommit(struct pfa_posix_region *region, size_t offset, size_t bytes)
{
	unsigned char *start;
	const char *call;
	int code = posix_range(region, offset, bytes, &start);

	if (code != PFA_OK)
		return code;
	/* Protect first: if dropping fails, the content is still there. */
	if (mprotect(start, bytes, PROT_NONE) != 0)
		return posix_failed(region, "mprotect");
	if (!posix_drop(region, start, offset, bytes, &call)) {
		code = posix_failed(region, call);
		(void)mprotect(start, bytes, PROT_READ | PROT_WRITE);
		return code;
	}
	return PFA_OK;
}

int pfa_posix_unmap(struct pfa_posix_region *region)
{
	int code = PFA_OK, fd = region->base ? region->fd : -1;

	if (region->base && munmap(region->base, region->map_bytes) != 0)
		return posix_failed(region, "munmap");
	memset(region, 0, sizeof(*region));
	region->fd = -1;
	if (fd >= 0 && close(fd) != 0)
		code = posix_failed(region, "close");
	return code;
}
