/* SPDX-License-Identifier: MIT
 *
 * pfa_trace.c - the command line of pfa-trace, and reading and writing of its files.
 */
#include "pfa_trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX ((size_t)1 << 20)

static const struct {
	const char *name;
	int (*run)(const struct trace_options *o);
	int least, most; /* inputs; most -1: any number */
	const char *usage, *doc;
} commands[] = {
	{ "run", trace_run, 1, -1, "INPUT... [--target T] [--sut S] [--quiet]",
	  "Runs inputs as the fuzz target does, with every oracle. Exit 1 if one has a finding." },
	{ "explain", trace_explain, 1, 1, "INPUT [--map] [--target T] [--sut S]",
	  "Shows each operation with its effect as #=, and with --map the pageblocks after the last." },
	{ "decode", trace_decode, 1, 1, "INPUT [-o TEXT] [--target T]", "Binary to text." },
	{ "encode", trace_encode, 1, -1, "TEXT... [-o FILE|DIRECTORY]",
	  "Text to binary. Many inputs go to a directory, as <name>.bin." },
	{ "shrink", trace_shrink, 1, 1, "INPUT [-o TEXT] [--target T] [--timeout SECONDS]",
	  "Makes the input of a finding smaller while the finding's identity stays the same." },
	{ "to-c", trace_to_c, 1, 1, "INPUT [-o FILE.c]", "A stand-alone C program that makes the same calls." },
	{ "map", trace_map, 1, 1, "INPUT [--at STEP]", "The picture of the pageblocks after STEP operations (default: all)." },
	{ "diff", trace_diff, 1, 1, "INPUT [--sut S]",
	  "Runs the input on libpfa and on another allocator (default: textbook); shows where the results differ." },
	{ "coverage", trace_coverage, 1, -1, "INPUT... [-o FILE.md]",
	  "The table of operations, and of pairs of operations one after the other, that inputs carry out." },
	{ "sched", NULL, 1, -1, "[run|bound|explore] [OPTION...] INPUT...",
	  "A program of several threads (target=sched) under chosen schedules; run, or --sched alone, shows who ran when. "
	  "More: pfa-trace sched --help" },
	{ "exhaust", NULL, 1, -1, "[OPTION...] FILE...",
	  "Every state that a small instance can be brought into (corpus/exhaust). More: pfa-trace exhaust --help" },
	{ "ops", trace_ops, 0, 0, "[-o FILE.md]", "The operations, arguments, groups: the language's documentation." },
	{ "dict", trace_dict, 0, 0, "[-o FILE] [--text]",
	  "The dictionary for fuzzing engines: of binary programs, or with --text of the text form." },
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

char **trace_argv;

int trace_complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "pfa-trace: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	return TRACE_USAGE;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

char *trace_read(const char *path, size_t *nr)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	char *bytes = malloc(INPUT_MAX + 1);
	const char *why = NULL;

	*nr = 0;
	if (!f || !bytes) {
		trace_complain("%s: %s", path, strerror(errno));
		free(bytes);
		return NULL;
	}
	*nr = fread(bytes, 1, INPUT_MAX + 1, f);
	if (ferror(f))
		why = strerror(errno);
	else if (*nr > INPUT_MAX)
		why = "longer than 1 MiB";
	if (f != stdin)
		fclose(f);
	if (why) {
		trace_complain("%s: %s", path, why);
		free(bytes);
		return NULL;
	}
	return bytes;
}

FILE *trace_open(const char *path)
{
	FILE *f = !path || strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");

	if (!f)
		trace_complain("%s: %s", path, strerror(errno));
	return f;
}

bool trace_close(FILE *f, const char *path)
{
	bool good = !ferror(f) && fflush(f) == 0;

	if (f != stdout)
		good = fclose(f) == 0 && good;
	if (!good)
		trace_complain("%s: %s", path ? path : "standard output", strerror(errno));
	return good;
}

bool trace_write(const char *path, const void *bytes, size_t nr)
{
	FILE *f = trace_open(path);

	if (!f)
		return false;
	fwrite(bytes, 1, nr, f);
	return trace_close(f, path);
}

static bool has_suffix(const char *path, const char *suffix)
{
	size_t len = strlen(path), nr = strlen(suffix);

	return len > nr && strcmp(path + len - nr, suffix) == 0;
}

/* fuzz_text takes any bytes; fuzz_config takes those with the first byte's top bit for a configuration by fields. */
static bool is_no_program(const char *target, const char *bytes, size_t nr)
{
	return strcmp(target, "text") == 0 || strcmp(target, "repair") == 0 || (strcmp(target, "config") == 0 && nr && (uint8_t)bytes[0] >= 128);
}

/* Texts begin with a word or a comment; binaries with the version's byte. */
static bool is_text(const char *path, const char *bytes, size_t nr)
{
	size_t at = 0;

	if (has_suffix(path, ".txt"))
		return true;
	while (at < nr && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\t' || bytes[at] == '\r'))
		at++;
	return at < nr && (bytes[at] == '#' || (nr - at >= 9 && memcmp(bytes + at, "pfa-trace", 9) == 0));
}

bool trace_load(const struct trace_options *o, const char *path, struct trace_input *in)
{
	struct prog_error error;
	enum prog_text_kind kind = PROG_TEXT_PROGRAM;
	size_t nr;
	char *bytes = trace_read(path, &nr);

	in->is_raw = false;
	in->nr_raw = sizeof(in->raw);
	in->program = bytes ? calloc(1, sizeof(*in->program)) : NULL;
	if (!in->program) {
		free(bytes);
		return false;
	}
	if (o->target && !has_suffix(path, ".txt") && is_no_program(o->target, bytes, nr)) {
		kind = PROG_TEXT_RAW;
		in->nr_raw = nr < sizeof(in->raw) ? nr : sizeof(in->raw);
		memcpy(in->raw, bytes, in->nr_raw);
	} else if (is_text(path, bytes, nr)) {
		kind = prog_parse(bytes, nr, in->program, in->raw, &in->nr_raw, &error);
	} else {
		prog_decode((const uint8_t *)bytes, nr, in->program);
	}
	free(bytes);
	if (kind == PROG_TEXT_ERROR) {
		trace_complain("%s:%u:%u: %s", path, error.line, error.column, error.message);
		free(in->program);
		return false;
	}
	in->is_raw = kind == PROG_TEXT_RAW;
	if (o->target) {
		memset(in->program->target, 0, sizeof(in->program->target));
		memcpy(in->program->target, o->target, strlen(o->target));
	}
	return true;
}

/* ---- command line ------------------------------------------------------------------------------------------------- */

static void help(FILE *f)
{
	fprintf(f, "pfa-trace - works on programs of libpfa's fuzz harness (.pfa.txt and binary)\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(f, "  pfa-trace %s %s\n      %s\n", commands[i].name, commands[i].usage, commands[i].doc);
	fprintf(f, "\nOptions\n"
	           "  -o FILE         write there (default: standard output)\n"
	           "  --target T      core, misuse, migrate, contig, hotplug, owners, config, diff, text, repair, report, walk, sched: how to run it; default: what the text says, else core\n"
	           "  --sut S         the allocator: pfa, textbook\n"
	           "  --timeout N     seconds that one run may take (default 10)\n"
	           "\nAn input is a file or - for standard input; text and binary are told apart by their content.\n"
	           "Exit: 0 fine, 1 a finding, 2 usage, unreadable or malformed input (with line and column).\n");
}

static const char *strip_fuzz(const char *target)
{
	return strncmp(target, "fuzz_", 5) == 0 ? target + 5 : target;
}

static bool number_option(const char *name, const char *value, long low, long high, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(value, &end, 10);
	if (errno || *end || end == value || *out < low || *out > high) {
		trace_complain("%s: expected a number %ld..%ld, found '%s'", name, low, high, value);
		return false;
	}
	return true;
}

/* An option with a value; false after a complaint. */
static bool value_option(struct trace_options *o, const char *name, const char *value)
{
	long n = 0;

	if (strcmp(name, "-o") == 0 || strcmp(name, "--output") == 0) {
		o->output = value;
	} else if (strcmp(name, "--target") == 0) {
		o->target = strip_fuzz(value);
		if (strlen(o->target) > 15 || !*o->target) {
			trace_complain("--target: expected a name of 1 to 15 characters, found '%s'", value);
			return false;
		}
	} else if (strcmp(name, "--sut") == 0) {
		o->sut = value;
	} else if (strcmp(name, "--timeout") == 0) {
		if (!number_option(name, value, 1, 3600, &n))
			return false;
		o->timeout_s = (unsigned)n;
	} else {
		return number_option(name, value, 0, (long)PROG_OPS_MAX, &o->at);
	}
	return true;
}

static bool parse_options(struct trace_options *o, int argc, char **argv)
{
	static const char *const with_value[] = { "-o", "--output", "--target", "--sut", "--timeout", "--at" };

	for (int i = 0; i < argc; i++) {
		bool takes = false;

		for (size_t k = 0; k < sizeof(with_value) / sizeof(with_value[0]); k++)
			takes |= strcmp(argv[i], with_value[k]) == 0;
		if (takes && i + 1 == argc) {
			trace_complain("%s: expected a value after it", argv[i]);
			return false;
		}
		if (takes) {
			if (!value_option(o, argv[i], argv[i + 1]))
				return false;
			i++;
		} else if (strcmp(argv[i], "--map") == 0) {
			o->map = true;
		} else if (strcmp(argv[i], "--text") == 0) {
			o->text = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			o->quiet = true;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			trace_complain("unknown option %s (pfa-trace --help)", argv[i]);
			return false;
		} else {
			o->inputs[o->nr_inputs++] = argv[i];
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct trace_options o = { .timeout_s = 10, .at = -1 };
	int code = TRACE_USAGE;

	trace_argv = argv;
	if (argc > 1 && (strcmp(argv[1], "sched") == 0 || strcmp(argv[1], "--sched") == 0))
		return trace_sched(argc, argv);
	if (argc > 1 && strcmp(argv[1], "exhaust") == 0)
		return trace_exhaust(argc, argv);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[1], "help") == 0) {
			help(stdout);
			return TRACE_FINE;
		}
	if (argc < 2) {
		help(stderr);
		return TRACE_USAGE;
	}
	o.inputs = calloc((size_t)argc, sizeof(*o.inputs));
	if (!o.inputs)
		return trace_complain("out of memory");
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (parse_options(&o, argc - 2, argv + 2)) {
			if (o.nr_inputs < commands[i].least || (commands[i].most >= 0 && o.nr_inputs > commands[i].most))
				code = trace_complain("usage: pfa-trace %s %s", commands[i].name, commands[i].usage);
			else
				code = commands[i].run(&o);
		}
		free(o.inputs);
		return code;
	}
	free(o.inputs);
	return trace_complain("unknown command %s (pfa-trace --help)", argv[1]);
}
