/* SPDX-License-Identifier: MIT
 *
 * toys.c - see toys.h.
 */
#include "toys.h"

#include <stdatomic.h>
#include <string.h>

#define LOAD(p, order) atomic_load_explicit(&(p), memory_order_##order)
#define STORE(p, value, order) atomic_store_explicit(&(p), (value), memory_order_##order)
#define ADD(p, value, order) atomic_fetch_add_explicit(&(p), (value), memory_order_##order)

static struct {
	_Atomic uint32_t x, y, z, lock[2], waiters, head, next[4];
	_Atomic uint8_t bytes[8];
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

#define PROGRAM(text, nr, setup_, thread_, finish_) \
	.program = { .name = text, .nr_threads = nr, .setup = setup_, .thread = thread_, .finish = finish_ }

const struct toy toys[] = {
	{ PROGRAM("lost update, plain", 2, clear, count_plain, NULL), .finding = SCHED_RACE },
	{ PROGRAM("lost update, atomic", 2, clear, count_split, two), .finding = SCHED_FAILED, .deviations = 1 },
	{ PROGRAM("no lost update", 2, clear, count_whole, two) },
	{ PROGRAM("under a lock", 2, clear, count_locked, two_plain) },
	{ PROGRAM("double-checked without acquire", 2, clear, once_bad, NULL), .finding = SCHED_RACE, .deviations = 1 },
	{ PROGRAM("double-checked without acquire, no race", 2, clear, once_bad_atomic, sevens), .finding = SCHED_FAILED,
	  .deviations = 1, .weak_only = true, .no_races = true },
	{ PROGRAM("double-checked", 2, clear, once_good, sevens) },
	{ PROGRAM("locks in two orders", 2, clear, lock_crossed, NULL), .finding = SCHED_DEADLOCK, .deviations = 1 },
	{ PROGRAM("locks in one order", 3, clear, lock_ordered, NULL) },
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

/* ---- litmus tests: `finish` fails if the outcome in question was seen ---- */

#define SB(name, order)                                  \
	static void name(void *ctx, unsigned self)      \
	{                                              \
		(void)ctx;                             \
		if (self == 0) {                       \
			STORE(w.x, 1u, order##_store); \
			w.read[0] = LOAD(w.y, order##_load); \
		} else {                               \
			STORE(w.y, 1u, order##_store); \
			w.read[1] = LOAD(w.x, order##_load); \
		}                                      \
	}
#define memory_order_relaxed_store memory_order_relaxed
#define memory_order_relaxed_load memory_order_relaxed
#define memory_order_synced_store memory_order_release
#define memory_order_synced_load memory_order_acquire
#define memory_order_total_store memory_order_seq_cst
#define memory_order_total_load memory_order_seq_cst
SB(sb_relaxed, relaxed)
SB(sb_synced, synced)
SB(sb_total, total)

static void sb_seen(void *ctx)
{
	(void)ctx;
	if (!w.read[0] && !w.read[1])
		sched_fail("each has read the other's place before it was written");
}

#define MP(name, order)                                  \
	static void name(void *ctx, unsigned self)      \
	{                                              \
		(void)ctx;                             \
		if (self == 0) {                       \
			STORE(w.x, 1u, relaxed);       \
			STORE(w.y, 1u, order##_store); \
		} else {                               \
			w.read[0] = LOAD(w.y, order##_load); \
			w.read[1] = LOAD(w.x, relaxed); \
		}                                      \
	}
MP(mp_relaxed, relaxed)
MP(mp_synced, synced)

/* A release sequence: goes on over somebody's relaxed read-modify-write, and ends with a relaxed store. */
static void mp_sequence(bool change, unsigned self)
{
	if (self == 0) {
		STORE(w.x, 1u, relaxed);
		STORE(w.y, 1u, release);
		if (change)
			ADD(w.y, 1u, relaxed);
		else
			STORE(w.y, 2u, relaxed);
	} else {
		w.read[0] = LOAD(w.y, acquire) == 2;
		w.read[1] = LOAD(w.x, relaxed);
	}
}

static void mp_changed(void *ctx, unsigned self)
{
	(void)ctx;
	mp_sequence(true, self);
}

static void mp_broken(void *ctx, unsigned self)
{
	(void)ctx;
	mp_sequence(false, self);
}

static void mp_seen(void *ctx)
{
	(void)ctx;
	if (w.read[0] && !w.read[1])
		sched_fail("the message came before what it tells of");
}

#define IRIW(name, order)                                        \
	static void name(void *ctx, unsigned self)              \
	{                                                      \
		(void)ctx;                                     \
		switch (self) {                                \
		case 0:                                        \
			STORE(w.x, 1u, order##_store);         \
			break;                                 \
		case 1:                                        \
			STORE(w.y, 1u, order##_store);         \
			break;                                 \
		case 2:                                        \
			w.read[0] = LOAD(w.x, order##_load);   \
			w.read[1] = LOAD(w.y, order##_load);   \
			break;                                 \
		default:                                       \
			w.read[2] = LOAD(w.y, order##_load);   \
			w.read[3] = LOAD(w.x, order##_load);   \
			break;                                 \
		}                                              \
	}
IRIW(iriw_relaxed, relaxed)
IRIW(iriw_synced, synced)
IRIW(iriw_total, total)

static void iriw_seen(void *ctx)
{
	(void)ctx;
	if (w.read[0] && !w.read[1] && w.read[2] && !w.read[3])
		sched_fail("two readers disagree on which write came first");
}

/* Coherence: what was read, by oneself or by somebody whose message came, is not unread. */
static void corr(void *ctx, unsigned self)
{
	(void)ctx;
	if (self == 0) {
		STORE(w.x, 1u, relaxed);
		STORE(w.x, 2u, relaxed);
	} else if (self == 1) {
		w.read[0] = LOAD(w.x, relaxed);
		w.read[1] = LOAD(w.x, relaxed);
		STORE(w.y, 1u, release);
	} else {
		w.read[2] = LOAD(w.y, acquire);
		w.read[3] = LOAD(w.x, relaxed);
	}
}

static void corr_seen(void *ctx)
{
	(void)ctx;
	if (w.read[1] < w.read[0] || (w.read[2] && w.read[3] < w.read[1]))
		sched_fail("a place went back in time");
}

/* Not modelled: a load that reads what is stored later. */
static void lb(void *ctx, unsigned self)
{
	(void)ctx;
	w.read[self] = self ? LOAD(w.x, relaxed) : LOAD(w.y, relaxed);
	if (self)
		STORE(w.y, 1u, relaxed);
	else
		STORE(w.x, 1u, relaxed);
}

static void lb_seen(void *ctx)
{
	(void)ctx;
	if (w.read[0] && w.read[1])
		sched_fail("both have read what was not yet stored");
}

/* Neighbouring bytes are places of their own. */
static void bytes(void *ctx, unsigned self)
{
	(void)ctx;
	for (unsigned i = 0; i < 3; i++)
		STORE(w.bytes[self], (uint8_t)(i + 1), relaxed);
	w.read[self] = LOAD(w.bytes[self], relaxed);
}

static void bytes_seen(void *ctx)
{
	(void)ctx;
	if (w.read[0] != 3 || w.read[1] != 3)
		sched_fail("a thread does not read its own last store");
}

const struct toy litmus[] = {
	{ PROGRAM("SB", 2, clear, sb_relaxed, sb_seen), .finding = SCHED_FAILED, .deviations = 1, .weak_only = true },
	{ PROGRAM("SB, release and acquire", 2, clear, sb_synced, sb_seen), .finding = SCHED_FAILED,
	  .deviations = 1, .weak_only = true },
	{ PROGRAM("SB, seq_cst", 2, clear, sb_total, sb_seen) },
	{ PROGRAM("MP", 2, clear, mp_relaxed, mp_seen), .finding = SCHED_FAILED, .deviations = 1, .weak_only = true },
	{ PROGRAM("MP, release and acquire", 2, clear, mp_synced, mp_seen) },
	{ PROGRAM("MP, release sequence", 2, clear, mp_changed, mp_seen) },
	{ PROGRAM("MP, broken release sequence", 2, clear, mp_broken, mp_seen), .finding = SCHED_FAILED,
	  .deviations = 1, .weak_only = true },
	{ PROGRAM("IRIW", 4, clear, iriw_relaxed, iriw_seen), .finding = SCHED_FAILED, .deviations = 3, .weak_only = true },
	{ PROGRAM("IRIW, release and acquire", 4, clear, iriw_synced, iriw_seen), .finding = SCHED_FAILED,
	  .deviations = 3, .weak_only = true },
	{ PROGRAM("IRIW, seq_cst", 4, clear, iriw_total, iriw_seen) },
	{ PROGRAM("CoRR", 3, clear, corr, corr_seen) },
	{ PROGRAM("LB", 2, clear, lb, lb_seen) },
	{ PROGRAM("bytes", 2, clear, bytes, bytes_seen) },
};
const unsigned nr_litmus = sizeof(litmus) / sizeof(litmus[0]);
