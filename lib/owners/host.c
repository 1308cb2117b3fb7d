/* SPDX-License-Identifier: MIT
 *
 * The host for tests: it owns what it is told of, and makes sure that nobody finds anything there.
 */
#include <pfa/debug.h>
#include <pfa/devices.h>
#include <pfa/pfa.h>
#include <pfa/stats.h>

#include "owner_lock.h"

#define HOST_PATTERN 0xA5u

/* What it writes to may be poisoned in a sanitizer's shadow, which is for the program's own threads. */
#if defined(__GNUC__)
#define HOST_NO_ASAN __attribute__((no_sanitize("address")))
#else
#define HOST_NO_ASAN
#endif

static bool host_broken(struct pfa_host *h, const char *what, pfa_pfn pfn)
{
	if (!h->broken) {
		h->broken = what;
		h->broken_pfn = pfn;
	}
	return false;
}

static size_t host_frame_bytes(const struct pfa_host *h)
{
	return (size_t)1 << h->cfg.frame_shift;
}

static unsigned char host_byte(const struct pfa_host *h, pfa_pfn pfn, size_t i)
{
	return h->cfg.zeroes ? 0 : (unsigned char)(HOST_PATTERN ^ pfn ^ i);
}

static volatile unsigned char *host_at(const struct pfa_host *h, pfa_pfn pfn)
{
	void *at;
	return pfa_ptr(h->cfg.pfa, pfn, &at) == PFA_OK ? at : NULL;
}

HOST_NO_ASAN static bool host_destroy(struct pfa_host *h, pfa_pfn pfn)
{
	volatile unsigned char *at = host_at(h, pfn);
	if (!at)
		return host_broken(h, "a frame has no address", pfn);
	for (size_t i = 0; i < host_frame_bytes(h); i++)
		at[i] = host_byte(h, pfn, i);
	h->told[pfn - h->cfg.first] = 1;
	return true;
}

/* Is the frame as the host has left it (or all zero)? */
HOST_NO_ASAN static bool host_intact(const struct pfa_host *h, pfa_pfn pfn, bool zero)
{
	volatile unsigned char *at = host_at(h, pfn);
	for (size_t i = 0; at && i < host_frame_bytes(h); i++)
		if (at[i] != (zero ? 0 : host_byte(h, pfn, i)))
			return false;
	return at != NULL;
}

static bool host_has(const struct pfa_host *h, struct pfa_run run)
{
	return run.nr_frames && run.first >= h->cfg.first && run.first - h->cfg.first < h->cfg.nr_frames &&
	       run.nr_frames <= h->cfg.nr_frames - (run.first - h->cfg.first);
}

/* One block of a batch. */
static bool host_accepts(struct pfa_host *h, const struct pfa_run *run, const struct pfa_run *before)
{
	struct pfa_frame_info info;
	if (run->nr_frames == 0 || (run->nr_frames & (run->nr_frames - 1)))
		return host_broken(h, "not a power of two of frames", run->first);
	if (run->nr_frames < (size_t)1 << h->cfg.min_order)
		return host_broken(h, "a block of less than min_order", run->first);
	if (run->first & (run->nr_frames - 1))
		return host_broken(h, "a block is not naturally aligned", run->first);
	if (!host_has(h, *run))
		return host_broken(h, "frames that are not in the pool", run->first);
	if (before && run->first < before->first + before->nr_frames)
		return host_broken(h, "blocks are not ascending", run->first);
	if (pfa_frame_info(h->cfg.pfa, run->first, &info) != PFA_OK || info.state != PFA_FRAME_HELD_REPORT)
		return host_broken(h, "a block is not held for the device", run->first);
	for (size_t i = 1; i < run->nr_frames; i++)
		if (pfa_frame_info(h->cfg.pfa, run->first + i, &info) == PFA_OK && info.state == PFA_FRAME_FREE)
			return host_broken(h, "a frame of a block is on offer", run->first + i);
	for (size_t i = 0; i < run->nr_frames; i++)
		if (!host_destroy(h, run->first + i))
			return false;
	return true;
}

static int host_report(void *ctx, const struct pfa_run *runs, unsigned nr, unsigned *out_done)
{
	struct pfa_host *h = ctx;
	bool fine = true;

	h->nr_calls++;
	if (nr == 0 || nr > h->cfg.capacity)
		fine = host_broken(h, "no blocks, or more than the device's capacity", 0);
	for (unsigned i = 0; i < nr && fine; i++)
		fine = host_accepts(h, &runs[i], i ? &runs[i - 1] : NULL);
	if (h->inside)
		h->inside(h->inside_ctx, runs, nr);
	for (unsigned i = 0; i < nr && fine; i++) {
		for (size_t k = 0; k < runs[i].nr_frames && fine; k++)
			if (!host_intact(h, runs[i].first + k, false))
				fine = host_broken(h, "a frame was written to while it was the host's", runs[i].first + k);
		h->nr_runs++;
		h->nr_frames_told += runs[i].nr_frames;
	}
	if (!fine) {
		*out_done = 0;
		return PFA_EDEVICE;
	}
	if (h->done != PFA_HOST_NOT_SET)
		*out_done = h->done;
	return h->result;
}

size_t pfa_host_bytes(const struct pfa_host_config *cfg)
{
	if (!cfg || !pfai_owner_config_fits(cfg, cfg->size, sizeof(*cfg)) || !cfg->pfa || cfg->frame_shift > 30 || cfg->zeroes > 1 ||
	    cfg->min_order == 0 || (cfg->min_order > PFA_ORDER_LIMIT && cfg->min_order != PFA_EXPLICIT_0) ||
	    cfg->capacity > PFA_REPORT_CAPACITY_LIMIT || cfg->first + cfg->nr_frames < cfg->first)
		return 0;
	return cfg->nr_frames;
}

int pfa_host_init(struct pfa_host *out, const struct pfa_host_config *cfg, void *memory, size_t bytes)
{
	const size_t need = pfa_host_bytes(cfg);
	if (need == 0 || bytes < need || !memory)
		return PFA_EINVAL;
	*out = (struct pfa_host){.result = PFA_OK, .done = PFA_HOST_NOT_SET, .cfg = *cfg, .told = memory};
	out->cfg.size = sizeof(out->cfg);
	if (!out->cfg.frame_shift)
		out->cfg.frame_shift = 12;
	if (!out->cfg.capacity)
		out->cfg.capacity = PFA_REPORT_CAPACITY;
	if (out->cfg.min_order == PFA_EXPLICIT_0)
		out->cfg.min_order = 0;
	pfa_host_forget(out);
	return PFA_OK;
}

void pfa_host_device(struct pfa_host *h, struct pfa_device *out)
{
	*out = (struct pfa_device){.size = sizeof(*out), .report = host_report, .ctx = h, .capacity = h->cfg.capacity,
	                           .min_order = h->cfg.min_order ? h->cfg.min_order : PFA_EXPLICIT_0, .delay_ns = PFA_EXPLICIT_0,
	                           .discards = 1, .zeroes = h->cfg.zeroes};
}

int pfa_host_granted(struct pfa_host *h, struct pfa_run run, bool zeroed)
{
	if (!host_has(h, run))
		return PFA_EINVAL;
	for (size_t i = 0; i < run.nr_frames; i++) {
		unsigned char *told = &h->told[run.first - h->cfg.first + i];
		if (zeroed && !host_intact(h, run.first + i, true))
			(void)host_broken(h, "a frame that was asked for as zero is not", run.first + i);
		else if (!zeroed && *told && !host_intact(h, run.first + i, false))
			(void)host_broken(h, "a frame was written to while it was free", run.first + i);
		*told = 0;
	}
	return h->broken ? PFA_ECORRUPT : PFA_OK;
}

int pfa_host_check(struct pfa_host *h)
{
	for (size_t i = 0; i < h->cfg.nr_frames && !h->broken; i++) {
		struct pfa_frame_info info;
		if (pfa_frame_info(h->cfg.pfa, h->cfg.first + i, &info) != PFA_OK || !info.reported)
			continue;
		if (info.state != PFA_FRAME_FREE)
			(void)host_broken(h, "a frame is held for told, and is not free", h->cfg.first + i);
		else if (!h->told[i])
			(void)host_broken(h, "a frame is held for told, and was not", h->cfg.first + i);
	}
	return h->broken ? PFA_ECORRUPT : PFA_OK;
}

void pfa_host_forget(struct pfa_host *h)
{
	for (size_t i = 0; i < h->cfg.nr_frames; i++)
		h->told[i] = 0;
}
