/* SPDX-License-Identifier: MIT
 *
 * pfa/single.h - platform/single: one thread, one cpu, no operating system. Freestanding; no externals at
 * all.
 *
 * For firmware, boot code and single-threaded programs. Nothing may call libpfa while a call on the same
 * instance is running: no second thread or core, and no interrupt handler.
 */
#ifndef PFA_SINGLE_H
#define PFA_SINGLE_H

#include <pfa/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Fills *out: cpu is 0, self is 1, wait returns PFA_EDEADLK (nobody else could ever wake the caller),
 * wake does nothing; zero, random, fatal, tag, log and backtrace are NULL, that is, their defaults. The
 * embedder may set those afterwards.
 * @param now_ns  the op now_ns: a monotonic clock in ns; NULL: always 0, so that nothing that needs time
 *                ever happens
 * @param ctx     handed to now_ns and to every op that is set afterwards
 * @context any.
 */
PFA_API void pfa_single_platform(struct pfa_platform *out, uint64_t (*now_ns)(void *ctx), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
