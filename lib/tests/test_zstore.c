/* SPDX-License-Identifier: MIT
 *
 * The compressed store: what is put is got, wherever its block is by then.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <pfa/movable.h>
#include <pfa/zstore.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FRAMES = 256, OBJECTS = 600, SHIFT = 10 };

static const char needs_content[] = "the objects are in the frames";

struct scene {
	struct rig rig;
	struct pfa_zstore_config cfg;
	struct pfa_zstore *store;
	void *memory;
};

static void start(struct scene *s, unsigned order)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	s->rig.cfg.frame_shift = SHIFT;
	s->rig.cfg.max_owners = 2;
	s->rig.pool_kind = RIG_POOL_CONTENT;
	rig_zone(&s->rig, 0, FRAMES);
	rig_start(&s->rig);
	s->cfg = (struct pfa_zstore_config){.size = sizeof(s->cfg), .pfa = s->rig.pfa, .platform = &s->rig.os,
	                                    .frame_shift = SHIFT, .order = order, .max_objects = OBJECTS,
	                                    .max_blocks = FRAMES >> order, .nr_scratch = 1};
	size_t bytes = pfa_zstore_bytes(&s->cfg);
	assert_true(bytes > 0);
	s->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_non_null(s->memory);
	assert_int_equal(pfa_zstore_create(s->memory, bytes, &s->cfg, &s->store), PFA_OK);
}

static void stop(struct scene *s)
{
	assert_int_equal(pfa_zstore_destroy(s->store), PFA_OK);
	assert_int_equal(s->rig.fault.nr, 0);
	assert_int_equal(rig_stats(&s->rig, 0).allocated, 0);
	free(s->memory);
	rig_stop(&s->rig);
}

/* Content of object `seed`: from incompressible to all the same. */
static size_t content(uint64_t seed, unsigned char *out, size_t max)
{
	struct rng rng = {seed};
	size_t nr = 1 + rng_below(&rng, max), kinds = 1 + rng_below(&rng, 256);
	for (size_t i = 0; i < nr; i++)
		out[i] = (unsigned char)rng_below(&rng, kinds);
	return nr;
}

static void must_contain(struct scene *s, pfa_zobject object, uint64_t seed)
{
	unsigned char expected[(size_t)1 << (SHIFT + 2)], got[(size_t)1 << (SHIFT + 2)];
	size_t nr = content(seed, expected, pfa_zstore_max_bytes(&s->cfg)), bytes;
	assert_int_equal(pfa_zstore_get(s->store, object, got, sizeof(got), &bytes), PFA_OK);
	assert_int_equal(bytes, nr);
	assert_memory_equal(got, expected, nr);
}

static int put(struct scene *s, uint64_t seed, pfa_zobject *out)
{
	unsigned char bytes[(size_t)1 << (SHIFT + 2)];
	return pfa_zstore_put(s->store, bytes, content(seed, bytes, pfa_zstore_max_bytes(&s->cfg)), out);
}

/* Moves every movable block; returns how many went. */
static size_t move_all(struct scene *s, enum pfa_migrate_mode mode)
{
	const struct pfa_dest dest = {.size = sizeof(dest), .mode = mode, .flags = PFA_MOVABLE};
	struct pfa_movable_info info;
	pfa_pfn heads[FRAMES];
	int results[FRAMES];
	size_t nr = 0, moved = 0;
	for (pfa_pfn pfn = 0; pfn < FRAMES; pfn++)
		if (pfa_movable_info(s->rig.pfa, pfn, &info) == PFA_OK)
			heads[nr++] = pfn;
	int code = pfa_migrate(s->rig.pfa, heads, nr, &dest, results);
	assert_true(code == PFA_OK || code == PFA_EAGAIN);
	for (size_t i = 0; i < nr; i++) {
		assert_true(results[i] == PFA_OK || results[i] == PFA_ENOMEM);
		moved += results[i] == PFA_OK;
	}
	return moved;
}

/* Puts, gets, deletes and moves at random, against a list of what must be there. */
static void test_random(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 3; order++) {
		struct scene s;
		struct rng rng = {order + 1};
		pfa_zobject objects[OBJECTS];
		uint64_t seeds[OBJECTS], next = 0;
		size_t nr = 0, moved = 0, refused = 0;
		start(&s, order);
		for (unsigned step = 0; step < 6000; step++) {
			size_t what = rng_below(&rng, 100), i = nr ? rng_below(&rng, nr) : 0;
			if (what < 45) {
				pfa_zobject object;
				int code = put(&s, next, &object);
				assert_true(code == PFA_OK || code == PFA_ENOMEM);
				refused += code != PFA_OK;
				if (code == PFA_OK) {
					objects[nr] = object;
					seeds[nr++] = next++;
				}
			} else if (what < 60 && nr) {
				must_contain(&s, objects[i], seeds[i]);
			} else if (what < 99 && nr) {
				assert_int_equal(pfa_zstore_delete(s.store, objects[i]), PFA_OK);
				assert_int_equal(pfa_zstore_delete(s.store, objects[i]), PFA_EINVAL);
				objects[i] = objects[--nr];
				seeds[i] = seeds[nr];
			} else {
				moved += move_all(&s, (enum pfa_migrate_mode)(step % PFA_MIGRATE_MODES));
			}
			if (step == 3000) /* fill it up */
				while (put(&s, next, &objects[nr]) == PFA_OK)
					seeds[nr++] = next++;
		}
		for (size_t i = 0; i < nr; i++)
			must_contain(&s, objects[i], seeds[i]);
		struct pfa_zstore_stats stats;
		pfa_zstore_stats_get(s.store, &stats);
		assert_int_equal(stats.objects, nr);
		assert_int_equal(stats.moves, moved);
		assert_true(moved > 100);
		assert_true(refused > 0);
		assert_int_equal(rig_stats(&s.rig, 0).allocated, stats.blocks << order);
		rig_check(&s.rig);
		while (nr)
			assert_int_equal(pfa_zstore_delete(s.store, objects[--nr]), PFA_OK);
		pfa_zstore_stats_get(s.store, &stats);
		assert_int_equal(stats.objects, 0);
		assert_int_equal(stats.object_bytes, 0);
		assert_int_equal(stats.slot_bytes, 0);
		assert_int_equal(stats.blocks, 0);
		assert_int_equal(rig_stats(&s.rig, 0).allocated, 0);
		stop(&s);
	}
}

static void test_several_in_a_frame(void **state)
{
	struct scene s;
	struct pfa_zstore_stats stats;
	pfa_zobject objects[64];
	char text[64];
	(void)state;
	start(&s, 0);
	for (unsigned i = 0; i < 64; i++) {
		memset(text, (int)('a' + i % 26), sizeof(text));
		assert_int_equal(pfa_zstore_put(s.store, text, sizeof(text), &objects[i]), PFA_OK);
	}
	pfa_zstore_stats_get(s.store, &stats);
	assert_int_equal(stats.objects, 64);
	assert_int_equal(stats.object_bytes, 64 * 64);
	assert_int_equal(stats.slot_bytes, 64 * 16); /* 64 equal bytes are 14 in LZ4 */
	assert_int_equal(stats.blocks, 1);
	/* A 65th object needs a second block, and deleting it gives that one back at once. */
	pfa_zobject more;
	assert_int_equal(pfa_zstore_put(s.store, text, sizeof(text), &more), PFA_OK);
	pfa_zstore_stats_get(s.store, &stats);
	assert_int_equal(stats.blocks, 2);
	assert_int_equal(pfa_zstore_delete(s.store, more), PFA_OK);
	pfa_zstore_stats_get(s.store, &stats);
	assert_int_equal(stats.blocks, 1);
	stop(&s); /* with objects in it */
}

static void test_handles(void **state)
{
	struct scene s;
	pfa_zobject first, second;
	size_t bytes = 7;
	char out[16] = "untouched";
	(void)state;
	start(&s, 0);
	assert_int_equal(pfa_zstore_put(s.store, "hello", 5, &first), PFA_OK);
	assert_int_equal(pfa_zstore_get(s.store, first, NULL, 0, &bytes), PFA_ERANGE);
	assert_int_equal(bytes, 5);
	assert_int_equal(pfa_zstore_get(s.store, first, out, 4, NULL), PFA_ERANGE);
	assert_string_equal(out, "untouched");
	assert_int_equal(pfa_zstore_get(s.store, first, out, 5, NULL), PFA_OK);
	assert_memory_equal(out, "hello", 5);
	assert_int_equal(pfa_zstore_delete(s.store, first), PFA_OK);
	/* Whatever takes its place, the old handle is none. */
	for (unsigned i = 0; i < OBJECTS; i++) {
		assert_int_equal(pfa_zstore_put(s.store, "other", 5, &second), PFA_OK);
		assert_int_not_equal(first, second);
		assert_int_equal(pfa_zstore_get(s.store, first, out, sizeof(out), NULL), PFA_EINVAL);
	}
	assert_int_equal(pfa_zstore_put(s.store, "other", 5, &second), PFA_ENOMEM); /* of objects */
	static const pfa_zobject wrong[] = {0, 1, OBJECTS + 1, 0xFFFFFFFFu, UINT64_MAX, 1ull << 32};
	assert_int_equal(pfa_zstore_delete(s.store, first), PFA_EINVAL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (wrong[i] != 1) /* may well be one */
			assert_int_equal(pfa_zstore_get(s.store, wrong[i] + (1ull << 40), out, sizeof(out), NULL), PFA_EINVAL);
	assert_int_equal(pfa_zstore_get(s.store, 0, out, sizeof(out), NULL), PFA_EINVAL);
	assert_int_equal(pfa_zstore_put(s.store, out, 0, &second), PFA_EINVAL);
	assert_int_equal(pfa_zstore_put(s.store, s.memory, pfa_zstore_max_bytes(&s.cfg) + 1, &second), PFA_EINVAL);
	stop(&s);
}

/* Bytes in a frame that are not what LZ4 wrote. */
static void test_damage_is_seen(void **state)
{
	struct scene s;
	unsigned char text[512], out[512];
	pfa_zobject object;
	pfa_pfn pfn = 0;
	struct pfa_movable_info info;
	void *frame;
	(void)state;
	start(&s, 0);
	memset(text, 'x', sizeof(text));
	assert_int_equal(pfa_zstore_put(s.store, text, sizeof(text), &object), PFA_OK);
	while (pfa_movable_info(s.rig.pfa, pfn, &info) != PFA_OK)
		pfn++;
	assert_int_equal(pfa_ptr(s.rig.pfa, pfn, &frame), PFA_OK);
	memset(frame, 0xff, 16);
	assert_int_equal(pfa_zstore_get(s.store, object, out, sizeof(out), NULL), PFA_ECORRUPT);
	assert_int_equal(pfa_zstore_delete(s.store, object), PFA_OK);
	stop(&s);
}

/* The middle of a read, made by a buffer that cannot be written to yet. */
static struct {
	struct scene *scene;
	unsigned char *buffer;
	pfa_zobject object, next;
	int deleted, put;
} read_middle;

static void in_the_middle(int number)
{
	static const char other[256] = "other";
	(void)number;
	read_middle.deleted = pfa_zstore_delete(read_middle.scene->store, read_middle.object);
	read_middle.put = pfa_zstore_put(read_middle.scene->store, other, sizeof(other), &read_middle.next);
	if (mprotect(read_middle.buffer, 4096, PROT_READ | PROT_WRITE) != 0)
		abort();
}

/* Who reads an object that is deleted meanwhile gets all of it; its slot is nobody else's until then. */
static void test_delete_while_read(void **state)
{
	static const struct sigaction action = {.sa_handler = in_the_middle, .sa_flags = SA_NODEFER};
	struct sigaction before;
	struct scene s;
	struct pfa_zstore_stats stats;
	char text[256], out[256];
	pfa_zobject neighbour;
	size_t nr;
	(void)state;
	start(&s, 0);
	memset(text, 'a', sizeof(text));
	assert_int_equal(pfa_zstore_put(s.store, text, sizeof(text), &read_middle.object), PFA_OK);
	assert_int_equal(pfa_zstore_put(s.store, text, sizeof(text), &neighbour), PFA_OK);
	read_middle.scene = &s;
	read_middle.buffer = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(read_middle.buffer, MAP_FAILED);
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	assert_int_equal(pfa_zstore_get(s.store, read_middle.object, read_middle.buffer, 4096, &nr), PFA_OK);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	assert_int_equal(read_middle.deleted, PFA_OK);
	assert_int_equal(read_middle.put, PFA_OK);
	assert_int_equal(nr, sizeof(text));
	assert_memory_equal(read_middle.buffer, text, sizeof(text));
	assert_int_equal(pfa_zstore_get(s.store, read_middle.object, out, sizeof(out), NULL), PFA_EINVAL);
	assert_int_equal(pfa_zstore_get(s.store, read_middle.next, out, sizeof(out), NULL), PFA_OK);
	assert_string_equal(out, "other");
	pfa_zstore_stats_get(s.store, &stats);
	assert_int_equal(stats.objects, 2);
	assert_int_equal(pfa_zstore_delete(s.store, read_middle.next), PFA_OK);
	assert_int_equal(pfa_zstore_delete(s.store, neighbour), PFA_OK);
	pfa_zstore_stats_get(s.store, &stats);
	assert_int_equal(stats.slot_bytes, 0);
	assert_int_equal(stats.blocks, 0);
	assert_int_equal(munmap(read_middle.buffer, 4096), 0);
	stop(&s);
}

static void test_limits(void **state)
{
	struct scene s;
	unsigned char rubbish[(size_t)1 << SHIFT];
	pfa_zobject objects[FRAMES + 1];
	struct rng rng = {5};
	size_t nr = 0;
	(void)state;
	start(&s, 0);
	/* Incompressible objects take a block each, and are stored as they are. */
	for (size_t i = 0; i < sizeof(rubbish); i++)
		rubbish[i] = (unsigned char)rng_next(&rng);
	while (pfa_zstore_put(s.store, rubbish, sizeof(rubbish), &objects[nr]) == PFA_OK)
		nr++;
	assert_int_equal(nr, FRAMES);
	assert_int_equal(pfa_zstore_put(s.store, rubbish, sizeof(rubbish), &objects[nr]), PFA_ENOMEM);
	assert_int_equal(pfa_zstore_delete(s.store, objects[FRAMES / 2]), PFA_OK);
	assert_int_equal(pfa_zstore_put(s.store, rubbish, sizeof(rubbish), &objects[FRAMES / 2]), PFA_OK);
	for (size_t i = 0; i < nr; i++) {
		unsigned char out[(size_t)1 << SHIFT];
		assert_int_equal(pfa_zstore_get(s.store, objects[i], out, sizeof(out), NULL), PFA_OK);
		assert_memory_equal(out, rubbish, sizeof(rubbish));
	}
	stop(&s);
}

static void test_configuration(void **state)
{
	struct scene s;
	struct pfa_zstore *other;
	(void)state;
	start(&s, 0);
	const size_t bytes = pfa_zstore_bytes(&s.cfg);
	unsigned char *room = aligned_alloc(64, (bytes + 127) / 64 * 64);
	assert_non_null(room);
	assert_int_equal(pfa_zstore_create(room, bytes - 1, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_zstore_create(room + 16, bytes, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_zstore_create(NULL, bytes, &s.cfg, &other), PFA_EINVAL);
	assert_int_equal(pfa_zstore_create(room, bytes, NULL, &other), PFA_EINVAL);
#define WRONG(field, value)                                                                           \
	do {                                                                                          \
		struct pfa_zstore_config wrong = s.cfg;                                               \
		wrong.field = value;                                                                  \
		assert_int_equal(pfa_zstore_bytes(&wrong), 0);                                        \
		assert_int_equal(pfa_zstore_create(room, bytes, &wrong, &other), PFA_EINVAL);         \
	} while (0)
	WRONG(size, 8);
	WRONG(pfa, NULL);
	WRONG(platform, NULL);
	WRONG(max_blocks, 0);
	WRONG(max_objects, 0);
	WRONG(max_objects, (size_t)1 << 31);
	WRONG(frame_shift, 31);
	WRONG(order, 15); /* 32 MiB */
	WRONG(nr_scratch, 1025);
#undef WRONG
	struct pfa_zstore_config odd = s.cfg;
	pfa_zobject object;
	odd.flags = 1u << 23;
	assert_int_equal(pfa_zstore_create(room, bytes, &odd, &other), PFA_OK);
	assert_int_equal(pfa_zstore_put(other, "x", 1, &object), PFA_EINVAL);
	assert_int_equal(pfa_zstore_destroy(other), PFA_OK);
	free(room);
	stop(&s);
}

/* Sizes of classes ascend, fit into the block, and none is without objects. */
static void test_frames_of_all_sizes(void **state)
{
	(void)state;
	for (unsigned shift = 6; shift <= 12; shift += 2) {
		struct scene s;
		pfa_zobject object;
		unsigned char *text = calloc(1, (size_t)1 << shift), *out = malloc((size_t)1 << shift);
		struct rng rng = {shift};
		memset(&s, 0, sizeof(s));
		rig_init(&s.rig);
		s.rig.cfg.frame_shift = shift;
		s.rig.cfg.max_owners = 1;
		s.rig.pool_kind = RIG_POOL_CONTENT;
		rig_zone(&s.rig, 3, 64);
		rig_start(&s.rig);
		s.cfg = (struct pfa_zstore_config){.size = sizeof(s.cfg), .pfa = s.rig.pfa, .platform = &s.rig.os,
		                                   .frame_shift = shift, .max_objects = 64, .max_blocks = 64};
		size_t bytes = pfa_zstore_bytes(&s.cfg);
		s.memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
		assert_int_equal(pfa_zstore_create(s.memory, bytes, &s.cfg, &s.store), PFA_OK);
		for (size_t nr = 1; nr <= (size_t)1 << shift; nr += 1 + nr / 8) {
			for (size_t i = 0; i < nr; i++)
				text[i] = (unsigned char)rng_next(&rng);
			assert_int_equal(pfa_zstore_put(s.store, text, nr, &object), PFA_OK);
			assert_int_equal(pfa_zstore_get(s.store, object, out, nr, NULL), PFA_OK);
			assert_memory_equal(out, text, nr);
			assert_int_equal(pfa_zstore_delete(s.store, object), PFA_OK);
		}
		free(text);
		free(out);
		stop(&s);
	}
}

static const struct unit_test tests[] = {
	TEST_CONTENT(test_random, needs_content),
	TEST_CONTENT(test_several_in_a_frame, needs_content),
	TEST_CONTENT(test_handles, needs_content),
	TEST_CONTENT(test_damage_is_seen, needs_content),
	TEST_CONTENT(test_delete_while_read, needs_content),
	TEST_CONTENT(test_limits, needs_content),
	TEST_CONTENT(test_configuration, needs_content),
	TEST_CONTENT(test_frames_of_all_sizes, needs_content),
};
UNIT_MAIN(tests)
