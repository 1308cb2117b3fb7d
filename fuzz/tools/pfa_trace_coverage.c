/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_coverage.c - which operations, and which pairs of operations one after the other, a set of inputs carries
 * out. What was skipped does not count.
 */
#include "pfa_trace.h"

#include <stdlib.h>
#include <string.h>

struct counts {
	unsigned long done[OP_KINDS], skipped[OP_KINDS], refused[OP_KINDS];
	bool pair[OP_KINDS][OP_KINDS];
	unsigned last; /* kind of the operation before, OP_NONE at the start */
};

static struct counts counts;

static void on_step(void *ctx, const struct program *p, const struct exec_step *s)
{
	struct counts *c = ctx;
	unsigned kind = p->ops[s->index].kind;

	if (s->skipped) {
		c->skipped[kind]++;
		return;
	}
	c->done[kind]++;
	c->refused[kind] += s->code != PFA_OK;
	if (c->last != OP_NONE)
		c->pair[c->last][kind] = true;
	c->last = kind;
}

static bool count_one(const struct trace_options *o, const char *path)
{
	static struct trace_input in;
	struct exec_options options;
	struct exec_result result;

	if (!trace_load(o, path, &in))
		return false;
	if (!in.is_raw && trace_exec_options(o, in.program, &options)) {
		options.on_step = on_step;
		options.ctx = &counts;
		counts.last = OP_NONE;
		exec_run(in.program, &options, &result);
	}
	free(in.program);
	return true;
}

static void put_missing(FILE *f, const uint8_t *kinds, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		unsigned missing = 0;

		for (unsigned k = 0; k < nr; k++)
			missing += !counts.pair[kinds[i]][kinds[k]];
		fprintf(f, "| %s | %lu | %lu | %lu | %u |\n", prog_kind(kinds[i])->name, counts.done[kinds[i]],
		        counts.refused[kinds[i]], counts.skipped[kinds[i]], nr - missing);
	}
}

int trace_coverage(const struct trace_options *o)
{
	const uint8_t *kinds;
	unsigned nr = prog_kinds(&kinds), covered = 0, pairs = 0;
	FILE *f;

	for (int i = 0; i < o->nr_inputs; i++)
		if (!count_one(o, o->inputs[i]))
			return TRACE_USAGE;
	f = trace_open(o->output);
	if (!f)
		return TRACE_USAGE;
	fprintf(f, "| operation | carried out | not OK | skipped | operations seen right after it |\n|---|---:|---:|---:|---:|\n");
	put_missing(f, kinds, nr);
	for (unsigned i = 0; i < nr; i++) {
		covered += counts.done[kinds[i]] > 0;
		for (unsigned k = 0; k < nr; k++)
			pairs += counts.pair[kinds[i]][kinds[k]];
	}
	fprintf(f, "\n%d inputs: %u of %u operations, %u of %u pairs\n", o->nr_inputs, covered, nr, pairs, nr * nr);
	return trace_close(f, o->output) ? TRACE_FINE : TRACE_USAGE;
}
