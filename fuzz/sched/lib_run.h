/* SPDX-License-Identifier: MIT
 *
 * lib_run.h - programs of the operation language (fuzz/common/program.h) for the explorer: a small instance of the real library in an
 * arena, and threads that use it as legal callers do.
 *
 * Of a program are carried out: what ops_threads.def and lib_run.c's table have; other operations, and lines past LIB_LINES, do
 * nothing. Of its configuration: the first zone (64 to 256 frames, no holes), orders and pageblocks up to 7, up to 4 cpus, small
 * caches, hardening, quarantine, history, generations, owners.
 *
 * Checked while it runs: no frame has two owners; content is ordered from one owner to the next (the race detector sees the
 * owners' accesses); nothing is told to platform.fatal; calls answer what they may. Afterwards: everything freed and drained,
 * pfa_check(), and nothing is missing.
 */
#ifndef SCHED_LIB_RUN_H
#define SCHED_LIB_RUN_H

#include "program.h"
#include "sched.h"

#define LIB_LINES 64u

/* The program, ready to be run; valid until the next call. It is looked at as long as it runs. lenient: a request may always find no
 * memory; otherwise only in programs that take much of it, or whole ranges. */
const struct sched_program *lib_program(const struct program *program, bool lenient);

/* Told when a thread begins an operation of the program; NULL: nobody. */
extern void (*lib_on_line)(unsigned self, const struct program *program, unsigned op);

/* Was there an operation of this kind that was carried out, in any run of this process? */
bool lib_was_done(unsigned kind);

#endif
