/* SPDX-License-Identifier: MIT
 *
 * The shipped compressed store: objects that all threads put, read and delete while their blocks are moved. An object is read
 * whole or, once somebody has taken it out of its place, not at all.
 */
#include "soak.h"

#include <pfa/zstore.h>

#include <stdlib.h>
#include <string.h>

#define ZSTORE_PLACES 96u
#define ZSTORE_BYTES 8192u

struct zstore_object {
	pfa_zobject handle; /* 0: none */
	uint64_t seed;      /* what it says, and how long it is */
};

static struct {
	struct pfa_zstore *store; /* NULL: none */
	void *memory;
	size_t max_bytes;
	unsigned order;
	pthread_mutex_t mutex; /* of the places; not held during calls */
	struct zstore_object places[ZSTORE_PLACES];
} zstore = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct zstore_object zstore_exchange(unsigned at, const struct zstore_object *with)
{
	struct zstore_object before;
	pthread_mutex_lock(&zstore.mutex);
	before = zstore.places[at];
	if (with)
		zstore.places[at] = *with;
	pthread_mutex_unlock(&zstore.mutex);
	return before;
}

/* Bytes from few kinds to many: compressible, and not. */
static size_t zstore_content(uint64_t seed, unsigned char *out)
{
	struct soak_rng rng = {seed};
	size_t nr = 1 + soak_below(&rng, (uint32_t)zstore.max_bytes);
	uint32_t kinds = 1 + soak_below(&rng, soak_chance(&rng, 70) ? 16 : 256);
	for (size_t i = 0; i < nr;) {
		unsigned char byte = (unsigned char)soak_below(&rng, kinds);
		for (unsigned run = soak_below(&rng, 24); i < nr && run != UINT32_MAX; run--)
			out[i++] = byte;
	}
	return nr;
}

static void zstore_begin(struct soak_slot *slot)
{
	struct pfa_zstore_config cfg = {.size = sizeof(cfg), .pfa = soak.pfa, .platform = &soak.geo.platform};
	unsigned max = soak.geo.config.max_order;
	size_t bytes;
	zstore.store = NULL;
	memset(zstore.places, 0, sizeof(zstore.places));
	if (!soak.geo.config.max_owners)
		return;
	while (max && soak.frame_bytes << max > ZSTORE_BYTES)
		max--;
	cfg.frame_shift = soak.geo.config.frame_shift;
	cfg.order = zstore.order = soak_below(&slot->rng, max + 1);
	cfg.max_objects = ZSTORE_PLACES + soak.nr_workers;
	cfg.max_blocks = (soak.geo.present / 8 >> cfg.order) + 1;
	cfg.nr_scratch = 1 + soak_below(&slot->rng, 4);
	zstore.max_bytes = pfa_zstore_max_bytes(&cfg);
	bytes = pfa_zstore_bytes(&cfg);
	zstore.memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!zstore.memory || zstore.max_bytes == 0 || zstore.max_bytes > ZSTORE_BYTES)
		abort();
	soak_expect(slot, "pfa_zstore_create", pfa_zstore_create(zstore.memory, bytes, &cfg, &zstore.store), PFA_OK);
}

/* False: it is not there. */
static bool zstore_read(struct soak_slot *slot, const struct zstore_object *object)
{
	unsigned char expected[ZSTORE_BYTES], got[ZSTORE_BYTES];
	size_t nr = zstore_content(object->seed, expected), nr_got = SIZE_MAX;
	struct soak_record *record = soak_record(slot, SOAK_OP_get, (uintptr_t)object->handle, nr, 0);
	int rc = pfa_zstore_get(zstore.store, object->handle, got, sizeof(got), &nr_got);
	soak_recorded(record, rc);
	if (rc == PFA_EINVAL)
		return false;
	soak_expect(slot, "pfa_zstore_get", rc, PFA_OK);
	if (soak_canary(SOAK_CANARY_object))
		got[nr / 2] ^= 1;
	if (nr_got != nr || memcmp(got, expected, nr) != 0)
		soak_fail("object", "object %#llx of %zu bytes reads as other %zu", (unsigned long long)object->handle, nr,
		          nr_got);
	soak_count(&soak_tally(slot)->stamps, 1);
	return true;
}

static void zstore_get(struct soak_slot *slot, unsigned at)
{
	struct zstore_object object = zstore_exchange(at, NULL);
	if (object.handle && !zstore_read(slot, &object) && zstore_exchange(at, NULL).handle == object.handle)
		soak_fail("object", "object %#llx is lost", (unsigned long long)object.handle);
}

static void zstore_put(struct soak_slot *slot, struct zstore_object *out)
{
	unsigned char content[ZSTORE_BYTES];
	uint64_t seed = soak_next(&slot->rng);
	size_t nr = zstore_content(seed, content);
	struct soak_record *record = soak_record(slot, SOAK_OP_put, 0, nr, 0);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_zstore_put(zstore.store, content, nr, &out->handle);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (rc == PFA_ENOMEM) {
		out->handle = 0;
		return;
	}
	soak_expect(slot, "pfa_zstore_put", rc, PFA_OK);
	atomic_store_explicit(&record->a, (uintptr_t)out->handle, memory_order_relaxed);
	out->seed = seed;
}

static void zstore_step(struct soak_slot *slot, void *state)
{
	unsigned at = soak_below(&slot->rng, ZSTORE_PLACES), what = soak_below(&slot->rng, 10);
	struct zstore_object object = {0, 0};
	struct soak_record *record;
	int rc;
	(void)state;
	if (!zstore.store)
		return;
	if (what < 5) {
		zstore_get(slot, at);
		return;
	}
	if (what < 8)
		zstore_put(slot, &object);
	object = zstore_exchange(at, &object);
	if (!object.handle)
		return;
	record = soak_record(slot, SOAK_OP_delete, (uintptr_t)object.handle, 0, 0);
	rc = pfa_zstore_delete(zstore.store, object.handle);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_zstore_delete", rc, PFA_OK);
	if (zstore_read(slot, &object))
		soak_fail("object", "object %#llx was deleted, and reads well", (unsigned long long)object.handle);
}

static void zstore_owned(struct soak_slot *slot, struct soak_owned *owned)
{
	struct pfa_zstore_stats stats;
	size_t objects = 0;
	if (!zstore.store)
		return;
	for (unsigned i = 0; i < ZSTORE_PLACES; i++) {
		if (!zstore.places[i].handle)
			continue;
		objects++;
		if (!zstore_read(slot, &zstore.places[i]))
			soak_fail("object", "object %#llx is lost", (unsigned long long)zstore.places[i].handle);
	}
	pfa_zstore_stats_get(zstore.store, &stats);
	if (stats.objects != objects)
		soak_fail("object", "%zu objects were put and not deleted, the store says %zu", objects, stats.objects);
	owned->hidden += stats.blocks << zstore.order;
	owned->movable += stats.blocks << zstore.order;
	owned->owners++;
}

static void zstore_end(struct soak_slot *slot)
{
	if (!zstore.store)
		return;
	soak_expect(slot, "pfa_zstore_destroy", pfa_zstore_destroy(zstore.store), PFA_OK);
	zstore.store = NULL;
	free(zstore.memory);
}

const struct soak_actor soak_actor_zstore = {
	.name = "zstore",
	.weight = 40,
	.begin = zstore_begin,
	.end = zstore_end,
	.step = zstore_step,
	.owned = zstore_owned,
};
