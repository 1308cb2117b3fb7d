/* SPDX-License-Identifier: MIT
 *
 * Layer 3: AddressSanitizer's shadow of the pool. Poisoned is what is not granted, so that a use after free is reported
 * where it happens, and not when the frame's next owner wonders. Nothing in other builds.
 */
#ifndef PFAI_SHADOW_H
#define PFAI_SHADOW_H

#include "instance.h"

#if defined(__SANITIZE_ADDRESS__)
#define PFAI_HAVE_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PFAI_HAVE_SHADOW 1
#endif
#endif

#ifdef PFAI_HAVE_SHADOW
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#else
#define PFAI_HAVE_SHADOW 0
#define __asan_poison_memory_region(addr, size) ((void)(addr), (void)(size))
#define __asan_unpoison_memory_region(addr, size) ((void)(addr), (void)(size))
#endif

/* The frames are nobody's; they are somebody's. The pool is addressable. */
static inline void pfai_shadow_set(const struct pfa *p, pfa_pfn pfn, size_t nr_frames, bool poisoned)
{
	const unsigned char *at = p->pool + ((pfn - p->pool_pfn) << p->frame_shift);
	if (poisoned)
		__asan_poison_memory_region(at, nr_frames << p->frame_shift);
	else
		__asan_unpoison_memory_region(at, nr_frames << p->frame_shift);
}

#endif
