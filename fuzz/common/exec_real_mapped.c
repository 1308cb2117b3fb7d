/* SPDX-License-Identifier: MIT
 *
 * exec_real_mapped.c - mapped arenas: each unit has a mirror, which is compared with what is read through the arena.
 *
 * Writers are held back by signals, since a single thread would wait for itself with userfaultfd.
 */
#define _GNU_SOURCE
#include "exec_real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- the kernel refuses (the linker puts this before the arenas' system calls) ---------------------------------------- */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset);
int __real_mprotect(void *at, size_t bytes, int protection);
int __wrap_mprotect(void *at, size_t bytes, int protection);

static bool kernel_refuses(void)
{
	struct real_run *r = &real_one;
	if (!r->kernel_times)
		return false;
	if (r->kernel_after) {
		r->kernel_after--;
		return false;
	}
	r->kernel_times--;
	r->kernel_failed++;
	errno = ENOMEM;
	return true;
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return (flags & MAP_FIXED) && kernel_refuses() ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, fd, offset);
}

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return (flags & MAP_FIXED) && kernel_refuses() ? MAP_FAILED : __real_mmap64(at, bytes, protection, flags, fd, offset);
}

int __wrap_mprotect(void *at, size_t bytes, int protection)
{
	return kernel_refuses() ? -1 : __real_mprotect(at, bytes, protection);
}

/* ---- units ------------------------------------------------------------------------------------------------------------ */

/* Index of the unit at this address, or of the first one behind it. */
static size_t unit_find(const struct real_mapped *a, const unsigned char *at)
{
	size_t i = 0;
	while (i < a->nr && (uintptr_t)a->units[i].at < (uintptr_t)at)
		i++;
	return i;
}

/* Of nr units from unit at on, how many lie side by side? */
static size_t units_run(const struct real_mapped *a, size_t at, size_t nr)
{
	size_t run = 1;
	while (run < nr && at + run < a->nr && a->units[at + run].at == a->units[at].at + run * a->unit_bytes)
		run++;
	return run;
}

static bool unit_same(struct real_run *r, const struct real_mapped *a, size_t i)
{
	const struct real_unit *u = &a->units[i];
	size_t byte = 0;
	if (memcmp(u->at, u->mirror, a->unit_bytes) == 0)
		return true;
	while (u->at[byte] == u->mirror[byte])
		byte++;
	return real_fail(r, "owners arena", "a unit contains something else than was written (byte)", i, u->mirror[byte], byte);
}

/* ---- operations ------------------------------------------------------------------------------------------------------- */

static bool create(struct real_run *r, struct real_mapped *a, const uint64_t args[])
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const unsigned most = cfg->max_order == PFA_EXPLICIT_0 ? 0 : cfg->max_order;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), frame = (size_t)1 << cfg->frame_shift;
	if (r->fd < 0)
		return exec_skip(r->run);
	a->cfg = (struct pfa_mapped_config){ .size = sizeof(a->cfg), .pfa = r->pfa, .platform = &r->os, .fd = r->fd,
		                             .pool_pfn = cfg->pool_pfn, .frame_shift = cfg->frame_shift,
		                             .order = (uint32_t)(args[1] < most ? args[1] : most), .nr_units = (size_t)args[2] + 1,
		                             .way = PFA_MAPPED_SIGNAL };
	a->unit_bytes = frame << a->cfg.order;
	a->nr = a->moves = 0;
	a->batches = 0;
	a->refused = false;
	const int code = pfa_mapped_create(&a->cfg, &a->it);
	const int expected = frame % page ? PFA_EINVAL : !cfg->max_owners ? PFA_ENOTSUP
	                                  : r->nr_owners == cfg->max_owners ? PFA_ENOMEM : PFA_OK;
	if (code != PFA_OK)
		a->it = NULL;
	else
		r->nr_owners++;
	return real_may(r, code, REAL_MAY(expected) | (r->kernel_failed ? REAL_MAY(PFA_ENOMEM) : 0), "pfa_mapped_create()");
}

static void units_add(struct real_mapped *a, unsigned char *at)
{
	const size_t i = unit_find(a, at);
	memmove(&a->units[i + 1], &a->units[i], (a->nr - i) * sizeof(a->units[0]));
	a->units[i] = (struct real_unit){ .at = at, .mirror = malloc(a->unit_bytes) };
	a->nr++;
}

static void units_remove(struct real_mapped *a, size_t at, size_t nr)
{
	for (size_t i = at; i < at + nr; i++)
		free(a->units[i].mirror);
	memmove(&a->units[at], &a->units[at + nr], (a->nr - at - nr) * sizeof(a->units[0]));
	a->nr -= nr;
}

static bool alloc(struct real_run *r, struct real_mapped *a, size_t bytes, uint32_t flags)
{
	const size_t nr = (bytes + a->unit_bytes - 1) / a->unit_bytes;
	uint32_t allowed = REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM);
	void *out = NULL;
	const int code = pfa_mapped_alloc(a->it, bytes, flags, &out);
	unsigned char *at = out;

	if (flags & (PFA_NORETRY | PFA_NOWAIT))
		allowed |= REAL_MAY(PFA_EAGAIN);
	if (flags & PFA_ZERO)
		allowed |= REAL_MAY(PFA_ENOTSUP);
	if (nr == 0)
		allowed = REAL_MAY(PFA_EINVAL);
	else if (nr + a->nr > a->cfg.nr_units)
		allowed = REAL_MAY(PFA_ENOMEM);
	if (!real_may(r, code, allowed, "pfa_mapped_alloc()"))
		return false;
	if (code != PFA_OK)
		return true;
	for (size_t i = 0; i < nr; i++, at += a->unit_bytes) {
		const size_t k = unit_find(a, at);
		if (k < a->nr && a->units[k].at < at + a->unit_bytes)
			return real_fail(r, "owners arena", "addresses are given that are in use", 0, 0, i);
		units_add(a, at);
		if (!a->units[k].mirror)
			return real_fail(r, "harness", "no memory for a mirror", 0, a->unit_bytes, 0);
		memcpy(a->units[k].mirror, at, a->unit_bytes);
		for (size_t byte = 0; (flags & PFA_ZERO) && byte < a->unit_bytes; byte++)
			if (at[byte])
				return real_fail(r, "owners arena", "memory that was to be zero is not (unit, byte)", 0, i, byte);
	}
	return true;
}

bool real_mapped_free(struct real_run *r, struct real_mapped *a, size_t at, size_t nr, bool off)
{
	unsigned char *where = a->units[at].at + off;
	const size_t run = units_run(a, at, nr);
	uint32_t allowed = REAL_MAY(PFA_OK);
	bool pinned = false;

	for (size_t i = at; i < at + run; i++)
		pinned |= a->units[i].pins != 0;
	if (off || run < nr)
		allowed = REAL_MAY(PFA_EINVAL);
	else if (pinned)
		allowed = REAL_MAY(PFA_EBUSY);
	const int code = real_calls.m_free(a->it, where, nr * a->unit_bytes);
	if (r->kernel_failed)
		allowed |= REAL_MAY(PFA_ENOMEM);
	if (!real_may(r, code, allowed, "pfa_mapped_free()"))
		return false;
	if (code == PFA_OK)
		units_remove(a, at, nr);
	return true;
}

bool real_mapped_pin(struct real_run *r, struct real_mapped *a, size_t at, size_t nr, bool on)
{
	const size_t run = units_run(a, at, nr);
	bool fine = run == nr;
	for (size_t i = at; i < at + run && !on; i++)
		fine &= a->units[i].pins != 0;
	const int code = on ? pfa_mapped_pin(a->it, a->units[at].at, nr * a->unit_bytes)
	                    : pfa_mapped_unpin(a->it, a->units[at].at, nr * a->unit_bytes);
	if (!real_may(r, code, fine ? REAL_MAY(PFA_OK) : REAL_MAY(PFA_EINVAL), on ? "pfa_mapped_pin()" : "pfa_mapped_unpin()"))
		return false;
	for (size_t i = at; i < at + run && code == PFA_OK; i++) {
		struct real_unit *u = &a->units[i];
		if (on && u->pins++ == 0 && pfa_mapped_head(a->it, u->at, &u->pinned_at) != PFA_OK)
			return real_fail(r, "owners code", "the head of a pinned unit cannot be had", 0, 0, i);
		u->pins -= !on;
	}
	return true;
}

/* In eighths of a unit, as far as the units lie side by side. */
void real_mapped_write(struct real_run *r, struct real_mapped *a, size_t at, size_t off, size_t nr)
{
	const size_t eighth = a->unit_bytes / 8, end = units_run(a, at, a->nr - at) * a->unit_bytes;
	size_t from = off * eighth, to = from + nr * eighth - nr % 3; /* not always whole words */
	uint32_t state = ++r->seed * 2654435761u;
	struct pfa_mapped_stats before, after;

	to = to < end ? to : end;
	for (size_t i = from; i < to; i++) {
		state = state * 1664525u + 1013904223u;
		a->units[at + i / a->unit_bytes].mirror[i % a->unit_bytes] = (unsigned char)(state >> 24);
	}
	pfa_mapped_stats_get(a->it, &before);
	while (from < to) { /* a unit at a time, in one go */
		const size_t unit = from / a->unit_bytes, rest = (unit + 1) * a->unit_bytes - from, some = rest < to - from ? rest : to - from;
		memcpy(a->units[at].at + from, a->units[at + unit].mirror + from % a->unit_bytes, some);
		from += some;
	}
	pfa_mapped_stats_get(a->it, &after);
	a->refused |= r->kernel_failed != 0;
	if (after.waits != before.waits && !a->batches && !r->depth && !a->refused)
		(void)real_fail(r, "owners writer", "a writer has to wait, though nothing is being moved", 0, before.waits, after.waits);
}

static bool move(struct real_run *r, struct real_mapped *a, size_t at, size_t nr, unsigned does)
{
	const size_t run = units_run(a, at, nr);
	const struct pfa_dest dest = real_dest(r, PFA_MIGRATE_SYNC, does != 0, true, does);
	size_t moved = SIZE_MAX;
	const int code = real_calls.m_move(a->it, a->units[at].at, nr * a->unit_bytes, &dest, &moved);
	const uint32_t allowed = run < nr ? REAL_MAY(PFA_EINVAL) : REAL_MAY(PFA_OK) | REAL_MAY(PFA_EAGAIN);
	r->run->step.value = moved;
	if (!real_may(r, code, allowed, "pfa_mapped_move()"))
		return false;
	if (moved > nr || (code == PFA_OK) != (moved == nr))
		return real_fail(r, "owners arena", "moves of units are not as many as said", 0, nr, moved);
	return true;
}

static bool batch(struct real_run *r, struct real_mapped *a, bool on)
{
	if (!on && !a->batches)
		return exec_skip(r->run);
	if (on)
		pfa_mapped_batch_begin(a->it);
	else
		pfa_mapped_batch_end(a->it);
	a->batches += on ? 1u : 0u - 1u;
	return true;
}

bool real_mapped_end(struct real_run *r, struct real_mapped *a)
{
	for (; a->batches; a->batches--)
		pfa_mapped_batch_end(a->it);
	while (a->nr) {
		while (a->units[0].pins)
			if (!real_mapped_pin(r, a, 0, 1, false))
				return false;
		const size_t before = a->nr;
		if (!real_mapped_free(r, a, 0, 1, false))
			return false;
		if (a->nr == before && !r->kernel_failed)
			return false;
	}
	if (!real_may(r, pfa_mapped_destroy(a->it), REAL_MAY(PFA_OK), "pfa_mapped_destroy()"))
		return false;
	a->it = NULL;
	r->nr_owners--;
	return true;
}

bool real_mapped_look(struct real_run *r, struct real_mapped *a, bool all)
{
	struct pfa_mapped_stats s;
	pfa_mapped_stats_get(a->it, &s);
	a->refused |= r->kernel_failed != 0;
	all |= s.moves != a->moves;
	a->moves = s.moves;
	if (!all && a->nr)
		return unit_same(r, a, r->run->step.index % a->nr);
	for (size_t i = 0; i < a->nr; i++) {
		pfa_pfn head;
		if (!unit_same(r, a, i))
			return false;
		if (a->units[i].pins && (pfa_mapped_head(a->it, a->units[i].at, &head) != PFA_OK || head != a->units[i].pinned_at))
			return real_fail(r, "owners pins", "a pinned unit of an arena was moved (unit)", a->units[i].pinned_at, 0, i);
	}
	return true;
}

static bool on_units(struct real_run *r, struct real_mapped *a, const struct prog_op *op)
{
	const uint64_t *args = op->arg;
	const size_t at = (size_t)args[1] % a->nr, nr = (size_t)args[2] + 1;
	switch (op->kind) {
	case OP_M_FREE: return real_mapped_free(r, a, at, nr, args[3] != 0);
	case OP_M_WRITE: real_mapped_write(r, a, at, (size_t)args[2], (size_t)args[3] + 1); return !r->failed;
	case OP_M_PIN: case OP_M_UNPIN: return real_mapped_pin(r, a, at, nr, op->kind == OP_M_PIN);
	case OP_M_MOVE: return move(r, a, at, nr, (unsigned)args[3]);
	default:
		for (size_t i = at; i < at + nr && i < a->nr; i++)
			if (!unit_same(r, a, i))
				return false;
		return true;
	}
}

bool real_mapped_op(struct real_run *r, const struct prog_op *op)
{
	const uint64_t *args = op->arg;
	struct real_mapped *a = &r->mapped[args[0]];
	if ((op->kind == OP_MAPPED_CREATE) == (a->it != NULL))
		return exec_skip(r->run);
	switch (op->kind) {
	case OP_MAPPED_CREATE: return create(r, a, args);
	case OP_MAPPED_DESTROY:
		if (args[1] || !a->nr)
			return real_mapped_end(r, a);
		return real_may(r, pfa_mapped_destroy(a->it), REAL_MAY(PFA_EBUSY), "pfa_mapped_destroy() of an arena that is not empty");
	case OP_M_ALLOC: {
		const size_t less = (size_t)args[2] * 13, bytes = (size_t)args[1] * a->unit_bytes;
		return alloc(r, a, bytes > less ? bytes - less : bytes, real_flags(args[3]));
	}
	case OP_M_BATCH: return batch(r, a, args[1] != 0);
	default: return a->nr ? on_units(r, a, op) : exec_skip(r->run);
	}
}
