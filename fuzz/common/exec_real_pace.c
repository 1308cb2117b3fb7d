/* SPDX-License-Identifier: MIT
 *
 * exec_real_pace.c - when the device is told: no pass begins before its time (the delay, or after failures the back-off of
 * pfa/report.h), and after a failure none begins later. The model knows what the device said, and the clock.
 *
 * A service call reads the clock once, and its passes end at that time. That a pass has ended is known after a call that says that
 * nothing is left to do, after a flush, and after a failure in the last zone. Devices with a rate are not judged.
 */
#include "exec_real_report.h"

static uint64_t pace_wait(const struct real_told *t, unsigned failures)
{
	uint64_t ns = t->device.delay_ns;
	if (ns == PFA_EXPLICIT_0)
		ns = 0;
	else if (!ns)
		ns = PFA_REPORT_DELAY_NS;
	if (failures && ns < PFA_REPORT_RETRY_NS)
		ns = PFA_REPORT_RETRY_NS;
	return ns << (failures < PFA_REPORT_BACKOFF_LIMIT ? failures : PFA_REPORT_BACKOFF_LIMIT);
}

/* No pass is under way, and the wait for the next begins. */
static void pace_rests(struct real_run *r, uint64_t since)
{
	struct real_pace *w = &r->told.pace;
	w->over = r->run->setup.cfg.nr_zones;
	w->since = since;
	w->until = r->sim.now_ns;
}

void pace_begins(struct real_run *r)
{
	r->told.pace.least = r->told.pace.most = 0;
	pace_rests(r, r->sim.now_ns);
}

bool pace_batch(struct real_run *r, pfa_pfn first)
{
	struct real_pace *w = &r->told.pace;
	if (w->flushing || r->told.device.bytes_per_s)
		return true;
	if (told_zone(r, first, 1) >= w->over) {
		w->again |= w->over == 0;
		return true;
	}
	if (w->now < w->since + pace_wait(&r->told, w->least))
		return real_fail(r, "I9 early", "a pass comes before its delay, or its back-off, is over (ns)", first,
		                 (size_t)pace_wait(&r->told, w->least), (size_t)(w->now - w->since));
	w->over = 0;
	w->counted = w->again = false;
	return true;
}

void pace_failed(struct real_run *r, pfa_pfn first)
{
	struct real_pace *w = &r->told.pace;
	w->none = true;
	if (w->flushing)
		return;
	if (!w->counted) {
		/* Without a delay what was told before may have been a pass of its own, which ended the row. */
		w->least = w->again && !pace_wait(&r->told, 0) ? 1 : w->least + 1;
		w->most++;
	} else if (w->now >= w->since + pace_wait(&r->told, w->least)) {
		w->most++; /* perhaps another pass */
	}
	w->counted = true;
	pace_rests(r, w->now);
	w->over = told_zone(r, first, 1) + 1;
}

int pace_flush(struct real_run *r)
{
	struct real_pace *w = &r->told.pace;
	const bool there = r->told.registered && !r->told.suspended;
	const uint64_t now = r->sim.now_ns;

	w->none = false;
	w->flushing = true;
	const int code = real_calls.flush(r->pfa);
	w->flushing = false;
	if (!there)
		return code;
	w->least = w->none ? w->least + 1 : 0;
	w->most = w->none ? w->most + 1 : 0;
	pace_rests(r, now);
	return code;
}

int told_service(struct real_run *r, unsigned budget)
{
	struct real_told *t = &r->told;
	struct real_pace *w = &t->pace;
	const uint64_t now = r->sim.now_ns;
	const unsigned nr_zones = r->run->setup.cfg.nr_zones, acted = r->acted, least = w->least, most = w->most;
	const bool rests = w->over == nr_zones, must = rests && now >= w->until + pace_wait(t, most);
	const size_t calls = t->calls;
	uint64_t next;

	w->now = now;
	w->none = t->failed = false;
	const int code = real_calls.service(r->pfa, budget, &next);
	if (!t->registered || t->suspended || t->device.bytes_per_s || r->failed)
		return code;
	if (code != PFA_OK) {
		/* Unless the last zone just failed a pass may be under way, or have ended without another call. */
		if (w->over != nr_zones || t->calls == calls)
			w->least = 0;
		return code;
	}
	if (!w->none && w->over == 0) /* told by this call, or before it */
		w->least = w->most = 0;
	else if (t->calls == calls && must)
		w->least = w->most = 0;
	else if (t->calls == calls && now >= w->since + pace_wait(t, w->least))
		w->least = 0;
	if (t->calls != calls)
		pace_rests(r, now);
	else if (!rests)
		w->until = now; /* or the pass ended with the call before */
	w->over = nr_zones;
	/* Not if the last pass may have ended well: what is freed after it is told a delay after a call has seen that. */
	if (must && least && !t->failed && r->acted == acted && told_can_end(r))
		(void)told_complete(r, "I9 late");
	return code;
}

bool pace_retries(struct real_run *r)
{
	struct real_told *t = &r->told;
	struct real_pace *w = &t->pace;

	if (!t->registered || t->suspended)
		return true;
	/* Everything is news, and the row of failures begins. */
	if (!told_leave(r, true) || !told_resume(r))
		return false;
	t->says = 1;
	t->count = 15;
	t->times = 4;
	t->does = 0;
	for (unsigned i = 0; i < 10; i++) {
		const uint64_t may = w->since + pace_wait(t, w->least), must = w->until + pace_wait(t, w->most), at = i % 2 ? must : may - (may != 0);
		if (at > r->sim.now_ns)
			pfa_sim_advance(&r->sim, at - r->sim.now_ns);
		if (!real_may(r, told_service(r, 64), REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN), "pfa_service()"))
			return false;
	}
	return true;
}
