/* SPDX-License-Identifier: MIT
 *
 * arena.h - the memory that instances under test live in: one place for metadata, one for the pool.
 *
 * Both come from mmap (a static array would defeat manual poisoning), are made once and wiped before each use, so that
 * nothing leaks from one program to the next. Metadata ends at a guard page; under ASan the bytes before it are poisoned.
 */
#ifndef FUZZ_ARENA_H
#define FUZZ_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifndef ARENA_ASAN
#define ARENA_ASAN 0
#endif

#define ARENA_METADATA_MAX ((size_t)64 << 20)
#define ARENA_CONTENT_MAX ((size_t)64 << 20)

/* bytes (rounded up to 64) of metadata memory, all zero or all 0xA5; NULL if it is more than ARENA_METADATA_MAX. */
void *arena_metadata(size_t bytes, bool zeroed);

/* A pool of frames with content. NULL if it is more than ARENA_CONTENT_MAX. */
void *arena_pool_content(size_t bytes);
/* Makes its first bytes accessible, and all zero, or all 0xC5 if they are few. */
void arena_pool_wipe(size_t bytes, bool zeroed);

/* A pool that faults on any access, aligned to 2^align_shift. NULL if too large. */
void *arena_pool_none(size_t bytes, unsigned align_shift);

/* Makes accesses to it an error, or legal again, under ASan; else nothing. Ranges in units of 8 bytes. */
void arena_poison(const void *at, size_t bytes);
void arena_unpoison(const void *at, size_t bytes);

#endif
