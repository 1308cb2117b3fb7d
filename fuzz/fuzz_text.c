/* SPDX-License-Identifier: MIT
 *
 * fuzz_text.c - the text parser on any bytes, and the round trips of what it accepts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static struct program first, second;
static char text[PROG_TEXT_MAX];
static uint8_t bytes[PROG_BYTES_MAX], again[PROG_BYTES_MAX], raw[PROG_BYTES_MAX];

static void fail(const char *what, const struct prog_error *error)
{
	fprintf(stderr, "pfa-finding: id=text0000 invariant=text op=parse step=0 message=%s (%u:%u %s)\n", what,
	        error ? error->line : 0, error ? error->column : 0, error ? error->message : "");
	abort();
}

/* A refusal names a place that is in the text (or just after its end) and says something printable. */
static void check_error(const struct prog_error *error, size_t size)
{
	if (error->line == 0 || error->column == 0 || error->line > size + 1 || error->column > size + 1)
		fail("the error's place is outside of the text", error);
	if (!error->message[0])
		fail("the error has no message", error);
	for (const char *c = error->message; *c; c++)
		if (*c < 32 || *c > 126)
			fail("the error's message is not printable", error);
}

static void check_program(void)
{
	struct prog_error error;
	size_t len = prog_print(&first, text, sizeof(text)), nr;

	if (len >= sizeof(text))
		fail("a program's text is longer than PROG_TEXT_MAX", NULL);
	if (prog_parse(text, len, &second, NULL, NULL, &error) != PROG_TEXT_PROGRAM)
		fail("a program's text is refused", &error);
	if (!prog_equal(&first, &second) || strcmp(first.target, second.target) != 0)
		fail("a program's text is another program", NULL);
	nr = prog_encode(&first, bytes, sizeof(bytes));
	if (nr == 0)
		fail("a program has more than PROG_BYTES_MAX bytes", NULL);
	prog_decode(bytes, nr, &second);
	if (!prog_equal(&first, &second))
		fail("a program's bytes are another program", NULL);
	if (prog_encode(&second, again, sizeof(again)) != nr || memcmp(bytes, again, nr) != 0)
		fail("canonical bytes are no fixpoint", NULL);
}

static void check_raw(size_t nr)
{
	struct prog_error error;
	size_t len = prog_print_raw(first.target, raw, nr, text, sizeof(text)), nr_again = sizeof(again);

	if (prog_parse(text, len, &second, again, &nr_again, &error) != PROG_TEXT_RAW)
		fail("the text of raw bytes is refused", &error);
	if (nr_again != nr || memcmp(raw, again, nr) != 0 || strcmp(first.target, second.target) != 0)
		fail("the text of raw bytes means other bytes", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prog_error error;
	size_t nr = sizeof(raw);

	switch (prog_parse((const char *)data, size, &first, raw, &nr, &error)) {
	case PROG_TEXT_PROGRAM:
		check_program();
		break;
	case PROG_TEXT_RAW:
		check_raw(nr);
		break;
	case PROG_TEXT_ERROR:
		check_error(&error, size);
		break;
	}
	return 0;
}
