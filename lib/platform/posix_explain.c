/* SPDX-License-Identifier: MIT
 *
 * platform/posix: what a human wants to know when something went wrong: tags, lines on standard error, backtraces, and
 * what an address of a watched instance's pool is.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <pfa/harden.h>
#include <pfa/pfa.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#if !defined(PFA_POSIX_PLAIN) && defined(__GLIBC__)
#include <execinfo.h>
#define POSIX_HAVE_BACKTRACE 1
#endif

#if defined(__SANITIZE_ADDRESS__)
#define POSIX_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSIX_ASAN 1
#endif
#endif
#ifdef POSIX_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* ---- lines --------------------------------------------------------------------------------------------------------- */

void pfai_posix_line(const char *before, const char *text)
{
	char line[512];
	size_t nr = 0, done = 0;
	int saved = errno;

	while (*before)
		line[nr++] = *before++;
	while (*text && nr < sizeof(line) - 1)
		line[nr++] = *text++;
	line[nr++] = '\n';
	while (done < nr) {
		ssize_t written = write(STDERR_FILENO, line + done, nr - done);
		if (written > 0)
			done += (size_t)written;
		else if (written == 0 || errno != EINTR)
			break; /* nowhere to tell it: the core goes on to trap or to report */
	}
	errno = saved;
}

void pfai_posix_history(const struct pfa_event *event, size_t nr)
{
	char text[160];

	for (size_t i = 0; i < nr; i++) {
		(void)pfa_event_text(&event[i], text, sizeof(text));
		pfai_posix_line("libpfa:   ", text);
	}
}

void pfai_posix_log(void *ctx, const char *text)
{
	(void)ctx;
	pfai_posix_line("libpfa: ", text);
}

/* ---- tags and backtraces ------------------------------------------------------------------------------------------- */

static _Thread_local uint32_t posix_tag;

uint32_t pfa_posix_set_tag(uint32_t tag)
{
	uint32_t before = posix_tag;

	posix_tag = tag;
	return before;
}

uint32_t pfai_posix_tag(void *ctx)
{
	(void)ctx;
	return posix_tag;
}

#ifdef POSIX_HAVE_BACKTRACE

/* Frames on top that tell nothing: this op. */
#define POSIX_TRACE_SKIP 1u

/* The unwinder of the C library may take a lock of its own (glibc with 32 bits: that of the list of loaded objects). A child
 * would wait for it in vain if another thread had it at the fork, to unwind, or to start: so children of processes that
 * have threads never unwind. */
static atomic_bool posix_no_unwind;

static size_t posix_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	void *at[POSIX_TRACE_SKIP + PFA_TRACE_DEPTH];
	int saved = errno, nr;
	size_t kept = 0;

	(void)ctx;
	if (atomic_load_explicit(&posix_no_unwind, memory_order_relaxed))
		return 0;
	nr = backtrace(at, (int)(sizeof(at) / sizeof(at[0])));
	for (size_t i = POSIX_TRACE_SKIP; nr > 0 && i < (size_t)nr && kept < max; i++)
		out[kept++] = (uintptr_t)at[i];
	errno = saved;
	return kept;
}

#endif

pfai_posix_backtrace_op *pfai_posix_backtrace(void)
{
#ifdef POSIX_HAVE_BACKTRACE
	return posix_backtrace;
#else
	return NULL;
#endif
}

void pfai_posix_unwind_forked(bool had_threads)
{
#ifdef POSIX_HAVE_BACKTRACE
	if (had_threads)
		atomic_store_explicit(&posix_no_unwind, true, memory_order_relaxed);
#else
	(void)had_threads;
#endif
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

/* Instances that are watched at the same time; a slot that is NULL is free. */
#define POSIX_WATCHED 64u

static struct pfa *_Atomic posix_watched[POSIX_WATCHED];

#ifdef POSIX_ASAN
static void posix_asan_report(const char *report)
{
	(void)report;
	(void)pfa_posix_explain(__asan_get_report_address());
}
#endif

int pfa_posix_watch(struct pfa *pfa)
{
#ifdef POSIX_ASAN
	__asan_set_error_report_callback(posix_asan_report);
#endif
	for (size_t i = 0; i < POSIX_WATCHED; i++) {
		struct pfa *none = NULL;
		if (atomic_compare_exchange_strong(&posix_watched[i], &none, pfa))
			return PFA_OK;
	}
	return PFA_ENOMEM;
}

void pfa_posix_unwatch(struct pfa *pfa)
{
	for (size_t i = 0; i < POSIX_WATCHED; i++) {
		struct pfa *mine = pfa;
		if (atomic_compare_exchange_strong(&posix_watched[i], &mine, NULL))
			return;
	}
}

int pfa_posix_explain(const void *ptr)
{
	struct pfa_event events[PFA_HISTORY_LIMIT];
	char text[160];
	size_t nr = 0;

	for (size_t i = 0; i < POSIX_WATCHED; i++) {
		struct pfa *pfa = atomic_load(&posix_watched[i]);
		pfa_pfn pfn;
		if (!pfa || pfa_pfn_of(pfa, ptr, &pfn) != PFA_OK)
			continue;
		(void)pfa_frame_text(pfa, pfn, text, sizeof(text));
		pfai_posix_line("libpfa: ", text);
		if (pfa_history(pfa, pfn, events, PFA_HISTORY_LIMIT, &nr) == PFA_OK)
			pfai_posix_history(events, nr);
		return PFA_OK;
	}
	return PFA_ERANGE;
}
