/* SPDX-License-Identifier: MIT
 *
 * The walk over free memory: the map is copied under the zone's lock, some words at a time, and what runs the copy has is visited
 * without it. The map is read by address, and what lies behind the cursor is not looked at again: so nothing that others do can
 * make it longer.
 */
#include <pfa/walk.h>

#include "closed.h"
#include "damage.h"
#include "zone.h"

/* Words that are copied at once. While one visit waits for what the one before it wrote the next runs are found, as far as a
 * processor looks ahead, which is up to the next lock: hence many. */
#define WALK_WORDS 64u
/* Frames that are often free all together: one look, then. */
#define WALK_AHEAD 512u

/* A walk through one zone. */
struct walk {
	struct pfa *p;
	struct pfai_zone *z;
	unsigned order;
	pfa_visitor *visit;
	void *ctx;
	struct pfa_cursor *cursor; /* kept behind what was visited */
	size_t step;        /* frames of a word of the copy: as many as it has bits; or more, of which all are free or none */
	pfa_pfn at;         /* frames below were copied */
	pfa_pfn first, end; /* a run that may go on in the next word; none: first == end */
	pfai_word words[WALK_WORDS];
};

/* The frames of one word that are in free blocks of 2^order, order < word. */
static inline pfai_word walk_blocks(pfai_word free, unsigned order)
{
	free = pfai_fold(free, order);
	for (unsigned o = 0; o < order; o++)
		free |= free << (1u << o);
	return free;
}

/* What is free, and what the reporter holds: told, and not free. */
static inline pfai_word walk_free(const struct pfai_zone *z, size_t word)
{
	pfai_word free = ~z->not_free[word];
	return PFAI_UNLIKELY(z->st->held_report != 0 && z->told) ? free | z->told[word] : free;
}

static inline bool walk_all_free(const struct pfai_zone *z, size_t rel, size_t nr)
{
	if (PFAI_LIKELY(z->st->held_report == 0))
		return pfai_words_are(z->not_free, rel, nr, false);
	for (size_t word = rel >> PFAI_WORD_SHIFT; word < (rel + nr) >> PFAI_WORD_SHIFT; word++)
		if (walk_free(z, word) != PFAI_ONES)
			return false;
	return true;
}

/* Copies from rel on, a multiple of the step. Returns how many words. Of steps that are larger than what is asked for only those that
 * are all free count, up to the first one that is not. */
static unsigned walk_copy_locked(const struct pfai_zone *z, unsigned order, size_t rel, size_t step, pfai_word words[WALK_WORDS])
{
	unsigned nr = 0;
	size_t span = step < PFA_WALK_FRAMES / WALK_WORDS ? step * WALK_WORDS : step < PFA_WALK_FRAMES ? PFA_WALK_FRAMES : step;
	size_t end = (rel | (span - 1)) < z->nr_rel ? (rel | (span - 1)) + 1 : z->nr_rel;
	for (; rel < end; rel += step) {
		pfai_word free;
		if (step == PFAI_WORD_BITS && order < PFAI_WORD_SHIFT)
			free = walk_blocks(walk_free(z, rel >> PFAI_WORD_SHIFT), order);
		else
			free = step <= end - rel && walk_all_free(z, rel, step) ? PFAI_ONES : 0;
		if (!free && step > PFAI_WORD_BITS && step >> order > 1)
			break;
		words[nr++] = free;
	}
	return nr;
}

/* False: that was enough. */
static inline bool walk_visit(struct walk *w, pfa_pfn first, pfa_pfn end)
{
	w->cursor->next = end;
	return w->visit(w->ctx, (struct pfa_run){ first, end - first }) == 0;
}

/* The run that does not go on, if there is one. */
static inline bool walk_visit_last(struct walk *w)
{
	pfa_pfn first = w->first;
	w->first = w->end;
	return first == w->end || walk_visit(w, first, w->end);
}

/* The runs of the word whose first frame is pfn, of which the frames from w->at on count. */
static bool walk_word(struct walk *w, pfa_pfn pfn, pfai_word free)
{
	if (free == PFAI_ONES) {
		if (w->end - w->first + w->step > PFA_WALK_FRAMES && !walk_visit_last(w))
			return false;
		if (w->first == w->end)
			w->first = pfn > w->at ? pfn : w->at;
		w->end = pfn + w->step;
		return true;
	}
	if (w->first != w->end) {
		if (PFAI_LIKELY(w->end - w->first <= PFA_WALK_FRAMES - PFAI_WORD_BITS)) { /* else it would be too long a piece */
			w->end += pfai_ctz(~free);
			free &= free + 1;
		}
		if (!walk_visit_last(w))
			return false;
	}
	/* The frames that runs begin and end with, one of each a run, but for the end of one that may go on: two short chains, where
	 * taking the runs off the word is a long one. */
	pfai_word firsts = free & ~(free << 1), lasts = free & ~(free >> 1) & (PFAI_ONES >> 1);
	for (; lasts; lasts &= lasts - 1, firsts &= firsts - 1)
		if (!walk_visit(w, pfn + pfai_ctz(firsts), pfn + pfai_ctz(lasts) + 1))
			return false;
	if (firsts) {
		w->first = pfn + pfai_ctz(firsts);
		w->end = pfn + PFAI_WORD_BITS;
	}
	return true;
}

/* Some words from w->at on: copied, then visited. */
static int walk_batch(struct walk *w)
{
	struct pfai_zone *z = w->z;
	size_t small = (size_t)1 << (w->order > PFAI_WORD_SHIFT ? w->order : PFAI_WORD_SHIFT);
	size_t rel = (w->at - z->origin) & ~(small - 1);
	unsigned nr = 0;
	if (!pfai_zone_lock(w->p, z))
		return PFA_EBUSY;
	w->step = small > WALK_AHEAD ? small : WALK_AHEAD;
	if (!(rel & (w->step - 1)))
		nr = walk_copy_locked(z, w->order, rel, w->step, w->words);
	if (!nr) {
		w->step = small;
		nr = walk_copy_locked(z, w->order, rel, small, w->words);
	}
	pfai_zone_steps(z, nr * (w->step >> PFAI_WORD_SHIFT) + (WALK_AHEAD >> PFAI_WORD_SHIFT) + 1);
	pfai_zone_unlock(w->p, z);
	pfa_pfn pfn = z->origin + rel;
	if (w->step == PFAI_WORD_BITS)
		w->words[0] &= PFAI_ONES << (w->at - pfn);
	for (unsigned i = 0; i < nr; i++, pfn += w->step)
		if (!walk_word(w, pfn, w->words[i]))
			return PFA_ESTOP;
	w->at = pfn;
	w->cursor->next = w->first != w->end ? w->first : pfn < z->end ? pfn : z->end;
	return PFA_OK;
}

/* The rest of a zone. */
static int walk_zone(struct walk *w)
{
	struct pfai_zone *z = w->z;
	w->at = w->cursor->next > z->start ? w->cursor->next : z->start;
	w->first = w->end = w->at;
	while (w->order <= z->top_order && w->at < z->end) {
		if (pfai_load_relaxed(&z->st->corrupt))
			return PFA_ECORRUPT;
		int result = walk_batch(w);
		if (result != PFA_OK)
			return result;
	}
	return walk_visit_last(w) ? PFA_OK : PFA_ESTOP;
}

/* In the child of a fork() by a visitor nobody walks any more, though this walk goes on. */
static void walk_ends(struct pfa *p)
{
	uint32_t nr;
	do
		nr = pfai_load_relaxed(&p->st->nr_walks);
	while (nr && !pfai_cas32(&p->st->nr_walks, nr, nr - 1));
}

int pfa_walk_free(struct pfa *p, unsigned min_order, pfa_visitor *visit, void *ctx, struct pfa_cursor *cursor)
{
	struct pfa_cursor all = { 0, 0, 0 };
	struct walk w;
	int result = pfai_closed_or_inside(p, "pfa_walk_free");
	bool damaged = false;
	if (result != PFA_OK)
		return result;
	cursor = cursor ? cursor : &all;
	if (!visit || min_order > p->max_order || cursor->zone > p->nr_zones || cursor->reserved)
		return PFA_EINVAL;
	if (cursor->zone < p->nr_zones ? cursor->next > p->zones[cursor->zone].end : cursor->next != 0)
		return PFA_EINVAL;
	w.p = p;
	w.order = min_order;
	w.visit = visit;
	w.ctx = ctx;
	w.cursor = cursor;
	pfai_add_relaxed(&p->st->nr_walks, 1u);
	for (; cursor->zone < p->nr_zones; cursor->zone++, cursor->next = 0) {
		w.z = &p->zones[cursor->zone];
		result = walk_zone(&w);
		if (result == PFA_ECORRUPT)
			damaged = true;
		else if (result != PFA_OK)
			break;
	}
	walk_ends(p);
	if (result != PFA_ESTOP && result != PFA_EBUSY)
		result = damaged ? pfai_tell(p, "pfa_walk_free") : PFA_OK;
	return result;
}
