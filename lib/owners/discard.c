/* SPDX-License-Identifier: MIT
 *
 * The devices that give memory back to the kernel.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <pfa/devices.h>

#include "owner_lock.h"

#include <string.h>

/* The public struct has plain words, since C++ includes it. */
static void discard_add(size_t *field, size_t value)
{
	(void)atomic_fetch_add_explicit((_Atomic(size_t) *)field, value, memory_order_relaxed);
}

static size_t discard_get(const size_t *field)
{
	return atomic_load_explicit((const _Atomic(size_t) *)field, memory_order_relaxed);
}

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_FREE
#define MADV_FREE 8
#endif
/* The calling thread's process, for which no descriptor is needed: one would still be the parent's after a fork(). */
#define DISCARD_PIDFD_SELF (-10000)

/* ---- the system's calls ---- */

static int discard_advise(void *ctx, void *at, size_t bytes, int advice)
{
	(void)ctx;
	return madvise(at, bytes, advice);
}

static ptrdiff_t discard_advise_many(void *ctx, const struct pfa_discard_range ranges[], unsigned nr, int advice)
{
	(void)ctx;
#ifdef SYS_process_madvise
	_Static_assert(sizeof(struct iovec) == sizeof(*ranges) && offsetof(struct iovec, iov_len) == offsetof(struct pfa_discard_range, bytes),
	               "ranges are struct iovec");
	return (ptrdiff_t)syscall(SYS_process_madvise, DISCARD_PIDFD_SELF, ranges, (size_t)nr, advice, 0u);
#else
	(void)ranges;
	(void)nr;
	(void)advice;
	errno = ENOSYS;
	return -1;
#endif
}

static int discard_punch(void *ctx, int fd, uint64_t offset, uint64_t bytes)
{
	(void)ctx;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
}

static const struct pfa_discard_calls discard_system = {discard_advise, discard_advise_many, discard_punch, NULL};

/* ---- the device ---- */

static int discard_advice(const struct pfa_discard *d)
{
	return d->cfg.way == PFA_DISCARD_FREE ? MADV_FREE : MADV_DONTNEED;
}

/* One system call has done `done` bytes of `bytes`. */
static bool discard_count(struct pfa_discard *d, unsigned nr, size_t done, size_t bytes, int err)
{
	discard_add(&d->nr_calls, 1);
	discard_add(&d->nr_ranges, nr);
	discard_add(&d->nr_bytes, done);
	if (done == bytes)
		return true;
	discard_add(&d->nr_errors, 1);
	atomic_store_explicit((_Atomic(uint32_t) *)&d->err, (uint32_t)err, memory_order_relaxed);
	return false;
}

/* Returns how many bytes were done, from the first range on. */
static size_t discard_ranges(struct pfa_discard *d, const struct pfa_discard_range ranges[], unsigned nr, size_t bytes)
{
	if (d->many && nr > 1) {
		ptrdiff_t done = d->calls.advise_many(d->calls.ctx, ranges, nr, discard_advice(d));
		int err = done < 0 ? errno : 0;
		size_t counted = done < 0 ? 0 : (size_t)done < bytes ? (size_t)done : bytes;
		(void)discard_count(d, nr, counted, bytes, err);
		return counted;
	}
	size_t done = 0;
	for (unsigned i = 0; i < nr; i++) {
		const struct pfa_discard_range *r = &ranges[i];
		int failed;
		if (d->cfg.way == PFA_DISCARD_PUNCH)
			failed = d->calls.punch(d->calls.ctx, d->cfg.fd,
			                        d->cfg.fd_offset + (uint64_t)((unsigned char *)r->at - (unsigned char *)d->cfg.pool), r->bytes);
		else
			failed = d->calls.advise(d->calls.ctx, r->at, r->bytes, discard_advice(d));
		if (!discard_count(d, 1, failed ? 0 : r->bytes, r->bytes, failed ? errno : 0))
			break;
		done += r->bytes;
	}
	return done;
}

/* Whole pages of the pool? */
static bool discard_place(const struct pfa_discard *d, struct pfa_run run, struct pfa_discard_range *out)
{
	size_t frames = d->cfg.pool_bytes >> d->cfg.frame_shift, at = run.first - d->cfg.pool_pfn;
	if (run.first < d->cfg.pool_pfn || at >= frames || run.nr_frames > frames - at)
		return false;
	out->at = (unsigned char *)d->cfg.pool + (at << d->cfg.frame_shift);
	out->bytes = run.nr_frames << d->cfg.frame_shift;
	return (at << d->cfg.frame_shift) % d->page_bytes == 0 && out->bytes % d->page_bytes == 0;
}

static int discard_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct pfa_discard *d = ctx;
	struct pfa_discard_range ranges[PFA_REPORT_CAPACITY_LIMIT], next;
	unsigned nr_ranges = 0, fits = 0;
	size_t bytes = 0;

	/* Blocks side by side are one range. */
	for (; fits < nr && discard_place(d, runs[fits], &next); fits++) {
		struct pfa_discard_range *last = nr_ranges ? &ranges[nr_ranges - 1] : NULL;
		if (last && (unsigned char *)last->at + last->bytes == next.at)
			last->bytes += next.bytes;
		else if (nr_ranges < PFA_REPORT_CAPACITY_LIMIT)
			ranges[nr_ranges++] = next;
		else
			break;
		bytes += next.bytes;
	}
	size_t done = nr_ranges ? discard_ranges(d, ranges, nr_ranges, bytes) : 0;
	if (fits < nr && done == bytes)
		(void)discard_count(d, 0, 0, 1, EINVAL);
	*out_done = 0;
	while (*out_done < fits && runs[*out_done].nr_frames << d->cfg.frame_shift <= done)
		done -= runs[(*out_done)++].nr_frames << d->cfg.frame_shift;
	return *out_done == nr ? PFA_OK : PFA_EDEVICE;
}

/* ---- does it work here? ---- */

/* A private mapping can not be doubled by mremap(); a shared one can, and keeps what madvise() takes out of this mapping. */
static bool discard_is_shared(void *pool, size_t page)
{
	void *other = mremap(pool, 0, page, MREMAP_MAYMOVE);
	if (other == MAP_FAILED)
		return false;
	(void)munmap(other, page);
	return true;
}

/* What the kernel says is believed, but for content: some emulations of it accept the advice, and do nothing. */
static bool discard_try(struct pfa_discard *d, unsigned char *probe, bool many)
{
	const struct pfa_discard_range range = {probe, d->page_bytes};
	*(volatile unsigned char *)probe = 1;
	if (many ? d->calls.advise_many(d->calls.ctx, &range, 1, discard_advice(d)) != (ptrdiff_t)range.bytes
	         : d->calls.advise(d->calls.ctx, range.at, range.bytes, discard_advice(d)) != 0)
		return false;
	return d->cfg.way == PFA_DISCARD_FREE || *(volatile unsigned char *)probe == 0;
}

static int discard_probe(struct pfa_discard *d)
{
	if (d->cfg.way == PFA_DISCARD_PUNCH) {
		struct stat file;
		if (fstat(d->cfg.fd, &file) != 0)
			return PFA_EINVAL;
		/* Behind the end, where nothing is. */
		uint64_t end = ((uint64_t)file.st_size + d->page_bytes - 1) / d->page_bytes * d->page_bytes;
		return d->calls.punch(d->calls.ctx, d->cfg.fd, end, d->page_bytes) == 0 ? PFA_OK : PFA_ENOTSUP;
	}
	unsigned char *probe = mmap(NULL, d->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe == MAP_FAILED)
		return PFA_ENOMEM;
	bool works = discard_try(d, probe, false);
	d->many = works && !d->cfg.one_by_one && d->calls.advise_many && discard_try(d, probe, true);
	(void)munmap(probe, d->page_bytes);
	return works ? PFA_OK : PFA_ENOTSUP;
}

static bool discard_config_fits(const struct pfa_discard_config *cfg, size_t page)
{
	if (!cfg || !pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) || (unsigned)cfg->way > PFA_DISCARD_PUNCH ||
	    cfg->frame_shift > 30 || !cfg->pool || (uintptr_t)cfg->pool % page || cfg->one_by_one > 1)
		return false;
	if (cfg->way == PFA_DISCARD_PUNCH ? cfg->fd < 0 || cfg->fd_offset % page : cfg->fd >= 0)
		return false;
	if (cfg->calls && (!cfg->calls->advise || !cfg->calls->punch))
		return false;
	const size_t frame = (size_t)1 << (cfg->frame_shift ? cfg->frame_shift : 12);
	return cfg->pool_bytes >= frame && cfg->pool_bytes % frame == 0;
}

int pfa_discard_init(struct pfa_discard *out, const struct pfa_discard_config *cfg)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!discard_config_fits(cfg, page) || (cfg->way != PFA_DISCARD_PUNCH && discard_is_shared(cfg->pool, page)))
		return PFA_EINVAL;
	memset(out, 0, sizeof(*out));
	out->cfg = *cfg;
	out->cfg.frame_shift = cfg->frame_shift ? cfg->frame_shift : 12;
	out->calls = cfg->calls ? *cfg->calls : discard_system;
	out->page_bytes = page;
	return discard_probe(out);
}

#else

static int discard_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)ctx, (void)runs, (void)nr;
	*out_done = 0;
	return PFA_EDEVICE;
}

int pfa_discard_init(struct pfa_discard *out, const struct pfa_discard_config *cfg)
{
	memset(out, 0, sizeof(*out));
	return cfg && pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) ? PFA_ENOTSUP : PFA_EINVAL;
}

#endif

void pfa_discard_device(struct pfa_discard *d, struct pfa_device *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->report = discard_report;
	out->ctx = d;
	out->discards = 1;
	out->zeroes = d->cfg.way != PFA_DISCARD_FREE;
}

void pfa_discard_stats_get(const struct pfa_discard *d, struct pfa_discard_stats *out)
{
	out->calls = discard_get(&d->nr_calls);
	out->ranges = discard_get(&d->nr_ranges);
	out->bytes = discard_get(&d->nr_bytes);
	out->errors = discard_get(&d->nr_errors);
	out->err = (int)atomic_load_explicit((const _Atomic(uint32_t) *)&d->err, memory_order_relaxed);
	out->many = d->many;
}
