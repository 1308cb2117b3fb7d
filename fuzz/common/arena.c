/* SPDX-License-Identifier: MIT
 *
 * arena.c - see arena.h.
 */
#define _DEFAULT_SOURCE
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define ARENA_GUARD 4096u
#define ARENA_WIPE_MAX ((size_t)1 << 20) /* above, pages are given back instead of written */
#if SIZE_MAX > 0xFFFFFFFFu
#define ARENA_NONE_BYTES ((size_t)64 << 30)
#else
#define ARENA_NONE_BYTES ((size_t)256 << 20)
#endif

static unsigned char *arena_metadata_base, *arena_content_base, *arena_none_base;

void arena_poison(const void *at, size_t bytes)
{
#if ARENA_ASAN
	__asan_poison_memory_region(at, bytes);
#else
	(void)at;
	(void)bytes;
#endif
}

void arena_unpoison(const void *at, size_t bytes)
{
#if ARENA_ASAN
	__asan_unpoison_memory_region(at, bytes);
#else
	(void)at;
	(void)bytes;
#endif
}

static unsigned char *arena_map(size_t bytes, int protection)
{
	void *at = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		perror("harness: mmap");
		exit(2);
	}
	return at;
}

static void arena_wipe(unsigned char *at, size_t bytes, int byte)
{
	arena_unpoison(at, bytes);
	if (bytes <= ARENA_WIPE_MAX) {
		memset(at, byte, bytes);
		return;
	}
	const uintptr_t inner = ((uintptr_t)at + 4095) & ~(uintptr_t)4095;
	const size_t head = inner - (uintptr_t)at, tail = (bytes - head) % 4096;
	memset(at, byte, head);
	if (madvise((void *)inner, bytes - head - tail, MADV_DONTNEED) != 0) {
		perror("harness: madvise");
		exit(2);
	}
	memset(at + bytes - tail, byte, tail);
}

void *arena_metadata(size_t bytes, bool zeroed)
{
	if (bytes > ARENA_METADATA_MAX)
		return NULL;
	bytes = (bytes + 63) & ~(size_t)63;
	if (!arena_metadata_base) {
		arena_metadata_base = arena_map(ARENA_GUARD + ARENA_METADATA_MAX + ARENA_GUARD, PROT_READ | PROT_WRITE);
		if (mprotect(arena_metadata_base + ARENA_GUARD + ARENA_METADATA_MAX, ARENA_GUARD, PROT_NONE) != 0) {
			perror("harness: mprotect");
			exit(2);
		}
	}
	unsigned char *at = arena_metadata_base + ARENA_GUARD + ARENA_METADATA_MAX - bytes;
	arena_wipe(at, bytes, zeroed ? 0 : 0xA5);
	arena_poison(at - ARENA_GUARD, ARENA_GUARD);
	return at;
}

void *arena_pool_content(size_t bytes)
{
	if (bytes > ARENA_CONTENT_MAX)
		return NULL;
	if (!arena_content_base) {
		/* aligned to its size, so that any frame size that fits is aligned */
		const uintptr_t raw = (uintptr_t)arena_map(2 * ARENA_CONTENT_MAX, PROT_READ | PROT_WRITE);
		arena_content_base = (unsigned char *)((raw + ARENA_CONTENT_MAX - 1) & ~(uintptr_t)(ARENA_CONTENT_MAX - 1));
	}
	return arena_content_base;
}

void arena_pool_wipe(size_t bytes, bool zeroed)
{
	arena_wipe(arena_content_base, bytes, zeroed ? 0 : 0xC5);
}

void *arena_pool_none(size_t bytes, unsigned align_shift)
{
	const uintptr_t align = (uintptr_t)1 << align_shift;

	if (!arena_none_base)
		arena_none_base = arena_map(ARENA_NONE_BYTES, PROT_NONE);
	const uintptr_t at = ((uintptr_t)arena_none_base + align - 1) & ~(align - 1);
	const size_t skipped = at - (uintptr_t)arena_none_base;
	if (skipped > ARENA_NONE_BYTES || bytes > ARENA_NONE_BYTES - skipped)
		return NULL;
	return (void *)at;
}
