/* SPDX-License-Identifier: MIT
 *
 * The balloon, with a device that keeps a book of what it was told.
 */
#include "unit.h"

#include <pfa/balloon.h>
#include <pfa/movable.h>

#include <stdlib.h>
#include <string.h>

enum { FRAMES = 512, BLOCKS = 100 };

struct scene {
	struct rig rig;
	struct pfa_balloon_config cfg;
	struct pfa_balloon *balloon;
	void *memory;
	bool in[FRAMES];  /* the device's book */
	size_t nr_in;
	unsigned refuse;  /* so many calls of INFLATED are refused */
	size_t nr_calls;
};

static int device(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	struct scene *s = ctx;
	bool in = event == PFA_BALLOON_INFLATED;
	s->nr_calls++;
	assert_in_range(nr, 1, PFA_BALLOON_BATCH);
	if (in && s->refuse) {
		s->refuse--;
		return PFA_EDEVICE;
	}
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(runs[i].nr_frames % ((size_t)1 << s->cfg.order), 0);
		for (pfa_pfn pfn = runs[i].first; pfn < runs[i].first + runs[i].nr_frames; pfn++) {
			assert_true(pfn < FRAMES);
			assert_int_equal(s->in[pfn], !in);
			s->in[pfn] = in;
			s->nr_in += in ? 1 : (size_t)-1;
		}
	}
	return in ? PFA_OK : PFA_EDEVICE; /* what it says about DEFLATED counts for nothing */
}

static void start(struct scene *s, unsigned order)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	s->rig.cfg.max_owners = 4;
	rig_zone(&s->rig, 0, FRAMES);
	rig_start(&s->rig);
	s->cfg = (struct pfa_balloon_config){.size = sizeof(s->cfg), .pfa = s->rig.pfa, .platform = &s->rig.os,
	                                     .max_blocks = BLOCKS, .order = order, .tell = device, .ctx = s};
	size_t bytes = pfa_balloon_bytes(&s->cfg);
	assert_true(bytes > 0);
	s->memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
	assert_non_null(s->memory);
	assert_int_equal(pfa_balloon_create(s->memory, bytes, &s->cfg, &s->balloon), PFA_OK);
}

static void stop(struct scene *s)
{
	assert_int_equal(pfa_balloon_destroy(s->balloon), PFA_OK);
	assert_int_equal(s->nr_in, 0);
	assert_int_equal(s->rig.fault.nr, 0);
	assert_int_equal(rig_stats(&s->rig, 0).allocated, 0);
	free(s->memory);
	rig_stop(&s->rig);
}

static void test_in_and_out(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 3; order++) {
		struct scene s;
		size_t nr;
		start(&s, order);
		assert_int_equal(pfa_balloon_inflate(s.balloon, 50, &nr), PFA_OK);
		const size_t whole = (50 + ((size_t)1 << order) - 1) >> order << order;
		assert_int_equal(nr, whole);
		assert_int_equal(pfa_balloon_frames(s.balloon), whole);
		assert_int_equal(s.nr_in, whole);
		assert_int_equal(rig_stats(&s.rig, 0).allocated, whole);
		rig_check(&s.rig);
		assert_int_equal(pfa_balloon_deflate(s.balloon, 1, &nr), PFA_OK);
		assert_int_equal(nr, (size_t)1 << order);
		assert_int_equal(s.nr_in, whole - nr);
		assert_int_equal(pfa_balloon_inflate(s.balloon, 0, &nr), PFA_OK);
		assert_int_equal(nr, 0);
		assert_int_equal(pfa_balloon_deflate(s.balloon, SIZE_MAX, &nr), PFA_OK);
		assert_int_equal(nr, whole - ((size_t)1 << order));
		assert_int_equal(pfa_balloon_deflate(s.balloon, 1, &nr), PFA_OK);
		assert_int_equal(nr, 0);
		assert_int_equal(pfa_balloon_inflate(s.balloon, 3, NULL), PFA_OK);
		stop(&s);
	}
}

static void test_limits(void **state)
{
	struct scene s;
	size_t nr;
	pfa_pfn other[FRAMES];
	(void)state;
	start(&s, 0);
	assert_int_equal(pfa_balloon_inflate(s.balloon, FRAMES, &nr), PFA_ENOMEM);
	assert_int_equal(nr, BLOCKS);
	assert_int_equal(s.nr_in, BLOCKS);
	assert_int_equal(pfa_balloon_deflate(s.balloon, SIZE_MAX, &nr), PFA_OK);
	/* Memory that is gone: the library says so, and all slots are there again. */
	size_t taken = rig_take_all(&s.rig, 0, PFA_MOVABLE, PFA_ENOMEM, other, FRAMES);
	assert_int_equal(pfa_free(s.rig.pfa, other[--taken], 0), PFA_OK);
	int code = pfa_balloon_inflate(s.balloon, 2, &nr);
	assert_true(code == PFA_ENOMEM || code == PFA_EAGAIN);
	assert_true(nr <= 1);
	while (taken)
		assert_int_equal(pfa_free(s.rig.pfa, other[--taken], 0), PFA_OK);
	assert_int_equal(pfa_balloon_inflate(s.balloon, BLOCKS - nr, NULL), PFA_OK);
	assert_int_equal(pfa_balloon_frames(s.balloon), BLOCKS);
	stop(&s);
}

static void test_device_refuses(void **state)
{
	struct scene s;
	size_t nr;
	(void)state;
	start(&s, 1);
	s.refuse = 1;
	assert_int_equal(pfa_balloon_inflate(s.balloon, 20, &nr), PFA_EDEVICE);
	assert_int_equal(nr, 0);
	assert_int_equal(rig_stats(&s.rig, 0).allocated, 0);
	assert_int_equal(pfa_balloon_inflate(s.balloon, BLOCKS * 2, NULL), PFA_OK);
	/* A move whose destination is refused is none. */
	pfa_pfn head = 0;
	while (!s.in[head])
		head++;
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};
	int result;
	s.refuse = 1;
	assert_int_equal(pfa_migrate(s.rig.pfa, &head, 1, &dest, &result), PFA_EAGAIN);
	assert_int_equal(result, PFA_EBUSY);
	assert_true(s.in[head]);
	assert_int_equal(s.nr_in, BLOCKS * 2);
	assert_int_equal(pfa_balloon_moves(s.balloon), 0);
	stop(&s);
}

static void test_moves(void **state)
{
	(void)state;
	for (enum pfa_migrate_mode mode = PFA_MIGRATE_ASYNC; mode < PFA_MIGRATE_MODES; mode++) {
		struct scene s;
		pfa_pfn heads[BLOCKS];
		int results[BLOCKS];
		size_t nr = 0;
		start(&s, 1);
		assert_int_equal(pfa_balloon_inflate(s.balloon, 2 * BLOCKS, NULL), PFA_OK);
		for (pfa_pfn pfn = 0; pfn < FRAMES; pfn += 2)
			if (s.in[pfn])
				heads[nr++] = pfn;
		assert_int_equal(nr, BLOCKS);
		const struct pfa_dest dest = {.size = sizeof(dest), .mode = mode, .flags = PFA_MOVABLE};
		assert_int_equal(pfa_migrate(s.rig.pfa, heads, 50, &dest, results), PFA_OK);
		assert_int_equal(pfa_balloon_moves(s.balloon), 50);
		assert_int_equal(s.nr_in, 2 * BLOCKS);
		for (size_t i = 0; i < 50; i++)
			assert_int_equal(results[i], PFA_OK);
		rig_check(&s.rig);
		assert_int_equal(pfa_balloon_deflate(s.balloon, 30, &nr), PFA_OK);
		assert_int_equal(s.nr_in, 2 * BLOCKS - 30);
		stop(&s);
	}
}

static void test_low_memory(void **state)
{
	struct scene s;
	(void)state;
	start(&s, 0);
	assert_int_equal(pfa_balloon_low_memory(s.balloon, 0), 0);
	assert_int_equal(pfa_balloon_inflate(s.balloon, 20, NULL), PFA_OK);
	assert_int_equal(pfa_balloon_low_memory(s.balloon, 2), 8);
	assert_int_equal(pfa_balloon_low_memory(s.balloon, 10), 12);
	assert_int_equal(pfa_balloon_low_memory(s.balloon, UINT32_MAX), 0);
	stop(&s);
}

static void test_configuration(void **state)
{
	struct scene s;
	struct pfa_balloon *other;
	unsigned char *room;
	(void)state;
	start(&s, 0);
	const size_t bytes = pfa_balloon_bytes(&s.cfg);
	struct {
		struct pfa_balloon_config known;
		unsigned char tail[16];
	} longer = {.known = s.cfg};
	room = aligned_alloc(16, (bytes + 31) / 16 * 16);
	assert_non_null(room);
	assert_int_equal(pfa_balloon_create(room, bytes - 1, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_balloon_create(room + 8, bytes, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_balloon_create(NULL, bytes, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_balloon_create(room, bytes, NULL, &other), PFA_EINVAL);
	longer.known.size = sizeof(longer);
	assert_int_equal(pfa_balloon_bytes(&longer.known), bytes);
	longer.tail[3] = 1;
	assert_int_equal(pfa_balloon_bytes(&longer.known), 0);
#define WRONG(field, value)                                                 \
	do {                                                                \
		struct pfa_balloon_config wrong = s.cfg;                    \
		wrong.field = value;                                        \
		assert_int_equal(pfa_balloon_bytes(&wrong), 0);             \
		assert_int_equal(pfa_balloon_create(room, bytes, &wrong, &other), PFA_EINVAL); \
	} while (0)
	WRONG(size, 8);
	WRONG(pfa, NULL);
	WRONG(platform, NULL);
	WRONG(max_blocks, 0);
	WRONG(max_blocks, SIZE_MAX / 2);
	WRONG(order, PFA_ORDER_LIMIT + 1);
#undef WRONG
	/* What the library says about flags and owners comes through. */
	struct pfa_balloon_config odd = s.cfg;
	odd.flags = 1u << 23;
	assert_int_equal(pfa_balloon_create(room, bytes, &odd, &other), PFA_OK);
	assert_int_equal(pfa_balloon_inflate(other, 1, NULL), PFA_EINVAL);
	assert_int_equal(pfa_balloon_frames(other), 0);
	assert_int_equal(pfa_balloon_destroy(other), PFA_OK);
	free(room);
	stop(&s);

	rig_init(&s.rig); /* no owners */
	rig_zone(&s.rig, 0, FRAMES);
	rig_start(&s.rig);
	s.cfg.pfa = s.rig.pfa;
	s.memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
	assert_int_equal(pfa_balloon_create(s.memory, bytes, &s.cfg, &other), PFA_ENOTSUP);
	free(s.memory);
	rig_stop(&s.rig);
}

/* Another owner, whose op uses the balloon. */
static int op_refuses(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct scene *s = ctx;
	size_t nr, before = pfa_balloon_frames(s->balloon);
	(void)head;
	(void)order;
	(void)cookie;
	(void)mode;
	assert_int_equal(pfa_balloon_inflate(s->balloon, 40, &nr), PFA_EDEADLK);
	assert_int_equal(nr, 0);
	assert_int_equal(pfa_balloon_frames(s->balloon), before);
	assert_int_equal(pfa_balloon_destroy(s->balloon), PFA_EDEADLK);
	assert_int_equal(pfa_balloon_frames(s->balloon), before);
	assert_int_equal(pfa_balloon_deflate(s->balloon, 5, &nr), PFA_OK);
	assert_int_equal(nr, 5);
	return PFA_EBUSY;
}

static int op_never(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx;
	(void)dst;
	(void)src;
	(void)order;
	(void)cookie;
	(void)mode;
	fail();
	return PFA_EBUSY;
}

static void op_nothing(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx;
	(void)head;
	(void)order;
	(void)cookie;
	fail();
}

static void test_inside_an_op(void **state)
{
	static const struct pfa_owner_ops ops = {sizeof(ops), op_refuses, op_never, op_nothing};
	const struct pfa_dest dest = {.size = sizeof(dest), .flags = PFA_MOVABLE};
	struct scene s;
	pfa_owner owner;
	pfa_pfn pfn;
	int result;
	(void)state;
	start(&s, 0);
	assert_int_equal(pfa_balloon_inflate(s.balloon, 10, NULL), PFA_OK);
	assert_int_equal(pfa_owner_create(s.rig.pfa, &ops, &s, &owner), PFA_OK);
	assert_int_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
	assert_int_equal(pfa_movable_set(s.rig.pfa, pfn, owner, 7), PFA_OK);
	assert_int_equal(pfa_migrate(s.rig.pfa, &pfn, 1, &dest, &result), PFA_EAGAIN);
	assert_int_equal(pfa_balloon_frames(s.balloon), 5);
	assert_int_equal(s.nr_in, 5);
	assert_int_equal(pfa_free(s.rig.pfa, pfn, 0), PFA_OK);
	assert_int_equal(pfa_owner_destroy(s.rig.pfa, owner), PFA_OK);
	stop(&s);
}

static const struct unit_test tests[] = {
	TEST(test_in_and_out),
	TEST(test_limits),
	TEST(test_device_refuses),
	TEST(test_moves),
	TEST(test_low_memory),
	TEST(test_configuration),
	TEST(test_inside_an_op),
};
UNIT_MAIN(tests)
