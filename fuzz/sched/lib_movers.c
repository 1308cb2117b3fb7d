/* SPDX-License-Identifier: MIT
 *
 * lib_movers.c - see lib_run.h: movable blocks, and an owner that checks what it is told.
 */
#include "lib_internal.h"

#include <pfa/compact.h>

/* ---- movable blocks: the cookie is the slot ---- */

void lib_takes_time(void)
{
	sched_order(&lib.now.op_time);
}

/* What an op may believe. It takes its time, as an owner's does. False: it was told nonsense. */
static bool lib_in_op(const char *op, pfa_pfn head, uint64_t cookie)
{
	lib_called(op);
	for (unsigned i = 0; i < 2; i++) {
		if (lib.now.destroyed)
			sched_fail("%s is called, or goes on, for an owner that is no more", op);
		lib_takes_time();
	}
	const bool right = cookie < LIB_MOVERS && lib.now.movers[cookie].pfn == head;
	if (!right)
		sched_fail("%s is told of frame %zu, which is not that block", op, head);
	return right;
}

static int lib_op_isolate(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	(void)ctx;
	(void)mode;
	if (!lib_in_op("isolate", head, cookie) || !lib.now.releases)
		return PFA_OK;
	lib.now.releases--;
	const struct lib_block b = { (uint32_t)head, order };
	lib.now.movable[cookie] = false;
	lib_disown(&b);
	int code = pfa_free(lib.pfa, head, order);
	lib_expect("pfa_free in isolate()", code, code == PFA_OK);
	lib_in_op("isolate", head, cookie); /* the owner may not be destroyed before it returns */
	lib.now.movers[cookie].pfn = 0;
	lib.now.movable[cookie] = false; /* who was about to free it may have given up meanwhile */
	return PFA_OK;
}

static int lib_op_migrate(void *ctx, pfa_pfn dst, pfa_pfn src, unsigned order, uint64_t cookie, enum pfa_migrate_mode mode)
{
	const struct lib_block to = { (uint32_t)dst, order };

	(void)ctx;
	(void)mode;
	if (!lib_in_op("migrate", src, cookie))
		return PFA_OK;
	struct lib_block *b = &lib.now.movers[cookie];
	if (lib.now.pins[src - lib.base])
		sched_fail("frame %zu is moved, and its block is pinned", src);
	lib_disown(b);
	lib_not_held(dst);
	lib_own((unsigned)cookie % SCHED_THREADS, &to);
	b->pfn = (uint32_t)dst;
	return PFA_OK;
}

static void lib_op_putback(void *ctx, pfa_pfn head, unsigned order, uint64_t cookie)
{
	(void)ctx;
	(void)order;
	lib_in_op("putback", head, cookie);
}

/* The block leaves its handle. */
void lib_movable(struct lib_handle *h, unsigned nth)
{
	struct lib_block b;
	unsigned slot = 0;

	sched_order(&lib.now.naming);
	while (slot < LIB_MOVERS && (lib.now.movers[slot].pfn || lib.now.claimed[slot]))
		slot++;
	if (lib.now.destroyed || lib.now.destroying || slot == LIB_MOVERS || !lib_take(h, nth, &b))
		return;
	lib.now.movers[slot] = b;
	lib.now.movable[slot] = true; /* from here on others may move it */
	lib.now.declaring++;
	int code = pfa_movable_set(lib.pfa, b.pfn, lib.mover, slot);
	sched_order(&lib.now.naming);
	lib.now.declaring--;
	lib_expect("pfa_movable_set", code, code == PFA_OK);
}

/* A block may move as long as nobody has its page lock: look, lock, look again. Until then its owner may release it, too. */
static bool lib_lock(unsigned slot)
{
	for (unsigned i = 0; i < LIB_TRIES; i++) {
		pfa_pfn head = lib.now.movers[slot].pfn;
		if (!head)
			return false;
		int code = pfa_page_lock(lib.pfa, head);
		lib_expect("pfa_page_lock", code, code == PFA_OK || code == PFA_EINVAL);
		if (code != PFA_OK)
			continue;
		if (lib.now.movers[slot].pfn == head)
			return true;
		code = pfa_page_unlock(lib.pfa, head);
		lib_expect("pfa_page_unlock", code, code == PFA_OK);
	}
	return false;
}

void lib_free_movable(unsigned nth)
{
	for (unsigned i = 0; i < LIB_MOVERS; i++) {
		const unsigned slot = (nth + i) % LIB_MOVERS;
		if (!lib.now.movable[slot])
			continue;
		lib.now.movable[slot] = false; /* nobody else frees or pins it from here on, or has the slot */
		lib.now.claimed[slot] = true;
		const bool locked = lib_lock(slot);
		lib.now.claimed[slot] = false;
		if (!locked) {
			lib.now.movable[slot] = lib.now.movers[slot].pfn != 0;
			return;
		}
		struct lib_block *b = &lib.now.movers[slot];
		const pfa_pfn head = b->pfn;
		lib_disown(b);
		int code = pfa_free(lib.pfa, head, b->order);
		lib_expect("pfa_free of a movable block", code, code == PFA_OK);
		code = pfa_page_unlock(lib.pfa, head);
		lib_expect("pfa_page_unlock", code, code == PFA_OK);
		b->pfn = 0;
		return;
	}
}

void lib_pin(unsigned nth)
{
	for (unsigned i = 0; i < LIB_MOVERS; i++) {
		unsigned slot = (nth + i) % LIB_MOVERS;
		if (!lib.now.movable[slot])
			continue;
		const pfa_pfn head = lib.now.movers[slot].pfn;
		int code = pfa_pin(lib.pfa, head); /* it may have moved meanwhile, or been freed */
		lib_expect("pfa_pin", code, code == PFA_OK || code == PFA_EINVAL);
		if (code == PFA_OK) {
			uint8_t *pins = &lib.now.pins[head - lib.base];
			++*pins; /* of whatever block is there now: it stays, and its frames are not used again */
			for (unsigned time = 0; time < 3; time++)
				sched_order(&lib.now.op_time);
			--*pins;
			code = pfa_unpin(lib.pfa, head);
			lib_expect("pfa_unpin", code, code == PFA_OK);
		}
		return;
	}
}

void lib_migrate(void)
{
	const struct pfa_dest dest = { .size = sizeof(dest), .mode = PFA_MIGRATE_SYNC, .flags = PFA_MOVABLE };
	pfa_pfn heads[LIB_MOVERS];
	int results[LIB_MOVERS];
	size_t nr = 0;

	for (unsigned slot = 0; slot < LIB_MOVERS; slot++)
		if (lib.now.movable[slot])
			heads[nr++] = lib.now.movers[slot].pfn;
	if (!nr)
		return;
	int code = pfa_migrate(lib.pfa, heads, nr, &dest, results);
	lib_expect("pfa_migrate", code, code == PFA_OK || code == PFA_EAGAIN);
}

void lib_compact(unsigned order)
{
	struct pfa_compact_stats stats = { .size = sizeof(stats) };
	int code = pfa_compact(lib.pfa, 0, order < lib.max_order ? order : lib.max_order, PFA_MIGRATE_SYNC, &stats);

	lib_expect("pfa_compact", code, code != PFA_ECORRUPT && code != PFA_EMISUSE && code != PFA_EINVAL && code != PFA_EDEADLK);
}

/* From then on no op is called, which the ops themselves watch. Not at once with another call that names the
 * owner, which is the caller's to see to. */
void lib_destroy(unsigned tries)
{
	sched_order(&lib.now.naming);
	if (lib.now.declaring || lib.now.destroying)
		return;
	lib.now.destroying++;
	for (unsigned i = 0; i < tries && !lib.now.destroyed; i++) {
		int code = pfa_owner_destroy(lib.pfa, lib.mover);
		lib_expect("pfa_owner_destroy", code, code == PFA_OK || code == PFA_EBUSY);
		lib.now.destroyed |= code == PFA_OK;
	}
	sched_order(&lib.now.naming);
	lib.now.destroying--;
}

int lib_make_owner(void)
{
	const struct pfa_owner_ops ops = { .size = sizeof(ops), .isolate = lib_op_isolate, .migrate = lib_op_migrate,
		                           .putback = lib_op_putback };

	return pfa_owner_create(lib.pfa, &ops, NULL, &lib.mover);
}
