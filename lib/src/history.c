/* SPDX-License-Identifier: MIT */
#include "history.h"

#include "fmt.h"

#define HISTORY_OP_SHIFT 28u
#define HISTORY_ORDER_SHIFT 23u
#define HISTORY_THREAD_MASK ((1u << HISTORY_ORDER_SHIFT) - 1)

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* The number becomes 0 before the rest changes, and what it is to be after that: both by release. */
static void history_write(struct pfa *p, size_t offset, size_t number, uint32_t tag, uint32_t what)
{
	struct pfai_record *r = &p->history[offset * p->nr_history], *oldest = r;
	for (uint32_t i = 1; i < p->nr_history; i++)
		if (pfai_load_relaxed(&r[i].number) < pfai_load_relaxed(&oldest->number))
			oldest = &r[i];
	pfai_store_relaxed(&oldest->number, 0u);
	pfai_store_release(&oldest->tag, tag);
	pfai_store_release(&oldest->what, what);
	pfai_store_release(&oldest->number, number);
}

static void history_write_trace(struct pfa *p, size_t number)
{
	uintptr_t at[PFA_TRACE_DEPTH];
	struct pfai_trace *t = &p->traces[(number >> p->trace_shift) & (p->nr_traces - 1)];
	size_t nr = p->os.backtrace(p->os.ctx, at, PFA_TRACE_DEPTH);
	pfai_store_relaxed(&t->number, 0u);
	pfai_store_release(&t->nr, nr < PFA_TRACE_DEPTH ? nr : PFA_TRACE_DEPTH);
	for (size_t i = 0; i < nr && i < PFA_TRACE_DEPTH; i++)
		pfai_store_release(&t->at[i], at[i]);
	pfai_store_release(&t->number, number);
}

static inline bool history_traced(const struct pfa *p, size_t number)
{
	return p->traces && !(number & (((size_t)1 << p->trace_shift) - 1));
}

void pfai_history_note(struct pfa *p, enum pfa_event_op op, size_t offset, size_t nr_blocks, unsigned order)
{
	size_t number = pfai_next_relaxed(&p->st->nr_records);
	uint32_t tag = p->os.tag ? p->os.tag(p->os.ctx) : 0, thread = p->os.self ? p->os.self(p->os.ctx) : 1;
	uint32_t what = (uint32_t)op << HISTORY_OP_SHIFT | order << HISTORY_ORDER_SHIFT | (thread & HISTORY_THREAD_MASK);
	for (size_t i = 0; i < nr_blocks; i++)
		history_write(p, offset + (i << order), number, tag, what);
	if (history_traced(p, number))
		history_write_trace(p, number);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* False: there is none, or it is just being written. */
static bool history_load(const struct pfa *p, size_t offset, uint32_t i, struct pfa_event *out)
{
	const struct pfai_record *r = &p->history[offset * p->nr_history + i];
	size_t number = pfai_load_acquire(&r->number);
	uint32_t tag = pfai_load_acquire(&r->tag), what = pfai_load_acquire(&r->what);
	if (!number || pfai_load_relaxed(&r->number) != number)
		return false;
	*out = (struct pfa_event){
		.number = number,
		.pfn = p->base + offset,
		.op = (enum pfa_event_op)(what >> HISTORY_OP_SHIFT),
		.order = what >> HISTORY_ORDER_SHIFT & PFA_ORDER_LIMIT,
		.tag = tag,
		.thread = what & HISTORY_THREAD_MASK,
	};
	return true;
}

bool pfai_history_newest(const struct pfa *p, size_t offset, struct pfa_event *out)
{
	struct pfa_event e;
	out->number = 0;
	for (uint32_t i = 0; i < p->nr_history; i++)
		if (history_load(p, offset, i, &e) && e.number > out->number)
			*out = e;
	return out->number != 0;
}

/* Into its place among the nr newest, of which max are kept. Returns how many there are. */
static size_t history_sort_in(struct pfa_event out[], size_t nr, size_t max, const struct pfa_event *e)
{
	size_t at = nr;
	while (at && out[at - 1].number < e->number)
		at--;
	if (at == max)
		return nr;
	nr = nr < max ? nr + 1 : max;
	for (size_t i = nr - 1; i > at; i--)
		out[i] = out[i - 1];
	out[at] = *e;
	return nr;
}

size_t pfai_history_read(const struct pfa *p, pfa_pfn pfn, struct pfa_event out[], size_t max)
{
	size_t nr = 0;
	if (!p->history || pfn - p->base >= p->span)
		return 0;
	for (unsigned order = 0; order <= p->max_order; order++) {
		/* Blocks of this order and above that the frame is not the first of begin here at the nearest. */
		pfa_pfn head = pfn >> order << order;
		struct pfa_event e;
		if (head < p->base)
			break;
		if (order && head == pfn >> (order - 1) << (order - 1))
			continue;
		for (uint32_t i = 0; i < p->nr_history; i++)
			if (history_load(p, head - p->base, i, &e) && (pfn - head) >> e.order == 0)
				nr = history_sort_in(out, nr, max, &e);
	}
	return nr;
}

int pfa_history(const struct pfa *p, pfa_pfn pfn, struct pfa_event out[], size_t max, size_t *out_nr)
{
	*out_nr = 0;
	if (!p->history)
		return PFA_ENOTSUP;
	if (!pfai_zone_of(p, pfn))
		return PFA_ERANGE;
	*out_nr = pfai_history_read(p, pfn, out, max);
	return PFA_OK;
}

int pfa_trace(const struct pfa *p, size_t number, uintptr_t out[], size_t max, size_t *out_nr)
{
	*out_nr = 0;
	if (!p->traces)
		return PFA_ENOTSUP;
	if (!number || !history_traced(p, number))
		return PFA_ERANGE;
	const struct pfai_trace *t = &p->traces[(number >> p->trace_shift) & (p->nr_traces - 1)];
	if (pfai_load_acquire(&t->number) != number)
		return PFA_ERANGE;
	size_t nr = pfai_load_acquire(&t->nr);
	for (size_t i = 0; i < nr && i < max && i < PFA_TRACE_DEPTH; i++) {
		out[i] = pfai_load_acquire(&t->at[i]);
		*out_nr = i + 1;
	}
	if (pfai_load_relaxed(&t->number) == number)
		return PFA_OK;
	*out_nr = 0; /* another one took its place meanwhile */
	return PFA_ERANGE;
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static const char *const history_op_text[PFA_EVENT_OPS] = {
	[PFA_EVENT_NONE] = "nothing",
	[PFA_EVENT_ALLOC] = "allocated",
	[PFA_EVENT_FREE] = "freed",
	[PFA_EVENT_SPLIT] = "split off",
	[PFA_EVENT_BAD] = "marked bad",
};

static void history_field(struct pfai_fmt *f, const char *name, size_t value)
{
	pfai_fmt_str(f, name);
	pfai_fmt_dec(f, value, 0);
}

size_t pfa_event_text(const struct pfa_event *event, char out[], size_t room)
{
	struct pfai_fmt f = { out, 0, room };
	history_field(&f, "#", event->number);
	pfai_fmt_char(&f, ' ');
	pfai_fmt_str(&f, (unsigned)event->op < PFA_EVENT_OPS ? history_op_text[event->op] : "unknown");
	history_field(&f, ", order ", event->order);
	history_field(&f, ", pfn ", event->pfn);
	history_field(&f, ", thread ", event->thread);
	history_field(&f, ", tag ", event->tag);
	return f.n;
}

/* By frame.h's states >> 5; 0 is never asked for. */
static const char *const history_state_text[8] = {
	NULL, "in an allocated block", "in a free block, in a per-CPU cache", "in a free block, in a per-CPU cache",
	"in a block that the reporter holds", "in an allocated movable block", "in a free block, in quarantine",
	"in a block that is being freed or split",
};

/* The block that this frame lies in, by its first byte; false: there is none that says so. */
static bool history_block(const struct pfa *p, pfa_pfn pfn, pfa_pfn *head, uint8_t *byte)
{
	for (unsigned order = 0; order <= p->max_order; order++) {
		*head = pfn >> order << order;
		if (*head < p->base)
			return false;
		*byte = pfai_load_relaxed(&p->bytes[*head - p->base]);
		if ((*byte & PFAI_STATE_MASK) && (pfn - *head) >> (*byte & PFAI_ORDER_MASK) == 0)
			return true;
	}
	return false;
}

size_t pfa_frame_text(const struct pfa *p, pfa_pfn pfn, char out[], size_t room)
{
	struct pfai_fmt f = { out, 0, room };
	pfa_pfn head;
	uint8_t byte;
	history_field(&f, "pfn ", pfn);
	pfai_fmt_str(&f, ": ");
	if (!pfai_zone_of(p, pfn)) {
		pfai_fmt_str(&f, "in no zone");
	} else if (history_block(p, pfn, &head, &byte)) {
		pfai_fmt_str(&f, history_state_text[byte >> 5]);
		history_field(&f, " (pfn ", head);
		history_field(&f, ", order ", byte & PFAI_ORDER_MASK);
		pfai_fmt_char(&f, ')');
	} else {
		byte = pfai_load_relaxed(&p->bytes[pfn - p->base]);
		pfai_fmt_str(&f, byte == PFAI_ABSENT ? "in a hole" : pfai_byte_is_absent(byte) ? "offline" :
		                 byte == PFAI_BAD    ? "bad"       : "free");
	}
	return f.n;
}
