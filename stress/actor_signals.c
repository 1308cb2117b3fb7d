/* SPDX-License-Identifier: MIT
 *
 * A storm of signals: a timer of its own interrupts a thread every few microseconds, whatever it does, and the handler asks
 * what may be asked there (lib/docs/locking.md).
 */
#include "soak.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* older headers have the field, and not its name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define SIGNALS_SIGNAL SIGUSR2

struct signals {
	timer_t timer;
	bool exists;
	uint32_t counted; /* of slot->nr_signals */
};

static void signals_count_region(void *ctx, const struct pfa_region *region)
{
	*(size_t *)ctx += region->bytes;
}

static void signals_ask(struct soak_slot *slot)
{
	pfa_pfn pfn = soak.geo.zones[0].start, again = 0;
	struct pfa_stats stats;
	struct pfa_event events[4];
	char text[100];
	void *ptr = NULL;
	size_t bytes = 0, nr = 0;
	int rc = pfa_stats_get(soak.pfa, &stats, sizeof(stats));
	if (rc != PFA_OK || stats.nr_zones != soak.geo.config.nr_zones || stats.nr_corrupt)
		soak_fail("handler", "pfa_stats_get in a handler: %s, %zu zones, %zu corruptions", pfa_error_name(rc),
		          stats.nr_zones, stats.nr_corrupt);
	if (pfa_ptr(soak.pfa, pfn, &ptr) != PFA_OK || pfa_pfn_of(soak.pfa, ptr, &again) != PFA_OK ||
	    again + soak_canary(SOAK_CANARY_handler) != pfn)
		soak_fail("handler", "frame %zu is at %p, which is frame %zu, in a handler of thread %u", pfn, ptr, again,
		          slot->id);
	rc = pfa_history(soak.pfa, pfn, events, 4, &nr);
	if (rc != (soak.geo.config.history ? PFA_OK : PFA_ENOTSUP) || nr > 4)
		soak_fail("handler", "pfa_history in a handler: %s, %zu events", pfa_error_name(rc), nr);
	for (size_t i = 0; i < nr; i++)
		if (events[i].op <= PFA_EVENT_NONE || events[i].op >= PFA_EVENT_OPS)
			soak_fail("handler", "frame %zu's event %zu is of kind %d", pfn, events[i].number, (int)events[i].op);
	if (pfa_frame_text(soak.pfa, pfn, text, sizeof(text)) < 5)
		soak_fail("handler", "pfa_frame_text in a handler: '%s'", text);
	pfa_regions(soak.pfa, signals_count_region, &bytes);
	if (bytes > soak.meta_bytes)
		soak_fail("handler", "pfa_regions in a handler: %zu bytes of %zu", bytes, soak.meta_bytes);
}

static void signals_handler(int signal)
{
	int saved = errno;
	struct soak_slot *slot = soak_self;
	(void)signal;
	if (slot && slot->id && soak.pfa) {
		slot->nr_signals++;
		signals_ask(slot);
	}
	errno = saved;
}

static void signals_init(struct soak_slot *slot, void *state)
{
	struct signals *s = state;
	struct sigaction action = {.sa_handler = signals_handler, .sa_flags = SA_RESTART};
	struct sigevent event;
	(void)slot;
	sigemptyset(&action.sa_mask);
	sigaction(SIGNALS_SIGNAL, &action, NULL);
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGNALS_SIGNAL;
	event.sigev_notify_thread_id = gettid();
	s->exists = timer_create(CLOCK_MONOTONIC, &event, &s->timer) == 0;
}

static void signals_arm(struct signals *s, uint32_t period_us)
{
	struct itimerspec when = {{0, (long)period_us * 1000}, {0, (long)period_us * 1000}};
	if (s->exists)
		timer_settime(s->timer, 0, &when, NULL);
}

/* The storm comes and goes, and is another one each time. */
static void signals_step(struct soak_slot *slot, void *state)
{
	struct signals *s = state;
	soak_count(&soak_tally(slot)->checks, slot->nr_signals - s->counted);
	s->counted = slot->nr_signals;
	signals_arm(s, soak_chance(&slot->rng, 60) ? 20 + soak_below(&slot->rng, 300) : 0);
}

static void signals_rest(struct soak_slot *slot, void *state)
{
	(void)slot;
	signals_arm(state, 0);
}

static void signals_fini(struct soak_slot *slot, void *state)
{
	struct signals *s = state;
	(void)slot;
	if (s->exists)
		timer_delete(s->timer);
	s->exists = false;
}

const struct soak_actor soak_actor_signals = {
	.name = "signals",
	.weight = 2,
	.state_bytes = sizeof(struct signals),
	.init = signals_init,
	.step = signals_step,
	.rest = signals_rest,
	.fini = signals_fini,
};
