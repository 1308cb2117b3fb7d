/* SPDX-License-Identifier: MIT
 *
 * prog_args.c - values of arguments, and which handles an operation may name.
 */
#include "prog_internal.h"

#include <string.h>

#define NS_DIGITS_MAX 4095u
#define NS_ZEROS_MAX 9u

static uint64_t arg_low(const struct prog_config *cfg, enum prog_argkind kind)
{
	uint32_t start = prog_span_start(cfg);

	if (kind == PROG_ARG_PFN)
		return start < PROG_PFN_SLACK ? 0 : start - PROG_PFN_SLACK;
	return kind == PROG_ARG_NR || kind == PROG_ARG_NR_EXACT;
}

/* How many values there are, from arg_low() on; for the kinds that are plain intervals. */
static uint64_t arg_count(const struct prog_config *cfg, const struct prog_arg_info *arg)
{
	uint64_t all = UINT64_C(1) << arg->width, count;

	switch (arg->kind) {
	case PROG_ARG_ORDER:
		count = cfg->max_order + 1;
		break;
	case PROG_ARG_NR_EXACT:
		count = UINT64_C(1) << cfg->max_order;
		break;
	case PROG_ARG_ZONE:
		count = cfg->nr_zones;
		break;
	case PROG_ARG_PFN:
		count = prog_span_end(cfg) + PROG_PFN_SLACK - arg_low(cfg, PROG_ARG_PFN);
		break;
	case PROG_ARG_WHAT:
		for (count = 0; prog_what_name((unsigned)count);)
			count++;
		break;
	case PROG_ARG_SITE:
		count = PROG_SITES;
		break;
	case PROG_ARG_RESULT:
		count = PROG_RESULTS;
		break;
	case PROG_ARG_FOREIGN:
		count = PROG_FOREIGNS;
		break;
	case PROG_ARG_FAR:
		count = PROG_FARS;
		break;
	default: /* NR, NUM, CPU, LEVEL: all that the bits can say */
		count = all;
	}
	return count < all ? count : all;
}

void prog_arg_range(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t *low, uint64_t *high)
{
	*low = arg_low(cfg, arg->kind);
	*high = *low + arg_count(cfg, arg) - 1;
}

static uint64_t flags_fix(uint64_t value)
{
	return (value & 0xFF) - ((value & 3) == 3 ? 2 : 0);
}

static uint64_t run_of(uint32_t raw)
{
	if (raw >= 63)
		return PROG_RUN_ALL;
	return raw < 32 ? raw + 1 : (raw - 31) * 64;
}

static uint64_t run_fix(uint64_t value)
{
	if (value == 0)
		return 1;
	if (value <= 32 || value == PROG_RUN_ALL)
		return value;
	return value >= 1984 ? 1984 : (value + 63) / 64 * 64;
}

static uint64_t ns_fix(uint64_t value)
{
	uint64_t scale = 1;

	for (unsigned zeros = 0; value > NS_DIGITS_MAX; zeros++) {
		if (zeros == NS_ZEROS_MAX)
			return NS_DIGITS_MAX * scale;
		value /= 10;
		scale *= 10;
	}
	return value * scale;
}

uint64_t prog_arg_fix(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t value)
{
	uint64_t low = arg_low(cfg, arg->kind);

	switch (arg->kind) {
	case PROG_ARG_HANDLE:
	case PROG_ARG_HANDLE_END:
	case PROG_ARG_DEAD:
		return 0;
	case PROG_ARG_FLAGS:
		return flags_fix(value);
	case PROG_ARG_RUN:
		return run_fix(value);
	case PROG_ARG_NS:
		return ns_fix(value);
	default:
		return low + (value < low ? 0 : (value - low) % arg_count(cfg, arg));
	}
}

uint64_t prog_arg_from_raw(const struct prog_config *cfg, const struct prog_arg_info *arg, uint32_t raw)
{
	uint64_t ns = raw & 0xFFF;

	switch (arg->kind) {
	case PROG_ARG_RUN:
		return run_of(raw);
	case PROG_ARG_NS:
		for (uint32_t zeros = (raw >> 12) % (NS_ZEROS_MAX + 1); zeros > 0; zeros--)
			ns *= 10;
		return ns;
	default:
		return prog_arg_fix(cfg, arg, arg_low(cfg, arg->kind) + raw);
	}
}

uint32_t prog_arg_to_raw(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t value)
{
	uint32_t zeros = 0;

	switch (arg->kind) {
	case PROG_ARG_RUN:
		if (value == PROG_RUN_ALL)
			return 63;
		return (uint32_t)(value <= 32 ? value - 1 : 31 + value / 64);
	case PROG_ARG_NS:
		for (; value > 0 && value % 10 == 0 && zeros < NS_ZEROS_MAX; zeros++)
			value /= 10;
		return (uint32_t)value | zeros << 12;
	default:
		return (uint32_t)(value - arg_low(cfg, arg->kind));
	}
}

uint64_t prog_arg_default(const struct prog_config *cfg, const struct prog_arg_info *arg)
{
	return prog_arg_from_raw(cfg, arg, 0);
}

/* ---- handles ---------------------------------------------------------------------------------------------------- */

uint16_t prog_live_at(const struct prog_live *l, enum prog_argkind kind, unsigned byte)
{
	const uint16_t *list = kind == PROG_ARG_DEAD ? l->dead : l->live;
	unsigned nr = kind == PROG_ARG_DEAD ? l->nr_dead : l->nr_live;
	unsigned reach = nr < PROG_LIVE_MAX ? nr : PROG_LIVE_MAX;

	return reach ? list[nr - 1 - byte % reach] : PROG_NO_REF;
}

int prog_live_byte(const struct prog_live *l, enum prog_argkind kind, unsigned ref)
{
	const uint16_t *list = kind == PROG_ARG_DEAD ? l->dead : l->live;
	unsigned nr = kind == PROG_ARG_DEAD ? l->nr_dead : l->nr_live;

	for (unsigned byte = 0; byte < nr && byte < PROG_LIVE_MAX; byte++)
		if (list[nr - 1 - byte] == ref)
			return (int)byte;
	return -1;
}

void prog_live_note(struct prog_live *l, const struct prog_op *op, unsigned index)
{
	if (prog_ends_handle(op->kind)) {
		unsigned at = l->nr_live;

		while (l->live[--at] != op->ref)
			;
		memmove(&l->live[at], &l->live[at + 1], (l->nr_live - at - 1) * sizeof(l->live[0]));
		l->nr_live--;
		l->dead[l->nr_dead++] = op->ref;
	}
	if (prog_kind(op->kind)->yields)
		l->live[l->nr_live++] = (uint16_t)index;
}
