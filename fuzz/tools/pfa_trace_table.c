/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_table.c - what the operation table says of itself: documentation and dictionaries.
 */
#include "pfa_trace.h"

#include <string.h>

static void put_syntax(FILE *f, const struct prog_kind_info *k)
{
	fprintf(f, "%s%s", k->yields ? "x = " : "", k->name);
	for (unsigned i = 0; i < k->nr_args; i++) {
		if (k->args[i].name[0])
			fprintf(f, " %s=%s", k->args[i].name, prog_argkind_name(k->args[i].kind));
		else
			fprintf(f, " %s", prog_argkind_name(k->args[i].kind));
	}
}

int trace_ops(const struct trace_options *o)
{
	FILE *f = trace_open(o->output);
	const uint8_t *kinds;
	unsigned nr = prog_kinds(&kinds);

	if (!f)
		return TRACE_USAGE;
	fprintf(f, "# The operations of the fuzz harness\n\nMade by `pfa-trace ops` from fuzz/common/ops.def. %u kinds.\n\n", nr);
	fprintf(f, "A program is a line `pfa-trace %u target=T seed=N`, a line `config`, up to %u lines `zone`, up to %u "
	           "operations, one a line, and perhaps a line `schedule`. An argument that is not mentioned has its smallest "
	           "value.\n", PROG_VERSION, PROG_ZONES_MAX, PROG_OPS_MAX);
	for (unsigned group = 0; group < PROG_GROUPS; group++) {
		fprintf(f, "\n## %s: %s\n\n| kind | text | effect |\n|---:|---|---|\n", prog_group_name(group),
		        prog_group_doc(group));
		for (unsigned i = 0; i < nr; i++) {
			const struct prog_kind_info *k = prog_kind(kinds[i]);

			if (k->group != group)
				continue;
			fprintf(f, "| %u | `", k->number);
			put_syntax(f, k);
			fprintf(f, "` | %s |\n", k->doc);
		}
	}
	fprintf(f, "\n## Arguments\n\n| kind | meaning |\n|---|---|\n");
	for (unsigned i = 0; i < PROG_ARGKINDS; i++)
		fprintf(f, "| %s | %s |\n", prog_argkind_name((enum prog_argkind)i), prog_argkind_doc((enum prog_argkind)i));
	fprintf(f, "\n## What `config bad=` and `init_raw` spoil\n\n");
	for (unsigned i = 0; prog_spoil_name(i); i++)
		fprintf(f, "%s%u %s", i ? ", " : "", i, prog_spoil_name(i));
	fprintf(f, "\n");
	return trace_close(f, o->output) ? TRACE_FINE : TRACE_USAGE;
}

static void put_words(FILE *f)
{
	static const char *const words[] = {
		"pfa-trace 1 target=core seed=0\\x0a", "config ", "zone 0 pfn=0..255\\x0a", "zone 1 pfn=256..511", "schedule raw=",
		"raw 00", "t0: ", "t1: ", "a = ", "b = ", " a", "\\x0a", "#", "#= ", "frame_shift=12", "max_order=8",
		"pageblock_order=6", "cpus=2", "cache=4/16", "cache=default/none", "cache_order=0", "hardening=1", "huge=1", "threads=2",
		"cpu_way=offset", "cpu_way=none", "pool=absent", "pool=none", "pool=zero_op", "zero=both", "meta=zeroed", "policy=abort", "check=full",
		"bad=holes:1", "swarm=block,cache", "hole=8..9", "cma=64..127", "marks=8/16/24", "highatomic=64", "..", "all",
		"movable", "reclaimable", "unmovable", ",zero", ",nowait", ",high", ",exact", "quiescent,frames",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		fprintf(f, "\"%s\"\n", words[i]);
}

int trace_dict(const struct trace_options *o)
{
	FILE *f = trace_open(o->output);
	const uint8_t *kinds;
	unsigned nr = prog_kinds(&kinds);

	if (!f)
		return TRACE_USAGE;
	fprintf(f, "# made by pfa-trace dict from fuzz/common/ops.def\n");
	if (o->text)
		put_words(f);
	for (unsigned i = 0; i < nr; i++) {
		const struct prog_kind_info *k = prog_kind(kinds[i]);

		if (!o->text) {
			fprintf(f, "op_%s=\"\\x%02x\\x00\\x00\\x00\"\n", k->name, k->number);
			continue;
		}
		fprintf(f, "\"%s\"\n", k->name);
		for (unsigned a = 0; a < k->nr_args; a++)
			if (k->args[a].name[0])
				fprintf(f, "\" %s=\"\n", k->args[a].name);
	}
	return trace_close(f, o->output) ? TRACE_FINE : TRACE_USAGE;
}
