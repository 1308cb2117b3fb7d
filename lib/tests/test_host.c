/* SPDX-License-Identifier: MIT
 *
 * The host for tests: it finds nothing to say about the library, and says each thing when it is so.
 */
#include "unit.h"

#include <pfa/devices.h>

#include <string.h>

enum { FIRST = 37, FRAMES = 2048, LIVE = 100 };

static unsigned char memory[FRAMES];

static void base(struct rig *rig)
{
	rig_init(rig);
	rig->pool_kind = RIG_POOL_CONTENT;
	rig->cfg.flags = PFA_CONFIG_REPORTING | PFA_CONFIG_TRACK_ZERO | PFA_CONFIG_NO_SHADOW;
	rig_zone(rig, FIRST, FRAMES / 2);
	rig_zone(rig, FIRST + FRAMES / 2, FRAMES / 2);
}

static void attach(struct rig *rig, struct pfa_host *host, uint32_t zeroes, uint32_t min_order)
{
	const struct pfa_host_config cfg = {.size = sizeof(cfg), .pfa = rig->pfa, .first = FIRST, .nr_frames = FRAMES,
	                                    .frame_shift = rig->cfg.frame_shift, .capacity = 5, .min_order = min_order, .zeroes = zeroes};
	struct pfa_device device;
	assert_int_equal(pfa_host_bytes(&cfg), FRAMES);
	EXPECT(pfa_host_init, PFA_OK, host, &cfg, memory, sizeof(memory));
	pfa_host_device(host, &device);
	assert_int_equal(pfa_report_register(rig->pfa, &device), PFA_OK);
}

static unsigned char *frame_at(struct rig *rig, pfa_pfn pfn)
{
	void *at;
	MUST_EQ(pfa_ptr(rig->pfa, pfn, &at), PFA_OK);
	return at;
}

static void fine(const struct pfa_host *host, int code)
{
	if (code != PFA_OK || host->broken)
		rig_fail(__FILE__, __LINE__, "%s, frame %zu", host->broken ? host->broken : "-", host->broken_pfn);
}

static void found(struct pfa_host *host, const char *what, pfa_pfn pfn)
{
	assert_non_null(host->broken);
	assert_string_equal(host->broken, what);
	assert_int_equal(host->broken_pfn, pfn);
	host->broken = NULL;
}

/* Everything at random, by one thread. */
static void run(uint64_t seed, uint32_t zeroes, uint32_t min_order)
{
	static struct {
		pfa_pfn pfn;
		unsigned order;
	} live[LIVE];
	struct rng rng = {seed};
	struct pfa_host host;
	struct rig rig;
	unsigned nr = 0;
	base(&rig);
	rig_start(&rig);
	attach(&rig, &host, zeroes, min_order);
	for (unsigned step = 0; step < 1000; step++) {
		const bool zeroed = rng_one_in(&rng, 2);
		const size_t what = rng_below(&rng, 20);
		if (what < 9 && nr < LIVE) {
			unsigned order = (unsigned)rng_below(&rng, 9);
			pfa_pfn pfn;
			if (pfa_alloc(rig.pfa, order, PFA_MOVABLE | (zeroed ? PFA_ZERO : 0), &pfn) != PFA_OK)
				continue;
			fine(&host, pfa_host_granted(&host, (struct pfa_run){pfn, (size_t)1 << order}, zeroed));
			memset(frame_at(&rig, pfn), (int)step, (size_t)1 << (order + rig.cfg.frame_shift));
			live[nr].pfn = pfn;
			live[nr++].order = order;
		} else if (what < 18 && nr) {
			const size_t i = rng_below(&rng, nr);
			assert_int_equal(pfa_free(rig.pfa, live[i].pfn, live[i].order), PFA_OK);
			live[i] = live[--nr];
		} else if (what == 18) {
			host.result = rng_one_in(&rng, 3) ? PFA_EDEVICE : PFA_OK;
			host.done = rng_one_in(&rng, 2) ? PFA_HOST_NOT_SET : (uint32_t)rng_below(&rng, 7);
			const int code = pfa_report_flush(rig.pfa);
			assert_true(code == PFA_OK || code == PFA_EAGAIN || code == PFA_EDEVICE);
			fine(&host, pfa_host_check(&host));
		} else if (rng_one_in(&rng, 10)) {
			assert_int_equal(pfa_report_suspend(rig.pfa), PFA_OK);
			pfa_host_forget(&host);
			assert_int_equal(pfa_report_resume(rig.pfa), PFA_OK);
		}
	}
	assert_true(host.nr_calls > 3 && host.nr_runs >= host.nr_calls && host.nr_frames_told >= host.nr_runs << min_order % PFA_EXPLICIT_0);
	while (nr--)
		assert_int_equal(pfa_free(rig.pfa, live[nr].pfn, live[nr].order), PFA_OK);
	fine(&host, pfa_host_check(&host));
	assert_int_equal(pfa_report_unregister(rig.pfa), PFA_OK);
	rig_stop(&rig);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		run(seed, seed % 2, 6);
		run(seed, seed % 2, 2);
		run(seed, seed % 2, PFA_EXPLICIT_0);
	}
}

/* ---- what it says when a promise is broken ---- */

static struct rig *inside_rig;

static void write_inside(void *ctx, const struct pfa_run runs[], unsigned nr)
{
	frame_at(ctx, runs[nr - 1].first)[3] ^= 1;
}

static int forged(struct pfa_host *host, const struct pfa_run *runs, unsigned nr)
{
	struct pfa_device device;
	unsigned done = 77;
	pfa_host_device(host, &device);
	const int code = device.report(device.ctx, runs, nr, &done);
	assert_int_equal(done, 0);
	return code;
}

/* Batches that no library would make, one promise broken in each. Made while the real batch is held. */
static void forge(void *ctx, const struct pfa_run runs[], unsigned nr)
{
	struct pfa_host *host = ctx;
	const struct pfa_run first = runs[0], one[] = {{first.first, 3}}, little[] = {{first.first, 2}}, skew[] = {{(first.first | 7) + 5, 8}},
	                     outside[] = {{1 << 20, 64}}, twice[] = {first, first}, straddles[] = {{0, 64}};
	const struct pfa_run six[6] = {first, first, first, first, first, first};
	MUST(nr > 0);
	host->inside = NULL; /* this is called once */
	struct pfa_run in_use = {0, 0};
	for (pfa_pfn pfn = 40; pfn < FRAMES && !in_use.nr_frames; pfn += 4)
		if (rig_info(inside_rig, pfn).state == PFA_FRAME_HEAD)
			in_use = (struct pfa_run){pfn, 4};
	struct {
		const struct pfa_run *runs;
		unsigned nr;
		const char *what;
		pfa_pfn pfn;
	} cases[] = {
		{one, 1, "not a power of two of frames", first.first},
		{little, 1, "a block of less than min_order", first.first},
		{skew, 1, "a block is not naturally aligned", skew[0].first},
		{outside, 1, "frames that are not in the pool", 1 << 20},
		{straddles, 1, "frames that are not in the pool", 0},
		{twice, 2, "blocks are not ascending", first.first},
		{six, 6, "no blocks, or more than the device's capacity", 0},
		{six, 0, "no blocks, or more than the device's capacity", 0},
		{&in_use, 1, "a block is not held for the device", in_use.first},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		MUST_EQ(forged(host, cases[i].runs, cases[i].nr), PFA_EDEVICE);
		found(host, cases[i].what, cases[i].pfn);
	}
}

static void test_broken_promises(void **state)
{
	struct pfa_host host;
	struct rig rig;
	pfa_pfn pfn, other;
	(void)state;
	base(&rig);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	rig.cfg.quarantine = rig_level == 3 ? PFA_EXPLICIT_0 : 0;
	rig_start(&rig);
	attach(&rig, &host, 0, 2);
	assert_int_equal(pfa_alloc(rig.pfa, 2, PFA_MOVABLE, &pfn), PFA_OK);
	/* in a batch */
	inside_rig = &rig;
	host.inside = forge;
	host.inside_ctx = &host;
	assert_int_equal(pfa_report_flush(rig.pfa), PFA_OK);
	assert_null(host.inside);
	/* somebody writes to what the host has */
	assert_int_equal(pfa_alloc(rig.pfa, 6, PFA_MOVABLE, &other), PFA_OK);
	EXPECT(pfa_host_granted, PFA_OK, &host, (struct pfa_run){other, 64}, false);
	assert_int_equal(pfa_free(rig.pfa, other, 6), PFA_OK);
	host.inside = write_inside;
	host.inside_ctx = &rig;
	assert_int_equal(pfa_report_flush(rig.pfa), PFA_EDEVICE);
	found(&host, "a frame was written to while it was the host's", other);
	host.inside = NULL;
	assert_int_equal(pfa_report_flush(rig.pfa), PFA_OK);
	EXPECT(pfa_host_check, PFA_OK, &host);
	/* and to what is free */
	assert_int_equal(pfa_alloc(rig.pfa, 6, PFA_MOVABLE, &other), PFA_OK);
	frame_at(&rig, other + 9)[1] ^= 1;
	EXPECT(pfa_host_granted, PFA_ECORRUPT, &host, (struct pfa_run){other, 64}, false);
	found(&host, "a frame was written to while it was free", other + 9);
	EXPECT(pfa_host_granted, PFA_ECORRUPT, &host, (struct pfa_run){other, 64}, true);
	found(&host, "a frame that was asked for as zero is not", other);
	EXPECT(pfa_host_granted, PFA_EINVAL, &host, (struct pfa_run){FIRST + FRAMES, 1}, false);
	EXPECT(pfa_host_granted, PFA_EINVAL, &host, (struct pfa_run){FIRST, FRAMES + 1}, false);
	EXPECT(pfa_host_granted, PFA_EINVAL, &host, (struct pfa_run){FIRST, 0}, false);
	assert_int_equal(pfa_free(rig.pfa, other, 6), PFA_OK);
	/* what the library holds for told was not */
	pfa_host_forget(&host);
	EXPECT(pfa_host_check, PFA_ECORRUPT, &host);
	assert_string_equal(host.broken, "a frame is held for told, and was not");
	assert_int_equal(pfa_free(rig.pfa, pfn, 2), PFA_OK);
	assert_int_equal(pfa_report_unregister(rig.pfa), PFA_OK);
	rig_stop(&rig);
}

static void test_configuration(void **state)
{
	struct pfa_host host;
	struct rig rig;
	(void)state;
	base(&rig);
	rig_start(&rig);
	const struct pfa_host_config right = {.size = sizeof(right), .pfa = rig.pfa, .nr_frames = FRAMES, .min_order = 3};
	EXPECT(pfa_host_init, PFA_OK, &host, &right, memory, FRAMES);
	EXPECT(pfa_host_init, PFA_EINVAL, &host, &right, memory, FRAMES - 1);
	EXPECT(pfa_host_init, PFA_EINVAL, &host, &right, NULL, FRAMES);
#define WRONG(field, value)                                                            \
	do {                                                                           \
		struct pfa_host_config wrong = right;                                  \
		wrong.field = value;                                                   \
		assert_int_equal(pfa_host_bytes(&wrong), 0);                           \
		EXPECT(pfa_host_init, PFA_EINVAL, &host, &wrong, memory, FRAMES); \
	} while (0)
	WRONG(size, 8);
	WRONG(pfa, NULL);
	WRONG(nr_frames, 0);
	WRONG(first, SIZE_MAX);
	WRONG(frame_shift, 31);
	WRONG(capacity, PFA_REPORT_CAPACITY_LIMIT + 1);
	WRONG(min_order, 0);
	WRONG(min_order, 32);
	WRONG(zeroes, 2);
#undef WRONG
	assert_int_equal(pfa_host_bytes(NULL), 0);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST_CONTENT(test_random, "the host destroys it"),
	TEST_CONTENT(test_broken_promises, "the host destroys it"),
	TEST(test_configuration),
};

UNIT_MAIN(tests)
