/* SPDX-License-Identifier: MIT
 *
 * prog_switches.c - schedules that are lists of switches. As bytes: a mark (a run length and a target that change nothing), then
 * four bytes each, the point's low and high half, thread | kind << 2, and the argument.
 */
#include "prog_internal.h"

#include <string.h>

#define SWITCH_BYTES 4u
static const uint8_t mark[2] = { 0xFF, 0xF0 };

const char *prog_switch_name(unsigned kind)
{
	static const char *const names[PROG_SWITCHES] = { "go_on", "preempt", "cpu", "older", "next" };

	return kind < PROG_SWITCHES ? names[kind] : NULL;
}

/* Before its first point a thread is asked nothing, but may end or wait: who goes on then is a choice of point 0. */
static bool switch_can_be(const struct prog_switch *s)
{
	return s->thread < PROG_THREADS_MAX && s->kind >= PROG_SWITCH_PREEMPT && s->kind < PROG_SWITCHES &&
	       (s->n || s->kind == PROG_SWITCH_NEXT);
}

static bool switch_of(const uint8_t b[SWITCH_BYTES], struct prog_switch *out)
{
	*out = (struct prog_switch){ .n = (uint16_t)(b[0] | b[1] << 8), .thread = b[2] & 3, .kind = b[2] >> 2, .arg = b[3] };
	return switch_can_be(out);
}

unsigned prog_switches(const struct program *p, struct prog_switch out[PROG_SWITCHES_MAX])
{
	const unsigned bytes = p->nr_schedule < sizeof(mark) ? 0 : p->nr_schedule - (unsigned)sizeof(mark);
	struct prog_switch one;

	if (bytes < SWITCH_BYTES || bytes % SWITCH_BYTES || memcmp(p->schedule, mark, sizeof(mark)) != 0)
		return 0;
	for (unsigned i = 0; i < bytes / SWITCH_BYTES; i++) {
		if (!switch_of(p->schedule + sizeof(mark) + i * SWITCH_BYTES, &one))
			return 0;
		if (out)
			out[i] = one;
	}
	return bytes / SWITCH_BYTES;
}

bool prog_set_switches(struct program *p, const struct prog_switch *switches, unsigned nr)
{
	if (nr > PROG_SWITCHES_MAX)
		return false;
	for (unsigned i = 0; i < nr; i++)
		if (!switch_can_be(&switches[i]))
			return false;
	memcpy(p->schedule, mark, sizeof(mark));
	for (unsigned i = 0; i < nr; i++) {
		uint8_t *b = p->schedule + sizeof(mark) + i * SWITCH_BYTES;
		b[0] = (uint8_t)switches[i].n;
		b[1] = (uint8_t)(switches[i].n >> 8);
		b[2] = (uint8_t)(switches[i].thread | switches[i].kind << 2);
		b[3] = switches[i].arg;
	}
	p->nr_schedule = nr ? (unsigned)sizeof(mark) + nr * SWITCH_BYTES : 0;
	return true;
}
