/* SPDX-License-Identifier: MIT
 *
 * Threads that come and go, each leaving blocks to others and frames in caches, while a worker serves idle caches on a
 * clock that runs fast, and one thread keeps checking.
 */
#include "mt.h"

enum { AT_ONCE = 4 };

static atomic_uint_fast64_t fast_clock;

/* A second passes at every look: caches count as idle at once. */
static uint64_t fast_now(void *ctx)
{
	(void)ctx;
	return atomic_fetch_add(&fast_clock, PFA_SERVICE_IDLE_NS) + 1;
}

static void short_life(struct mt_thread *t)
{
	const unsigned length = 50 + (unsigned)rng_below(&t->rng, 200);
	for (unsigned i = 0; i < length; i++) {
		if (rng_one_in(&t->rng, 3) && t->nr_mine)
			mt_give(t, rng_below(&t->rng, t->nr_mine));
		else
			(void)mt_take(t, (unsigned)rng_below(&t->rng, 5), (uint32_t)rng_below(&t->rng, 3));
		if (rng_one_in(&t->rng, 20))
			mt_free_foreign(t);
	}
	while (t->nr_mine) { /* some to the next generation, the rest back */
		if (rng_one_in(&t->rng, 2)) {
			size_t before = t->nr_mine;
			mt_hand_over(t);
			if (t->nr_mine < before)
				continue;
		}
		mt_give(t, t->nr_mine - 1);
	}
}

static void serve(struct mt_thread *t)
{
	struct rig *rig = &t->mt->rig;
	struct pfa_violation v;
	for (unsigned i = 0; i < 20; i++) {
		int err = pfa_service(rig->pfa, 2, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN || err == PFA_EBUSY);
		MUST_EQ(pfa_check(rig->pfa, PFA_CHECK_FRAMES, &v), PFA_OK);
		struct pfa_zone_stats s = rig_stats(rig, 0);
		MUST_EQ(rig_sum(&s), s.present);
	}
}

static void run(const struct mt_options *o, enum rig_cpu_way way)
{
	static struct mt mt;
	static struct mt_thread threads[AT_ONCE];
	const unsigned generations = o->rounds / RIG_CPU_WAYS;
	size_t granted = 0;
	mt_init(&mt, false, way);
	mt.rig.os.now_ns = fast_now;
	mt.rig.cfg.cache_high = 16;
	rig_zone(&mt.rig, 5, 6000)->mark_min = 50;
	mt.rig.zones[0].mark_low = mt.rig.zones[0].mark_high = 100;
	mt_start(&mt);
	for (unsigned generation = 0; generation < generations; generation++) {
		for (unsigned i = 0; i < AT_ONCE; i++)
			threads[i] = (struct mt_thread){.body = i ? short_life : serve};
		mt_run(&mt, threads, AT_ONCE, o->seed + generation);
		for (unsigned i = 0; i < AT_ONCE; i++)
			granted += threads[i].nr_granted;
		rig_check(&mt.rig); /* nobody lives now */
	}
	/* Threads that went away leave nothing behind for long. */
	for (unsigned i = 0; i < 100 && rig_stats(&mt.rig, 0).cached; i++) {
		int err = pfa_service(mt.rig.pfa, 4, NULL);
		MUST(err == PFA_OK || err == PFA_EAGAIN);
	}
	MUST_EQ(rig_stats(&mt.rig, 0).cached, 0);
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	mt_stop(&mt);
	printf("churn, cpu by %s: %u generations of %d threads, %zu blocks granted\n", rig_cpu_way_names[way], generations,
	       AT_ONCE, granted);
}

int main(int argc, char **argv)
{
	const struct mt_options o = mt_options(argc, argv, 60);
	for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
		run(&o, (enum rig_cpu_way)way);
	return 0;
}
