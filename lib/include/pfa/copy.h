/* SPDX-License-Identifier: MIT
 *
 * pfa/copy.h - copying frames from one place to another, for owners that move their blocks.
 */
#ifndef PFA_COPY_H
#define PFA_COPY_H

#include <pfa/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Copies the content of a block. What was moved is rarely read next, so that from PFA_COPY_STREAM_BYTES on, where the
 * processor can (x86 with SSE2), the destination is written past the caches: no cache line is fetched only to be
 * overwritten, and none of somebody else's is evicted. Elsewhere, and below that size, this is memcpy(). Builds with a
 * sanitizer that watches memory always use memcpy(), so that it sees the accesses.
 * @param dst, src  aligned to 64 bytes, not overlapping
 * @param bytes     a multiple of 64 (any number of frames is), 0 too
 * @context any; no lock, no call but memcpy(). Uses vector registers where the compiler was allowed to. Streamed writes are
 *          ordered before everything that the caller writes afterwards, as ordinary ones are.
 * @cost O(bytes): for random frames of 4 KiB less than memcpy()'s time (ci/bench, row copy_frame: 0.87 of glibc's).
 */
PFA_API void pfa_copy_frames(void *dst, const void *src, size_t bytes);
#define PFA_COPY_STREAM_BYTES 4096u

#ifdef __cplusplus
}
#endif
#endif
