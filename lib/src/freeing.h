/* SPDX-License-Identifier: MIT
 *
 * Layer 5: frees of instances with hooks. The claim needs no lock, and from then on the block is nobody's: the hooks run
 * on it, and it goes where freed blocks go, with plain stores of its byte.
 */
#ifndef PFAI_FREEING_H
#define PFAI_FREEING_H

#include "hook.h"

/* pfa_free() of such an instance. No lock held. */
int pfai_free_hooked(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function);

/* Past the caches, whatever the instance is like (free.c). No lock held. */
int pfai_free_block(struct pfa *p, pfa_pfn pfn, unsigned order, const char *function);

/* The rest of it, once the block is claimed. */
int pfai_free_claimed(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function);

/* The same past the caches. capture: NULL, or a request that takes the block of its order that this free makes whole. */
int pfai_free_claimed_past(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, struct pfai_request *capture,
                           const char *function);

/* All blocks of this run are FREEING, and their hooks were run: they go into quarantine, one by one. False: this cpu has
 * none now, nothing was done. *result is set to PFA_ECORRUPT or PFA_EBUSY where that was met. No lock held. */
bool pfai_range_quarantined(struct pfa *p, size_t offset, size_t nr_frames, int *result);

/* pfa_free_range(), under any name. */
int pfai_range_free(struct pfa *p, pfa_pfn first, size_t nr_frames, const char *function);

#endif
