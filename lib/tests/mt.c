/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mt.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local struct rng cpu_rng;
static _Thread_local uint32_t cpu_id; /* where cpu_offset points to */

static uint32_t wild_cpu(void *ctx)
{
	(void)ctx;
	uint64_t r = rng_next(&cpu_rng);
	switch (r & 15) {
	case 0: return UINT32_MAX;
	case 1: return (uint32_t)(r >> 32);
	default: return (uint32_t)(r >> 8) % 5; /* with 4 cpus: sometimes one too many, mostly somebody else's */
	}
}

void mt_move(struct mt *mt)
{
	if (!mt->rig.cfg.cpu_offset)
		return;
	if (mt->wild_cpus)
		cpu_id = wild_cpu(NULL);
	else if (rng_one_in(&cpu_rng, 64))
		cpu_id = (uint32_t)rng_below(&cpu_rng, mt->rig.cfg.nr_cpus);
}

static void count_fault(void *ctx, const struct pfa_fault *fault)
{
	struct mt *mt = ctx;
	if (fault->code == PFA_ECORRUPT) /* no test here damages anything */
		fprintf(stderr, "%s\n", fault->message);
	atomic_fetch_add(&mt->nr_faults, 1);
}

void mt_init(struct mt *mt, bool wild_cpus, enum rig_cpu_way way)
{
	memset(mt, 0, sizeof(*mt));
	rig_init(&mt->rig);
	pfa_posix_platform(&mt->rig.os);
	mt->rig.os.ctx = mt;
	mt->rig.os.fatal = count_fault;
	if (wild_cpus)
		mt->rig.os.cpu = wild_cpu;
	if (way == RIG_CPU_NONE)
		mt->rig.os.cpu = NULL;
	if (way == RIG_CPU_OFFSET)
		mt->rig.cfg.cpu_offset = rig_cpu_offset(&cpu_id);
	mt->rig.cfg.nr_cpus = 4;
	if (rig_level == 3)
		mt->rig.cfg.quarantine = 16;
	mt->wild_cpus = wild_cpus;
	if (!rig_prot_none)
		mt->rig.pool_kind = RIG_POOL_CONTENT;
	MUST_EQ(pthread_mutex_init(&mt->handed_over.lock, NULL), 0);
}

void mt_start(struct mt *mt)
{
	for (unsigned i = 0; i < mt->rig.cfg.nr_zones; i++)
		MUST(mt->rig.zones[i].start + mt->rig.zones[i].nr_frames <= MT_MAX_FRAMES);
	rig_start(&mt->rig);
}

void mt_stop(struct mt *mt)
{
	struct mt_pool *pool = &mt->handed_over;
	while (pool->nr) {
		struct mt_block b = pool->blocks[--pool->nr];
		mt_disown(mt, b.pfn, (size_t)1 << b.order);
		MUST_EQ(pfa_free(mt->rig.pfa, b.pfn, b.order), PFA_OK);
	}
	for (unsigned i = 0; i < mt->rig.cfg.nr_zones; i++)
		MUST_EQ(rig_stats(&mt->rig, i).allocated, 0);
	rig_stop(&mt->rig);
	MUST_EQ(pthread_mutex_destroy(&pool->lock), 0);
}

static void *mt_thread_main(void *arg)
{
	struct mt_thread *t = arg;
	cpu_rng.state = rng_next(&t->rng);
	cpu_id = t->index % t->mt->rig.cfg.nr_cpus;
	pthread_barrier_wait(&t->mt->start);
	t->body(t);
	return NULL;
}

void mt_run(struct mt *mt, struct mt_thread threads[], unsigned nr, uint64_t seed)
{
	MUST_EQ(pthread_barrier_init(&mt->start, NULL, nr), 0);
	for (unsigned i = 0; i < nr; i++) {
		threads[i].mt = mt;
		threads[i].index = i;
		threads[i].rng.state = seed * 1000003 + i;
		MUST_EQ(pthread_create(&threads[i].thread, NULL, mt_thread_main, &threads[i]), 0);
	}
	for (unsigned i = 0; i < nr; i++)
		MUST_EQ(pthread_join(threads[i].thread, NULL), 0);
	MUST_EQ(pthread_barrier_destroy(&mt->start), 0);
}

/* Address of a frame, or NULL. */
static uint64_t *stamp_of(struct mt *mt, pfa_pfn pfn)
{
	if (mt->rig.pool_kind != RIG_POOL_CONTENT)
		return NULL;
	return (uint64_t *)(void *)((char *)mt->rig.pool + ((pfn - mt->rig.cfg.pool_pfn) << mt->rig.cfg.frame_shift));
}

void mt_own(struct mt *mt, pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (atomic_exchange_explicit(&mt->owned[pfn + i], 1, memory_order_relaxed) != 0)
			rig_fail(__FILE__, __LINE__, "frame %zu was granted twice", pfn + i);
		uint64_t *stamp = stamp_of(mt, pfn + i);
		if (stamp)
			*stamp = ~(uint64_t)(pfn + i);
	}
}

void mt_disown(struct mt *mt, pfa_pfn pfn, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t *stamp = stamp_of(mt, pfn + i);
		if (stamp && *stamp != ~(uint64_t)(pfn + i))
			rig_fail(__FILE__, __LINE__, "frame %zu was written to while it was ours", pfn + i);
		MUST_EQ(atomic_exchange_explicit(&mt->owned[pfn + i], 0, memory_order_relaxed), 1);
	}
}

bool mt_take(struct mt_thread *t, unsigned order, uint32_t flags)
{
	pfa_pfn pfn;
	if (t->nr_mine == sizeof(t->mine) / sizeof(t->mine[0]))
		return false;
	mt_move(t->mt);
	int err = pfa_alloc(t->mt->rig.pfa, order, flags, &pfn);
	if (err != PFA_OK) {
		MUST(err == PFA_ENOMEM || (err == PFA_EAGAIN && (flags & (PFA_NOWAIT | PFA_NORETRY))));
		t->nr_refused++;
		return false;
	}
	MUST_EQ(pfn & (((size_t)1 << order) - 1), 0);
	mt_own(t->mt, pfn, (size_t)1 << order);
	t->mine[t->nr_mine++] = (struct mt_block){pfn, order};
	t->nr_granted++;
	return true;
}

void mt_give(struct mt_thread *t, size_t i)
{
	struct mt_block b = t->mine[i];
	t->mine[i] = t->mine[--t->nr_mine];
	mt_move(t->mt);
	mt_disown(t->mt, b.pfn, (size_t)1 << b.order);
	MUST_EQ(pfa_free(t->mt->rig.pfa, b.pfn, b.order), PFA_OK);
}

void mt_hand_over(struct mt_thread *t)
{
	struct mt_pool *pool = &t->mt->handed_over;
	pthread_mutex_lock(&pool->lock);
	if (t->nr_mine && pool->nr < sizeof(pool->blocks) / sizeof(pool->blocks[0]))
		pool->blocks[pool->nr++] = t->mine[--t->nr_mine];
	pthread_mutex_unlock(&pool->lock);
}

void mt_free_foreign(struct mt_thread *t)
{
	struct mt_pool *pool = &t->mt->handed_over;
	struct mt_block b = {0, 99};
	pthread_mutex_lock(&pool->lock);
	if (pool->nr) {
		size_t i = rng_below(&t->rng, pool->nr);
		b = pool->blocks[i];
		pool->blocks[i] = pool->blocks[--pool->nr];
	}
	pthread_mutex_unlock(&pool->lock);
	if (b.order == 99)
		return;
	mt_move(t->mt);
	mt_disown(t->mt, b.pfn, (size_t)1 << b.order);
	MUST_EQ(pfa_free(t->mt->rig.pfa, b.pfn, b.order), PFA_OK);
}

struct mt_options mt_options(int argc, char **argv, unsigned rounds)
{
	struct mt_options o = {1, rounds};
	for (int i = 1; i < argc; i++) {
		char *end = NULL;
		unsigned long long value = i + 1 < argc ? strtoull(argv[i + 1], &end, 0) : 0;
		if (strncmp(argv[i], "--cpu=", 6) != 0 && rig_option(argv[i]))
			continue;
		bool help = strcmp(argv[i], "--help") == 0;
		bool seed = strcmp(argv[i], "--seed") == 0;
		if (help || (!seed && strcmp(argv[i], "--rounds") != 0) || !end || *end || end == argv[i + 1]) {
			fprintf(help ? stdout : stderr, "usage: %s [--seed N] [--rounds N] [--prot-none] [--level=1|2|3]\n", argv[0]);
			exit(help ? 0 : 2);
		}
		if (seed)
			o.seed = value;
		else
			o.rounds = (unsigned)value;
		i++;
	}
	return o;
}
