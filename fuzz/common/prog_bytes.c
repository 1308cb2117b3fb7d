/* SPDX-License-Identifier: MIT
 *
 * prog_bytes.c - the binary form. Little endian. A field's small values mean themselves and are what encoding writes;
 * the rest of the byte's values stand for favourites, so that random headers give interesting configurations.
 *
 *    0     version                        16     far: the zones' base in steps of 2^26 pfns, 0xC0 | 0..63
 *    1  2  number of operations           17     which zone is which in address order: rank of the permutation
 *    3  4  swarm mask                     18     how the cpu is known
 *    7     zones - 1 | threads - 1 << 2   19     owners; zero (devices)
 *          | abort << 4 | pool << 5       20     history + 17 * (generations + 2 * traces)
 *          | zeroed metadata << 7         21     huge, or 2 + quarantine + 60 * poison
 *    8     frame shift                    22  2  what to spoil, and how
 *    9     pageblock order                24     seed
 *   10     largest order                  25 12  4 holes: u16 offset in the span, u8 length (0: none)
 *   11     cpus                           37 27  3 zones in address order: u16 gap before it, u16 frames,
 *   12     cache high                            CMA (first pageblock | number << 4), mark min, low - min,
 *   13     cache batch                           high - low, highatomic frames / 32
 *   14     largest cached order           64     operations {kind, a, b, c}; c's top bits are the thread
 *                                         ...    schedule, read from the end backwards
 *   15     zeroed pool | track zero << 1 | full check << 2 | hardening << 3 with 5 << 5
 */
#include "prog_internal.h"

#include <string.h>

enum {
	AT_OPS = 1, AT_SWARM = 3, AT_SHAPE = 7, AT_SHIFT, AT_PAGEBLOCK, AT_MAX_ORDER, AT_CPUS, AT_CACHE_HIGH, AT_CACHE_BATCH,
	AT_CACHE_ORDER, AT_MODES, AT_FAR, AT_RANK, AT_CPU_WAY, AT_OWNERS, AT_MEMORY, AT_HUGE, AT_BAD = 22, AT_BAD_VARIANT, AT_SEED, AT_HOLES, AT_ZONES = 37,
	HOLE_BYTES = 3, ZONE_BYTES = 9
};
#define FAR_SHIFT 26
#define HISTORIES 17u /* 0..16 */
#define QUARANTINES (PROG_QUARANTINE_DEFAULT + 1u)

static unsigned read16(const uint8_t *at)
{
	return (unsigned)(at[0] | at[1] << 8);
}

static void write16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static unsigned factorial(unsigned n)
{
	return n < 2 ? 1 : n * factorial(n - 1);
}

/* order[] is the rank-th permutation of 0 .. n-1, and back. */
static void permutation_of(unsigned rank, unsigned n, unsigned order[])
{
	unsigned left[PROG_ZONES_MAX];

	for (unsigned i = 0; i < n; i++)
		left[i] = i;
	for (unsigned i = 0; i < n; i++) {
		unsigned rest = factorial(n - 1 - i), pick = rank / rest;

		rank %= rest;
		order[i] = left[pick];
		for (unsigned k = pick; k + 1 < n - i; k++)
			left[k] = left[k + 1];
	}
}

static unsigned permutation_rank(const unsigned order[], unsigned n)
{
	unsigned rank = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = i + 1; k < n; k++)
			rank += order[k] < order[i] ? factorial(n - 1 - i) : 0;
	return rank;
}

/* ---- header to configuration -------------------------------------------------------------------------------------- */

static void decode_orders(const uint8_t *h, struct prog_config *c)
{
	static const uint8_t pageblocks[] = { 6, 6, 7, 6, 8, 6, 9, 7 };
	unsigned raw = h[AT_SHIFT];

	c->frame_shift = raw <= 16 ? raw : raw % 8 == 7 ? 12 : 6 + raw % 2;
	raw = h[AT_PAGEBLOCK];
	c->pageblock_order = raw > 20 ? pageblocks[raw % 8] : raw < 6 ? 6 : raw;
	raw = h[AT_MAX_ORDER];
	c->max_order = raw;
	if (raw > 31) /* -3 .. 3 off the pageblock order, and now and then nothing but single frames */
		c->max_order = raw % 15 == 14 ? 0 : c->pageblock_order + raw % 7 - 3;
}

static void decode_caches(const uint8_t *h, struct prog_config *c)
{
	static const uint8_t cpus[] = { 1, 2, 4, 3 };
	static const uint8_t highs[] = { 1, 2, 3, 4, 6, 8, 16, PROG_CACHE_NONE };
	static const uint8_t batches[] = { 1, 2, 3, 4, 0, 1, 8, 0 };
	static const uint8_t orders[] = { 0, 0, 0, 1, 3, 0, 2, PROG_CACHE_ORDER_0 };

	c->cpus = h[AT_CPUS] <= 16 ? h[AT_CPUS] : cpus[h[AT_CPUS] % 4];
	c->cpu_way = (enum prog_cpu_way)(h[AT_CPU_WAY] % PROG_CPU_WAYS);
	c->cache_high = h[AT_CACHE_HIGH] <= PROG_CACHE_NONE ? h[AT_CACHE_HIGH] : highs[h[AT_CACHE_HIGH] % 8];
	c->cache_batch = h[AT_CACHE_BATCH] <= 63 ? h[AT_CACHE_BATCH] : batches[h[AT_CACHE_BATCH] % 8];
	c->cache_max_order = h[AT_CACHE_ORDER];
	if (c->cache_max_order > 9 && c->cache_max_order != PROG_CACHE_ORDER_0)
		c->cache_max_order = orders[c->cache_max_order % 8];
}

static void decode_modes(const uint8_t *h, struct prog_config *c)
{
	unsigned shape = h[AT_SHAPE], modes = h[AT_MODES];

	c->version = h[0] >= 1 && h[0] <= PROG_VERSION ? h[0] : 1 + h[0] % PROG_VERSION;
	c->swarm = (uint32_t)read16(h + AT_SWARM) | (uint32_t)read16(h + AT_SWARM + 2) << 16;
	c->nr_zones = 1 + ((shape & 3) == 3 ? 1 : shape & 3);
	c->threads = 1 + (shape >> 2 & 3);
	c->abort_policy = shape >> 4 & 1;
	c->pool = (enum prog_pool)(shape >> 5 & 3);
	c->zeroed_meta = shape >> 7;
	c->zeroed_pool = modes & 1;
	c->track_zero = modes >> 1 & 1;
	c->check = modes >> 2 & 1 ? PROG_CHECK_FULL : PROG_CHECK_TOUCHED;
	c->hardening = modes >> 5 == 5 ? modes >> 3 & 3 : 0;
	c->bad = h[AT_BAD] < PROG_SPOILS ? (enum prog_spoil)h[AT_BAD] : PROG_SPOIL_NONE;
	c->bad_variant = h[AT_BAD_VARIANT];
	c->huge = h[AT_HUGE] == 1 || h[AT_HUGE] >= 0xFC; /* such programs are slow: few */
	if (h[AT_HUGE] >= 2 && h[AT_HUGE] < 2 + QUARANTINES * PROG_POISONS) { /* means nothing below level 3 */
		c->quarantine = (h[AT_HUGE] - 2u) % QUARANTINES;
		c->poison = (enum prog_poison)((h[AT_HUGE] - 2u) / QUARANTINES);
	}
	c->seed = h[AT_SEED];
	c->owners = h[AT_OWNERS] % (PROG_OWNERS_MAX + 1);
	const unsigned memory = h[AT_MEMORY] < HISTORIES * 2 * (PROG_TRACES_MAX + 1) ? h[AT_MEMORY] : 0;
	c->history = memory % HISTORIES;
	c->generations = memory / HISTORIES % 2;
	c->traces = memory / HISTORIES / 2;
}

static uint32_t gap_of(unsigned raw, bool first)
{
	switch (raw >> 13) {
	case 0:
		return raw;
	case 1:
		return 0;
	case 2:
		return raw & 7;
	case 3:
		return first ? raw & 63 : 0;
	case 4:
		return first ? raw & 63 : 0;
	case 5:
		return raw & 63;
	case 6:
		return (raw & 127) * 64;
	default:
		return raw & 1023;
	}
}

static uint32_t frames_of(unsigned raw)
{
	static const uint16_t masks[] = { 8191, 1023, 255, 511, 2047, 63, 4095, 1023 };

	return (raw & masks[raw >> 13]) + (raw >> 13 == 7 ? 1024 : 0);
}

static void decode_zones(const uint8_t *h, struct prog_config *c)
{
	unsigned order[PROG_ZONES_MAX];
	uint32_t at = h[AT_FAR] >= 0xC0 ? (uint32_t)(h[AT_FAR] & 0x3F) << FAR_SHIFT : 0;

	permutation_of(h[AT_RANK] % factorial(c->nr_zones), c->nr_zones, order);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		const uint8_t *b = h + AT_ZONES + i * ZONE_BYTES;
		struct prog_zone *z = &c->zones[order[i]];

		at += gap_of(read16(b), i == 0);
		z->start = at;
		z->nr = frames_of(read16(b + 2));
		z->nr += z->nr == 0;
		z->mark_min = b[5] < 128 ? b[5] : 0;
		z->mark_low = z->mark_min + (b[6] < 128 ? b[6] : b[6] & 7);
		z->mark_high = z->mark_low + (b[7] < 128 ? b[7] : b[7] & 7);
		z->highatomic = b[8] < 128 ? b[8] * 32u : 0;
		if (b[8] >= 192 && c->pageblock_order < 12)
			z->highatomic = (1u << c->pageblock_order) * (1 + b[8] % 3u);
		at += z->nr;
	}
}

/* After the zones have found their places. */
static void decode_holes(const uint8_t *h, struct prog_config *c)
{
	uint32_t start = prog_span_start(c), span = prog_span_end(c) - start;

	for (unsigned i = 0; i < PROG_HOLES_MAX; i++) {
		const uint8_t *b = h + AT_HOLES + i * HOLE_BYTES;
		unsigned raw = read16(b);
		uint32_t at = start + (raw & 0x7FFF) % span, nr = b[2] <= PROG_HOLE_MAX ? b[2] : 0;

		if (raw & 0x8000)
			at -= (at % 64 <= at - start) ? at % 64 : 0;
		for (unsigned k = 0; k < c->nr_zones; k++) {
			struct prog_zone *z = &c->zones[k];

			if (at >= z->start && at - z->start < z->nr && nr)
				z->holes[z->nr_holes++] = (struct prog_run){ at, nr };
		}
	}
}

static void decode_cma(const uint8_t *h, struct prog_config *c)
{
	unsigned order[PROG_ZONES_MAX];
	uint32_t size = UINT32_C(1) << c->pageblock_order;

	prog_zone_order(c, order);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		unsigned raw = h[AT_ZONES + i * ZONE_BYTES + 4];
		struct prog_zone *z = &c->zones[order[i]];
		uint32_t first = z->start / size + (z->start % size != 0), last = (z->start + z->nr) / size;
		uint32_t most = last > first ? last - first : 0;

		if (most && raw >> 4 < 8)
			z->cma = (struct prog_run){ (first + (raw & 15) % most) * size, (raw >> 4) * size };
	}
}

void prog_config_decode(const uint8_t h[PROG_HEADER_BYTES], struct prog_config *c)
{
	memset(c, 0, sizeof(*c));
	decode_modes(h, c);
	decode_orders(h, c);
	decode_caches(h, c);
	decode_zones(h, c);
	prog_config_canonicalise(c);
	decode_holes(h, c);
	decode_cma(h, c);
	prog_config_canonicalise(c);
}

/* ---- configuration to header -------------------------------------------------------------------------------------- */

static void encode_zones(const struct prog_config *c, uint8_t *h)
{
	unsigned order[PROG_ZONES_MAX], hole = 0;
	uint32_t size = UINT32_C(1) << c->pageblock_order, start = prog_span_start(c);
	uint32_t far = start >> FAR_SHIFT, end = far << FAR_SHIFT;

	prog_zone_order(c, order);
	h[AT_FAR] = (uint8_t)(far ? 0xC0 | far : 0);
	h[AT_RANK] = (uint8_t)permutation_rank(order, c->nr_zones);
	for (unsigned i = 0; i < c->nr_zones; i++) {
		const struct prog_zone *z = &c->zones[order[i]];
		uint8_t *b = h + AT_ZONES + i * ZONE_BYTES;

		write16(b, z->start - end);
		write16(b + 2, z->nr);
		if (z->cma.nr)
			b[4] = (uint8_t)((z->cma.start / size - (z->start + size - 1) / size) | z->cma.nr / size << 4);
		b[5] = (uint8_t)z->mark_min;
		b[6] = (uint8_t)(z->mark_low - z->mark_min);
		b[7] = (uint8_t)(z->mark_high - z->mark_low);
		b[8] = (uint8_t)(z->highatomic / 32);
		for (unsigned k = 0; k < z->nr_holes; k++, hole++) {
			write16(h + AT_HOLES + hole * HOLE_BYTES, z->holes[k].start - start);
			h[AT_HOLES + hole * HOLE_BYTES + 2] = (uint8_t)z->holes[k].nr;
		}
		end = z->start + z->nr;
	}
}

void prog_config_encode(const struct prog_config *c, uint8_t h[PROG_HEADER_BYTES])
{
	memset(h, 0, PROG_HEADER_BYTES);
	h[0] = (uint8_t)c->version;
	write16(h + AT_SWARM, c->swarm);
	write16(h + AT_SWARM + 2, c->swarm >> 16);
	h[AT_SHAPE] = (uint8_t)((c->nr_zones - 1) | (c->threads - 1) << 2 | (unsigned)c->abort_policy << 4 |
	                        (unsigned)c->pool << 5 | (unsigned)c->zeroed_meta << 7);
	h[AT_SHIFT] = (uint8_t)c->frame_shift;
	h[AT_PAGEBLOCK] = (uint8_t)c->pageblock_order;
	h[AT_MAX_ORDER] = (uint8_t)c->max_order;
	h[AT_CPUS] = (uint8_t)c->cpus;
	h[AT_CPU_WAY] = (uint8_t)c->cpu_way;
	h[AT_CACHE_HIGH] = (uint8_t)c->cache_high;
	h[AT_CACHE_BATCH] = (uint8_t)c->cache_batch;
	h[AT_CACHE_ORDER] = (uint8_t)c->cache_max_order;
	h[AT_MODES] = (uint8_t)((unsigned)c->zeroed_pool | (unsigned)c->track_zero << 1 |
	                        (c->check == PROG_CHECK_FULL ? 4u : 0u));
	if (c->hardening)
		h[AT_MODES] |= (uint8_t)(c->hardening << 3 | 5u << 5);
	h[AT_BAD] = (uint8_t)c->bad;
	h[AT_BAD_VARIANT] = (uint8_t)c->bad_variant;
	h[AT_SEED] = (uint8_t)c->seed;
	h[AT_HUGE] = (uint8_t)c->huge;
	if (c->quarantine || c->poison)
		h[AT_HUGE] = (uint8_t)(2 + c->quarantine + QUARANTINES * (unsigned)c->poison);
	h[AT_OWNERS] = (uint8_t)c->owners;
	h[AT_MEMORY] = (uint8_t)(c->history + HISTORIES * ((unsigned)c->generations + 2 * c->traces));
	encode_zones(c, h);
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

/* False: there is no handle that it could use. */
static bool decode_op(const struct prog_config *cfg, const uint8_t *b, const struct prog_live *live, struct prog_op *op)
{
	const struct prog_kind_info *k;
	uint32_t word = (uint32_t)(b[1] | b[2] << 8 | (b[3] & 63) << 16);

	op->kind = (uint8_t)prog_kind_of_byte(cfg, b[0]);
	op->thread = (uint8_t)((b[3] >> 6) % cfg->threads);
	op->ref = PROG_NO_REF;
	memset(op->arg, 0, sizeof(op->arg));
	k = prog_kind(op->kind);
	for (unsigned i = 0; i < k->nr_args; i++) {
		const struct prog_arg_info *arg = &k->args[i];
		uint32_t raw = word >> arg->low & ((UINT32_C(1) << arg->width) - 1);

		op->arg[i] = prog_arg_from_raw(cfg, arg, raw);
		if (prog_arg_is_handle(arg->kind)) {
			op->ref = prog_live_at(live, arg->kind, raw);
			if (op->ref == PROG_NO_REF)
				return false;
		}
	}
	return true;
}

static void encode_op(const struct prog_config *cfg, const struct prog_op *op, const struct prog_live *live, uint8_t *b)
{
	const struct prog_kind_info *k = prog_kind(op->kind);
	uint32_t word = 0;

	for (unsigned i = 0; i < k->nr_args; i++) {
		const struct prog_arg_info *arg = &k->args[i];
		uint32_t raw = prog_arg_to_raw(cfg, arg, op->arg[i]);

		if (prog_arg_is_handle(arg->kind))
			raw = (uint32_t)prog_live_byte(live, arg->kind, op->ref);
		word |= raw << arg->low;
	}
	b[0] = op->kind;
	b[1] = (uint8_t)word;
	b[2] = (uint8_t)(word >> 8);
	b[3] = (uint8_t)(word >> 16 | (uint32_t)op->thread << 6);
}

void prog_decode(const uint8_t *bytes, size_t nr, struct program *out)
{
	uint8_t header[PROG_HEADER_BYTES] = { 0 };
	struct prog_live live;
	size_t rest, nr_raw;

	nr = nr < PROG_BYTES_MAX ? nr : PROG_BYTES_MAX;
	if (nr)
		memcpy(header, bytes, nr < sizeof(header) ? nr : sizeof(header));
	memset(out->target, 0, sizeof(out->target));
	memcpy(out->target, "core", 4);
	prog_config_decode(header, &out->config);
	rest = nr > sizeof(header) ? nr - sizeof(header) : 0;
	nr_raw = (rest + PROG_OP_BYTES - 1) / PROG_OP_BYTES;
	nr_raw = read16(header + AT_OPS) < nr_raw ? read16(header + AT_OPS) : nr_raw;
	nr_raw = nr_raw < PROG_OPS_MAX ? nr_raw : PROG_OPS_MAX;
	out->nr_ops = 0;
	live.nr_live = live.nr_dead = 0;
	for (size_t i = 0; i < nr_raw; i++) {
		uint8_t b[PROG_OP_BYTES] = { 0 };
		size_t at = sizeof(header) + i * PROG_OP_BYTES;
		struct prog_op *op = &out->ops[out->nr_ops];

		memcpy(b, bytes + at, nr - at < PROG_OP_BYTES ? nr - at : PROG_OP_BYTES);
		if (decode_op(&out->config, b, &live, op))
			prog_live_note(&live, op, out->nr_ops++);
	}
	rest = rest > nr_raw * PROG_OP_BYTES ? rest - nr_raw * PROG_OP_BYTES : 0;
	out->nr_schedule = (unsigned)(rest < PROG_SCHEDULE_MAX ? rest : PROG_SCHEDULE_MAX);
	for (unsigned i = 0; i < out->nr_schedule; i++)
		out->schedule[i] = bytes[nr - 1 - i];
}

size_t prog_encode(const struct program *p, uint8_t *out, size_t capacity)
{
	size_t nr = PROG_HEADER_BYTES + (size_t)p->nr_ops * PROG_OP_BYTES + p->nr_schedule;
	struct prog_live live;

	if (nr > capacity)
		return 0;
	prog_config_encode(&p->config, out);
	write16(out + AT_OPS, p->nr_ops);
	live.nr_live = live.nr_dead = 0;
	for (unsigned i = 0; i < p->nr_ops; i++) {
		encode_op(&p->config, &p->ops[i], &live, out + PROG_HEADER_BYTES + i * PROG_OP_BYTES);
		prog_live_note(&live, &p->ops[i], i);
	}
	for (unsigned i = 0; i < p->nr_schedule; i++)
		out[nr - 1 - i] = p->schedule[i];
	return nr;
}

/* ---- the canonical struct ----------------------------------------------------------------------------------------- */

/* Brings the operation into range; false if it cannot be at all. ref is in the new numbering already. */
static bool fix_op(const struct prog_config *cfg, struct prog_op *op, const struct prog_live *live)
{
	const struct prog_kind_info *k = prog_kind(op->kind);
	int handle = prog_handle_arg(op->kind);

	if (!prog_enabled(cfg, op->kind))
		return false;
	op->thread = (uint8_t)(op->thread % cfg->threads);
	if (handle < 0)
		op->ref = PROG_NO_REF;
	else if (op->ref == PROG_NO_REF || prog_live_byte(live, k->args[handle].kind, op->ref) < 0)
		return false;
	for (unsigned i = 0; i < PROG_ARGS_MAX; i++)
		op->arg[i] = i < k->nr_args ? prog_arg_fix(cfg, &k->args[i], op->arg[i]) : 0;
	return true;
}

void prog_select(struct program *p, const bool keep[])
{
	uint16_t moved[PROG_OPS_MAX];
	struct prog_live live = { .nr_live = 0, .nr_dead = 0 };
	unsigned nr = p->nr_ops < PROG_OPS_MAX ? p->nr_ops : PROG_OPS_MAX;

	p->nr_ops = 0;
	for (unsigned i = 0; i < nr; i++) {
		struct prog_op op = p->ops[i];

		moved[i] = PROG_NO_REF;
		op.ref = op.ref < i ? moved[op.ref] : PROG_NO_REF;
		if ((keep && !keep[i]) || !fix_op(&p->config, &op, &live))
			continue;
		moved[i] = (uint16_t)p->nr_ops;
		p->ops[p->nr_ops] = op;
		prog_live_note(&live, &op, p->nr_ops++);
	}
}

void prog_canonicalise(struct program *p)
{
	prog_config_canonicalise(&p->config);
	prog_select(p, NULL);
	p->nr_schedule = p->nr_schedule < PROG_SCHEDULE_MAX ? p->nr_schedule : PROG_SCHEDULE_MAX;
}

bool prog_equal(const struct program *a, const struct program *b)
{
	uint8_t x[PROG_HEADER_BYTES], y[PROG_HEADER_BYTES];

	prog_config_encode(&a->config, x);
	prog_config_encode(&b->config, y);
	if (memcmp(x, y, sizeof(x)) != 0 || a->nr_ops != b->nr_ops || a->nr_schedule != b->nr_schedule)
		return false;
	for (unsigned i = 0; i < a->nr_ops; i++) {
		const struct prog_op *p = &a->ops[i], *q = &b->ops[i];

		if (p->kind != q->kind || p->thread != q->thread || p->ref != q->ref ||
		    memcmp(p->arg, q->arg, sizeof(p->arg)) != 0)
			return false;
	}
	return memcmp(a->schedule, b->schedule, a->nr_schedule) == 0;
}
