/* SPDX-License-Identifier: MIT
 *
 * exec_real_report.h - what exec_real_report.c (the device), exec_real_told.c (what must be marked, and what not), exec_real_pace.c (when
 * it is told) and exec_real_walk.c share.
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
/* exec_real_pace.c: the device begins anew; a batch comes; the device told nothing of one; pfa_report_flush(). */
void pace_begins(struct real_run *r);
bool pace_batch(struct real_run *r, pfa_pfn first);
void pace_failed(struct real_run *r, pfa_pfn first);
int pace_flush(struct real_run *r);
/* A device that fails, and the clock as it stands just before a pass may begin, and when it must. */
bool pace_retries(struct real_run *r);
bool told_register_any(struct real_run *r, uint32_t seed);
/* Isolates the pageblock of a pfn, after what is isolated is given up. undo: only that. */
bool told_hold(struct real_run *r, pfa_pfn pfn, bool undo);
/* Of every unit that is free now the device knows; else the monitor says so. */
bool told_complete(struct real_run *r, const char *monitor);
/* Nothing stands in the way of a pass that tells of all that is free. */
bool told_can_end(const struct real_run *r);
void told_takes_and_gives(struct real_run *r);
/* A block of the program's, if there is one. */
bool real_core_free_one(struct real_run *r);
bool real_walk(struct real_run *r, const uint64_t *a);

#endif
