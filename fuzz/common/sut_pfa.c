/* SPDX-License-Identifier: MIT
 *
 * sut_pfa.c - libpfa behind the table of sut.h: one line a function.
 */
#include "arena.h"
#include "sut.h"

#include <stdint.h>

struct sut_pfa_instance {
	struct sut sut;
	struct pfa *pfa;
	void *memory;
	size_t bytes;
};

/* One instance at a time, as exec does it; no allocation. */
static struct sut_pfa_instance sut_pfa_one;

static struct pfa *sut_pfa_of(struct sut *sut)
{
	return ((struct sut_pfa_instance *)(void *)sut)->pfa;
}

static int sut_pfa_create(const struct pfa_config *cfg, struct sut **out, enum pfa_config_problem *problem,
                          unsigned *index)
{
	struct pfa_footprint need = { 0 };
	int code = pfa_size(cfg, &need, problem, index);

	if (code != PFA_OK)
		return code;
	void *memory = arena_metadata(need.core_bytes, (cfg->flags & PFA_CONFIG_ZEROED_META) != 0);
	if (!memory || (uintptr_t)memory % need.align)
		return PFA_ENOTSUP; /* larger than the harness cares to give */
	code = pfa_init(memory, need.core_bytes, cfg, &sut_pfa_one.pfa, problem, index);
	if (code != PFA_OK)
		return code;
	sut_pfa_one.sut.ops = &sut_pfa;
	sut_pfa_one.memory = memory;
	sut_pfa_one.bytes = need.core_bytes;
	*out = &sut_pfa_one.sut;
	return PFA_OK;
}

static int sut_pfa_fini(struct sut *s) { return pfa_fini(sut_pfa_of(s)); }
static void sut_pfa_abandon(struct sut *s) { sut_pfa_one.pfa = NULL; (void)s; }

static int sut_pfa_alloc(struct sut *s, unsigned order, uint32_t flags, pfa_pfn *out)
{
	return pfa_alloc(sut_pfa_of(s), order, flags, out);
}

static int sut_pfa_free(struct sut *s, pfa_pfn pfn, unsigned order) { return pfa_free(sut_pfa_of(s), pfn, order); }

static int sut_pfa_alloc_bulk(struct sut *s, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[], size_t *out_nr)
{
	return pfa_alloc_bulk(sut_pfa_of(s), order, flags, nr, out, out_nr);
}

static int sut_pfa_free_bulk(struct sut *s, unsigned order, size_t nr, const pfa_pfn pfns[], size_t *out_nr)
{
	return pfa_free_bulk(sut_pfa_of(s), order, nr, pfns, out_nr);
}

static int sut_pfa_alloc_exact(struct sut *s, size_t nr_frames, unsigned align_order, uint32_t flags, pfa_pfn *out)
{
	return pfa_alloc_exact(sut_pfa_of(s), nr_frames, align_order, flags, out);
}

static int sut_pfa_alloc_window(struct sut *s, unsigned order, uint32_t flags, struct pfa_run window, pfa_pfn *out)
{
	return pfa_alloc_window(sut_pfa_of(s), order, flags, window, out);
}

static int sut_pfa_split(struct sut *s, pfa_pfn pfn, unsigned order, unsigned new_order)
{
	return pfa_split(sut_pfa_of(s), pfn, order, new_order);
}

static int sut_pfa_free_range(struct sut *s, pfa_pfn first, size_t nr)
{
	return pfa_free_range(sut_pfa_of(s), first, nr);
}

static int sut_pfa_ptr(struct sut *s, pfa_pfn pfn, void **out) { return pfa_ptr(sut_pfa_of(s), pfn, out); }

static int sut_pfa_pfn_of(struct sut *s, const void *ptr, pfa_pfn *out)
{
	return pfa_pfn_of(sut_pfa_of(s), ptr, out);
}

static int sut_pfa_alloc_ptr(struct sut *s, unsigned order, uint32_t flags, void **out)
{
	return pfa_alloc_ptr(sut_pfa_of(s), order, flags, out);
}

static int sut_pfa_free_ptr(struct sut *s, void *ptr, unsigned order)
{
	return pfa_free_ptr(sut_pfa_of(s), ptr, order);
}

static int sut_pfa_largest_free(struct sut *s, uint32_t flags, unsigned *out)
{
	return pfa_largest_free(sut_pfa_of(s), flags, out);
}

static int sut_pfa_would_succeed(struct sut *s, unsigned order, uint32_t flags)
{
	return pfa_would_succeed(sut_pfa_of(s), order, flags);
}

static int sut_pfa_drain(struct sut *s, uint32_t cpu) { return pfa_cache_drain(sut_pfa_of(s), cpu); }
static int sut_pfa_purge(struct sut *s, pfa_pfn pfn) { return pfa_cache_purge(sut_pfa_of(s), pfn); }
static int sut_pfa_disable(struct sut *s) { return pfa_cache_disable(sut_pfa_of(s)); }
static int sut_pfa_enable(struct sut *s) { return pfa_cache_enable(sut_pfa_of(s)); }

static int sut_pfa_service(struct sut *s, unsigned budget, uint64_t *out)
{
	return pfa_service(sut_pfa_of(s), budget, out);
}

static int sut_pfa_mark_bad(struct sut *s, pfa_pfn pfn) { return pfa_mark_bad(sut_pfa_of(s), pfn); }

static int sut_pfa_alloc_checked(struct sut *s, unsigned order, uint32_t flags, struct pfa_handle *out)
{
	return pfa_alloc_checked(sut_pfa_of(s), order, flags, out);
}

static int sut_pfa_handle_of(struct sut *s, pfa_pfn pfn, unsigned order, struct pfa_handle *out)
{
	return pfa_handle_of(sut_pfa_of(s), pfn, order, out);
}

static int sut_pfa_free_checked(struct sut *s, const struct pfa_handle *handle)
{
	return pfa_free_checked(sut_pfa_of(s), handle);
}

static int sut_pfa_history(struct sut *s, pfa_pfn pfn, struct pfa_event out[], size_t max, size_t *out_nr)
{
	return pfa_history(sut_pfa_of(s), pfn, out, max, out_nr);
}

static int sut_pfa_repair(struct sut *s, unsigned flags, struct pfa_repair *out)
{
	return pfa_repair(sut_pfa_of(s), flags, out);
}

static int sut_pfa_trace(struct sut *s, size_t number, uintptr_t out[], size_t max, size_t *out_nr)
{
	return pfa_trace(sut_pfa_of(s), number, out, max, out_nr);
}

static size_t sut_pfa_frame_text(struct sut *s, pfa_pfn pfn, char out[], size_t room)
{
	return pfa_frame_text(sut_pfa_of(s), pfn, out, room);
}

static int sut_pfa_owner_create(struct sut *s, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out)
{
	return pfa_owner_create(sut_pfa_of(s), ops, ctx, out);
}

static int sut_pfa_owner_destroy(struct sut *s, pfa_owner owner) { return pfa_owner_destroy(sut_pfa_of(s), owner); }

static int sut_pfa_movable_set(struct sut *s, pfa_pfn head, pfa_owner owner, uint64_t cookie)
{
	return pfa_movable_set(sut_pfa_of(s), head, owner, cookie);
}

static int sut_pfa_movable_clear(struct sut *s, pfa_pfn head) { return pfa_movable_clear(sut_pfa_of(s), head); }
static int sut_pfa_pin(struct sut *s, pfa_pfn head) { return pfa_pin(sut_pfa_of(s), head); }
static int sut_pfa_unpin(struct sut *s, pfa_pfn head) { return pfa_unpin(sut_pfa_of(s), head); }
static int sut_pfa_page_lock(struct sut *s, pfa_pfn head) { return pfa_page_lock(sut_pfa_of(s), head); }
static int sut_pfa_page_trylock(struct sut *s, pfa_pfn head) { return pfa_page_trylock(sut_pfa_of(s), head); }
static int sut_pfa_page_unlock(struct sut *s, pfa_pfn head) { return pfa_page_unlock(sut_pfa_of(s), head); }

static int sut_pfa_movable_info(struct sut *s, pfa_pfn head, struct pfa_movable_info *out)
{
	return pfa_movable_info(sut_pfa_of(s), head, out);
}

static int sut_pfa_migrate(struct sut *s, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int out_results[])
{
	return pfa_migrate(sut_pfa_of(s), heads, nr, dest, out_results);
}

static int sut_pfa_compact(struct sut *s, uint32_t zone, unsigned order, enum pfa_migrate_mode mode, struct pfa_compact_stats *out)
{
	return pfa_compact(sut_pfa_of(s), zone, order, mode, out);
}

static int sut_pfa_isolate_range(struct sut *s, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out, struct pfa_blocker *why)
{
	return pfa_isolate_range(sut_pfa_of(s), start, end, flags, out, why);
}

static int sut_pfa_undo_isolate_range(struct sut *s, pfa_pfn start, pfa_pfn end, pfa_token token)
{
	return pfa_undo_isolate_range(sut_pfa_of(s), start, end, token);
}

static int sut_pfa_test_isolated(struct sut *s, pfa_pfn start, pfa_pfn end, pfa_token token, struct pfa_blocker *why)
{
	return pfa_test_isolated(sut_pfa_of(s), start, end, token, why);
}

static int sut_pfa_alloc_contig_range(struct sut *s, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why)
{
	return pfa_alloc_contig_range(sut_pfa_of(s), start, end, flags, why);
}

static int sut_pfa_alloc_contig(struct sut *s, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	return pfa_alloc_contig(sut_pfa_of(s), nr_frames, align_frames, flags, out);
}

static int sut_pfa_free_contig_range(struct sut *s, pfa_pfn start, size_t nr_frames)
{
	return pfa_free_contig_range(sut_pfa_of(s), start, nr_frames);
}

static int sut_pfa_offline_range(struct sut *s, pfa_pfn start, size_t nr_frames, uint32_t flags, struct pfa_blocker *why)
{
	return pfa_offline_range(sut_pfa_of(s), start, nr_frames, flags, why);
}

static int sut_pfa_online_range(struct sut *s, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return pfa_online_range(sut_pfa_of(s), start, nr_frames, why);
}

static int sut_pfa_add_range(struct sut *s, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return pfa_add_range(sut_pfa_of(s), start, nr_frames, why);
}

static int sut_pfa_remove_range(struct sut *s, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why)
{
	return pfa_remove_range(sut_pfa_of(s), start, nr_frames, why);
}

static int sut_pfa_cma_create(struct sut *s, pfa_pfn start, size_t nr_frames, uint32_t flags, pfa_cma *out, struct pfa_blocker *why)
{
	return pfa_cma_create(sut_pfa_of(s), start, nr_frames, flags, out, why);
}

static int sut_pfa_cma_destroy(struct sut *s, pfa_cma area)
{
	return pfa_cma_destroy(sut_pfa_of(s), area);
}

static int sut_pfa_cma_find(struct sut *s, pfa_pfn pfn, pfa_cma *out)
{
	return pfa_cma_find(sut_pfa_of(s), pfn, out);
}

static int sut_pfa_cma_alloc(struct sut *s, pfa_cma area, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out)
{
	return pfa_cma_alloc(sut_pfa_of(s), area, nr_frames, align_frames, flags, out);
}

static int sut_pfa_cma_release(struct sut *s, pfa_cma area, pfa_pfn start, size_t nr_frames)
{
	return pfa_cma_release(sut_pfa_of(s), area, start, nr_frames);
}

static int sut_pfa_cma_stats(struct sut *s, pfa_cma area, struct pfa_cma_stats *out)
{
	return pfa_cma_stats(sut_pfa_of(s), area, out);
}

static int sut_pfa_stats(struct sut *s, struct pfa_stats *out, size_t size)
{
	return pfa_stats_get(sut_pfa_of(s), out, size);
}

static int sut_pfa_zone_stats(struct sut *s, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	return pfa_zone_stats_get(sut_pfa_of(s), zone, out, size);
}

static int sut_pfa_frame_info(struct sut *s, pfa_pfn pfn, struct pfa_frame_info *out)
{
	return pfa_frame_info(sut_pfa_of(s), pfn, out);
}

static int sut_pfa_pageblock_info(struct sut *s, pfa_pfn pfn, struct pfa_pageblock_info *out)
{
	return pfa_pageblock_info(sut_pfa_of(s), pfn, out);
}

static int sut_pfa_check(struct sut *s, unsigned level, struct pfa_violation *out)
{
	return pfa_check(sut_pfa_of(s), level, out);
}

static int sut_pfa_check_range(struct sut *s, struct pfa_run run, unsigned level, struct pfa_violation *out)
{
	return pfa_check_range(sut_pfa_of(s), run, level, out);
}

static int sut_pfa_print(struct sut *s, enum pfa_print_what what,
                         void (*write)(void *ctx, const char *bytes, size_t nr), void *ctx)
{
	return pfa_print(sut_pfa_of(s), what, write, ctx);
}

static void sut_pfa_regions(struct sut *s, void (*visit)(void *ctx, const char *name, const void *start, size_t bytes),
                            void *ctx)
{
	pfa_debug_regions(sut_pfa_of(s), visit, ctx);
}

static void sut_pfa_on_unlock(struct sut *s, void (*hook)(void *ctx, struct pfa *pfa, unsigned zone), void *ctx)
{
	pfa_debug_on_unlock(sut_pfa_of(s), hook, ctx);
}

static void sut_pfa_memory(struct sut *s, const void **start, size_t *bytes)
{
	(void)s;
	*start = sut_pfa_one.memory;
	*bytes = sut_pfa_one.bytes;
}

const struct sut_ops sut_pfa = {
	.name = "pfa",
	.lacks = 0,
	.create = sut_pfa_create,
	.fini = sut_pfa_fini,
	.abandon = sut_pfa_abandon,
	.alloc = sut_pfa_alloc,
	.free = sut_pfa_free,
	.alloc_bulk = sut_pfa_alloc_bulk,
	.free_bulk = sut_pfa_free_bulk,
	.alloc_exact = sut_pfa_alloc_exact,
	.alloc_window = sut_pfa_alloc_window,
	.split = sut_pfa_split,
	.free_range = sut_pfa_free_range,
	.ptr = sut_pfa_ptr,
	.pfn_of = sut_pfa_pfn_of,
	.alloc_ptr = sut_pfa_alloc_ptr,
	.free_ptr = sut_pfa_free_ptr,
	.largest_free = sut_pfa_largest_free,
	.would_succeed = sut_pfa_would_succeed,
	.cache_drain = sut_pfa_drain,
	.cache_purge = sut_pfa_purge,
	.cache_disable = sut_pfa_disable,
	.cache_enable = sut_pfa_enable,
	.service = sut_pfa_service,
	.mark_bad = sut_pfa_mark_bad,
	.alloc_checked = sut_pfa_alloc_checked,
	.handle_of = sut_pfa_handle_of,
	.free_checked = sut_pfa_free_checked,
	.history = sut_pfa_history,
	.trace = sut_pfa_trace,
	.repair = sut_pfa_repair,
	.frame_text = sut_pfa_frame_text,
	.owner_create = sut_pfa_owner_create,
	.owner_destroy = sut_pfa_owner_destroy,
	.movable_set = sut_pfa_movable_set,
	.movable_clear = sut_pfa_movable_clear,
	.pin = sut_pfa_pin,
	.unpin = sut_pfa_unpin,
	.page_lock = sut_pfa_page_lock,
	.page_trylock = sut_pfa_page_trylock,
	.page_unlock = sut_pfa_page_unlock,
	.movable_info = sut_pfa_movable_info,
	.migrate = sut_pfa_migrate,
	.compact = sut_pfa_compact,
	.migrate_tries = pfa_migrate_tries,
	.isolate_range = sut_pfa_isolate_range,
	.undo_isolate_range = sut_pfa_undo_isolate_range,
	.test_isolated = sut_pfa_test_isolated,
	.alloc_contig_range = sut_pfa_alloc_contig_range,
	.alloc_contig = sut_pfa_alloc_contig,
	.free_contig_range = sut_pfa_free_contig_range,
	.offline_range = sut_pfa_offline_range,
	.online_range = sut_pfa_online_range,
	.add_range = sut_pfa_add_range,
	.remove_range = sut_pfa_remove_range,
	.cma_create = sut_pfa_cma_create,
	.cma_destroy = sut_pfa_cma_destroy,
	.cma_find = sut_pfa_cma_find,
	.cma_alloc = sut_pfa_cma_alloc,
	.cma_release = sut_pfa_cma_release,
	.cma_stats = sut_pfa_cma_stats,
	.stats = sut_pfa_stats,
	.zone_stats = sut_pfa_zone_stats,
	.frame_info = sut_pfa_frame_info,
	.pageblock_info = sut_pfa_pageblock_info,
	.check = sut_pfa_check,
	.check_range = sut_pfa_check_range,
	.print = sut_pfa_print,
	.regions = sut_pfa_regions,
	.on_unlock = sut_pfa_on_unlock,
	.memory = sut_pfa_memory,
};
