/* SPDX-License-Identifier: MIT
 *
 * reach.c - what each target reaches with its part of a corpus: functions of the API with the codes they returned, and
 * the kinds of operations that were carried out. The linker puts the wrappers here between the targets and the library
 * (--wrap, model.cmake of this folder), so neither knows of it. Prints, for reach_test.py:
 *
 *   TARGET FUNCTION CODE COUNT     (CODE is - for functions that return none)
 *   TARGET op NAME COUNT           (0: known, never carried out)
 *   TARGET fault NUMBER COUNT      (enum pfa_fault_kind: told to platform.fatal)
 *
 *   pfa_reach CORPUS
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pfa/cma.h>
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/hotplug.h>
#include <pfa/compact.h>
#include <pfa/pfa.h>

#include "exec_real.h"

#define REACH_ROWS 512u
#define REACH_FILE_MAX ((size_t)1 << 20)
#define REACH_NO_CODE 1 /* no function returns more than PFA_OK */

static struct reach_row {
	const char *function;
	int code;
	unsigned long nr;
} reach_rows[REACH_ROWS];
static size_t reach_nr;
static unsigned long reach_ops[256];

static void reach_note(const char *function, int code)
{
	size_t i = 0;

	while (i < reach_nr && (reach_rows[i].code != code || strcmp(reach_rows[i].function, function) != 0))
		i++;
	if (i == REACH_ROWS) {
		fprintf(stderr, "pfa_reach: more pairs than it has room for\n");
		exit(2);
	}
	if (i == reach_nr)
		reach_rows[reach_nr++] = (struct reach_row){ function, code, 0 };
	reach_rows[i].nr++;
}

/* ---- between the targets and the library ------------------------------------------------------------------------- */

#define REACH_CODE(function, params, args)                                                                         \
	int __real_##function params;                                                                              \
	int __wrap_##function params;                                                                              \
	int __wrap_##function params                                                                               \
	{                                                                                                          \
		const int code = __real_##function args;                                                           \
		reach_note(#function, code);                                                                       \
		return code;                                                                                       \
	}
#define REACH_PLAIN(type, function, params, args)                                                                  \
	type __real_##function params;                                                                             \
	type __wrap_##function params;                                                                             \
	type __wrap_##function params                                                                              \
	{                                                                                                          \
		reach_note(#function, REACH_NO_CODE);                                                              \
		return __real_##function args;                                                                     \
	}

typedef void reach_hook(void *ctx, struct pfa *pfa, unsigned zone);
typedef void reach_visit(void *ctx, const char *name, const void *start, size_t bytes);
typedef void reach_write(void *ctx, const char *bytes, size_t nr);

/* One row a function; what is missing here counts as never reached. */
REACH_PLAIN(const char *, pfa_error_name, (int code), (code))
REACH_PLAIN(const char *, pfa_config_problem_text, (enum pfa_config_problem problem), (problem))
REACH_PLAIN(uint32_t, pfa_version, (void), ())
REACH_CODE(pfa_size, (const struct pfa_config *c, struct pfa_footprint *out, enum pfa_config_problem *p, unsigned *i),
           (c, out, p, i))
REACH_CODE(pfa_init, (void *memory, size_t bytes, const struct pfa_config *c, struct pfa **out,
                      enum pfa_config_problem *p, unsigned *i), (memory, bytes, c, out, p, i))
REACH_CODE(pfa_fini, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_alloc, (struct pfa *pfa, unsigned order, uint32_t flags, pfa_pfn *out), (pfa, order, flags, out))
REACH_CODE(pfa_free, (struct pfa *pfa, pfa_pfn pfn, unsigned order), (pfa, pfn, order))
REACH_CODE(pfa_alloc_bulk, (struct pfa *pfa, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[], size_t *out_nr),
           (pfa, order, flags, nr, out, out_nr))
REACH_CODE(pfa_free_bulk, (struct pfa *pfa, unsigned order, size_t nr, const pfa_pfn pfns[], size_t *out_nr),
           (pfa, order, nr, pfns, out_nr))
REACH_CODE(pfa_alloc_exact, (struct pfa *pfa, size_t nr, unsigned align, uint32_t flags, pfa_pfn *out),
           (pfa, nr, align, flags, out))
REACH_CODE(pfa_alloc_window, (struct pfa *pfa, unsigned order, uint32_t flags, struct pfa_run window, pfa_pfn *out),
           (pfa, order, flags, window, out))
REACH_CODE(pfa_split, (struct pfa *pfa, pfa_pfn pfn, unsigned order, unsigned to), (pfa, pfn, order, to))
REACH_CODE(pfa_free_range, (struct pfa *pfa, pfa_pfn first, size_t nr), (pfa, first, nr))
REACH_CODE(pfa_ptr, (const struct pfa *pfa, pfa_pfn pfn, void **out), (pfa, pfn, out))
REACH_CODE(pfa_pfn_of, (const struct pfa *pfa, const void *ptr, pfa_pfn *out), (pfa, ptr, out))
REACH_CODE(pfa_alloc_ptr, (struct pfa *pfa, unsigned order, uint32_t flags, void **out), (pfa, order, flags, out))
REACH_CODE(pfa_free_ptr, (struct pfa *pfa, void *ptr, unsigned order), (pfa, ptr, order))
REACH_CODE(pfa_largest_free, (struct pfa *pfa, uint32_t flags, unsigned *out), (pfa, flags, out))
REACH_CODE(pfa_would_succeed, (struct pfa *pfa, unsigned order, uint32_t flags), (pfa, order, flags))
REACH_CODE(pfa_cache_drain, (struct pfa *pfa, uint32_t cpu), (pfa, cpu))
REACH_CODE(pfa_cache_purge, (struct pfa *pfa, pfa_pfn pfn), (pfa, pfn))
REACH_CODE(pfa_cache_disable, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_cache_enable, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_service, (struct pfa *pfa, unsigned budget, uint64_t *out), (pfa, budget, out))
REACH_CODE(pfa_mark_bad, (struct pfa *pfa, pfa_pfn pfn), (pfa, pfn))
REACH_CODE(pfa_alloc_checked, (struct pfa *pfa, unsigned order, uint32_t flags, struct pfa_handle *out),
           (pfa, order, flags, out))
REACH_CODE(pfa_handle_of, (struct pfa *pfa, pfa_pfn pfn, unsigned order, struct pfa_handle *out),
           (pfa, pfn, order, out))
REACH_CODE(pfa_free_checked, (struct pfa *pfa, const struct pfa_handle *handle), (pfa, handle))
REACH_CODE(pfa_history, (const struct pfa *pfa, pfa_pfn pfn, struct pfa_event out[], size_t max, size_t *nr),
           (pfa, pfn, out, max, nr))
REACH_CODE(pfa_trace, (const struct pfa *pfa, size_t number, uintptr_t out[], size_t max, size_t *nr),
           (pfa, number, out, max, nr))
REACH_PLAIN(size_t, pfa_event_text, (const struct pfa_event *event, char out[], size_t room), (event, out, room))
REACH_PLAIN(size_t, pfa_frame_text, (const struct pfa *pfa, pfa_pfn pfn, char out[], size_t room), (pfa, pfn, out, room))
REACH_CODE(pfa_repair, (struct pfa *pfa, unsigned flags, struct pfa_repair *out), (pfa, flags, out))
REACH_CODE(pfa_owner_create, (struct pfa *pfa, const struct pfa_owner_ops *ops, void *ctx, pfa_owner *out), (pfa, ops, ctx, out))
REACH_CODE(pfa_owner_destroy, (struct pfa *pfa, pfa_owner owner), (pfa, owner))
REACH_CODE(pfa_movable_set, (struct pfa *pfa, pfa_pfn head, pfa_owner owner, uint64_t cookie), (pfa, head, owner, cookie))
REACH_CODE(pfa_movable_clear, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_pin, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_unpin, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_page_lock, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_page_trylock, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_page_unlock, (struct pfa *pfa, pfa_pfn head), (pfa, head))
REACH_CODE(pfa_movable_info, (struct pfa *pfa, pfa_pfn head, struct pfa_movable_info *out), (pfa, head, out))
REACH_CODE(pfa_migrate, (struct pfa *pfa, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[]),
           (pfa, heads, nr, dest, results))
REACH_CODE(pfa_compact, (struct pfa *pfa, uint32_t zone, unsigned order, enum pfa_migrate_mode mode, struct pfa_compact_stats *out),
           (pfa, zone, order, mode, out))
REACH_CODE(pfa_isolate_range, (struct pfa *pfa, pfa_pfn start, pfa_pfn end, uint32_t flags, pfa_token *out, struct pfa_blocker *why),
           (pfa, start, end, flags, out, why))
REACH_CODE(pfa_undo_isolate_range, (struct pfa *pfa, pfa_pfn start, pfa_pfn end, pfa_token token), (pfa, start, end, token))
REACH_CODE(pfa_test_isolated, (struct pfa *pfa, pfa_pfn start, pfa_pfn end, pfa_token token, struct pfa_blocker *why),
           (pfa, start, end, token, why))
REACH_CODE(pfa_alloc_contig_range, (struct pfa *pfa, pfa_pfn start, pfa_pfn end, uint32_t flags, struct pfa_blocker *why),
           (pfa, start, end, flags, why))
REACH_CODE(pfa_alloc_contig, (struct pfa *pfa, size_t nr, size_t align, uint32_t flags, pfa_pfn *out), (pfa, nr, align, flags, out))
REACH_CODE(pfa_free_contig_range, (struct pfa *pfa, pfa_pfn start, size_t nr), (pfa, start, nr))
REACH_CODE(pfa_offline_range, (struct pfa *pfa, pfa_pfn start, size_t nr, uint32_t flags, struct pfa_blocker *why), (pfa, start, nr, flags, why))
REACH_CODE(pfa_online_range, (struct pfa *pfa, pfa_pfn start, size_t nr, struct pfa_blocker *why), (pfa, start, nr, why))
REACH_CODE(pfa_add_range, (struct pfa *pfa, pfa_pfn start, size_t nr, struct pfa_blocker *why), (pfa, start, nr, why))
REACH_CODE(pfa_remove_range, (struct pfa *pfa, pfa_pfn start, size_t nr, struct pfa_blocker *why), (pfa, start, nr, why))
REACH_CODE(pfa_cma_create, (struct pfa *pfa, pfa_pfn start, size_t nr, uint32_t flags, pfa_cma *out, struct pfa_blocker *why),
           (pfa, start, nr, flags, out, why))
REACH_CODE(pfa_cma_destroy, (struct pfa *pfa, pfa_cma area), (pfa, area))
REACH_CODE(pfa_cma_find, (struct pfa *pfa, pfa_pfn pfn, pfa_cma *out), (pfa, pfn, out))
REACH_CODE(pfa_cma_alloc, (struct pfa *pfa, pfa_cma area, size_t nr, size_t align, uint32_t flags, pfa_pfn *out), (pfa, area, nr, align, flags, out))
REACH_CODE(pfa_cma_release, (struct pfa *pfa, pfa_cma area, pfa_pfn start, size_t nr), (pfa, area, start, nr))
REACH_CODE(pfa_cma_stats, (struct pfa *pfa, pfa_cma area, struct pfa_cma_stats *out), (pfa, area, out))
REACH_CODE(pfa_report_register, (struct pfa *pfa, const struct pfa_device *device), (pfa, device))
REACH_CODE(pfa_report_unregister, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_report_suspend, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_report_resume, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_report_flush, (struct pfa *pfa), (pfa))
REACH_CODE(pfa_walk_free, (struct pfa *pfa, unsigned order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor),
           (pfa, order, visit, ctx, cursor))
REACH_PLAIN(unsigned, pfa_migrate_tries, (enum pfa_migrate_mode mode), (mode))
REACH_CODE(pfa_stats_get, (struct pfa *pfa, struct pfa_stats *out, size_t size), (pfa, out, size))
REACH_CODE(pfa_zone_stats_get, (struct pfa *pfa, unsigned zone, struct pfa_zone_stats *out, size_t size),
           (pfa, zone, out, size))
REACH_CODE(pfa_print, (struct pfa *pfa, enum pfa_print_what what, reach_write *write, void *ctx),
           (pfa, what, write, ctx))
REACH_CODE(pfa_frame_info, (struct pfa *pfa, pfa_pfn pfn, struct pfa_frame_info *out), (pfa, pfn, out))
REACH_CODE(pfa_pageblock_info, (struct pfa *pfa, pfa_pfn pfn, struct pfa_pageblock_info *out), (pfa, pfn, out))
REACH_CODE(pfa_check, (struct pfa *pfa, unsigned level, struct pfa_violation *out), (pfa, level, out))
REACH_CODE(pfa_check_range, (struct pfa *pfa, struct pfa_run run, unsigned level, struct pfa_violation *out),
           (pfa, run, level, out))
REACH_PLAIN(void, pfa_debug_on_unlock, (struct pfa *pfa, reach_hook *hook, void *ctx), (pfa, hook, ctx))
REACH_PLAIN(void, pfa_debug_regions, (const struct pfa *pfa, reach_visit *visit, void *ctx), (pfa, visit, ctx))

bool __real_exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index);
bool __wrap_exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index);
bool __wrap_exec_operation(struct exec_run *run, const struct prog_op *op, unsigned index)
{
	const bool fine = __real_exec_operation(run, op, index);
	reach_ops[op->kind] += !run->step.skipped;
	return fine;
}

bool __real_real_operation(struct real_run *r, const struct prog_op *op, unsigned index);
bool __wrap_real_operation(struct real_run *r, const struct prog_op *op, unsigned index);
bool __wrap_real_operation(struct real_run *r, const struct prog_op *op, unsigned index)
{
	const bool fine = __real_real_operation(r, op, index);
	reach_ops[op->kind] += !r->run->step.skipped;
	return fine;
}

static unsigned long reach_faults[PFA_FAULT_KINDS];

void __real_exec_judge_told(struct exec_run *run, const struct pfa_fault *fault);
void __wrap_exec_judge_told(struct exec_run *run, const struct pfa_fault *fault);
void __wrap_exec_judge_told(struct exec_run *run, const struct pfa_fault *fault)
{
	reach_faults[fault->kind < PFA_FAULT_KINDS ? fault->kind : PFA_FAULT_NONE]++;
	__real_exec_judge_told(run, fault);
}

/* ---- the targets, each with its own part --------------------------------------------------------------------------- */

#define REACH_TARGETS(X) X(core) X(misuse) X(config) X(migrate) X(contig) X(hotplug) X(diff) X(text) X(repair) X(owners) X(report) X(walk)
#define REACH_DECLARE(name) int pfa_target_##name(const uint8_t *data, size_t size);
REACH_TARGETS(REACH_DECLARE)
#undef REACH_DECLARE

static const struct {
	const char *name;
	int (*run)(const uint8_t *data, size_t size);
} reach_targets[] = {
#define REACH_ROW(name) { #name, pfa_target_##name },
	REACH_TARGETS(REACH_ROW)
#undef REACH_ROW
};

static void reach_file(int (*run)(const uint8_t *data, size_t size), const char *path)
{
	static char text[REACH_FILE_MAX];
	static uint8_t bytes[REACH_FILE_MAX];
	char why[256];
	size_t size = 0;
	FILE *f = fopen(path, "rb");
	const size_t nr = f ? fread(text, 1, sizeof(text), f) : sizeof(text);

	if (f)
		fclose(f);
	if (nr == sizeof(text) || prog_text_to_bytes(text, nr, bytes, sizeof(bytes), &size, why, sizeof(why))) {
		fprintf(stderr, "pfa_reach: %s: %s\n", path, nr == sizeof(text) ? "cannot be read, or is too large" : why);
		exit(2);
	}
	(void)run(bytes, size);
}

/* A finding aborts: what the replay tests say better. */
static unsigned reach_folder(int (*run)(const uint8_t *data, size_t size), const char *folder)
{
	struct dirent **entries;
	const int nr = scandir(folder, &entries, NULL, alphasort);
	unsigned files = 0;

	for (int i = 0; i < nr; i++) {
		const char *end = strstr(entries[i]->d_name, ".pfa.txt");
		char path[4096];
		if (end && end[8] == 0 && snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) < 4096) {
			reach_file(run, path);
			files++;
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	return files;
}

static void reach_print(const char *target)
{
	const uint8_t *kinds;
	const unsigned nr = prog_kinds(&kinds);

	for (size_t i = 0; i < reach_nr; i++)
		printf("%s %s %s %lu\n", target, reach_rows[i].function,
		       reach_rows[i].code == REACH_NO_CODE ? "-" : pfa_error_name(reach_rows[i].code), reach_rows[i].nr);
	for (unsigned i = 0; i < nr; i++)
		printf("%s op %s %lu\n", target, prog_kind(kinds[i])->name, reach_ops[kinds[i]]);
	for (unsigned i = 0; i < PFA_FAULT_KINDS; i++)
		if (reach_faults[i])
			printf("%s fault %u %lu\n", target, i, reach_faults[i]);
}

int main(int argc, char **argv)
{
	if (argc != 2 || !strcmp(argv[1], "--help")) {
		fprintf(argc == 2 ? stdout : stderr, "usage: pfa_reach CORPUS\n");
		return argc == 2 ? 0 : 2;
	}
	for (size_t i = 0; i < sizeof(reach_targets) / sizeof(reach_targets[0]); i++) {
		char folder[4096];
		unsigned files = 0;
		reach_nr = 0;
		memset(reach_ops, 0, sizeof(reach_ops));
		memset(reach_faults, 0, sizeof(reach_faults));
		for (int regress = 0; regress < 2; regress++) {
			snprintf(folder, sizeof(folder), "%s/%s/%s", argv[1], reach_targets[i].name, regress ? "regress" : "seed");
			files += reach_folder(reach_targets[i].run, folder);
		}
		if (!files) {
			fprintf(stderr, "pfa_reach: no input for %s\n", reach_targets[i].name);
			return 2;
		}
		reach_print(reach_targets[i].name);
	}
	return 0;
}
