/* SPDX-License-Identifier: MIT
 *
 * exec_ops.h - what the three files with operations share: exec_ops.c (legal ones), exec_misuse.c (illegal ones),
 * exec_views.c (checker, statistics, text).
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

bool exec_misuse_handle(struct exec_run *run, const struct prog_op *op, struct exec_handle *h);
bool exec_misuse_dead(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h);
bool exec_misuse(struct exec_run *run, const struct prog_op *op);
bool exec_judge_frame(struct exec_run *run, pfa_pfn pfn, const struct pfa_frame_info *f);
bool exec_view(struct exec_run *run, const struct prog_op *op);

#endif
