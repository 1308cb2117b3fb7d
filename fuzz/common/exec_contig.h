/* SPDX-License-Identifier: MIT
 *
 * exec_contig.h - what exec_contig.c (calls that hold, and their answers), exec_contig_judge.c (what they leave as it was) and
 * exec_contig_ops.c (arguments, illegal calls, the end) share.
 */
#ifndef FUZZ_EXEC_CONTIG_H
#define FUZZ_EXEC_CONTIG_H

#include "exec_movable.h"

/* The own types of the range's pageblocks, as the library says. Only the first of very many. */
#define CONTIG_CENSUS 64u
struct contig_census {
	size_t nr;
	pfa_pfn at[CONTIG_CENSUS];
	enum pfa_type type[CONTIG_CENSUS];
};

/* Takes them down; and compares them with what they are now. */
bool exec_contig_count(struct exec_run *run, pfa_pfn start, pfa_pfn end, struct contig_census *census);
bool exec_contig_judge_census(struct exec_run *run, unsigned zone, const struct contig_census *census);
/* Holders and frames of the pageblocks around: everything else is whose it was. */
bool exec_contig_judge_around(struct exec_run *run, unsigned zone, pfa_pfn start, pfa_pfn end);

bool exec_contig_isolate(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits);
bool exec_contig_undo(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token);
bool exec_contig_test(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token);
bool exec_contig_range(struct exec_run *run, struct exec_handle *h, pfa_pfn start, pfa_pfn end, uint64_t bits);
bool exec_contig_search(struct exec_run *run, struct exec_handle *h, const uint64_t *a);
/* Tokens of which nothing is held any more leave the list. */
void exec_contig_forget(struct exec_run *run);

#endif
