/* SPDX-License-Identifier: MIT
 *
 * platform/posix: the thread that calls pfa_service().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <pfa/pfa.h>

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define POSIX_WORKER_STOP 1u
#define POSIX_WORKER_KICK 2u
/* Without futexes, how soon a kick or a stop is seen. */
#define POSIX_WORKER_NAP_NS 10000000u

/* The worker that runs in this thread. Its field thread cannot tell: it may be written later. */
static _Thread_local const struct pfa_posix_worker *posix_worker_mine;

/* The public struct has plain u32s, since C++ includes it. */
static _Atomic uint32_t *posix_worker_atomic(uint32_t *field)
{
	return (_Atomic uint32_t *)field;
}

/* Until when to sleep after pfa_service() returned code and, for PFA_OK, next. */
static uint64_t posix_worker_until(int code, uint64_t next)
{
	uint64_t now = pfai_posix_now_ns(NULL), longest = now + PFA_POSIX_WORKER_SLEEP_NS;

	if (code != PFA_OK)
		return now + PFA_SERVICE_IDLE_NS;
	return next < longest ? next : longest;
}

static void *posix_worker_main(void *arg)
{
	struct pfa_posix_worker *worker = arg;
	_Atomic uint32_t *word = posix_worker_atomic(&worker->signal);

	posix_worker_mine = worker;
	for (;;) {
		/* Read before serving: a kick during the call makes the wait below return at once. */
		uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
		uint64_t next = UINT64_MAX;
		if (seen & POSIX_WORKER_STOP)
			return NULL;
		int code = pfa_service(worker->pfa, worker->budget_steps, &next);
		atomic_fetch_add_explicit(posix_worker_atomic(&worker->nr_calls), 1, memory_order_relaxed);
		if (code == PFA_EAGAIN)
			continue;
		uint64_t until = posix_worker_until(code, next);
		while (atomic_load_explicit(word, memory_order_relaxed) == seen &&
		       pfai_posix_now_ns(NULL) < until)
			pfai_posix_doze(word, seen, until, POSIX_WORKER_NAP_NS);
	}
}

/* What the worker blocks: all but the signals of faults in its own code, for crash handlers. */
static void posix_worker_mask(sigset_t *out)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };

	(void)sigfillset(out);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		(void)sigdelset(out, faults[i]);
}

int pfa_posix_worker_start(struct pfa_posix_worker *out, struct pfa *pfa, unsigned budget_steps)
{
	sigset_t mask, saved;
	int err;

	memset(out, 0, sizeof(*out));
	if (!pfa || budget_steps == 0)
		return PFA_EINVAL;
	out->pfa = pfa;
	out->budget_steps = budget_steps;
	posix_worker_mask(&mask);
	/* The new thread inherits the mask, so that no other handler of the program's runs in it. */
	err = pthread_sigmask(SIG_SETMASK, &mask, &saved);
	if (err == 0) {
		err = pthread_create(&out->thread, NULL, posix_worker_main, out);
		(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	}
	if (err != 0) {
		out->pfa = NULL;
		out->err = err;
	}
	return pfai_posix_error(err);
}

void pfa_posix_worker_kick(struct pfa_posix_worker *worker)
{
	_Atomic uint32_t *word = posix_worker_atomic(&worker->signal);

	atomic_fetch_add_explicit(word, POSIX_WORKER_KICK, memory_order_release);
	pfai_posix_wake(NULL, word);
}

int pfa_posix_worker_stop(struct pfa_posix_worker *worker)
{
	_Atomic uint32_t *word = posix_worker_atomic(&worker->signal);

	if (posix_worker_mine == worker)
		return PFA_EDEADLK;
	if (!worker->pfa)
		return PFA_EINVAL;
	atomic_fetch_or_explicit(word, POSIX_WORKER_STOP, memory_order_release);
	pfai_posix_wake(NULL, word);
	worker->err = pthread_join(worker->thread, NULL);
	if (worker->err == 0)
		worker->pfa = NULL;
	return pfai_posix_error(worker->err);
}
