/* SPDX-License-Identifier: MIT
 *
 * Threads that do everything at once (mt_mix.c), in several configurations.
 */
#include "mt.h"

enum { WORKERS = 4 };

static void work(struct mt_thread *t)
{
	const unsigned rounds = t->mt->rig.fault.nr; /* handed over by main() */
	for (unsigned round = 0; round < rounds; round++)
		mt_mix_step(t, round, false);
	while (t->nr_mine)
		mt_give(t, t->nr_mine - 1);
}

struct shape {
	const char *name;
	uint32_t cache_high, pageblock_order, max_order;
	bool wild_cpus, small;
};

static void run_shape(const struct shape *shape, enum rig_cpu_way way, const struct mt_options *o)
{
	static struct mt mt;
	static struct mt_thread threads[WORKERS];
	static const struct pfa_run hole = {700, 33}, area = {256, 256};
	mt_init(&mt, shape->wild_cpus, way);
	mt.rig.cfg.cache_high = shape->cache_high;
	mt.rig.cfg.pageblock_order = shape->pageblock_order;
	mt.rig.cfg.max_order = shape->max_order;
	struct pfa_zone_config *z = rig_zone(&mt.rig, 3, shape->small ? 997 : 4000);
	z->holes = &hole;
	z->nr_holes = 1;
	z->highatomic_frames = 256;
	z->mark_min = 16;
	z->mark_low = z->mark_high = 64;
	if (shape->pageblock_order <= 8) {
		z->cma = &area;
		z->nr_cma = 1;
	}
	rig_zone(&mt.rig, 3 + z->nr_frames, 1500); /* shares a pageblock with the first */
	mt_start(&mt);
	mt.rig.fault.nr = o->rounds / RIG_CPU_WAYS;
	for (unsigned i = 0; i < WORKERS; i++)
		threads[i] = (struct mt_thread){.body = work};
	mt_run(&mt, threads, WORKERS, o->seed);
	size_t granted = 0, refused = 0;
	for (unsigned i = 0; i < WORKERS; i++) {
		granted += threads[i].nr_granted;
		refused += threads[i].nr_refused;
	}
	MUST_EQ(atomic_load(&mt.nr_faults), 0);
	MUST(granted > 0);
	mt_stop(&mt);
	printf("mix, %s, cpu by %s: %zu blocks granted, %zu requests refused%s\n", shape->name, rig_cpu_way_names[way],
	       granted, refused, rig_prot_none ? ", pool PROT_NONE" : "");
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = {
		{"default caches", 0, 6, 8, false, false},
		{"one entry a slot, wild cpu ids", 1, 6, 8, true, true},
		{"small caches, wild cpu ids, max_order below pageblock_order", 6, 9, 7, true, false},
		{"no caches, max_order above pageblock_order", PFA_EXPLICIT_0, 6, 9, false, true},
	};
	const struct mt_options o = mt_options(argc, argv, 6000);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (unsigned way = 0; way < RIG_CPU_WAYS; way++)
			run_shape(&shapes[i], (enum rig_cpu_way)way, &o);
	return 0;
}
