/* SPDX-License-Identifier: MIT
 *
 * Every return code of the owners' functions (pfa/balloon.h, zstore.h, mapped.h, devices.h), for test_codes.c. What the functions do besides is
 * for their own tests.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "unit.h"

#include <pfa/balloon.h>
#include <pfa/harden.h>
#include <pfa/movable.h>
#ifdef OWNER_ZSTORE
#include <pfa/zstore.h>
#endif
#ifdef OWNER_MAPPED
#include <pfa/devices.h>
#include <pfa/mapped.h>
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FRAMES = 256, BLOCKS = 40, OWNERS = 3 };

static struct rig rig;
static const struct pfa_dest to_movable = {.size = sizeof(to_movable), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE};

static void base(unsigned frame_shift, enum rig_pool pool, uint32_t max_owners)
{
	rig_init(&rig);
	rig.cfg.frame_shift = frame_shift;
	rig.cfg.max_owners = max_owners;
	rig.cfg.nr_cpus = 2;
	rig.pool_kind = pool;
	rig_zone(&rig, 0, FRAMES);
	rig_start(&rig);
}

/* ---- how the library comes to refuse ----------------------------------------------------------------------------------- */

/* All memory is taken, but for one frame in the cache of another cpu: what only PFA_NORETRY and PFA_NOWAIT do not get. */
static size_t exhaust(pfa_pfn taken[FRAMES])
{
	size_t nr = rig_take_all(&rig, 0, PFA_MOVABLE, PFA_ENOMEM, taken, FRAMES);
	rig.cpu = 1;
	EXPECT(pfa_free, PFA_OK, rig.pfa, taken[--nr], 0);
	rig.cpu = 0;
	return nr;
}

static void give_back(const pfa_pfn taken[], size_t nr)
{
	while (nr)
		EXPECT(pfa_free, PFA_OK, rig.pfa, taken[--nr], 0);
}

/* The only zone refuses until it is repaired: a free frame says that it is somebody's. That is believed then. */
enum { VICTIM = FRAMES - 1 };

static void damage(void)
{
	assert_int_equal(rig_info(&rig, VICTIM).state, PFA_FRAME_FREE);
	*rig_frame_byte(&rig, VICTIM) = 0x20;
	EXPECT(pfa_mark_bad, PFA_ECORRUPT, rig.pfa, VICTIM);
}

static void repair(void)
{
	EXPECT(pfa_repair, PFA_OK, rig.pfa, PFA_REPAIR_QUIESCENT, NULL);
	EXPECT(pfa_free, PFA_OK, rig.pfa, VICTIM, 0);
}

/* The movable block with the lowest address. */
static pfa_pfn any_block(void)
{
	struct pfa_movable_info info;
	pfa_pfn pfn = 0;
	while (pfa_movable_info(rig.pfa, pfn, &info) != PFA_OK)
		pfn++;
	return pfn;
}

/* Frees a block behind its owner's back. */
static void steal(void)
{
	EXPECT(pfa_free, PFA_OK, rig.pfa, any_block(), 0);
}

/* Another owner, in whose op `inside` is called. */
static int op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	void (*const *inside)(void) = ctx;
	(void)head, (void)order, (void)cookie, (void)mode;
	(*inside)();
	return PFA_EBUSY;
}

static int op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx, (void)dst, (void)src, (void)order, (void)cookie, (void)mode;
	fail();
	return PFA_EBUSY;
}

static void op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx, (void)head, (void)order, (void)cookie;
	fail();
}

static void call_inside_an_op(void (*inside)(void))
{
	static const struct pfa_owner_ops ops = {sizeof(ops), op_isolate, op_migrate, op_putback};
	pfa_owner owner;
	pfa_pfn pfn;
	int result;
	EXPECT(pfa_owner_create, PFA_OK, rig.pfa, &ops, &inside, &owner);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_MOVABLE, &pfn);
	EXPECT(pfa_movable_set, PFA_OK, rig.pfa, pfn, owner, 0);
	EXPECT(pfa_migrate, PFA_EAGAIN, rig.pfa, &pfn, 1, &to_movable, &result);
	assert_int_equal(result, PFA_EBUSY);
	EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 0);
	EXPECT(pfa_owner_destroy, PFA_OK, rig.pfa, owner);
}

/* ---- the balloon --------------------------------------------------------------------------------------------------------- */

static struct pfa_balloon_config balloon_cfg;
static struct pfa_balloon *balloon, *other_balloon;
static void *balloon_memory[OWNERS + 1];
static size_t balloon_room;

static int device_refuses(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	(void)ctx, (void)event, (void)runs, (void)nr;
	return PFA_EDEVICE;
}

static void balloon_inside(void)
{
	EXPECT(pfa_balloon_create, PFA_EDEADLK, balloon_memory[1], balloon_room, &balloon_cfg, &other_balloon);
	EXPECT(pfa_balloon_inflate, PFA_EDEADLK, balloon, 1, NULL);
	EXPECT(pfa_balloon_destroy, PFA_EDEADLK, balloon);
}

static void balloon_base(uint32_t max_owners)
{
	base(6, RIG_POOL_DEFAULT, max_owners);
	balloon_cfg = (struct pfa_balloon_config){.size = sizeof(balloon_cfg), .pfa = rig.pfa, .platform = &rig.os, .max_blocks = BLOCKS};
	balloon_room = (pfa_balloon_bytes(&balloon_cfg) + 15) / 16 * 16;
	assert_int_not_equal(balloon_room, 0);
}

static void test_balloon(void **state)
{
	pfa_pfn taken[FRAMES];
	struct pfa_balloon *more[OWNERS];
	(void)state;
	balloon_base(OWNERS);
	for (unsigned i = 0; i <= OWNERS; i++)
		assert_non_null(balloon_memory[i] = aligned_alloc(16, balloon_room));
	EXPECT(pfa_balloon_create, PFA_EINVAL, balloon_memory[0], 1, &balloon_cfg, &balloon);
	EXPECT(pfa_balloon_create, PFA_OK, balloon_memory[0], balloon_room, &balloon_cfg, &balloon);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_balloon_create, PFA_OK, balloon_memory[i], balloon_room, &balloon_cfg, &more[i]);
	EXPECT(pfa_balloon_create, PFA_ENOMEM, balloon_memory[OWNERS], balloon_room, &balloon_cfg, &other_balloon);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_balloon_destroy, PFA_OK, more[i]);

	EXPECT(pfa_balloon_inflate, PFA_ENOMEM, balloon, BLOCKS + 1, NULL);
	EXPECT(pfa_balloon_deflate, PFA_OK, balloon, SIZE_MAX, NULL);
	size_t nr = exhaust(taken);
	EXPECT(pfa_balloon_inflate, PFA_EAGAIN, balloon, 1, NULL);
	give_back(taken, nr);
	call_inside_an_op(balloon_inside);

	/* With caches a damaged zone's frames are still given and taken for a while. */
	EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
	EXPECT(pfa_balloon_inflate, PFA_OK, balloon, 2, NULL);
	damage();
	EXPECT(pfa_balloon_inflate, PFA_ECORRUPT, balloon, 1, NULL);
	EXPECT(pfa_balloon_deflate, PFA_ECORRUPT, balloon, 1, NULL);
	EXPECT(pfa_balloon_destroy, PFA_ECORRUPT, balloon);
	repair();
	steal();
	EXPECT(pfa_balloon_deflate, PFA_EMISUSE, balloon, SIZE_MAX, NULL);
	EXPECT(pfa_balloon_inflate, PFA_OK, balloon, 1, NULL);
	EXPECT(pfa_balloon_destroy, PFA_EMISUSE, balloon);
	EXPECT(pfa_balloon_destroy, PFA_OK, balloon); /* the library knows of no block of it any more */

	struct pfa_balloon_config odd = balloon_cfg;
	odd.flags = 1u << 23;
	EXPECT(pfa_balloon_create, PFA_OK, balloon_memory[0], balloon_room, &odd, &balloon);
	EXPECT(pfa_balloon_inflate, PFA_EINVAL, balloon, 1, NULL);
	EXPECT(pfa_balloon_destroy, PFA_OK, balloon);
	odd = balloon_cfg;
	odd.tell = device_refuses;
	EXPECT(pfa_balloon_create, PFA_OK, balloon_memory[0], balloon_room, &odd, &balloon);
	EXPECT(pfa_balloon_inflate, PFA_EDEVICE, balloon, 1, NULL);
	EXPECT(pfa_balloon_destroy, PFA_OK, balloon);
	rig_stop(&rig);

	balloon_base(0);
	EXPECT(pfa_balloon_create, PFA_ENOTSUP, balloon_memory[0], balloon_room, &balloon_cfg, &balloon);
	rig_stop(&rig);
	for (unsigned i = 0; i <= OWNERS; i++)
		free(balloon_memory[i]);
}

/* ---- the compressed store ------------------------------------------------------------------------------------------------ */

#ifdef OWNER_ZSTORE
static struct pfa_zstore_config store_cfg;
static struct pfa_zstore *store, *other_store;
static void *store_memory[OWNERS + 1];
static size_t store_room;
static unsigned char noise[1024]; /* incompressible: an object of so many bytes takes a frame */

static void store_base(enum rig_pool pool, uint32_t max_owners)
{
	base(10, pool, max_owners);
	store_cfg = (struct pfa_zstore_config){.size = sizeof(store_cfg), .pfa = rig.pfa, .platform = &rig.os, .frame_shift = 10,
	                                       .max_objects = BLOCKS, .max_blocks = BLOCKS, .nr_scratch = 1};
	store_room = (pfa_zstore_bytes(&store_cfg) + 63) / 64 * 64;
	assert_int_not_equal(store_room, 0);
}

static void store_inside(void)
{
	pfa_zobject object;
	EXPECT(pfa_zstore_create, PFA_EDEADLK, store_memory[1], store_room, &store_cfg, &other_store);
	EXPECT(pfa_zstore_put, PFA_EDEADLK, store, noise, sizeof(noise), &object);
	EXPECT(pfa_zstore_destroy, PFA_EDEADLK, store);
}

static void store_objects(void)
{
	pfa_zobject objects[BLOCKS];
	unsigned char out[sizeof(noise)];
	void *frame;
	EXPECT(pfa_zstore_put, PFA_EINVAL, store, noise, 0, &objects[0]);
	for (unsigned i = 0; i < BLOCKS; i++)
		EXPECT(pfa_zstore_put, PFA_OK, store, noise, sizeof(noise), &objects[i]);
	EXPECT(pfa_zstore_put, PFA_ENOMEM, store, noise, 1, &objects[0]);
	EXPECT(pfa_zstore_get, PFA_OK, store, objects[0], out, sizeof(out), NULL);
	EXPECT(pfa_zstore_get, PFA_ERANGE, store, objects[0], out, sizeof(out) - 1, NULL);
	for (unsigned i = 0; i < BLOCKS; i++)
		EXPECT(pfa_zstore_delete, PFA_OK, store, objects[i]);
	EXPECT(pfa_zstore_delete, PFA_EINVAL, store, objects[0]);
	EXPECT(pfa_zstore_get, PFA_EINVAL, store, objects[0], out, sizeof(out), NULL);
	/* what is stored is no longer what LZ4 wrote */
	memset(out, 'x', sizeof(out));
	EXPECT(pfa_zstore_put, PFA_OK, store, out, sizeof(out), &objects[0]);
	EXPECT(pfa_ptr, PFA_OK, rig.pfa, any_block(), &frame);
	memset(frame, 0xff, 16);
	EXPECT(pfa_zstore_get, PFA_ECORRUPT, store, objects[0], out, sizeof(out), NULL);
	EXPECT(pfa_zstore_delete, PFA_OK, store, objects[0]);
}

static void test_zstore(void **state)
{
	pfa_pfn taken[FRAMES];
	struct pfa_zstore *more[OWNERS];
	pfa_zobject object;
	struct rng rng = {1};
	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)rng_next(&rng);
	store_base(RIG_POOL_CONTENT, OWNERS);
	for (unsigned i = 0; i <= OWNERS; i++)
		assert_non_null(store_memory[i] = aligned_alloc(64, store_room));
	EXPECT(pfa_zstore_create, PFA_EINVAL, store_memory[0], 1, &store_cfg, &store);
	struct pfa_zstore_config once = store_cfg; /* its requests stop where a plain one would go on */
	once.flags = PFA_MOVABLE | PFA_NORETRY;
	EXPECT(pfa_zstore_create, PFA_OK, store_memory[0], store_room, &once, &store);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_zstore_create, PFA_OK, store_memory[i], store_room, &store_cfg, &more[i]);
	EXPECT(pfa_zstore_create, PFA_ENOMEM, store_memory[OWNERS], store_room, &store_cfg, &other_store);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_zstore_destroy, PFA_OK, more[i]);
	store_objects();
	size_t nr = exhaust(taken);
	EXPECT(pfa_zstore_put, PFA_EAGAIN, store, noise, sizeof(noise), &object);
	give_back(taken, nr);
	call_inside_an_op(store_inside);

	EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
	EXPECT(pfa_zstore_put, PFA_OK, store, noise, sizeof(noise), &object);
	damage();
	EXPECT(pfa_zstore_put, PFA_ECORRUPT, store, noise, sizeof(noise), &(pfa_zobject){0});
	EXPECT(pfa_zstore_delete, PFA_ECORRUPT, store, object);
	EXPECT(pfa_zstore_destroy, PFA_ECORRUPT, store);
	repair();
	EXPECT(pfa_zstore_put, PFA_OK, store, noise, sizeof(noise), &object);
	steal();
	EXPECT(pfa_zstore_destroy, PFA_EMISUSE, store);
	EXPECT(pfa_zstore_destroy, PFA_OK, store); /* the library knows of no block of it any more */
	EXPECT(pfa_zstore_create, PFA_OK, store_memory[0], store_room, &store_cfg, &store);
	EXPECT(pfa_zstore_put, PFA_OK, store, noise, sizeof(noise), &object);
	steal();
	EXPECT(pfa_zstore_delete, PFA_EMISUSE, store, object);
	EXPECT(pfa_zstore_destroy, PFA_OK, store);
	rig_stop(&rig);

	store_base(RIG_POOL_CONTENT, 0);
	EXPECT(pfa_zstore_create, PFA_ENOTSUP, store_memory[0], store_room, &store_cfg, &store);
	rig_stop(&rig);
	store_base(RIG_POOL_NEVER, 1);
	EXPECT(pfa_zstore_create, PFA_OK, store_memory[0], store_room, &store_cfg, &store);
	EXPECT(pfa_zstore_put, PFA_ENOTSUP, store, noise, sizeof(noise), &object);
	EXPECT(pfa_zstore_destroy, PFA_OK, store);
	rig_stop(&rig);
	for (unsigned i = 0; i <= OWNERS; i++)
		free(store_memory[i]);
}
#endif

/* ---- the mapped arena ---------------------------------------------------------------------------------------------------- */

#ifdef OWNER_MAPPED
/* The linker puts this in the place of the library's mmap(), whose offsets have 64 bits. */
static int mmap_fails; /* the next call fails with this errno; 0: it does not */

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (!mmap_fails)
		return __real_mmap64(at, bytes, protection, flags, fd, offset);
	errno = mmap_fails;
	mmap_fails = 0;
	return MAP_FAILED;
}

static struct pfa_mapped_config arena_cfg;
static struct pfa_mapped *arena, *other_arena;

static void arena_base(enum rig_pool pool, uint32_t max_owners)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned shift = 12;
	while ((size_t)1 << shift < page)
		shift++;
	base(shift, pool, max_owners);
	/* For the codes it does not matter that the instance's pool is not this memory. */
	int fd = memfd_create("test_owner_codes", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)FRAMES << shift), 0);
	arena_cfg = (struct pfa_mapped_config){.size = sizeof(arena_cfg), .pfa = rig.pfa, .platform = &rig.os, .fd = fd,
	                                       .frame_shift = shift, .nr_units = BLOCKS, .way = PFA_MAPPED_SIGNAL};
}

static void arena_end(void)
{
	(void)close(arena_cfg.fd);
	rig_stop(&rig);
}

static void arena_inside(void)
{
	void *memory;
	EXPECT(pfa_mapped_create, PFA_EDEADLK, &arena_cfg, &other_arena);
	EXPECT(pfa_mapped_alloc, PFA_EDEADLK, arena, 1, PFA_MOVABLE, &memory);
	EXPECT(pfa_mapped_destroy, PFA_EDEADLK, arena);
}

static void *arena_memory;
static void arena_move_inside(void)
{
	EXPECT(pfa_mapped_move, PFA_EDEADLK, arena, arena_memory, 1, &to_movable, NULL);
}

static void arena_create(void)
{
	struct pfa_mapped *more[OWNERS];
	struct pfa_mapped_config wrong = arena_cfg;
	wrong.nr_units = 0;
	EXPECT(pfa_mapped_create, PFA_EINVAL, &wrong, &arena);
	mmap_fails = EIO;
	EXPECT(pfa_mapped_create, PFA_EDEVICE, &arena_cfg, &arena);
	EXPECT(pfa_mapped_create, PFA_OK, &arena_cfg, &arena);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_mapped_create, PFA_OK, &arena_cfg, &more[i]);
	EXPECT(pfa_mapped_create, PFA_ENOMEM, &arena_cfg, &other_arena);
	for (unsigned i = 1; i < OWNERS; i++)
		EXPECT(pfa_mapped_destroy, PFA_OK, more[i]);
}

/* Two units that are allocated, and what is after them. */
static void arena_pins(char *memory, size_t unit)
{
	pfa_pfn head;
	EXPECT(pfa_mapped_head, PFA_OK, arena, memory, &head);
	EXPECT(pfa_mapped_head, PFA_EINVAL, arena, memory + 2 * unit, &head);
	EXPECT(pfa_mapped_pin, PFA_EINVAL, arena, memory + 2 * unit, 1);
	EXPECT(pfa_mapped_unpin, PFA_EINVAL, arena, memory, 1);
	for (unsigned i = 0; i < 65535; i++)
		EXPECT(pfa_mapped_pin, PFA_OK, arena, memory, 1);
	EXPECT(pfa_mapped_pin, PFA_EAGAIN, arena, memory, 1);
	EXPECT(pfa_mapped_move, PFA_EAGAIN, arena, memory, 2 * unit, &to_movable, NULL);
	EXPECT(pfa_mapped_free, PFA_EBUSY, arena, memory, 2 * unit);
	for (unsigned i = 0; i < 65535; i++)
		EXPECT(pfa_mapped_unpin, PFA_OK, arena, memory, 1);
	EXPECT(pfa_mapped_move, PFA_OK, arena, memory, 2 * unit, &to_movable, NULL);
	EXPECT(pfa_mapped_move, PFA_EINVAL, arena, memory + 2 * unit, 1, &to_movable, NULL);
}

static void test_mapped(void **state)
{
	pfa_pfn taken[FRAMES];
	void *memory;
	(void)state;
	arena_base(RIG_POOL_CONTENT, OWNERS);
	const size_t unit = (size_t)1 << arena_cfg.frame_shift;
	arena_create();
	EXPECT(pfa_mapped_alloc, PFA_EINVAL, arena, 0, PFA_MOVABLE, &memory);
	EXPECT(pfa_mapped_alloc, PFA_ENOMEM, arena, (BLOCKS + 1) * unit, PFA_MOVABLE, &memory);
	size_t nr = exhaust(taken);
	EXPECT(pfa_mapped_alloc, PFA_EAGAIN, arena, 1, PFA_MOVABLE | PFA_NORETRY, &memory);
	give_back(taken, nr);
	call_inside_an_op(arena_inside);

	EXPECT(pfa_mapped_alloc, PFA_OK, arena, 2 * unit, PFA_MOVABLE, &memory);
	EXPECT(pfa_mapped_destroy, PFA_EBUSY, arena);
	arena_pins(memory, unit);
	arena_memory = memory;
	call_inside_an_op(arena_move_inside);
	EXPECT(pfa_mapped_free, PFA_EINVAL, arena, memory, 0);
	mmap_fails = ENOMEM;
	EXPECT(pfa_mapped_free, PFA_ENOMEM, arena, memory, unit);
	EXPECT(pfa_mapped_free, PFA_OK, arena, memory, 2 * unit);

	EXPECT(pfa_cache_disable, PFA_OK, rig.pfa);
	EXPECT(pfa_mapped_alloc, PFA_OK, arena, unit, PFA_MOVABLE, &memory);
	steal();
	EXPECT(pfa_mapped_free, PFA_EMISUSE, arena, memory, unit);
	EXPECT(pfa_mapped_alloc, PFA_OK, arena, unit, PFA_MOVABLE, &memory);
	damage();
	EXPECT(pfa_mapped_alloc, PFA_ECORRUPT, arena, unit, PFA_MOVABLE, &arena_memory);
	EXPECT(pfa_mapped_free, PFA_ECORRUPT, arena, memory, unit);
	repair();
	steal(); /* the arena has given it up */
	EXPECT(pfa_mapped_destroy, PFA_OK, arena);
	arena_end();

	arena_base(RIG_POOL_NEVER, 1);
	EXPECT(pfa_mapped_create, PFA_OK, &arena_cfg, &arena);
	EXPECT(pfa_mapped_alloc, PFA_ENOTSUP, arena, unit, PFA_MOVABLE | PFA_ZERO, &memory);
	EXPECT(pfa_mapped_destroy, PFA_OK, arena);
	arena_end();
	arena_base(RIG_POOL_NEVER, 0);
	EXPECT(pfa_mapped_create, PFA_ENOTSUP, &arena_cfg, &arena);
	arena_end();
}

/* ---- devices; those of the host for tests are produced by test_host.c --------------------------------------------------- */

static int refuse_punch(void *ctx, int fd, uint64_t offset, uint64_t bytes)
{
	(void)ctx, (void)fd, (void)offset, (void)bytes;
	errno = EPERM;
	return -1;
}

static int refuse_advise(void *ctx, void *at, size_t bytes, int advice)
{
	(void)ctx, (void)at, (void)bytes, (void)advice;
	errno = EPERM;
	return -1;
}

static void test_discard(void **state)
{
	static const struct pfa_discard_calls refused = {refuse_advise, NULL, refuse_punch, NULL};
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct pfa_discard discard;
	(void)state;
	void *pool = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(pool != MAP_FAILED);
	struct pfa_discard_config cfg = {.size = sizeof(cfg), .pool = pool, .pool_bytes = page, .fd = -1};
	EXPECT(pfa_discard_init, PFA_OK, &discard, &cfg);
	mmap_fails = ENOMEM;
	EXPECT(pfa_discard_init, PFA_ENOMEM, &discard, &cfg);
	cfg.calls = &refused;
	EXPECT(pfa_discard_init, PFA_ENOTSUP, &discard, &cfg);
	cfg.way = PFA_DISCARD_PUNCH;
	EXPECT(pfa_discard_init, PFA_EINVAL, &discard, &cfg);
	assert_int_equal(munmap(pool, page), 0);
}
#endif

static const struct unit_test tests[] = {
	TEST(test_balloon),
#ifdef OWNER_ZSTORE
	TEST(test_zstore),
#endif
#ifdef OWNER_MAPPED
	TEST(test_mapped),
	TEST(test_discard),
#endif
};
UNIT_MAIN(tests)
