/* SPDX-License-Identifier: MIT
 *
 * Part of test_bounds.c: a device is registered, told of everything, of what came free since, of nothing; suspended, resumed, and
 * unregistered. And what frees and requests take where a device is registered.
 */
#ifndef BOUNDS_REPORT_H
#define BOUNDS_REPORT_H

#include <pfa/report.h>

static int device_told(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	(void)runs, (void)nr, (void)out_done;
	return *(const int *)ctx;
}

/* Units of F frames that a pass may have to tell: where something is not known, or came free since it was told. */
static size_t unreported(size_t F)
{
	size_t sum = 0, leaves = 0;
	for (uint32_t i = 0; i < Z; i++) {
		const struct pfai_zone *z = &rig.pfa->zones[i];
		sum += rig_stats(&rig, i).unreported;
		for (size_t leaf = 0; (leaf = pfai_bitset_next(z->pending, z->nr_leaves, leaf)) < z->nr_leaves; leaf++)
			leaves++;
	}
	return (sum + F - 1) / F + leaves * MAX(G / F, 1);
}

static void flushed(size_t F)
{
	MEASURE(pfa_report_flush, unreported(F), F, rig.pfa);
	MUST(result == PFA_OK || result == PFA_EAGAIN || result == PFA_EDEVICE);
}

/* A call where a device is registered: it may take so much more than its row says. */
static void reported_judged(enum function id, size_t F, struct meter m, size_t more)
{
	struct bound own = bound_of(id, F);
	for (unsigned part = 0; part < METER_PARTS; part++)
		if (m.steps[part] > own.steps[part] + (part == METER_CALL ? 2 * Z : 1) * more)
			rig_fail(__FILE__, __LINE__, "%s with a device (%zu frames): %s: %zu steps, %zu and %zu are stated; level %u", functions[id].name,
			         F, part_names[part], m.steps[part], own.steps[part], more, level);
}

/* A block of each order out of what is told, and back. unit: of the device. */
static void with_device(size_t unit)
{
	for (unsigned order = 0; order <= rig.pfa->max_order; order++) {
		const size_t F = (size_t)1 << order, nr = MAX(F / unit, 1);
		pfa_pfn pfn;
		N = 1;
		D = doomed_now(ID_pfa_alloc);
		meter_begin();
		result = pfa_alloc(rig.pfa, order, PFA_MOVABLE, &pfn);
		reported_judged(ID_pfa_alloc, F, meter_end(), looked(F) + 2 * F / w);
		if (result != PFA_OK)
			continue;
		meter_begin();
		result = pfa_free(rig.pfa, pfn, order);
		struct meter m = meter_end();
		if (!J) /* what a quarantine gives back for it has other orders */
			reported_judged(ID_pfa_free, F, m, B(F) * nr * (4 * unit / w + 2 * L + 8));
		MUST_EQ(result, PFA_OK);
	}
}

static void device_of(unsigned order)
{
	const size_t F = (size_t)1 << order;
	int says = PFA_OK;
	const struct pfa_device device = { .size = sizeof(device), .report = device_told, .ctx = &says, .min_order = order ? order : PFA_EXPLICIT_0,
		                           .capacity = order & 1 ? PFA_REPORT_CAPACITY_LIMIT : PFA_REPORT_CAPACITY };
	MEASURE(pfa_report_register, 1, F, rig.pfa, &device);
	MUST_EQ(result, PFA_OK);
	says = PFA_EDEVICE;
	flushed(F);
	says = PFA_OK;
	flushed(F);
	flushed(F); /* there is nothing new */
	with_device(F);
	flushed(F);
	MEASURE(pfa_report_suspend, 1, F, rig.pfa);
	MEASURE(pfa_report_resume, 1, F, rig.pfa);
	MUST_EQ(result, PFA_OK);
	flushed(F);
	MEASURE(pfa_report_unregister, 1, F, rig.pfa);
	MUST_EQ(result, PFA_OK);
}

/* A device that is told of the first pageblock only: all that is free elsewhere is passed by, unit by unit. */
static void device_of_a_pageblock(void)
{
	int says = PFA_OK;
	const struct pfa_device device = { .size = sizeof(device), .report = device_told, .ctx = &says, .min_order = PFA_EXPLICIT_0,
		                           .only = { 0, PB } };
	MEASURE(pfa_report_register, 1, 1, rig.pfa, &device);
	MUST_EQ(result, PFA_OK);
	flushed(1);
	MEASURE(pfa_report_unregister, 1, 1, rig.pfa);
	MUST_EQ(result, PFA_OK);
}

static void reported_blocks(void)
{
	device_of_a_pageblock();
	for (unsigned order = 0; order <= rig.pfa->max_order; order++)
		device_of(order);
}

#endif
