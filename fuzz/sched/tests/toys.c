/* SPDX-License-Identifier: MIT
 *
 * toys.c - see toys.h.
 */
#include "toys.h"

#include <string.h>

static struct {
	_Atomic uint32_t x, y, z, lock[2], waiters, head, next[4];
	uint32_t plain, owner[4];
	uint32_t read[8];
	unsigned char text[16];
} w;

static void clear(void *ctx)
{
	(void)ctx;
	memset(&w, 0, sizeof(w));
}

static bool claim(_Atomic uint32_t *word, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acquire, memory_order_relaxed);
}

/* 0 free, 1 held, 2 held and somebody may wait. */
static void lock(unsigned i)
{
	if (claim(&w.lock[i], 0, 1))
		return;
	while (atomic_exchange_explicit(&w.lock[i], 2, memory_order_acquire) != 0)
		sched_wait((const void *)&w.lock[i], 2, UINT64_MAX);
}

static void unlock(unsigned i)
{
	if (atomic_exchange_explicit(&w.lock[i], 0, memory_order_release) == 2)
		sched_wake((const void *)&w.lock[i]);
}

/* ---- counters ---- */

static void count_plain(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	w.plain++;
}

static void count_split(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	STORE(w.x, LOAD(w.x, relaxed) + 1, relaxed);
}

static void count_whole(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	ADD(w.x, 1u, relaxed);
}

static void count_locked(void *ctx, unsigned self)
{
	(void)ctx;
	w.text[self] = 1; /* neighbours, each thread's own */
	lock(0);
	w.plain++;
	memset(w.text + 8, (int)self, 8);
	unlock(0);
	count_whole(ctx, self);
}

static void two(void *ctx)
{
	(void)ctx;
	if (LOAD(w.x, relaxed) != 2)
		sched_fail("an update is lost");
}

/* No atomic, no call: of use where plain accesses are points. */
static void count_plain_split(void *ctx, unsigned self)
{
	uint32_t seen = w.plain;

	(void)ctx;
	w.owner[self] = seen;
	w.plain = seen + 1;
}

static void two_only_plain(void *ctx)
{
	(void)ctx;
	if (w.plain != 2)
		sched_fail("a plain update is lost");
}

static void two_plain(void *ctx)
{
	if (w.plain != 2)
		sched_fail("a plain update is lost");
	two(ctx);
}

unsigned toy_steps;

static void steps(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	for (unsigned i = 0; i < toy_steps; i++)
		ADD(w.x, 1u, relaxed);
}
struct sched_program toy_steps_program = { .name = "steps", .nr_threads = 2, .setup = clear, .thread = steps };

/* ---- made once, by whoever comes first ---- */

static void once(bool acquire)
{
	uint32_t made = acquire ? LOAD(w.x, acquire) : LOAD(w.x, relaxed);

	if (!made) {
		lock(0);
		if (!LOAD(w.x, relaxed)) {
			w.plain = 7;
			STORE(w.y, 7u, relaxed);
			STORE(w.x, 1u, release);
		}
		unlock(0);
	}
}

static void once_bad(void *ctx, unsigned self)
{
	(void)ctx;
	once(false);
	w.read[self] = w.plain;
}

static void once_bad_atomic(void *ctx, unsigned self)
{
	(void)ctx;
	once(false);
	w.read[self] = LOAD(w.y, relaxed);
}

static void once_good(void *ctx, unsigned self)
{
	(void)ctx;
	once(true);
	w.read[self] = w.plain + LOAD(w.y, relaxed) - 7;
}

static void sevens(void *ctx)
{
	(void)ctx;
	if (w.read[0] != 7 || w.read[1] != 7)
		sched_fail("something was used before it was made");
}

/* ---- locks ---- */

static void lock_crossed(void *ctx, unsigned self)
{
	(void)ctx;
	lock(self);
	lock(!self);
	w.plain++;
	unlock(!self);
	unlock(self);
}

static void lock_ordered(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	lock(0);
	lock(1);
	w.plain++;
	unlock(1);
	unlock(0);
}

static const char *const lock_kinds[] = { "lock" };
static const struct sched_locks lock_rules = { .kinds = lock_kinds };

static void lock_setup(void *ctx)
{
	clear(ctx);
	for (unsigned i = 0; i < 2; i++)
		sched_is_lock((const void *)&w.lock[i], 0, i);
}

/* One after the other: so it never comes to a deadlock. */
static void lock_crossed_later(void *ctx, unsigned self)
{
	(void)ctx;
	if (self == 1)
		while (!LOAD(w.x, acquire))
			sched_wait((const void *)&w.x, 0, UINT64_MAX);
	lock_crossed(ctx, self);
	STORE(w.x, 1u, release);
	sched_wake((const void *)&w.x);
}

/* Who is waited for says so before it gives the lock up. */
static void lock_wakes_inside(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	lock(0);
	if (LOAD(w.lock[0], relaxed) == 2)
		sched_wake((const void *)&w.lock[0]);
	unlock(0);
}

static void lock_visits(void *ctx, unsigned self)
{
	(void)ctx;
	lock(0);
	if (LOAD(w.x, relaxed) == 1)
		sched_called("a visitor", 0);
	unlock(0);
	sched_called("a visitor", 0);
	if (self == 0) {
		STORE(w.x, 1u, relaxed);
		STORE(w.x, 2u, relaxed);
	}
}

/* Two words that are equal whenever the lock is free. Who wrote to them is looked at, and nobody else. */
static const char *pair_released(void *ctx, unsigned kind, unsigned nr, uint32_t *touched)
{
	const uint32_t seen = *touched;

	(void)ctx;
	(void)kind;
	if (nr != 0)
		return NULL;
	*touched = 0;
	return (seen & 1) && w.read[0] != w.read[1] ? "the pair is none" : NULL;
}
static const struct sched_locks pair_rules = { .kinds = lock_kinds, .released = pair_released };

static void pair_setup(void *ctx)
{
	static const uint32_t bits[4] = { 1, 2, 4, 8 };

	lock_setup(ctx);
	sched_watch(w.read, sizeof(w.read), bits);
}

static void pair_untouched(void *ctx)
{
	pair_setup(ctx);
	w.read[0] = 1;
}

static void pair_one_by_one(void *ctx, unsigned self)
{
	(void)ctx;
	lock(0);
	w.read[0]++;
	if (LOAD(w.x, relaxed) == 1) { /* somebody is in here */
		unlock(0);
		lock(0);
	}
	w.read[1]++;
	unlock(0);
	if (self == 0) {
		STORE(w.x, 1u, relaxed);
		STORE(w.x, 2u, relaxed);
	}
}

static void pair_at_once(void *ctx, unsigned self)
{
	(void)ctx;
	lock(self);
	unlock(self);
	lock(0);
	w.read[0]++;
	w.read[1]++;
	unlock(0);
}

static void pair_other(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	lock(0);
	w.read[2]++;
	unlock(0);
}

/* The releaser looks for waiters first. */
static void wake_early(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	if (!claim(&w.lock[0], 0, 1)) {
		ADD(w.waiters, 1u, relaxed);
		while (!claim(&w.lock[0], 0, 1))
			sched_wait((const void *)&w.lock[0], 1, UINT64_MAX);
		ADD(w.waiters, (uint32_t)-1, relaxed);
	}
	bool waiters = LOAD(w.waiters, relaxed) != 0;
	STORE(w.lock[0], 0, release);
	if (waiters)
		sched_wake((const void *)&w.lock[0]);
}

/* It looks for them afterwards, and may still miss one that is not seen yet: hence nobody waits for ever. */
static void wake_late(uint64_t until_ns)
{
	if (!claim(&w.lock[0], 0, 1)) {
		ADD(w.waiters, 1u, relaxed);
		while (!claim(&w.lock[0], 0, 1))
			sched_wait((const void *)&w.lock[0], 1, until_ns);
		ADD(w.waiters, (uint32_t)-1, relaxed);
	}
	STORE(w.lock[0], 0, release);
	if (LOAD(w.waiters, relaxed))
		sched_wake((const void *)&w.lock[0]);
}

static void wake_late_for_ever(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	wake_late(UINT64_MAX);
}

static void wake_late_timed(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	wake_late(1000);
}

static void spin(void *ctx, unsigned self)
{
	(void)ctx;
	if (self == 1)
		STORE(w.x, 1u, release);
	else
		while (!LOAD(w.x, acquire))
			;
}

/* ---- a stack of indices: 1 is on 2 is on 3. Who pops one owns it. ---- */

static void stack_setup(void *ctx)
{
	clear(ctx);
	STORE(w.head, 1u, relaxed);
	STORE(w.next[1], 2u, relaxed);
	STORE(w.next[2], 3u, relaxed);
}

/* With a tag, which no push repeats, in the upper half. */
static uint32_t stack_pop(void)
{
	uint32_t head = LOAD(w.head, acquire), next;

	do {
		if (!(head & 0xFFFF))
			return 0;
		next = LOAD(w.next[head & 0xFFFF], relaxed);
	} while (!atomic_compare_exchange_strong_explicit(&w.head, &head, (head & 0xFFFF0000) | next, memory_order_acq_rel,
	                                                  memory_order_acquire));
	if (w.owner[head & 0xFFFF]++)
		sched_fail("%u has two owners", head & 0xFFFF);
	return head & 0xFFFF;
}

static void stack_push(uint32_t i, uint32_t tag)
{
	uint32_t head = LOAD(w.head, relaxed);

	w.owner[i]--;
	do
		STORE(w.next[i], head & 0xFFFF, relaxed);
	while (!atomic_compare_exchange_strong_explicit(&w.head, &head, ((head + tag) & 0xFFFF0000) | i,
	                                                memory_order_acq_rel, memory_order_relaxed));
}

static void stack(unsigned self, uint32_t tag)
{
	uint32_t first = stack_pop();

	if (self == 0)
		return;
	stack_pop();
	stack_push(first, tag);
	stack_pop();
}

static void stack_bad(void *ctx, unsigned self)
{
	(void)ctx;
	stack(self, 0);
	if (self == 0)
		stack_pop();
}

static void stack_good(void *ctx, unsigned self)
{
	(void)ctx;
	stack(self, 1u << 16);
	if (self == 0)
		stack_pop();
}

/* Two add to something on a third one's stack. */
static void lend(void *ctx, unsigned self)
{
	static uint32_t *lent;
	uint32_t mine = 0, done;

	(void)ctx;
	if (self == 0) {
		lent = &mine;
		STORE(w.x, 1u, release);
		while ((done = LOAD(w.y, acquire)) < 2)
			sched_wait((const void *)&w.y, done, UINT64_MAX);
		return;
	}
	if (LOAD(w.x, acquire))
		(*lent)++;
	ADD(w.y, 1u, release);
	sched_wake((const void *)&w.y);
}

static void fence(void *ctx, unsigned self)
{
	(void)ctx;
	(void)self;
	atomic_thread_fence(memory_order_seq_cst);
}

#define RULES(rules) .program.locks = &rules
const struct toy toys[] = {
	{ PROGRAM("lost update, plain", 2, clear, count_plain, NULL), .finding = SCHED_RACE },
	{ PROGRAM("lost update, plain, no race", 2, clear, count_plain_split, two_only_plain), .finding = SCHED_FAILED,
	  .deviations = 1, .no_races = true, .all_points = true },
	{ PROGRAM("lost update, atomic", 2, clear, count_split, two), .finding = SCHED_FAILED, .deviations = 1 },
	{ PROGRAM("no lost update", 2, clear, count_whole, two) },
	{ PROGRAM("under a lock", 2, clear, count_locked, two_plain) },
	{ PROGRAM("double-checked without acquire", 2, clear, once_bad, NULL), .finding = SCHED_RACE, .deviations = 1 },
	{ PROGRAM("double-checked without acquire, no race", 2, clear, once_bad_atomic, sevens), .finding = SCHED_FAILED,
	  .deviations = 1, .weak_only = true, .no_races = true },
	{ PROGRAM("double-checked", 2, clear, once_good, sevens) },
	{ PROGRAM("locks in two orders", 2, clear, lock_crossed, NULL), .finding = SCHED_DEADLOCK, .deviations = 1 },
	{ PROGRAM("locks in one order", 3, lock_setup, lock_ordered, NULL), RULES(lock_rules) },
	{ PROGRAM("locks in two orders, one after the other", 2, lock_setup, lock_crossed_later, NULL), RULES(lock_rules),
	  .finding = SCHED_ORDER },
	{ PROGRAM("a wake-up under the lock", 2, lock_setup, lock_wakes_inside, NULL), RULES(lock_rules), .finding = SCHED_CALL_OUT,
	  .deviations = 1 },
	{ PROGRAM("a visitor under the lock", 2, lock_setup, lock_visits, NULL), RULES(lock_rules), .finding = SCHED_CALL_OUT,
	  .deviations = 1 },
	{ PROGRAM("wake-ups after the lock", 2, lock_setup, count_locked, two_plain), RULES(lock_rules) },
	{ PROGRAM("half a pair", 2, pair_setup, pair_one_by_one, NULL), RULES(pair_rules), .finding = SCHED_INVARIANT, .deviations = 1 },
	{ PROGRAM("a pair", 2, pair_setup, pair_at_once, NULL), RULES(pair_rules) },
	{ PROGRAM("no pair, and nobody's work", 2, pair_untouched, pair_other, NULL), RULES(pair_rules) },
	{ PROGRAM("waiters looked for too early", 2, clear, wake_early, NULL), .finding = SCHED_LOST_WAKE, .deviations = 2 },
	{ PROGRAM("waiters not seen yet", 2, clear, wake_late_for_ever, NULL), .finding = SCHED_LOST_WAKE,
	  .deviations = 2, .weak_only = true },
	{ PROGRAM("waiters not seen yet, timed", 3, clear, wake_late_timed, NULL) },
	{ PROGRAM("spinning", 2, clear, spin, NULL), .finding = SCHED_LIVELOCK, .deviations = 1 },
	{ PROGRAM("ABA", 2, stack_setup, stack_bad, NULL), .finding = SCHED_FAILED, .deviations = 2, .no_races = true },
	{ PROGRAM("tagged stack", 2, stack_setup, stack_good, NULL) },
	{ PROGRAM("another one's stack", 3, clear, lend, NULL), .finding = SCHED_RACE, .deviations = 1 },
	{ PROGRAM("a fence", 1, clear, fence, NULL), .finding = SCHED_LIMIT },
};
const unsigned nr_toys = sizeof(toys) / sizeof(toys[0]);
