/* SPDX-License-Identifier: MIT
 *
 * Layer 4: the content of frames that nobody owns, where the pool is addressable. What is freed is overwritten, and what
 * is granted is verified to be still as it was left. Called while the frames are the caller's alone.
 *
 * A frame has PFAI_LINE bytes at a place that only the key tells, one such line for each 4 KiB: those are written
 * (LINES) or, where all of it was zeroed, looked at (ZERO).
 */
#ifndef PFAI_CONTENT_H
#define PFAI_CONTENT_H

#include "instance.h"

#define PFAI_LINE_SHIFT 6u
#define PFAI_LINE ((size_t)1 << PFAI_LINE_SHIFT)
/* One line is looked at of so many bytes. */
#define PFAI_LINE_SHARE_SHIFT 12u

/* Overwrites nr_frames freed frames as config.poison says. */
void pfai_content_freed(struct pfa *p, pfa_pfn pfn, size_t nr_frames);

/* Are the frames as pfai_content_freed() left them? every: look at every byte, if they were zeroed. The first frame that
 * is not; PFAI_NONE: all are. */
size_t pfai_content_changed(const struct pfa *p, pfa_pfn pfn, size_t nr_frames, bool every);

static inline unsigned char *pfai_frame_at(const struct pfa *p, pfa_pfn pfn)
{
	return p->pool + ((pfn - p->pool_pfn) << p->frame_shift);
}

/* Makes frames read as zero. */
void pfai_content_zero(struct pfa *p, pfa_pfn pfn, size_t nr_frames);

#endif
