/* SPDX-License-Identifier: MIT
 *
 * pfa/harden.h - bad frames.
 */
#ifndef PFA_HARDEN_H
#define PFA_HARDEN_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- bad frames -------------------------------------------------------------------------------------------------- */

/**
 * Takes one frame out of use for good (a memory error). A free frame, or one in a cache, is bad at once. A frame that is
 * in use is recorded, and becomes bad when its block comes back; the rest of the block is free then as ever. A bad frame
 * is counted (statistics field `bad`) and never offered again; freeing it is misuse (PFA_FAULT_BAD).
 * @param pfn  the frame
 * @return PFA_OK: it is bad, now or before; PFA_EAGAIN: in use and recorded, now or before (where a cache could not be
 *         locked: perhaps in it, and then it may be granted once more before it becomes bad); PFA_ERANGE: in no zone, or a
 *         hole; PFA_ECORRUPT.
 * @context as pfa_cache_purge(). @cost O(orders); for a frame that is not free also O(blocks cached). Until the last
 *          recorded frame of a pageblock is bad, frees of blocks there go past the caches.
 */
PFA_NODISCARD PFA_API int pfa_mark_bad(struct pfa *pfa, pfa_pfn pfn);

#ifdef __cplusplus
}
#endif
#endif
