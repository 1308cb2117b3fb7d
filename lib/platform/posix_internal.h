/* SPDX-License-Identifier: MIT
 *
 * What the files of platform/posix share.
 */
#ifndef PFAI_POSIX_INTERNAL_H
#define PFAI_POSIX_INTERNAL_H

#include <pfa/posix.h>

/* Plain POSIX.1-2008 only: chosen where the system is not Linux, and by tests of that path. */
#if !defined(__linux__) && !defined(PFA_POSIX_PLAIN)
#define PFA_POSIX_PLAIN 1
#endif

/* The result code for an errno; the table is in pfa/posix.h. */
int pfai_posix_error(int err);

/* The ops, for the worker. */
int pfai_posix_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns);
/* As the op wait; where there is no futex, wakes are noticed within nap_ns only. */
void pfai_posix_doze(const void *addr, uint32_t value, uint64_t until_ns, uint32_t nap_ns);
void pfai_posix_wake(void *ctx, const void *addr);
uint64_t pfai_posix_now_ns(void *ctx);

/* One line on standard error, by one write(); cut at 511 characters. Keeps errno, async-signal-safe. */
void pfai_posix_line(const char *before, const char *text);
/* Events, a line each. */
void pfai_posix_history(const struct pfa_event *event, size_t nr);

/* The ops of posix_explain.c; backtrace may be NULL. */
typedef size_t pfai_posix_backtrace_op(void *ctx, uintptr_t out[], size_t max);
uint32_t pfai_posix_tag(void *ctx);
void pfai_posix_log(void *ctx, const char *text);
pfai_posix_backtrace_op *pfai_posix_backtrace(void);

/* The op self; ids are in posix_self.c. */
uint32_t pfai_posix_self(void *ctx);

#endif
