/* SPDX-License-Identifier: MIT
 *
 * The platform's low_memory: who asks it, when, how often, and what it may do.
 */
#include "unit.h"

#include <pfa/balloon.h>
#include <pfa/movable.h>

#include <stdlib.h>
#include <string.h>

enum { FRAMES = 256 };

struct scene {
	struct rig rig;
	unsigned nr_calls, order;
	uint32_t flags;
	unsigned give;  /* blocks of give_order to be freed by each call */
	unsigned give_order;
	bool lie;       /* says that it gave something */
	size_t nr_fail; /* as the last call found it */
	bool curious;   /* tries what it may do */
	pfa_pfn taken[FRAMES];
	size_t nr_taken;
	struct pfa_balloon *balloon;
};

static size_t low_memory(void *ctx, unsigned order, uint32_t flags)
{
	struct scene *s = (struct scene *)ctx; /* the rig is the first in it */
	size_t given = 0;
	s->nr_calls++;
	s->order = order;
	s->flags = flags;
	s->nr_fail = rig_events(&s->rig).nr_fail;
	if (s->curious) {
		pfa_pfn pfn;
		uint64_t next;
		struct pfa_violation violation;
		assert_int_equal(pfa_alloc(s->rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_ENOMEM);
		assert_int_equal(pfa_service(s->rig.pfa, 1, &next), PFA_EDEADLK);
		assert_int_equal(pfa_fini(s->rig.pfa), PFA_EDEADLK);
		assert_int_equal(pfa_cache_drain(s->rig.pfa, 0), PFA_EDEADLK);
		assert_int_equal(pfa_check(s->rig.pfa, PFA_CHECK_FRAMES, &violation), PFA_OK);
	}
	for (unsigned i = 0; i < s->give && s->nr_taken; i++) {
		assert_int_equal(pfa_free(s->rig.pfa, s->taken[--s->nr_taken], s->give_order), PFA_OK);
		given += (size_t)1 << s->give_order;
	}
	if (s->balloon)
		given += pfa_balloon_low_memory(s->balloon, order);
	return given + s->lie;
}

static void start(struct scene *s, unsigned order, uint16_t max_owners)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	s->rig.cfg.max_owners = max_owners;
	s->rig.os.low_memory = low_memory;
	rig_zone(&s->rig, 0, FRAMES);
	rig_start(&s->rig);
	s->give_order = order;
	/* All memory, without a call: each request is granted. */
	for (size_t i = 0; i < (size_t)FRAMES >> order; i++)
		assert_int_equal(pfa_alloc(s->rig.pfa, order, PFA_MOVABLE, &s->taken[s->nr_taken++]), PFA_OK);
	assert_int_equal(s->nr_calls, 0);
}

static void stop(struct scene *s)
{
	while (s->nr_taken)
		assert_int_equal(pfa_free(s->rig.pfa, s->taken[--s->nr_taken], s->give_order), PFA_OK);
	assert_int_equal(s->rig.fault.nr, 0);
	rig_stop(&s->rig);
}

static void test_nothing_to_give(void **state)
{
	(void)state;
	for (uint16_t owners = 0; owners < 2; owners++) {
		struct scene s;
		pfa_pfn pfn;
		start(&s, 0, owners);
		size_t failed = rig_events(&s.rig).nr_fail;
		assert_int_equal(pfa_alloc(s.rig.pfa, 2, PFA_RECLAIMABLE, &pfn), PFA_ENOMEM);
		assert_int_equal(s.nr_calls, 1);
		assert_int_equal(s.order, 2);
		assert_int_equal(s.flags, PFA_RECLAIMABLE);
		assert_int_equal(rig_events(&s.rig).nr_fail, failed + 1);
		/* one that says so without doing anything: a bounded number of calls */
		s.lie = true;
		s.nr_calls = 0;
		assert_int_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_ENOMEM);
		assert_int_equal(s.nr_calls, PFA_LOW_MEMORY_TRIES);
		assert_int_equal(rig_events(&s.rig).nr_fail, failed + 2);
		stop(&s);
	}
}

static void test_who_asks(void **state)
{
	struct scene s;
	pfa_pfn pfn, pfns[4];
	size_t nr;
	(void)state;
	start(&s, 0, 0);
	assert_int_not_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE | PFA_NOWAIT, &pfn), PFA_OK);
	assert_int_not_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE | PFA_NORETRY, &pfn), PFA_OK);
	assert_int_equal(pfa_alloc(s.rig.pfa, 31, PFA_MOVABLE, &pfn), PFA_EINVAL);
	assert_int_equal(s.nr_calls, 0);
	assert_int_equal(pfa_alloc(s.rig.pfa, 8, PFA_MOVABLE, &pfn), PFA_ENOMEM); /* all of the zone: possible */
	assert_int_equal(s.nr_calls, 1);
	assert_int_equal(pfa_alloc_bulk(s.rig.pfa, 0, PFA_MOVABLE, 4, pfns, &nr), PFA_ENOMEM);
	assert_int_equal(s.nr_calls, 2);
	assert_int_equal(pfa_alloc_exact(s.rig.pfa, 3, 0, PFA_MOVABLE, &pfn), PFA_ENOMEM);
	assert_int_equal(s.nr_calls, 3);
	assert_int_equal(s.order, 2);
	assert_int_equal(pfa_alloc_window(s.rig.pfa, 0, PFA_MOVABLE, (struct pfa_run){0, FRAMES}, &pfn), PFA_ENOMEM);
	assert_int_equal(s.nr_calls, 4);
	stop(&s);
}

static void test_given(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		struct scene s;
		pfa_pfn pfn;
		start(&s, order, 0);
		size_t failed = rig_events(&s.rig).nr_fail;
		s.give = 1;
		assert_int_equal(pfa_alloc(s.rig.pfa, order, PFA_UNMOVABLE, &pfn), PFA_OK);
		assert_int_equal(s.nr_calls, 1);
		assert_int_equal(rig_events(&s.rig).nr_fail, failed);
		assert_int_equal(s.nr_fail, failed); /* nor for a while: events never go down */
		if (rig_level < 3) { /* there, neighbours were not taken one after the other */
			/* twice as much as a call brings: three calls of half of it are enough, as neighbours go */
			pfa_pfn larger;
			s.nr_calls = 0;
			assert_int_equal(pfa_alloc(s.rig.pfa, order + 1, PFA_UNMOVABLE, &larger), PFA_OK);
			assert_in_range(s.nr_calls, 2, 3);
			assert_int_equal(pfa_free(s.rig.pfa, larger, order + 1), PFA_OK);
		}
		assert_int_equal(pfa_free(s.rig.pfa, pfn, order), PFA_OK);
		stop(&s);
	}
}

static void test_what_it_may(void **state)
{
	(void)state;
	for (uint16_t owners = 0; owners < 2; owners++) {
		struct scene s;
		pfa_pfn pfn;
		start(&s, 0, owners);
		s.curious = true;
		s.give = 1;
		assert_int_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_OK);
		assert_int_equal(s.nr_calls, 1); /* its own request has not asked */
		assert_int_equal(pfa_cache_drain(s.rig.pfa, 0), PFA_OK); /* it is over */
		assert_int_equal(pfa_free(s.rig.pfa, pfn, 0), PFA_OK);
		stop(&s);
	}
}

static void test_balloon_gives(void **state)
{
	struct scene s;
	static _Alignas(16) unsigned char memory[16384];
	(void)state;
	start(&s, 0, 1);
	while (s.nr_taken > 56)
		assert_int_equal(pfa_free(s.rig.pfa, s.taken[--s.nr_taken], 0), PFA_OK);
	const struct pfa_balloon_config cfg = {.size = sizeof(cfg), .pfa = s.rig.pfa, .platform = &s.rig.os,
	                                       .max_blocks = FRAMES};
	assert_int_equal(pfa_balloon_create(memory, sizeof(memory), &cfg, &s.balloon), PFA_OK);
	assert_int_equal(pfa_balloon_inflate(s.balloon, 200, NULL), PFA_OK);
	assert_int_equal(s.nr_calls, 0);
	while (s.nr_taken < FRAMES)
		assert_int_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE, &s.taken[s.nr_taken++]), PFA_OK);
	assert_int_equal(s.nr_calls, 100); /* two frames a call */
	assert_int_equal(pfa_balloon_frames(s.balloon), 0);
	pfa_pfn pfn;
	assert_int_equal(pfa_alloc(s.rig.pfa, 0, PFA_MOVABLE, &pfn), PFA_ENOMEM);
	/* To inflate it takes nothing from anybody. */
	s.nr_calls = 0;
	int code = pfa_balloon_inflate(s.balloon, 1, NULL);
	assert_true(code == PFA_ENOMEM || code == PFA_EAGAIN);
	assert_int_equal(s.nr_calls, 0);
	assert_int_equal(pfa_balloon_destroy(s.balloon), PFA_OK);
	s.balloon = NULL;
	stop(&s);
}

static const struct unit_test tests[] = {
	TEST(test_nothing_to_give),
	TEST(test_who_asks),
	TEST(test_given),
	TEST(test_what_it_may),
	TEST(test_balloon_gives),
};
UNIT_MAIN(tests)
