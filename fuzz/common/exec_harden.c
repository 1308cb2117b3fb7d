/* SPDX-License-Identifier: MIT
 *
 * exec_harden.c - the operations of pfa/harden.h: bad frames.
 */
#include "exec_ops.h"

/* ---- bad frames -------------------------------------------------------------------------------------------------- */

bool exec_mark_bad(struct exec_run *run, pfa_pfn pfn)
{
	int code;

	if (!run->ops->mark_bad)
		return exec_skip(run);
	run->step.has_pfn = true;
	run->step.pfn = pfn;
	run->step.nr_frames = 1;
	EXEC_CALL(run, code, run->ops->mark_bad(run->sut, pfn));
	const int expected = model_mark_bad(&run->m, pfn);
	if (expected != PFA_ERANGE)
		exec_touch(run, pfn, 1);
	run->must_be_unchanged = expected == PFA_ERANGE;
	return exec_expect_code(run, expected, code);
}

bool exec_mark_bad_of(struct exec_run *run, const struct prog_op *op, const struct exec_handle *h)
{
	const uint32_t node = exec_nth(run, h, op->arg[1]);

	return exec_mark_bad(run, run->pfn_of[node] + (size_t)op->arg[2] % ((size_t)1 << run->order_of[node]));
}
