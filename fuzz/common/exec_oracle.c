/* SPDX-License-Identifier: MIT
 *
 * exec_oracle.c - what is judged after every step, and at the end.
 */
#include "exec_movable.h"

#include <string.h>

#include "arena.h"

static const struct { size_t at; const char *name; } oracle_fields[] = {
#define PFA_X(name, meaning) { offsetof(struct pfa_zone_stats, name), #name },
	PFA_ZONE_STATS(PFA_X)
#undef PFA_X
};

uint64_t exec_mix(uint64_t hash, uint64_t value)
{
	hash ^= value + 0x9E3779B97F4A7C15u + (hash << 6) + (hash >> 2);
	hash *= 0xD6E8FEB86659FD93u;
	return hash ^ hash >> 32;
}

void exec_touch(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	if (pfn < run->touched_first)
		run->touched_first = pfn;
	if (pfn + nr > run->touched_end)
		run->touched_end = pfn + nr;
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

unsigned char *exec_frame(struct exec_run *run, pfa_pfn pfn)
{
	if (!run->setup.content)
		return NULL;
	return run->setup.content + (pfn - run->setup.content_pfn) * run->setup.frame_bytes;
}

void exec_owned(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	if (run->setup.zero == SETUP_ZERO_OP)
		arena_unpoison(exec_frame(run, pfn), nr * run->setup.frame_bytes);
}

void exec_unowned(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	exec_content_freed(run, pfn, nr);
	if (run->setup.zero == SETUP_ZERO_OP)
		arena_poison(exec_frame(run, pfn), nr * run->setup.frame_bytes);
}

/* The stamp of a frame, at its start and at its end: who owns it (generation), and which frame it is. */
bool exec_stamp(struct exec_run *run, pfa_pfn pfn, size_t nr, uint32_t generation)
{
	if (!run->setup.content)
		return true;
	for (size_t i = 0; i < nr; i++) {
		unsigned char *frame = exec_frame(run, pfn + i);
		size_t index;
		(void)model_zone_of(&run->m, pfn + i, &index);
		const uint64_t stamp = (uint64_t)generation << 32 | (uint32_t)((pfn + i) * 2654435761u);
		run->stamp[index] = stamp;
		memcpy(frame, &stamp, sizeof(stamp));
		memcpy(frame + run->setup.frame_bytes - sizeof(stamp), &stamp, sizeof(stamp));
	}
	return true;
}

/* First of nr frames whose ends do not both hold their stamp, or nr. Owned frames are readable: the sanitizer's look at
 * each load would cost a third of all time. */
__attribute__((no_sanitize("address", "undefined"))) static size_t oracle_stamped(const unsigned char *frame, size_t bytes,
                                                                                  const uint64_t *stamps, size_t nr)
{
	for (size_t i = 0; i < nr; i++, frame += bytes) {
		const uint64_t *ends = (const uint64_t *)(const void *)frame;
		if (ends[0] != stamps[i] || ends[bytes / sizeof(*ends) - 1] != stamps[i])
			return i;
	}
	return nr;
}

bool exec_verify_stamps(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	if (!run->setup.content)
		return true;
	while (nr) {
		size_t index;
		const unsigned zone = model_zone_of(&run->m, pfn, &index);
		const size_t left = run->m.zone[zone].nr - (pfn - run->m.zone[zone].start), here = nr < left ? nr : left;
		const size_t good = oracle_stamped(exec_frame(run, pfn), run->setup.frame_bytes, &run->stamp[index], here);
		if (good != here) {
			uint64_t head;
			memcpy(&head, exec_frame(run, pfn + good), sizeof(head));
			return exec_fail(run, "I15 stamp", "the content of an owned frame changed", pfn + good,
			                 (size_t)run->stamp[index + good], (size_t)head);
		}
		pfn += here;
		nr -= here;
	}
	return true;
}

/* End of the owned frames, or of those that are not, from i on. */
__attribute__((no_sanitize("address", "undefined"))) static size_t oracle_owned_until(const unsigned char *state, size_t i,
                                                                                      size_t nr, bool owned)
{
	/* eight at a time where all are free, or all are tails: what large zones mostly consist of */
	const uint64_t alike = UINT64_C(0x0101010101010101) * (owned ? MODEL_TAIL : MODEL_FREE);
	while (i < nr && (state[i] == MODEL_HEAD || state[i] == MODEL_TAIL) == owned) {
		uint64_t word;
		i++;
		for (; nr - i >= sizeof(word) && (memcpy(&word, state + i, sizeof(word)), word == alike); i += sizeof(word))
			;
	}
	return i;
}

bool exec_verify_all_stamps(struct exec_run *run)
{
	if (!run->setup.content)
		return true;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		const unsigned char *state = run->m.state + z->base;
		for (size_t i = 0, first; i < z->nr;) {
			first = oracle_owned_until(state, i, z->nr, false);
			i = oracle_owned_until(state, first, z->nr, true);
			if (i > first && !exec_verify_stamps(run, z->start + first, i - first))
				return false;
		}
	}
	return true;
}

static bool oracle_is_zero(const unsigned char *at, size_t bytes)
{
	uint64_t any = 0;

	for (size_t i = 0; i < bytes; i += sizeof(any)) { /* frames are multiples of 64 bytes */
		uint64_t word;
		memcpy(&word, at + i, sizeof(word));
		any |= word;
	}
	return any == 0;
}

/* Whole frames, or the ends and a middle piece of large ones; if there is no content, what the zero op was told. */
bool exec_verify_zero(struct exec_run *run, pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const unsigned char *frame = exec_frame(run, pfn + i);
		const size_t bytes = run->setup.frame_bytes;
		size_t index;
		bool zero;
		(void)model_zone_of(&run->m, pfn + i, &index);
		if (!frame)
			zero = run->m.zero[index];
		else if (bytes <= 4096 || nr == 1)
			zero = oracle_is_zero(frame, bytes);
		else
			zero = oracle_is_zero(frame, 512) && oracle_is_zero(frame + bytes - 512, 512) &&
			       oracle_is_zero(frame + bytes / 2, 512);
		if (!zero)
			return exec_fail(run, "zero", "a frame that must be zero is not", pfn + i, 0, 1);
	}
	return true;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

bool exec_refresh(struct exec_run *run)
{
	struct verdict v;

	if (!run->ops->zone_stats)
		return true;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const int code = run->ops->zone_stats(run->sut, zone, &run->now[zone], sizeof(run->now[zone]));
		if (code != PFA_OK)
			return exec_fail(run, "model code", "zone_stats of a zone fails", run->m.zone[zone].start, 0,
			                 (size_t)(unsigned)-code);
		if (!model_judge_sums(&run->m, zone, &run->now[zone], &v))
			return exec_say(run, &v);
		if (!run->now[zone].quarantined)
			model_none_rests(&run->m, zone);
	}
	run->have_stats = true;
	run->stale = false;
	return true;
}

bool exec_refresh_types(struct exec_run *run, pfa_pfn first, pfa_pfn end)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;
	struct verdict v;

	if (!run->ops->frame_info || !run->m.has_types)
		return true;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		const pfa_pfn last = z->start + z->nr;
		pfa_pfn at = first > z->start ? first : z->start;
		for (; at < last && at < end; at = (at / pb + 1) * pb) {
			struct pfa_frame_info f; /* cheaper than pageblock_info, which counts */
			if (run->ops->frame_info(run->sut, at, &f) != PFA_OK)
				return exec_fail(run, "model code", "frame_info of a pfn in a zone fails", at, 0, 1);
			const bool held = run->m.held[z->pb_base + (at / pb - z->pb_first)] != 0;
			if (held != (f.type == PFA_TYPE_ISOLATE))
				return exec_fail(run, "I4 type", "a pageblock counts as isolated exactly as long as it is held", at, held, f.type);
			if (!held && !model_set_type(&run->m, zone, at / pb - z->pb_first, f.type, &v))
				return exec_say(run, &v);
		}
	}
	return true;
}

bool exec_unchanged(struct exec_run *run)
{
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++) {
		if (memcmp(&run->before[zone], &run->now[zone], sizeof(run->now[zone])) == 0)
			continue;
		for (size_t i = 0; i < sizeof(oracle_fields) / sizeof(oracle_fields[0]); i++) {
			size_t was, is;
			memcpy(&was, (const char *)&run->before[zone] + oracle_fields[i].at, sizeof(was));
			memcpy(&is, (const char *)&run->now[zone] + oracle_fields[i].at, sizeof(is));
			if (was != is)
				return exec_fail(run, "no change", "a refused or asking call changed a counter of the zone",
				                 run->m.zone[zone].start, was, is);
		}
	}
	if (run->have_digest && exec_digest(run) != run->digest)
		return exec_fail(run, "no change", "a refused or asking call changed the state of a frame or pageblock", 0,
		                 (size_t)run->digest, 0);
	return true;
}

/* Everything that can be seen of frames, and the types of their pageblocks. Of large zones every nth frame, others
 * each time. */
uint64_t exec_digest(struct exec_run *run)
{
	uint64_t hash = 0;

	if (!run->ops->frame_info)
		return 0;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		const size_t stride = z->nr / 256 + 1;
		for (pfa_pfn at = z->start + run->step.index % stride; at < z->start + z->nr; at += stride) {
			struct pfa_frame_info f = { .state = PFA_FRAME_STATES };
			if (run->ops->frame_info(run->sut, at, &f) != PFA_OK)
				return 1;
			hash = exec_mix(hash, (uint64_t)f.state | (uint64_t)f.order << 8 | (uint64_t)f.zone << 16 |
			                      (uint64_t)f.type << 24 | (uint64_t)f.known_zero << 32);
		}
	}
	return hash;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* Low marks: no zone is taken below its low mark while another zone could serve the request above its own. Only where
 * the model knows what the other zone holds, and for blocks that came from a zone, not from a cache. */
static bool oracle_low_marks(struct exec_run *run)
{
	const struct request *r = &run->asked.r;
	const unsigned zone = run->asked.zone;
	const struct pfa_zone_stats *now = &run->now[zone], *was = &run->before[zone];

	if (!run->asked.single || (r->flags & (PFA_HIGH | PFA_EXACT_ZONE)) ||
	    (now->nr_direct == was->nr_direct && now->nr_refill == was->nr_refill))
		return true;
	const long long left = (long long)now->free - (long long)now->free_highatomic -
	                       ((r->flags & PFA_TYPE_MASK) == PFA_MOVABLE ? 0 : (long long)now->free_cma);
	const bool below = left < (long long)now->mark_low;
	for (unsigned other = PFA_ZONE_OF(r->flags); other < run->m.nr_zones; other++) {
		pfa_pfn pfn;
		if (other == zone && !below)
			return true; /* those after it were not its turn */
		if (other == zone || run->before[other].cached || run->now[other].cached || run->before[other].quarantined ||
		    run->now[other].quarantined)
			continue;
		if (model_above_mark(r, &run->now[other], r->order, 1) && model_fits(&run->m, r, other, &pfn))
			return exec_fail(run, below ? "I12 low" : "zone order",
			                 below ? "a zone was taken below its low mark while this block was above another's"
			                       : "a zone was passed over though this block of it was above its low mark",
			                 pfn, other, zone);
	}
	return true;
}

static bool oracle_request(struct exec_run *run)
{
	const struct exec_asked *asked = &run->asked;
	struct verdict v;

	if (!asked->asked || !run->have_stats)
		return true;
	if (asked->granted) {
		for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
			if (!model_judge_marks(&run->m, &asked->r, zone, &run->before[zone], &run->now[zone], &v))
				return exec_say(run, &v);
		if (run->m.nr_zones > 1 && !oracle_low_marks(run))
			return false;
	}
	if (asked->would_asked && asked->would_ok && (asked->code == PFA_ENOMEM || asked->code == PFA_EAGAIN))
		return exec_fail(run, "query would", "it was said to succeed just before", 0, 0, (size_t)(unsigned)-asked->code);
	if (asked->would_asked && !asked->would_ok && asked->code == PFA_OK && (asked->r.flags & PFA_NORETRY) &&
	    !asked->compacted)
		return exec_fail(run, "query would", "it was said to fail just before", 0, 1, 0);
	if ((asked->code != PFA_ENOMEM && asked->code != PFA_EAGAIN) || asked->compacted)
		return true;
	if (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	if (!model_judge_refusal(&run->m, &asked->r, asked->code, run->now, &v))
		return exec_say(run, &v);
	if ((asked->r.flags & (PFA_HIGH | PFA_NORETRY)) || model_any_held(&run->m))
		return true;
	for (unsigned zone = PFA_ZONE_OF(asked->r.flags);
	     zone < ((asked->r.flags & PFA_EXACT_ZONE) ? PFA_ZONE_OF(asked->r.flags) + 1 : run->m.nr_zones); zone++)
		if (run->now[zone].free_highatomic && model_has_place(&run->m, &asked->r, zone))
			return exec_fail(run, "I12 reserve", "refused, though free frames of the reserve were not given up",
			                 run->m.zone[zone].start, 0, run->now[zone].free_highatomic);
	return true;
}

/* Did this request or free use its cpu's cache? Certainly, if what is cached is another amount and nothing was drained;
 * nor did the reserve grow or shrink, for which the caches are purged of a pageblock. */
static void oracle_activity(struct exec_run *run, const struct pfa_stats *was)
{
	bool moved = false, reserve = false;

	if (run->step.index >= run->p->nr_ops || run->made)
		return;
	switch (run->p->ops[run->step.index].kind) {
	case OP_ALLOC: case OP_ALLOC_PTR: case OP_ALLOC_BULK: case OP_FREE: case OP_FREE_BULK: case OP_FREE_PART:
	case OP_FREE_PTR: case OP_ALLOC_CHECKED: case OP_FREE_CHECKED: case OP_ALLOC_GUARDED:
		break;
	default:
		return;
	}
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		moved |= run->now[zone].cached != run->before[zone].cached;
		reserve |= run->now[zone].reserved_highatomic != run->before[zone].reserved_highatomic;
	}
	if (moved && !reserve && run->totals.nr_drain == was->nr_drain)
		run->cpus_active |= exec_cpu_bit(run);
}

/* The counters of the instance: misuse, refusals and zeroing are counted, each once. */
bool exec_judge_totals(struct exec_run *run)
{
	const struct exec_asked *asked = &run->asked;
	const struct pfa_stats was = run->totals;

	if (!run->ops->stats)
		return true;
	if (run->ops->stats(run->sut, &run->totals, sizeof(run->totals)) != PFA_OK)
		return exec_fail(run, "model code", "stats of an instance fails", 0, 0, 1);
	oracle_activity(run, &was);
	if (run->totals.nr_drain != was.nr_drain || !asked->asked)
		run->too_soon = false;
	if (run->too_soon)
		return exec_fail(run, "I7 quarantine", "a frame was granted again before so many further frees on its cpu",
		                 run->too_soon_pfn, run->m.quarantine, run->too_soon_frees);
	if (run->totals.nr_drain != was.nr_drain)
		model_forget_frees(&run->m);
	const size_t misuses = run->totals.nr_misuse - was.nr_misuse, told = run->told_misuses;
	run->told_misuses = 0;
	if (misuses != told)
		return exec_fail(run, "I6 misuse", "calls counted as misuse", 0, told, misuses);
	if (run->totals.nr_corrupt != run->corrupt)
		return exec_fail(run, "I6 corrupt", "corruption that was counted", 0, run->corrupt, run->totals.nr_corrupt);
	if (!asked->asked || !asked->single)
		return true;
	const size_t fails = run->totals.nr_fail - was.nr_fail;
	const size_t refused = asked->refused_inside + (asked->code == PFA_ENOMEM || asked->code == PFA_EAGAIN);
	if (fails != refused)
		return exec_fail(run, "I6 fails", "refusals counted for this request, and those that owners made inside of it", 0, refused,
		                 fails);
	if (asked->code != PFA_OK)
		return true;
	const size_t zeroed = run->totals.nr_zeroed - was.nr_zeroed;
	const size_t skipped = run->totals.nr_zero_skipped - was.nr_zero_skipped;
	const size_t wanted = asked->r.flags & PFA_ZERO ? asked->nr_frames : 0;
	if (zeroed + skipped != wanted)
		return exec_fail(run, "I6 zeroed", "frames counted as zeroed, or known to be zero", 0, wanted, zeroed + skipped);
	/* A larger block may not have been all zero. */
	if (run->tracks_zero && !asked->cut && zeroed && run->zeroed_again == zeroed)
		return exec_fail(run, "zero again", "fresh frames were zeroed though they are known to be zero",
		                 run->zeroed_first, 0, zeroed);
	return true;
}

/* ---- every step -------------------------------------------------------------------------------------------------- */

static bool oracle_violation(struct exec_run *run, int code, const struct pfa_violation *violation)
{
	static char monitor[24];

	if (code == PFA_OK)
		return true;
	memcpy(monitor, "I?? check", sizeof("I?? check"));
	monitor[1] = (char)('0' + violation->invariant / 10 % 10);
	monitor[2] = (char)('0' + violation->invariant % 10);
	return exec_fail(run, code == PFA_ECORRUPT ? monitor : "check code",
	                 violation->what ? violation->what : "the checker fails without a reason", violation->pfn,
	                 violation->expected, code == PFA_ECORRUPT ? violation->actual : (size_t)(unsigned)-code);
}

bool exec_check_full(struct exec_run *run)
{
	struct pfa_violation violation = { .what = NULL };

	if (!run->ops->check)
		return true;
	const int code = run->ops->check(run->sut, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation);
	return oracle_violation(run, code, &violation);
}

/* The pageblocks of the touched frames, zone by zone. */
bool exec_check_touched(struct exec_run *run)
{
	if (run->m.history && run->touched_first < run->touched_end && !exec_judge_events(run, run->touched_first, 1))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		struct pfa_violation violation = { .what = NULL };
		const pfa_pfn first = run->touched_first > z->start ? run->touched_first : z->start;
		const pfa_pfn end = run->touched_end < z->start + z->nr ? run->touched_end : z->start + z->nr;
		if (first >= end)
			continue;
		const int code = run->ops->check_range(run->sut, (struct pfa_run){ first, end - first },
		                                       PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, &violation);
		if (!oracle_violation(run, code, &violation))
			return false;
	}
	return true;
}

static bool oracle_disabled(struct exec_run *run)
{
	for (unsigned zone = 0; zone < run->m.nr_zones && run->disabled && run->have_stats; zone++)
		if (run->now[zone].cached || run->now[zone].quarantined)
			return exec_fail(run, "I7 disabled", "frames are cached or in quarantine though the caches are disabled",
			                 run->m.zone[zone].start, 0, run->now[zone].cached + run->now[zone].quarantined);
	return true;
}

static bool oracle_steps(struct exec_run *run)
{
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++)
		if (run->now[zone].max_lock_steps > run->steps_bound)
			return exec_fail(run, "I13 steps", "more steps under the zone lock than the bound",
			                 run->m.zone[zone].start, run->steps_bound, run->now[zone].max_lock_steps);
	return true;
}

bool exec_after_step(struct exec_run *run, unsigned index, bool last)
{
	const bool full = run->p->config.check == PROG_CHECK_FULL || index % 16 == 15 || last || !run->ops->check_range;
	struct verdict v;

	if (run->contract)
		return exec_fail(run, "contract platform", run->contract, run->zeroed_first, 0, run->zeroed_nr);
	if (!exec_compact_ends(run) || !exec_judge_written(run) || !exec_refresh(run) || !exec_judge_totals(run) || !oracle_request(run) || !exec_judge_movable(run))
		return false;
	if (run->must_be_unchanged && !exec_unchanged(run))
		return false;
	if (!oracle_disabled(run) || !oracle_steps(run) || !exec_judge_guards(run))
		return false;
	if (!full)
		return exec_check_touched(run);
	if (!exec_check_full(run) || !exec_verify_all_stamps(run))
		return false;
	if ((index % 16 == 15 || last) && !exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	return !last || model_judge_itself(&run->m, &v) || exec_say(run, &v);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void oracle_hash_text(void *ctx, const char *bytes, size_t nr)
{
	uint32_t hash = *(uint32_t *)ctx;

	for (size_t i = 0; i < nr; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
	*(uint32_t *)ctx = hash;
}

/* Free blocks by order, as one number. */
uint32_t exec_census(struct exec_run *run)
{
	uint32_t hash = 2166136261u;

	if (!run->ops->print || run->ops->print(run->sut, PFA_PRINT_BUDDYINFO, oracle_hash_text, &hash) != PFA_OK)
		return 0;
	return hash;
}

static bool oracle_free_everything(struct exec_run *run)
{
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		const unsigned char *state = run->m.state + z->base;
		for (size_t i = 0; (i = oracle_owned_until(state, i, z->nr, false)) < z->nr; i++) {
			if (state[i] != MODEL_HEAD)
				continue;
			const pfa_pfn pfn = z->start + i;
			const unsigned order = run->m.order[z->base + i];
			int code;
			EXEC_CALL(run, code, run->ops->free(run->sut, pfn, order));
			if (code != PFA_OK)
				return exec_fail(run, "teardown", "a live block cannot be freed", pfn, 0, (size_t)(unsigned)-code);
			model_release(&run->m, pfn, order);
			exec_unowned(run, pfn, (size_t)1 << order);
		}
	}
	return true;
}

/* Takes all blocks of the order that the zone grants. *nr: how many. */
static bool oracle_take_all(struct exec_run *run, unsigned zone, unsigned order, size_t *nr)
{
	const uint32_t flags = PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone);
	const struct request r = request_block(order, flags);

	for (*nr = 0; *nr <= run->m.zone[zone].nr; ++*nr) {
		struct verdict v;
		pfa_pfn pfn;
		int code;
		EXEC_CALL(run, code, run->ops->alloc(run->sut, order, flags, &pfn));
		if (code != PFA_OK)
			break;
		if (!model_judge_grant(&run->m, &r, pfn, &v))
			return exec_say(run, &v);
		model_take(&run->m, pfn, order);
	}
	return true;
}

/* The reserve outlives its users: plain requests that are refused make the allocator give it up, if they are of an order
 * that the zone has a place for. */
static bool oracle_give_up_reserve(struct exec_run *run)
{
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++) {
		size_t nr = 0;

		if (!run->have_stats || !run->now[zone].reserved_highatomic)
			continue;
		for (unsigned order = run->m.max_order + 1; order-- > 0 && nr == 0;)
			if (!oracle_take_all(run, zone, order, &nr))
				return false;
	}
	return oracle_free_everything(run);
}

/* Bad frames of the zone in the pageblock that begins at first. */
static size_t oracle_bad_frames(const struct exec_run *run, const struct model_zone *z, pfa_pfn first, size_t pb)
{
	size_t bad = 0;

	for (pfa_pfn at = first > z->start ? first : z->start; z->bad && at < first + pb && at < z->start + z->nr; at++)
		bad += run->m.state[z->base + (at - z->start)] == MODEL_BAD;
	return bad;
}

/* Once everything is free, whole pageblocks are MOVABLE again, or CMA as configured. One that is part hole, or shared
 * by two zones, is never entirely free; it may keep a common type. */
static bool oracle_types_after(struct exec_run *run)
{
	const size_t pb = (size_t)1 << run->m.pageblock_order;

	if (!exec_refresh_types(run, 0, SIZE_MAX))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones && run->ops->pageblock_info; zone++) {
		const struct model_zone *z = &run->m.zone[zone];
		for (size_t i = 0; i < z->nr_pb; i++) {
			const pfa_pfn first = (z->pb_first + i) * pb, at = first > z->start ? first : z->start;
			const unsigned char type = run->m.type[z->pb_base + i];
			struct pfa_pageblock_info info = { .present = 0 };
			const size_t bad = oracle_bad_frames(run, z, (z->pb_first + i) * pb, pb);
			if (run->ops->pageblock_info(run->sut, at, &info) != PFA_OK || info.free + bad != info.present)
				return exec_fail(run, "teardown", "a pageblock is not free again", at, info.present, info.free);
			if (bad == info.present) /* nothing of it is ever on offer again, as whatever type */
				continue;
			if (bad) /* never entirely free */
				info.present = 0;
			if (type != PFA_TYPE_CMA && (info.present == pb ? type != PFA_TYPE_MOVABLE : type > PFA_TYPE_RECLAIMABLE))
				return exec_fail(run, "teardown", "a free pageblock does not have the type that it had after init", at,
				                 PFA_TYPE_MOVABLE, type);
		}
	}
	return true;
}

bool exec_teardown(struct exec_run *run)
{
	size_t bad = 0;
	bool same;
	int code;

	exec_unpoke(run, 0, SIZE_MAX, true);
	run->step = (struct exec_step){ .index = run->p->nr_ops };
	run->m.tag = run->p->nr_ops + 1;
	run->m.thread = run->thread + 1u;
	if (!exec_contig_end(run) || !exec_movable_end(run) || !exec_cma_release_all(run) || !oracle_free_everything(run) || !exec_refresh(run) || !oracle_give_up_reserve(run))
		return false;
	while (run->disabled && run->ops->cache_enable) {
		EXEC_CALL(run, code, run->ops->cache_enable(run->sut));
		if (code != PFA_OK)
			return exec_fail(run, "teardown", "the caches cannot be enabled again", 0, 0, (size_t)(unsigned)-code);
		run->disabled--;
	}
	if (run->ops->cache_drain) {
		EXEC_CALL(run, code, run->ops->cache_drain(run->sut, PFA_ALL_CPUS));
		if (code != PFA_OK)
			return exec_fail(run, "teardown", "the caches cannot be drained", 0, 0, (size_t)(unsigned)-code);
	}
	if (!exec_plug_end(run, &same) || !exec_refresh(run) || !exec_check_full(run))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones && run->have_stats; zone++)
		if (run->now[zone].free + run->m.zone[zone].bad != run->m.zone[zone].present)
			return exec_fail(run, "teardown", "not all frames are free again", run->m.zone[zone].start,
			                 run->m.zone[zone].present - run->m.zone[zone].bad, run->now[zone].free);
	if (!oracle_types_after(run))
		return false;
	for (unsigned zone = 0; zone < run->m.nr_zones; zone++)
		bad += run->m.zone[zone].bad;
	if (run->p->config.check == PROG_CHECK_FULL && !bad && same && exec_census(run) != run->initial_hash)
		return exec_fail(run, "teardown", "the free blocks by order are not those after init", 0,
		                 run->initial_hash, exec_census(run));
	EXEC_CALL(run, code, run->ops->fini(run->sut));
	if (code != PFA_OK)
		return exec_fail(run, "teardown", "the end is refused though nothing is live", 0, 0, (size_t)(unsigned)-code);
	return true;
}
