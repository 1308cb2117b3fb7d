/* SPDX-License-Identifier: MIT
 *
 * exec_ops.h - what the files with operations share: exec_ops.c (dispatch), exec_requests.c, exec_frees.c and
 * exec_state.c (legal ones), exec_misuse.c (illegal ones), exec_views.c (checker, statistics, text),
 * exec_harden.c (what pfa/harden.h offers).
 */
#ifndef FUZZ_EXEC_OPS_H
#define FUZZ_EXEC_OPS_H

#include "exec_run.h"

/* Did the call answer as it must? pfn_known: the fault must name this pfn. Fills in step.code. */
bool exec_expect(struct exec_run *run, struct expectation e, int code, pfa_pfn pfn, bool pfn_known);
bool exec_expect_code(struct exec_run *run, int expected, int code);
/* Node of block at (modulo their number) of a handle that is not empty. */
uint32_t exec_nth(struct exec_run *run, const struct exec_handle *h, uint64_t at);
/* The operation does nothing here. Returns true. */
bool exec_skip(struct exec_run *run);
bool exec_purge(struct exec_run *run, pfa_pfn pfn);
/* The run that a pair of arguments means. */
struct pfa_run exec_run_of(const struct exec_run *run, uint64_t first, uint64_t nr);
/* Removes the first block of a handle that the allocator has taken back. */
void exec_drop_first(struct exec_run *run, struct exec_handle *h);

/* Moves nr blocks from position at on (fewer at the end) from a handle's list to another list. */
struct exec_handle exec_cut(struct exec_run *run, struct exec_handle *h, uint32_t at, uint32_t nr);
/* Adds a block that the program owns to a handle. */
void exec_append(struct exec_run *run, struct exec_handle *h, pfa_pfn pfn, unsigned order);

/* The flags of a request, from the arguments of the operation. */
uint32_t exec_flags(const struct exec_run *run, uint64_t flags, uint64_t zone);
/* The steps that requests and frees of this size may take under one zone lock. */
void exec_allow_steps(struct exec_run *run, size_t nr);

bool exec_request(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
/* Operations on the blocks of a handle that is not empty. */
bool exec_on_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
bool exec_largest_free(struct exec_run *run, uint32_t flags);
bool exec_would_succeed(struct exec_run *run, const struct request *r);
bool exec_drain(struct exec_run *run, uint64_t cpu);
bool exec_switch(struct exec_run *run, bool disable);
bool exec_service(struct exec_run *run, unsigned budget);
bool exec_content(struct exec_run *run, const struct exec_handle *h, bool fill, uint64_t number);
void exec_fault(struct exec_run *run, const struct prog_op *op);
bool exec_fini(struct exec_run *run);
bool exec_misuse_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
bool exec_misuse_dead(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h);
bool exec_misuse(struct exec_run *run, const struct prog_op *op);
bool exec_judge_frame(struct exec_run *run, pfa_pfn pfn, const struct pfa_frame_info *f);
/* exec_movable.c: the operations of ops_movable.def. */
bool exec_movable(struct exec_run *run, const struct prog_op *op);
/* exec_contig.c: the operations of ops_contig.def. h: the handle that it names or yields. */
bool exec_contig(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
/* exec_plug.c: the operations of ops_plug.def. h: likewise. */
bool exec_plug(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
/* exec_requests.c: who owns what was granted. */
bool exec_granted(struct exec_run *run, struct exec_handle *h, const struct request *r, pfa_pfn pfn);
/* exec_frees.c: frees a list of blocks by ranges, through pfa_free_range(), pfa_free_contig_range(), or pfa_cma_release() to the area that
 * they are in: what that refuses stays in the list. */
enum exec_free_way { EXEC_BY_RANGE, EXEC_BY_CONTIG, EXEC_BY_AREA };
bool exec_free_list(struct exec_run *run, struct exec_handle *list, enum exec_free_way way);
/* Misuse of an area: under policy ABORT the call would be left by longjmp while it is in the area, which then never ends. */
static inline bool exec_cma_may_misuse(const struct exec_run *run)
{
	return !run->p->config.abort_policy && !(run->ops->lacks & SUT_NO_MISUSE);
}
bool exec_view(struct exec_run *run, const struct prog_op *op);
/* A pfn that no instance has. */
pfa_pfn exec_far(const struct exec_run *run, uint64_t far);
bool exec_keep_token(struct exec_run *run, struct exec_handle *h, const struct pfa_handle *handle);
bool exec_handle_of(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
bool exec_handle_of_pfn(struct exec_run *run, pfa_pfn pfn, unsigned order);
bool exec_free_checked(struct exec_run *run, pfa_pfn pfn, unsigned order, const struct exec_handle *h);
bool exec_free_stale(struct exec_run *run, const struct exec_handle *h);
bool exec_free_forged(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h);
bool exec_repair(struct exec_run *run, unsigned flags, bool out);
bool exec_history(struct exec_run *run, pfa_pfn pfn, size_t max);
bool exec_trace(struct exec_run *run, size_t number, size_t max);
bool exec_poke(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h);
/* A request for nr frames was refused since something was written after its free: those are bad now. */
bool exec_corrupt(struct exec_run *run, size_t nr);
bool exec_mark_bad(struct exec_run *run, pfa_pfn pfn);
bool exec_mark_bad_of(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h);

#endif
