/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "closed.h"
#include "damage.h"
#include "leaf.h"
#include "place.h"

/* Pending leaves that are looked at under one hold of the zone's lock. */
#define REPORT_LEAVES 64u
/* How long a pass sleeps that has told all that its rate allows. */
#define REPORT_NAP_NS 10000000u
#define REPORT_NOT_SAID UINT32_MAX

bool pfai_report_running(const struct pfa *p)
{
	uint32_t self = pfai_load_relaxed(&p->report->self);
	return self && self == pfai_self(p);
}

static uint64_t report_now(const struct pfa *p)
{
	return p->os.now_ns ? p->os.now_ns(p->os.ctx) : 0;
}

/* ---- pulling ----------------------------------------------------------------------------------------------------- */

enum report_step { REPORT_ON, REPORT_FULL };

/* Order of the largest free block around rel, where a unit begins; -1: the unit is not free. */
static int report_block_at(const struct pfa *p, struct pfai_zone *z, size_t rel)
{
	unsigned unit = p->report->device.min_order;
	size_t leaf = rel >> p->leaf_order, nr = (size_t)1 << unit;
	if (z->leaf[leaf] == 0 && z->leaf_top == p->leaf_order) {
		int order = pfai_zone_containing_locked(p, z, pfai_zone_code_locked(z, pfai_pb_at(p, z, rel)), rel);
		return order >= (int)unit ? order : -1;
	}
	if (unit >= p->leaf_order || !pfai_map_block_is(z->not_free, rel, nr, false))
		return -1;
	return (int)pfai_leaf_grow(pfai_leaf_at(p, z, leaf), (unsigned)(rel & (((size_t)1 << p->leaf_order) - 1)), unit, z->leaf_top);
}

static inline size_t report_base(size_t rel, unsigned order)
{
	return rel >> order << order;
}

/* Frames that may leave the zone now: never below the low mark. */
static ptrdiff_t report_room(const struct pfa *p, struct pfai_zone *z, size_t rel)
{
	bool common = pfai_code_is_common(pfai_zone_code_locked(z, pfai_pb_at(p, z, rel)));
	return pfai_zone_room_locked(z, z->mark_low, !common, !common);
}

/* Frames that a batch may hold: a quarter of what is free, or one unit. */
static size_t report_share(const struct pfai_report *r, const struct pfai_zone *z)
{
	size_t held = z->st->held_report, share = ((size_t)pfai_zone_room_locked(z, 0, true, true) + held) / 4;
	size_t left = share > held ? share - held : 0, unit = (size_t)1 << r->device.min_order;
	return r->nr || left > unit ? left : unit;
}

static void report_take_locked(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order)
{
	struct pfai_report *r = p->report;
	pfai_zone_take_locked(p, z, rel, order);
	pfai_block_leaves(p, pfai_offset_of_rel(z, rel), order, PFAI_HELD_REPORT | order);
	pfai_mark_hold_locked(z, rel, (size_t)1 << order);
	r->batch_zone = z->id;
	r->held[r->nr] = (struct pfai_held){ rel, order };
	/* Nothing is left in the leaves that it covers. */
	if (order >= p->leaf_order)
		pfai_bitset_del_block(z->pending, z->nr_leaves, rel >> p->leaf_order, (size_t)1 << (order - p->leaf_order));
	r->runs[r->nr] = (struct pfa_run){ z->origin + rel, (size_t)1 << order };
	r->nr++;
}

/* The unit at *rel: its block, as large as may be, joins the batch, or it is passed by. *rel goes on. FULL: not now. */
static enum report_step report_unit_locked(struct pfa *p, struct pfai_zone *z, size_t *rel)
{
	struct pfai_report *r = p->report;
	unsigned unit = r->device.min_order;
	int around = report_block_at(p, z, *rel);
	if (around < 0 || pfai_mark_all_told_locked(p, z, *rel, (size_t)1 << unit) || !pfai_mark_wanted(p, z, *rel, (size_t)1 << unit)) {
		*rel += (size_t)1 << unit;
		return REPORT_ON;
	}
	ptrdiff_t room = report_room(p, z, *rel);
	if (r->nr && !pfai_room_fits(room, unit))
		return REPORT_FULL; /* with what the batch holds; not necessarily without */
	if (z->pb[*rel >> p->pb_order].holder || !pfai_room_fits(room, unit)) {
		r->left = true; /* it stays pending: neither of these tells when it ends */
		*rel += (size_t)1 << unit;
		return REPORT_FULL;
	}
	unsigned order = (unsigned)around;
	size_t share = report_share(r, z);
	/* What lies before *rel had its turn in this pass. */
	while (order > unit && (report_base(*rel, order) < *rel || !pfai_mark_wanted(p, z, report_base(*rel, order), (size_t)1 << order) ||
	                        (size_t)1 << order > share || !pfai_room_fits(room, order) ||
	                        pfai_mark_any_told_locked(p, z, report_base(*rel, order), (size_t)1 << order)))
		order--;
	if ((size_t)1 << order > share)
		return REPORT_FULL;
	size_t base = report_base(*rel, order);
	*rel = base + ((size_t)1 << order);
	if (PFAI_UNLIKELY(!pfai_zone_is_free_locked(p, z, base, order)))
		return REPORT_FULL;
	report_take_locked(p, z, base, order);
	return REPORT_ON;
}

/* The units that begin in one pending leaf, from r->at on. FULL: it stays pending. */
static enum report_step report_leaf_locked(struct pfa *p, struct pfai_zone *z, size_t leaf)
{
	struct pfai_report *r = p->report;
	size_t unit = pfai_unit(p), first = leaf << p->leaf_order, end = first + ((size_t)1 << p->leaf_order);
	r->at = r->at > first ? r->at : first;
	r->at = (r->at + unit - 1) & ~(unit - 1);
	/* What was passed by under an earlier hold may be news again. */
	bool stays = r->at > first && pfai_mark_news_locked(p, z, first, (r->at < end ? r->at : end) - first);
	while (r->at < end && !pfai_load_relaxed(&z->st->corrupt)) {
		size_t from = r->at;
		if (r->nr == r->device.capacity || unit > z->nr_rel - from)
			break;
		z->st->reports.steps++;
		if (report_unit_locked(p, z, &r->at) == REPORT_ON)
			continue;
		stays = true;
		if (r->at == from) /* the batch is full */
			return REPORT_FULL;
	}
	if (r->at < end && unit <= z->nr_rel - r->at)
		return REPORT_FULL;
	if (!stays)
		pfai_bitset_del_block(z->pending, z->nr_leaves, leaf, 1); /* often gone with a block */
	r->at = r->at > end ? r->at : end;
	return REPORT_ON;
}

/* Fills the batch. False: the zone is through, with what is in the batch. */
static bool report_pull_locked(struct pfa *p, struct pfai_zone *z)
{
	struct pfai_report *r = p->report;
	for (unsigned i = 0; i < REPORT_LEAVES && r->nr < r->device.capacity && !pfai_load_relaxed(&z->st->corrupt); i++) {
		size_t leaf = pfai_bitset_next(z->pending, z->nr_leaves, r->at >> p->leaf_order);
		if (leaf >= z->nr_leaves)
			return false;
		if (report_leaf_locked(p, z, leaf) == REPORT_FULL)
			return true;
	}
	return true;
}

/* ---- putting back ------------------------------------------------------------------------------------------------ */

/* What is known of the content of a piece, whose bits in z->zero nobody has touched while it was held. */
static void report_return_piece(struct pfa *p, struct pfai_zone *z, size_t rel, unsigned order, bool told, bool changed)
{
	bool zero = told && p->report->device.zeroes && pfai_known_is_zero(p);
	size_t nr = (size_t)1 << order;
	if (!z->zero || changed) {
		pfai_zone_put_locked(p, z, rel, order, zero);
	} else if (order < PFAI_WORD_SHIFT) {
		size_t word = rel >> PFAI_WORD_SHIFT;
		pfai_zone_put_word_locked(p, z, word, pfai_low_bits(1u << order) << (rel & PFAI_WORD_MASK), z->zero[word] ^ p->zero_invert);
	} else {
		for (size_t word = rel >> PFAI_WORD_SHIFT; word < (rel + nr) >> PFAI_WORD_SHIFT; word++)
			pfai_zone_put_word_locked(p, z, word, PFAI_ONES, z->zero[word] ^ p->zero_invert);
	}
}

/* Do all pageblocks of a block that is larger count as the same? */
static bool report_uniform(const struct pfa *p, const struct pfai_zone *z, const struct pfai_held *h)
{
	size_t pb = h->rel >> p->pb_order, end = pb + ((size_t)1 << (h->order - p->pb_order));
	unsigned code = pfai_pb_code(&z->pb[pb]);
	while (++pb < end)
		if (pfai_pb_code(&z->pb[pb]) != code)
			return false;
	return true;
}

/* One block of the batch. Where its byte says something else, it was decided about (by a repair), or there is damage. */
static void report_return_locked(struct pfa *p, struct pfai_zone *z, const struct pfai_held *h, bool told)
{
	size_t offset = pfai_offset_of_rel(z, h->rel), nr = (size_t)1 << h->order;
	bool changed = p->report->device.discards;
	uint32_t reporting = z->st->reporting;
	if (pfai_load_relaxed(&p->bytes[offset]) != (PFAI_HELD_REPORT | h->order))
		return;
	if (PFAI_UNLIKELY(!pfai_block_returnable(p, z, offset, h->order))) {
		pfai_zone_mark_corrupt(z, PFAI_DAMAGE_FREE);
		return;
	}
	pfai_block_returns(p, offset, h->order);
	pfai_mark_release_locked(p, z, h->rel, nr, told);
	if (told && h->order >= p->pb_order)
		z->st->reporting = 0; /* whole pageblocks: nothing in them is news, or resident */
	/* Piece by piece where its pageblocks have become such as do not merge. */
	unsigned piece = h->order < p->pb_order || report_uniform(p, z, h) ? h->order : p->pb_order;
	for (size_t rel = h->rel; rel < h->rel + nr; rel += (size_t)1 << piece)
		report_return_piece(p, z, rel, piece, told, changed);
	z->st->reporting = reporting;
}

/* The batch is free again, the first `told` blocks as known. False: the zone's lock cannot be had, nothing was done. */
static bool report_return(struct pfa *p, unsigned told)
{
	struct pfai_report *r = p->report;
	struct pfai_zone *z = &p->zones[r->batch_zone];
	size_t frames = 0;
	if (!pfai_zone_lock(p, z))
		return false;
	z->st->report_quiet = 1;
	for (unsigned i = 0; i < r->nr; i++) {
		report_return_locked(p, z, &r->held[i], i < told);
		frames += i < told ? r->runs[i].nr_frames : 0;
	}
	z->st->report_quiet = 0;
	z->st->reports.told += frames;
	z->st->reports.batches++;
	z->st->reports.errors += told < r->nr;
	pfai_zone_steps(z, r->nr);
	r->nr = 0;
	pfai_zone_unlock(p, z);
	return true;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

/* Tells the batch. Returns how many blocks count. */
static unsigned report_tell(struct pfa *p)
{
	struct pfai_report *r = p->report;
	unsigned done = REPORT_NOT_SAID;
	pfai_store_relaxed(&r->self, pfai_self(p));
	int result = r->device.report(r->device.ctx, r->runs, r->nr, &done);
	pfai_store_relaxed(&r->self, 0u);
	if (done == REPORT_NOT_SAID)
		done = result == PFA_OK ? r->nr : 0;
	if (done > r->nr)
		done = 0;
	return done;
}

/* Bytes that a second allows come in. A second is taken for 2^30 ns / (1 + 1/16 + 1/128 + 1/512 + 1/1024 + 1/2048). */
static bool report_rate(struct pfa *p, uint64_t now)
{
	struct pfai_report *r = p->report;
	uint64_t ns = now - r->refilled, rate = r->device.bytes_per_s;
	if (!rate)
		return true;
	if (ns >> 30)
		ns = (uint64_t)1 << 30;
	uint64_t bytes = (ns * rate) >> 30;
	bytes += (bytes >> 4) + (bytes >> 7) + (bytes >> 9) + (bytes >> 10) + (bytes >> 11);
	if (bytes) { /* else a little is waited for more */
		r->refilled = now;
		r->tokens += (int64_t)bytes;
		if (r->tokens > (int64_t)rate)
			r->tokens = (int64_t)rate;
	}
	return r->tokens > 0;
}

/* One batch from zone r->zone: pulled, told, put back. False: the zone is through. */
static bool report_batch(struct pfa *p)
{
	struct pfai_report *r = p->report;
	struct pfai_zone *z = &p->zones[r->zone];
	uint32_t children = r->children;
	if (pfai_load_relaxed(&z->st->corrupt) || (r->nr && !report_return(p, 0)) || !pfai_zone_lock(p, z)) {
		r->left = true;
		return false;
	}
	size_t steps = z->st->reports.steps;
	bool more = report_pull_locked(p, z);
	pfai_zone_steps(z, z->st->reports.steps - steps + REPORT_LEAVES);
	pfai_zone_unlock(p, z);
	if (!r->nr)
		return more;
	unsigned nr = r->nr, done = report_tell(p);
	if (r->children != children) /* this is a child now, and the batch its parent's */
		return false;
	for (unsigned i = 0; i < done && r->device.bytes_per_s; i++)
		r->tokens -= (int64_t)((uint64_t)r->runs[i].nr_frames * r->frame_bytes);
	bool returned = report_return(p, done);
	r->left |= done < nr || !returned; /* what cannot go back now does so before the next batch: there must be one */
	if (done == 0) {
		r->failed = true;
		return false; /* the other zones get their turn */
	}
	return more;
}

static void report_begin(struct pfa *p)
{
	struct pfai_report *r = p->report;
	uint32_t state;
	r->running = 1;
	r->zone = 0;
	r->at = 0;
	r->left = r->failed = false;
	do
		state = pfai_load_relaxed(&r->state);
	while (!pfai_cas32(&r->state, state, PFAI_REPORT_ACTIVE));
}

/* What was requested meanwhile, or had to be left, gets a pass of its own, later. */
static void report_end(struct pfa *p, uint64_t now)
{
	struct pfai_report *r = p->report;
	/* A table, since not every core can shift 64 bits without the compiler's help. */
	static const uint8_t factors[PFA_REPORT_BACKOFF_LIMIT + 1] = { 1, 2, 4, 8, 16, 32, 64 };
	uint64_t delay = r->device.delay_ns;
	r->running = 0;
	if (r->failed) {
		r->backoff += r->backoff < PFA_REPORT_BACKOFF_LIMIT;
		delay = delay > PFA_REPORT_RETRY_NS ? delay : PFA_REPORT_RETRY_NS;
		delay *= factors[r->backoff <= PFA_REPORT_BACKOFF_LIMIT ? r->backoff : PFA_REPORT_BACKOFF_LIMIT];
	} else {
		r->backoff = 0;
		if (r->left && delay < PFA_REPORT_RETRY_NS)
			delay = PFA_REPORT_RETRY_NS;
	}
	if (r->left)
		pfai_report_request(r);
	r->due = 0;
	if (!pfai_cas32(&r->state, PFAI_REPORT_ACTIVE, 0)) {
		pfai_store_relaxed(&r->state, PFAI_REPORT_REQUESTED); /* both bits were set, and none can be set meanwhile */
		r->due = now + delay ? now + delay : 1;
	}
}

/* One step of the pass. False: it has ended. */
static bool report_step(struct pfa *p, uint64_t now)
{
	struct pfai_report *r = p->report;
	uint32_t children = r->children;
	if (r->zone < p->nr_zones && report_batch(p))
		return true;
	if (r->children != children)
		return false;
	if (r->zone < p->nr_zones) {
		r->zone++;
		r->at = 0;
	}
	if (r->zone < p->nr_zones)
		return true;
	report_end(p, now);
	return false;
}

/* Has a pass to run now? Else *next is lowered to when. */
static bool report_due(struct pfa *p, uint64_t now, uint64_t *next)
{
	struct pfai_report *r = p->report;
	if (!r->registered || r->suspended)
		return false;
	if (!r->running) {
		if (!(pfai_load_acquire(&r->state) & PFAI_REPORT_REQUESTED))
			return false;
		if (!r->due)
			r->due = now + r->device.delay_ns ? now + r->device.delay_ns : 1;
		if (now < r->due) {
			*next = r->due < *next ? r->due : *next;
			return false;
		}
		report_begin(p);
	}
	if (report_rate(p, now))
		return true;
	*next = now + REPORT_NAP_NS < *next ? now + REPORT_NAP_NS : *next;
	return false;
}

bool pfai_report_background(struct pfa *p, unsigned *budget, uint64_t now, uint64_t *next)
{
	struct pfai_report *r = p->report;
	while (!pfai_load_relaxed(&r->leaving) && pfai_report_lock(p, false)) {
		bool due = report_due(p, now, next);
		if (due && *budget) {
			--*budget;
			(void)report_step(p, now);
		}
		bool more = due && !*budget;
		pfai_sleep_unlock(&p->os, &r->busy);
		if (!due || more)
			return more;
	}
	return false; /* who has it leaves nothing undone that nobody asks for again */
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

/* Over all zones, some of each under one hold of its lock: frees are noted from now on and all may be unknown, or they are not and
 * nothing is known. False: a zone's lock cannot be had. */
static bool report_switch(struct pfa *p, bool listen)
{
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		for (size_t at = 0, end = listen ? z->nr_leaves : z->nr_pb; at < end;) {
			if (!pfai_zone_lock(p, z))
				return false;
			z->st->reporting = listen;
			at = listen ? pfai_mark_all_pending_locked(p, z, at) : pfai_mark_forget_locked(p, z, at);
			pfai_zone_unlock(p, z);
		}
	}
	return true;
}

/* Nothing is noted any more, and nothing known. False as above. */
static bool report_forget(struct pfa *p)
{
	if (!report_switch(p, false))
		return false;
	p->report->running = 0;
	p->report->due = 0;
	pfai_store_relaxed(&p->report->state, 0u);
	return true;
}

/* Whatever is freed from now on is noted, and all that is free now may be unknown. False as above. */
static bool report_listen(struct pfa *p, uint64_t now)
{
	struct pfai_report *r = p->report;
	if (!report_switch(p, true))
		return false;
	r->backoff = 0;
	r->frame_bytes = (uint32_t)1 << p->frame_shift;
	r->refilled = now;
	r->tokens = (int64_t)r->device.bytes_per_s;
	pfai_report_request(r);
	return true;
}

static bool report_device_read(const struct pfa *p, const struct pfa_device *in, struct pfa_device *d)
{
	const unsigned char *bytes = (const unsigned char *)in;
	if (in->size < sizeof(*in))
		return false;
	for (size_t i = sizeof(*in); i < in->size; i++)
		if (bytes[i])
			return false;
	*d = *in;
	d->capacity = d->capacity ? d->capacity : PFA_REPORT_CAPACITY;
	if (d->min_order == PFA_EXPLICIT_0)
		d->min_order = 0;
	else if (!d->min_order)
		d->min_order = p->pb_order < p->max_order ? p->pb_order : p->max_order;
	if (d->delay_ns == PFA_EXPLICIT_0)
		d->delay_ns = 0;
	else if (!d->delay_ns)
		d->delay_ns = PFA_REPORT_DELAY_NS;
	return d->report && d->capacity <= PFA_REPORT_CAPACITY_LIMIT && d->min_order <= p->max_order && d->discards <= 1 &&
	       d->zeroes <= d->discards && d->bytes_per_s <= (uint64_t)1 << 33 && d->delay_ns >> 56 == 0 &&
	       d->only.first + d->only.nr_frames >= d->only.first;
}

/* What all of them begin with. */
static int report_open(const struct pfa *p, const char *function)
{
	int result = pfai_closed_or_inside(p, function);
	if (result != PFA_OK)
		return result;
	if (!p->report)
		return PFA_ENOTSUP;
	return pfai_report_running(p) ? PFA_EDEADLK : PFA_OK;
}

static void report_unlock(struct pfa *p)
{
	pfai_sleep_unlock(&p->os, &p->report->busy);
}

int pfa_report_register(struct pfa *p, const struct pfa_device *device)
{
	struct pfa_device d;
	int result = report_open(p, "pfa_report_register");
	if (result != PFA_OK)
		return result;
	if (!report_device_read(p, device, &d))
		return PFA_EINVAL;
	if (!pfai_report_lock(p, false))
		return PFA_EBUSY;
	result = p->report->registered ? PFA_EBUSY : PFA_OK;
	if (result == PFA_OK) {
		p->report->device = d;
		p->report->suspended = 0;
		result = report_listen(p, report_now(p)) ? PFA_OK : PFA_EBUSY;
		p->report->registered = result == PFA_OK;
	}
	if (result != PFA_OK && !p->report->registered)
		(void)report_forget(p);
	report_unlock(p);
	return result;
}

/* Waits for the batch in flight, and stops. */
static int report_leave(struct pfa *p, const char *function, bool suspend)
{
	struct pfai_report *r = p->report;
	int result = report_open(p, function);
	if (result != PFA_OK)
		return result;
	pfai_add_relaxed(&r->leaving, 1u);
	bool locked = pfai_report_lock(p, true);
	pfai_sub_relaxed(&r->leaving, 1u);
	if (!locked)
		return PFA_EBUSY;
	if (!r->registered || (suspend && r->suspended))
		result = PFA_EINVAL;
	else if (r->nr && !report_return(p, 0))
		result = PFA_EBUSY;
	else if (!report_forget(p))
		result = PFA_EBUSY;
	else if (suspend)
		r->suspended = 1;
	else
		r->registered = 0;
	report_unlock(p);
	return result;
}

int pfa_report_unregister(struct pfa *p)
{
	return report_leave(p, "pfa_report_unregister", false);
}

int pfa_report_suspend(struct pfa *p)
{
	return report_leave(p, "pfa_report_suspend", true);
}

int pfa_report_resume(struct pfa *p)
{
	struct pfai_report *r = p->report;
	int result = report_open(p, "pfa_report_resume");
	if (result != PFA_OK)
		return result;
	if (!pfai_report_lock(p, false))
		return PFA_EBUSY;
	if (!r->registered || !r->suspended)
		result = PFA_EINVAL;
	else if (report_listen(p, report_now(p)))
		r->suspended = 0;
	else
		result = PFA_EBUSY;
	report_unlock(p);
	return result;
}

int pfa_report_flush(struct pfa *p)
{
	struct pfai_report *r = p->report;
	int result = report_open(p, "pfa_report_flush");
	bool damaged = false;
	if (result != PFA_OK)
		return result;
	if (!pfai_report_lock(p, false))
		return PFA_EBUSY;
	if (!r->registered || r->suspended) {
		report_unlock(p);
		return PFA_EINVAL;
	}
	report_begin(p);
	uint32_t children = r->children;
	while (result == PFA_OK && report_step(p, report_now(p)))
		result = pfai_load_relaxed(&r->leaving) ? PFA_EBUSY : PFA_OK;
	for (uint32_t i = 0; i < p->nr_zones; i++)
		damaged |= pfai_load_relaxed(&p->zones[i].st->corrupt) != PFAI_DAMAGE_NONE;
	if (result == PFA_OK && damaged)
		result = PFA_ECORRUPT;
	else if (result == PFA_OK && (r->failed || r->children != children))
		result = PFA_EDEVICE;
	else if (result == PFA_OK && r->left)
		result = PFA_EAGAIN;
	report_unlock(p);
	return pfai_told(p, result, "pfa_report_flush");
}

void pfai_report_child(struct pfa *p)
{
	struct pfai_report *r = p->report;
	pfai_lock_set(&r->busy, 0);
	pfai_store_relaxed(&r->self, 0u);
	pfai_store_relaxed(&r->leaving, 0u);
	r->children++;
	if (r->nr)
		(void)report_return(p, 0);
	(void)report_forget(p);
	r->registered = 0;
}
