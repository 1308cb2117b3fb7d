/* SPDX-License-Identifier: MIT
 *
 * The mapped arena, both ways of holding writers back: pointers stay valid, no write is lost, pinned ranges stay. Threads that
 * write all the time count exactly.
 */
#include "posix_rig.h"

#include <pfa/mapped.h>

enum { FRAMES = 1024 };

struct scene {
	struct pfa_posix posix;
	struct pfa_platform os;
	struct pfa_mapped_config cfg;
	struct pfa_mapped *arena;
	size_t unit;
	unsigned nr_takes;
};

static enum pfa_mapped_way ways[2];
static unsigned nr_ways;
/* cmocka puts a handler of SIGSEGV of its own over what it finds, for each test; the library's must be on top. */
static struct sigaction handler;

static void start(struct scene *s, enum pfa_mapped_way way, unsigned order)
{
	struct pfa_zone_config zone = {.size = sizeof(zone), .start = 7, .nr_frames = FRAMES};
	struct pfa_config cfg;
	unsigned shift = 12;

	while ((size_t)1 << shift < system_page())
		shift++;
	memset(s, 0, sizeof(*s));
	pfa_config_init(&cfg);
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.frame_shift = shift;
	cfg.max_owners = 2;
	assert_int_equal(pfa_posix_create(&s->posix, &cfg, PFA_POSIX_MEMFD), PFA_OK);
	pfa_posix_platform(&s->os);
	s->cfg = (struct pfa_mapped_config){.size = sizeof(s->cfg), .pfa = s->posix.pfa, .platform = &s->os,
	                                    .fd = s->posix.pool.fd, .pool_pfn = s->posix.pool_pfn, .frame_shift = shift,
	                                    .order = order, .nr_units = FRAMES, .way = way};
	s->unit = (size_t)1 << (shift + order);
	assert_int_equal(pfa_mapped_create(&s->cfg, &s->arena), PFA_OK);
	assert_int_equal(pfa_mapped_way_of(s->arena), way);
	if (handler.sa_flags & SA_SIGINFO)
		assert_int_equal(sigaction(SIGSEGV, &handler, NULL), 0);
}

static void stop(struct scene *s)
{
	struct pfa_violation violation;
	assert_int_equal(pfa_mapped_destroy(s->arena), PFA_OK);
	assert_int_equal(pfa_check(s->posix.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation), PFA_OK);
	assert_int_equal(pfa_posix_destroy(&s->posix), PFA_OK);
}

static struct pfa_dest to_movable(void)
{
	return (struct pfa_dest){.size = sizeof(struct pfa_dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
}

static size_t allocated(struct scene *s)
{
	struct pfa_zone_stats stats;
	assert_int_equal(pfa_zone_stats_get(s->posix.pfa, 0, &stats, sizeof(stats)), PFA_OK);
	return stats.allocated;
}

/* A destination policy that lets other threads run: in a batch, while units are read-only. */
static int yielding_take(void *ctx, pfa_pfn src, unsigned order, pfa_pfn *out)
{
	struct scene *s = ctx;
	(void)src;
	if (s->nr_takes++ % 16 == 3) /* a turn of all others is long where there are few processors */
		(void)sched_yield();
	return pfa_alloc(s->posix.pfa, order, PFA_MOVABLE, out);
}

static struct pfa_dest to_yielding(struct scene *s)
{
	return (struct pfa_dest){.size = sizeof(struct pfa_dest), .mode = PFA_MIGRATE_SYNC, .take = yielding_take, .ctx = s};
}

/* ---- one thread ---- */

static void test_content_stays(void **state)
{
	(void)state;
	for (unsigned w = 0; w < nr_ways; w++) {
		for (unsigned order = 0; order < 3; order++) {
			struct scene s;
			const struct pfa_dest dest = to_movable();
			unsigned char *bytes;
			size_t moved;
			pfa_pfn before[20], after;
			void *memory;
			start(&s, ways[w], order);
			assert_int_equal(pfa_mapped_alloc(s.arena, 20 * s.unit - 100, PFA_MOVABLE | PFA_ZERO, &memory), PFA_OK);
			bytes = memory;
			for (size_t i = 0; i < 20 * s.unit; i++)
				assert_int_equal(bytes[i], 0);
			for (size_t i = 0; i < 20 * s.unit; i++)
				bytes[i] = (unsigned char)(i * 7 + i / 4096);
			for (unsigned i = 0; i < 20; i++)
				assert_int_equal(pfa_mapped_head(s.arena, bytes + i * s.unit, &before[i]), PFA_OK);
			for (unsigned round = 0; round < 3; round++) {
				assert_int_equal(pfa_mapped_move(s.arena, bytes, 20 * s.unit, &dest, &moved), PFA_OK);
				assert_int_equal(moved, 20);
				for (size_t i = 0; i < 20 * s.unit; i++)
					if (bytes[i] != (unsigned char)(i * 7 + i / 4096 + round))
						fail_msg("byte %zu", i);
				for (size_t i = 0; i < 20 * s.unit; i++)
					bytes[i]++;
			}
			assert_int_equal(allocated(&s), (size_t)20 << order);
			unsigned stayed = 0;
			for (unsigned i = 0; i < 20; i++) {
				assert_int_equal(pfa_mapped_head(s.arena, bytes + i * s.unit, &after), PFA_OK);
				stayed += after == before[i]; /* it may have come back to where it was */
			}
			assert_true(stayed < 20);
			struct pfa_mapped_stats stats;
			pfa_mapped_stats_get(s.arena, &stats);
			assert_int_equal(stats.moves, 60);
			assert_int_equal(stats.refused, 0);
			assert_true(stats.protects <= 12); /* several units a call */
			assert_int_equal(pfa_mapped_free(s.arena, memory, 20 * s.unit), PFA_OK);
			assert_int_equal(allocated(&s), 0);
			stop(&s);
		}
	}
}

static void test_parts(void **state)
{
	(void)state;
	for (unsigned w = 0; w < nr_ways; w++) {
		struct scene s;
		void *memory, *more;
		pfa_pfn pfn;
		start(&s, ways[w], 0);
		assert_int_equal(pfa_mapped_alloc(s.arena, 10 * s.unit, PFA_MOVABLE, &memory), PFA_OK);
		memset(memory, 1, 10 * s.unit);
		unsigned char *bytes = memory;
		/* free in the middle, and again what is there */
		assert_int_equal(pfa_mapped_free(s.arena, bytes + 3 * s.unit, 2 * s.unit), PFA_OK);
		assert_int_equal(pfa_mapped_free(s.arena, bytes + 3 * s.unit, 2 * s.unit), PFA_EINVAL);
		assert_int_equal(pfa_mapped_free(s.arena, bytes, 10 * s.unit), PFA_EINVAL);
		assert_int_equal(pfa_mapped_free(s.arena, bytes + 1, 1), PFA_EINVAL);
		assert_int_equal(pfa_mapped_free(s.arena, &s, 1), PFA_EINVAL);
		assert_int_equal(pfa_mapped_free(s.arena, bytes, 0), PFA_EINVAL);
		assert_int_equal(pfa_mapped_head(s.arena, bytes + 3 * s.unit, &pfn), PFA_EINVAL);
		assert_int_equal(pfa_mapped_head(s.arena, bytes + 5 * s.unit + 17, &pfn), PFA_OK);
		assert_int_equal(allocated(&s), 8);
		assert_false(is_readable(bytes + 3 * s.unit));
		/* the hole is used again */
		assert_int_equal(pfa_mapped_alloc(s.arena, 2 * s.unit, PFA_MOVABLE, &more), PFA_OK);
		assert_ptr_equal(more, bytes + 3 * s.unit);
		memset(more, 2, 2 * s.unit);
		assert_int_equal(bytes[3 * s.unit - 1], 1);
		assert_int_equal(bytes[5 * s.unit], 1);
		assert_int_equal(pfa_mapped_alloc(s.arena, 0, PFA_MOVABLE, &more), PFA_EINVAL);
		assert_int_equal(pfa_mapped_alloc(s.arena, s.unit, 1u << 23, &more), PFA_EINVAL);
		assert_int_equal(pfa_mapped_alloc(s.arena, (FRAMES + 1) * s.unit, PFA_MOVABLE, &more), PFA_ENOMEM);
		assert_int_equal(pfa_mapped_alloc(s.arena, SIZE_MAX, PFA_MOVABLE, &more), PFA_ENOMEM);
		/* more addresses than frames: all of it is undone */
		pfa_pfn other;
		assert_int_equal(pfa_alloc(s.posix.pfa, 0, PFA_MOVABLE, &other), PFA_OK);
		assert_int_equal(pfa_mapped_alloc(s.arena, (FRAMES - 10) * s.unit, PFA_MOVABLE, &more), PFA_ENOMEM);
		assert_int_equal(allocated(&s), 11);
		assert_int_equal(pfa_free(s.posix.pfa, other, 0), PFA_OK);
		assert_int_equal(pfa_mapped_alloc(s.arena, (FRAMES - 10) * s.unit, PFA_MOVABLE, &more), PFA_OK);
		memset(more, 3, (FRAMES - 10) * s.unit);
		assert_int_equal(pfa_mapped_destroy(s.arena), PFA_EBUSY);
		assert_int_equal(pfa_mapped_free(s.arena, more, (FRAMES - 10) * s.unit), PFA_OK);
		assert_int_equal(bytes[9 * s.unit], 1);
		assert_int_equal(pfa_mapped_free(s.arena, memory, 10 * s.unit), PFA_OK);
		stop(&s);
	}
}

static void test_pins(void **state)
{
	(void)state;
	for (unsigned w = 0; w < nr_ways; w++) {
		struct scene s;
		const struct pfa_dest dest = to_movable();
		void *memory;
		pfa_pfn before, after;
		size_t moved;
		start(&s, ways[w], 0);
		assert_int_equal(pfa_mapped_alloc(s.arena, 8 * s.unit, PFA_MOVABLE, &memory), PFA_OK);
		unsigned char *bytes = memory;
		/* one byte on both sides of a seam: two units */
		assert_int_equal(pfa_mapped_pin(s.arena, bytes + 3 * s.unit - 1, 2), PFA_OK);
		assert_int_equal(pfa_mapped_pin(s.arena, bytes + 3 * s.unit, 1), PFA_OK);
		assert_int_equal(pfa_mapped_head(s.arena, bytes + 3 * s.unit, &before), PFA_OK);
		assert_int_equal(pfa_mapped_move(s.arena, memory, 8 * s.unit, &dest, &moved), PFA_EAGAIN);
		assert_int_equal(moved, 6);
		assert_int_equal(pfa_mapped_head(s.arena, bytes + 3 * s.unit, &after), PFA_OK);
		assert_int_equal(before, after);
		assert_int_equal(pfa_mapped_free(s.arena, memory, 8 * s.unit), PFA_EBUSY);
		assert_int_equal(pfa_mapped_unpin(s.arena, bytes + 3 * s.unit - 1, 2), PFA_OK);
		assert_int_equal(pfa_mapped_move(s.arena, memory, 8 * s.unit, &dest, &moved), PFA_EAGAIN);
		assert_int_equal(moved, 7);
		assert_int_equal(pfa_mapped_unpin(s.arena, bytes + 3 * s.unit - 1, 2), PFA_EINVAL);
		assert_int_equal(pfa_mapped_unpin(s.arena, bytes + 3 * s.unit, 1), PFA_OK);
		assert_int_equal(pfa_mapped_move(s.arena, memory, 8 * s.unit, &dest, &moved), PFA_OK);
		assert_int_equal(pfa_mapped_move(s.arena, bytes + 8 * s.unit, 1, &dest, &moved), PFA_EINVAL);
		assert_int_equal(pfa_mapped_move(s.arena, memory, 0, &dest, &moved), PFA_EINVAL);
		for (unsigned i = 0; i < 65535; i++)
			assert_int_equal(pfa_mapped_pin(s.arena, bytes, 1), PFA_OK);
		assert_int_equal(pfa_mapped_pin(s.arena, bytes, 2 * s.unit), PFA_EAGAIN);
		assert_int_equal(pfa_mapped_unpin(s.arena, bytes + s.unit, 1), PFA_EINVAL);
		for (unsigned i = 0; i < 65535; i++)
			assert_int_equal(pfa_mapped_unpin(s.arena, bytes, 1), PFA_OK);
		assert_int_equal(pfa_mapped_pin(s.arena, bytes + 8 * s.unit, 1), PFA_EINVAL);
		/* A pin in a batch opens what the batch has closed: system calls may write there. */
		pfa_pfn head;
		int result, fds[2];
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(pfa_mapped_head(s.arena, bytes, &head), PFA_OK);
		pfa_mapped_batch_begin(s.arena);
		assert_int_equal(pfa_migrate(s.posix.pfa, &head, 1, &dest, &result), PFA_OK);
		assert_int_equal(pfa_mapped_pin(s.arena, bytes + 2 * s.unit, s.unit), PFA_OK);
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(read(fds[0], bytes + 2 * s.unit, 1), 1);
		assert_int_equal(pfa_mapped_unpin(s.arena, bytes + 2 * s.unit, s.unit), PFA_OK);
		if (ways[w] == PFA_MAPPED_SIGNAL) { /* the others are read-only until the end, as is said of this way */
			assert_int_equal(write(fds[1], "y", 1), 1);
			assert_int_equal(read(fds[0], bytes + 5 * s.unit, 1), -1);
			assert_int_equal(errno, EFAULT);
		} else {
			assert_int_equal(write(fds[1], "y", 1), 1);
		}
		pfa_mapped_batch_end(s.arena);
		assert_int_equal(read(fds[0], bytes + 5 * s.unit, 1), 1);
		assert_int_equal(bytes[2 * s.unit], 'x');
		assert_int_equal(bytes[5 * s.unit], 'y');
		(void)close(fds[0]);
		(void)close(fds[1]);
		assert_int_equal(pfa_mapped_free(s.arena, memory, 8 * s.unit), PFA_OK);
		stop(&s);
	}
}

static void test_configuration(void **state)
{
	struct scene s;
	struct pfa_mapped *other;
	size_t pages;
	int fd;
	(void)state;
	start(&s, ways[0], 0);
	fd = next_fd();
	pages = mapped_pages();
#define WRONG(field, value)                                                       \
	do {                                                                      \
		struct pfa_mapped_config wrong = s.cfg;                           \
		wrong.field = value;                                              \
		assert_int_equal(pfa_mapped_create(&wrong, &other), PFA_EINVAL);  \
	} while (0)
	WRONG(size, 8);
	WRONG(pfa, NULL);
	WRONG(platform, NULL);
	WRONG(fd, -1);
	WRONG(fd_offset, 1);
	WRONG(frame_shift, 6); /* less than a page of the system */
	WRONG(frame_shift, 31);
	WRONG(order, 32);
	WRONG(nr_units, 0);
	WRONG(nr_units, (size_t)1 << 31);
	WRONG(way, (enum pfa_mapped_way)3);
#undef WRONG
	assert_int_equal(pfa_mapped_create(NULL, &other), PFA_EINVAL);
	/* One owner is left, then none. */
	struct pfa_mapped *last;
	assert_int_equal(pfa_mapped_create(&s.cfg, &last), PFA_OK);
	assert_int_equal(pfa_mapped_create(&s.cfg, &other), PFA_ENOMEM);
	assert_int_equal(pfa_mapped_destroy(last), PFA_OK);
	assert_int_equal(next_fd(), fd);
	assert_int_equal(mapped_pages(), pages);
	stop(&s);
}

/* ---- faults that are not the arena's ---- */

static sigjmp_buf escape;
static volatile sig_atomic_t nr_foreign;

static void foreign(int number)
{
	(void)number;
	nr_foreign++;
	siglongjmp(escape, 1);
}

/* Installed before the first arena. */
static void test_other_faults_pass(void **state)
{
	volatile unsigned char *hole;
	struct scene s;
	void *memory;
	(void)state;
	start(&s, PFA_MAPPED_SIGNAL, 0);
	assert_int_equal(pfa_mapped_alloc(s.arena, 2 * s.unit, PFA_MOVABLE, &memory), PFA_OK);
	assert_int_equal(pfa_mapped_free(s.arena, (char *)memory + s.unit, s.unit), PFA_OK);
	hole = (unsigned char *)memory + s.unit;
	nr_foreign = 0;
	if (sigsetjmp(escape, 1) == 0)
		*hole = 1; /* freed: nobody's */
	assert_int_equal(nr_foreign, 1);
	/* A live unit that somebody else has closed is not repaired for ever. */
	assert_int_equal(mprotect(memory, s.unit, PROT_READ), 0);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile unsigned char *)memory = 1;
	assert_int_equal(nr_foreign, 2);
	assert_int_equal(pfa_mapped_free(s.arena, memory, s.unit), PFA_OK);
	stop(&s);
}

/* ---- threads ---- */

enum { WRITERS = 2, UNITS = 24, CELLS = 8, CELLS_AT = 64, OWN_AT = 192 };

struct writer {
	pthread_t thread;
	unsigned char *memory;
	size_t unit;
	unsigned index;
	uint64_t counts[UNITS][CELLS]; /* what this thread has added to each cell */
	uint64_t plain;                /* how often it has written to its own cells */
};

static atomic_bool done;
static atomic_uint nr_started;

/* In a unit: CELLS shared counters, one plain word of each writer, and one that crosses into the next unit, which only
 * writer 0 uses. */
static void *write_all_the_time(void *arg)
{
	struct writer *w = arg;
	uint32_t random = w->index + 1;
	atomic_fetch_add(&nr_started, 1);
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		random = random * 1664525u + 1013904223u;
		unsigned unit = (random >> 8) % UNITS, cell = (random >> 16) % CELLS;
		unsigned char *at = w->memory + unit * w->unit;
		atomic_fetch_add_explicit((_Atomic(uint64_t) *)(void *)(at + CELLS_AT + cell * 8), 1, memory_order_relaxed);
		w->counts[unit][cell]++;
		/* A word of this thread's own: what was stored last is what is there. */
		volatile uint64_t *own = (volatile uint64_t *)(void *)(at + OWN_AT + w->index * 8);
		uint64_t seen = *own;
		if (seen % UNITS != (seen ? unit : 0))
			return "a word of another unit";
		*own = seen + UNITS + (seen ? 0 : unit);
		if (*own != seen + UNITS + (seen ? 0 : unit))
			return "a store was lost";
		w->plain++;
		if (w->index == 0 && unit + 1 < UNITS) {
			uint64_t value = (uint64_t)random * 0x0001000100010001u;
			memcpy(at + w->unit - 4, &value, 8);
			uint64_t got;
			memcpy(&got, at + w->unit - 4, 8);
			if (got != value)
				return "a store over two units was torn";
		}
	}
	return NULL;
}

/* Reads words that always go up. */
static void *read_all_the_time(void *arg)
{
	struct writer *w = arg;
	uint64_t last[UNITS] = {0};
	atomic_fetch_add(&nr_started, 1);
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		for (unsigned unit = 0; unit < UNITS; unit++) {
			uint64_t now = atomic_load_explicit((_Atomic(uint64_t) *)(void *)(w->memory + unit * w->unit + CELLS_AT),
			                                    memory_order_relaxed);
			if (now < last[unit])
				return "a counter went back";
			last[unit] = now;
		}
	}
	return NULL;
}

static void must_count(struct scene *s, struct writer writers[], const unsigned char *memory)
{
	for (unsigned unit = 0; unit < UNITS; unit++) {
		for (unsigned cell = 0; cell < CELLS; cell++) {
			uint64_t expected = 0, got;
			for (unsigned i = 0; i < WRITERS; i++)
				expected += writers[i].counts[unit][cell];
			memcpy(&got, memory + unit * s->unit + CELLS_AT + cell * 8, 8);
			assert_int_equal(got, expected);
		}
	}
}

static void run_writers(enum pfa_mapped_way way, unsigned order, unsigned moves, bool batches)
{
	static struct writer writers[WRITERS + 1];
	struct scene s;
	const struct pfa_dest dest = to_yielding(&s);
	void *memory;
	size_t total = 0;
	uint64_t writes = 0;

	start(&s, way, order);
	assert_int_equal(pfa_mapped_alloc(s.arena, UNITS * s.unit, PFA_MOVABLE | PFA_ZERO, &memory), PFA_OK);
	memset(writers, 0, sizeof(writers));
	atomic_store(&nr_started, 0);
	atomic_store(&done, false);
	for (unsigned i = 0; i <= WRITERS; i++) {
		writers[i].memory = memory;
		writers[i].unit = s.unit;
		writers[i].index = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, i < WRITERS ? write_all_the_time : read_all_the_time,
		                                &writers[i]), 0);
	}
	while (atomic_load(&nr_started) <= WRITERS)
		nap();
	for (unsigned round = 0; total < moves; round++) {
		size_t moved = 0;
		if (batches) {
			assert_int_equal(pfa_mapped_move(s.arena, memory, UNITS * s.unit, &dest, &moved), PFA_OK);
		} else {
			pfa_pfn head;
			int result;
			assert_int_equal(pfa_mapped_head(s.arena, (char *)memory + round % UNITS * s.unit, &head), PFA_OK);
			assert_int_equal(pfa_migrate(s.posix.pfa, &head, 1, &dest, &result), PFA_OK);
			moved = 1;
		}
		total += moved;
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i <= WRITERS; i++) {
		void *wrong;
		assert_int_equal(pthread_join(writers[i].thread, &wrong), 0);
		if (wrong)
			fail_msg("%s", (const char *)wrong);
		writes += writers[i].plain * 2;
	}
	must_count(&s, writers, memory);
	struct pfa_mapped_stats stats;
	pfa_mapped_stats_get(s.arena, &stats);
	assert_int_equal(stats.moves, total);
	printf("%s, order %u, %s: %zu moves, %zu protections, %zu waits, %llu writes exact\n",
	       way == PFA_MAPPED_UFFD ? "userfaultfd" : "signal", order, batches ? "batches" : "one by one", stats.moves,
	       stats.protects, stats.waits, (unsigned long long)writes);
	assert_int_equal(pfa_mapped_free(s.arena, memory, UNITS * s.unit), PFA_OK);
	stop(&s);
}

static void test_writers(void **state)
{
	(void)state;
	for (unsigned w = 0; w < nr_ways; w++) {
		run_writers(ways[w], 0, 800, false);
		run_writers(ways[w], 0, 800, true);
		run_writers(ways[w], 2, 200, true);
	}
}

/* Threads that allocate, write, check, pin and free, while everything is moved. */
enum { CHURNED = 40 }; /* units that two threads of them use at once, at most */

struct churner {
	pthread_t thread;
	struct scene *scene;
	unsigned index;
};

static void *churn(void *arg)
{
	struct churner *c = arg;
	struct scene *s = c->scene;
	uint32_t random = c->index + 77;
	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		void *memory;
		random = random * 1664525u + 1013904223u;
		size_t bytes = (1 + (random >> 20) % 20) * s->unit;
		if (pfa_mapped_alloc(s->arena, bytes, PFA_MOVABLE, &memory) != PFA_OK)
			return "no memory";
		memset(memory, (int)(random >> 24), bytes);
		if ((random >> 8) % 4 == 0) {
			pfa_pfn before, after;
			if (pfa_mapped_pin(s->arena, memory, bytes) != PFA_OK ||
			    pfa_mapped_head(s->arena, memory, &before) != PFA_OK)
				return "pin";
			(void)sched_yield();
			if (pfa_mapped_head(s->arena, memory, &after) != PFA_OK || before != after)
				return "a pinned unit has moved";
			if (pfa_mapped_unpin(s->arena, memory, bytes) != PFA_OK)
				return "unpin";
		}
		for (size_t k = 0; k < bytes; k += 64)
			if (((unsigned char *)memory)[k] != random >> 24)
				return "content";
		if (pfa_mapped_free(s->arena, memory, bytes) != PFA_OK)
			return "free";
	}
	return NULL;
}

static void test_churn(void **state)
{
	(void)state;
	for (unsigned w = 0; w < nr_ways; w++) {
		struct churner churners[2];
		struct scene s;
		const struct pfa_dest dest = to_yielding(&s);
		size_t moved = 0;
		start(&s, ways[w], 0);
		atomic_store(&done, false);
		for (unsigned i = 0; i < 2; i++) {
			churners[i] = (struct churner){.scene = &s, .index = i};
			assert_int_equal(pthread_create(&churners[i].thread, NULL, churn, &churners[i]), 0);
		}
		while (moved < 200) {
			pfa_mapped_batch_begin(s.arena);
			for (pfa_pfn pfn = 7; pfn < 7 + FRAMES; pfn++) {
				struct pfa_movable_info info;
				int result;
				if (pfa_movable_info(s.posix.pfa, pfn, &info) == PFA_OK &&
				    pfa_migrate(s.posix.pfa, &pfn, 1, &dest, &result) == PFA_OK)
					moved++;
			}
			pfa_mapped_batch_end(s.arena);
			(void)sched_yield();
		}
		atomic_store(&done, true);
		for (unsigned i = 0; i < 2; i++) {
			void *wrong;
			assert_int_equal(pthread_join(churners[i].thread, &wrong), 0);
			if (wrong)
				fail_msg("%s", (const char *)wrong);
		}
		printf("churn: %zu moves\n", moved);
		/* Nothing was mapped again behind a free. */
		void *memory;
		assert_int_equal(pfa_mapped_alloc(s.arena, s.unit, PFA_MOVABLE, &memory), PFA_OK);
		assert_int_equal(pfa_mapped_free(s.arena, memory, s.unit), PFA_OK);
		for (size_t i = 0; i < CHURNED; i++)
			assert_false(is_readable((char *)memory + i * s.unit));
		stop(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content_stays),     cmocka_unit_test(test_parts),
		cmocka_unit_test(test_pins),              cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_other_faults_pass), cmocka_unit_test(test_writers),
		cmocka_unit_test(test_churn),
	};
	struct sigaction action = {.sa_handler = foreign};
	struct scene s;
	(void)sigaction(SIGSEGV, &action, NULL);
	ways[nr_ways++] = PFA_MAPPED_SIGNAL;
	/* What AUTO finds out is what can be asked for. */
	start(&s, PFA_MAPPED_SIGNAL, 0);
	(void)sigaction(SIGSEGV, NULL, &handler);
	if (!(handler.sa_flags & SA_SIGINFO))
		return 1;
	s.cfg.way = PFA_MAPPED_AUTO;
	struct pfa_mapped *automatic;
	if (pfa_mapped_create(&s.cfg, &automatic) != PFA_OK)
		return 1;
	if (pfa_mapped_way_of(automatic) == PFA_MAPPED_UFFD)
		ways[nr_ways++] = PFA_MAPPED_UFFD;
	s.cfg.way = PFA_MAPPED_UFFD;
	if (pfa_mapped_destroy(automatic) != PFA_OK ||
	    (nr_ways == 1 && pfa_mapped_create(&s.cfg, &automatic) != PFA_ENOTSUP))
		return 1;
	stop(&s);
	printf("userfaultfd: %s here\n", nr_ways == 2 ? "works" : "does not work");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
