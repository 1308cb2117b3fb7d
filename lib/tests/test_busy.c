/* SPDX-License-Identifier: MIT
 *
 * PFA_EBUSY: a lock is held by another thread on a platform that cannot wait, or another thread serves. The holder is
 * stopped inside the unlock hook, where it holds the zone's lock (and whatever it took before that). The same way calls
 * are stopped half-way, to look at what others see of them meanwhile.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <pfa/compact.h>
#include <pfa/cma.h>
#include <pfa/contig.h>
#include <pfa/hotplug.h>
#include <pfa/harden.h>

#include <pthread.h>
#include <string.h>

enum { FRAMES = 1024, PB = 64 };

static struct {
	struct rig rig;
	pthread_barrier_t held, done;
	int (*hold)(struct pfa *pfa); /* what the holder calls; it stops at the first unlock of a zone */
	atomic_bool armed;
} busy;

static _Atomic(uint32_t) last_self; /* ids are never used twice */
static _Thread_local uint32_t self_id, cpu_id;

static uint32_t op_self(void *ctx)
{
	(void)ctx;
	if (!self_id)
		self_id = atomic_fetch_add(&last_self, 1) + 1;
	return self_id;
}

static uint32_t op_cpu(void *ctx)
{
	(void)ctx;
	return cpu_id;
}

static void stop_here(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)pfa;
	(void)zone;
	if (!atomic_exchange(&busy.armed, false))
		return;
	pthread_barrier_wait(&busy.held);
	pthread_barrier_wait(&busy.done);
}

static void *holder(void *arg)
{
	(void)arg;
	cpu_id = 1;
	MUST_EQ(busy.hold(busy.rig.pfa), PFA_OK);
	return NULL;
}

static pthread_t hold(int (*what)(struct pfa *))
{
	pthread_t thread;
	busy.hold = what;
	atomic_store(&busy.armed, true);
	MUST_EQ(pthread_create(&thread, NULL, holder, NULL), 0);
	pthread_barrier_wait(&busy.held);
	return thread;
}

static void let_go(pthread_t thread)
{
	pthread_barrier_wait(&busy.done);
	MUST_EQ(pthread_join(thread, NULL), 0);
}

static void prepare(uint32_t cache_high)
{
	memset(&busy, 0, sizeof(busy));
	rig_init(&busy.rig);
	busy.rig.os.cpu = op_cpu;
	if (rig_cpu_way == RIG_CPU_OFFSET)
		busy.rig.cfg.cpu_offset = rig_cpu_offset(&cpu_id);
	busy.rig.os.self = op_self; /* no wait op: it cannot wait */
	busy.rig.cfg.flags |= PFA_CONFIG_NO_SHADOW; /* with hooks, frees wait before they claim */
	busy.rig.cfg.nr_cpus = 2;
	busy.rig.cfg.cache_high = cache_high;
	busy.rig.now_ns = 1;
	rig_zone(&busy.rig, 0, FRAMES);
}

static void go(void)
{
	rig_start(&busy.rig);
	MUST_EQ(pthread_barrier_init(&busy.held, NULL, 2), 0);
	MUST_EQ(pthread_barrier_init(&busy.done, NULL, 2), 0);
	pfa_debug_on_unlock(busy.rig.pfa, stop_here, NULL);
}

static void start(uint32_t cache_high)
{
	prepare(cache_high);
	go();
}

static void stop(void)
{
	rig_stop(&busy.rig);
	MUST_EQ(pthread_barrier_destroy(&busy.held), 0);
	MUST_EQ(pthread_barrier_destroy(&busy.done), 0);
}

/* Past the caches: holds the zone's lock only. */
static int hold_zone(struct pfa *pfa)
{
	pfa_pfn pfn;
	int err = pfa_alloc_window(pfa, 0, PFA_MOVABLE, (struct pfa_run){500, 1}, &pfn);
	return err ? err : pfa_free(pfa, pfn, 0);
}

/* A refill: holds cpu 1's cache and the zone. */
static int hold_cache(struct pfa *pfa)
{
	pfa_pfn pfn;
	int err = pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn);
	return err ? err : pfa_free(pfa, pfn, 0);
}

static void write_nothing(void *ctx, const char *bytes, size_t nr)
{
	(void)ctx;
	(void)bytes;
	(void)nr;
}

static void test_zone_is_busy(void **state)
{
	(void)state;
	struct pfa_zone_stats zs;
	struct pfa_frame_info info;
	struct pfa_pageblock_info pb;
	struct pfa_violation v;
	pfa_pfn pfn, live;
	start(8);
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_alloc, PFA_OK, pfa, 6, PFA_MOVABLE, &live);
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_UNMOVABLE, &pfn); /* something to drain on cpu 0 */
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
	pthread_t thread = hold(hold_zone);
	EXPECT(pfa_frame_info, PFA_EBUSY, pfa, 5, &info);
	EXPECT(pfa_pageblock_info, PFA_EBUSY, pfa, 5, &pb);
	EXPECT(pfa_zone_stats_get, PFA_EBUSY, pfa, 0, &zs, sizeof(zs));
	EXPECT(pfa_check, PFA_EBUSY, pfa, 0, &v);
	EXPECT(pfa_check_range, PFA_EBUSY, pfa, ((struct pfa_run){0, 64}), 0, &v);
	for (int what = 0; what < PFA_PRINT_LIVE; what++)
		EXPECT(pfa_print, PFA_EBUSY, pfa, (enum pfa_print_what)what, write_nothing, NULL);
	EXPECT(pfa_print, PFA_OK, pfa, PFA_PRINT_LIVE, write_nothing, NULL); /* looks at the frame bytes only */
	EXPECT(pfa_repair, PFA_EBUSY, pfa, 0, NULL);
	EXPECT(pfa_cache_drain, PFA_EBUSY, pfa, 0);
	EXPECT(pfa_cache_purge, PFA_EBUSY, pfa, pfn);
	EXPECT(pfa_cache_disable, PFA_EBUSY, pfa);
	EXPECT(pfa_cache_enable, PFA_EINVAL, pfa); /* it was not disabled */
	/* What needs no zone goes on. */
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_UNMOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
	EXPECT(pfa_split, PFA_OK, pfa, live, 6, 5);
	let_go(thread);
	EXPECT(pfa_cache_drain, PFA_OK, pfa, 0);
	EXPECT(pfa_free_range, PFA_OK, pfa, live, 64);
	stop();
}

/* Requests and frees back out, too: nothing is lost. */
static void test_requests_back_out(void **state)
{
	(void)state;
	pfa_pfn pfn = 0, live;
	start(PFA_EXPLICIT_0);
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_alloc, PFA_OK, pfa, 3, PFA_MOVABLE, &live);
	pthread_t thread = hold(hold_zone);
	int err[] = {pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn), pfa_free(pfa, live, 3),
	             pfa_alloc_exact(pfa, 3, 0, PFA_MOVABLE, &pfn), pfa_free_range(pfa, live, 8),
	             pfa_alloc_window(pfa, 0, PFA_MOVABLE, (struct pfa_run){0, FRAMES}, &pfn),
	             pfa_would_succeed(pfa, 0, PFA_MOVABLE)};
	for (size_t i = 0; i < sizeof(err) / sizeof(err[0]); i++)
		assert_true(err[i] == PFA_EBUSY || err[i] == PFA_EDEADLK);
	let_go(thread);
	assert_int_equal(rig_stats(&busy.rig, 0).allocated, 8);
	rig_check(&busy.rig);
	EXPECT(pfa_free, PFA_OK, pfa, live, 3);
	stop();
}

static void test_cache_is_busy(void **state)
{
	(void)state;
	struct pfa_zone_stats zs;
	pfa_pfn pfn;
	start(8);
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_MOVABLE, &pfn);
	pthread_t thread = hold(hold_cache);
	EXPECT(pfa_cache_drain, PFA_EBUSY, pfa, 1);
	EXPECT(pfa_cache_drain, PFA_EBUSY, pfa, PFA_ALL_CPUS);
	EXPECT(pfa_zone_stats_get, PFA_EBUSY, pfa, 0, &zs, sizeof(zs));
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0); /* our own cache is free */
	let_go(thread);
	assert_int_equal(rig_stats(&busy.rig, 0).allocated, 0);
	stop();
}

/* Disabling holds the set of all caches; enabling meanwhile cannot wait. */
static void test_set_is_busy(void **state)
{
	(void)state;
	pfa_pfn pfn;
	start(8);
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
	pthread_t thread = hold(pfa_cache_disable);
	EXPECT(pfa_cache_enable, PFA_EBUSY, pfa);
	EXPECT(pfa_cache_disable, PFA_EBUSY, pfa);
	let_go(thread);
	EXPECT(pfa_cache_enable, PFA_OK, pfa);
	EXPECT(pfa_cache_enable, PFA_EINVAL, pfa);
	stop();
}

static int serve(struct pfa *pfa)
{
	int err = PFA_EAGAIN;
	for (unsigned i = 0; i < 100 && atomic_load(&busy.armed); i++) {
		err = pfa_service(pfa, 10, NULL);
		if (err != PFA_OK && err != PFA_EAGAIN)
			return err;
		busy.rig.now_ns += PFA_SERVICE_IDLE_NS;
	}
	return PFA_OK;
}

static void test_service_is_busy(void **state)
{
	(void)state;
	pfa_pfn pfn;
	start(8);
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
	pthread_t thread = hold(serve); /* stopped while it drains cpu 0 */
	EXPECT(pfa_service, PFA_EBUSY, pfa, 1, NULL);
	let_go(thread);
	EXPECT(pfa_service, PFA_OK, pfa, 10, NULL);
	stop();
}

static uint32_t request_flags;
static pfa_pfn request_pfn;

static int hold_request(struct pfa *pfa)
{
	return pfa_alloc(pfa, 0, request_flags, &request_pfn);
}

/* Zone 0 has nothing but what cpu 0's cache holds, zone 1 is below its mark. While a request of cpu 1's is past zone 0
 * that cache is drained: the request meets empty caches then, and must not fail, for the frames are free. */
static void test_drained_behind_a_request(void **state)
{
	(void)state;
	static pfa_pfn pfns[FRAMES];
	const uint32_t flags[] = {PFA_MOVABLE, PFA_MOVABLE | PFA_NOWAIT, PFA_MOVABLE | PFA_NORETRY};
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		prepare(32);
		struct pfa_zone_config *below = rig_zone(&busy.rig, FRAMES, FRAMES);
		below->mark_min = below->mark_low = below->mark_high = FRAMES;
		go();
		struct pfa *pfa = busy.rig.pfa;
		size_t nr = rig_take_all(&busy.rig, 0, PFA_MOVABLE, PFA_ENOMEM, pfns, FRAMES);
		assert_int_equal(nr, FRAMES);
		for (unsigned k = 0; k < 8; k++)
			EXPECT(pfa_free, PFA_OK, pfa, pfns[k], 0);
		assert_int_equal(rig_stats(&busy.rig, 0).cached, 8);
		request_flags = flags[i];
		pthread_t thread = hold(hold_request); /* in zone 1 now */
		EXPECT(pfa_cache_drain, PFA_OK, pfa, 0);
		let_go(thread); /* and it was served */
		assert_true(request_pfn < FRAMES);
		assert_int_equal(rig_stats(&busy.rig, 0).allocated, FRAMES - 7);
		EXPECT(pfa_free, PFA_OK, pfa, request_pfn, 0);
		for (size_t k = 8; k < nr; k++)
			EXPECT(pfa_free, PFA_OK, pfa, pfns[k], 0);
		stop();
	}
}

/* Blocks on both sides of the seam of two zones; it stops in zone 0, with all of them claimed. */
static int hold_range(struct pfa *pfa)
{
	return pfa_free_range(pfa, FRAMES - 16, 32);
}

/* Blocks that are claimed for a range look inside as ever: a free of a frame in one is told as that, and a running
 * check, which compares heads before and after it looks inside, takes no offence. */
static void test_inside_of_a_claimed_range(void **state)
{
	(void)state;
	pfa_pfn pfn;
	prepare(PFA_EXPLICIT_0);
	rig_zone(&busy.rig, FRAMES, FRAMES);
	go();
	struct pfa *pfa = busy.rig.pfa;
	for (pfa_pfn at = FRAMES - 16; at <= FRAMES; at += 16)
		EXPECT(pfa_alloc_window, PFA_OK, pfa, 4, PFA_MOVABLE, ((struct pfa_run){at, 16}), &pfn);
	const unsigned char *bytes = rig_region(&busy.rig, "frame_bytes", NULL);
	const unsigned char inside = bytes[FRAMES + 8];
	pthread_t thread = hold(hold_range);
	for (pfa_pfn at = FRAMES - 16; at < FRAMES + 16; at++)
		if (at % 16)
			assert_int_equal(bytes[at], inside);
	EXPECT(pfa_free, PFA_EMISUSE, pfa, FRAMES + 1, 0);
	assert_int_equal(busy.rig.fault.kind, PFA_FAULT_TAIL);
	EXPECT(pfa_free, PFA_EMISUSE, pfa, FRAMES, 4);
	assert_int_equal(busy.rig.fault.kind, PFA_FAULT_DOUBLE_FREE_RACE);
	let_go(thread);
	assert_int_equal(busy.rig.fault.nr, 2);
	assert_int_equal(rig_stats(&busy.rig, 1).free, FRAMES);
	stop();
}

static unsigned ops_called;

static int busy_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)head, (void)order, (void)cookie, (void)mode;
	ops_called++;
	return PFA_OK;
}

static int busy_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)src, (void)order, (void)cookie, (void)mode;
	*(pfa_pfn *)ctx = dst;
	return PFA_OK;
}

static void busy_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx, (void)head, (void)order, (void)cookie;
	ops_called++;
}

/* Nothing is moved, nothing freed; a pin and a page lock stay, and can be given up later. Nobody says how fragmented it is. */
static void test_movers_back_out(void **state)
{
	(void)state;
	static const struct pfa_owner_ops ops = {sizeof(ops), busy_isolate, busy_migrate, busy_putback};
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
	enum { MOVED, PINNED, LOCKED, BLOCKS };
	struct pfa_compact_stats stats;
	pfa_pfn head[BLOCKS], pfn;
	pfa_owner owner;
	int moved;
	prepare(PFA_EXPLICIT_0);
	busy.rig.cfg.max_owners = 1;
	go();
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_owner_create, PFA_OK, pfa, &ops, &head[MOVED], &owner);
	for (unsigned i = 0; i < BLOCKS; i++) {
		EXPECT(pfa_alloc, PFA_OK, pfa, 2, PFA_MOVABLE, &head[i]);
		EXPECT(pfa_movable_set, PFA_OK, pfa, head[i], owner, i);
	}
	EXPECT(pfa_pin, PFA_OK, pfa, head[PINNED]);
	EXPECT(pfa_page_lock, PFA_OK, pfa, head[LOCKED]);
	EXPECT(pfa_free, PFA_OK, pfa, head[PINNED], 2);
	EXPECT(pfa_free, PFA_OK, pfa, head[LOCKED], 2);
	pthread_t thread = hold(hold_zone);
	ops_called = 0;
	EXPECT(pfa_compact, PFA_EBUSY, pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &stats);
	assert_int_equal(stats.index_before, PFA_INDEX_UNKNOWN);
	assert_int_equal(stats.index_after, PFA_INDEX_UNKNOWN);
	assert_int_equal(stats.steps + stats.met, 0);
	EXPECT(pfa_migrate, PFA_EAGAIN, pfa, head, 1, &dest, &moved);
	assert_int_equal(moved, PFA_EBUSY);
	/* What pfa.h says of everything, and not of each function. */
	assert_int_equal(pfa_alloc(pfa, 5, PFA_MOVABLE | PFA_COMPACT, &pfn), PFA_EBUSY);
	assert_int_equal(pfa_free(pfa, head[MOVED], 2), PFA_EBUSY);
	assert_int_equal(pfa_unpin(pfa, head[PINNED]), PFA_EBUSY);
	assert_int_equal(pfa_page_unlock(pfa, head[LOCKED]), PFA_EBUSY);
	assert_int_equal(ops_called, 0);
	EXPECT(pfa_owner_destroy, PFA_EBUSY, pfa, owner);
	let_go(thread);
	assert_int_equal(rig_stats(&busy.rig, 0).allocated, BLOCKS * 4);
	EXPECT(pfa_migrate, PFA_OK, pfa, head, 1, &dest, &moved);
	EXPECT(pfa_free, PFA_OK, pfa, head[MOVED], 2);
	EXPECT(pfa_owner_destroy, PFA_EBUSY, pfa, owner); /* the lock's holder, who is we, would have to be waited for */
	EXPECT(pfa_unpin, PFA_OK, pfa, head[PINNED]);
	EXPECT(pfa_page_unlock, PFA_OK, pfa, head[LOCKED]);
	EXPECT(pfa_compact, PFA_OK, pfa, 0, PFA_COMPACT_ALL, PFA_MIGRATE_SYNC, &stats);
	assert_true(stats.index_before <= 1000 && stats.index_after <= 1000);
	EXPECT(pfa_owner_destroy, PFA_OK, pfa, owner);
	rig_check(&busy.rig);
	assert_int_equal(rig_stats(&busy.rig, 0).allocated, 0);
	stop();
}

/* Nothing is held, nothing taken; what is held stays so. */
static void test_ranges_back_out(void **state)
{
	(void)state;
	struct pfa_blocker why;
	pfa_token token, held;
	for (unsigned cache = 0; cache < 2; cache++) {
		prepare(cache ? 0 : PFA_EXPLICIT_0);
		go();
		struct pfa *pfa = busy.rig.pfa;
		const pfa_pfn start = busy.rig.zones[0].start;
		EXPECT(pfa_isolate_range, PFA_OK, pfa, start, start + 1, 0, &held, &why);
		const pfa_pfn whole = (start + 3 * PB) / PB * PB;
		pfa_cma area;
		EXPECT(pfa_cma_create, PFA_OK, pfa, whole, PB, 0, &area, &why);
		pthread_t thread = hold(cache ? hold_cache : hold_zone);
		EXPECT(pfa_cma_create, PFA_EBUSY, pfa, whole + PB, PB, 0, &(pfa_cma){0}, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_BUSY);
		EXPECT(pfa_isolate_range, PFA_EBUSY, pfa, start + 70, start + 71, 0, &token, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_BUSY);
		EXPECT(pfa_alloc_contig_range, PFA_EBUSY, pfa, start + 70, start + 71, 0, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_BUSY);
		if (!cache) {
			pfa_pfn pfn;
			EXPECT(pfa_alloc_contig, PFA_EBUSY, pfa, 4, 1, PFA_EXACT_ZONE, &pfn);
			struct pfa_cma_stats stats = {.size = sizeof(stats)};
			EXPECT(pfa_cma_alloc, PFA_EBUSY, pfa, area, 4, 1, 0, &pfn);
			EXPECT(pfa_cma_stats, PFA_EBUSY, pfa, area, &stats);
			EXPECT(pfa_cma_destroy, PFA_EBUSY, pfa, area);
			EXPECT(pfa_undo_isolate_range, PFA_EBUSY, pfa, start, start + 1, held);
			EXPECT(pfa_test_isolated, PFA_EBUSY, pfa, start, start + 1, held, &why);
		}
		EXPECT(pfa_offline_range, PFA_EBUSY, pfa, start + 70, 3, 0, &why);
		assert_int_equal(why.reason, PFA_BLOCKER_BUSY);
		if (!cache)
			EXPECT(pfa_online_range, PFA_EBUSY, pfa, start + 70, 3, &why);
		let_go(thread);
		assert_int_equal(rig_stats(&busy.rig, 0).offline, 0);
		assert_int_equal(rig_stats(&busy.rig, 0).held_pageblocks, 1);
		EXPECT(pfa_alloc_contig_range, PFA_OK, pfa, start + 70, start + 71, 0, &why);
		EXPECT(pfa_free_contig_range, PFA_OK, pfa, start + 70, 1);
		EXPECT(pfa_undo_isolate_range, PFA_OK, pfa, start, start + 1, held);
		EXPECT(pfa_cma_destroy, PFA_OK, pfa, area);
		stop();
	}
}

/* Once, somebody cannot have the zone's lock while a call has it, so that the call wakes them when it has let go: then `meanwhile` runs,
 * in another thread, as what happens between two holds of the lock. */
static struct {
	void *(*meanwhile)(void *pfa);
	unsigned later; /* not at the first time, but so many times later */
	bool contended, woken;
} gap;

static void *contend(void *arg)
{
	pfa_token token;
	MUST_EQ(pfa_isolate_range(arg, 0, 1, 0, &token, NULL), PFA_EBUSY);
	return NULL;
}

static void in_a_thread(void *(*what)(void *), struct pfa *pfa)
{
	pthread_t thread;
	MUST_EQ(pthread_create(&thread, NULL, what, pfa), 0);
	MUST_EQ(pthread_join(thread, NULL), 0);
}

static void gap_unlocks(void *ctx, struct pfa *pfa, unsigned zone)
{
	(void)ctx;
	(void)zone;
	if (gap.contended || !gap.meanwhile || gap.later-- > 0)
		return;
	gap.contended = true;
	in_a_thread(contend, pfa);
}

static void gap_wakes(void *ctx, const void *word)
{
	(void)ctx;
	(void)word;
	if (!gap.contended || gap.woken)
		return;
	gap.woken = true;
	in_a_thread(gap.meanwhile, busy.rig.pfa);
}

static struct pfa *gap_start(uint32_t cache_high)
{
	prepare(cache_high);
	busy.rig.os.wake = gap_wakes;
	rig_start(&busy.rig);
	memset(&gap, 0, sizeof(gap));
	pfa_debug_on_unlock(busy.rig.pfa, gap_unlocks, NULL);
	return busy.rig.pfa;
}

/* Two undos with one token: the second comes and goes after the first has looked whose the pageblocks are, and another caller isolates one
 * of them. */
static struct {
	pfa_pfn start, end, again; /* again: what the third caller isolates */
	pfa_token token, third;
} undo;

static void *undo_other(void *arg)
{
	MUST_EQ(pfa_undo_isolate_range(arg, undo.start, undo.end, undo.token), PFA_OK);
	MUST_EQ(pfa_isolate_range(arg, undo.again, undo.again + 1, 0, &undo.third, NULL), PFA_OK);
	return NULL;
}

static void test_two_undos(void **state)
{
	(void)state;
	for (unsigned nr = 1; nr <= 3; nr++) {
		for (unsigned third = 0; third < nr; third++) {
			pfa_pfn pfn;
			struct pfa *pfa = gap_start(PFA_EXPLICIT_0);
			memset(&undo, 0, sizeof(undo));
			undo.start = PB;
			undo.end = undo.start + nr * PB;
			undo.again = undo.start + third * PB;
			EXPECT(pfa_alloc_window, PFA_OK, pfa, 0, PFA_MOVABLE, ((struct pfa_run){undo.again + 7, 1}), &pfn);
			EXPECT(pfa_isolate_range, PFA_OK, pfa, undo.start, undo.end, 0, &undo.token, NULL);
			gap.meanwhile = undo_other;
			EXPECT(pfa_undo_isolate_range, PFA_EMISUSE, pfa, undo.start, undo.end, undo.token);
			assert_true(gap.woken);
			assert_int_equal(busy.rig.fault.kind, PFA_FAULT_NOT_HELD);
			assert_int_equal(busy.rig.fault.pfn, undo.start);
			assert_int_equal(busy.rig.fault.nr, 1);
			assert_int_equal(rig_stats(&busy.rig, 0).held_pageblocks, 1);
			rig_check(&busy.rig);
			EXPECT(pfa_undo_isolate_range, PFA_OK, pfa, undo.again, undo.again + 1, undo.third);
			EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
			rig_stop(&busy.rig);
		}
	}
}

/* cpu 1 uses its cache, and the zone's lock is free. */
static void *isolate_past_a_cache(void *arg)
{
	struct pfa_blocker why;
	pfa_token token;
	int code = pfa_isolate_range(arg, 5 * PB, 6 * PB, PFA_NOWAIT, &token, &why);
	rig_expect("pfa_isolate_range", PFA_EAGAIN, code, __FILE__, __LINE__);
	MUST_EQ(why.reason, PFA_BLOCKER_BUSY);
	MUST_EQ(pfa_isolate_range(arg, 5 * PB, 6 * PB, 0, &token, &why), PFA_EBUSY);
	/* These need every frame to be free, wherever: no cache has to be asked. */
	MUST_EQ(pfa_alloc_contig_range(arg, 9 * PB, 10 * PB, PFA_NOWAIT, &why), PFA_OK);
	MUST_EQ(pfa_alloc_contig_range(arg, 5 * PB, 6 * PB, PFA_NOWAIT, &why), PFA_EAGAIN);
	return NULL;
}

/* What is in a cache that is in use may be granted at any time: nothing is isolated as long as it was not looked at. */
static void test_isolate_skips_no_cache(void **state)
{
	(void)state;
	struct pfa_blocker why;
	pfa_token token;
	pfa_pfn pfn, other;
	struct pfa *pfa = gap_start(8);
	EXPECT(pfa_alloc_window, PFA_OK, pfa, 0, PFA_MOVABLE, ((struct pfa_run){5 * PB + 7, 1}), &pfn);
	cpu_id = 1;
	EXPECT(pfa_free, PFA_OK, pfa, pfn, 0);
	gap.meanwhile = isolate_past_a_cache;
	EXPECT(pfa_alloc, PFA_OK, pfa, 0, PFA_UNMOVABLE, &other); /* a refill */
	cpu_id = 0;
	assert_true(gap.woken);
	assert_int_equal(rig_stats(&busy.rig, 0).held_pageblocks, 0);
	EXPECT(pfa_isolate_range, PFA_OK, pfa, 5 * PB, 6 * PB, PFA_NOWAIT, &token, &why);
	assert_int_equal(rig_stats(&busy.rig, 0).free_isolated, PB);
	rig_check(&busy.rig);
	EXPECT(pfa_undo_isolate_range, PFA_OK, pfa, 5 * PB, 6 * PB, token);
	EXPECT(pfa_free_contig_range, PFA_OK, pfa, 9 * PB, PB);
	EXPECT(pfa_free, PFA_OK, pfa, other, 0);
	rig_stop(&busy.rig);
}

/* ---- an area whose last taker ends just when another call waits for it ---------------------------------------------- */

static struct {
	pfa_cma area;
	pthread_t thread;
	atomic_bool moving, waiting;
} taker;

static int taker_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)src, (void)order, (void)mode;
	((pfa_pfn *)ctx)[cookie] = dst;
	if (!atomic_exchange(&taker.moving, true)) {
		pthread_barrier_wait(&busy.held);
		pthread_barrier_wait(&busy.done);
	}
	return PFA_OK;
}

static void *take_half(void *arg)
{
	pfa_pfn pfn;
	cpu_id = 1;
	MUST_EQ(pfa_cma_alloc(busy.rig.pfa, taker.area, PB / 2, PB / 2, 0, &pfn), PFA_OK);
	*(pfa_pfn *)arg = pfn;
	return NULL;
}

/* The clock is asked for by who waits, and has seen that nobody has ended yet. */
static uint64_t now_while_it_ends(void *ctx)
{
	(void)ctx;
	if (atomic_load(&taker.moving) && !atomic_exchange(&taker.waiting, true))
		let_go(taker.thread);
	return 1;
}

static void test_taker_ends(void **state)
{
	(void)state;
	static const struct pfa_owner_ops ops = {sizeof(ops), busy_isolate, taker_migrate, busy_putback};
	const struct pfa_run run = {4 * PB, PB};
	pfa_owner owner;
	pfa_pfn heads[2], pfn, half;
	prepare(PFA_EXPLICIT_0);
	busy.rig.cfg.max_owners = 1;
	busy.rig.os.now_ns = now_while_it_ends;
	busy.rig.cfg.pageblock_order = 6;
	taker.moving = taker.waiting = false;
	go();
	struct pfa *pfa = busy.rig.pfa;
	EXPECT(pfa_owner_create, PFA_OK, pfa, &ops, heads, &owner);
	EXPECT(pfa_cma_create, PFA_OK, pfa, run.first, run.nr_frames, 0, &taker.area, NULL);
	for (unsigned i = 0; i < 2; i++) { /* so that no half of it is free */
		EXPECT(pfa_alloc_window, PFA_OK, pfa, 0, PFA_MOVABLE, ((struct pfa_run){run.first + PB / 2 * i + 7, 1}), &heads[i]);
		EXPECT(pfa_movable_set, PFA_OK, pfa, heads[i], owner, i);
	}
	MUST_EQ(pthread_create(&taker.thread, NULL, take_half, &half), 0);
	pthread_barrier_wait(&busy.held);
	EXPECT(pfa_cma_alloc, PFA_OK, pfa, taker.area, 1, 1, 0, &pfn);
	assert_true(atomic_load(&taker.waiting));
	EXPECT(pfa_cma_release, PFA_OK, pfa, taker.area, pfn, 1);
	EXPECT(pfa_cma_release, PFA_OK, pfa, taker.area, half, PB / 2);
	for (unsigned i = 0; i < 2; i++)
		EXPECT(pfa_free, PFA_OK, pfa, heads[i], 0);
	stop();
}

static int freed;

static void *free_what_goes_offline(void *arg)
{
	freed = pfa_free(arg, 5 * PB + 7, 0);
	return NULL;
}

/* Somebody frees a frame that is not his, as soon as it is taken to go offline: it is free or offline, and the call says what it met. */
static void test_freed_while_it_goes_offline(void **state)
{
	(void)state;
	unsigned won = 0;
	bool woken = RIG_HARDENED; /* else misuse is undefined */
	for (unsigned later = 0; woken; later++) {
		struct pfa_blocker why;
		struct pfa_repair repaired = {.size = sizeof(repaired)};
		struct pfa *pfa = gap_start(PFA_EXPLICIT_0);
		gap.later = later;
		gap.meanwhile = free_what_goes_offline;
		int code = pfa_offline_range(pfa, 5 * PB, PB, 0, &why);
		woken = gap.woken;
		gap.meanwhile = NULL;
		if (woken && freed == PFA_OK) {
			won++;
			rig_expect("pfa_offline_range", PFA_ECORRUPT, code, __FILE__, __LINE__);
			EXPECT(pfa_repair, PFA_OK, pfa, PFA_REPAIR_QUIESCENT, &repaired);
			assert_int_equal(rig_stats(&busy.rig, 0).offline, PB - 1);
		} else {
			MUST_EQ(code, PFA_OK);
			assert_int_equal(rig_stats(&busy.rig, 0).offline, PB);
		}
		rig_check(&busy.rig);
		rig_drop(&busy.rig);
	}
	assert_true(won > 0 || !RIG_HARDENED);
}

static const struct unit_test tests[] = {
	TEST(test_zone_is_busy), TEST(test_requests_back_out), TEST(test_cache_is_busy), TEST(test_set_is_busy),
	TEST(test_service_is_busy), TEST(test_drained_behind_a_request), TEST(test_inside_of_a_claimed_range),
	TEST(test_movers_back_out), TEST(test_ranges_back_out), TEST(test_two_undos),
	TEST(test_isolate_skips_no_cache), TEST(test_freed_while_it_goes_offline), TEST(test_taker_ends),
};
UNIT_MAIN(tests)
