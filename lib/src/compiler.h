/* SPDX-License-Identifier: MIT
 *
 * Layer 0: what differs between compilers and word sizes.
 */
#ifndef PFAI_COMPILER_H
#define PFAI_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFAI_LIKELY(x) __builtin_expect(!!(x), 1)
#define PFAI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PFAI_NOINLINE __attribute__((noinline))
/* The value is worked out here once and kept: the compiler knows no more how, so that it cannot keep its parts instead. */
#define pfai_in_register(value) __asm__("" : "+r"(value))
#define pfai_prefetch(at) __builtin_prefetch(at)
#define pfai_prefetch_once(at) __builtin_prefetch(at, 0, 0) /* read once, and not worth the place of what is in the caches */
#define PFAI_COLD __attribute__((noinline, cold))
#define PFAI_ALWAYS_INLINE static inline __attribute__((always_inline))

/* The core's only externals; declared here since string.h need not exist. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);

/* The machine word in which the bitmaps are kept. */
typedef uintptr_t pfai_word;
#if UINTPTR_MAX > 0xFFFFFFFFu
#define PFAI_WORD_SHIFT 6u
#else
#define PFAI_WORD_SHIFT 5u
#endif
#define PFAI_WORD_BITS (1u << PFAI_WORD_SHIFT)
#define PFAI_WORD_MASK ((size_t)PFAI_WORD_BITS - 1)
#define PFAI_ONES (~(pfai_word)0)

/* Hardening levels (lib/docs/hardening.md): the highest that is built in, and what an instance gets that does not say.
 * Level 0, for benchmarks only, cannot be asked for: it is what remains where nothing else is built in. */
#ifndef PFA_HARDENING
#define PFA_HARDENING 3
#endif
#ifndef PFA_HARDENING_DEFAULT
#define PFA_HARDENING_DEFAULT (PFA_HARDENING < 1 ? PFA_HARDENING : 1)
#endif
_Static_assert(PFA_HARDENING >= 0 && PFA_HARDENING <= 3 && PFA_HARDENING_DEFAULT <= PFA_HARDENING,
               "PFA_HARDENING is 0..3, and no less than PFA_HARDENING_DEFAULT");

/* Debug asserts: always type-checked, evaluated in PFA_DEBUG builds only. */
#ifdef PFA_DEBUG
#define PFAI_DEBUG_ON 1
#else
#define PFAI_DEBUG_ON 0
#endif
#define PFAI_ASSERT(x)                                  \
	do {                                            \
		if (PFAI_DEBUG_ON && PFAI_UNLIKELY(!(x))) \
			__builtin_trap();               \
	} while (0)

#endif
