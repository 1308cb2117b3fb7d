/* SPDX-License-Identifier: MIT
 *
 * example_callbacks.c - a fuzz target for callbacks of your own: copy it, and put your code in place of the store's. It needs
 * public headers only; README.md, "Your own callbacks under test", has the commands.
 *
 * Under test are a store of objects, whose blocks libpfa may move, and its op low_memory, which throws objects away. The input is
 * operations of four bytes: what the program calls, and what the callbacks answer. platform/sim makes clock, cpu and random
 * numbers variables, so that each input repeats. After each operation: libpfa's checker is content, no frame is anybody else's,
 * and each object contains what was put there.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pfa/compact.h>
#include <pfa/contig.h>
#include <pfa/debug.h>
#include <pfa/movable.h>
#include <pfa/pfa.h>
#include <pfa/sim.h>

enum { SHIFT = 6, FRAME = 1 << SHIFT, FRAMES = 128, OBJECTS = 24, PLAIN = 16, OPS = 256, OP_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) unsigned char frames[FRAMES * FRAME];
static size_t step;

static _Noreturn void finding(const char *what)
{
	fprintf(stderr, "pfa-finding: id=callbacks invariant=callbacks op=callbacks step=%zu message=%s\n", step, what);
	abort();
}

static void must(bool holds, const char *what)
{
	if (!holds)
		finding(what);
}

/* ---- the code under test: yours goes here ---------------------------------------------------------------------------- */

static struct {
	struct pfa *pfa;
	pfa_owner owner;
	struct object {
		pfa_pfn at;
		unsigned order;
		unsigned char content; /* of its first frame; each further one has one more */
		bool used, open, away; /* open: somebody reads it, so it is pinned; away: isolated */
	} objects[OBJECTS];
	uint8_t answers; /* two bits for each of the next calls of isolate() and migrate(): from the input */
} store;

static int answer(void)
{
	unsigned now = store.answers & 3u;
	store.answers = (uint8_t)(store.answers >> 2);
	return now == 1 ? PFA_EBUSY : now == 2 ? PFA_EAGAIN : PFA_OK;
}

static int store_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct object *o = &store.objects[cookie];
	int code = answer();
	(void)ctx;
	(void)mode;
	must(o->used && !o->away && o->at == head && o->order == order, "isolate() of what is no object");
	must(!o->open, "isolate() of what is pinned");
	o->away = code == PFA_OK;
	return code;
}

static int store_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	struct object *o = &store.objects[cookie];
	int code = answer();
	(void)ctx;
	(void)mode;
	must(o->used && o->away && o->at == src && o->order == order, "migrate() of what was not isolated");
	if (code != PFA_OK)
		return code;
#ifdef EXAMPLE_CANARY
	order = 0; /* a bug: the rest of the object is forgotten */
#endif
	memcpy(frames + dst * FRAME, frames + src * FRAME, (size_t)FRAME << order);
	o->at = dst;
	o->away = false;
	return PFA_OK;
}

static void store_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	struct object *o = &store.objects[cookie];
	(void)ctx;
	must(o->used && o->away && o->at == head && o->order == order, "putback() of what was not isolated");
	o->away = false;
}

static void store_drop(struct object *o)
{
	o->used = false;
	must(pfa_free(store.pfa, o->at, o->order) == PFA_OK, "an object's block could not be freed");
}

static void store_close(struct object *o)
{
	must(pfa_unpin(store.pfa, o->at) == PFA_OK, "an object's pin was lost");
	o->open = false;
}

static size_t store_low_memory(void *ctx, unsigned order, uint32_t flags)
{
	(void)ctx;
	(void)order;
	(void)flags;
	for (struct object *o = store.objects; o < store.objects + OBJECTS; o++)
		if (o->used && !o->open && !o->away) {
			store_drop(o);
			return (size_t)1 << o->order;
		}
	return 0;
}

static void store_put(struct object *o, unsigned order, unsigned char content, uint32_t flags)
{
	if (o->used || pfa_alloc(store.pfa, order, PFA_MOVABLE | flags, &o->at) != PFA_OK)
		return;
	*o = (struct object){ .at = o->at, .order = order, .content = content, .used = true };
	for (size_t i = 0; i < (size_t)1 << order; i++)
		memset(frames + (o->at + i) * FRAME, (unsigned char)(content + i), FRAME);
	must(pfa_movable_set(store.pfa, o->at, store.owner, (uint64_t)(o - store.objects)) == PFA_OK, "no movable block");
}

/* ---- what drives and judges it --------------------------------------------------------------------------------------- */

static struct pfa_sim sim;
static struct {
	pfa_pfn at;
	unsigned order;
	bool used;
} plain[PLAIN]; /* somebody else's blocks */

/* A misuse of libpfa, a result that an op must not give, damage: the library traps when this returns. */
static void told(struct pfa_sim *world, const struct pfa_fault *fault)
{
	(void)world;
	finding(fault->message);
}

static void own(bool owned[FRAMES], pfa_pfn at, unsigned order)
{
	for (size_t i = 0; i < (size_t)1 << order; i++) {
		must(at + i < FRAMES && !owned[at + i], "a frame has two owners");
		owned[at + i] = true;
	}
}

static void judge(void)
{
	bool owned[FRAMES] = { false };
	struct pfa_violation v;
	must(pfa_check(store.pfa, PFA_CHECK_FRAMES | PFA_CHECK_QUIESCENT, &v) == PFA_OK, "pfa_check() is not content");
	for (unsigned i = 0; i < PLAIN; i++)
		if (plain[i].used)
			own(owned, plain[i].at, plain[i].order);
	for (const struct object *o = store.objects; o < store.objects + OBJECTS; o++) {
		if (!o->used)
			continue;
		must(!o->away, "an object stays isolated");
		own(owned, o->at, o->order);
		for (size_t i = 0; i < (size_t)FRAME << o->order; i++)
			must(frames[o->at * FRAME + i] == (unsigned char)(o->content + i / FRAME), "an object's content has changed");
	}
}

static void take_plain(unsigned i, unsigned order, uint32_t flags)
{
	plain[i].order = order;
	plain[i].used = pfa_alloc(store.pfa, order, flags, &plain[i].at) == PFA_OK;
}

static void give_plain(unsigned i)
{
	plain[i].used = false;
	must(pfa_free(store.pfa, plain[i].at, plain[i].order) == PFA_OK, "a block could not be freed");
}

static void take_range(pfa_pfn first, size_t nr)
{
	if (pfa_alloc_contig_range(store.pfa, first, first + nr, 0, NULL) == PFA_OK)
		must(pfa_free_range(store.pfa, first, nr) == PFA_OK, "a range could not be freed");
}

static void operation(const uint8_t *op)
{
	struct object *o = &store.objects[op[1] % OBJECTS];
	struct pfa_dest dest = { .size = sizeof(dest), .mode = op[2] % PFA_MIGRATE_MODES, .flags = PFA_MOVABLE };
	uint64_t next;
	int result;
	switch (op[0] % 12) {
	case 0: case 1: case 2: store_put(o, op[2] % 6u, op[3], op[0] & 128 ? PFA_COMPACT : 0); break;
	case 3:
		if (o->used && !o->open)
			store_drop(o);
		break;
	case 4:
		if (o->used && !o->open)
			o->open = pfa_pin(store.pfa, o->at) == PFA_OK;
		else if (o->used)
			store_close(o);
		break;
	case 5:
		if (o->used)
			(void)!pfa_migrate(store.pfa, &o->at, 1, &dest, &result);
		break;
	case 6: (void)!pfa_compact(store.pfa, 0, PFA_COMPACT_ALL, dest.mode, NULL); break;
	case 7: take_range(op[1] % FRAMES, 1 + op[2] % 64u); break;
	case 8: case 9:
		if (plain[op[1] % PLAIN].used)
			give_plain(op[1] % PLAIN);
		else
			take_plain(op[1] % PLAIN, op[2] % 6u, op[3] % 2 ? PFA_UNMOVABLE : PFA_MOVABLE);
		break;
	case 10:
		sim.cpu = op[1] % 3u; /* the last one has no cache */
		pfa_sim_advance(&sim, op[2] * UINT64_C(10000000));
		(void)!pfa_service(store.pfa, 1 + op[3] % 8u, &next);
		break;
	default: store.answers = op[1];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pfa_owner_ops ops = { sizeof(ops), store_isolate, store_migrate, store_putback };
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = FRAMES };
	struct pfa_footprint need;
	struct pfa_platform os;
	struct pfa_config cfg;
	void *memory;

	memset(&store, 0, sizeof(store));
	memset(plain, 0, sizeof(plain));
	memset(frames, 0xA5, sizeof(frames)); /* an input must not see what the one before it left */
	pfa_sim_init(&sim, 1);
	sim.frame_shift = SHIFT; /* else its op zero only counts */
	sim.on_fatal = told;
	pfa_sim_platform(&sim, &os);
	os.low_memory = store_low_memory;
	pfa_config_init(&cfg);
	cfg.platform = &os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.pool = frames;
	cfg.pool_bytes = sizeof(frames);
	cfg.frame_shift = SHIFT;
	cfg.max_order = cfg.pageblock_order = 6;
	cfg.nr_cpus = 2;
	cfg.hardening = 3;
	cfg.quarantine = 4;
	cfg.max_owners = 1;
	must(pfa_size(&cfg, &need, NULL, NULL) == PFA_OK, "the configuration is refused");
	memory = aligned_alloc(need.align, (need.core_bytes + need.align - 1) / need.align * need.align);
	must(memory && pfa_init(memory, need.core_bytes, &cfg, &store.pfa, NULL, NULL) == PFA_OK, "no instance");
	must(pfa_owner_create(store.pfa, &ops, NULL, &store.owner) == PFA_OK, "no owner");
	for (step = 0; step < OPS && size >= OP_BYTES; step++, data += OP_BYTES, size -= OP_BYTES) {
		operation(data);
		judge();
	}
	for (struct object *o = store.objects; o < store.objects + OBJECTS; o++) {
		if (o->used && o->open)
			store_close(o);
		if (o->used)
			store_drop(o);
	}
	for (unsigned i = 0; i < PLAIN; i++)
		if (plain[i].used)
			give_plain(i);
	must(pfa_owner_destroy(store.pfa, store.owner) == PFA_OK, "the owner cannot end");
	must(pfa_fini(store.pfa) == PFA_OK, "the instance cannot end");
	free(memory);
	return 0;
}
