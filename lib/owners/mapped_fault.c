/* SPDX-License-Identifier: MIT
 *
 * How writers wait for a move: the handler of SIGSEGV, and userfaultfd.
 */
#include "mapped_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the handler: one for the process ---- */

static _Atomic(struct pfa_mapped *) mapped_arenas[MAPPED_ARENAS];
static pthread_mutex_t mapped_mutex = PTHREAD_MUTEX_INITIALIZER; /* for who adds an arena */
static bool mapped_installed;
static struct sigaction mapped_before; /* what was there before us; constant once we are */

/* The fault that this thread had last, and the arena's epoch then. Where these lie is known at load time: finding out in the
 * handler could call malloc(). */
#define MAPPED_TLS static _Thread_local __attribute__((tls_model("initial-exec")))
MAPPED_TLS const void *mapped_last_fault;
MAPPED_TLS uintptr_t mapped_last_epoch;

/* A fault that is none of ours: to the one before us. */
static void mapped_pass_on(int number, siginfo_t *info, void *context)
{
	if (mapped_before.sa_flags & SA_SIGINFO) {
		mapped_before.sa_sigaction(number, info, context);
	} else if (mapped_before.sa_handler == SIG_DFL || mapped_before.sa_handler == SIG_IGN) {
		/* The instruction is executed again when we return, and ends the process as it would have. */
		struct sigaction plain = {.sa_handler = SIG_DFL};
		(void)sigemptyset(&plain.sa_mask);
		(void)sigaction(number, &plain, NULL);
	} else {
		mapped_before.sa_handler(number);
	}
}

/* Waits until the unit at addr can be written; false: that is not what the fault is about. */
static bool mapped_settle(struct pfa_mapped *a, const unsigned char *addr)
{
	const size_t unit = (size_t)(addr - a->base) / a->unit_bytes;
	bool ours = false;

	pfai_owner_lock(&a->os, &a->lock);
	const uintptr_t epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
	if (a->units[unit].state == MAPPED_LIVE) {
		/* Not protected: it was when we faulted, unless nothing was since the last time. */
		ours = a->units[unit].protected || addr != mapped_last_fault || epoch != mapped_last_epoch;
		if (a->units[unit].protected) {
			a->disturbed = true;
			pfai_mapped_lift_locked(a);
		}
	}
	if (ours)
		mapped_count(&a->nr_waits);
	mapped_last_fault = addr;
	mapped_last_epoch = epoch;
	pfai_owner_unlock(&a->os, &a->lock);
	return ours;
}

static void mapped_handler(int number, siginfo_t *info, void *context)
{
	const unsigned char *addr = info->si_addr;
	const int saved = errno;
	bool ours = false;

	for (unsigned i = 0; i < MAPPED_ARENAS && info->si_code == SEGV_ACCERR && !ours; i++) {
		struct pfa_mapped *a = atomic_load_explicit(&mapped_arenas[i], memory_order_acquire);
		if (a && addr >= a->base && (size_t)(addr - a->base) < a->nr_units * a->unit_bytes)
			ours = mapped_settle(a, addr);
	}
	errno = saved;
	if (!ours)
		mapped_pass_on(number, info, context);
}

static int mapped_install(void)
{
	struct sigaction action = {.sa_sigaction = mapped_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	(void)sigemptyset(&action.sa_mask);
	if (mapped_installed)
		return PFA_OK;
	if (sigaction(SIGSEGV, NULL, &mapped_before) != 0 || sigaction(SIGSEGV, &action, NULL) != 0)
		return PFA_EDEVICE;
	mapped_installed = true;
	return PFA_OK;
}

int pfai_mapped_watch(struct pfa_mapped *a)
{
	unsigned i = 0;
	(void)pthread_mutex_lock(&mapped_mutex);
	while (i < MAPPED_ARENAS && atomic_load_explicit(&mapped_arenas[i], memory_order_relaxed))
		i++;
	int code = i < MAPPED_ARENAS ? mapped_install() : PFA_ENOMEM;
	if (code == PFA_OK)
		atomic_store_explicit(&mapped_arenas[i], a, memory_order_release);
	(void)pthread_mutex_unlock(&mapped_mutex);
	return code;
}

void pfai_mapped_unwatch(const struct pfa_mapped *a)
{
	(void)pthread_mutex_lock(&mapped_mutex);
	for (unsigned i = 0; i < MAPPED_ARENAS; i++)
		if (atomic_load_explicit(&mapped_arenas[i], memory_order_relaxed) == a)
			atomic_store_explicit(&mapped_arenas[i], NULL, memory_order_relaxed);
	(void)pthread_mutex_unlock(&mapped_mutex);
}

/* ---- userfaultfd ---- */

#if defined(SYS_userfaultfd) && defined(UFFDIO_WRITEPROTECT) && defined(UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

static bool uffd_protect(int uffd, const void *start, size_t bytes, bool on)
{
	struct uffdio_writeprotect protect = {
		.range = {(uintptr_t)start, bytes}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	int failed, tries = 100; /* EAGAIN: the kernel is changing this process's mappings */
	while ((failed = ioctl(uffd, UFFDIO_WRITEPROTECT, &protect)) != 0 && errno == EAGAIN && --tries)
		(void)poll(NULL, 0, 0);
	return failed == 0;
}

static bool uffd_register(int uffd, const void *start, size_t bytes)
{
	struct uffdio_register range = {.range = {(uintptr_t)start, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
	return ioctl(uffd, UFFDIO_REGISTER, &range) == 0 && (range.ioctls & (uint64_t)1 << _UFFDIO_WRITEPROTECT);
}

int pfai_mapped_uffd_open(int fd, size_t page)
{
	struct uffdio_api api = {.api = UFFD_API,
	                         .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM};
	/* Not UFFD_USER_MODE_ONLY: system calls that write to the arena must wait, too. */
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		return -1;
	void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool works = probe != MAP_FAILED && ioctl(uffd, UFFDIO_API, &api) == 0 && uffd_register(uffd, probe, page) &&
	             uffd_protect(uffd, probe, page, true) && uffd_protect(uffd, probe, page, false);
	if (probe != MAP_FAILED)
		(void)munmap(probe, page);
	if (!works)
		(void)close(uffd);
	return works ? uffd : -1;
}

bool pfai_mapped_uffd_register(struct pfa_mapped *a, size_t unit, size_t nr)
{
	return uffd_register(a->uffd, mapped_address(a, unit), nr * a->unit_bytes);
}

bool pfai_mapped_uffd_protect(struct pfa_mapped *a, size_t unit, size_t nr, bool on)
{
	return uffd_protect(a->uffd, mapped_address(a, unit), nr * a->unit_bytes, on);
}

void pfai_mapped_uffd_wake(struct pfa_mapped *a, size_t unit, size_t nr)
{
	/* Works on addresses, so also for those who waited in a mapping that has been replaced. */
	struct uffdio_range range = {(uintptr_t)mapped_address(a, unit), nr * a->unit_bytes};
	(void)ioctl(a->uffd, UFFDIO_WAKE, &range);
}

bool pfai_mapped_uffd_pending(const struct pfa_mapped *a)
{
	struct pollfd pending = {.fd = a->uffd, .events = POLLIN};
	return poll(&pending, 1, 0) == 1;
}

#else

int pfai_mapped_uffd_open(int fd, size_t page)
{
	(void)fd;
	(void)page;
	return -1;
}

/* Never called without a descriptor. */
bool pfai_mapped_uffd_register(struct pfa_mapped *a, size_t unit, size_t nr)
{
	(void)a;
	(void)unit;
	(void)nr;
	return false;
}

bool pfai_mapped_uffd_protect(struct pfa_mapped *a, size_t unit, size_t nr, bool on)
{
	(void)on;
	return pfai_mapped_uffd_register(a, unit, nr);
}

void pfai_mapped_uffd_wake(struct pfa_mapped *a, size_t unit, size_t nr)
{
	(void)pfai_mapped_uffd_register(a, unit, nr);
}

bool pfai_mapped_uffd_pending(const struct pfa_mapped *a)
{
	return a->uffd >= 0;
}

#endif
