/* SPDX-License-Identifier: MIT
 *
 * exec_real_report.h - what exec_real_report.c (the device), exec_real_told.c (what must be marked, and what not) and exec_real_walk.c
 * share.
 */
#ifndef FUZZ_EXEC_REAL_REPORT_H
#define FUZZ_EXEC_REAL_REPORT_H

#include "exec_real.h"

size_t told_frames(const struct real_run *r);
/* The zone that all of a run is in; their number: none. */
unsigned told_zone(const struct real_run *r, pfa_pfn pfn, size_t nr);
/* Does the device know all of these? */
bool told_whole(const struct real_run *r, pfa_pfn first, size_t nr);
/* Is there still what the host left there? all: every byte; else both ends. */
bool told_content(struct real_run *r, pfa_pfn pfn, size_t index, bool all);
enum pfa_frame_state told_state(struct real_run *r, pfa_pfn pfn);
bool told_flush(struct real_run *r);
bool told_leave(struct real_run *r, bool suspend);
bool told_resume(struct real_run *r);
bool told_register_any(struct real_run *r, uint32_t seed);
/* Isolates the pageblock of a pfn, after what is isolated is given up. undo: only that. */
bool told_hold(struct real_run *r, pfa_pfn pfn, bool undo);
/* Of every unit that is free now the device knows. */
bool told_complete(struct real_run *r);
void told_takes_and_gives(struct real_run *r);
/* A block of the program's, if there is one. */
bool real_core_free_one(struct real_run *r);
bool real_walk(struct real_run *r, const uint64_t *a);

#endif
