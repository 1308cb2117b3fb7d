/* SPDX-License-Identifier: MIT
 *
 * Layer 2: text into a small buffer, without libc. What does not fit is cut.
 */
#ifndef PFAI_FMT_H
#define PFAI_FMT_H

#include "compiler.h"

struct pfai_fmt {
	char *out;
	size_t n, cap; /* n < cap always; out[n] is 0 after each call */
};

void pfai_fmt_str(struct pfai_fmt *f, const char *s);
void pfai_fmt_char(struct pfai_fmt *f, char c);
/* Decimal, padded with spaces on the left to width. */
void pfai_fmt_dec(struct pfai_fmt *f, size_t value, unsigned width);

#endif
