/* SPDX-License-Identifier: MIT
 *
 * platform/posix: instances that survive fork(). The handlers of pthread_atfork() are the process's, and can never be taken
 * away, so there is one set of them and a table of instances.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <pfa/harden.h>

#include <pthread.h>

#if !defined(PFA_POSIX_PLAIN) && defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define POSIX_SINGLE_THREADED 1
#endif
#endif

struct posix_fork {
	struct pfa *pfa;  /* NULL: none, or held back while it is being ended */
	bool taken;
	bool shared;
	bool prepared;    /* its locks are held by the thread that forks */
};

static struct posix_fork posix_forks[PFA_POSIX_FORK_LIMIT];
/* Held from prepare to parent or child. A thread that waits for it holds no lock of an instance. */
static pthread_mutex_t posix_fork_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool posix_fork_installed;
static bool posix_fork_has_threads; /* when the fork under way began; the C library may answer otherwise in the child */

/* Or had some: the C library does not always notice that they are gone. */
static bool posix_has_threads(void)
{
#ifdef POSIX_SINGLE_THREADED
	return !__libc_single_threaded;
#else
	return true;
#endif
}

static void posix_fork_prepare(void)
{
	(void)pthread_mutex_lock(&posix_fork_mutex);
	posix_fork_has_threads = posix_has_threads();
	for (unsigned i = 0; i < PFA_POSIX_FORK_LIMIT; i++) {
		struct posix_fork *f = &posix_forks[i];
		/* One that is closed in this process already, or cannot wait, is left as it is. */
		f->prepared = f->pfa && pfa_fork_prepare(f->pfa) == PFA_OK;
	}
}

static void posix_fork_parent(void)
{
	for (unsigned i = PFA_POSIX_FORK_LIMIT; i--;)
		if (posix_forks[i].prepared)
			pfa_fork_parent(posix_forks[i].pfa);
	(void)pthread_mutex_unlock(&posix_fork_mutex);
}

static void posix_fork_child(void)
{
	for (unsigned i = PFA_POSIX_FORK_LIMIT; i--;)
		if (posix_forks[i].prepared)
			pfa_fork_child(posix_forks[i].pfa, posix_forks[i].shared);
	pfai_posix_self_forked();
	pfai_posix_unwind_forked(posix_fork_has_threads);
	(void)pthread_mutex_unlock(&posix_fork_mutex);
}

static struct posix_fork *posix_fork_find(const struct pfa *pfa)
{
	for (unsigned i = 0; i < PFA_POSIX_FORK_LIMIT; i++)
		if (posix_forks[i].taken && posix_forks[i].pfa == pfa)
			return &posix_forks[i];
	return NULL;
}

static int posix_fork_add_locked(struct pfa *pfa, bool shared)
{
	if (posix_fork_find(pfa))
		return PFA_EINVAL;
	if (!posix_fork_installed) {
		int err = pthread_atfork(posix_fork_prepare, posix_fork_parent, posix_fork_child);
		if (err != 0)
			return pfai_posix_error(err);
		posix_fork_installed = true;
	}
	for (unsigned i = 0; i < PFA_POSIX_FORK_LIMIT; i++) {
		if (posix_forks[i].taken)
			continue;
		posix_forks[i] = (struct posix_fork){ pfa, true, shared, false };
		return PFA_OK;
	}
	return PFA_ENOMEM;
}

int pfa_posix_fork_safe(struct pfa *pfa, bool shared)
{
	if (!pfa)
		return PFA_EINVAL;
	(void)pthread_mutex_lock(&posix_fork_mutex);
	int code = posix_fork_add_locked(pfa, shared);
	(void)pthread_mutex_unlock(&posix_fork_mutex);
	return code;
}

int pfa_posix_fork_forget(struct pfa *pfa)
{
	struct posix_fork *f = NULL;

	(void)pthread_mutex_lock(&posix_fork_mutex);
	if (pfa)
		f = posix_fork_find(pfa);
	if (f)
		*f = (struct posix_fork){ NULL, false, false, false };
	(void)pthread_mutex_unlock(&posix_fork_mutex);
	return f ? PFA_OK : PFA_EINVAL;
}

int pfai_posix_fork_hold(struct pfa *pfa)
{
	struct posix_fork *f;

	(void)pthread_mutex_lock(&posix_fork_mutex);
	f = posix_fork_find(pfa);
	if (f)
		f->pfa = NULL;
	(void)pthread_mutex_unlock(&posix_fork_mutex);
	return f ? (int)(f - posix_forks) : -1;
}

void pfai_posix_fork_let_go(int held, struct pfa *pfa)
{
	if (held < 0)
		return;
	(void)pthread_mutex_lock(&posix_fork_mutex);
	posix_forks[held].pfa = pfa;
	posix_forks[held].taken = pfa != NULL;
	(void)pthread_mutex_unlock(&posix_fork_mutex);
}
