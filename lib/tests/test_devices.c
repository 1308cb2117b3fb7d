/* SPDX-License-Identifier: MIT
 *
 * The devices that give memory back to the kernel, on real memory: it is gone afterwards, and comes back as is said; each
 * system call fails in each way and at each place, and nothing is lost then, and nothing marked that was not told.
 */
#include "posix_rig.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <pfa/devices.h>

enum { FRAMES = 1024, UNIT = 64, UNITS = FRAMES / UNIT };

struct scene {
	struct pfa_posix posix;
	struct pfa_discard_config cfg;
	struct pfa_discard discard;
	size_t frame;
	unsigned char *pool;
};

static void start(struct scene *s, enum pfa_discard_way way, uint32_t level)
{
	struct pfa_zone_config zone = {.size = sizeof(zone), .nr_frames = FRAMES};
	struct pfa_config cfg;
	unsigned shift = 12;

	while ((size_t)1 << shift < system_page())
		shift++;
	memset(s, 0, sizeof(*s));
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.frame_shift = shift;
	cfg.pageblock_order = 6;
	cfg.max_order = 9;
	cfg.flags = PFA_CONFIG_REPORTING | PFA_CONFIG_NO_SHADOW; /* some tests write to free frames */
	cfg.hardening = level;
	cfg.quarantine = level == 3 ? PFA_EXPLICIT_0 : 0;
	cfg.cache_high = PFA_EXPLICIT_0;
	assert_int_equal(pfa_posix_create(&s->posix, &cfg, way == PFA_DISCARD_PUNCH ? PFA_POSIX_MEMFD : PFA_POSIX_ANON), PFA_OK);
	s->frame = (size_t)1 << shift;
	s->pool = s->posix.pool.base;
#ifdef MADV_NOHUGEPAGE
	(void)madvise(s->pool, s->posix.pool.bytes, MADV_NOHUGEPAGE); /* what is resident is counted in pages */
#endif
	s->cfg = (struct pfa_discard_config){.size = sizeof(s->cfg), .way = way, .pool = s->pool,
	                                     .pool_bytes = s->posix.pool.bytes, .pool_pfn = s->posix.pool_pfn,
	                                     .frame_shift = shift, .fd = s->posix.pool.fd};
}

static void attach(struct scene *s, unsigned min_order, unsigned capacity)
{
	struct pfa_device device;
	pfa_discard_device(&s->discard, &device);
	device.delay_ns = PFA_EXPLICIT_0;
	device.min_order = min_order;
	device.capacity = capacity;
	assert_int_equal(pfa_report_register(s->posix.pfa, &device), PFA_OK);
}

static void stop(struct scene *s)
{
	struct pfa_violation violation;
	assert_int_equal(pfa_report_unregister(s->posix.pfa), PFA_OK);
	assert_int_equal(pfa_check(s->posix.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&s->posix), PFA_OK);
}

static struct pfa_zone_stats zone_stats(struct scene *s)
{
	struct pfa_zone_stats stats;
	assert_int_equal(pfa_zone_stats_get(s->posix.pfa, 0, &stats, sizeof(stats)), PFA_OK);
	return stats;
}

static struct pfa_discard_stats discard_stats(struct scene *s)
{
	struct pfa_discard_stats stats;
	pfa_discard_stats_get(&s->discard, &stats);
	return stats;
}

/* Frames of the pool that take room. */
static size_t resident(struct scene *s)
{
	if (s->posix.pool.fd >= 0) {
		struct stat file;
		assert_int_equal(fstat(s->posix.pool.fd, &file), 0);
		return (size_t)file.st_blocks * 512 / s->frame;
	}
	static unsigned char map[FRAMES * 64];
	const size_t pages = s->posix.pool.map_bytes / system_page();
	size_t nr = 0;
	assert_true(pages <= sizeof(map));
	assert_int_equal(mincore(s->pool, s->posix.pool.map_bytes, map), 0);
	for (size_t i = 0; i < pages; i++)
		nr += map[i] & 1;
	return nr * system_page() / s->frame;
}

static unsigned char *frame_at(struct scene *s, pfa_pfn pfn)
{
	return s->pool + (pfn - s->posix.pool_pfn) * s->frame;
}

static int by_address(const void *a, const void *b)
{
	const pfa_pfn x = *(const pfa_pfn *)a, y = *(const pfa_pfn *)b;
	return (x > y) - (x < y);
}

/* All units, ascending, each filled with its number + 1, or as they are. Returns how many. Level 3 grants them in any order; if all
 * are taken, every second one of them has no free neighbour. */
static unsigned take(struct scene *s, pfa_pfn out[UNITS], uint32_t flags, bool fill)
{
	unsigned nr = 0;
	while (nr < UNITS && pfa_alloc(s->posix.pfa, 6, PFA_MOVABLE | flags, &out[nr]) == PFA_OK) {
		if (fill)
			memset(frame_at(s, out[nr]), (int)(out[nr] / UNIT + 1), UNIT * s->frame);
		nr++;
	}
	qsort(out, nr, sizeof(out[0]), by_address);
	return nr;
}

static void give(struct scene *s, const pfa_pfn pfns[], unsigned from, unsigned to, unsigned step)
{
	for (unsigned i = from; i < to; i += step)
		assert_int_equal(pfa_free(s->posix.pfa, pfns[i], 6), PFA_OK);
}

/* Is every byte of the unit this one? (By memcmp(), which sanitizers make less slow than a loop.) */
static bool unit_is(struct scene *s, pfa_pfn pfn, unsigned char value)
{
	const unsigned char *at = frame_at(s, pfn);
	return at[0] == value && memcmp(at, at + 1, UNIT * s->frame - 1) == 0;
}

static bool zero_unit(struct scene *s, pfa_pfn pfn)
{
	return unit_is(s, pfn, 0);
}

/* ---- what becomes of the memory ---- */

static void test_memory_goes_and_comes(void **state)
{
	(void)state;
	for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_PUNCH; way++) {
		for (uint32_t level = 1; level <= 3; level += 2) {
			struct scene s;
			pfa_pfn pfns[UNITS];
			start(&s, way, level);
			assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
			attach(&s, 6, 0);
			assert_int_equal(take(&s, pfns, 0, true), UNITS);
			assert_int_equal(resident(&s), FRAMES);
			give(&s, pfns, 0, UNITS, 1);
			assert_int_equal(pfa_report_flush(s.posix.pfa), PFA_OK);
			assert_int_equal(zone_stats(&s).reported, FRAMES);
			if (way != PFA_DISCARD_FREE) /* which waits for somebody to be short of memory */
				assert_int_equal(resident(&s), 0);
			/* What is known to be zero is not zeroed again: nothing is touched. (Level 3 reads it.) */
			assert_int_equal(take(&s, pfns, PFA_ZERO, false), UNITS);
			if (way != PFA_DISCARD_FREE && level < 3)
				assert_int_equal(resident(&s), 0);
			for (unsigned i = 0; i < UNITS; i++)
				assert_true(zero_unit(&s, pfns[i]));
			give(&s, pfns, 0, UNITS, 1);
			assert_int_equal(pfa_report_flush(s.posix.pfa), PFA_OK);
			/* What is granted as it is, can be used. */
			assert_int_equal(take(&s, pfns, 0, true), UNITS);
			for (unsigned i = 0; i < UNITS; i++)
				assert_int_equal(frame_at(&s, pfns[i])[UNIT * s.frame - 1], pfns[i] / UNIT + 1);
			assert_int_equal(resident(&s), FRAMES);
			give(&s, pfns, 0, UNITS, 1);
			stop(&s);
		}
	}
}

/* What is told lies beside what is in use, and nothing of that is touched. */
static void test_neighbours_stay(void **state)
{
	(void)state;
	for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_PUNCH; way++) {
		for (uint32_t one_by_one = 0; one_by_one < 2; one_by_one++) {
			struct scene s;
			pfa_pfn pfns[UNITS];
			start(&s, way, 1);
			s.cfg.one_by_one = one_by_one;
			assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
			attach(&s, 6, 0);
			assert_int_equal(take(&s, pfns, 0, true), UNITS);
			give(&s, pfns, 0, UNITS, 2);
			int code = pfa_report_flush(s.posix.pfa);
			while (code == PFA_EAGAIN)
				code = pfa_report_flush(s.posix.pfa);
			assert_int_equal(code, PFA_OK);
			assert_int_equal(zone_stats(&s).reported, FRAMES / 2);
			for (unsigned i = 1; i < UNITS; i += 2) {
				if (!unit_is(&s, pfns[i], (unsigned char)(pfns[i] / UNIT + 1)))
					fail_msg("unit %u", i);
			}
			const struct pfa_discard_stats stats = discard_stats(&s);
			assert_int_equal(stats.bytes, FRAMES / 2 * s.frame);
			assert_int_equal(stats.ranges, UNITS / 2);
			assert_int_equal(stats.errors, 0);
			if (one_by_one || way == PFA_DISCARD_PUNCH) {
				assert_false(stats.many);
				assert_int_equal(stats.calls, UNITS / 2);
			} else if (stats.many) {
				assert_true(stats.calls < UNITS / 2);
			}
			give(&s, pfns, 1, UNITS, 2);
			stop(&s);
		}
	}
}

/* ---- system calls that fail ---- */

/* The system, with one fault: the call at which it happens, and what it says. It does what it is asked for until then. */
struct faulty {
	unsigned calls, at;
	int err;           /* 0: it does a part (advise_many), else -1 with errno */
	ptrdiff_t part;    /* ranges that it does then, at most; not all of them */
	unsigned failed;
};

static bool fails(struct faulty *f)
{
	if (f->calls++ != f->at)
		return false;
	f->failed++;
	errno = f->err;
	return true;
}

static int faulty_advise(void *ctx, void *at, size_t bytes, int advice)
{
	return fails(ctx) ? -1 : madvise(at, bytes, advice);
}

static ptrdiff_t faulty_many(void *ctx, const struct pfa_discard_range ranges[], unsigned nr, int advice)
{
	struct faulty *f = ctx;
	const bool fault = fails(f);
	ptrdiff_t done = 0;
	if (fault && f->err)
		return -1;
	/* Made of single calls, so that this test is the same where there is no process_madvise(). */
	for (unsigned i = 0; i < nr && !(fault && ((ptrdiff_t)i >= f->part || i + 1 == nr)); i++) {
		if (madvise(ranges[i].at, ranges[i].bytes, advice) != 0)
			return -1;
		done += (ptrdiff_t)ranges[i].bytes;
	}
	return done;
}

static int faulty_punch(void *ctx, int fd, uint64_t offset, uint64_t bytes)
{
	if (fails(ctx))
		return -1;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
}

/* Nothing is lost, nothing marked: all units are there, the ones in use as they were, and what is marked was given back. */
static void look_after_failure(struct scene *s, const struct faulty *f, size_t free_frames)
{
	const struct pfa_zone_stats z = zone_stats(s);
	const struct pfa_discard_stats d = discard_stats(s);
	struct pfa_violation violation;
	assert_int_equal(f->failed, 1);
	assert_int_equal(d.errors, 1);
	assert_int_equal(d.err, f->err);
	assert_int_equal(z.free, free_frames);
	assert_int_equal(z.held_report, 0);
	assert_int_equal(z.reported * s->frame, d.bytes);
	assert_true(z.reported < free_frames);
	assert_int_equal(pfa_check(s->posix.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation), PFA_OK);
}

static void one_failure(enum pfa_discard_way way, uint32_t level, bool many, struct faulty fault)
{
	struct faulty f = fault;
	const struct pfa_discard_calls calls = {faulty_advise, many ? faulty_many : NULL, faulty_punch, &f};
	pfa_pfn pfns[UNITS], again[UNITS];
	struct scene s;

	start(&s, way, level);
	s.cfg.calls = &calls;
	f.at = UINT_MAX;
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	assert_int_equal(discard_stats(&s).many, many && way != PFA_DISCARD_PUNCH);
	assert_int_equal(take(&s, pfns, 0, true), UNITS);
	give(&s, pfns, 0, UNITS, 2);
	f.calls = 0;
	f.at = fault.at;
	attach(&s, 6, 4);
	/* Where a part of the batch was done the pass goes on. */
	const int told = pfa_report_flush(s.posix.pfa);
	assert_true(told == PFA_EDEVICE || (told == PFA_EAGAIN && discard_stats(&s).bytes > 0));
	look_after_failure(&s, &f, FRAMES / 2);
	/* All of it can be had; and what is told to be known is as it should be. */
	const unsigned nr = take(&s, again, PFA_ZERO, false);
	assert_int_equal(nr, UNITS / 2);
	for (unsigned i = 0; i < nr; i++)
		assert_true(zero_unit(&s, again[i]));
	give(&s, again, 0, nr, 1);
	/* In the next pass the call works. */
	int code = pfa_report_flush(s.posix.pfa);
	while (code == PFA_EAGAIN)
		code = pfa_report_flush(s.posix.pfa);
	assert_int_equal(code, PFA_OK);
	assert_int_equal(zone_stats(&s).reported, FRAMES / 2);
	for (unsigned i = 1; i < UNITS; i += 2)
		assert_int_equal(frame_at(&s, pfns[i])[5], pfns[i] / UNIT + 1);
	give(&s, pfns, 1, UNITS, 2);
	stop(&s);
}

static void test_each_failure(void **state)
{
	static const int errors[] = {ENOMEM, EAGAIN, EPERM, EINTR, EINVAL, EBADF, ENOSYS, EIO, ENOSPC, EACCES};
	(void)state;
	for (unsigned e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		/* Level 3 poisons what is free: what a failed call has destroyed of it is no damage. */
		const uint32_t level = e % 2 ? 3 : 1;
		for (unsigned at = 0; at < 6; at += e < 5 ? 1 : 5)
			for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_PUNCH; way++)
				one_failure(way, level, false, (struct faulty){.at = at, .err = errors[e]});
		for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_FREE; way++)
			for (unsigned at = 0; at < 2; at++)
				one_failure(way, level, true, (struct faulty){.at = at, .err = errors[e]});
	}
}

static void test_partial(void **state)
{
	(void)state;
	for (uint32_t level = 1; level <= 3; level += 2)
		for (unsigned at = 0; at < 2; at++)
			for (ptrdiff_t part = 0; part < 4; part++)
				one_failure(PFA_DISCARD_DONTNEED, level, true, (struct faulty){.at = at, .part = part});
}

/* A call that fails after it has done something: that is lost for the poison, and nothing else. */
static int torn_advise(void *ctx, void *at, size_t bytes, int advice)
{
	struct faulty *f = ctx;
	if (!fails(f))
		return madvise(at, bytes, advice);
	assert_int_equal(madvise(at, bytes / 2, advice), 0);
	errno = ENOMEM;
	return -1;
}

static void test_torn(void **state)
{
	(void)state;
	struct faulty f = {.at = UINT_MAX};
	const struct pfa_discard_calls calls = {torn_advise, NULL, faulty_punch, &f};
	pfa_pfn pfns[UNITS];
	struct scene s;
	start(&s, PFA_DISCARD_DONTNEED, 3);
	s.cfg.calls = &calls;
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	assert_int_equal(take(&s, pfns, 0, true), UNITS);
	give(&s, pfns, 0, UNITS, 1);
	f.calls = f.at = 0;
	attach(&s, 6, 1);
	assert_int_equal(pfa_report_flush(s.posix.pfa), PFA_EDEVICE);
	assert_int_equal(zone_stats(&s).reported, 0);
	assert_int_equal(take(&s, pfns, PFA_ZERO, false), UNITS);
	for (unsigned i = 0; i < UNITS; i++)
		assert_true(zero_unit(&s, pfns[i]));
	give(&s, pfns, 0, UNITS, 1);
	stop(&s);
}

/* ---- what works here is found out ---- */

static int lying_advise(void *ctx, void *at, size_t bytes, int advice)
{
	(void)ctx, (void)at, (void)bytes, (void)advice;
	return 0;
}

static ptrdiff_t lying_many(void *ctx, const struct pfa_discard_range ranges[], unsigned nr, int advice)
{
	ptrdiff_t sum = 0;
	(void)ctx, (void)advice;
	for (unsigned i = 0; i < nr; i++)
		sum += (ptrdiff_t)ranges[i].bytes;
	return sum;
}

static void test_probes(void **state)
{
	struct scene s;
	struct faulty f = {.at = 0, .err = EPERM};
	struct pfa_discard_calls calls = {faulty_advise, NULL, faulty_punch, &f};
	(void)state;
	/* It does not work at all. */
	for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_PUNCH; way++) {
		start(&s, way, 1);
		f.calls = 0;
		s.cfg.calls = &calls;
		assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_ENOTSUP);
		assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
	}
	start(&s, PFA_DISCARD_DONTNEED, 1);
	s.cfg.calls = &calls;
	/* It says that it does, and does nothing. */
	calls = (struct pfa_discard_calls){lying_advise, NULL, faulty_punch, &f};
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_ENOTSUP);
	/* Several ranges at once do not work: one by one. */
	calls = (struct pfa_discard_calls){faulty_advise, lying_many, faulty_punch, &f};
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	assert_false(discard_stats(&s).many);
	calls.advise_many = faulty_many;
	f.calls = 0;
	f.at = 1; /* the second call of the probes */
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	assert_false(discard_stats(&s).many);
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	assert_true(discard_stats(&s).many);
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
	printf("process_madvise: ");
	start(&s, PFA_DISCARD_DONTNEED, 1);
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	printf("%s here\n", discard_stats(&s).many ? "works" : "does not work");
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
}

static void test_configuration(void **state)
{
	static const struct pfa_discard_calls none = {NULL, NULL, NULL, NULL};
	struct pfa_discard other;
	struct scene s;
	size_t pages;
	int fd;
	(void)state;
#define WRONG(field, value)                                                      \
	do {                                                                     \
		struct pfa_discard_config wrong = s.cfg;                         \
		wrong.field = value;                                             \
		assert_int_equal(pfa_discard_init(&other, &wrong), PFA_EINVAL);  \
	} while (0)
	start(&s, PFA_DISCARD_PUNCH, 1);
	fd = next_fd();
	pages = mapped_pages();
	WRONG(way, PFA_DISCARD_DONTNEED); /* with a file */
	WRONG(fd, -1);
	WRONG(fd, fd); /* not open */
	WRONG(fd_offset, 1);
	struct pfa_discard_config shared = s.cfg;
	shared.way = PFA_DISCARD_DONTNEED; /* a shared mapping, and nobody says so */
	shared.fd = -1;
	assert_int_equal(pfa_discard_init(&other, &shared), PFA_EINVAL);
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
	start(&s, PFA_DISCARD_DONTNEED, 1);
	WRONG(size, 8);
	WRONG(way, (enum pfa_discard_way)3);
	WRONG(pool, NULL);
	WRONG(pool, s.pool + 1);
	WRONG(pool_bytes, 0);
	WRONG(pool_bytes, s.cfg.pool_bytes - 1);
	WRONG(frame_shift, 31);
	WRONG(fd, 0);
	WRONG(one_by_one, 2);
	WRONG(calls, &none);
#undef WRONG
	assert_int_equal(pfa_discard_init(&other, NULL), PFA_EINVAL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pfa_discard_init(&other, &s.cfg), PFA_OK);
	assert_int_equal(mapped_pages(), pages);
	assert_int_equal(next_fd(), fd - 1); /* the memfd is gone */
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
}

/* Blocks that are not pages of the system, and frames that are not in the pool, are refused and not touched. */
static void test_what_does_not_fit(void **state)
{
	struct scene s;
	unsigned done = 77;
	(void)state;
	start(&s, PFA_DISCARD_DONTNEED, 1);
	memset(s.pool, 7, s.posix.pool.bytes);
	s.cfg.frame_shift -= 4;
	s.cfg.pool_pfn = 160;
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	struct pfa_device device;
	pfa_discard_device(&s.discard, &device);
	static const struct pfa_run less = {192, 8}, beside = {168, 16}, below = {144, 16};
	const struct pfa_run above = {160 + FRAMES * 16, 16}, across = {160 + FRAMES * 16 - 16, 32};
	const struct pfa_run *wrong[] = {&less, &beside, &below, &above, &across};
	for (unsigned i = 0; i < 5; i++) {
		/* behind one that is right */
		const struct pfa_run runs[2] = {{176, 16}, *wrong[i]};
		assert_int_equal(device.report(device.ctx, wrong[i], 1, &done), PFA_EDEVICE);
		assert_int_equal(done, 0);
		assert_int_equal(device.report(device.ctx, runs, 2, &done), PFA_EDEVICE);
		assert_int_equal(done, 1);
		assert_int_equal(discard_stats(&s).err, EINVAL);
		assert_int_equal(s.pool[s.frame], 0);
		s.pool[s.frame] = 7;
		memset(s.pool + s.frame, 7, s.frame);
		for (size_t k = 0; k < s.posix.pool.bytes; k += 64)
			assert_int_equal(s.pool[k], 7);
	}
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
}

/* Blocks side by side are one range. */
static void test_side_by_side(void **state)
{
	struct scene s;
	unsigned done = 0;
	(void)state;
	start(&s, PFA_DISCARD_DONTNEED, 1);
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	struct pfa_device device;
	pfa_discard_device(&s.discard, &device);
	memset(s.pool, 7, s.posix.pool.bytes);
	const struct pfa_run runs[] = {{64, 64}, {128, 128}, {256, 64}, {512, 64}};
	assert_int_equal(device.report(device.ctx, runs, 4, &done), PFA_OK);
	assert_int_equal(done, 4);
	assert_int_equal(discard_stats(&s).ranges, 2);
	assert_int_equal(discard_stats(&s).calls, discard_stats(&s).many ? 1 : 2);
	for (size_t i = 0; i < FRAMES; i++)
		assert_int_equal(s.pool[i * s.frame], (i >= 64 && i < 320) || (i >= 512 && i < 576) ? 0 : 7);
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
}

/* A child that makes use of its copy gives back its own memory, and not its parent's. */
static void test_fork(void **state)
{
	struct scene s;
	int status;
	(void)state;
	start(&s, PFA_DISCARD_DONTNEED, 1);
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	struct pfa_device device;
	pfa_discard_device(&s.discard, &device);
	memset(s.pool, 7, s.posix.pool.bytes);
	const struct pfa_run runs[] = {{64, 64}, {256, 64}};
	(void)fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		unsigned done = 0;
		_exit(device.report(device.ctx, runs, 2, &done) != PFA_OK || done != 2 || s.pool[64 * s.frame] != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (size_t i = 0; i < FRAMES; i++)
		assert_int_equal(s.pool[i * s.frame], 7);
	assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
}

/* From the worker, while somebody allocates and frees: in the end all is told. */
static void test_worker(void **state)
{
	struct pfa_posix_worker worker;
	pfa_pfn pfns[UNITS];
	struct scene s;
	(void)state;
	start(&s, PFA_DISCARD_DONTNEED, 1);
	assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
	attach(&s, 6, 3);
	assert_int_equal(pfa_posix_worker_start(&worker, s.posix.pfa, 4), PFA_OK);
	for (unsigned round = 0; round < 20; round++) {
		const unsigned nr = take(&s, pfns, round % 2 ? PFA_ZERO : 0, false);
		for (unsigned i = 0; i < nr; i++) {
			if (round % 2)
				assert_true(zero_unit(&s, pfns[i]));
			memset(frame_at(&s, pfns[i]), (int)round + 1, UNIT * s.frame);
		}
		for (unsigned i = 0; i < nr; i++)
			assert_int_equal(frame_at(&s, pfns[i])[77], round + 1);
		give(&s, pfns, 0, nr, 1);
		pfa_posix_worker_kick(&worker);
		nap();
	}
	while (zone_stats(&s).reported != FRAMES) {
		pfa_posix_worker_kick(&worker);
		nap();
	}
	assert_int_equal(resident(&s), 0);
	assert_int_equal(pfa_posix_worker_stop(&worker), PFA_OK);
	assert_int_equal(discard_stats(&s).errors, 0);
	stop(&s);
}

/* ---- test_devices --measure ---- */

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Median ns a block of batches of 32 blocks, every second one of the pool. */
static double measure(struct scene *s, const struct pfa_device *device, size_t frames, bool touched)
{
	enum { ROUNDS = 101, BATCH = 32 };
	struct pfa_run runs[BATCH];
	double ns[ROUNDS];
	for (size_t i = 0; i < BATCH; i++)
		runs[i] = (struct pfa_run){2 * i * frames, frames};
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct timespec from, to;
		unsigned done = 0;
		for (size_t k = 0; k < BATCH * frames && touched; k++)
			*frame_at(s, runs[k / frames].first + k % frames) = 1;
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &from), 0);
		assert_int_equal(device->report(device->ctx, runs, BATCH, &done), PFA_OK);
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &to), 0);
		assert_int_equal(done, BATCH);
		ns[round] = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / (double)BATCH;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	return ns[ROUNDS / 2];
}

static void test_measure(void **state)
{
	static const char *const names[] = {"MADV_DONTNEED", "MADV_FREE", "PUNCH_HOLE"};
	(void)state;
	printf("ns a block, process_madvise / one call each, where that is possible\n");
	for (unsigned way = PFA_DISCARD_DONTNEED; way <= PFA_DISCARD_PUNCH; way++) {
		for (size_t frames = 1; frames <= 32; frames *= 2) {
			printf("%-13s %3zu frames a block:", names[way], frames);
			for (unsigned touched = 0; touched < 2; touched++) {
				for (uint32_t one_by_one = 0; one_by_one < 2; one_by_one++) {
					struct pfa_device device;
					struct scene s;
					start(&s, way, 1);
					s.cfg.one_by_one = one_by_one;
					assert_int_equal(pfa_discard_init(&s.discard, &s.cfg), PFA_OK);
					pfa_discard_device(&s.discard, &device);
					const double ns = measure(&s, &device, frames, touched);
					if (one_by_one || s.discard.many)
						printf("%s%6.0f", one_by_one ? " / " : "  ", ns);
					assert_int_equal(pfa_posix_destroy(&s.posix), PFA_OK);
				}
				printf(touched ? " touched\n" : " untouched");
			}
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest measures[] = {cmocka_unit_test(test_measure)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_goes_and_comes), cmocka_unit_test(test_neighbours_stay),
		cmocka_unit_test(test_each_failure),          cmocka_unit_test(test_partial),
		cmocka_unit_test(test_torn),                  cmocka_unit_test(test_probes),
		cmocka_unit_test(test_configuration),         cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_side_by_side),          cmocka_unit_test(test_fork),
		cmocka_unit_test(test_worker),
	};
	if (argc == 2 && strcmp(argv[1], "--measure") == 0)
		return cmocka_run_group_tests(measures, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
