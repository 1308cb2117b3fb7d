/* SPDX-License-Identifier: MIT
 *
 * alphabet.c - which operations there are: the file's comments, and what is legal in a state.
 */
#include "exhaust.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "# exhaust:";

/* "0-3,5" as a set. False: no such list, or beyond most. */
static bool read_set(const char *at, unsigned most, unsigned *out)
{
	char *end;

	do {
		const unsigned long first = strtoul(at, &end, 10);
		unsigned long last = first;
		if (end == at)
			return false;
		if (*end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
		}
		if (end == at || last > most || first > last)
			return false;
		for (unsigned long i = first; i <= last; i++)
			*out |= 1u << i;
		at = end + 1;
	} while (*end == ',');
	return !*end || isspace((unsigned char)*end);
}

static bool read_word(const char *word, struct ex_alphabet *a)
{
	const struct {
		const char *name;
		unsigned *set, most;
	} sets[] = { { "orders=", &a->orders, 9 }, { "types=", &a->types, 2 }, { "owned=", &a->owned, 9 }, { "zones=", &a->zones, 2 },
		     { "cpus=", &a->cpus, 3 }, { "contig=", &a->contig, 8 }, { "answers=", &a->answers, EX_ANSWERS - 1 },
		     { "cma=", &a->cma, 8 }, { "report=", &a->report, 9 }, { "devices=", &a->devices, EX_DEVICES - 1 } };
	const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "split", &a->split }, { "drain", &a->drain }, { "disable", &a->disable }, { "migrate", &a->migrate },
		      { "compact", &a->compact }, { "service", &a->service }, { "suspend", &a->suspend }, { "any_cpu", &a->any_cpu } };
	const size_t nr = strcspn(word, " \t\n");

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (strncmp(word, sets[i].name, strlen(sets[i].name)) == 0)
			return read_set(word + strlen(sets[i].name), sets[i].most, sets[i].set);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strlen(flags[i].name) == nr && strncmp(word, flags[i].name, nr) == 0)
			return *flags[i].flag = true;
	if (strncmp(word, "isolate=", 8) == 0)
		return (a->isolate = (unsigned)strtoul(word + 8, NULL, 10)) != 0;
	return strncmp(word, "states=", 7) == 0 || strncmp(word, "transitions=", 12) == 0 || strncmp(word, "depth=", 6) == 0 ||
	       strncmp(word, "model=", 6) == 0 || strncmp(word, "merged=", 7) == 0;
}

/* The next word of such comments from *at on; NULL: there is none. */
static const char *next_word(const char **at)
{
	for (;;) {
		while (**at == ' ' || **at == '\t')
			++*at;
		if (**at && **at != '\n') {
			const char *word = *at;
			*at += strcspn(*at, " \t\n");
			return word;
		}
		const char *line = strstr(*at, prefix);
		if (!line)
			return NULL;
		*at = line + strlen(prefix);
	}
}

bool ex_alphabet_read(const char *text, struct ex_alphabet *out, const char **why)
{
	const char *at = strstr(text, prefix);

	memset(out, 0, sizeof(*out));
	*why = "there is no line '# exhaust: WORD...'";
	if (!at)
		return false;
	for (const char *word = (at += strlen(prefix), next_word(&at)); word; word = next_word(&at)) {
		*why = word;
		if (!read_word(word, out))
			return false;
	}
	out->types |= out->types ? 0 : 1u << PFA_MOVABLE;
	out->zones |= out->zones ? 0 : 1u;
	out->cpus |= out->cpus ? 0 : 1u;
	out->answers |= out->answers ? 0 : 1u << EX_SAYS_YES;
	out->devices |= out->devices ? 0 : 1u << EX_DEVICE_OK;
	*why = "report= goes with requests, caches, service and isolate=1: the harness's model of devices has no more";
	if (out->report && (out->owned || out->split || out->contig || out->compact || out->cma || out->isolate > 1))
		return false;
	*why = "there is nothing to allocate: orders= or owned=";
	return (out->orders | out->owned) != 0;
}

uint64_t ex_setting(const char *text, const char *word)
{
	const char *at = strstr(text, prefix);

	if (!at)
		return 0;
	for (const char *found = (at += strlen(prefix), next_word(&at)); found; found = next_word(&at))
		if (strncmp(found, word, strlen(word)) == 0 && found[strlen(word)] == '=')
			return strtoull(found + strlen(word) + 1, NULL, 10);
	return 0;
}

/* ---- choices ------------------------------------------------------------------------------------------------------- */

struct choices {
	struct ex_op *out;
	unsigned nr;
};

static void choose(struct choices *c, struct ex_op op)
{
	if (c->nr < EX_CHOICES_MAX)
		c->out[c->nr++] = op;
}

/* Once for each answer; owners are asked only where somebody owns a block. */
static void choose_answers(struct choices *c, const struct ex_machine *m, struct ex_op op, bool owned)
{
	for (unsigned answer = 0; answer < EX_ANSWERS; answer++)
		if (owned ? m->alphabet.answers >> answer & 1 : answer == 0) {
			op.arg = answer & 0x7F;
			choose(c, op);
		}
}

static void choose_allocs(struct choices *c, const struct ex_machine *m, unsigned cpu)
{
	const struct ex_alphabet *a = &m->alphabet;

	for (unsigned order = 0; order <= 9; order++)
		for (unsigned zone = 0; zone < m->p->config.nr_zones; zone++) {
			if (!(a->zones >> zone & 1))
				continue;
			for (unsigned type = 0; type <= PFA_RECLAIMABLE; type++)
				if (a->orders >> order & a->types >> type & 1)
					choose(c, (struct ex_op){ .kind = EX_ALLOC, .cpu = cpu & 3, .nr = order & 0x1FF,
					                          .arg = ex_alloc_arg(type, zone, false) & 0x7F });
			if (a->owned >> order & 1)
				choose(c, (struct ex_op){ .kind = EX_ALLOC, .cpu = cpu & 3, .nr = order & 0x1FF,
				                          .arg = ex_alloc_arg(PFA_MOVABLE, zone, true) & 0x7F });
		}
	for (unsigned at = 0; at < m->span; at++)
		if (m->w.frame[at] & EX_HEAD)
			choose(c, (struct ex_op){ .kind = EX_FREE, .cpu = cpu & 3, .at = at & 0x1FF });
}

/* What concerns pageblocks, ranges and owners. */
static void choose_places(struct choices *c, const struct ex_machine *m, unsigned cpu)
{
	const struct ex_alphabet *a = &m->alphabet;
	const unsigned pb = 1u << m->p->config.pageblock_order;
	bool owned = false;

	for (unsigned at = 0; at < m->span; at++)
		owned |= (m->w.frame[at] & EX_OWNED) != 0;
	for (unsigned nr = 1; nr <= a->isolate && m->w.nr_holds < (a->report ? 1 : EX_HOLDS_MAX); nr++)
		for (unsigned at = 0; at + (nr - 1) * pb < m->span; at += pb)
			choose_answers(c, m, (struct ex_op){ .kind = EX_ISOLATE, .cpu = cpu & 3, .at = at & 0x1FF, .nr = nr & 0x1FF },
			               owned && m->p->config.max_order > m->p->config.pageblock_order);
	for (unsigned i = 0; i < m->w.nr_holds; i++)
		choose(c, (struct ex_op){ .kind = EX_UNDO, .cpu = cpu & 3, .at = m->w.hold[i].start & 0x1FFu });
	for (unsigned k = 0; k < 9; k++)
		for (unsigned at = 0; at + (1u << k) <= m->span && (a->contig >> k & 1); at++) {
			bool present = true, moves = false;
			for (unsigned i = at; i < at + (1u << k); i++) {
				present &= m->zone_of[i] != UINT8_MAX && m->zone_of[i] == m->zone_of[at];
				moves |= m->w.frame[i] != EX_NOBODY;
			}
			if (present)
				choose_answers(c, m, (struct ex_op){ .kind = EX_CONTIG, .cpu = cpu & 3, .at = at & 0x1FF,
				                                     .nr = (1u << k) & 0x1FF }, owned && moves);
		}
	for (unsigned at = 0; at < m->span && a->migrate; at++)
		if (m->w.frame[at] & EX_OWNED)
			choose_answers(c, m, (struct ex_op){ .kind = EX_MIGRATE, .cpu = cpu & 3, .at = at & 0x1FF }, true);
	if (a->compact)
		choose_answers(c, m, (struct ex_op){ .kind = EX_COMPACT, .cpu = cpu & 3 }, owned);
}

static void choose_area(struct choices *c, const struct ex_machine *m, unsigned cpu)
{
	const struct ex_alphabet *a = &m->alphabet;
	const unsigned unit = 1u << ex_area_unit(m);
	bool owned = false;

	for (unsigned at = m->area_first; at < m->area_end; at++)
		owned |= (m->w.frame[at] & EX_OWNED) != 0;
	for (unsigned k = 0; k < 9; k++)
		if (a->cma >> k & 1)
			choose_answers(c, m, (struct ex_op){ .kind = EX_CMA_ALLOC, .cpu = cpu & 3, .nr = (1u << k) & 0x1FF }, owned);
	for (unsigned at = m->area_first; at < m->area_end; at++) {
		if (m->w.frame[at] != EX_RUN)
			continue;
		const unsigned nr = ex_area_piece(m, at);
		struct ex_op op = { .kind = EX_CMA_RELEASE, .cpu = cpu & 3, .at = at & 0x1FF, .nr = nr & 0x1FF };
		choose(c, op);
		op.nr = unit & 0x1FF;
		if (nr > unit)
			choose(c, op);
		op.at = (at + nr - unit) & 0x1FF;
		if (nr > unit)
			choose(c, op);
	}
}

/* Once for each answer of the device, if it is asked. */
static void choose_devices(struct choices *c, const struct ex_machine *m, struct ex_op op)
{
	for (unsigned device = 0; device < EX_DEVICES; device++)
		if (m->w.registered && !m->w.suspended ? m->alphabet.devices >> device & 1 : device == 0) {
			op.arg = device & 0x7F;
			choose(c, op);
		}
}

static void choose_report(struct choices *c, const struct ex_machine *m, unsigned cpu)
{
	const struct ex_alphabet *a = &m->alphabet;

	for (unsigned order = 0; order <= 9 && !m->w.registered; order++)
		if (a->report >> order & 1)
			choose(c, (struct ex_op){ .kind = EX_REGISTER, .cpu = cpu & 3, .nr = order & 0x1FF });
	if (m->w.registered)
		choose(c, (struct ex_op){ .kind = EX_UNREGISTER, .cpu = cpu & 3 });
	if (m->w.registered && a->suspend)
		choose(c, (struct ex_op){ .kind = m->w.suspended ? EX_RESUME : EX_SUSPEND, .cpu = cpu & 3 });
	choose_devices(c, m, (struct ex_op){ .kind = EX_FLUSH, .cpu = cpu & 3 });
	if (a->service)
		choose_devices(c, m, (struct ex_op){ .kind = EX_STEP, .cpu = cpu & 3 });
}

unsigned ex_choices(const struct ex_machine *m, struct ex_op out[EX_CHOICES_MAX])
{
	const struct ex_alphabet *a = &m->alphabet;
	struct choices c = { .out = out };

	for (unsigned cpu = 0; cpu < 4; cpu++)
		if (a->cpus >> cpu & 1)
			choose_allocs(&c, m, cpu);
	for (unsigned cpu = 0; cpu < (a->any_cpu ? 4u : 1u); cpu++) {
		if (cpu && !(a->cpus >> cpu & 1))
			continue;
		for (unsigned at = 0; at < m->span && a->split; at++)
			for (unsigned to = 0; (m->w.frame[at] & (EX_HEAD | EX_OWNED)) == EX_HEAD && to < (m->w.frame[at] & EX_ORDER); to++)
				choose(&c, (struct ex_op){ .kind = EX_SPLIT, .cpu = cpu & 3, .at = at & 0x1FF, .nr = to & 0x1FF });
		if (a->drain)
			choose(&c, (struct ex_op){ .kind = EX_DRAIN, .cpu = cpu & 3 });
		if (a->disable)
			choose(&c, (struct ex_op){ .kind = m->w.disabled ? EX_ENABLE : EX_DISABLE, .cpu = cpu & 3 });
		choose_places(&c, m, cpu);
		if (a->service)
			choose_devices(&c, m, (struct ex_op){ .kind = EX_SERVICE, .cpu = cpu & 3 });
		if (m->area)
			choose_area(&c, m, cpu);
		if (a->report)
			choose_report(&c, m, cpu);
	}
	return c.nr;
}
