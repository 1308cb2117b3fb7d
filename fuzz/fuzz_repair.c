/* SPDX-License-Identifier: MIT
 *
 * fuzz_repair.c - metadata is damaged, checked, repaired and used. The input is a header and operations of four bytes:
 * allocate, free, split, mark bad, empty caches, damage, check, repair. Which frames are whose is written down beside.
 *
 * Damage of a single word at level 2 and up is followed by use as ever; any other is repaired at once. Promised: no frame is
 * granted twice or from outside, neither before the repair nor after it; the checker is content with what a repair left; and
 * no access outside of the metadata, which is a block of the heap of exactly its size (AddressSanitizer). Flips all over
 * the metadata may hit all witnesses of one frame: after those, what was owned before is nobody's.
 */
#define _DEFAULT_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/harden.h>
#include <pfa/pfa.h>

enum { FRAMES = 512, BLOCKS = 128, OPS = 512, REGIONS = 64, FLIPS = 8, PAGE = 256, HEADER = 4, OP_BYTES = 4 };
enum damage { ZERO, ONES, PLUS, MINUS, FLIP, RANDOM, DIRECTED, SWAPPED = DIRECTED, STALE, ZERO_PAGE, RANDOM_PAGE, ALL_OVER, DAMAGES };
enum owner { NOBODY, OWNED, LOST /* freed with the answer PFA_ECORRUPT: free after a repair, or never */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct pfa *pfa;
	unsigned char *memory, *stale; /* stale: the metadata as it was some time ago */
	size_t bytes;
	uint32_t level, cpu, nr_cpus;
	uint64_t now, random;
	bool damaged, ever;
	size_t step;
	uint8_t owners[2 * FRAMES];
	struct {
		pfa_pfn pfn;
		unsigned order;
	} blocks[BLOCKS];
	unsigned nr_blocks;
	struct {
		unsigned char *start;
		size_t bytes;
	} regions[REGIONS];
	unsigned nr_regions;
} f;

static _Noreturn void finding(const char *invariant, const char *what, size_t number)
{
	fprintf(stderr, "pfa-finding: id=%.8s invariant=%s op=repair step=%zu message=%s (%zu)\n", invariant, invariant, f.step, what,
	        number);
	abort();
}

static uint64_t next_random(void)
{
	uint64_t z = f.random += 0x9E3779B97F4A7C15u;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

/* ---- the instance --------------------------------------------------------------------------------------------------- */

static uint32_t this_cpu(void *ctx)
{
	(void)ctx;
	return f.cpu;
}

static uint64_t now_ns(void *ctx)
{
	(void)ctx;
	return f.now;
}

static void collect(void *ctx, const char *name, const void *start, size_t bytes)
{
	(void)ctx;
	if (strcmp(name, "root") == 0 || strcmp(name, "zones") == 0 || strcmp(name, "lock") == 0)
		return;
	if (f.nr_regions == REGIONS)
		finding("harness", "more regions than there is room for", REGIONS);
	f.regions[f.nr_regions].start = f.memory + ((const unsigned char *)start - f.memory);
	f.regions[f.nr_regions++].bytes = bytes;
}

/* False: there is no such instance. */
static bool start(const uint8_t header[HEADER])
{
	static const struct pfa_run hole = { 75, 6 };
	const struct pfa_platform os = { .size = sizeof(os), .cpu = this_cpu, .now_ns = now_ns };
	struct pfa_zone_config zones[2] = { { .size = sizeof(zones[0]), .name = "low", .start = 0, .nr_frames = FRAMES - header[3] % 8u },
		                            { .size = sizeof(zones[0]), .name = "high", .start = FRAMES, .nr_frames = FRAMES - header[3] / 8u } };
	struct pfa_config cfg;
	struct pfa_footprint need;
	pfa_config_init(&cfg);
	zones[0].holes = &hole;
	zones[0].nr_holes = header[2] & 1;
	zones[0].highatomic_frames = header[2] & 4 ? 256 : 0;
	if (header[2] & 2) {
		static const struct pfa_run area = { FRAMES, 256 };
		zones[1].cma = &area;
		zones[1].nr_cma = 1;
	}
	cfg.platform = &os;
	cfg.zones = zones;
	cfg.nr_zones = header[2] & 8 ? 2 : 1;
	cfg.fatal_policy = PFA_FATAL_REPORT;
	cfg.frame_shift = 6;
	cfg.max_order = 7 + header[2] / 16u % 3;
	cfg.pageblock_order = 6 + header[2] / 64u % 3;
	cfg.nr_cpus = f.nr_cpus = 1 + header[1] % 3u;
	cfg.cache_high = 1 + header[1] / 4u % 16;
	cfg.hardening = f.level = 1 + header[0] % 3u;
	cfg.flags = (header[0] & 4 ? PFA_CONFIG_TRACK_ZERO : 0u) | (header[0] & 8 ? PFA_CONFIG_GENERATIONS : 0u);
	cfg.history = header[0] & 16 ? 2 : 0;
	if (pfa_size(&cfg, &need, NULL, NULL) != PFA_OK)
		return false;
	f.bytes = need.core_bytes;
	if (posix_memalign((void **)&f.memory, need.align, f.bytes) || !(f.stale = malloc(f.bytes)))
		finding("harness", "no memory", f.bytes);
	memset(f.memory, 0xA5, f.bytes);
	if (pfa_init(f.memory, f.bytes, &cfg, &f.pfa, NULL, NULL) != PFA_OK)
		finding("harness", "no instance", 0);
	pfa_debug_regions(f.pfa, collect, NULL);
	memcpy(f.stale, f.memory, f.bytes);
	return true;
}

/* ---- use ------------------------------------------------------------------------------------------------------------ */

static void granted(pfa_pfn pfn, unsigned order)
{
	size_t nr = (size_t)1 << order;
	if (pfn >= 2 * FRAMES || nr > 2 * FRAMES - pfn)
		finding("outside", "a frame outside was granted", pfn);
	for (size_t i = 0; i < nr; i++) {
		if (f.owners[pfn + i] != NOBODY)
			finding("twice", "a frame was granted twice", pfn + i);
		f.owners[pfn + i] = OWNED;
	}
	f.blocks[f.nr_blocks].pfn = pfn;
	f.blocks[f.nr_blocks++].order = order;
}

static void take(const uint8_t *op)
{
	static const uint32_t types[] = { PFA_MOVABLE, PFA_UNMOVABLE, PFA_RECLAIMABLE, PFA_MOVABLE | PFA_HIGH };
	unsigned order = op[1] % 4u * (op[1] / 4u % 4);
	uint32_t flags = types[op[2] % 4];
	pfa_pfn some[8];
	size_t nr = 0;
	if (f.nr_blocks + 8 > BLOCKS)
		return;
	switch (op[3] % 4) {
	case 0:
		if (pfa_alloc_bulk(f.pfa, order / 2, flags, 8, some, &nr) != PFA_OK && nr >= 8)
			finding("twice", "a bulk said wrongly how many", nr);
		for (size_t i = 0; i < nr; i++)
			granted(some[i], order / 2);
		break;
	case 1:
		if (pfa_alloc_window(f.pfa, order, flags, (struct pfa_run){ op[3] * 4u, FRAMES / 2 }, some) == PFA_OK)
			granted(some[0], order);
		break;
	default:
		if (pfa_alloc(f.pfa, order, flags, some) == PFA_OK)
			granted(some[0], order);
	}
}

/* Nothing was ever damaged: the owner's free succeeds. What is refused as misuse later on stays its owner's for ever. */
static void give(const uint8_t *op)
{
	if (!f.nr_blocks)
		return;
	unsigned i = op[1] % f.nr_blocks, order = f.blocks[i].order;
	pfa_pfn pfn = f.blocks[i].pfn;
	size_t nr;
	int err = op[2] % 4 == 0 ? pfa_free_bulk(f.pfa, order, 1, &pfn, &nr) :
	          op[2] % 4 == 1 ? pfa_free_range(f.pfa, pfn, (size_t)1 << order) : pfa_free(f.pfa, pfn, order);
	if (err != PFA_OK && !f.ever)
		finding("refused", "a legitimate free was refused", pfn);
	if (err == PFA_OK || err == PFA_ECORRUPT)
		memset(f.owners + pfn, err == PFA_OK ? NOBODY : LOST, (size_t)1 << order);
	f.blocks[i] = f.blocks[--f.nr_blocks];
}

static void split(const uint8_t *op)
{
	if (!f.nr_blocks || f.nr_blocks == BLOCKS)
		return;
	unsigned i = op[1] % f.nr_blocks, order = f.blocks[i].order;
	if (order == 0 || pfa_split(f.pfa, f.blocks[i].pfn, order, order - 1) != PFA_OK)
		return;
	f.blocks[f.nr_blocks].pfn = f.blocks[i].pfn + ((pfa_pfn)1 << (order - 1));
	f.blocks[f.nr_blocks++].order = f.blocks[i].order = order - 1;
}

static void empty(const uint8_t *op)
{
	uint64_t next;
	switch (op[1] % 4) {
	case 0:
		(void)!pfa_cache_drain(f.pfa, op[2] % 2 ? PFA_ALL_CPUS : op[2] / 2u % f.nr_cpus);
		break;
	case 1:
		(void)!pfa_cache_purge(f.pfa, op[2] * 4u);
		break;
	case 2:
		f.now += PFA_SERVICE_IDLE_NS;
		(void)!pfa_service(f.pfa, 1 + op[2] % 4u, &next);
		break;
	default:
		if (pfa_cache_disable(f.pfa) == PFA_OK)
			(void)!pfa_cache_enable(f.pfa);
	}
}

/* ---- damage and repair ---------------------------------------------------------------------------------------------- */

static bool check(struct pfa_violation *v)
{
	return pfa_check(f.pfa, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES, v) == PFA_OK;
}

/* False: the instance says that it has ended. The word for that is a single witness. */
static bool repair(void)
{
	struct pfa_repair said;
	struct pfa_violation v;
	int err = pfa_repair(f.pfa, PFA_REPAIR_QUIESCENT, &said);
	if (f.damaged && (err == PFA_EMISUSE || err == PFA_ENOTSUP))
		return false;
	if (err != PFA_OK)
		finding("repair", pfa_error_name(err), said.zones);
	if (!f.damaged && said.zones)
		finding("repair", "something was repaired that nobody damaged", said.zones);
	if (!check(&v))
		finding("check", v.what, v.pfn);
	for (size_t i = 0; i < sizeof(f.owners); i++)
		if (f.owners[i] == LOST)
			f.owners[i] = NOBODY;
	f.damaged = false;
#ifdef FUZZ_REPAIR_CANARY
	/* A repair that offers what is somebody's. */
	if (f.nr_blocks)
		(void)!pfa_free(f.pfa, f.blocks[0].pfn, f.blocks[0].order);
#endif
	return true;
}

static void spoil_word(unsigned char *at, size_t width, enum damage kind)
{
	uint64_t word = 0;
	memcpy(&word, at, width);
	switch (kind) {
	case ZERO: word = 0; break;
	case ONES: word = UINT64_MAX; break;
	case PLUS: word++; break;
	case MINUS: word--; break;
	case FLIP: word ^= (uint64_t)1 << next_random() % (8 * width); break;
	default: word = next_random();
	}
	memcpy(at, &word, width);
}

static void spoil_all_over(void)
{
	for (unsigned i = 0; i < FLIPS; i++) {
		unsigned r = (unsigned)(next_random() % f.nr_regions);
		f.regions[r].start[next_random() % f.regions[r].bytes] ^= (unsigned char)(1u << next_random() % 8);
	}
	memset(f.owners, NOBODY, sizeof(f.owners));
	f.nr_blocks = 0;
}

/* One region: kind, width and place by the operation. */
static void spoil(enum damage kind, const uint8_t *op)
{
	unsigned r = op[2] % f.nr_regions;
	unsigned char *start = f.regions[r].start;
	size_t bytes = f.regions[r].bytes, width = (size_t)1 << op[1] / 16u % 4;
	width = bytes < width ? 1 : width;
	size_t places = bytes / width, at = (size_t)((op[3] + (next_random() % 4 ? 0 : next_random())) % places) * width;
	size_t other = (size_t)(next_random() % places) * width, page = at / PAGE * PAGE;
	unsigned char kept[8];
	switch (kind) {
	case SWAPPED:
		memcpy(kept, start + at, width);
		memcpy(start + at, start + other, width);
		memcpy(start + other, kept, width);
		break;
	case STALE:
		memcpy(start + at, f.stale + (start + at - f.memory), width);
		break;
	case ZERO_PAGE:
	case RANDOM_PAGE:
		for (size_t i = page; i < bytes && i < page + PAGE; i++)
			start[i] = kind == ZERO_PAGE ? 0 : (unsigned char)next_random();
		break;
	default:
		spoil_word(start + at, width, kind);
	}
}

/* False: the instance is beyond use. */
static bool damage(const uint8_t *op)
{
	enum damage kind = op[1] % DAMAGES;
	if (f.damaged && !repair())
		return false;
	f.random = (uint64_t)op[1] << 16 | (uint64_t)op[2] << 8 | op[3];
	f.damaged = f.ever = true;
	if (kind == ALL_OVER)
		spoil_all_over();
	else
		spoil(kind, op);
	return (kind < DIRECTED && f.level >= 2) || repair();
}

/* False: no use to go on. */
static bool operation(const uint8_t *op)
{
	struct pfa_violation v;
	f.cpu = op[0] / 16u % f.nr_cpus;
	switch (op[0] % 16) {
	case 0: case 1: case 2: case 3: case 4: take(op); return true;
	case 5: case 6: case 7: case 8: give(op); return true;
	case 9: split(op); return true;
	case 10: (void)!pfa_mark_bad(f.pfa, op[1] * 4u + op[2] % 4u); return true;
	case 11: empty(op); return true;
	case 12: memcpy(f.stale, f.memory, f.bytes); return true;
	case 13: return damage(op);
	case 14:
		if (!check(&v) && !f.damaged)
			finding("check", v.what, v.pfn);
		return true;
	default: return repair();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&f, 0, sizeof(f));
	if (size < HEADER || !start(data))
		return 0;
	bool on = true;
	for (size_t at = HEADER; on && at + OP_BYTES <= size && f.step < OPS; at += OP_BYTES, f.step++)
		on = operation(data + at);
	on = on && repair();
	for (uint8_t op[OP_BYTES] = { 0, 0, 0, 2 }; on && f.nr_blocks + 8 <= BLOCKS && op[2] < 200; op[2]++)
		take(op);
	free(f.stale);
	free(f.memory);
	return 0;
}
