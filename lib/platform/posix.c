/* SPDX-License-Identifier: MIT
 *
 * platform/posix: the ops, and the two questions about cpus.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "posix_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef PFA_POSIX_PLAIN
#include <linux/futex.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__has_builtin)
#if __GLIBC_PREREQ(2, 35) && __has_builtin(__builtin_thread_pointer)
#define POSIX_HAVE_RSEQ 1
#include <sys/rseq.h>
#endif
#endif
#endif

#define POSIX_CPUS_LIMIT 4096u
#define POSIX_NS_PER_S 1000000000u
/* Longest sleep of a wait without futexes: wakes are not seen, so the word is looked at this often. */
#define POSIX_PLAIN_WAIT_NS 50000u

int pfai_posix_error(int err)
{
	switch (err) {
	case 0:
		return PFA_OK;
	case ENOMEM:
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case EFBIG:
	case EOVERFLOW:
		return PFA_ENOMEM;
	case EINVAL:
	case EBADF:
		return PFA_EINVAL;
	case ENOSYS:
	case EOPNOTSUPP:
	case ENODEV:
	case EPERM:
	case EACCES:
		return PFA_ENOTSUP;
	case EDEADLK:
		return PFA_EDEADLK;
	default:
		return PFA_EDEVICE;
	}
}

uint32_t pfa_posix_nr_cpus(void)
{
	int saved = errno;
	long nr = sysconf(_SC_NPROCESSORS_CONF);

	errno = saved; /* changed where the C library cannot open its files */
	if (nr < 1)
		return 1;
	return nr > (long)POSIX_CPUS_LIMIT ? POSIX_CPUS_LIMIT : (uint32_t)nr;
}

ptrdiff_t pfa_posix_cpu_offset(void)
{
#ifdef POSIX_HAVE_RSEQ
	ptrdiff_t offset = __rseq_offset + (ptrdiff_t)offsetof(struct rseq, cpu_id);
	uint32_t id;

	if (__rseq_size == 0)
		return 0;
	/* The size tells of the process, the id of this thread: it is out of range unless registered. */
	id = *(const volatile uint32_t *)(const void *)((const char *)__builtin_thread_pointer() + offset);
	return id < POSIX_CPUS_LIMIT ? offset : 0;
#else
	return 0;
#endif
}

#ifdef PFA_POSIX_PLAIN
/* Asked once, since the answer costs a file: it does not change, and threads that ask at once write the same. */
static uint32_t posix_nr_cpus(void)
{
	static _Atomic uint32_t known;
	uint32_t nr = atomic_load_explicit(&known, memory_order_relaxed);

	if (nr == 0) {
		nr = pfa_posix_nr_cpus();
		atomic_store_explicit(&known, nr, memory_order_relaxed);
	}
	return nr;
}
#endif

static uint32_t posix_cpu(void *ctx)
{
#ifdef PFA_POSIX_PLAIN
	/* Any id is right, since caches have locks; threads of different ids are spread over them. */
	return (pfai_posix_self(ctx) - 1) % posix_nr_cpus();
#else
	(void)ctx;
	return (uint32_t)sched_getcpu(); /* -1, unknown, is an id out of range, as it should be */
#endif
}

uint64_t pfai_posix_now_ns(void *ctx)
{
	struct timespec now = { 0, 0 };

	(void)ctx;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for a valid clock and address */
	return (uint64_t)now.tv_sec * POSIX_NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool posix_still(const void *addr, uint32_t value)
{
	return atomic_load_explicit((const _Atomic uint32_t *)addr, memory_order_relaxed) == value;
}

#ifdef PFA_POSIX_PLAIN

void pfai_posix_doze(const void *addr, uint32_t value, uint64_t until_ns, uint32_t nap_ns)
{
	uint64_t now = pfai_posix_now_ns(NULL);
	struct timespec nap = { 0, (long)nap_ns };
	int saved = errno;

	if (now >= until_ns || !posix_still(addr, value))
		return;
	if (until_ns - now < nap_ns)
		nap.tv_nsec = (long)(until_ns - now);
	(void)nanosleep(&nap, NULL);
	errno = saved;
}

void pfai_posix_wake(void *ctx, const void *addr)
{
	(void)ctx;
	(void)addr;
}

#else

/* 32-bit systems with a 64-bit time_t have a call of their own for it. */
#if defined(SYS_futex_time64) && (!defined(SYS_futex) || (LONG_MAX == INT32_MAX && __TIMESIZE == 64))
#define POSIX_FUTEX SYS_futex_time64
#elif defined(SYS_futex_time64) && defined(_TIME_BITS) && _TIME_BITS == 64
#define POSIX_FUTEX SYS_futex_time64
#else
#define POSIX_FUTEX SYS_futex
#endif

void pfai_posix_doze(const void *addr, uint32_t value, uint64_t until_ns, uint32_t nap_ns)
{
	struct timespec until, *limit = NULL;
	uint64_t seconds = until_ns / POSIX_NS_PER_S;
	int saved = errno;

	(void)nap_ns;
	if (!posix_still(addr, value))
		return;
	/* Beyond what any time_t holds (68 years after boot) no limit is as good. */
	if (until_ns != UINT64_MAX && seconds < INT32_MAX) {
		until.tv_sec = (time_t)seconds;
		until.tv_nsec = (long)(until_ns % POSIX_NS_PER_S);
		limit = &until;
	}
	/* The bitset form takes an absolute time of CLOCK_MONOTONIC. Woken, timed out, interrupted, changed
	 * before: the caller looks again in each case, so that the result does not matter. */
	(void)syscall(POSIX_FUTEX, addr, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, limit, NULL,
	              FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

void pfai_posix_wake(void *ctx, const void *addr)
{
	int saved = errno;

	(void)ctx;
	(void)syscall(POSIX_FUTEX, addr, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

#endif

int pfai_posix_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	(void)ctx;
	pfai_posix_doze(addr, value, until_ns, POSIX_PLAIN_WAIT_NS);
	return PFA_OK;
}

static bool posix_random_file(uint64_t *out)
{
	unsigned char *to = (unsigned char *)out;
	size_t done = 0;
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	while (done < sizeof(*out)) {
		ssize_t nr = read(fd, to + done, sizeof(*out) - done);
		if (nr > 0)
			done += (size_t)nr;
		else if (nr == 0 || errno != EINTR)
			break;
	}
	(void)close(fd);
	return done == sizeof(*out);
}

static uint64_t posix_random(void *ctx)
{
	uint64_t bits = 0;
	int saved = errno;

#ifndef PFA_POSIX_PLAIN
	ssize_t nr;
	do
		nr = getrandom(&bits, sizeof(bits), 0);
	while (nr < 0 && errno == EINTR);
	if (nr == (ssize_t)sizeof(bits)) {
		errno = saved;
		return bits;
	}
#endif
	if (!posix_random_file(&bits)) {
		/* Last resort, where neither exists (a bare chroot): differs between runs, is no secret. */
		bits = pfai_posix_now_ns(ctx) ^ (uint64_t)time(NULL) << 32 ^ (uint64_t)getpid() << 48 ^
		       (uint64_t)(uintptr_t)&bits;
		bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
		bits ^= bits >> 31;
	}
	errno = saved;
	return bits;
}

static void posix_fatal(void *ctx, const struct pfa_fault *fault)
{
	(void)ctx;
	pfai_posix_line("libpfa: ", fault->message ? fault->message : "fault without a message");
	pfai_posix_history(fault->history, fault->nr_history);
}

void pfa_posix_platform(struct pfa_platform *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->cpu = posix_cpu;
	out->self = pfai_posix_self;
	out->wait = pfai_posix_wait;
	out->wake = pfai_posix_wake;
	out->now_ns = pfai_posix_now_ns;
	out->random = posix_random;
	out->guard = pfai_posix_guard_frame;
	out->fatal = posix_fatal;
	out->tag = pfai_posix_tag;
	out->log = pfai_posix_log;
	out->backtrace = pfai_posix_backtrace();
}
