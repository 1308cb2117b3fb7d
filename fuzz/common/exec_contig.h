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

/* A call: before it, and after it. False: a finding. */
void exec_contig_before(struct exec_run *run, struct exec_contig *c);
bool exec_contig_after(struct exec_run *run, struct exec_contig *c);
/* The move that ran last is over. Why it came to nothing, if it did. */
bool exec_contig_settle(struct exec_run *run, struct exec_contig *c);
/* What the call must have answered, when nobody meddled: static reasons are known, owners' come before what lies behind them. */
void exec_contig_outcome(const struct exec_contig *c, struct model_answer *a);
bool exec_contig_judge(struct exec_run *run, const struct exec_contig *c, const struct model_answer *a, int code,
                       const struct pfa_blocker *why);
/* The frames are the program's. Of any type: the call takes them as they are. */
bool exec_contig_granted(struct exec_run *run, struct exec_handle *h, pfa_pfn start, size_t nr, uint32_t flags);
/* A frame of what is granted was written after its free: all of it is bad. */
bool exec_contig_is_corrupt(const struct exec_run *run, const struct exec_contig *c, int code);
/* The range that pb, nr and ends mean. */
void exec_contig_of(const struct exec_run *run, const uint64_t *a, pfa_pfn *start, pfa_pfn *end);
/* Behind the zone that lies highest. */
pfa_pfn exec_contig_behind(const struct exec_run *run);

bool exec_contig_isolate(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits);
bool exec_contig_undo(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token);
bool exec_contig_test(struct exec_run *run, pfa_pfn start, pfa_pfn end, pfa_token token);
bool exec_contig_range(struct exec_run *run, struct exec_handle *h, pfa_pfn start, pfa_pfn end, uint64_t bits);
bool exec_contig_search(struct exec_run *run, struct exec_handle *h, const uint64_t *a);
/* Tokens of which nothing is held any more leave the list. */
void exec_contig_forget(struct exec_run *run);

#endif
