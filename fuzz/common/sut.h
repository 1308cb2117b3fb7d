/* SPDX-License-Identifier: MIT
 *
 * sut.h - the system under test behind one small table.
 *
 * Everything in the harness that touches an allocator goes through struct sut. libpfa (sut_pfa.c) is one
 * implementation, the bench's textbook buddy (sut_textbook.c) is another; the broken ones that prove the oracles
 * (sut_canary.c) wrap either. To try your own page-frame allocator, write one more: fuzz/README.md shows how.
 *
 * The words and result codes are the library's public ones. An operation that an allocator lacks stays NULL; a
 * property that it lacks is named in `lacks`, and the harness narrows the configuration, skips the operation and
 * switches off the oracle that would ask for it. Nothing is skipped silently: exec counts what was left out.
 */
#ifndef FUZZ_SUT_H
#define FUZZ_SUT_H

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/cma.h>
#include <pfa/compact.h>
#include <pfa/contig.h>
#include <pfa/hotplug.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>

/* What an allocator lacks. Operations need no bit: their function is NULL. */
#define SUT_NO_ZONES (1u << 0)      /* one zone only */
#define SUT_NO_HOLES (1u << 1)      /* no holes */
#define SUT_NO_MARKS (1u << 3)      /* no watermarks */
#define SUT_NO_TYPES (1u << 4)      /* no migrate types: no CMA, no HIGHATOMIC, type bits are ignored */
#define SUT_NO_FLAGS (1u << 5)      /* request flags other than the type are not accepted */
#define SUT_NO_CACHES (1u << 6)     /* no per-CPU caches */
#define SUT_NO_MISUSE (1u << 7)     /* misuse is undefined there: it is not tried */
#define SUT_NO_KINDS (1u << 8)      /* misuse is refused, but platform.fatal is not told which kind it was */
#define SUT_NO_POISON (1u << 2)     /* what is written after the free is not looked for */
#define SUT_NO_ARGS (1u << 9)       /* bad arguments are undefined there: they are not tried */

struct sut;

/*
 * One operation each. Unless said otherwise they behave, and return, as the function of libpfa with the same name;
 * `create` and `fini` are pfa_size() + pfa_init() and pfa_fini(). cfg->platform is the harness's (host.h): an
 * allocator that detects misuse must tell cfg->platform->fatal which.
 */
struct sut_ops {
	const char *name;
	uint32_t lacks;

	/* Makes an instance; on success *out is owned by the caller until fini succeeds or abandon is called.
	 * The table it came from need not be the table of *out. */
	int (*create)(const struct pfa_config *cfg, struct sut **out, enum pfa_config_problem *problem,
	              unsigned *index);
	int (*fini)(struct sut *sut);      /* refuses (PFA_EBUSY) while anything is live */
	void (*abandon)(struct sut *sut);  /* gives the memory back whatever the state; never fails */

	int (*alloc)(struct sut *sut, unsigned order, uint32_t flags, pfa_pfn *out);
	int (*free)(struct sut *sut, pfa_pfn pfn, unsigned order);
	int (*alloc_bulk)(struct sut *sut, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[], size_t *out_nr);
	int (*free_bulk)(struct sut *sut, unsigned order, size_t nr, const pfa_pfn pfns[], size_t *out_nr);
	int (*alloc_exact)(struct sut *sut, size_t nr_frames, unsigned align_order, uint32_t flags, pfa_pfn *out);
	int (*alloc_window)(struct sut *sut, unsigned order, uint32_t flags, struct pfa_run window, pfa_pfn *out);
	int (*split)(struct sut *sut, pfa_pfn pfn, unsigned order, unsigned new_order);
	int (*free_range)(struct sut *sut, pfa_pfn first, size_t nr_frames);

	int (*ptr)(struct sut *sut, pfa_pfn pfn, void **out);
	int (*pfn_of)(struct sut *sut, const void *ptr, pfa_pfn *out);
	int (*alloc_ptr)(struct sut *sut, unsigned order, uint32_t flags, void **out);
	int (*free_ptr)(struct sut *sut, void *ptr, unsigned order);

	int (*largest_free)(struct sut *sut, uint32_t flags, unsigned *out_order);
	int (*would_succeed)(struct sut *sut, unsigned order, uint32_t flags);

	int (*cache_drain)(struct sut *sut, uint32_t cpu);
	int (*cache_purge)(struct sut *sut, pfa_pfn pfn);
	int (*cache_disable)(struct sut *sut);
	int (*cache_enable)(struct sut *sut);
	int (*service)(struct sut *sut, unsigned budget_steps, uint64_t *out_next_ns);

	/* pfa/harden.h. fini of an allocator with `history` tells cfg->platform->log of what lives. */
	int (*mark_bad)(struct sut *sut, pfa_pfn pfn);
	int (*alloc_checked)(struct sut *sut, unsigned order, uint32_t flags, struct pfa_handle *out);
	int (*handle_of)(struct sut *sut, pfa_pfn pfn, unsigned order, struct pfa_handle *out);
	int (*free_checked)(struct sut *sut, const struct pfa_handle *handle);
	int (*history)(struct sut *sut, pfa_pfn pfn, struct pfa_event out[], size_t max, size_t *out_nr);
	int (*repair)(struct sut *sut, unsigned flags, struct pfa_repair *out);
	int (*trace)(struct sut *sut, size_t number, uintptr_t out[], size_t max, size_t *out_nr);
	size_t (*frame_text)(struct sut *sut, pfa_pfn pfn, char out[], size_t room);

	/* pfa/movable.h: all of them or none. */
	int (*owner_create)(struct sut *sut, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out);
	int (*owner_destroy)(struct sut *sut, pfa_owner owner);
	int (*movable_set)(struct sut *sut, pfa_pfn head, pfa_owner owner, uint64_t cookie);
	int (*movable_clear)(struct sut *sut, pfa_pfn head);
	int (*pin)(struct sut *sut, pfa_pfn head);
	int (*unpin)(struct sut *sut, pfa_pfn head);
	int (*page_lock)(struct sut *sut, pfa_pfn head);
	int (*page_trylock)(struct sut *sut, pfa_pfn head);
	int (*page_unlock)(struct sut *sut, pfa_pfn head);
	int (*movable_info)(struct sut *sut, pfa_pfn head, struct pfa_movable_info *out);
	int (*migrate)(struct sut *sut, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int out_results[]);
	int (*compact)(struct sut *sut, uint32_t zone, unsigned order, enum pfa_migrate_mode mode, struct pfa_compact_stats *out);
	unsigned (*migrate_tries)(enum pfa_migrate_mode mode);

	/* pfa/contig.h: all of them or none. */
	int (*isolate_range)(struct sut *sut, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out, struct pfa_blocker *why);
	int (*undo_isolate_range)(struct sut *sut, pfa_pfn start, pfa_pfn end, pfa_token token);
	int (*test_isolated)(struct sut *sut, pfa_pfn start, pfa_pfn end, pfa_token token, struct pfa_blocker *why);
	int (*alloc_contig_range)(struct sut *sut, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why);
	int (*alloc_contig)(struct sut *sut, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out);
	int (*free_contig_range)(struct sut *sut, pfa_pfn start, size_t nr_frames);

	/* pfa/hotplug.h and pfa/cma.h: all of them or none. */
	int (*offline_range)(struct sut *sut, pfa_pfn start, size_t nr_frames, uint32_t flags, struct pfa_blocker *why);
	int (*online_range)(struct sut *sut, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);
	int (*add_range)(struct sut *sut, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);
	int (*remove_range)(struct sut *sut, pfa_pfn start, size_t nr_frames, struct pfa_blocker *why);
	int (*cma_create)(struct sut *sut, pfa_pfn start, size_t nr_frames, uint32_t flags, pfa_cma *out, struct pfa_blocker *why);
	int (*cma_destroy)(struct sut *sut, pfa_cma area);
	int (*cma_find)(struct sut *sut, pfa_pfn pfn, pfa_cma *out);
	int (*cma_alloc)(struct sut *sut, pfa_cma area, size_t nr_frames, size_t align_frames, uint32_t flags, pfa_pfn *out);
	int (*cma_release)(struct sut *sut, pfa_cma area, pfa_pfn start, size_t nr_frames);
	int (*cma_stats)(struct sut *sut, pfa_cma area, struct pfa_cma_stats *out);

	/* Views. Without zone_stats there is no conservation, watermark and step oracle; without check no invariants;
	 * without frame_info no state digest; without pageblock_info no type rules. */
	int (*stats)(struct sut *sut, struct pfa_stats *out, size_t size);
	int (*zone_stats)(struct sut *sut, unsigned zone, struct pfa_zone_stats *out, size_t size);
	int (*frame_info)(struct sut *sut, pfa_pfn pfn, struct pfa_frame_info *out);
	int (*pageblock_info)(struct sut *sut, pfa_pfn pfn, struct pfa_pageblock_info *out);
	int (*check)(struct sut *sut, unsigned level, struct pfa_violation *out);
	int (*check_range)(struct sut *sut, struct pfa_run run, unsigned level, struct pfa_violation *out);
	int (*print)(struct sut *sut, enum pfa_print_what what, void (*write)(void *ctx, const char *bytes, size_t nr),
	             void *ctx);
	void (*regions)(struct sut *sut, void (*visit)(void *ctx, const char *name, const void *start, size_t bytes),
	                void *ctx);
	void (*on_unlock)(struct sut *sut, void (*hook)(void *ctx, struct pfa *pfa, unsigned zone), void *ctx);
	/* Where the metadata that the caller gave lies; both 0 before create. */
	void (*memory)(struct sut *sut, const void **start, size_t *bytes);
};

/* The beginning of every implementation's own struct. */
struct sut {
	const struct sut_ops *ops;
};

extern const struct sut_ops sut_pfa;
extern const struct sut_ops sut_textbook;

/* Finds a table by name ("pfa", "textbook"); NULL if there is none. */
const struct sut_ops *sut_find(const char *name);

#endif
