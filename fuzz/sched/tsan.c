/* SPDX-License-Identifier: MIT
 *
 * tsan.c - what compilers call in code that they compile with -fsanitize=thread. Only what our code needs is here: another
 * entry point is undefined, and the link fails by its name.
 *
 * gcc and clang differ in what they call; function entry and exit are switched off (the build says how). memcpy, memmove and
 * memset of the code under test are renamed to sched_mem*, since gcc and older clangs leave them as they are.
 */
#include "internal.h"

#include <string.h>

#include "arena.h" /* ARENA_ASAN */

#if ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* Declared by no header: the compilers know them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* Reads the shadow itself, which has none. */
__attribute__((no_sanitize("address"))) static void tsan_shadow(uintptr_t addr, size_t bytes, const char *what)
{
#if ARENA_ASAN
	static size_t scale, offset;
	if (!scale)
		__asan_get_shadow_mapping(&scale, &offset);
	/* Most accesses end in a unit that is whole: one load tells. */
	const signed char *first = (const signed char *)((addr >> scale) + offset);
	if (bytes <= 8 && !*first && (addr & 7) + bytes <= 8)
		return;
	/* The interface wants a pointer that may be written to. */
	if (__asan_region_is_poisoned((void *)addr, bytes))
		sched_found(SCHED_POISONED, "%s of %zu bytes that are poisoned", what, bytes);
#else
	(void)addr;
	(void)bytes;
	(void)what;
#endif
}

static inline bool tsan_skipped(uintptr_t addr)
{
	return addr - sched_now.stack_low < sched_now.stack_bytes || addr - sched_now.constant_low < sched_now.constant_bytes;
}

static inline void tsan_checked(uintptr_t addr, size_t bytes, bool write, const void *pc)
{
	sched_now.pc = pc;
	tsan_shadow(addr, bytes, write ? "write" : "read");
	race_access(addr, bytes, write ? SCHED_WRITE : SCHED_READ);
	if (write && addr - sched_now.watch_low < sched_now.watch_bytes)
		lock_touched(addr, bytes);
}

static inline void tsan_plain(const void *at, size_t bytes, bool write, const void *pc)
{
	if (tsan_skipped((uintptr_t)at))
		return;
	if (sched_now.all_points) {
		sched_now.pc = pc;
		sched_point(SCHED_STEP_PLAIN);
	}
	tsan_checked((uintptr_t)at, bytes, write, pc);
}

/* Never a point: what drivers keep beside the memory changes with it. */
void sched_touch(const void *addr, size_t bytes, bool write)
{
	if (!tsan_skipped((uintptr_t)addr))
		tsan_checked((uintptr_t)addr, bytes, write, __builtin_return_address(0));
}

static inline uintptr_t tsan_atomic(const volatile void *at, size_t bytes, const void *pc)
{
	if (sched_now.on) {
		sched_now.pc = pc;
		tsan_shadow((uintptr_t)at, bytes, "atomic access");
	}
	return (uintptr_t)at;
}

#define PC __builtin_return_address(0)

void __tsan_init(void)
{
}

#define PLAIN(name, bytes, write)  \
	void __tsan_##name(void *at) \
	{                          \
		tsan_plain(at, bytes, write, PC); \
	}
PLAIN(read1, 1, false)
PLAIN(read2, 2, false)
PLAIN(read4, 4, false)
PLAIN(read8, 8, false)
PLAIN(read16, 16, false)
PLAIN(write1, 1, true)
PLAIN(write2, 2, true)
PLAIN(write4, 4, true)
PLAIN(write8, 8, true)
PLAIN(write16, 16, true)
PLAIN(unaligned_read2, 2, false)
PLAIN(unaligned_read4, 4, false)
PLAIN(unaligned_read8, 8, false)
PLAIN(unaligned_read16, 16, false)
PLAIN(unaligned_write2, 2, true)
PLAIN(unaligned_write4, 4, true)
PLAIN(unaligned_write8, 8, true)
PLAIN(unaligned_write16, 16, true)

void __tsan_read_range(void *at, size_t bytes)
{
	tsan_plain(at, bytes, false, PC);
}

void __tsan_write_range(void *at, size_t bytes)
{
	tsan_plain(at, bytes, true, PC);
}

static void *tsan_copy(void *to, const void *from, size_t bytes, const void *pc)
{
	if (bytes) {
		tsan_plain(from, bytes, false, pc);
		tsan_plain(to, bytes, true, pc);
	}
	return memmove(to, from, bytes);
}

static void *tsan_fill(void *to, int byte, size_t bytes, const void *pc)
{
	if (bytes)
		tsan_plain(to, bytes, true, pc);
	return memset(to, byte, bytes);
}

#define MEM(prefix)                                                   \
	void *prefix##memcpy(void *to, const void *from, size_t bytes)  \
	{                                                             \
		return tsan_copy(to, from, bytes, PC);                \
	}                                                             \
	void *prefix##memmove(void *to, const void *from, size_t bytes) \
	{                                                             \
		return tsan_copy(to, from, bytes, PC);                \
	}                                                             \
	void *prefix##memset(void *to, int byte, size_t bytes)          \
	{                                                             \
		return tsan_fill(to, byte, bytes, PC);                \
	}
MEM(sched_)
MEM(__tsan_)

static uint64_t tsan_exchange(uint64_t old, uint64_t operand)
{
	(void)old;
	return operand;
}

static uint64_t tsan_add(uint64_t old, uint64_t operand)
{
	return old + operand;
}

static uint64_t tsan_sub(uint64_t old, uint64_t operand)
{
	return old - operand;
}

static uint64_t tsan_and(uint64_t old, uint64_t operand)
{
	return old & operand;
}

static uint64_t tsan_or(uint64_t old, uint64_t operand)
{
	return old | operand;
}

#define CHANGE(bits, type, name, change)                                                             \
	type __tsan_atomic##bits##_##name(volatile type *at, type operand, int order)                     \
	{                                                                                            \
		return (type)place_change(tsan_atomic(at, bits / 8, PC), bits / 8, change, operand, order); \
	}

#define ATOMIC(bits, type)                                                                                              \
	type __tsan_atomic##bits##_load(const volatile type *at, int order)                                                \
	{                                                                                                             \
		return (type)place_load(tsan_atomic(at, bits / 8, PC), bits / 8, order);                                \
	}                                                                                                             \
	void __tsan_atomic##bits##_store(volatile type *at, type value, int order)                                         \
	{                                                                                                             \
		place_store(tsan_atomic(at, bits / 8, PC), bits / 8, value, order);                                     \
	}                                                                                                             \
	CHANGE(bits, type, exchange, tsan_exchange)                                                                        \
	CHANGE(bits, type, fetch_add, tsan_add)                                                                            \
	CHANGE(bits, type, fetch_sub, tsan_sub)                                                                            \
	CHANGE(bits, type, fetch_and, tsan_and)                                                                            \
	CHANGE(bits, type, fetch_or, tsan_or)                                                                              \
	static int tsan_exchange_if##bits(uintptr_t at, type *expected, type desired, int order, int fail_order)           \
	{                                                                                                             \
		uint64_t old;                                                                                         \
		bool done = place_exchange_if(at, bits / 8, *expected, desired, order, fail_order, &old);               \
		*expected = (type)old;                                                                                \
		return done;                                                                                          \
	}                                                                                                             \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected, type desired, int order,      \
	                                                  int fail_order)                                                \
	{                                                                                                             \
		return tsan_exchange_if##bits(tsan_atomic(at, bits / 8, PC), expected, desired, order, fail_order);     \
	}                                                                                                             \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected, type desired, int order,        \
	                                                int fail_order)                                                  \
	{                                                                                                             \
		return tsan_exchange_if##bits(tsan_atomic(at, bits / 8, PC), expected, desired, order, fail_order);     \
	}                                                                                                             \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected, type desired, int order,         \
	                                                int fail_order)                                                  \
	{                                                                                                             \
		tsan_exchange_if##bits(tsan_atomic(at, bits / 8, PC), &expected, desired, order, fail_order);           \
		return expected;                                                                                      \
	}
ATOMIC(8, uint8_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void sched_order(uint32_t *word)
{
	__tsan_atomic32_fetch_add(word, 1, __ATOMIC_ACQ_REL);
}

/* The library has none; a model of them would be untested. */
void __tsan_atomic_thread_fence(int order)
{
	sched_now.pc = PC;
	sched_found(SCHED_LIMIT, "a standalone fence (order %d), which is not modelled", order);
}
