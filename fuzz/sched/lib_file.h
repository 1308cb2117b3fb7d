/* SPDX-License-Identifier: MIT
 *
 * lib_file.h - programs as files, what a run of one looks like, and the smallest program that shows a finding.
 */
#ifndef SCHED_LIB_FILE_H
#define SCHED_LIB_FILE_H

#include "lib_run.h"

#include <stdio.h>

/* Reads a .pfa.txt; "-": standard input. False after a complaint. */
bool lib_read(const char *path, struct program *out);
/* The run's deviations as the program's schedule; false where they are too many or too late, and then it has none. */
bool lib_set_schedule(struct program *p, const struct sched_result *result);
/* The program's schedule as the explorer's events, and how many; SIZE_MAX: it is not a list of those, but bytes. */
size_t lib_schedule(const struct program *p, struct sched_event events[SCHED_EVENTS]);

/* Runs it as its schedule says, which is another one where plain accesses are points. With out: a column for each thread, with its lines, and where who goes on instead of whom. */
void lib_replay(const struct program *p, bool lenient, bool all_points, FILE *out, struct sched_result *result);

/* Runs it as its schedule says, leniently; and where that is no list of deviations, and takes LIB_SHORT points at most, under so many others,
 * too, which are random from its bytes: half of them with random gaps, half of them by priorities. Up to the first finding. Returns how
 * many schedules there were. */
#define LIB_SHORT 2000u
unsigned lib_replay_and(const struct program *p, unsigned more, struct sched_result *result);

/* Fewer operations, then fewer deviations, that show the same finding (numbers aside). For the schedules that are tried the options
 * are those under which it was found. */
void lib_shrink(struct program *p, bool lenient, const struct sched_options *options, struct sched_result *result);

/* What was found, for fuzz/run and pfa-trace; and the program with the schedule that shows it. */
void lib_tell(const struct program *p, const struct sched_result *result, FILE *out);

/* "file:line" of an instruction of this executable, as addr2line says; or its number. */
void lib_where(const void *pc, char *out, size_t room);

#endif
