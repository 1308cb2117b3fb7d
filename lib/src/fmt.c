/* SPDX-License-Identifier: MIT */
#include "fmt.h"

void pfai_fmt_char(struct pfai_fmt *f, char c)
{
	if (f->n + 1 < f->cap)
		f->out[f->n++] = c;
	f->out[f->n] = 0;
}

void pfai_fmt_str(struct pfai_fmt *f, const char *s)
{
	while (*s)
		pfai_fmt_char(f, *s++);
}

/* By repeated subtraction of powers of ten: a division could become a library call on small cores. */
void pfai_fmt_dec(struct pfai_fmt *f, size_t value, unsigned width)
{
	size_t powers[20], power = 1;
	unsigned digits = 1;
	powers[0] = 1;
	while (digits < 20 && value / 2 / 5 >= power) { /* value >= 10 * power, without overflow; by constants only */
		power *= 10;
		powers[digits++] = power;
	}
	for (unsigned i = digits; i < width; i++)
		pfai_fmt_char(f, ' ');
	while (digits--) {
		unsigned digit = 0;
		while (value >= powers[digits]) {
			value -= powers[digits];
			digit++;
		}
		pfai_fmt_char(f, (char)('0' + digit));
	}
}
