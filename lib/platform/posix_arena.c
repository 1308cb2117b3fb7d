/* SPDX-License-Identifier: MIT
 *
 * platform/posix: an instance with its memory in one call.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <errno.h>
#include <string.h>

#define POSIX_DEFAULT_FRAME_SHIFT 12u /* what config.h says about frame_shift 0 */
#define POSIX_HUGE_SHIFT 21u
#define POSIX_ARENA_FLAGS \
	(PFA_POSIX_MEMFD | PFA_POSIX_RESERVE | PFA_POSIX_HUGE | PFA_POSIX_NO_POOL | PFA_POSIX_NO_RSEQ | \
	 PFA_POSIX_GUARD | PFA_POSIX_SEAL | PFA_POSIX_FORK)

static int posix_arena_refuse(struct pfa_posix *out, enum pfa_config_problem problem, unsigned index)
{
	out->problem = problem;
	out->index = index;
	out->why = pfa_config_problem_text(problem);
	return PFA_EINVAL;
}

static int posix_arena_system(struct pfa_posix *out, const struct pfa_posix_region *region, int code)
{
	out->err = region->err;
	out->why = region->failed;
	return code;
}

/* The caller's configuration as this library knows it: the rest must be zero, as for pfa_size(). */
static bool posix_arena_config(struct pfa_config *to, const struct pfa_config *from)
{
	if (!from || from->size < sizeof(*to))
		return false;
	for (size_t i = sizeof(*to); i < from->size; i++)
		if (((const unsigned char *)from)[i] != 0)
			return false;
	memcpy(to, from, sizeof(*to));
	to->size = sizeof(*to);
	return true;
}

/* Fills in platform, cpus and cpu_offset, and checks everything but the pool. */
static int posix_arena_check(struct pfa_posix *out, struct pfa_config *cfg, struct pfa_platform *platform,
                             unsigned flags, struct pfa_footprint *need)
{
	enum pfa_config_problem problem;
	unsigned index = 0;
	bool offset_is_ours = false;

	if (!cfg->platform) {
		pfa_posix_platform(platform);
		cfg->platform = platform;
		if (cfg->cpu_offset == 0 && !(flags & PFA_POSIX_NO_RSEQ)) {
			cfg->cpu_offset = pfa_posix_cpu_offset();
			offset_is_ours = cfg->cpu_offset != 0;
		}
	}
	if (cfg->nr_cpus == 0)
		cfg->nr_cpus = pfa_posix_nr_cpus();
	if (flags & PFA_POSIX_GUARD && cfg->guard_bytes == 0)
		cfg->guard_bytes = (uint32_t)pfai_posix_guard_bytes();
	if (flags & PFA_POSIX_GUARD && cfg->guard_bytes % pfai_posix_guard_bytes() != 0)
		return posix_arena_refuse(out, PFA_CONFIG_GUARD, 0);
	int code = pfa_size(cfg, need, &problem, &index);
	if (code != PFA_OK && problem == PFA_CONFIG_CPU_OFFSET && offset_is_ours) {
		/* The core was compiled without a thread pointer: then the op it is. */
		cfg->cpu_offset = 0;
		code = pfa_size(cfg, need, &problem, &index);
	}
	return code == PFA_OK ? PFA_OK : posix_arena_refuse(out, problem, index);
}

/* Maps a pool for zones that pfa_size() has found good. */
static int posix_arena_pool(struct pfa_posix *out, struct pfa_config *cfg, unsigned flags)
{
	uint32_t shift = cfg->frame_shift ? cfg->frame_shift : POSIX_DEFAULT_FRAME_SHIFT;
	pfa_pfn first = SIZE_MAX, end = 0;
	int code;

	for (uint32_t i = 0; i < cfg->nr_zones; i++) {
		/* The zones' own size is the stride of their array. */
		const struct pfa_zone_config *zone = (const struct pfa_zone_config *)(const void *)(
			(const unsigned char *)cfg->zones + i * cfg->zones->size);
		if (zone->start < first)
			first = zone->start;
		if (zone->start + zone->nr_frames > end)
			end = zone->start + zone->nr_frames;
	}
	/* Begin at a multiple of 2 MiB of frames: then frame numbers and addresses are aligned alike. */
	if (flags & PFA_POSIX_HUGE && shift < POSIX_HUGE_SHIFT)
		first &= ~(((pfa_pfn)1 << (POSIX_HUGE_SHIFT - shift)) - 1);
	if (end - first > SIZE_MAX >> shift)
		return posix_arena_refuse(out, PFA_CONFIG_POOL, 0);
	code = pfa_posix_map(&out->pool, (end - first) << shift, (size_t)1 << shift,
	                     flags & (PFA_POSIX_MEMFD | PFA_POSIX_RESERVE | PFA_POSIX_HUGE));
	if (code != PFA_OK)
		return posix_arena_system(out, &out->pool, code);
	out->pool_pfn = first;
	cfg->pool = out->pool.base;
	cfg->pool_bytes = out->pool.bytes;
	cfg->pool_pfn = first;
	if (!(flags & PFA_POSIX_RESERVE))
		cfg->flags |= PFA_CONFIG_ZEROED_POOL;
	return PFA_OK;
}

/* Everything is known to be good but the caller's own pool, if any; the caller unmaps on failure. */
static int posix_arena_init(struct pfa_posix *out, struct pfa_config *cfg, const struct pfa_footprint *need,
                            unsigned flags)
{
	int code = pfa_posix_map(&out->meta, need->core_bytes, need->align, PFA_POSIX_ANON);

	if (code != PFA_OK)
		return posix_arena_system(out, &out->meta, code);
	cfg->flags |= PFA_CONFIG_ZEROED_META;
	enum pfa_config_problem problem = PFA_CONFIG_FINE;
	unsigned index = 0;
	code = pfa_init(out->meta.base, out->meta.bytes, cfg, &out->pfa, &problem, &index);
	if (code != PFA_OK)
		return posix_arena_refuse(out, problem, index);
	if (flags & PFA_POSIX_GUARD)
		code = pfai_posix_guard(out, cfg->guard_bytes, flags & PFA_POSIX_SEAL);
	if (code != PFA_OK)
		return posix_arena_system(out, &out->meta, code);
	if (cfg->pool)
		(void)pfa_posix_watch(out->pfa); /* one too many is not watched, that is all */
	return PFA_OK;
}

/* After a failure that is already told: a second one, of munmap() or close(), would only hide it. What is sealed is not to
 * be unmapped; it is the last thing that is done, but for the fork table, whose failure leaves it behind. */
static void posix_arena_drop(struct pfa_posix_region *region)
{
	if (pfa_posix_unmap(region) != PFA_OK)
		region->base = NULL;
}

int pfa_posix_create(struct pfa_posix *out, const struct pfa_config *cfg, unsigned flags)
{
	struct pfa_config full;
	struct pfa_platform platform;
	struct pfa_footprint need;
	int code;

	memset(out, 0, sizeof(*out));
	out->pool.fd = -1;
	out->meta.fd = -1;
	out->why = pfa_config_problem_text(PFA_CONFIG_FINE);
	if (flags & ~POSIX_ARENA_FLAGS || (flags & PFA_POSIX_SEAL && !(flags & PFA_POSIX_GUARD)))
		return posix_arena_refuse(out, PFA_CONFIG_FLAGS, 0);
	if (!posix_arena_config(&full, cfg))
		return posix_arena_refuse(out, cfg ? PFA_CONFIG_SIZE : PFA_CONFIG_NULL, 0);
	code = posix_arena_check(out, &full, &platform, flags, &need);
	if (code == PFA_OK && !full.pool && !(flags & PFA_POSIX_NO_POOL)) {
		code = posix_arena_pool(out, &full, flags);
		/* A pool may change what is needed (its zero map). */
		if (code == PFA_OK)
			code = posix_arena_check(out, &full, &platform, flags, &need);
	}
	if (code == PFA_OK)
		code = posix_arena_init(out, &full, &need, flags);
	if (code == PFA_OK && flags & PFA_POSIX_FORK) {
		code = pfa_posix_fork_safe(out->pfa, out->pool.fd >= 0);
		if (code != PFA_OK)
			out->why = "pfa_posix_fork_safe";
	}
	if (code != PFA_OK) {
		out->pfa = NULL;
		out->pool_pfn = 0;
		posix_arena_drop(&out->meta);
		posix_arena_drop(&out->pool);
	}
	return code;
}

int pfa_posix_destroy(struct pfa_posix *arena)
{
	int code;

	if (arena->pfa) {
		int held = pfai_posix_fork_hold(arena->pfa);
		code = pfa_fini(arena->pfa);
		/* In a child whose parent has the frames there is nothing to end. */
		if (code == PFA_ENOTSUP)
			code = PFA_OK;
		pfai_posix_fork_let_go(held, code == PFA_OK ? NULL : arena->pfa);
		if (code != PFA_OK) {
			arena->why = pfa_error_name(code);
			return code;
		}
		pfa_posix_unwatch(arena->pfa);
		arena->pfa = NULL;
	}
	code = arena->sealed && arena->meta.base ? pfai_posix_unmap_around(arena) : pfa_posix_unmap(&arena->meta);
	if (code != PFA_OK)
		return posix_arena_system(arena, &arena->meta, code);
	code = pfa_posix_unmap(&arena->pool);
	if (code != PFA_OK)
		return posix_arena_system(arena, &arena->pool, code);
	memset(arena, 0, sizeof(*arena));
	arena->pool.fd = -1;
	arena->meta.fd = -1;
	return PFA_OK;
}
