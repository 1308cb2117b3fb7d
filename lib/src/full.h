/* SPDX-License-Identifier: MIT
 *
 * Layer 5: the fast paths of hardening level 3, as verified.h.
 */
#ifndef PFAI_FULL_H
#define PFAI_FULL_H

#include "pcpu.h"

pfai_alloc_path pfai_alloc_full;
pfai_free_path pfai_free_quarantined;

/* The same with poison in lines. */
pfai_alloc_path pfai_alloc_full_lines;
pfai_free_path pfai_free_quarantined_lines;

#endif
