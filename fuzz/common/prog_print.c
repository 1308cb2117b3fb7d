/* SPDX-License-Identifier: MIT
 *
 * prog_print.c - the text form of a program.
 */
#include "prog_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct sink {
	char *out;
	size_t capacity, len; /* len goes on where the text does not fit */
};

__attribute__((format(printf, 2, 3))) static void put(struct sink *s, const char *format, ...)
{
	va_list args;
	size_t left = s->len < s->capacity ? s->capacity - s->len : 0;
	int nr;

	va_start(args, format);
	nr = vsnprintf(left ? s->out + s->len : NULL, left, format, args);
	va_end(args);
	s->len += nr > 0 ? (size_t)nr : 0;
}

static size_t finish(struct sink *s)
{
	if (s->capacity)
		s->out[s->len < s->capacity ? s->len : s->capacity - 1] = 0;
	return s->len;
}

/* 0 -> a, 25 -> z, 26 -> aa, ... */
static void letters(unsigned n, char out[8])
{
	char reverse[8];
	unsigned nr = 0;

	for (n++; n; n = (n - 1) / 26)
		reverse[nr++] = (char)('a' + (n - 1) % 26);
	for (unsigned i = 0; i < nr; i++)
		out[i] = reverse[nr - 1 - i];
	out[nr] = 0;
}

void prog_handle_name(const struct program *p, unsigned index, char out[8])
{
	unsigned before = 0;

	out[0] = 0;
	if (index >= p->nr_ops || !prog_kind(p->ops[index].kind)->yields)
		return;
	for (unsigned i = 0; i < index; i++)
		before += prog_kind(p->ops[i].kind)->yields;
	letters(before, out);
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static void put_cache(struct sink *s, const struct prog_config *c)
{
	if (c->cache_batch == 0 && c->cache_high == 0)
		return;
	put(s, " cache=");
	if (c->cache_batch)
		put(s, "%u", c->cache_batch);
	else
		put(s, "default");
	if (c->cache_high == PROG_CACHE_NONE)
		put(s, "/none");
	else if (c->cache_high)
		put(s, "/%u", c->cache_high);
	else
		put(s, "/default");
}

static void put_config(struct sink *s, const struct prog_config *c)
{
	static const char *const zero[] = { NULL, "pool", "track", "both" };
	static const char *const pools[PROG_POOLS] = { NULL, "absent", "none", "zero_op" };
	static const char *const ways[PROG_CPU_WAYS] = { NULL, "offset", "none" };
	unsigned tracking = (unsigned)c->zeroed_pool | (unsigned)c->track_zero << 1;

	put(s, "config frame_shift=%u max_order=%u pageblock_order=%u cpus=%u", c->frame_shift, c->max_order,
	    c->pageblock_order, c->cpus);
	if (c->cpu_way)
		put(s, " cpu_way=%s", ways[c->cpu_way]);
	put_cache(s, c);
	if (c->cache_max_order)
		put(s, " cache_order=%u", c->cache_max_order == PROG_CACHE_ORDER_0 ? 0 : c->cache_max_order);
	if (c->hardening)
		put(s, " hardening=%u", c->hardening);
	if (c->quarantine == PROG_QUARANTINE_DEFAULT)
		put(s, " quarantine=default");
	else if (c->quarantine)
		put(s, " quarantine=%u", c->quarantine);
	if (c->poison)
		put(s, " poison=%s", prog_poison_name((unsigned)c->poison));
	if (c->generations)
		put(s, " generations=on");
	if (c->history)
		put(s, " history=%u", c->history);
	if (c->traces)
		put(s, " traces=%u", c->traces);
	if (c->owners)
		put(s, " owners=%u", c->owners);
	if (c->huge)
		put(s, " huge=1");
	if (c->threads > 1)
		put(s, " threads=%u", c->threads);
	if (c->pool)
		put(s, " pool=%s", pools[c->pool]);
	if (tracking)
		put(s, " zero=%s", zero[tracking]);
	if (c->zeroed_meta)
		put(s, " meta=zeroed");
	if (c->abort_policy)
		put(s, " policy=abort");
	if (c->check == PROG_CHECK_FULL)
		put(s, " check=full");
	if (c->bad)
		put(s, " bad=%s:%u", prog_spoil_name(c->bad), c->bad_variant);
	for (unsigned i = 0, first = 1; c->swarm && i < PROG_GROUPS; i++)
		if (c->swarm >> i & 1) {
			put(s, "%s%s", first ? " swarm=" : ",", prog_group_name(i));
			first = 0;
		}
	put(s, "\n");
}

static void put_zone(struct sink *s, const struct prog_zone *z, unsigned index)
{
	put(s, "zone %u pfn=%" PRIu32 "..%" PRIu32, index, z->start, z->start + z->nr - 1);
	for (unsigned i = 0; i < z->nr_holes; i++)
		put(s, " hole=%" PRIu32 "..%" PRIu32, z->holes[i].start, z->holes[i].start + z->holes[i].nr - 1);
	if (z->cma.nr)
		put(s, " cma=%" PRIu32 "..%" PRIu32, z->cma.start, z->cma.start + z->cma.nr - 1);
	if (z->mark_high)
		put(s, " marks=%" PRIu32 "/%" PRIu32 "/%" PRIu32, z->mark_min, z->mark_low, z->mark_high);
	if (z->highatomic)
		put(s, " highatomic=%" PRIu32, z->highatomic);
	put(s, "\n");
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

static void put_flags(struct sink *s, uint64_t flags)
{
	static const char *const types[] = { "unmovable", "movable", "reclaimable" };
	static const char *const bits[] = { "zero", "nowait", "high", "compact", "noretry", "exact" };

	put(s, "%s", types[flags & 3]);
	for (unsigned i = 0; i < 6; i++)
		if (flags >> (2 + i) & 1)
			put(s, ",%s", bits[i]);
}

static void put_value(struct sink *s, enum prog_argkind kind, uint64_t value)
{
	static const char *const levels[] = { "none", "quiescent", "frames", "quiescent,frames" };
	unsigned n = (unsigned)value;

	if (kind == PROG_ARG_FLAGS)
		put_flags(s, value);
	else if (kind == PROG_ARG_LEVEL)
		put(s, "%s", levels[n & 3]);
	else if (kind == PROG_ARG_WHAT)
		put(s, "%s", prog_what_name(n));
	else if (kind == PROG_ARG_SITE)
		put(s, "%s", prog_site_name(n));
	else if (kind == PROG_ARG_RESULT)
		put(s, "%s", prog_result_name(n));
	else if (kind == PROG_ARG_FOREIGN)
		put(s, "%s", prog_foreign_name(n));
	else if (kind == PROG_ARG_FAR)
		put(s, "%s", prog_far_name(n));
	else if ((kind == PROG_ARG_RUN && value == PROG_RUN_ALL) || (kind == PROG_ARG_CPU && value == PROG_CPU_ALL))
		put(s, "all");
	else
		put(s, "%" PRIu64, value);
}

static void put_op(struct sink *s, const struct prog_op *op, const char *yields, const char *uses)
{
	const struct prog_kind_info *k = prog_kind(op->kind);

	if (op->thread)
		put(s, "t%u: ", op->thread);
	if (k->yields)
		put(s, "%s = ", yields);
	put(s, "%s", k->name);
	for (unsigned i = 0; i < k->nr_args; i++) {
		const struct prog_arg_info *arg = &k->args[i];

		if (prog_arg_is_handle(arg->kind)) {
			put(s, " %s", uses);
		} else if (arg->kind != PROG_ARG_ZONE || op->arg[i]) {
			put(s, " %s%s", arg->name, arg->name[0] ? "=" : "");
			put_value(s, arg->kind, op->arg[i]);
		}
	}
}

size_t prog_print_op(const struct program *p, unsigned index, char *out, size_t capacity)
{
	struct sink s = { out, capacity, 0 };
	char yields[8] = "", uses[8] = "";

	if (index < p->nr_ops) {
		prog_handle_name(p, index, yields);
		if (p->ops[index].ref != PROG_NO_REF)
			prog_handle_name(p, p->ops[index].ref, uses);
		put_op(&s, &p->ops[index], yields, uses);
	}
	return finish(&s);
}

/* ---- schedule ----------------------------------------------------------------------------------------------------- */

static void put_schedule(struct sink *s, const struct program *p)
{
	struct prog_switch switches[PROG_SWITCHES_MAX];
	const unsigned nr = prog_switches(p, switches);

	if (!p->nr_schedule)
		return;
	put(s, nr ? "schedule" : "schedule raw=");
	for (unsigned i = 0; i < nr; i++)
		put(s, " t%u@%u=%s:%u", switches[i].thread, switches[i].n, prog_switch_name(switches[i].kind), switches[i].arg);
	for (unsigned i = 0; i < p->nr_schedule && !nr; i++)
		put(s, "%02x", p->schedule[i]);
	put(s, "\n");
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

size_t prog_print(const struct program *p, char *out, size_t capacity)
{
	struct sink s = { out, capacity, 0 };
	uint16_t names[PROG_OPS_MAX];
	unsigned nr_names = 0;

	put(&s, "pfa-trace %u target=%s seed=%u\n", p->config.version, p->target, p->config.seed);
	put_config(&s, &p->config);
	for (unsigned i = 0; i < p->config.nr_zones; i++)
		put_zone(&s, &p->config.zones[i], i);
	for (unsigned i = 0; i < p->nr_ops; i++) {
		const struct prog_op *op = &p->ops[i];
		char yields[8] = "", uses[8] = "";

		if (prog_kind(op->kind)->yields) {
			names[i] = (uint16_t)nr_names++;
			letters(names[i], yields);
		}
		if (op->ref != PROG_NO_REF)
			letters(names[op->ref], uses);
		put_op(&s, op, yields, uses);
		put(&s, "\n");
	}
	put_schedule(&s, p);
	return finish(&s);
}

size_t prog_print_raw(const char *target, const uint8_t *bytes, size_t nr, char *out, size_t capacity)
{
	struct sink s = { out, capacity, 0 };

	put(&s, "pfa-trace 1 target=%s\n", target);
	for (size_t i = 0; i < nr; i++)
		put(&s, "%s%02x%s", i % 48 == 0 ? "raw " : "", bytes[i], i % 48 == 47 && i + 1 < nr ? "\n" : "");
	put(&s, nr ? "\n" : "raw\n");
	return finish(&s);
}
