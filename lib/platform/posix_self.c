/* SPDX-License-Identifier: MIT
 *
 * Thread ids: small, unique among live threads, recycled. A bitmap of the ids in use, changed by
 * compare-exchange only, so that no lock can be left behind by fork() or by a thread that is stopped in the
 * middle.
 */
#include "posix_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* 2^22 ids: Linux never has more threads than that (PID_MAX_LIMIT). Words never used take no room. */
#define POSIX_ID_WORDS (1u << 17)

/* The round of thread-exit destructors that gives the id back: late, since other destructors may still call the
 * library, but not the last of the four that POSIX promises, in which sanitizers end their own part of the thread. */
#define POSIX_ID_ROUNDS 3u
#define POSIX_ID_MASK 0x0fffffffu /* the key's value is rounds << 28 | id */

static _Atomic uint32_t posix_id_words[POSIX_ID_WORDS];
static _Atomic uint32_t posix_id_hint; /* no word below it had a free id, when it was written */
static _Atomic uint32_t posix_id_top; /* words from here on were never used */
static _Thread_local uint32_t posix_id;
static pthread_once_t posix_id_once = PTHREAD_ONCE_INIT;
static pthread_key_t posix_id_key;
static bool posix_id_has_key; /* else ids are not recycled, but still unique */

static void posix_id_release(uint32_t id)
{
	uint32_t word = (id - 1) / 32;

	/* Release, paired with the acquire in posix_id_take(): what this owner did is before the next. */
	atomic_fetch_and_explicit(&posix_id_words[word], ~(UINT32_C(1) << (id - 1) % 32),
	                          memory_order_release);
	if (word < atomic_load_explicit(&posix_id_hint, memory_order_relaxed))
		atomic_store_explicit(&posix_id_hint, word, memory_order_relaxed);
}

static uint32_t posix_id_take(void)
{
	uint32_t start = atomic_load_explicit(&posix_id_hint, memory_order_relaxed);

	for (uint32_t i = 0; i < POSIX_ID_WORDS; i++) {
		uint32_t word = (start + i) % POSIX_ID_WORDS;
		uint32_t old = atomic_load_explicit(&posix_id_words[word], memory_order_relaxed);
		while (~old) {
			uint32_t bit = (uint32_t)__builtin_ctz(~old);
			if (!atomic_compare_exchange_weak_explicit(&posix_id_words[word], &old,
			                                           old | UINT32_C(1) << bit,
			                                           memory_order_acquire,
			                                           memory_order_relaxed))
				continue;
			for (uint32_t top = atomic_load_explicit(&posix_id_top, memory_order_relaxed); top <= word;)
				if (atomic_compare_exchange_weak_explicit(&posix_id_top, &top, word + 1,
				                                          memory_order_relaxed, memory_order_relaxed))
					break;
			if (word != start)
				atomic_store_explicit(&posix_id_hint, word, memory_order_relaxed);
			return word * 32 + bit + 1;
		}
	}
	/* Four million live threads: no id that would be unique is left, and none can be made up. */
	abort();
}

static void posix_id_exit(void *value)
{
	uint32_t bits = (uint32_t)(uintptr_t)value;
	uint32_t rounds = (bits >> 28) + 1;

	if (rounds < POSIX_ID_ROUNDS && pthread_setspecific(posix_id_key, (void *)(uintptr_t)
	                                                    (rounds << 28 | (bits & POSIX_ID_MASK))) == 0)
		return;
	/* A later destructor that calls once more takes another id, which may stay taken: still unique. */
	posix_id = 0;
	posix_id_release(bits & POSIX_ID_MASK);
}

static void posix_id_make_key(void)
{
	posix_id_has_key = pthread_key_create(&posix_id_key, posix_id_exit) == 0;
}

uint32_t pfai_posix_self(void *ctx)
{
	(void)ctx;
	if (posix_id != 0)
		return posix_id;
	(void)pthread_once(&posix_id_once, posix_id_make_key);
	posix_id = posix_id_take();
	/* Where the value cannot be stored (no memory), the id stays taken for good: unique, not recycled. */
	if (posix_id_has_key)
		(void)pthread_setspecific(posix_id_key, (void *)(uintptr_t)posix_id);
	return posix_id;
}

void pfai_posix_self_forked(void)
{
	uint32_t top = atomic_load_explicit(&posix_id_top, memory_order_relaxed);

	/* The only thread there is. One that died between its bit and the word's mark leaves its id taken: still unique. */
	for (uint32_t word = 0; word < top; word++) {
		bool mine = posix_id != 0 && (posix_id - 1) / 32 == word;
		atomic_store_explicit(&posix_id_words[word], mine ? UINT32_C(1) << (posix_id - 1) % 32 : 0,
		                      memory_order_relaxed);
	}
	atomic_store_explicit(&posix_id_hint, 0, memory_order_relaxed);
}
