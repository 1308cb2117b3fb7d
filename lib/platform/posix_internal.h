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
/* In the child of a fork. */
void pfai_posix_unwind_forked(bool had_threads);

/* The guard unit where the configuration names none; guards and seals a fresh instance (err and failed of arena->meta
 * say why not); unmaps metadata of which a part is sealed for good. */
size_t pfai_posix_guard_bytes(void);
int pfai_posix_guard(struct pfa_posix *arena, size_t guard, bool seal);
int pfai_posix_unmap_around(struct pfa_posix *arena);

/* The op guard. */
int pfai_posix_guard_frame(void *ctx, pfa_pfn pfn, void *ptr, size_t bytes, bool on);

/* An instance that is about to end is no longer prepared for a fork; the result is for let_go(), which brings it back
 * (pfa), or forgets it (NULL). -1: it was not prepared before. */
int pfai_posix_fork_hold(struct pfa *pfa);
void pfai_posix_fork_let_go(int held, struct pfa *pfa);

/* The op self; ids are in posix_self.c. */
uint32_t pfai_posix_self(void *ctx);
/* In the child of a fork: ids of threads that are not here are free again. */
void pfai_posix_self_forked(void);

#endif
