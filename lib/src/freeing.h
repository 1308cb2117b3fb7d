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

/* The rest of it, once the block is claimed and its zone lockable. */
int pfai_free_claimed(struct pfa *p, struct pfai_zone *z, size_t offset, unsigned order, const char *function);

/* A lock can only fail to be taken where nothing else runs (platform/single, called from an interrupt that came while it
 * was held). So one that is free before a free begins can be had later, too: what has been done to the content then never
 * has to be undone. False: the lock is busy and cannot be waited for. */
bool pfai_zone_lockable(struct pfa *p, struct pfai_zone *z);

#endif
