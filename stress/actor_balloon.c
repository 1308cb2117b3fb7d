/* SPDX-License-Identifier: MIT
 *
 * The shipped balloon, inflated and deflated by all threads and by requests that would fail, while its blocks are moved. Its device
 * owns in the shadow what it is told of, writes to it, and finds that again when it is told to let go.
 */
#include "soak.h"

#include <pfa/balloon.h>

#include <inttypes.h>
#include <stdlib.h>

#define BALLOON_TAG (SOAK_BALLOON_ID << 20)

static struct {
	struct pfa_balloon *balloon; /* NULL: none */
	void *memory;
	unsigned order;
	size_t max_frames;
	_Atomic size_t frames[SOAK_ZONES_MAX]; /* the device has */
} balloon;

static uint64_t balloon_stamp(pfa_pfn pfn)
{
	return soak_mix(soak.opt.seed ^ pfn ^ (uint64_t)BALLOON_TAG << 32);
}

/* To the device, or from it. */
static void balloon_frames(struct soak_slot *slot, struct pfa_run run, bool in)
{
	soak_shadow_poison(run.first, run.nr_frames, false);
	for (pfa_pfn pfn = run.first; pfn < run.first + run.nr_frames; pfn++) {
		uint64_t *word = soak_frame(pfn), stamp = balloon_stamp(pfn);
		if (in)
			*word = stamp;
		else if (*word != stamp)
			soak_fail("stamp", "frame %zu in the balloon was written to: %016" PRIx64 ", expected %016" PRIx64, pfn,
			          *word, stamp);
		else
			*word = 0;
	}
	soak_shadow_pass(slot, run.first, run.nr_frames, in ? 0 : BALLOON_TAG, in ? BALLOON_TAG : 0);
	if (!in)
		soak_shadow_poison(run.first, run.nr_frames, true);
	atomic_fetch_add_explicit(&balloon.frames[soak_zone_of(run.first)], in ? run.nr_frames : 0 - run.nr_frames,
	                          memory_order_relaxed);
}

static int balloon_tell(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	struct soak_slot *slot = soak_self;
	bool in = event == PFA_BALLOON_INFLATED;
	(void)ctx;
	soak_recorded(soak_record(slot, SOAK_OP_device, runs[0].first, runs[0].nr_frames, event), PFA_OK);
	if (in && soak_chance(&slot->rng, 3))
		return PFA_EDEVICE;
	for (size_t i = 0; i < nr; i++) /* neighbouring zones share a run */
		for (size_t at = 0; at < runs[i].nr_frames; at += (size_t)1 << balloon.order)
			balloon_frames(slot, (struct pfa_run){runs[i].first + at, (size_t)1 << balloon.order}, in);
	if (in && soak_canary(SOAK_CANARY_device))
		return balloon_tell(ctx, event, runs, nr);
	return PFA_OK;
}

static void balloon_begin(struct soak_slot *slot)
{
	struct soak_rng *rng = &slot->rng;
	unsigned max = soak.geo.config.max_order < 3 ? soak.geo.config.max_order : 3;
	struct pfa_balloon_config cfg = {.size = sizeof(cfg), .pfa = soak.pfa, .platform = &soak.geo.platform,
	                                 .tell = balloon_tell};
	size_t bytes;
	balloon.balloon = NULL;
	if (!soak.geo.config.max_owners)
		return;
	cfg.order = balloon.order = soak_below(rng, max + 1);
	cfg.max_blocks = (soak.geo.present / 6 >> cfg.order) + 1;
	cfg.flags = soak_chance(rng, 50) ? 0 : PFA_MOVABLE;
	balloon.max_frames = cfg.max_blocks << cfg.order;
	bytes = pfa_balloon_bytes(&cfg);
	balloon.memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
	if (!balloon.memory)
		abort();
	soak_expect(slot, "pfa_balloon_create", pfa_balloon_create(balloon.memory, bytes, &cfg, &balloon.balloon), PFA_OK);
}

static size_t balloon_sum(void)
{
	size_t sum = 0;
	for (unsigned z = 0; z < SOAK_ZONES_MAX; z++)
		sum += atomic_load_explicit(&balloon.frames[z], memory_order_relaxed);
	return sum;
}

static void balloon_end(struct soak_slot *slot)
{
	if (!balloon.balloon)
		return;
	soak_expect(slot, "pfa_balloon_destroy", pfa_balloon_destroy(balloon.balloon), PFA_OK);
	if (balloon_sum())
		soak_fail("owners", "the balloon was destroyed, and its device has %zu frames", balloon_sum());
	balloon.balloon = NULL;
	free(balloon.memory);
}

/* The platform's op. */
size_t soak_low_memory(void *ctx, unsigned order, uint32_t flags)
{
	struct soak_slot *slot = soak_self;
	struct soak_record *record;
	size_t nr;
	(void)ctx;
	(void)flags;
	if (!balloon.balloon || soak.in_child) /* another thread may have had its lock */
		return 0;
	record = soak_record(slot, SOAK_OP_low_memory, order, 0, 0);
	nr = pfa_balloon_low_memory(balloon.balloon, order);
	atomic_store_explicit(&record->b, nr, memory_order_relaxed);
	soak_recorded(record, PFA_OK);
	return nr;
}

static void balloon_inflate(struct soak_slot *slot)
{
	size_t block = (size_t)1 << balloon.order, nr = soak_below(&slot->rng, 80), got = SIZE_MAX;
	size_t whole = (nr + block - 1) & ~(block - 1);
	struct soak_record *record = soak_record(slot, SOAK_OP_inflate, nr, 0, 0);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_balloon_inflate(balloon.balloon, nr, &got);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (got > whole || (rc == PFA_OK) != (got == whole) ||
	    (rc != PFA_OK && rc != PFA_ENOMEM && rc != PFA_EAGAIN && rc != PFA_EDEVICE))
		soak_fail("result", "pfa_balloon_inflate of %zu frames returned %s and took %zu", nr, pfa_error_name(rc), got);
}

static void balloon_step(struct soak_slot *slot, void *state)
{
	struct soak_record *record;
	size_t nr, got = SIZE_MAX;
	int rc;
	(void)state;
	if (!balloon.balloon)
		return;
	soak_count(&soak_tally(slot)->checks, 1);
	if (pfa_balloon_frames(balloon.balloon) > balloon.max_frames)
		soak_fail("owners", "the balloon says that it has %zu frames of %zu", pfa_balloon_frames(balloon.balloon),
		          balloon.max_frames);
	if (soak_chance(&slot->rng, 55)) {
		balloon_inflate(slot);
		return;
	}
	nr = soak_chance(&slot->rng, 2) ? SIZE_MAX : soak_below(&slot->rng, 80);
	record = soak_record(slot, SOAK_OP_deflate, nr, 0, 0);
	rc = pfa_balloon_deflate(balloon.balloon, nr, &got);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_balloon_deflate", rc, PFA_OK);
}

static void balloon_owned(struct soak_slot *slot, struct soak_owned *owned)
{
	(void)slot;
	if (!balloon.balloon)
		return;
	if (balloon_sum() != pfa_balloon_frames(balloon.balloon))
		soak_fail("owners", "the device has %zu frames, the balloon says %zu", balloon_sum(),
		          pfa_balloon_frames(balloon.balloon));
	for (unsigned z = 0; z < SOAK_ZONES_MAX; z++)
		owned->tracked[z] += atomic_load_explicit(&balloon.frames[z], memory_order_relaxed);
	owned->movable += balloon_sum();
	owned->owners++;
}

const struct soak_actor soak_actor_balloon = {
	.name = "balloon",
	.weight = 12,
	.begin = balloon_begin,
	.end = balloon_end,
	.step = balloon_step,
	.owned = balloon_owned,
};
