/* SPDX-License-Identifier: MIT
 *
 * prog_table.c - the operation table as data, and the names that the text form uses.
 */
#include "prog_internal.h"

#include <pfa/types.h>
#include <string.h>

#define PFA_NO_ARGS
#define PFA_ARG(ID, name, low, width) { PROG_ARG_##ID, name, low, width }
#define PFA_COUNT(...) ((uint8_t)(sizeof((struct prog_arg_info[]){ __VA_ARGS__ }) / sizeof(struct prog_arg_info)))

static const struct prog_kind_info kinds[OP_KINDS] = {
#define PFA_OP(number, ID, name, group, since, result, doc, ...)                                                     \
	[number] = { name, #ID, doc, number, PROG_GROUP_##group, since, PFA_COUNT(__VA_ARGS__), result,              \
	             { __VA_ARGS__ } },
#include "ops.def"
#undef PFA_OP
};

/* Two kinds with one number would be a silent overwrite above; here they are an error. */
static const uint8_t numbers[] = {
#define PFA_OP(number, ID, name, group, since, result, doc, ...) number,
#include "ops.def"
#undef PFA_OP
};
#undef PFA_ARG
#undef PFA_NO_ARGS
union prog_numbers_are_unique {
#define PFA_NO_ARGS
#define PFA_ARG(...)
#define PFA_OP(number, ID, name, group, since, result, doc, ...) char number_##number;
#include "ops.def"
#undef PFA_OP
#undef PFA_ARG
#undef PFA_NO_ARGS
};

static const struct {
	const char *name, *doc;
} groups[PROG_GROUPS] = {
#define PFA_GROUP(bit, ID, name, doc) [bit] = { name, doc },
#include "groups.def"
#undef PFA_GROUP
};

static const struct {
	const char *name, *doc;
} argkinds[PROG_ARGKINDS] = {
#define PFA_ARGKIND(ID, doc) [PROG_ARG_##ID] = { #ID, doc },
#include "args.def"
#undef PFA_ARGKIND
};

static const char *const sites[PROG_SITES] = {
#define PFA_SITE(number, ID, name, doc) [number] = name,
#include "sites.def"
#undef PFA_SITE
};
static const char *const results[PROG_RESULTS] = {
#define PFA_RESULT(number, ID, name) [number] = name,
#include "results.def"
#undef PFA_RESULT
};
static const char *const spoils[PROG_SPOILS] = {
#define PFA_SPOIL(number, ID, name) [number] = name,
#include "spoils.def"
#undef PFA_SPOIL
};
static const char *const foreigns[PROG_FOREIGNS] = { "null", "stack", "heap", "before", "after", "inside", "other" };
static const char *const fars[PROG_FARS] = {
	"max", "max_minus_1", "half", "u32", "below", "above", "sign", "zero_minus_block",
};
static const char *const whats[] = { "buddyinfo", "pagetypeinfo", "json", "map", "live" };

#define NAME_OF(table, value) ((value) < sizeof(table) / sizeof((table)[0]) ? (table)[value] : NULL)

const char *prog_site_name(unsigned value)
{
	return NAME_OF(sites, value);
}

const char *prog_result_name(unsigned value)
{
	return NAME_OF(results, value);
}

const char *prog_poison_name(unsigned value)
{
	static const char *const names[PROG_POISONS] = { "none", "lines", "all", "zero" };

	return NAME_OF(names, value);
}

const char *prog_spoil_name(unsigned value)
{
	return NAME_OF(spoils, value);
}

const char *prog_foreign_name(unsigned value)
{
	return NAME_OF(foreigns, value);
}

const char *prog_far_name(unsigned value)
{
	return NAME_OF(fars, value);
}

const char *prog_what_name(unsigned value)
{
	return NAME_OF(whats, value);
}

const char *prog_group_name(unsigned group)
{
	return group < PROG_GROUPS ? groups[group].name : NULL;
}

const char *prog_group_doc(unsigned group)
{
	return group < PROG_GROUPS ? groups[group].doc : NULL;
}

const char *prog_argkind_name(enum prog_argkind kind)
{
	return kind < PROG_ARGKINDS ? argkinds[kind].name : NULL;
}

const char *prog_argkind_doc(enum prog_argkind kind)
{
	return kind < PROG_ARGKINDS ? argkinds[kind].doc : NULL;
}

uint32_t prog_swarm_all(void)
{
	return (uint32_t)((UINT64_C(1) << PROG_GROUPS) - 1);
}

const struct prog_kind_info *prog_kind(unsigned kind)
{
	return kind < OP_KINDS && kinds[kind].name ? &kinds[kind] : NULL;
}

unsigned prog_kinds(const uint8_t **out)
{
	*out = numbers;
	return sizeof(numbers);
}

unsigned prog_kind_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(numbers); i++) {
		const char *candidate = kinds[numbers[i]].name;

		if (strlen(candidate) == len && memcmp(candidate, name, len) == 0)
			return numbers[i];
	}
	return OP_NONE;
}

bool prog_arg_is_handle(enum prog_argkind kind)
{
	return kind == PROG_ARG_HANDLE || kind == PROG_ARG_HANDLE_END || kind == PROG_ARG_DEAD;
}

int prog_handle_arg(unsigned kind)
{
	const struct prog_kind_info *k = prog_kind(kind);

	for (unsigned i = 0; k && i < k->nr_args; i++)
		if (prog_arg_is_handle(k->args[i].kind))
			return (int)i;
	return -1;
}

bool prog_ends_handle(unsigned kind)
{
	int arg = prog_handle_arg(kind);

	return arg >= 0 && kinds[kind].args[arg].kind == PROG_ARG_HANDLE_END;
}

bool prog_enabled(const struct prog_config *cfg, unsigned kind)
{
	const struct prog_kind_info *k = prog_kind(kind);

	return k && k->since <= cfg->version && (cfg->swarm == 0 || (cfg->swarm >> k->group & 1));
}

uint32_t prog_flags(uint64_t flags, uint64_t zone)
{
	static const uint32_t bits[] = { PFA_ZERO, PFA_NOWAIT, PFA_HIGH, PFA_COMPACT, PFA_NORETRY, PFA_EXACT_ZONE };
	uint32_t out = (uint32_t)(flags & 3);

	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (flags >> (2 + i) & 1)
			out |= bits[i];
	return out | PFA_ZONE(zone);
}

/*
 * Bytes that are no kind's number stand for the operations that programs are mostly made of, so that mutations that
 * know nothing of the table give useful programs. Fixed for ever, as the numbers are: stored inputs depend on it.
 */
static const uint8_t common_kinds[] = {
	OP_ALLOC, OP_FREE, OP_ALLOC, OP_FREE, OP_ALLOC_BULK, OP_FREE_BULK, OP_ALLOC_EXACT, OP_FREE_RANGE,
	OP_ALLOC, OP_FREE_PART, OP_SPLIT, OP_ALLOC_WINDOW, OP_FREE, OP_SET_CPU, OP_ALLOC, OP_FREE_RANGE_PART, OP_CACHE_DRAIN,
};

unsigned prog_kind_of_byte(const struct prog_config *cfg, uint8_t byte)
{
	unsigned kind = byte, enabled = 0;

	if (!prog_kind(kind) || kinds[kind].since > cfg->version)
		kind = common_kinds[byte % sizeof(common_kinds)];
	if (prog_enabled(cfg, kind))
		return kind;
	for (size_t i = 0; i < sizeof(numbers); i++)
		enabled += prog_enabled(cfg, numbers[i]);
	/* never zero: the group of single blocks is always on */
	for (unsigned i = 0, skip = byte % enabled;; i++)
		if (prog_enabled(cfg, numbers[i]) && skip-- == 0)
			return numbers[i];
}
