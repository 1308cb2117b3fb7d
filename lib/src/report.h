/* SPDX-License-Identifier: MIT
 *
 * Layer 5: free page reporting. One batch at a time: blocks leave the free memory of a zone, are told without any lock, and
 * return. What a batch consists of is in struct pfai_report, so that the child of a fork() finds it.
 */
#ifndef PFAI_REPORT_H
#define PFAI_REPORT_H

#include "mark.h"

/* The reporter: tried, or waited for. False: somebody has it; or the platform cannot wait. */
static inline bool pfai_report_lock(struct pfa *p, bool wait)
{
	return wait ? pfai_sleep_lock(&p->os, &p->report->busy) : pfai_try_lock(&p->report->busy);
}

/* Is the calling thread inside the device's report()? */
bool pfai_report_running(const struct pfa *p);

static inline bool pfai_report_inside(const struct pfa *p)
{
	return PFAI_UNLIKELY(p->report != NULL) && pfai_report_running(p);
}

/* Background work: *budget batches or scans at most. *next: lowered to when there may be more to do. True: there is more now. */
bool pfai_report_background(struct pfa *p, unsigned *budget, uint64_t now, uint64_t *next);

/* In the child of a fork(), where all locks are free. */
void pfai_report_child(struct pfa *p);

#endif
