/* SPDX-License-Identifier: MIT
 *
 * model_past.c - see model_past.h.
 */
#include "model_internal.h"
#include "model_past.h"

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Of nr_blocks blocks side by side from the frame with this index. */
void model_note(struct model *m, enum pfa_event_op op, size_t index, size_t nr_blocks, unsigned order)
{
	const size_t nr = model_pow2(order);

	for (size_t i = 0; i < nr_blocks && m->history; i++, index += nr) {
		const struct model_event e = { .head = (uint32_t)index, .seq = ++m->events[index], .tag = m->tag,
			                       .thread = m->thread, .op = (unsigned char)op, .order = (unsigned char)order };
		for (size_t k = 0; k < nr; k++)
			m->last[index + k] = e;
	}
}

bool model_newest_event(const struct model *m, pfa_pfn pfn, struct pfa_event *out)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	if (!m->history || zone == m->nr_zones)
		return false;
	const struct model_event *e = &m->last[index];
	if (!e->seq || m->events[e->head] - e->seq >= m->history)
		return false;
	*out = (struct pfa_event){ .pfn = pfn - (index - e->head), .op = (enum pfa_event_op)e->op, .order = e->order,
		                   .tag = e->tag, .thread = e->thread };
	return true;
}

uint32_t model_birth(const struct model *m, pfa_pfn pfn, unsigned order)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	return zone < m->nr_zones && m->state[index] == MODEL_HEAD && m->order[index] == order ? m->born[index] : 0;
}

/* ---- quarantine -------------------------------------------------------------------------------------------------- */

void model_forget_frees(struct model *m)
{
	m->rests++;
}

void model_none_rests(struct model *m, unsigned zone)
{
	struct model_zone *z = &m->zone[zone];

	for (size_t i = 0; i < z->nr && z->fading; i++)
		if (m->doomed[z->base + i] == 2)
			m->doomed[z->base + i] = 0;
	z->fading = 0;
}

bool model_fades(const struct model *m, pfa_pfn pfn)
{
	size_t index;

	return model_zone_of(m, pfn, &index) < m->nr_zones && m->doomed[index] == 2;
}

void model_mark_faded(struct model *m, pfa_pfn pfn)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	m->doomed[index] = 0;
	m->zone[zone].fading--;
	model_note(m, PFA_EVENT_BAD, index, 1, 0);
}

uint32_t model_rested(const struct model *m, pfa_pfn pfn, size_t nr)
{
	uint32_t least = UINT32_MAX;
	size_t index;

	(void)model_zone_of(m, pfn, &index);
	for (size_t i = index; i < index + nr; i++)
		if (m->freed_in[i] == m->rests && m->frees[m->freed_on[i]] - m->freed_at[i] < least)
			least = m->frees[m->freed_on[i]] - m->freed_at[i];
	return least;
}

/* The block at index is given back. */
void model_rest(struct model *m, size_t index, size_t nr)
{
	const bool joins = m->quarantine && m->cpu < m->nr_cpus && m->cpu < MODEL_CPUS;

	m->frees[joins ? m->cpu : 0] += joins;
	for (size_t i = index; i < index + nr; i++) {
		m->freed_in[i] = joins ? m->rests : 0;
		m->freed_at[i] = m->frees[joins ? m->cpu : 0];
		m->freed_on[i] = (unsigned char)(joins ? m->cpu : 0);
	}
}

/* Does a guard of the block that begins (above: ended) there lie at pfn? */
bool model_guard_at(const struct model *m, pfa_pfn pfn, unsigned above)
{
	size_t index;
	const unsigned zone = model_zone_of(m, pfn, &index);

	return zone < m->nr_zones && m->state[index] == MODEL_GUARD && m->order[index] == above;
}
