/* SPDX-License-Identifier: MIT
 *
 * The oracles outside of the library: who owns each frame, and what its content says.
 */
#include "soak_ranges.h"

#include <inttypes.h>

#if SOAK_ASAN
#include <sanitizer/asan_interface.h>
#endif

void *soak_frame(pfa_pfn pfn)
{
	return soak.pool + (pfn - soak.geo.base) * soak.frame_bytes;
}

void soak_shadow_poison(pfa_pfn first, size_t nr, bool poisoned)
{
	(void)first;
	(void)nr;
	(void)poisoned;
#if SOAK_ASAN
	if (soak.poisons && poisoned)
		ASAN_POISON_MEMORY_REGION(soak_frame(first), nr * soak.frame_bytes);
	else if (soak.poisons)
		ASAN_UNPOISON_MEMORY_REGION(soak_frame(first), nr * soak.frame_bytes);
#endif
}

/* Three words of each frame: the first, the last, and one in between whose place depends on the stamp. */
static void shadow_places(pfa_pfn pfn, uint64_t stamp, uint64_t *out[3])
{
	uint64_t *words = soak_frame(pfn);
	size_t nr = soak.frame_bytes / sizeof(*words);
	out[0] = &words[0];
	out[1] = &words[nr - 1];
	out[2] = &words[1 + (size_t)(stamp >> 40) % (nr - 2)];
}

static uint64_t shadow_stamp(pfa_pfn pfn, uint32_t tag)
{
	return soak_mix((uint64_t)tag << 32 ^ (uint64_t)pfn ^ soak.opt.seed);
}

void soak_stamp(pfa_pfn pfn, uint32_t tag)
{
	uint64_t stamp = shadow_stamp(pfn, tag), *at[3];
	shadow_places(pfn, stamp, at);
	*at[0] = stamp;
	*at[1] = ~stamp;
	*at[2] = stamp + 1;
}

bool soak_stamped(pfa_pfn pfn, uint32_t tag)
{
	uint64_t stamp = shadow_stamp(pfn, tag), *at[3];
	shadow_places(pfn, stamp, at);
	return *at[0] == stamp && *at[1] == ~stamp && *at[2] == stamp + 1;
}

static void shadow_verify_frame(pfa_pfn pfn, uint32_t tag)
{
	uint64_t stamp = shadow_stamp(pfn, tag), *at[3];
	shadow_places(pfn, stamp, at);
	if (!soak_stamped(pfn, tag))
		soak_fail("stamp",
		          "frame %zu of owner %u generation %u: the content changed while it was owned: "
		          "%016" PRIx64 " %016" PRIx64 " %016" PRIx64 ", expected %016" PRIx64 " %016" PRIx64
		          " %016" PRIx64,
		          pfn, tag >> 20, tag & 0xFFFFF, *at[0], *at[1], *at[2], stamp, ~stamp, stamp + 1);
}

static void shadow_verify_zero(const struct soak_grant *grant)
{
	const uint64_t *words = soak_frame(grant->first);
	size_t nr = (size_t)grant->nr * soak.frame_bytes / sizeof(*words);
	if (soak_canary(SOAK_CANARY_zero))
		((unsigned char *)soak_frame(grant->first))[nr * 8 - 3] = 1;
	for (size_t i = 0; i < nr; i++)
		if (words[i] != 0)
			soak_fail("zero", "a zero request got frame %zu, whose word %zu is %016" PRIx64,
			          grant->first + i * sizeof(*words) / soak.frame_bytes,
			          i % (soak.frame_bytes / sizeof(*words)), words[i]);
}

/* Is the grant where a request with these flags may be served from? */
static void shadow_placement(const struct soak_grant *grant, uint32_t flags, unsigned align_order)
{
	size_t rel = grant->first - soak.geo.base;
	unsigned from = PFA_ZONE_OF(flags), zone;
	if (grant->first < soak.geo.base || rel >= soak.geo.span || soak.geo.span - rel < grant->nr)
		soak_fail("placement", "pfn %zu + %u lies outside of the instance", grant->first, grant->nr);
	if (grant->first & (((size_t)1 << align_order) - 1))
		soak_fail("placement", "pfn %zu is not aligned to order %u", grant->first, align_order);
	zone = soak.attr[rel] & ~SOAK_IN_CMA;
	for (size_t i = 0; i < grant->nr; i++) {
		unsigned char attr = soak.attr[rel + i];
		if (attr == SOAK_ABSENT)
			soak_fail("placement", "frame %zu is absent", grant->first + i);
		if ((attr & ~SOAK_IN_CMA) != zone)
			soak_fail("placement", "frames %zu + %u cross a zone", grant->first, grant->nr);
		/* The canaries: the frame becomes part of an area, or goes offline, while it is granted. */
		if ((flags & PFA_TYPE_MASK) != PFA_MOVABLE && soak_canary(SOAK_CANARY_lent))
			soak_mark(grant->first + i, 1, SOAK_MARK_AREA, true);
		if (soak_canary(SOAK_CANARY_absent))
			soak_mark(grant->first + i, 1, SOAK_MARK_AWAY, true);
		bool area = (attr & SOAK_IN_CMA) || soak_marked(grant->first + i, 1, SOAK_MARK_AREA);
		if ((flags & PFA_TYPE_MASK) != PFA_MOVABLE && area)
			soak_fail("placement", "CMA frame %zu for a request with flags %#x", grant->first + i, flags);
		if (soak_marked(grant->first + i, 1, SOAK_MARK_AWAY))
			soak_fail("placement", "frame %zu is offline or a hole", grant->first + i);
	}
	if (zone < from || (zone != from && (flags & PFA_EXACT_ZONE)))
		soak_fail("placement", "frame %zu of zone %u for a request with flags %#x", grant->first, zone, flags);
}

static void shadow_own(struct soak_slot *slot, const struct soak_grant *grant)
{
	size_t rel = grant->first - soak.geo.base;
	for (size_t i = 0; i < grant->nr; i++) {
		uint32_t old = atomic_exchange_explicit(&soak.shadow[rel + i], grant->tag, memory_order_relaxed);
		if (old)
			soak_fail("double-grant",
			          "frame %zu was granted to thread %u while thread %u owns it (generation %u)",
			          grant->first + i, slot->id, old >> 20, old & 0xFFFFF);
	}
}

void soak_granted(struct soak_slot *slot, struct soak_grant *grant, uint32_t flags, unsigned align_order)
{
	struct soak_tally *tally = soak_tally(slot);
	slot->generation = (slot->generation + 1) & 0xFFFFF;
	grant->tag = slot->id << 20 | slot->generation;
	shadow_placement(grant, flags, align_order);
	shadow_own(slot, grant);
	if (soak_canary(SOAK_CANARY_grant))
		shadow_own(slot, grant);
	soak_shadow_poison(grant->first, grant->nr, false);
	if (flags & PFA_ZERO)
		shadow_verify_zero(grant);
	for (size_t i = 0; i < grant->nr; i++)
		soak_stamp(grant->first + i, grant->tag);
	slot->held += grant->nr;
	soak_count(&tally->grants, 1);
	soak_count(&tally->frames, grant->nr);
}

void soak_verify(struct soak_slot *slot, const struct soak_grant *grant)
{
	size_t rel = grant->first - soak.geo.base;
	for (size_t i = 0; i < grant->nr; i++) {
		uint32_t tag = atomic_load_explicit(&soak.shadow[rel + i], memory_order_relaxed);
		if (soak_canary(SOAK_CANARY_shadow))
			tag ^= 1;
		if (tag != grant->tag)
			soak_fail("shadow", "frame %zu should belong to tag %u:%u and belongs to %u:%u",
			          grant->first + i, grant->tag >> 20, grant->tag & 0xFFFFF, tag >> 20, tag & 0xFFFFF);
		shadow_verify_frame(grant->first + i, grant->tag);
	}
	soak_count(&soak_tally(slot)->stamps, grant->nr);
}

/* Before frames are given back: they are still ours and intact, and from now on they are nobody's. */
void soak_release(struct soak_slot *slot, pfa_pfn first, uint32_t nr, uint32_t tag)
{
	struct soak_grant part = {.first = first, .nr = nr, .tag = tag};
	size_t rel = first - soak.geo.base;
	soak_verify(slot, &part);
	for (size_t i = 0; i < nr; i++) {
		uint32_t old = atomic_exchange_explicit(&soak.shadow[rel + i], 0, memory_order_relaxed);
		if (old != tag)
			soak_fail("shadow", "frame %zu changed its owner from %u:%u to %u:%u during its release",
			          first + i, tag >> 20, tag & 0xFFFFF, old >> 20, old & 0xFFFFF);
		*(uint64_t *)soak_frame(first + i) = ~(uint64_t)tag; /* dirty, and no longer a stamp */
	}
	soak_shadow_poison(first, nr, true);
	if (soak.poisons && soak_canary(SOAK_CANARY_poison))
		*(volatile unsigned char *)soak_frame(first) = 1;
	slot->held -= nr;
}

uint32_t soak_shadow_tag(pfa_pfn pfn)
{
	return atomic_load_explicit(&soak.shadow[pfn - soak.geo.base], memory_order_relaxed);
}

void soak_shadow_pass(struct soak_slot *slot, pfa_pfn first, size_t nr, uint32_t from, uint32_t to)
{
	size_t rel = first - soak.geo.base;
	if (first < soak.geo.base || rel >= soak.geo.span || soak.geo.span - rel < nr)
		soak_fail("placement", "pfn %zu + %zu lies outside of the instance", first, nr);
	for (size_t i = 0; i < nr; i++) {
		uint32_t old = atomic_exchange_explicit(&soak.shadow[rel + i], to, memory_order_relaxed);
		if (soak.attr[rel + i] == SOAK_ABSENT || soak_marked(first + i, 1, SOAK_MARK_AWAY))
			soak_fail("placement", "frame %zu is absent", first + i);
		if (old != from)
			soak_fail(from ? "shadow" : "double-grant",
			          "frame %zu should pass from %u:%u to %u:%u by thread %u, and belongs to %u:%u", first + i,
			          from >> 20, from & 0xFFFFF, to >> 20, to & 0xFFFFF, slot->id, old >> 20, old & 0xFFFFF);
	}
}

/* A frame begins to guard a block, or no longer does. */
void soak_guarded(struct soak_slot *slot, pfa_pfn pfn, bool on)
{
	size_t rel = pfn - soak.geo.base;
	uint32_t guard = SOAK_GUARD_ID << 20, from = on ? 0 : guard, old;
	if (pfn < soak.geo.base || rel >= soak.geo.span || soak.attr[rel] == SOAK_ABSENT || soak_marked(pfn, 1, SOAK_MARK_AWAY))
		soak_fail("guard", "frame %zu is to guard a block, and is absent", pfn);
	if (soak_canary(SOAK_CANARY_guard))
		atomic_store_explicit(&soak.shadow[rel], from ^ 1, memory_order_relaxed);
	old = atomic_exchange_explicit(&soak.shadow[rel], on ? guard : 0, memory_order_relaxed);
	if (old != from)
		soak_fail("guard", "frame %zu %s a guard, told by thread %u, while it belongs to %u:%u", pfn,
		          on ? "becomes" : "is no longer", slot->id, old >> 20, old & 0xFFFFF);
	atomic_fetch_add_explicit(&soak.nr_guards[soak_zone_of(pfn)], on ? 1 : SIZE_MAX, memory_order_relaxed);
}

/* Frames of a zone that somebody owns. Exact while everybody is parked. */
size_t soak_shadow_count(unsigned zone)
{
	size_t nr = 0;
	for (size_t i = 0; i < soak.geo.span; i++)
		if (soak.attr[i] != SOAK_ABSENT && (soak.attr[i] & ~SOAK_IN_CMA) == zone)
			nr += atomic_load_explicit(&soak.shadow[i], memory_order_relaxed) != 0;
	return nr;
}
