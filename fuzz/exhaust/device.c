/* SPDX-License-Identifier: MIT
 *
 * device.c - the reporting device (exhaust.h): its calls, what it is told, and what it must know then.
 *
 * Its delay is a millisecond, so that a pass that one service call requests begins with the next one that comes later (a back-off, too:
 * the clock moves on by more than the longest).
 */
#include "exhaust.h"

#include <string.h>

#include <pfa/config.h>
#include <pfa/debug.h>
#include <pfa/stats.h>

#define DEVICE_DELAY_NS 1000000u
#define DEVICE_CAPACITY 2u /* so that batches end early */
#define DEVICE_TAKES 16u

/* ---- what it is told ------------------------------------------------------------------------------------------------ */

/* Does the device know all of this? */
static bool device_knows(const struct ex_machine *m, unsigned at, unsigned nr)
{
	for (unsigned i = at; i < at + nr; i++)
		if (!m->w.told[i])
			return false;
	return true;
}

static bool device_judge_run(struct ex_machine *m, const struct pfa_run *run, pfa_pfn behind)
{
	const unsigned unit = 1u << m->w.unit, at = (unsigned)(run->first - m->base), nr = (unsigned)run->nr_frames;

	if (run->first < behind || run->first - m->base >= m->span || run->nr_frames > m->span - at || nr < unit || (nr & (nr - 1)) ||
	    run->first % nr)
		return ex_broken(m, "I9 batch: a block has no size or place that a device is promised", unit, run->nr_frames);
	if (!ex_free(m, at, nr, m->zone_of[at]))
		return ex_broken(m, "I9 batch: a frame is somebody's, absent or isolated", 0, run->first);
	for (unsigned i = at; i < at + nr; i += unit)
		if (device_knows(m, i, unit))
			return ex_broken(m, "I9 twice: the device is told what it knows", 0, m->base + i);
	return true;
}

/* Takes single frames, and gives them back in the other order. What is in the batch is nobody's to give. */
static void device_takes(struct ex_machine *m, const struct pfa_run *runs, unsigned nr)
{
	pfa_pfn taken[DEVICE_TAKES];
	unsigned n = 0;

	for (; n < DEVICE_TAKES && pfa_alloc(m->pfa, 0, PFA_MOVABLE | PFA_NOWAIT, &taken[n]) == PFA_OK; n++) {
		for (unsigned i = 0; i < nr; i++)
			if (taken[n] - runs[i].first < runs[i].nr_frames)
				ex_broken(m, "I9 batch: a frame that the device is being told of was granted", 0, taken[n]);
		if (!ex_grant(m, taken[n], 0, 0, EX_HEAD, true))
			return;
		m->w.told[taken[n] - m->base] = 0;
	}
	while (n--) {
		if (pfa_free(m->pfa, taken[n], 0) != PFA_OK)
			ex_broken(m, "I9 a free inside of report() is refused", 0, taken[n]);
		ex_clear(m, (unsigned)(taken[n] - m->base));
	}
}

static int device_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct ex_machine *m = ctx;
	unsigned done = nr;
	pfa_pfn behind = m->base;

	m->batches++;
	if (!m->w.registered || m->w.suspended || !nr || nr > DEVICE_CAPACITY)
		ex_broken(m, "I9 batch: there is no device, or as many blocks as it takes", DEVICE_CAPACITY, nr);
	for (unsigned i = 0; i < nr && !m->finding[0]; i++) {
		if (device_judge_run(m, &runs[i], behind))
			behind = runs[i].first + runs[i].nr_frames;
	}
	if (m->finding[0])
		return PFA_EDEVICE;
	if (m->device == EX_DEVICE_TAKES)
		device_takes(m, runs, nr);
	if (m->device == EX_DEVICE_FIRST)
		*out_done = done = 1;
	if (m->device == EX_DEVICE_LIES)
		*out_done = nr + 1;
	if (m->device == EX_DEVICE_LIES || m->device == EX_DEVICE_FAILS)
		done = 0;
	for (unsigned i = 0; i < nr; i++)
		for (unsigned k = 0; k < runs[i].nr_frames; k++)
			m->w.told[runs[i].first - m->base + k] = i < done;
	return m->device == EX_DEVICE_FAILS ? PFA_EDEVICE : PFA_OK;
}

/* ---- its calls -------------------------------------------------------------------------------------------------------- */

static bool device_register(struct ex_machine *m, unsigned order)
{
	const struct pfa_device d = { .size = sizeof(d), .report = device_report, .ctx = m, .capacity = DEVICE_CAPACITY,
		                      .min_order = order ? order : PFA_EXPLICIT_0, .delay_ns = DEVICE_DELAY_NS };

	m->w.unit = (uint8_t)order;
	m->code = pfa_report_register(m->pfa, &d);
	return m->code == PFA_OK || ex_broken(m, "a device is refused", 0, (size_t)(unsigned)-m->code);
}

/* What is on offer, in units that the device is told of, is known to it. */
static bool device_complete(struct ex_machine *m)
{
	struct pfa_frame_info is;
	const unsigned unit = 1u << m->w.unit;

	for (unsigned at = 0; at < m->span; at += unit) {
		bool on_offer = m->zone_of[at] != UINT8_MAX && ex_free(m, at, unit, m->zone_of[at]) && !device_knows(m, at, unit);
		for (unsigned i = at; i < at + unit && on_offer; i++)
			on_offer = pfa_frame_info(m->pfa, m->base + i, &is) == PFA_OK && is.state == PFA_FRAME_FREE;
		if (on_offer)
			return ex_broken(m, "I9 complete: a unit is free, and the device was not told of it", unit, m->base + at);
	}
	return true;
}

static bool device_flush(struct ex_machine *m)
{
	const bool there = m->w.registered && !m->w.suspended;

	m->code = pfa_report_flush(m->pfa);
	if (!there)
		return m->code == PFA_EINVAL || ex_broken(m, "a flush without a device", (size_t)(unsigned)-PFA_EINVAL, (size_t)(unsigned)-m->code);
	if (m->code == PFA_OK) /* what was freed during the call is for the next pass */
		return m->device == EX_DEVICE_TAKES || device_complete(m);
	if (m->code == PFA_EDEVICE && m->batches && (m->device == EX_DEVICE_FAILS || m->device == EX_DEVICE_LIES))
		return true;
	return (m->code == PFA_EAGAIN && (m->w.nr_holds || (m->device == EX_DEVICE_FIRST && m->batches))) ||
	       ex_broken(m, "I9 a flush's code", 0, (size_t)(unsigned)-m->code);
}

/* Once around all cpus, and at least one batch. */
static bool device_step(struct ex_machine *m)
{
	m->code = pfa_service(m->pfa, m->p->config.cpus + 1, NULL);
	if (m->batches > 1)
		return ex_broken(m, "I13 a step of service tells more than a batch", 1, m->batches);
	return m->code == PFA_OK || m->code == PFA_EAGAIN || ex_broken(m, "service's code", 0, (size_t)(unsigned)-m->code);
}

bool ex_apply_device(struct ex_machine *m, struct ex_op op)
{
	switch (op.kind) {
	case EX_FLUSH: return device_flush(m);
	case EX_STEP: return device_step(m);
	case EX_REGISTER:
		if (!device_register(m, op.nr))
			return false;
		m->w.registered = true;
		break;
	case EX_RESUME: m->code = pfa_report_resume(m->pfa); break;
	case EX_SUSPEND: m->code = pfa_report_suspend(m->pfa); break;
	default: m->code = pfa_report_unregister(m->pfa);
	}
	if (m->code != PFA_OK)
		return ex_broken(m, "a device cannot be suspended, resumed or ended", 0, (size_t)(unsigned)-m->code);
	if (op.kind == EX_UNREGISTER)
		m->w.registered = false;
	m->w.suspended = op.kind == EX_SUSPEND;
	m->w.unit = m->w.registered ? m->w.unit : 0;
	memset(m->w.told, 0, sizeof(m->w.told));
	return true;
}

/* ---- what it knows ------------------------------------------------------------------------------------------------------ */

bool ex_device_forget(struct ex_machine *m)
{
	struct pfa_frame_info is;

	for (unsigned at = 0; at < m->span && m->w.registered; at++) {
		if (!m->w.told[at])
			continue;
		if (pfa_frame_info(m->pfa, m->base + at, &is) != PFA_OK)
			return ex_broken(m, "pfa_frame_info() fails", 0, at);
		m->w.told[at] = is.state == PFA_FRAME_FREE;
	}
	return true;
}

bool ex_judge_device(struct ex_machine *m)
{
	struct pfa_zone_stats z;
	size_t told = 0, reported = 0;

	for (unsigned at = 0; at < m->span; at++)
		told += m->w.told[at];
	for (unsigned zone = 0; zone < m->p->config.nr_zones; zone++) {
		if (pfa_zone_stats_get(m->pfa, zone, &z, sizeof(z)) != PFA_OK)
			return ex_broken(m, "pfa_zone_stats_get() fails", 0, zone);
		reported += z.reported;
		if (z.held_report)
			return ex_broken(m, "I9 the reporter holds frames, and no call runs", 0, z.held_report);
	}
	return told == reported || ex_broken(m, "I9 frames that the device knows", told, reported);
}
