/* SPDX-License-Identifier: MIT
 *
 * Free page reporting: a host that takes what it is told of, destroys its content, and gives it back; one thread at a time
 * registers, suspends, resumes and unregisters it, and any of them flushes, against everything that the others do.
 *
 * What is judged while others work: the frames of a batch are nobody's in the shadow, and the host's until report() returns, so
 * that whoever is granted one of them, or had it, is a double grant; batches are as report.h says; no call while another one
 * runs, nor after unregister or suspend has returned; what is forbidden inside is refused there. A walk from inside
 * visits what the host is being told of. At rest no frame is with the reporter, what is marked was told since the last
 * registration, and after a flush that says so nothing is left to be told.
 */
#include "soak.h"

#include <pfa/report.h>
#include <pfa/walk.h>

#include <stdlib.h>

#define REPORT_TAG (SOAK_DEVICE_ID << 20)

static struct {
	_Atomic uint32_t manager; /* somebody changes the fields below it, and knows what the calls that do so must return */
	enum { REPORT_NONE, REPORT_ON, REPORT_SUSPENDED } state;
	struct pfa_device device;
	uint32_t registration; /* the how manieth; a resumed one is another one */
	_Atomic uint32_t allowed; /* report() may be called: from before the call that begins it until after the one that ends it */
	_Atomic uint32_t inside;
	_Atomic size_t nr_told;
	_Atomic uint32_t *told; /* per frame of the span: the registration that it was told in last */
	bool willing;           /* takes all, and does nothing else inside; written while nobody else works */
} host;

static bool report_is_there(void)
{
	return soak.geo.config.flags & PFA_CONFIG_REPORTING;
}

/* ---- inside report() -------------------------------------------------------------------------------------------- */

/* One block. The device that is registered does not change while a call of it runs. */
static void report_judge_run(const struct pfa_run *run, const struct pfa_run *before)
{
	const struct pfa_run *only = &host.device.only;
	size_t rel = run->first - soak.geo.base;
	const char *wrong = NULL;
	if (run->nr_frames == 0 || (run->nr_frames & (run->nr_frames - 1)))
		wrong = "is no power of two";
	else if (run->first & (run->nr_frames - 1))
		wrong = "is not naturally aligned";
	else if (run->nr_frames >> (host.device.min_order == PFA_EXPLICIT_0 ? 0 : host.device.min_order) == 0)
		wrong = "is smaller than min_order";
	else if (run->first < soak.geo.base || rel >= soak.geo.span || run->nr_frames > soak.geo.span - rel)
		wrong = "lies outside of the instance";
	else if (only->nr_frames && (run->first < only->first || run->first - only->first > only->nr_frames - run->nr_frames))
		wrong = "is not what the device asked for";
	else if (before && run->first < before->first + before->nr_frames)
		wrong = "does not come after the one before it";
	else if (before && soak_zone_of(run->first) != soak_zone_of(before->first))
		wrong = "is of another zone than the one before it";
	if (wrong)
		soak_fail("report", "the host is told of [%zu, +%zu), which %s", run->first, run->nr_frames, wrong);
}

struct report_walk {
	const struct pfa_run *runs;
	unsigned nr;
	size_t visited; /* frames of the runs */
};

static int report_visit(void *ctx, struct pfa_run run)
{
	struct report_walk *w = ctx;
	for (unsigned i = 0; i < w->nr; i++) {
		pfa_pfn from = w->runs[i].first > run.first ? w->runs[i].first : run.first;
		pfa_pfn a = w->runs[i].first + w->runs[i].nr_frames, b = run.first + run.nr_frames, to = a < b ? a : b;
		if (from < to && !soak_canary(SOAK_CANARY_missed)) /* the canary: one visit is lost */
			w->visited += to - from;
	}
	return 0;
}

/* What is held all the time counts as free. */
static void report_walk(struct soak_slot *slot, const struct pfa_run runs[], unsigned nr)
{
	struct report_walk w = {.runs = runs, .nr = nr};
	struct soak_record *record = soak_record(slot, SOAK_OP_walk, 0, 0, 0);
	size_t frames = 0;
	int rc = pfa_walk_free(soak.pfa, 0, report_visit, &w, NULL);
	soak_recorded(record, rc);
	soak_expect(slot, "pfa_walk_free inside report()", rc, PFA_OK);
	for (unsigned i = 0; i < nr; i++)
		frames += runs[i].nr_frames;
	if (w.visited != frames)
		soak_fail("walk", "of %zu frames that the host is told of (from %zu on) a walk visits %zu", frames, runs[0].first, w.visited);
	soak_count(&soak_tally(slot)->checks, 1);
}

static void report_forbidden(struct soak_slot *slot)
{
	int rc = PFA_OK;
	switch (soak_below(&slot->rng, 7)) {
	case 0:
		rc = pfa_service(soak.pfa, 1, NULL);
		break;
	case 1:
		rc = pfa_fini(soak.pfa);
		break;
	case 2:
		rc = pfa_report_flush(soak.pfa);
		break;
	case 3:
		rc = pfa_report_register(soak.pfa, &host.device);
		break;
	case 4:
		rc = pfa_report_unregister(soak.pfa);
		break;
	case 5:
		rc = pfa_report_suspend(soak.pfa);
		break;
	default:
		rc = pfa_report_resume(soak.pfa);
		break;
	}
	soak_expect(slot, "what is forbidden inside report()", rc, PFA_EDEADLK);
}

/* What a host may do while the frames are its. */
static void report_inside(struct soak_slot *slot, const struct pfa_run runs[], unsigned nr)
{
	const uint32_t may_move = atomic_load(&slot->may_move); /* of the call around us */
	struct soak_grant grant;
	if (soak_chance(&slot->rng, 5))
		report_forbidden(slot);
	if (soak_chance(&slot->rng, 4))
		report_walk(slot, runs, nr);
	/* not at rest, where it would make news that the flush has passed */
	if (!host.willing && soak_chance(&slot->rng, 20) && soak_take(slot, soak_order(slot), soak_flags(slot) & ~PFA_COMPACT, &grant))
		soak_give(slot, grant);
	atomic_store(&slot->may_move, may_move);
}

static uint64_t report_pattern(pfa_pfn pfn)
{
	return soak_mix(pfn ^ UINT64_C(0xde71ce));
}

/* The frames of a block become the host's, which writes to them. */
static void report_receive(struct soak_slot *slot, const struct pfa_run *run)
{
	soak_shadow_pass(slot, run->first, run->nr_frames, 0, REPORT_TAG);
	soak_shadow_poison(run->first, run->nr_frames, false);
	for (size_t i = 0; host.device.discards && i < run->nr_frames; i++) {
		uint64_t *words = soak_frame(run->first + i);
		words[0] = words[soak.frame_bytes / sizeof(*words) - 1] = report_pattern(run->first + i);
	}
}

/* And nobody's. */
static void report_release(struct soak_slot *slot, const struct pfa_run *run, bool done)
{
	for (size_t i = 0; i < run->nr_frames; i++) {
		uint64_t *words = soak_frame(run->first + i), pattern = report_pattern(run->first + i);
		size_t last = soak.frame_bytes / sizeof(*words) - 1;
		if (host.device.discards && (words[0] != pattern || words[last] != pattern))
			soak_fail("report", "frame %zu was written to while it was the host's", run->first + i);
		for (size_t k = 0; done && host.device.zeroes && k <= last; k++)
			words[k] = 0;
		if (done)
			atomic_store_explicit(&host.told[run->first + i - soak.geo.base], host.registration, memory_order_relaxed);
	}
	soak_shadow_poison(run->first, run->nr_frames, true);
	soak_shadow_pass(slot, run->first, run->nr_frames, REPORT_TAG, 0);
}

static int report_op(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct soak_slot *slot = soak_self;
	struct soak_record *record = soak_record(slot, SOAK_OP_told, nr ? runs[0].first : 0, nr, 0);
	const bool fails = !host.willing && soak_chance(&slot->rng, 10), some = !host.willing && soak_chance(&slot->rng, 20);
	unsigned says = some ? soak_below(&slot->rng, nr + 2) : 0, done = some ? (says > nr ? 0 : says) : fails ? 0 : nr;
	if (soak_canary(SOAK_CANARY_host))
		atomic_store(&host.inside, 1);
	if (soak_canary(SOAK_CANARY_unhost))
		atomic_store(&host.allowed, 0);
	if (ctx != &host || !atomic_load(&host.allowed) || atomic_exchange(&host.inside, 1))
		soak_fail("report", "the host is called %s", atomic_load(&host.allowed) ? "while a call runs" : "though it is not registered");
	if (nr == 0 || nr > host.device.capacity)
		soak_fail("report", "the host is told of %u blocks, and takes %u", nr, host.device.capacity);
	for (unsigned i = 0; i < nr; i++) {
		report_judge_run(&runs[i], i ? &runs[i - 1] : NULL);
		report_receive(slot, &runs[i]);
	}
	report_inside(slot, runs, nr);
	for (unsigned i = 0; i < nr; i++) {
		report_release(slot, &runs[i], i < done);
		atomic_fetch_add_explicit(&host.nr_told, runs[i].nr_frames, memory_order_relaxed);
	}
	if (some)
		*out_done = says;
	soak_count(&soak_tally(slot)->checks, nr);
	soak_recorded(record, fails ? PFA_EDEVICE : PFA_OK);
	if (!atomic_load(&host.allowed))
		soak_fail("report", "unregister or suspend has returned while a call runs");
	atomic_store(&host.inside, 0);
	return fails ? PFA_EDEVICE : PFA_OK;
}

/* In the child of a fork() no host has anything. */
void soak_report_child(void)
{
	for (size_t rel = 0; rel < soak.geo.span; rel++)
		if (atomic_load_explicit(&soak.shadow[rel], memory_order_relaxed) == REPORT_TAG)
			atomic_store_explicit(&soak.shadow[rel], 0, memory_order_relaxed);
}

/* ---- who registers it ------------------------------------------------------------------------------------------- */

static struct pfa_device report_device(struct soak_slot *slot)
{
	const struct pfa_config *c = &soak.geo.config;
	struct pfa_device d = {.size = sizeof(d), .report = report_op, .ctx = &host, .capacity = PFA_REPORT_CAPACITY};
	d.min_order = c->pageblock_order < c->max_order ? c->pageblock_order : c->max_order;
	if (soak_chance(&slot->rng, 70))
		d.min_order = soak_below(&slot->rng, c->max_order + 1);
	d.min_order = d.min_order ? d.min_order : PFA_EXPLICIT_0;
	if (soak_chance(&slot->rng, 60))
		d.capacity = 1 + soak_below(&slot->rng, soak_chance(&slot->rng, 50) ? 4 : PFA_REPORT_CAPACITY_LIMIT);
	d.delay_ns = soak_chance(&slot->rng, 70) ? PFA_EXPLICIT_0 : 1 + soak_below(&slot->rng, 100000000);
	d.discards = soak_chance(&slot->rng, 80);
	d.zeroes = d.discards && soak_chance(&slot->rng, 30);
	if (soak_chance(&slot->rng, 15))
		d.only = (struct pfa_run){soak.geo.base + soak_below(&slot->rng, (uint32_t)soak.geo.span), 1 + soak_below(&slot->rng, (uint32_t)soak.geo.span)};
	if (soak_chance(&slot->rng, 15))
		d.bytes_per_s = 1 + soak_below(&slot->rng, 1u << 24);
	return d;
}

/* A call that may find another one at work. True: it did it. */
static bool report_began(struct soak_slot *slot, const char *what, struct soak_record *record, int rc)
{
	soak_recorded(record, rc);
	if (rc != PFA_EBUSY)
		soak_expect(slot, what, rc, PFA_OK);
	if (rc == PFA_OK)
		return true;
	atomic_store(&host.allowed, 0);
	return false;
}

static void report_register(struct soak_slot *slot)
{
	struct soak_record *record;
	host.device = report_device(slot);
	host.registration++;
	record = soak_record(slot, SOAK_OP_report_register, host.device.min_order, host.device.capacity, host.device.discards);
	atomic_store(&host.allowed, 1);
	if (report_began(slot, "pfa_report_register", record, pfa_report_register(soak.pfa, &host.device)))
		host.state = REPORT_ON;
}

static void report_resume(struct soak_slot *slot)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_report_resume, 0, 0, 0);
	host.registration++;
	atomic_store(&host.allowed, 1);
	if (report_began(slot, "pfa_report_resume", record, pfa_report_resume(soak.pfa)))
		host.state = REPORT_ON;
}

static void report_leave(struct soak_slot *slot, bool suspend)
{
	struct soak_record *record = soak_record(slot, suspend ? SOAK_OP_report_suspend : SOAK_OP_report_unregister, 0, 0, 0);
	int rc = suspend ? pfa_report_suspend(soak.pfa) : pfa_report_unregister(soak.pfa);
	soak_recorded(record, rc);
	soak_expect(slot, suspend ? "pfa_report_suspend" : "pfa_report_unregister", rc, PFA_OK);
	atomic_store(&host.allowed, 0);
	host.state = suspend ? REPORT_SUSPENDED : REPORT_NONE;
}

/* What the state forbids. A call that does not wait may say EBUSY instead, since somebody is at work. */
static void report_refused(struct soak_slot *slot)
{
	int rc;
	if (host.state == REPORT_NONE) {
		soak_expect(slot, "pfa_report_unregister without a device", pfa_report_unregister(soak.pfa), PFA_EINVAL);
		soak_expect(slot, "pfa_report_suspend without a device", pfa_report_suspend(soak.pfa), PFA_EINVAL);
	} else {
		soak_expect(slot, "a second pfa_report_register", pfa_report_register(soak.pfa, &host.device), PFA_EBUSY);
	}
	if (host.state == REPORT_SUSPENDED)
		soak_expect(slot, "a second pfa_report_suspend", pfa_report_suspend(soak.pfa), PFA_EINVAL);
	rc = host.state == REPORT_ON ? pfa_report_resume(soak.pfa) : pfa_report_flush(soak.pfa);
	if (rc != PFA_EBUSY)
		soak_expect(slot, "pfa_report_flush or _resume in the wrong state", rc, PFA_EINVAL);
	soak_count(&soak_tally(slot)->refused, 1);
}

static void report_manage(struct soak_slot *slot)
{
	uint32_t nobody = 0;
	if (!atomic_compare_exchange_strong(&host.manager, &nobody, 1))
		return;
	if (soak_chance(&slot->rng, 30))
		report_refused(slot);
	else if (host.state == REPORT_NONE)
		report_register(slot);
	else if (host.state == REPORT_ON || soak_chance(&slot->rng, 30))
		report_leave(slot, host.state == REPORT_ON && soak_chance(&slot->rng, 50));
	else
		report_resume(slot);
	atomic_store(&host.manager, 0);
}

/* Whatever others do with the device meanwhile. */
static void report_flush(struct soak_slot *slot)
{
	struct soak_record *record = soak_record(slot, SOAK_OP_report_flush, 0, 0, 0);
	int rc = pfa_report_flush(soak.pfa);
	soak_recorded(record, rc);
	if (rc != PFA_OK && rc != PFA_EAGAIN && rc != PFA_EDEVICE && rc != PFA_EBUSY && rc != PFA_EINVAL)
		soak_fail("result", "pfa_report_flush returned %s", pfa_error_name(rc));
	soak_count(&soak_tally(slot)->calls, 1);
}

/* ---- at rest ---------------------------------------------------------------------------------------------------- */

/* What is marked is free and was told; so many frames as the library says. */
static void report_marks(struct soak_slot *slot)
{
	size_t marked = 0, counted = 0;
	for (unsigned z = 0; z < soak.geo.config.nr_zones; z++) {
		struct pfa_zone_stats s;
		soak_expect(slot, "pfa_zone_stats_get", pfa_zone_stats_get(soak.pfa, z, &s, sizeof(s)), PFA_OK);
		if (s.held_report)
			soak_fail("report", "zone %u at rest: %zu frames are with the reporter", z, s.held_report);
		counted += s.reported;
	}
	for (size_t rel = 0; rel < soak.geo.span; rel++) {
		struct pfa_frame_info info;
		soak_expect(slot, "pfa_frame_info", pfa_frame_info(soak.pfa, soak.geo.base + rel, &info), PFA_OK);
		if (!info.reported)
			continue;
		marked++;
		if (host.state != REPORT_ON || info.state != PFA_FRAME_FREE ||
		    atomic_load(&host.told[rel]) != host.registration + soak_canary(SOAK_CANARY_unmarked))
			soak_fail("report", "frame %zu (state %d) is marked as told, and was not since the last registration", soak.geo.base + rel,
			          (int)info.state);
	}
	if (marked != counted)
		soak_fail("report", "%zu frames are marked as told, and %zu are counted", marked, counted);
	soak_count(&soak_tally(slot)->checks, 1);
}

static int report_must_be_told(void *ctx, struct pfa_run run)
{
	const struct pfa_run *only = &host.device.only;
	const size_t unit = *(const size_t *)ctx;
	for (size_t i = 0; i < run.nr_frames; i++) {
		pfa_pfn pfn = run.first + i, first = pfn & ~(unit - 1);
		struct pfa_frame_info info;
		if (only->nr_frames && (first < only->first || unit > only->nr_frames || first - only->first > only->nr_frames - unit))
			continue;
		if (pfa_frame_info(soak.pfa, pfn, &info) != PFA_OK || !info.reported)
			soak_fail("report", "frame %zu is free, and not told by a flush that told everything", pfn);
	}
	return 0;
}

/* A flush that leaves nothing is followed by one that has nothing to tell. */
static void report_complete(struct soak_slot *slot)
{
	const unsigned order = host.device.min_order == PFA_EXPLICIT_0 ? 0 : host.device.min_order;
	const size_t unit = (size_t)1 << order;
	size_t told;
	int rc;
	host.willing = true;
	rc = pfa_report_flush(soak.pfa);
	if (rc != PFA_EAGAIN)
		soak_expect(slot, "pfa_report_flush at rest", rc, PFA_OK);
	report_marks(slot);
	told = atomic_load(&host.nr_told);
	if (rc == PFA_OK) {
		soak_expect(slot, "a second pfa_report_flush at rest", pfa_report_flush(soak.pfa), PFA_OK);
		if (atomic_load(&host.nr_told) != told)
			soak_fail("report", "a second flush at rest tells %zu frames again", atomic_load(&host.nr_told) - told);
		/* a larger unit may lie in pageblocks that do not merge */
		if (order <= soak.geo.config.pageblock_order)
			soak_expect(slot, "pfa_walk_free at rest", pfa_walk_free(soak.pfa, order, report_must_be_told, (void *)(uintptr_t)&unit, NULL), PFA_OK);
	}
	host.willing = false;
}

static void report_quiet(struct soak_slot *slot)
{
	if (!report_is_there())
		return;
	report_marks(slot);
	if (host.state == REPORT_ON)
		report_complete(slot);
}

/* ---- the actor -------------------------------------------------------------------------------------------------- */

static void report_begin(struct soak_slot *slot)
{
	(void)slot;
	host.state = REPORT_NONE;
	host.registration = 0;
	host.willing = false;
	atomic_store(&host.allowed, 0);
	atomic_store(&host.inside, 0);
	host.told = calloc(soak.geo.span, sizeof(*host.told));
	if (!host.told)
		exit(2);
}

static void report_end(struct soak_slot *slot)
{
	if (host.state != REPORT_NONE)
		report_leave(slot, false);
	if (report_is_there())
		report_marks(slot);
	free(host.told);
}

static void report_step(struct soak_slot *slot, void *state)
{
	uint32_t what = soak_below(&slot->rng, 100);
	(void)state;
	if (!report_is_there())
		soak_expect(slot, "pfa_report_flush without PFA_CONFIG_REPORTING", pfa_report_flush(soak.pfa), PFA_ENOTSUP);
	else if (what < 8)
		report_manage(slot);
	else if (what < 25)
		report_flush(slot);
	else
		soak_service(slot, 1 + soak_below(&slot->rng, 8));
}

const struct soak_actor soak_actor_report = {
	.name = "report",
	.weight = 12,
	.begin = report_begin,
	.end = report_end,
	.step = report_step,
	.quiet = report_quiet,
};
