/* SPDX-License-Identifier: MIT */
#include <pfa/copy.h>

#include "compiler.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COPY_WATCHED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COPY_WATCHED 1
#endif

/* Every multiple of what is copied at once; frames have 64 bytes at least. */
#define COPY_LINE 64u

#if defined(__SSE2__) && defined(__GNUC__) && !defined(COPY_WATCHED)

typedef long long copy_vector __attribute__((vector_size(16), may_alias));

/* Lines are asked for this far ahead. It makes no difference within 256 MiB, and a few percent for the better where frames lie all over
 * 1 GiB; 1024 and more, several streams at once, or all of the source in advance, lost to none at all. */
#define COPY_AHEAD 512u

PFAI_ALWAYS_INLINE void copy_stream_store(copy_vector *dst, copy_vector value)
{
#ifdef __clang__
	__builtin_nontemporal_store(value, dst);
#else
	__builtin_ia32_movntdq(dst, value);
#endif
}

static void copy_stream(char *dst, const char *src, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += COPY_LINE) {
		const copy_vector *from = (const copy_vector *)(const void *)(src + at);
		copy_vector *to = (copy_vector *)(void *)(dst + at);
		__builtin_prefetch(src + (bytes - at > COPY_AHEAD ? at + COPY_AHEAD : at), 0, 0);
		copy_vector a = from[0], b = from[1], c = from[2], d = from[3];
		copy_stream_store(&to[0], a);
		copy_stream_store(&to[1], b);
		copy_stream_store(&to[2], c);
		copy_stream_store(&to[3], d);
	}
	/* A release store orders only ordinary stores before it. */
	__builtin_ia32_sfence();
}

void pfa_copy_frames(void *dst, const void *src, size_t bytes)
{
	if (bytes >= PFA_COPY_STREAM_BYTES)
		copy_stream(dst, src, bytes & ~(size_t)(COPY_LINE - 1));
	else
		memcpy(dst, src, bytes);
}

#else

void pfa_copy_frames(void *dst, const void *src, size_t bytes)
{
	memcpy(dst, src, bytes);
}

#endif
