/* SPDX-License-Identifier: MIT
 *
 * The library's calls as the actors use them: recorded before and after, their results judged, the oracles fed.
 */
#include "soak.h"

#include <stdlib.h>

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* A call with only one right result. */
void soak_expect(struct soak_slot *slot, const char *what, int rc, int wanted)
{
	if (rc != wanted)
		soak_fail("result", "%s by thread %u returned %s, expected %s", what, slot->id, pfa_error_name(rc),
		          pfa_error_name(wanted));
}

/* A request: granted, or refused in a way that its flags allow. */
static bool api_judge_request(struct soak_slot *slot, const char *what, int rc, uint32_t flags)
{
	struct soak_tally *tally = soak_tally(slot);
	soak_count(&tally->calls, 1);
	if (soak_canary(SOAK_CANARY_result))
		rc = PFA_EBUSY;
	switch (rc) {
	case PFA_OK:
		return true;
	case PFA_ENOMEM:
		soak_count(&tally->enomem, 1);
		return false;
	case PFA_EAGAIN:
		if (flags & (PFA_NOWAIT | PFA_NORETRY)) {
			soak_count(&tally->eagain, 1);
			return false;
		}
		break;
	default:
		break;
	}
	soak_fail("result", "%s with flags %#x returned %s", what, flags, pfa_error_name(rc));
}

/* The call that follows may move blocks, or has returned. For whoever forks meanwhile. */
void soak_may_move(struct soak_slot *slot, bool may)
{
	atomic_store(&slot->may_move, may);
}

static inline void api_request_moves(struct soak_slot *slot, uint32_t flags, bool begins)
{
	/* a place in the list of movers is also taken for platform.low_memory */
	if ((flags & PFA_COMPACT) || (soak.geo.platform.low_memory && !(flags & (PFA_NOWAIT | PFA_NORETRY))))
		soak_may_move(slot, begins);
}

/* platform.fatal: misuse is expected from the misuser only, corruption from nobody. */
void soak_fatal_op(void *ctx, const struct pfa_fault *fault)
{
	struct soak_slot *slot = soak_self;
	(void)ctx;
	if (fault->code == PFA_EMISUSE && slot && slot->expect_misuse) {
		slot->nr_faults++;
		slot->fault = fault->kind;
		return;
	}
	if (fault->kind == PFA_FAULT_OWNER_RESULT && slot && slot->nr_nonsense_told < slot->nr_nonsense) {
		slot->nr_nonsense_told++;
		return;
	}
	soak_fail(fault->code == PFA_ECORRUPT ? "corruption" : "unexpected-misuse",
	          "the library reports: %s (kind %d, pfn %zu, order %u, %s)", fault->message, (int)fault->kind,
	          fault->pfn, fault->order, fault->function);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

/* The frame before and the frame after the block were told to the platform as guards. */
static void api_judge_guards(const struct soak_grant *grant)
{
	size_t rel = grant->first - soak.geo.base;
	if (rel == 0 || rel + grant->nr >= soak.geo.span || soak_shadow_tag(grant->first - 1) >> 20 != SOAK_GUARD_ID ||
	    soak_shadow_tag(grant->first + grant->nr) >> 20 != SOAK_GUARD_ID)
		soak_fail("guard", "block %zu of %u frames was granted without its two guards", grant->first, grant->nr);
}

bool soak_take(struct soak_slot *slot, unsigned order, uint32_t flags, struct soak_grant *out)
{
	pfa_pfn pfn = 0;
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc, order, flags, 0);
	int rc;
	api_request_moves(slot, flags, true);
	rc = pfa_alloc(soak.pfa, order, flags, &pfn);
	api_request_moves(slot, flags, false);
	atomic_store_explicit(&record->c, pfn, memory_order_relaxed);
	soak_recorded(record, rc);
	if (!api_judge_request(slot, "pfa_alloc", rc, flags))
		return false;
	*out = (struct soak_grant){.first = pfn, .nr = 1u << order, .order = order};
	soak_granted(slot, out, flags, order);
	if (flags & PFA_GUARD)
		api_judge_guards(out);
	return true;
}

bool soak_take_ptr(struct soak_slot *slot, unsigned order, uint32_t flags, struct soak_grant *out)
{
	void *ptr = NULL, *again = NULL;
	pfa_pfn pfn = 0;
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc_ptr, order, flags, 0);
	int rc;
	api_request_moves(slot, flags, true);
	rc = pfa_alloc_ptr(soak.pfa, order, flags, &ptr);
	api_request_moves(slot, flags, false);
	soak_recorded(record, rc);
	if (!api_judge_request(slot, "pfa_alloc_ptr", rc, flags))
		return false;
	soak_expect(slot, "pfa_pfn_of of a granted block", pfa_pfn_of(soak.pfa, ptr, &pfn), PFA_OK);
	atomic_store_explicit(&record->c, pfn, memory_order_relaxed);
	soak_expect(slot, "pfa_ptr of a granted block", pfa_ptr(soak.pfa, pfn, &again), PFA_OK);
	if (again != ptr || ptr != soak_frame(pfn))
		soak_fail("placement", "pointer forms disagree: %p is frame %zu, which is at %p", ptr, pfn, again);
	*out = (struct soak_grant){.first = pfn, .nr = 1u << order, .order = order};
	soak_granted(slot, out, flags, order);
	return true;
}

bool soak_take_window(struct soak_slot *slot, unsigned order, uint32_t flags, struct pfa_run window,
                      struct soak_grant *out)
{
	pfa_pfn pfn = 0;
	struct soak_record *record;
	int rc;
	soak_recorded(soak_record(slot, SOAK_OP_window, window.first, window.nr_frames, 0), PFA_OK);
	record = soak_record(slot, SOAK_OP_alloc_window, order, flags, 0);
	api_request_moves(slot, flags, true);
	rc = pfa_alloc_window(soak.pfa, order, flags, window, &pfn);
	api_request_moves(slot, flags, false);
	atomic_store_explicit(&record->c, pfn, memory_order_relaxed);
	soak_recorded(record, rc);
	if (!api_judge_request(slot, "pfa_alloc_window", rc, flags))
		return false;
	*out = (struct soak_grant){.first = pfn, .nr = 1u << order, .order = order};
	soak_granted(slot, out, flags, order);
	if (soak_canary(SOAK_CANARY_placement))
		window.first = pfn + 1;
	if (pfn < window.first || pfn - window.first > window.nr_frames - out->nr)
		soak_fail("placement", "block %zu of order %u lies outside of its window %zu + %zu", pfn, order,
		          window.first, window.nr_frames);
	return true;
}

bool soak_take_exact(struct soak_slot *slot, uint32_t nr, unsigned align_order, uint32_t flags, struct soak_grant *out)
{
	pfa_pfn pfn = 0;
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc_exact, nr, flags, 0);
	int rc;
	api_request_moves(slot, flags, true);
	rc = pfa_alloc_exact(soak.pfa, nr, align_order, flags, &pfn);
	api_request_moves(slot, flags, false);
	atomic_store_explicit(&record->c, pfn, memory_order_relaxed);
	soak_recorded(record, rc);
	if (!api_judge_request(slot, "pfa_alloc_exact", rc, flags))
		return false;
	*out = (struct soak_grant){.first = pfn, .nr = nr, .order = 0};
	soak_granted(slot, out, flags, align_order);
	return true;
}

size_t soak_take_bulk(struct soak_slot *slot, unsigned order, uint32_t flags, size_t nr, struct soak_grant out[])
{
	pfa_pfn pfns[64];
	size_t got = SIZE_MAX;
	struct soak_record *record = soak_record(slot, SOAK_OP_alloc_bulk, order, flags, nr);
	int rc;
	api_request_moves(slot, flags, true);
	rc = pfa_alloc_bulk(soak.pfa, order, flags, nr, pfns, &got);
	api_request_moves(slot, flags, false);
	soak_recorded(record, rc);
	if (got > nr || api_judge_request(slot, "pfa_alloc_bulk", rc, flags) != (got == nr))
		soak_fail("result", "pfa_alloc_bulk of %zu blocks returned %s and gave %zu", nr, pfa_error_name(rc),
		          got);
	for (size_t i = 0; i < got; i++) {
		out[i] = (struct soak_grant){.first = pfns[i], .nr = 1u << order, .order = order};
		soak_granted(slot, &out[i], flags, order);
	}
	return got;
}

/* ---- giving back ------------------------------------------------------------------------------------------------ */

/* By a handle, where the instance has them: of a block that is ours it is fresh. */
static int api_free_checked(struct soak_slot *slot, pfa_pfn pfn, unsigned order)
{
	struct pfa_handle handle;
	soak_expect(slot, "pfa_handle_of a live block", pfa_handle_of(soak.pfa, pfn, order, &handle), PFA_OK);
	return pfa_free_checked(soak.pfa, &handle);
}

static void api_free_block(struct soak_slot *slot, pfa_pfn pfn, unsigned order, uint32_t tag)
{
	bool by_ptr = soak_chance(&slot->rng, 10);
	struct soak_record *record = soak_record(slot, by_ptr ? SOAK_OP_free_ptr : SOAK_OP_free, pfn, order, tag);
	void *ptr = soak_frame(pfn);
	bool checked = !by_ptr && (soak.geo.config.flags & PFA_CONFIG_GENERATIONS) && soak_chance(&slot->rng, 30);
	int rc;
	soak_release(slot, pfn, 1u << order, tag);
	if (checked)
		rc = api_free_checked(slot, pfn, order);
	else
		rc = by_ptr ? pfa_free_ptr(soak.pfa, ptr, order) : pfa_free(soak.pfa, pfn, order);
	soak_recorded(record, rc);
	soak_expect(slot, "a free of a live block", rc, PFA_OK);
}

static void api_free_range(struct soak_slot *slot, pfa_pfn first, uint32_t nr, uint32_t tag)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_free_range, first, nr, tag);
	int rc;
	soak_release(slot, first, nr, tag);
	rc = pfa_free_range(soak.pfa, first, nr);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_free_range of live blocks", rc, PFA_OK);
}

/* Gives a grant back, in one piece or several, by one of the calls that can. */
void soak_give(struct soak_slot *slot, struct soak_grant grant)
{
	uint32_t block = 1u << grant.order;
	while (grant.nr) {
		uint32_t blocks = grant.nr >> grant.order, piece = block;
		if (soak_chance(&slot->rng, blocks > 1 ? 60 : 5)) {
			if (soak_chance(&slot->rng, 50))
				blocks = 1 + soak_below(&slot->rng, blocks);
			piece = blocks << grant.order;
			api_free_range(slot, grant.first, piece, grant.tag);
		} else {
			api_free_block(slot, grant.first, grant.order, grant.tag);
		}
		soak_count(&soak_tally(slot)->frees, 1);
		grant.first += piece;
		grant.nr -= piece;
	}
}

void soak_give_bulk(struct soak_slot *slot, const struct soak_grant grants[], size_t nr)
{
	pfa_pfn pfns[64];
	size_t freed = SIZE_MAX;
	struct soak_record *record;
	int rc;
	if (nr == 0)
		return;
	record = soak_record(slot, SOAK_OP_free_bulk, grants[0].first, grants[0].order, nr);
	for (size_t i = 0; i < nr; i++) {
		pfns[i] = grants[i].first;
		soak_release(slot, grants[i].first, grants[i].nr, grants[i].tag);
	}
	rc = pfa_free_bulk(soak.pfa, grants[0].order, nr, pfns, &freed);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_free_bulk of live blocks", rc, PFA_OK);
	if (freed != nr)
		soak_fail("result", "pfa_free_bulk of %zu blocks says that it freed %zu", nr, freed);
	soak_count(&soak_tally(slot)->frees, nr);
}

/* All blocks of the grant become blocks of new_order. */
void soak_split(struct soak_slot *slot, struct soak_grant *grant, unsigned new_order)
{
	for (uint32_t at = 0; at < grant->nr; at += 1u << grant->order) {
		struct soak_record *record =
			soak_record(slot, SOAK_OP_split, grant->first + at, grant->order, new_order);
		int rc = pfa_split(soak.pfa, grant->first + at, grant->order, new_order);
		soak_recorded(record, rc);
		soak_expect(slot, "pfa_split of a live block", rc, PFA_OK);
	}
	grant->order = new_order;
}

/* ---- from thread to thread -------------------------------------------------------------------------------------- */

/* Hands a grant to some worker; frees it if that one's mailbox is full. */
void soak_post(struct soak_slot *slot, struct soak_grant grant)
{
	uint32_t to = soak_below(&slot->rng, soak.nr_workers);
	struct soak_mailbox *mail = &soak.mail[to];
	bool posted = false;
	pthread_mutex_lock(&mail->mutex);
	if (mail->nr < SOAK_MAIL) {
		mail->grants[mail->nr++] = grant;
		posted = true;
	}
	pthread_mutex_unlock(&mail->mutex);
	if (!posted) {
		soak_give(slot, grant);
		return;
	}
	slot->held -= grant.nr;
	soak_recorded(soak_record(slot, SOAK_OP_post, grant.first, grant.nr, to + 1), PFA_OK);
}

/* Takes a grant, any of them, out of this worker's mailbox. */
bool soak_fetch(struct soak_slot *slot, struct soak_grant *out)
{
	struct soak_mailbox *mail = &soak.mail[slot->id - 1];
	bool got = false;
	pthread_mutex_lock(&mail->mutex);
	if (mail->nr) {
		unsigned i = soak_below(&slot->rng, mail->nr);
		*out = mail->grants[i];
		mail->grants[i] = mail->grants[--mail->nr];
		got = true;
	}
	pthread_mutex_unlock(&mail->mutex);
	if (got) {
		slot->held += out->nr;
		soak_recorded(soak_record(slot, SOAK_OP_fetch, out->first, out->nr, out->tag), PFA_OK);
	}
	return got;
}

/* ---- background work -------------------------------------------------------------------------------------------- */

void soak_service(struct soak_slot *slot, unsigned budget)
{
	uint64_t next_ns = 0;
	struct soak_record *record = soak_record(slot, SOAK_OP_service, budget, 0, 0);
	int rc;
	soak_may_move(slot, true);
	rc = pfa_service(soak.pfa, budget, soak_chance(&slot->rng, 80) ? &next_ns : NULL);
	soak_may_move(slot, false);
	soak_recorded(record, rc);
	if (rc != PFA_OK && rc != PFA_EAGAIN && rc != PFA_EBUSY)
		soak_fail("result", "pfa_service returned %s", pfa_error_name(rc));
}

/* ---- distributions ---------------------------------------------------------------------------------------------- */

/* Mostly geometric, sometimes uniform over all orders that have a chance. */
unsigned soak_order(struct soak_slot *slot)
{
	unsigned max = soak.geo.config.max_order, order = 0;
	if (soak_chance(&slot->rng, 6))
		return soak_below(&slot->rng, max + 1);
	while (order < max && soak_chance(&slot->rng, 40))
		order++;
	return order;
}

uint32_t soak_flags(struct soak_slot *slot)
{
	struct soak_rng *rng = &slot->rng;
	static const uint32_t types[] = {PFA_UNMOVABLE, PFA_MOVABLE, PFA_MOVABLE, PFA_RECLAIMABLE};
	uint32_t flags = types[soak_below(rng, 4)];
	if (soak_chance(rng, 12))
		flags |= PFA_ZERO;
	if (soak_chance(rng, 8))
		flags |= PFA_NOWAIT;
	if (soak_chance(rng, 8))
		flags |= PFA_NORETRY;
	if (soak_chance(rng, 4))
		flags |= PFA_COMPACT;
	if (soak_chance(rng, 2))
		flags |= PFA_HIGH;
	if (soak_chance(rng, 20))
		flags |= PFA_ZONE(soak_below(rng, soak.geo.config.nr_zones));
	if (soak_chance(rng, 8))
		flags |= PFA_EXACT_ZONE;
	return flags;
}

/* ---- bags ------------------------------------------------------------------------------------------------------- */

/* Keeps a grant; a full bag gives a random one back first. */
void soak_bag_put(struct soak_slot *slot, struct soak_grant grant)
{
	struct soak_bag *bag = soak_bag(slot);
	if (bag->nr == bag->cap)
		soak_give(slot, soak_bag_take(slot));
	bag->grants[bag->nr++] = grant;
}

/* A random grant of the current actor's bag, which must not be empty. */
struct soak_grant soak_bag_take(struct soak_slot *slot)
{
	struct soak_bag *bag = soak_bag(slot);
	unsigned i = soak_below(&slot->rng, bag->nr);
	struct soak_grant grant = bag->grants[i];
	bag->grants[i] = bag->grants[--bag->nr];
	return grant;
}

void soak_bag_empty(struct soak_slot *slot, unsigned actor)
{
	slot->actor = actor;
	while (slot->bags[actor].nr)
		soak_give(slot, soak_bag_take(slot));
}
