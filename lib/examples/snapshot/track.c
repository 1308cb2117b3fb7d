/* SPDX-License-Identifier: MIT
 *
 * Which chunks were written to. A chunk that is watched is write protected, by userfaultfd or by mprotect(); the first write to it
 * faults, and whoever handles the fault lets it be written to and *then* makes it dirty. In this order: track_take() clears the
 * mark and *then* protects. So a write is either before the protection, and in the copy that is made after it; or it faults; or the
 * mark of its fault comes after the clearing. Nothing is missed, and at worst a chunk is copied twice.
 *
 * The threads must be at rest when the last chunks are taken; then all faults are handled.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The smaller, the less is copied again for a word that was written, and the more faults there are. */
#define TRACK_CHUNK_UFFD ((size_t)16 << 10)
#define TRACK_CHUNK_MPROTECT ((size_t)64 << 10)
/* With mprotect() each chunk may become a mapping of the kernel's, of which a process may have 65530 usually. */
#define TRACK_CHUNKS_MPROTECT 16384u

static void track_mark(struct track *t, size_t chunk)
{
	atomic_store_explicit(&t->dirty[chunk], 1, memory_order_release);
}

/* ---- mprotect() ---- */

static struct track *_Atomic track_now;
static struct sigaction track_before;

/* Async-signal-safe: runs in the thread that wrote. */
static void track_fault(int number, siginfo_t *info, void *context)
{
	struct track *t = atomic_load_explicit(&track_now, memory_order_acquire);
	unsigned char *at = info->si_addr;
	const int err = errno;

	if (t && at >= t->base && (size_t)(at - t->base) < t->nr_chunks * t->chunk) {
		const size_t chunk = (size_t)(at - t->base) / t->chunk;
		if (mprotect(t->base + chunk * t->chunk, t->chunk, PROT_READ | PROT_WRITE) == 0) {
			track_mark(t, chunk);
		} else if (mprotect(t->base, t->nr_chunks * t->chunk, PROT_READ | PROT_WRITE) == 0) {
			/* The kernel has no room for one mapping more: then for a single one. All of it may be written to. */
			for (size_t i = 0; i < t->nr_chunks; i++)
				track_mark(t, i);
		} else {
			abort();
		}
		errno = err;
		return;
	}
	/* Not ours: whatever was there before, when the instruction is executed again. */
	(void)context;
	(void)sigaction(number, &track_before, NULL);
	errno = err;
}

static const char *track_start_mprotect(struct track *t)
{
	struct sigaction action = {.sa_sigaction = track_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	(void)sigemptyset(&action.sa_mask);
	atomic_store_explicit(&track_now, t, memory_order_release);
	return sigaction(SIGSEGV, &action, &track_before) == 0 ? NULL : "sigaction";
}

/* ---- userfaultfd ---- */

#if defined(SYS_userfaultfd) && defined(UFFDIO_WRITEPROTECT) && defined(UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

#define TRACK_WATCH ((uint64_t)UFFDIO_WRITEPROTECT_MODE_WP)
#define TRACK_OPEN ((uint64_t)0)
#define TRACK_OPEN_ASLEEP ((uint64_t)UFFDIO_WRITEPROTECT_MODE_DONTWAKE)

static bool track_uffd_set(int uffd, void *at, size_t bytes, uint64_t mode)
{
	struct uffdio_writeprotect protect = {.range = {(uintptr_t)at, bytes}, .mode = mode};
	int failed, tries = 1000; /* EAGAIN: the kernel is changing this process's mappings */
	while ((failed = ioctl(uffd, UFFDIO_WRITEPROTECT, &protect)) != 0 && errno == EAGAIN && --tries)
		(void)poll(NULL, 0, 0);
	return failed == 0;
}

static bool track_uffd_register(int uffd, void *at, size_t bytes)
{
	struct uffdio_register range = {.range = {(uintptr_t)at, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
	return ioctl(uffd, UFFDIO_REGISTER, &range) == 0 && (range.ioctls & (uint64_t)1 << _UFFDIO_WRITEPROTECT);
}

static int track_uffd_open(int fd)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM};
	/* Not UFFD_USER_MODE_ONLY: what system calls write counts, too. */
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		return -1;
	void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool works = probe != MAP_FAILED && ioctl(uffd, UFFDIO_API, &api) == 0 && track_uffd_register(uffd, probe, page) &&
	             track_uffd_set(uffd, probe, page, TRACK_WATCH) && track_uffd_set(uffd, probe, page, TRACK_OPEN);
	if (probe != MAP_FAILED)
		(void)munmap(probe, page);
	if (!works)
		(void)close(uffd);
	return works ? uffd : -1;
}

static void *track_uffd_thread(void *arg)
{
	struct track *t = arg;
	struct pollfd ready[2] = {{.fd = t->uffd, .events = POLLIN}, {.fd = t->wake[0], .events = POLLIN}};
	struct uffd_msg message;

	while (!(ready[1].revents & (POLLIN | POLLHUP))) {
		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			abort();
		while (read(t->uffd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
			if (message.event != UFFD_EVENT_PAGEFAULT)
				continue;
			const size_t chunk = ((uintptr_t)message.arg.pagefault.address - (uintptr_t)t->base) / t->chunk;
			struct uffdio_range range = {(uintptr_t)t->base + chunk * t->chunk, t->chunk};
			if (!track_uffd_set(t->uffd, t->base + chunk * t->chunk, t->chunk, TRACK_OPEN_ASLEEP))
				abort(); /* the thread that writes would wait for ever */
			track_mark(t, chunk);
			(void)ioctl(t->uffd, UFFDIO_WAKE, &range);
		}
	}
	return NULL;
}

static const char *track_start_uffd(struct track *t)
{
	sigset_t all, saved;
	if (!track_uffd_register(t->uffd, t->base, t->nr_chunks * t->chunk))
		return "UFFDIO_REGISTER";
	if (pipe2(t->wake, O_CLOEXEC) != 0)
		return "pipe2";
	/* Ctrl-C is for the other threads. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &saved);
	errno = pthread_create(&t->thread, NULL, track_uffd_thread, t);
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return errno ? "pthread_create" : NULL;
}

static void track_stop_uffd(struct track *t)
{
	(void)track_uffd_set(t->uffd, t->base, t->nr_chunks * t->chunk, TRACK_OPEN);
	(void)close(t->wake[1]);
	(void)pthread_join(t->thread, NULL);
	(void)close(t->wake[0]);
	(void)close(t->uffd); /* undoes the registration */
}

#else

static int track_uffd_open(int fd)
{
	(void)fd;
	return -1;
}

#define TRACK_WATCH ((uint64_t)1)

static bool track_uffd_set(int uffd, void *at, size_t bytes, uint64_t mode)
{
	(void)at, (void)bytes, (void)mode;
	return uffd < 0;
}

static const char *track_start_uffd(struct track *t)
{
	return t->uffd < 0 ? "userfaultfd" : NULL;
}

static void track_stop_uffd(struct track *t)
{
	t->uffd = -1;
}

#endif

/* ---- both ---- */

const char *track_start(struct track *t, enum track_way way, void *base, size_t bytes, int fd)
{
	memset(t, 0, sizeof(*t));
	t->uffd = way == TRACK_MPROTECT ? -1 : track_uffd_open(fd);
	if (way == TRACK_UFFD && t->uffd < 0)
		return "userfaultfd";
	t->way = t->uffd >= 0 ? TRACK_UFFD : TRACK_MPROTECT;
	t->base = base;
	t->chunk = t->way == TRACK_UFFD ? TRACK_CHUNK_UFFD : TRACK_CHUNK_MPROTECT;
	while (t->chunk < (size_t)sysconf(_SC_PAGESIZE) ||
	       (t->way == TRACK_MPROTECT && bytes / t->chunk > TRACK_CHUNKS_MPROTECT))
		t->chunk *= 2;
	if (bytes % t->chunk) { /* more than 16 GiB with mprotect(), and no round number */
		errno = EINVAL;
		return "the arena is not whole chunks";
	}
	t->nr_chunks = bytes / t->chunk;
	t->dirty = malloc(t->nr_chunks);
	if (!t->dirty)
		return "malloc";
	for (size_t i = 0; i < t->nr_chunks; i++)
		atomic_init(&t->dirty[i], 1);
	return t->way == TRACK_UFFD ? track_start_uffd(t) : track_start_mprotect(t);
}

bool track_take(struct track *t, size_t chunk)
{
	unsigned char *at = t->base + chunk * t->chunk;
	if (!atomic_exchange_explicit(&t->dirty[chunk], 0, memory_order_acquire))
		return false;
	/* What cannot be watched stays dirty. */
	if (t->way == TRACK_UFFD ? !track_uffd_set(t->uffd, at, t->chunk, TRACK_WATCH) : mprotect(at, t->chunk, PROT_READ) != 0)
		track_mark(t, chunk);
	return true;
}

bool track_is_dirty(const struct track *t, size_t chunk)
{
	return atomic_load_explicit(&t->dirty[chunk], memory_order_acquire) != 0;
}

size_t track_nr_dirty(const struct track *t)
{
	size_t nr = 0;
	for (size_t i = 0; i < t->nr_chunks; i++)
		nr += track_is_dirty(t, i);
	return nr;
}

void track_stop(struct track *t)
{
	if (t->way == TRACK_UFFD) {
		track_stop_uffd(t);
	} else {
		if (mprotect(t->base, t->nr_chunks * t->chunk, PROT_READ | PROT_WRITE) != 0 ||
		    sigaction(SIGSEGV, &track_before, NULL) != 0)
			abort(); /* as it is, nothing that uses this memory can go on */
		atomic_store_explicit(&track_now, NULL, memory_order_release);
	}
	free((void *)t->dirty);
	t->dirty = NULL;
}
