/* SPDX-License-Identifier: MIT
 *
 * sut_canary.c - see sut_canary.h. Each canary replaces as few functions of libpfa's table as it needs.
 */
#include "sut_canary_parts.h"

#include <string.h>

static struct sut_ops canary_ops;
enum sut_canary canary_which;
struct pfa_config canary_cfg;      /* of the last create; what it points to outlives the instance */
static pfa_pfn canary_last;               /* the last block granted */
static bool canary_has_last;
static size_t canary_refused;             /* requests that it refused on its own, and counts as it should */
static size_t canary_calls, canary_ever;  /* requests in this instance; and in all, which nothing resets */

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static uint32_t canary_flags(uint32_t flags)
{
	switch (canary_which) {
	case SUT_CANARY_CMA_TO_ALL:
		return (flags & ~PFA_TYPE_MASK) | PFA_MOVABLE;
	case SUT_CANARY_RESERVE_TO_ALL:
		return flags | PFA_HIGH;
	case SUT_CANARY_WRONG_ZONE:
		return (flags & 0xFFFFFFu & ~PFA_EXACT_ZONE);
	case SUT_CANARY_FORGETS_ZERO:
		return flags & ~PFA_ZERO;
	case SUT_CANARY_ZONE_SWAP: /* as if the zones before the last had nothing above their low marks */
		return flags & PFA_EXACT_ZONE ? flags : (flags & 0xFFFFFFu) | PFA_ZONE(canary_cfg.nr_zones - 1);
	default:
		return flags;
	}
}

struct sut *canary_sut;

static bool canary_frame_is_bad(pfa_pfn pfn)
{
	struct pfa_frame_info f;
	return sut_pfa.frame_info(canary_sut, pfn, &f) == PFA_OK && f.state == PFA_FRAME_BAD;
}

/* Breaks a grant after the fact. */
static void canary_spoil(unsigned order, pfa_pfn *out)
{
	const struct pfa_zone_config *z = &canary_cfg.zones[0];

	canary_plug_spoil(order, out);
	switch (canary_which) {
	case SUT_CANARY_OWNED_FRAME:
		if (canary_has_last && order == 0)
			*out = canary_last;
		break;
	case SUT_CANARY_HOLE:
		if (z->nr_holes && order == 0)
			*out = z->holes[0].first;
		break;
	case SUT_CANARY_OFFERS_BAD: /* the first frame, if it is bad */
		if (order == 0 && canary_frame_is_bad(z->start))
			*out = z->start;
		break;
	case SUT_CANARY_OUTSIDE:
		*out += SIZE_MAX / 2;
		break;
	case SUT_CANARY_MISALIGNED:
		*out += order ? 1 : 0;
		break;
	default:
		break;
	}
	canary_last = *out;
	canary_has_last = true;
}

static int canary_alloc(struct sut *s, unsigned order, uint32_t flags, pfa_pfn *out)
{
	canary_calls++;
	canary_ever++;
	if (canary_which == SUT_CANARY_REFUSES && canary_calls % 5 == 0 && order <= canary_cfg.max_order) {
		canary_refused++;
		return PFA_ENOMEM;
	}
	if (canary_which == SUT_CANARY_NO_RESERVE && !(flags & PFA_HIGH)) {
		const int code = sut_pfa.alloc(s, order, flags | PFA_NORETRY, out);
		return code == PFA_EAGAIN ? PFA_ENOMEM : code;
	}
	if (canary_which == SUT_CANARY_RANDOM && canary_ever % 7 == 0)
		flags ^= (flags & PFA_TYPE_MASK) <= PFA_MOVABLE ? PFA_MOVABLE : 0;
	if (canary_which == SUT_CANARY_HELD_GRANT && order == 0 && canary_alloc_held(s, out) == PFA_OK)
		return PFA_OK;
	const pfa_pfn last = canary_last;
	if (canary_which == SUT_CANARY_NO_GUARDS && canary_cfg.hardening == 3)
		flags &= ~(uint32_t)PFA_GUARD;
	const int code = sut_pfa.alloc(s, order, canary_flags(flags), out);
	if (code == PFA_OK && canary_which == SUT_CANARY_ZERO_OP && (flags & PFA_ZERO) && canary_has_last &&
	    canary_cfg.platform->zero)
		canary_cfg.platform->zero(canary_cfg.platform->ctx, last, 1, NULL);
	if (code == PFA_EAGAIN && canary_which == SUT_CANARY_FOR_GOOD)
		return PFA_ENOMEM;
	if (code == PFA_OK)
		canary_spoil(order, out);
	else if (canary_which == SUT_CANARY_WRITES_OUT)
		*out = 0;
	if (canary_which == SUT_CANARY_WRITES_CONTENT && canary_has_last && canary_cfg.pool) {
		void *ptr;
		if (sut_pfa.ptr(s, last, &ptr) == PFA_OK && canary_calls > 3)
			memset(ptr, 0x77, 8);
	}
	return code;
}

static int canary_alloc_window(struct sut *s, unsigned order, uint32_t flags, struct pfa_run window, pfa_pfn *out)
{
	if (canary_which == SUT_CANARY_WINDOW)
		return sut_pfa.alloc(s, order, flags, out);
	return sut_pfa.alloc_window(s, order, canary_flags(flags), window, out);
}

static int canary_alloc_bulk(struct sut *s, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[], size_t *out_nr)
{
	const int code = sut_pfa.alloc_bulk(s, order, canary_flags(flags), nr, out, out_nr);

	if (canary_which == SUT_CANARY_BULK_SHORT && code == PFA_OK && *out_nr)
		--*out_nr;
	return code;
}

static int canary_free(struct sut *s, pfa_pfn pfn, unsigned order)
{
	if (canary_which == SUT_CANARY_FORGETS_FREE && ++canary_calls > 3)
		return PFA_OK;
	const int code = sut_pfa.free(s, pfn, order);
	if (code == PFA_EMISUSE && canary_which == SUT_CANARY_DOUBLE_FREE)
		return PFA_OK;
	if (code == PFA_EMISUSE && canary_which == SUT_CANARY_CHANGES_ON_REFUSAL) {
		pfa_pfn taken;
		if (sut_pfa.alloc(s, 0, PFA_MOVABLE, &taken) == PFA_OK && sut_pfa.free(s, taken, 0) == PFA_OK)
			(void)sut_pfa.cache_drain(s, PFA_ALL_CPUS);
	}
	return code;
}

/* ---- counters and views ------------------------------------------------------------------------------------------ */

static int canary_zone_stats(struct sut *s, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	const int code = sut_pfa.zone_stats(s, zone, out, size);

	if (code != PFA_OK || size < sizeof(*out))
		return code;
	switch (canary_which) {
	case SUT_CANARY_LEAKS:
		out->free -= canary_calls > 4 && out->free;
		break;
	case SUT_CANARY_COUNTS_OWNED:
		if (out->allocated) {
			out->allocated--;
			out->free++;
		}
		break;
	case SUT_CANARY_COUNTS_CMA:
		if (out->allocated > 2 && out->free_cma < out->free)
			out->free_cma++;
		break;
	case SUT_CANARY_BELOW_MARK: /* as if the mark were what is free: the next grant goes below it */
		out->mark_min = out->mark_low = out->mark_high = canary_calls ? out->free + 1 : 0;
		break;
	case SUT_CANARY_STEPS:
		out->max_lock_steps = canary_calls > 2 ? (size_t)1 << 30 : out->max_lock_steps;
		break;
	case SUT_CANARY_DISABLED:
		if (canary_calls == SIZE_MAX && out->free) {
			out->free--;
			out->cached++;
		}
		break;
	case SUT_CANARY_PLUG_PRESENT:
		canary_plug_lies(out, NULL);
		break;
	case SUT_CANARY_HELD_STATS:
		canary_contig_lies(out, NULL, NULL);
		break;
	case SUT_CANARY_COUNTS_MOVABLE:
		out->movable = 0;
		break;
	case SUT_CANARY_COUNTS_ISOLATED:
		out->isolated = out->nr_putback;
		break;
	case SUT_CANARY_COUNTS_MOVES:
		out->nr_putback = 0;
		break;
	default:
		break;
	}
	return code;
}

static int canary_stats(struct sut *s, struct pfa_stats *out, size_t size)
{
	const int code = sut_pfa.stats(s, out, size);

	if (code != PFA_OK || size < sizeof(*out))
		return code;
	if (canary_which == SUT_CANARY_COUNTS_MISUSE)
		out->nr_misuse = 0;
	out->nr_fail += canary_refused;
	if (canary_which == SUT_CANARY_COUNTS_FAILS)
		out->nr_fail = 0;
	if (canary_which == SUT_CANARY_COUNTS_ZEROED)
		out->nr_zeroed = 0;
	if (canary_which == SUT_CANARY_STATS_VIEW)
		out->nr_cpus++;
	return code;
}

static void canary_on_unlock(struct sut *s, void (*hook)(void *ctx, struct pfa *pfa, unsigned zone), void *ctx)
{
	sut_pfa.on_unlock(s, canary_which == SUT_CANARY_HOOK ? NULL : hook, ctx);
}

static void canary_regions(struct sut *s, void (*visit)(void *ctx, const char *name, const void *start, size_t bytes),
                           void *ctx)
{
	sut_pfa.regions(s, visit, ctx);
	if (canary_which == SUT_CANARY_REGIONS)
		visit(ctx, "planted", &canary_cfg, sizeof(canary_cfg));
}

static int canary_frame_info(struct sut *s, pfa_pfn pfn, struct pfa_frame_info *out)
{
	const int code = sut_pfa.frame_info(s, pfn, out);
	if (code == PFA_OK && canary_which == SUT_CANARY_TYPE && out->type == PFA_TYPE_CMA)
		out->type = PFA_TYPE_MOVABLE;
	if (code == PFA_OK && canary_which == SUT_CANARY_STEALS && out->type == PFA_TYPE_UNMOVABLE && canary_calls > 8)
		out->type = PFA_TYPE_RECLAIMABLE;
	if (code == PFA_OK && canary_which == SUT_CANARY_NOT_COALESCED && !canary_has_last &&
	    out->type == PFA_TYPE_MOVABLE && canary_calls == 0)
		out->type = PFA_TYPE_RECLAIMABLE;
	if (code == PFA_OK && canary_which == SUT_CANARY_FRAME_VIEW && out->state == PFA_FRAME_HEAD)
		out->state = PFA_FRAME_FREE;
	if (code == PFA_OK)
		canary_contig_lies(NULL, NULL, out);
	if (code == PFA_OK)
		canary_plug_lies(NULL, out);
	if (canary_which == SUT_CANARY_POISON && code == PFA_OK && out->state == PFA_FRAME_BAD)
		out->state = PFA_FRAME_FREE;
	return code;
}

static int canary_pageblock_info(struct sut *s, pfa_pfn pfn, struct pfa_pageblock_info *out)
{
	const int code = sut_pfa.pageblock_info(s, pfn, out);
	if (code == PFA_OK)
		canary_contig_lies(NULL, out, NULL);
	if (code == PFA_OK && canary_which == SUT_CANARY_HOLDER)
		out->holder = 7;
	if (code == PFA_OK && canary_which == SUT_CANARY_PAGEBLOCK_VIEW)
		out->present++;
	return code;
}

static int canary_check(struct sut *s, unsigned level, struct pfa_violation *out)
{
	const int code = sut_pfa.check(s, level, out);
	if (code == PFA_OK && canary_which == SUT_CANARY_CHECK && canary_calls > 2) {
		*out = (struct pfa_violation){ .invariant = 7, .what = "I7 planted" };
		return PFA_ECORRUPT;
	}
	return code;
}

static int canary_print(struct sut *s, enum pfa_print_what what, void (*write)(void *ctx, const char *bytes, size_t nr),
                        void *ctx)
{
	if (what == PFA_PRINT_LIVE && canary_which == SUT_CANARY_LIVE_VIEW)
		return PFA_OK;
	const int code = sut_pfa.print(s, what, write, ctx);
	if (code == PFA_OK && canary_which == SUT_CANARY_PRINT)
		write(ctx, "and", 3);
	return code;
}

static int canary_ptr(struct sut *s, pfa_pfn pfn, void **out)
{
	return sut_pfa.ptr(s, canary_which == SUT_CANARY_PTR ? pfn + 1 : pfn, out);
}

/* ---- queries, caches --------------------------------------------------------------------------------------------- */

static int canary_largest_free(struct sut *s, uint32_t flags, unsigned *out)
{
	int code = sut_pfa.largest_free(s, flags, out);
	while (canary_which == SUT_CANARY_ENDLESS && code == PFA_OK)
		code = sut_pfa.largest_free(s, flags, out);
	if (code == PFA_OK && canary_which == SUT_CANARY_LARGEST)
		++*out;
	return code;
}

static int canary_would_succeed(struct sut *s, unsigned order, uint32_t flags)
{
	const int code = sut_pfa.would_succeed(s, order, flags);
	return code == PFA_ENOMEM && canary_which == SUT_CANARY_WOULD ? PFA_OK : code;
}

static int canary_drain(struct sut *s, uint32_t cpu)
{
	return canary_which == SUT_CANARY_DRAIN ? PFA_OK : sut_pfa.cache_drain(s, cpu);
}

static int canary_purge(struct sut *s, pfa_pfn pfn)
{
	if (canary_which == SUT_CANARY_PURGE) {
		struct pfa_pageblock_info info;
		return sut_pfa.pageblock_info(s, pfn, &info);
	}
	return sut_pfa.cache_purge(s, pfn);
}

static int canary_disable(struct sut *s)
{
	const int code = sut_pfa.cache_disable(s);
	if (canary_which == SUT_CANARY_DISABLED && code == PFA_OK)
		canary_calls = SIZE_MAX - 1; /* the counters lie from the next look on */
	return code;
}

static int canary_mark_bad(struct sut *s, pfa_pfn pfn)
{
	return canary_which == SUT_CANARY_KEEPS_BAD ? PFA_OK : sut_pfa.mark_bad(s, pfn);
}

/* ---- handles and history ----------------------------------------------------------------------------------------- */

static int canary_handle_of(struct sut *s, pfa_pfn pfn, unsigned order, struct pfa_handle *out)
{
	const int code = sut_pfa.handle_of(s, pfn, order, out);
	if (code == PFA_OK && canary_which == SUT_CANARY_HANDLE_CHANGES)
		out->generation += 2 * (uint32_t)++canary_calls;
	return code;
}

static int canary_free_checked(struct sut *s, const struct pfa_handle *handle)
{
	struct pfa_frame_info f;
	struct pfa_handle now;

	if (canary_which == SUT_CANARY_TAKES_STALE && sut_pfa.frame_info(s, handle->pfn, &f) == PFA_OK &&
	    f.state == PFA_FRAME_HEAD && f.order == handle->order && sut_pfa.handle_of(s, handle->pfn, handle->order, &now) == PFA_OK)
		return sut_pfa.free_checked(s, &now);
	return sut_pfa.free_checked(s, handle);
}

static int canary_history(struct sut *s, pfa_pfn pfn, struct pfa_event out[], size_t max, size_t *out_nr)
{
	const int code = sut_pfa.history(s, pfn, out, max, out_nr);
	if (canary_which == SUT_CANARY_HISTORY_FORGETS)
		*out_nr = 0;
	if (canary_which == SUT_CANARY_HISTORY_OLD && *out_nr > 1) {
		out[0] = out[1];
		*out_nr = 1;
	}
	return code;
}

static int canary_repair(struct sut *s, unsigned flags, struct pfa_repair *out)
{
	const int code = sut_pfa.repair(s, flags, out);
	if (code == PFA_OK && out && canary_which == SUT_CANARY_REPAIRS_SOUND)
		out->zones++;
	return code;
}

static int canary_trace(struct sut *s, size_t number, uintptr_t out[], size_t max, size_t *out_nr)
{
	const int code = sut_pfa.trace(s, number, out, max, out_nr);
	for (size_t i = 0; i < *out_nr && canary_which == SUT_CANARY_TRACE_OTHER; i++)
		out[i] += PFA_TRACE_DEPTH;
	return code;
}

static size_t canary_frame_text(struct sut *s, pfa_pfn pfn, char out[], size_t room)
{
	if (canary_which == SUT_CANARY_FRAME_TEXT && room > 11) {
		memcpy(out, "pfn 1: free", 12);
		return 11;
	}
	return sut_pfa.frame_text(s, pfn, out, room);
}

static int canary_service(struct sut *s, unsigned budget, uint64_t *out_next)
{
	if (canary_which == SUT_CANARY_SERVICE_KEEPS) {
		if (out_next)
			*out_next = UINT64_MAX;
		return PFA_OK;
	}
	const int code = sut_pfa.service(s, budget, out_next);
	if (canary_which == SUT_CANARY_SERVICE_DRAINS && sut_pfa.cache_drain(s, PFA_ALL_CPUS) != PFA_OK)
		return PFA_ECORRUPT;
	if (canary_which == SUT_CANARY_SERVICE && code == PFA_OK && out_next)
		*out_next = 0;
	return code;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static void (*canary_real_fatal)(void *ctx, const struct pfa_fault *fault);

static void canary_fatal(void *ctx, const struct pfa_fault *fault)
{
	struct pfa_fault told = *fault;

	if (canary_which == SUT_CANARY_SILENT_FAULT)
		return;
	if (canary_which == SUT_CANARY_WRONG_FAULT)
		told.kind = PFA_FAULT_OFFLINE;
	if (canary_which == SUT_CANARY_FAULT_HISTORY) {
		told.history = NULL;
		told.nr_history = 0;
	}
	canary_real_fatal(ctx, &told);
}

static int canary_guard(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on)
{
	return on ? canary_cfg.platform->guard(ctx, pfn, ptr, bytes, on) : PFA_OK;
}

static int canary_create(const struct pfa_config *cfg, struct sut **out, enum pfa_config_problem *problem,
                         unsigned *index)
{
	struct pfa_platform platform = *cfg->platform;
	struct pfa_config mine = *cfg;

	canary_cfg = *cfg;
	canary_calls = canary_refused = 0;
	canary_movable_begin();
	canary_contig_begin();
	canary_plug_begin();
	canary_has_last = false;
	canary_real_fatal = platform.fatal;
	if (canary_which == SUT_CANARY_GUARDS)
		platform.guard = canary_guard;
	if (canary_which == SUT_CANARY_LOG_SILENT)
		platform.log = NULL;
	if (canary_which == SUT_CANARY_SILENT_FAULT || canary_which == SUT_CANARY_WRONG_FAULT ||
	    canary_which == SUT_CANARY_FAULT_HISTORY)
		platform.fatal = canary_fatal;
	if (canary_which == SUT_CANARY_SILENT_FAULT)
		mine.fatal_policy = PFA_FATAL_REPORT; /* under ABORT the library would trap */
	if (canary_which == SUT_CANARY_ZEROES_AGAIN)
		mine.flags &= ~(PFA_CONFIG_ZEROED_POOL | PFA_CONFIG_TRACK_ZERO);
	if (canary_which == SUT_CANARY_QUARANTINE)
		mine.quarantine = mine.hardening == 3 ? PFA_EXPLICIT_0 : 0;
	if (canary_which == SUT_CANARY_CONTENT)
		mine.poison = PFA_POISON_NONE;
	if (canary_which == SUT_CANARY_REFUSES_CONFIG)
		mine.nr_cpus = 100000;
	mine.platform = &platform;
	const int code = sut_pfa.create(&mine, out, problem, index);
	if (code == PFA_OK)
		(*out)->ops = &canary_ops;
	canary_sut = code == PFA_OK ? *out : NULL;
	return code;
}

static int canary_fini(struct sut *s)
{
	const int code = sut_pfa.fini(s);
	return canary_which == SUT_CANARY_FINI && code == PFA_OK ? PFA_EBUSY : code;
}

const struct sut_ops *sut_canary(enum sut_canary which)
{
	canary_which = which;
	canary_ops = sut_pfa;
	canary_ops.name = "canary";
	canary_ops.create = canary_create;
	canary_ops.fini = canary_fini;
	canary_ops.alloc = canary_alloc;
	canary_ops.alloc_window = canary_alloc_window;
	canary_ops.alloc_bulk = canary_alloc_bulk;
	canary_ops.free = canary_free;
	canary_ops.stats = canary_stats;
	canary_ops.on_unlock = canary_on_unlock;
	canary_ops.regions = canary_regions;
	canary_ops.zone_stats = canary_zone_stats;
	canary_ops.frame_info = canary_frame_info;
	canary_ops.pageblock_info = canary_pageblock_info;
	canary_ops.check = canary_check;
	canary_ops.print = canary_print;
	canary_ops.ptr = canary_ptr;
	canary_ops.largest_free = canary_largest_free;
	canary_ops.would_succeed = canary_would_succeed;
	canary_ops.cache_drain = canary_drain;
	canary_ops.cache_purge = canary_purge;
	canary_ops.cache_disable = canary_disable;
	canary_ops.service = canary_service;
	canary_ops.mark_bad = canary_mark_bad;
	canary_ops.handle_of = canary_handle_of;
	canary_ops.free_checked = canary_free_checked;
	canary_ops.history = canary_history;
	canary_ops.trace = canary_trace;
	canary_ops.repair = canary_repair;
	canary_movable_ops(&canary_ops);
	canary_contig_ops(&canary_ops);
	canary_plug_ops(&canary_ops);
	canary_ops.frame_text = canary_frame_text;
	return &canary_ops;
}
