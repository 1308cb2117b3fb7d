/* SPDX-License-Identifier: MIT
 *
 * posix_rig.h - what the tests of platform/posix have in common. Each of them is built twice: as it is, and with
 * PFA_POSIX_PLAIN.
 */
#ifndef PFA_TESTS_POSIX_RIG_H
#define PFA_TESTS_POSIX_RIG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <pfa/debug.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>
#include <pfa/stats.h>

#ifdef PFA_POSIX_PLAIN
#define TEST_PLAIN 1
#else
#define TEST_PLAIN 0
#endif

#define MS 1000000u
#define MIB ((size_t)1 << 20)

static inline size_t system_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Pages of address space in use. */
static inline size_t mapped_pages(void)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t nr = read(fd, text, sizeof(text) - 1);

	(void)close(fd);
	assert_true(nr > 0);
	text[nr] = '\0';
	return strtoul(text, NULL, 10);
}

/* The number that the next file gets: equal before and after means that nothing stays open. */
static inline int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	(void)close(fd);
	return fd;
}

/* Can the byte at addr be read? Asked of the kernel, so that it does not kill us. */
static inline bool is_readable(const void *addr)
{
	int fds[2];
	ssize_t nr;

	assert_int_equal(pipe(fds), 0);
	nr = syscall(SYS_write, fds[1], addr, (size_t)1);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return nr == 1;
}

static inline bool is_mapped(void *addr)
{
	return msync(addr, system_page(), MS_ASYNC) == 0 || errno != ENOMEM;
}

static inline void limit_set(unsigned which, rlim_t value, struct rlimit *saved)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(which, saved), 0);
	limit = *saved;
	limit.rlim_cur = value;
	assert_int_equal(setrlimit(which, &limit), 0);
}

static inline void limit_restore(unsigned which, const struct rlimit *saved)
{
	assert_int_equal(setrlimit(which, saved), 0);
}

static inline void nap(void)
{
	(void)usleep(1000);
}

#endif
