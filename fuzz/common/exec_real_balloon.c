/* SPDX-License-Identifier: MIT
 *
 * exec_real_balloon.c - balloons, and their device, which keeps book of each frame.
 */
#include "exec_real.h"

#include <stdlib.h>

/* ---- the device ------------------------------------------------------------------------------------------------------- */

static enum real_holder holder_of(const struct real_run *r, const struct real_balloon *b)
{
	return (enum real_holder)(REAL_BALLOON + (b - r->balloon));
}

static bool device_refuses(struct real_balloon *b)
{
	if (b->after) {
		b->after--;
		return false;
	}
	if (!b->times)
		return false;
	b->times--;
	return b->refused = true;
}

int real_device(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	struct real_run *r = &real_one;
	struct real_balloon *b = ctx;
	const enum real_holder mine = holder_of(r, b);

	if (nr == 0 || nr > PFA_BALLOON_BATCH || event > PFA_BALLOON_DEFLATED)
		(void)real_fail(r, "owners device", "the device is told of no runs, or of too many, or of an unknown event", 0, 1, nr);
	if (b->does & 1)
		(void)real_extra_take(r);
	if (b->does & 2)
		(void)real_extra_give(r);
	if (event == PFA_BALLOON_INFLATED && device_refuses(b))
		return PFA_EDEVICE;
	for (size_t i = 0; i < nr && !r->failed; i++) {
		if (runs[i].nr_frames == 0 || ((runs[i].first | runs[i].nr_frames) & (((size_t)1 << b->cfg.order) - 1)))
			(void)real_fail(r, "owners device", "a run is not whole blocks", runs[i].first, b->cfg.order, runs[i].nr_frames);
		else if (event == PFA_BALLOON_INFLATED && real_hold(r, runs[i].first, runs[i].nr_frames, REAL_NOBODY, mine))
			b->frames += runs[i].nr_frames;
		else if (event == PFA_BALLOON_DEFLATED && real_hold(r, runs[i].first, runs[i].nr_frames, mine, REAL_NOBODY))
			b->frames -= runs[i].nr_frames;
	}
	return PFA_OK;
}

static int tell(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	return real_calls.tell(ctx, event, runs, nr);
}

/* ---- operations ------------------------------------------------------------------------------------------------------- */

static size_t whole_blocks(const struct real_balloon *b, size_t frames)
{
	const size_t block = (size_t)1 << b->cfg.order;
	return (frames + block - 1) / block * block;
}

static bool create(struct real_run *r, struct real_balloon *b, const uint64_t a[])
{
	const unsigned max_owners = r->run->setup.cfg.max_owners;
	b->cfg = (struct pfa_balloon_config){ .size = sizeof(b->cfg), .pfa = r->pfa, .platform = &r->os, .max_blocks = (size_t)a[2] + 1,
		                              .order = (unsigned)a[1], .flags = real_flags(a[3]), .tell = tell, .ctx = b };
	const size_t bytes = pfa_balloon_bytes(&b->cfg);
	void *memory = NULL;
	if (bytes == 0 || posix_memalign(&memory, 16, bytes) != 0)
		return real_fail(r, "harness", "no memory for a balloon", 0, 1, bytes);
	b->frames = 0;
	b->after = b->times = b->does = 0;
	const int code = pfa_balloon_create(memory, bytes, &b->cfg, &b->it);
	const int expected = !max_owners ? PFA_ENOTSUP : r->nr_owners == max_owners ? PFA_ENOMEM : PFA_OK;
	b->memory = memory;
	if (code != PFA_OK) {
		b->it = NULL;
		free(memory);
		b->memory = NULL;
	} else {
		r->nr_owners++;
	}
	return real_may(r, code, REAL_MAY(expected), "pfa_balloon_create()");
}

bool real_balloon_end(struct real_run *r, struct real_balloon *b)
{
	const int code = pfa_balloon_destroy(b->it);
	if (!real_may(r, code, REAL_MAY(PFA_OK), "pfa_balloon_destroy()"))
		return false;
	if (b->frames && !r->failed)
		return real_fail(r, "owners device", "a balloon ends, and its device was not told of all that left it", 0, 0, b->frames);
	free(b->memory);
	b->memory = NULL;
	b->it = NULL;
	r->nr_owners--;
	return !r->failed;
}

bool real_inflate(struct real_run *r, struct real_balloon *b, size_t frames)
{
	const size_t before = b->frames, want = b->it ? whole_blocks(b, frames) : 0;
	const unsigned acted = r->acted;
	size_t out = SIZE_MAX;
	if (!b->it)
		return true;
	const size_t room = (b->cfg.max_blocks << b->cfg.order) - before;
	const uint32_t flags = b->cfg.flags ? b->cfg.flags : PFA_MOVABLE | PFA_NORETRY;
	const bool fits = b->cfg.order <= (r->run->setup.cfg.max_order == PFA_EXPLICIT_0 ? 0 : r->run->setup.cfg.max_order);
	uint32_t allowed = REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM);
	const int code = real_calls.inflate(b->it, frames, &out);

	if (flags & (PFA_NORETRY | PFA_NOWAIT))
		allowed |= REAL_MAY(PFA_EAGAIN);
	if (flags & PFA_ZERO)
		allowed |= REAL_MAY(PFA_ENOTSUP);
	if (!fits)
		allowed = REAL_MAY(PFA_EINVAL) | (want == 0 ? REAL_MAY(PFA_OK) : 0);
	if (b->refused)
		allowed |= REAL_MAY(PFA_EDEVICE);
	if (!real_may(r, code, allowed, "pfa_balloon_inflate()"))
		return false;
	r->run->step.value = out;
	if (r->acted != acted || r->depth)
		return true;
	if (out != b->frames - before || out > want || (code == PFA_OK) != (out == want) || out > room)
		return real_fail(r, "owners device", "frames that went into a balloon are not as many as it says", 0, b->frames - before, out);
	return out == room || real_really_full(r, code, b->cfg.order, flags);
}

static bool deflate(struct real_run *r, struct real_balloon *b, size_t frames, bool all)
{
	const size_t before = b->frames, want = all ? before : whole_blocks(b, frames);
	size_t out = SIZE_MAX;
	const int code = real_calls.deflate(b->it, all ? SIZE_MAX : frames, &out);
	r->run->step.value = out;
	if (!real_may(r, code, REAL_MAY(PFA_OK), "pfa_balloon_deflate()"))
		return false;
	if (out != before - b->frames || out != (want < before ? want : before))
		return real_fail(r, "owners device", "frames that left a balloon are not as many as it says, or was asked", 0,
		                 want < before ? want : before, out);
	return true;
}

size_t real_deflate_some(struct real_run *r, size_t frames)
{
	size_t freed = 0;
	for (unsigned i = 0; i < REAL_EACH; i++) {
		size_t out = 0;
		if (r->balloon[i].it)
			(void)real_may(r, real_calls.deflate(r->balloon[i].it, frames, &out), REAL_MAY(PFA_OK), "pfa_balloon_deflate() in a callback");
		freed += out;
	}
	return freed;
}

static bool pressure(struct real_run *r, struct real_balloon *b, unsigned order)
{
	const size_t before = b->frames, want = whole_blocks(b, (size_t)2 << order);
	const size_t out = pfa_balloon_low_memory(b->it, order);
	r->run->step.value = out;
	if (out != before - b->frames || out != (want < before ? want : before))
		return real_fail(r, "owners device", "under pressure a balloon gives back another number than it says, or than it should", 0,
		                 want < before ? want : before, out);
	return true;
}

bool real_balloon_op(struct real_run *r, const struct prog_op *op)
{
	const uint64_t *a = op->arg;
	struct real_balloon *b = &r->balloon[a[0]];
	if ((op->kind == OP_BALLOON_CREATE) == (b->it != NULL))
		return exec_skip(r->run);
	switch (op->kind) {
	case OP_BALLOON_CREATE: return create(r, b, a);
	case OP_BALLOON_DESTROY: return real_balloon_end(r, b);
	case OP_INFLATE: return real_inflate(r, b, (size_t)a[1]);
	case OP_DEFLATE: return deflate(r, b, (size_t)a[1], a[2] != 0);
	case OP_PRESSURE: return pressure(r, b, (unsigned)a[1]);
	default:
		b->after = (unsigned)a[1];
		b->times = (unsigned)a[2];
		b->does = (unsigned)a[3];
		return true;
	}
}
