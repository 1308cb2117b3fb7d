/* SPDX-License-Identifier: MIT
 *
 * litmus.c - see toys.h: which values loads may read. `finish` fails if the outcome in question was seen.
 */
#include "toys.h"

#include <string.h>

static struct {
	_Atomic uint32_t x, y;
	_Atomic uint8_t bytes[8];
	uint32_t read[8];
} w;

static void clear(void *ctx)
{
	(void)ctx;
	memset(&w, 0, sizeof(w));
}

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

/* The flag is a byte, and somebody looks at the word that it is in before it is read by itself. */
static void mp_word(void *ctx, unsigned self)
{
	(void)ctx;
	if (self == 0) {
		STORE(w.x, 1u, relaxed);
		STORE(w.bytes[0], 1, release);
	} else {
		w.read[2] = LOAD(*(_Atomic uint32_t *)(void *)w.bytes, relaxed);
		w.read[0] = LOAD(w.bytes[0], acquire);
		w.read[1] = LOAD(w.x, relaxed);
	}
}

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
	{ PROGRAM("MP, a word of bytes", 2, clear, mp_word, mp_seen) },
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
