/* SPDX-License-Identifier: MIT
 *
 * Part of test_states.c: a device of its world that takes, refuses, frees and allocates inside of report(), marks what it is told of
 * as bad, and now and then leaves zones busy, so that a batch cannot go back at once.
 */
#ifndef STATES_REPORT_H
#define STATES_REPORT_H

#include <pfa/report.h>

#include "report.h"

enum reporter { REPORTER_NONE, REPORTER_IDLE, REPORTER_REQUESTED, REPORTER_ACTIVE, REPORTER_AGAIN, REPORTER_SUSPENDED, REPORTERS };

static unsigned reporter; /* as it was seen last */

static unsigned reporter_label(void)
{
	const struct pfai_report *r = watched->report;
	if (!r || !r->registered)
		return REPORTER_NONE;
	if (r->suspended)
		return REPORTER_SUSPENDED;
	switch (pfai_load_relaxed(&r->state)) {
	case 0: return REPORTER_IDLE;
	case PFAI_REPORT_REQUESTED: return REPORTER_REQUESTED;
	case PFAI_REPORT_ACTIVE: return REPORTER_ACTIVE;
	default: return REPORTER_AGAIN;
	}
}

static void look_at_reporter(void)
{
	unsigned label = reporter_label();
	if (label != reporter)
		note(REPORTER, reporter, label);
	reporter = label;
}

/* Which of the functions the device calls, and with what: each comes back as if it had not been between. */
static void device_calls(const struct pfa_run *runs)
{
	enum caller outside = now;
	switch (rng_below(&rng, 12)) {
	case 0:
		for (unsigned i = 0; i < 20; i++) /* what the block has around it becomes free, too */
			step_free(false);
		CALL(BY_DRAIN, pfa_cache_drain, watched, PFA_ALL_CPUS);
		break;
	case 1:
		step_request((unsigned)rng_below(&rng, 4));
		break;
	case 2:
		if (++nr_bad < 16)
			CALL(BY_MARK_BAD, pfa_mark_bad, watched, runs->first + rng_below(&rng, runs->nr_frames));
		break;
	case 3:
		CALL(BY_FLUSH, pfa_report_flush, watched);
		MUST_EQ(result, PFA_EDEADLK);
		break;
	default:
		break;
	}
	now = outside;
}

static int device_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	MUST(ctx == &rig && nr > 0);
	look_at_reporter();
	device_calls(runs);
	if (rng_one_in(&rng, 30))
		zones_busy(true);
	if (rng_one_in(&rng, 8))
		*out_done = (unsigned)rng_below(&rng, nr + 2);
	return rng_one_in(&rng, 8) ? PFA_EDEVICE : PFA_OK;
}

/* What each state says to each call, by the document; and which of these were asked. */
enum { REPORTER_CALLS = BY_FLUSH - BY_REGISTER + 1 };
static char reporter_says[REPORTERS][REPORTER_CALLS][16];
static bool reporter_asked[REPORTERS][REPORTER_CALLS];

static bool reporter_answers(enum caller by, unsigned state, int code)
{
	const char *says = reporter_says[state][by - BY_REGISTER];
	const bool left = by == BY_FLUSH && (code == PFA_EAGAIN || code == PFA_EDEVICE) && strcmp(says, "PFA_OK") == 0;
	reporter_asked[state][by - BY_REGISTER] = true;
	return left || strcmp(says, pfa_error_name(code)) == 0;
}

/* | STATE | code of register | unregister | suspend | resume | flush | */
static void read_answers(const char *line)
{
	char state[16], code[REPORTER_CALLS][16];
	if (sscanf(line, "| %15[A-Z] | %15[A-Z_] | %15[A-Z_] | %15[A-Z_] | %15[A-Z_] | %15[A-Z_] |", state, code[0], code[1], code[2], code[3],
	           code[4]) == 1 + REPORTER_CALLS)
		memcpy(reporter_says[label_of(REPORTER, state, line)], code, sizeof(code));
}

static unsigned compare_answers(void)
{
	unsigned missing = 0;
	for (unsigned i = 0; i < REPORTERS * REPORTER_CALLS; i++)
		missing += !reporter_asked[i / REPORTER_CALLS][i % REPORTER_CALLS];
	if (missing)
		fprintf(stderr, "## Reporter: %u answers were never asked for\n", missing);
	return missing;
}

/* Waiting for a zone is not possible while the device leaves it busy: until the call has returned. */
#define REPORT_CALL(by, function, ...)                                                                  \
	do {                                                                                            \
		unsigned state = reporter;                                                              \
		CALL(by, function, __VA_ARGS__);                                                        \
		zones_busy(false);                                                                      \
		if (!reporter_answers(by, state, result))                                               \
			rig_fail(__FILE__, __LINE__, "%s in state %s says %s, the document %s", #function, labels[REPORTER][state], \
			         pfa_error_name(result), reporter_says[state][(by) - BY_REGISTER]);            \
	} while (0)

static void step_report(void)
{
	const struct pfa_device device = {
		.size = sizeof(device), .report = device_report, .ctx = &rig, .capacity = 1 + (uint32_t)rng_below(&rng, 8),
		.min_order = rng_one_in(&rng, 3) ? PFA_EXPLICIT_0 : 1 + (uint32_t)rng_below(&rng, 8),
		.delay_ns = PFA_EXPLICIT_0, .discards = (uint32_t)rng_below(&rng, 2),
	};
	/* A batch that could not go back does so at the next occasion: now and then that is the end. */
	unsigned what = (unsigned)rng_below(&rng, watched->report->nr && rng_one_in(&rng, 2) ? 2 : 24);
	if (what == 0)
		REPORT_CALL(BY_UNREGISTER, pfa_report_unregister, watched);
	else if (what == 1)
		REPORT_CALL(BY_SUSPEND, pfa_report_suspend, watched);
	else if (what < 5)
		REPORT_CALL(BY_RESUME, pfa_report_resume, watched);
	else if (what < 8)
		REPORT_CALL(BY_REGISTER, pfa_report_register, watched, &device);
	else if (what < 16)
		REPORT_CALL(BY_FLUSH, pfa_report_flush, watched);
	else if (what < 18 && reporter == REPORTER_IDLE)
		step_mark_bad();
	else {
		rig.now_ns += PFA_REPORT_RETRY_NS;
		CALL(BY_DRAIN, pfa_service, watched, 1 + (unsigned)rng_below(&rng, rng_one_in(&rng, 4) ? 40 : 3), NULL);
		zones_busy(false);
	}
}

static int device_leaves_busy(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	bool *busy = ctx;
	(void)runs, (void)nr, (void)out_done;
	zones_busy(*busy);
	return PFA_OK;
}

static size_t held_by_reporter(void)
{
	return rig_stats(&rig, 0).held_report + rig_stats(&rig, 1).held_report;
}

/* A pass whose last batch cannot go back, since its zone cannot be waited for, asks for another one: it goes back by itself. */
static void batch_that_waits(void)
{
	bool busy = true;
	const struct pfa_device device = { .size = sizeof(device), .report = device_leaves_busy, .ctx = &busy, .min_order = 3,
		                           .capacity = PFA_REPORT_CAPACITY_LIMIT, .delay_ns = PFA_EXPLICIT_0,
		                           .only = { ZONE_FRAMES, PAGEBLOCK } };
	CALL(BY_REGISTER, pfa_report_register, watched, &device);
	CALL(BY_FLUSH, pfa_report_flush, watched);
	zones_busy(false);
	busy = false;
	MUST(held_by_reporter() > 0);
	for (unsigned i = 0; i < 100; i++) {
		rig.now_ns += PFA_REPORT_RETRY_NS;
		CALL(BY_DRAIN, pfa_service, watched, 100, NULL);
	}
	MUST_EQ(held_by_reporter(), 0);
	CALL(BY_UNREGISTER, pfa_report_unregister, watched);
	MUST_EQ(result, PFA_OK);
}

static void reporter_stop(void)
{
	if (reporter != REPORTER_NONE)
		REPORT_CALL(BY_UNREGISTER, pfa_report_unregister, watched);
}

#endif
