/* SPDX-License-Identifier: MIT
 *
 * prog_mutate.c - mutation and crossover of programs, for every engine.
 *
 * Works on the struct, where handles are references, so that what is moved keeps its meaning; ends with
 * prog_canonicalise(), which drops what lost its handle. Deterministic from the seed.
 */
#include "prog_internal.h"

#include <string.h>

struct mutator {
	struct program *p;
	uint64_t state;
	unsigned most_ops; /* what fits */
};

static unsigned below(struct mutator *m, unsigned n)
{
	return n ? (unsigned)(prog_random(&m->state) % n) : 0;
}

static bool one_in(struct mutator *m, unsigned n)
{
	return below(m, n) == 0;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

/* Edges are where things go wrong: of zones, holes, pageblocks. */
static uint64_t random_pfn(struct mutator *m)
{
	const struct prog_config *c = &m->p->config;
	const struct prog_zone *z = &c->zones[below(m, c->nr_zones)];
	uint64_t pfn = z->start + below(m, z->nr);

	switch (below(m, 6)) {
	case 0:
		pfn = z->start;
		break;
	case 1:
		pfn = z->start + z->nr;
		break;
	case 2:
		if (z->nr_holes) {
			const struct prog_run *hole = &z->holes[below(m, z->nr_holes)];

			pfn = hole->start + (one_in(m, 2) ? hole->nr : 0);
		}
		break;
	case 3:
		pfn = pfn >> c->pageblock_order << c->pageblock_order;
		break;
	case 4:
		pfn = pfn >> 3 << 3;
		break;
	default:
		break;
	}
	return pfn + below(m, 3) - (pfn ? 1 : 0);
}

/* Mostly one that fits into the largest zone. */
static uint64_t random_order(struct mutator *m)
{
	const struct prog_config *c = &m->p->config;
	unsigned top = 0;

	for (unsigned i = 0; i < c->nr_zones; i++)
		while (top < c->max_order && c->zones[i].nr >> (top + 1))
			top++;
	switch (below(m, 16)) {
	case 0:
		return c->max_order;
	case 1:
		return c->pageblock_order + 1 - below(m, 3);
	case 2:
	case 3:
		return top - (top ? below(m, 2) : 0);
	case 4:
	case 5:
	case 6:
	case 7:
		return below(m, top + 1);
	default:
		return below(m, 4);
	}
}

static uint64_t random_flags(struct mutator *m)
{
	uint64_t flags = below(m, 3);

	for (unsigned bit = 2; bit < 8; bit++)
		if (one_in(m, 8))
			flags |= UINT64_C(1) << bit;
	return flags;
}

static uint64_t random_arg(struct mutator *m, const struct prog_arg_info *arg)
{
	uint32_t raw = below(m, 1u << arg->width);

	switch (arg->kind) {
	case PROG_ARG_PFN:
		return random_pfn(m);
	case PROG_ARG_ORDER:
		return random_order(m);
	case PROG_ARG_FLAGS:
		return random_flags(m);
	case PROG_ARG_ZONE:
		return one_in(m, 2) ? 0 : below(m, m->p->config.nr_zones);
	case PROG_ARG_NS:
		return one_in(m, 2) ? below(m, 4) * UINT64_C(1000000000) : prog_arg_from_raw(&m->p->config, arg, raw);
	case PROG_ARG_CPU:
		return one_in(m, 8) ? raw : one_in(m, 8) ? PROG_CPU_ALL : below(m, m->p->config.cpus + 1);
	case PROG_ARG_NR:
	case PROG_ARG_NR_EXACT:
	case PROG_ARG_NUM:
		return one_in(m, 2) ? raw : raw % 8;
	default:
		return prog_arg_from_raw(&m->p->config, arg, raw);
	}
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

static unsigned random_kind(struct mutator *m)
{
	static const uint8_t staple[] = { OP_ALLOC, OP_FREE, OP_ALLOC, OP_FREE, OP_ALLOC_BULK, OP_ALLOC_EXACT, OP_FREE_PART,
		                          OP_FREE_RANGE, OP_SPLIT };
	static const uint8_t threads[] = { OP_BARRIER, OP_JOIN, OP_FREE_RACE, OP_SPLIT_RACE, OP_FREE_CHECKED_RACE, OP_WALK, OP_ISOLATE,
		                           OP_CONTIG, OP_DEVICE_REGISTER, OP_DEVICE_UNREGISTER, OP_DEVICE_FLUSH, OP_MOVABLE_SET,
		                           OP_MOVABLE_FREE, OP_PIN, OP_MIGRATE, OP_COMPACT, OP_CACHE_DRAIN, OP_SERVICE,
		                           OP_STATS, OP_CHECK };
	const uint8_t *kinds;
	unsigned nr = prog_kinds(&kinds), kind = OP_ALLOC;

	for (unsigned tries = 0; tries < 16; tries++) {
		kind = one_in(m, 2) ? staple[below(m, sizeof(staple))] : kinds[below(m, nr)];
		if (m->p->config.version == 2 && one_in(m, 2)) /* such programs are about owners */
			kind = OP_BALLOON_CREATE + below(m, OP_LOOK - OP_BALLOON_CREATE + 1);
		if (m->p->config.version >= 3 && one_in(m, 3)) /* about threads */
			kind = threads[below(m, sizeof(threads))];
		if (prog_enabled(&m->p->config, kind))
			return kind;
	}
	return OP_ALLOC;
}

/* What lives just before operation at. */
static void live_before(const struct program *p, unsigned at, struct prog_live *live)
{
	live->nr_live = live->nr_dead = 0;
	for (unsigned i = 0; i < at; i++)
		prog_live_note(live, &p->ops[i], i);
}

static struct prog_op random_op(struct mutator *m, unsigned kind, const struct prog_live *live)
{
	const struct prog_kind_info *k = prog_kind(kind);
	struct prog_op op = { .kind = (uint8_t)kind, .ref = PROG_NO_REF };

	op.thread = (uint8_t)(m->p->config.version >= 3 || one_in(m, 4) ? below(m, m->p->config.threads) : 0);
	for (unsigned i = 0; i < k->nr_args; i++) {
		if (prog_arg_is_handle(k->args[i].kind))
			op.ref = prog_live_at(live, k->args[i].kind, one_in(m, 2) ? below(m, 4) : below(m, 256));
		else
			op.arg[i] = random_arg(m, &k->args[i]);
	}
	return op;
}

/* Opens a gap of nr operations at at, references adjusted. False: no room. */
static bool open_gap(struct mutator *m, unsigned at, unsigned nr)
{
	struct program *p = m->p;

	if (p->nr_ops + nr > m->most_ops)
		return false;
	memmove(&p->ops[at + nr], &p->ops[at], (p->nr_ops - at) * sizeof(p->ops[0]));
	p->nr_ops += nr;
	for (unsigned i = at + nr; i < p->nr_ops; i++)
		if (p->ops[i].ref != PROG_NO_REF && p->ops[i].ref >= at)
			p->ops[i].ref = (uint16_t)(p->ops[i].ref + nr);
	return true;
}

/* Operations are made one after the other, since each may use what the one before yields. */
static void fill_gap(struct mutator *m, unsigned at, const uint8_t kinds[], unsigned nr)
{
	struct prog_live live;

	live_before(m->p, at, &live);
	for (unsigned i = 0; i < nr; i++) {
		struct prog_op op = random_op(m, kinds[i], &live);
		int handle = prog_handle_arg(kinds[i]);

		if (handle >= 0 && op.ref == PROG_NO_REF)
			op = random_op(m, OP_ALLOC, &live);
		m->p->ops[at + i] = op;
		prog_live_note(&live, &op, at + i);
	}
}

static void insert_ops(struct mutator *m)
{
	unsigned at = below(m, m->p->nr_ops + 1), nr = one_in(m, 3) ? 1 + below(m, 8) : 1;
	uint8_t kinds[8];

	for (unsigned i = 0; i < nr; i++)
		kinds[i] = (uint8_t)random_kind(m);
	if (open_gap(m, at, nr))
		fill_gap(m, at, kinds, nr);
}

/* Many of one kind: to empty a zone, to fill a cache, to make holes. */
static void insert_many(struct mutator *m)
{
	unsigned at = below(m, m->p->nr_ops + 1), nr = 2 + below(m, one_in(m, 4) ? 60 : 12);
	uint8_t kinds[62];

	memset(kinds, (int)random_kind(m), sizeof(kinds));
	if (!open_gap(m, at, nr))
		return;
	fill_gap(m, at, kinds, nr);
	for (unsigned i = 1; i < nr; i++)
		if (m->p->ops[at + i].kind == m->p->ops[at].kind && one_in(m, 2) == 0)
			memcpy(m->p->ops[at + i].arg, m->p->ops[at].arg, sizeof(m->p->ops[0].arg));
}

static void delete_ops(struct mutator *m)
{
	bool keep[PROG_OPS_MAX];
	unsigned at = below(m, m->p->nr_ops), nr = one_in(m, 3) ? 1 + below(m, m->p->nr_ops / 2 + 1) : 1;
	struct program *p = m->p;
	unsigned other = PROG_NO_REF;

	for (unsigned i = 0; i < p->nr_ops; i++) {
		keep[i] = i < at || i >= at + nr;
		if (i < at && prog_kind(p->ops[i].kind)->yields && one_in(m, 2))
			other = i;
	}
	/* now and then what used the deleted results uses another instead */
	for (unsigned i = at + nr; i < p->nr_ops && one_in(m, 8) == 0; i++)
		if (p->ops[i].ref != PROG_NO_REF && p->ops[i].ref >= at && p->ops[i].ref < at + nr && one_in(m, 2))
			p->ops[i].ref = (uint16_t)other;
	prog_select(p, keep);
}

/* Operations that mean something together: each uses what the first of them was granted, and asks for the same order. */
static void insert_chain(struct mutator *m)
{
	static const uint8_t chains[][6] = {
		{ OP_ALLOC, OP_FREE, OP_PURGE_DEAD },
		{ OP_ALLOC, OP_FREE, OP_WINDOW_DEAD, OP_ALLOC_WINDOW },
		{ OP_ALLOC, OP_ALLOC, OP_FREE, OP_WINDOW_DEAD, OP_ALLOC_WINDOW, OP_FREE },
		{ OP_ALLOC, OP_FREE, OP_SERVICE, OP_CLOCK_ADVANCE, OP_SERVICE },
		{ OP_SERVICE, OP_CLOCK_ADVANCE, OP_ALLOC, OP_FREE, OP_SERVICE },
		{ OP_SERVICE, OP_CLOCK_ADVANCE, OP_SERVICE, OP_CLOCK_ADVANCE, OP_SERVICE },
		{ OP_CACHE_DISABLE, OP_ALLOC, OP_FREE, OP_CACHE_ENABLE },
		{ OP_ALLOC_BULK, OP_FREE_PART, OP_FREE_PART, OP_CACHE_DRAIN },
	};
	const uint8_t *kinds = chains[below(m, sizeof(chains) / sizeof(chains[0]))];
	const unsigned at = below(m, m->p->nr_ops + 1);
	const uint64_t order = random_order(m);
	unsigned nr = 0;

	while (nr < sizeof(chains[0]) && kinds[nr])
		if (!prog_enabled(&m->p->config, kinds[nr++]))
			return;
	if (!open_gap(m, at, nr))
		return;
	fill_gap(m, at, kinds, nr);
	for (unsigned i = 0; i < nr; i++) {
		struct prog_op *op = &m->p->ops[at + i];

		if (prog_handle_arg(op->kind) >= 0)
			op->ref = (uint16_t)at;
		if (op->kind == OP_ALLOC || op->kind == OP_ALLOC_WINDOW)
			op->arg[0] = order;
		if (op->kind == OP_CLOCK_ADVANCE && !one_in(m, 4))
			op->arg[0] = UINT64_C(1000000000) * (1 + below(m, 3));
	}
}

/* Copies [from, from + nr) to at. References inside the copy stay inside, others stay as they are. */
static void copy_block(struct mutator *m, unsigned from, unsigned nr, unsigned at)
{
	struct prog_op block[64];

	memcpy(block, &m->p->ops[from], nr * sizeof(block[0]));
	if (!open_gap(m, at, nr))
		return;
	for (unsigned i = 0; i < nr; i++) {
		struct prog_op *op = &block[i];

		if (op->ref != PROG_NO_REF && op->ref >= from)
			op->ref = (uint16_t)(at + (op->ref - from));
		else if (op->ref != PROG_NO_REF && op->ref >= at)
			op->ref = (uint16_t)(op->ref + nr);
		m->p->ops[at + i] = *op;
	}
}

static void repeat_block(struct mutator *m)
{
	unsigned from = below(m, m->p->nr_ops), left = m->p->nr_ops - from;
	unsigned nr = 1 + below(m, left < 16 ? left : 16), times = one_in(m, 4) ? 2 + below(m, 14) : 1;
	unsigned at = one_in(m, 2) ? from + nr : below(m, m->p->nr_ops + 1);

	for (unsigned i = 0; i < times; i++)
		if (at >= from + nr || at <= from)
			copy_block(m, at <= from ? from + i * nr : from, nr, at);
}

static void swap_ops(struct mutator *m)
{
	struct program *p = m->p;
	unsigned a = below(m, p->nr_ops), b = one_in(m, 2) ? a + 1 : below(m, p->nr_ops);
	struct prog_op op;

	if (b >= p->nr_ops || a == b)
		return;
	op = p->ops[a];
	p->ops[a] = p->ops[b];
	p->ops[b] = op;
	for (unsigned i = 0; i < p->nr_ops; i++) {
		if (p->ops[i].ref == a)
			p->ops[i].ref = (uint16_t)b;
		else if (p->ops[i].ref == b)
			p->ops[i].ref = (uint16_t)a;
	}
}

static void change_arg(struct mutator *m)
{
	unsigned at = below(m, m->p->nr_ops), arg;
	struct prog_op *op = &m->p->ops[at];
	const struct prog_kind_info *k = prog_kind(op->kind);
	struct prog_live live;

	if (one_in(m, 16) || k->nr_args == 0) {
		op->thread = (uint8_t)below(m, m->p->config.threads);
		return;
	}
	arg = below(m, k->nr_args);
	if (prog_arg_is_handle(k->args[arg].kind)) {
		live_before(m->p, at, &live);
		op->ref = prog_live_at(&live, k->args[arg].kind, below(m, 256));
	} else if (one_in(m, 3)) {
		op->arg[arg] += one_in(m, 2) ? UINT64_C(1) : ~UINT64_C(0);
	} else {
		op->arg[arg] = random_arg(m, &k->args[arg]);
	}
}

/* Another operation in the same place: what used its result may go on. */
static void change_kind(struct mutator *m)
{
	unsigned at = below(m, m->p->nr_ops), ref = m->p->ops[at].ref;
	struct prog_live live;
	struct prog_op op;

	live_before(m->p, at, &live);
	op = random_op(m, random_kind(m), &live);
	if (op.ref != PROG_NO_REF && ref != PROG_NO_REF)
		op.ref = (uint16_t)ref;
	m->p->ops[at] = op;
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

/* On the header's bytes, whose large values stand for favourites. */
static void change_config(struct mutator *m)
{
	static const struct {
		uint8_t at, nr;
	} fields[] = {
		{ 7, 1 },  { 8, 1 },  { 9, 1 },  { 10, 1 }, { 11, 1 }, { 12, 1 }, { 13, 1 }, { 14, 1 }, { 15, 1 }, { 16, 1 },
		{ 17, 1 }, { 18, 1 }, { 19, 1 }, { 20, 1 }, { 21, 1 }, { 22, 2 }, { 24, 1 }, { 25, 3 }, { 28, 3 }, { 31, 3 }, { 34, 3 }, { 37, 2 }, { 39, 2 }, { 41, 1 },
		{ 42, 3 }, { 45, 1 }, { 46, 9 }, { 46, 2 }, { 48, 2 }, { 50, 1 }, { 51, 3 }, { 54, 1 }, { 55, 9 }, { 10, 5 },
	};
	uint8_t header[PROG_HEADER_BYTES];
	unsigned field = below(m, sizeof(fields) / sizeof(fields[0]));

	if (one_in(m, 6)) { /* random bytes mean a level rarely, since older inputs have none */
		m->p->config.hardening = below(m, 4);
		if (one_in(m, 2)) {
			m->p->config.hardening = 3;
			m->p->config.quarantine = one_in(m, 4) ? below(m, PROG_QUARANTINE_DEFAULT + 1) : below(m, 6);
			m->p->config.poison = (enum prog_poison)below(m, PROG_POISONS);
		}
		return;
	}

	prog_config_encode(&m->p->config, header);
	if (fields[field].at == 7) /* zones that come into being are no empty ones */
		for (unsigned i = 37 + 9 * m->p->config.nr_zones; i < PROG_HEADER_BYTES; i++)
			header[i] = (uint8_t)below(m, 256);
	for (unsigned i = 0; i < fields[field].nr; i++)
		header[fields[field].at + i] = (uint8_t)below(m, 256);
	prog_config_decode(header, &m->p->config);
}

static void change_swarm(struct mutator *m)
{
	struct prog_config *c = &m->p->config;

	if (one_in(m, 4))
		c->swarm = 0;
	else if (one_in(m, 2))
		c->swarm = (uint32_t)prog_random(&m->state);
	else
		c->swarm = (c->swarm ? c->swarm : prog_swarm_all()) ^ 1u << below(m, PROG_GROUPS);
}

static void change_schedule(struct mutator *m)
{
	struct program *p = m->p;

	if (p->nr_schedule < PROG_SCHEDULE_MAX && one_in(m, 2))
		p->schedule[p->nr_schedule++] = (uint8_t)below(m, 256);
	else if (p->nr_schedule && one_in(m, 2))
		p->nr_schedule--;
	else if (p->nr_schedule)
		p->schedule[below(m, p->nr_schedule)] = (uint8_t)below(m, 256);
}

static void mutate_once(struct mutator *m)
{
	/* Of a program of several threads the schedule is half of what there is to say. */
	unsigned what = m->p->config.version >= 3 && m->p->config.threads > 1 && one_in(m, 3) ? 24 : below(m, 26);

	if (m->p->nr_ops == 0 || what < 6)
		insert_ops(m);
	else if (what < 8)
		insert_many(m);
	else if (what < 10)
		delete_ops(m);
	else if (what < 12)
		repeat_block(m);
	else if (what < 13)
		swap_ops(m);
	else if (what < 18)
		change_arg(m);
	else if (what < 20)
		change_kind(m);
	else if (what < 22)
		change_config(m);
	else if (what < 24)
		insert_chain(m);
	else if (what < 25 && m->p->config.threads > 1)
		change_schedule(m);
	else
		change_swarm(m);
	prog_canonicalise(m->p);
}

/* Cuts off what does not fit. */
static unsigned fit(struct program *p, size_t max_bytes)
{
	size_t room = max_bytes > PROG_HEADER_BYTES ? max_bytes - PROG_HEADER_BYTES : 0;
	size_t most = room / PROG_OP_BYTES;

	if (p->nr_ops > most)
		p->nr_ops = (unsigned)most;
	room -= (size_t)p->nr_ops * PROG_OP_BYTES;
	if (p->nr_schedule > room)
		p->nr_schedule = (unsigned)room;
	most = (max_bytes > PROG_HEADER_BYTES + p->nr_schedule ? max_bytes - PROG_HEADER_BYTES - p->nr_schedule : 0);
	most /= PROG_OP_BYTES;
	return (unsigned)(most < PROG_OPS_MAX ? most : PROG_OPS_MAX);
}

void prog_mutate(struct program *p, size_t max_bytes, uint64_t seed)
{
	struct mutator m = { .p = p, .state = seed, .most_ops = fit(p, max_bytes) };

	do
		mutate_once(&m);
	while (!one_in(&m, 3));
	fit(p, max_bytes);
}

/* The configuration and both ends of a, and in between a stretch of b. */
void prog_crossover(const struct program *a, const struct program *b, struct program *out, size_t max_bytes,
                    uint64_t seed)
{
	struct mutator m = { .p = out, .state = seed };
	unsigned at = below(&m, a->nr_ops + 1), from = below(&m, b->nr_ops + 1);
	unsigned nr = below(&m, b->nr_ops - from + 1), nr_head;
	struct prog_live live;

	*out = *a;
	m.most_ops = fit(out, max_bytes);
	at = at < out->nr_ops ? at : out->nr_ops;
	nr_head = at;
	if (nr > m.most_ops - out->nr_ops)
		nr = m.most_ops - out->nr_ops;
	live_before(out, at, &live);
	if (nr && open_gap(&m, at, nr)) {
		for (unsigned i = 0; i < nr; i++) {
			struct prog_op *op = &out->ops[nr_head + i];

			*op = b->ops[from + i];
			if (op->ref == PROG_NO_REF)
				continue;
			if (op->ref >= from) {
				op->ref = (uint16_t)(op->ref - from + nr_head);
			} else {
				/* a result that stayed behind in b: one of a's instead */
				int arg = prog_handle_arg(op->kind);

				op->ref = prog_live_at(&live, prog_kind(op->kind)->args[arg].kind, below(&m, 256));
			}
		}
	}
	if (one_in(&m, 4))
		out->config = b->config;
	prog_canonicalise(out);
	fit(out, max_bytes);
}

size_t prog_mutate_bytes(uint8_t *bytes, size_t nr, size_t most, uint64_t seed)
{
	struct mutator m = { .state = seed };

	do {
		unsigned at = below(&m, (unsigned)nr + 1);

		if (nr < most && one_in(&m, 3)) {
			memmove(bytes + at + 1, bytes + at, nr - at);
			bytes[at] = (uint8_t)below(&m, 256);
			nr++;
		} else if (at < nr && nr > 1 && one_in(&m, 4)) {
			memmove(bytes + at, bytes + at + 1, nr - at - 1);
			nr--;
		} else if (at < nr) {
			bytes[at] = (uint8_t)(one_in(&m, 2) ? below(&m, 256) : bytes[at] ^ 1u << below(&m, 8));
		}
	} while (!one_in(&m, 4));
	return nr;
}
