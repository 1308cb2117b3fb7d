/* SPDX-License-Identifier: MIT
 *
 * pfa_trace_convert.c - decode, encode, to-c.
 */
#include "pfa_trace.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int trace_decode(const struct trace_options *o)
{
	static struct trace_input in;
	char *text;
	size_t nr;
	int code;

	if (!trace_load(o, o->inputs[0], &in))
		return TRACE_USAGE;
	text = malloc(PROG_TEXT_MAX);
	if (!text)
		return trace_complain("out of memory");
	if (in.is_raw)
		nr = prog_print_raw(in.program->target, in.raw, in.nr_raw, text, PROG_TEXT_MAX);
	else
		nr = prog_print(in.program, text, PROG_TEXT_MAX);
	code = trace_write(o->output, text, nr) ? TRACE_FINE : TRACE_USAGE;
	free(text);
	free(in.program);
	return code;
}

static int encode_one(const struct trace_options *o, const char *from, const char *to)
{
	static struct trace_input in;
	uint8_t bytes[PROG_BYTES_MAX];
	size_t nr;

	if (!trace_load(o, from, &in))
		return TRACE_USAGE;
	nr = in.is_raw ? in.nr_raw : prog_encode(in.program, bytes, sizeof(bytes));
	free(in.program);
	return trace_write(to, in.is_raw ? in.raw : bytes, nr) ? TRACE_FINE : TRACE_USAGE;
}

/* directory/name.bin for some/name.pfa.txt */
static bool name_in(const char *directory, const char *from, char *out, size_t capacity)
{
	const char *slash = strrchr(from, '/'), *name = slash ? slash + 1 : from;
	size_t len = strlen(name);

	if (len > 8 && strcmp(name + len - 8, ".pfa.txt") == 0)
		len -= 8;
	return (size_t)snprintf(out, capacity, "%s/%.*s.bin", directory, (int)len, name) < capacity;
}

int trace_encode(const struct trace_options *o)
{
	struct stat st;
	bool directory = o->output && stat(o->output, &st) == 0 && S_ISDIR(st.st_mode);
	int code = TRACE_FINE;
	char path[4096];

	if (!directory && o->nr_inputs > 1)
		return trace_complain("encode: many inputs need -o DIRECTORY (one that exists)");
	for (int i = 0; i < o->nr_inputs; i++) {
		int one;

		if (directory && !name_in(o->output, o->inputs[i], path, sizeof(path)))
			return trace_complain("%s: the name is too long", o->inputs[i]);
		one = encode_one(o, o->inputs[i], directory ? path : o->output);
		code = one > code ? one : code;
	}
	return code;
}

int trace_to_c(const struct trace_options *o)
{
	static struct trace_input in;
	const char *slash = strrchr(o->inputs[0], '/');
	FILE *f;

	if (!trace_load(o, o->inputs[0], &in))
		return TRACE_USAGE;
	if (in.is_raw) {
		free(in.program);
		return trace_complain("%s: these bytes are no program", o->inputs[0]);
	}
	f = trace_open(o->output);
	if (f)
		prog_to_c(in.program, slash ? slash + 1 : o->inputs[0], f);
	free(in.program);
	return f && trace_close(f, o->output) ? TRACE_FINE : TRACE_USAGE;
}
