/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "batch.h"
#include "closed.h"
#include "damage.h"

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
	if (pfai_load_relaxed(&z->st->corrupt) || (r->nr && !pfai_batch_return(p, 0)) || !pfai_zone_lock(p, z)) {
		r->left = true;
		return false;
	}
	bool more = pfai_batch_pull_locked(p, z);
	pfai_zone_unlock(p, z);
	if (!r->nr)
		return more;
	unsigned nr = r->nr, done = report_tell(p);
	if (r->children != children) /* this is a child now, and the batch its parent's */
		return false;
	for (unsigned i = 0; i < done && r->device.bytes_per_s; i++)
		r->tokens -= (int64_t)((uint64_t)r->runs[i].nr_frames * r->frame_bytes);
	bool returned = pfai_batch_return(p, done);
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
	else if (r->nr && !pfai_batch_return(p, 0))
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
		(void)pfai_batch_return(p, 0);
	(void)report_forget(p);
	r->registered = 0;
}
