/* SPDX-License-Identifier: MIT
 *
 * test_owners_canary.c - the oracles of fuzz_owners can fire. Each canary breaks one call of an owner, or what its device
 * hears; on the seeds the oracle that is named must be what is found first on one of them, and the same seeds are fine
 * without the canary.
 *
 *   test_owners_canary FOLDER
 */
#include <string.h>

#include "real_canary.h"

#define sound real_sound

/* ---- balloons --------------------------------------------------------------------------------------------------------- */

static int inflate_counts_wrong(struct pfa_balloon *b, size_t frames, size_t *out)
{
	const int code = sound.inflate(b, frames, out);
	*out += 1;
	return code;
}

static int tell_twice(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	const int code = sound.tell(ctx, event, runs, nr);
	return code == PFA_OK ? sound.tell(ctx, event, runs, nr) : code;
}

static int tell_not(void *ctx, enum pfa_balloon_event event, const struct pfa_run runs[], size_t nr)
{
	return event == PFA_BALLOON_DEFLATED ? PFA_OK : sound.tell(ctx, event, runs, nr);
}

/* A block of the balloon is no longer movable, one of the program's is instead: the sums are right. */
static int inflate_swaps(struct pfa_balloon *b, size_t frames, size_t *out)
{
	static pfa_pfn heads[REAL_FRAMES];
	struct pfa_movable_info info;
	const int code = sound.inflate(b, frames, out);
	const size_t nr = real_movables(&real_one, heads);
	for (size_t i = 0; i < real_one.nr_core; i++)
		if (nr && real_one.core[i].order == 0 && pfa_movable_info(real_one.pfa, heads[0], &info) == PFA_OK &&
		    pfa_movable_clear(real_one.pfa, heads[0]) == PFA_OK)
			return pfa_movable_set(real_one.pfa, real_one.core[i].pfn, info.owner, 0) == PFA_OK ? code : PFA_EINVAL;
	return code;
}

static int inflate_scribbles(struct pfa_balloon *b, size_t frames, size_t *out)
{
	void *at;
	if (real_one.nr_core && pfa_ptr(real_one.pfa, real_one.core[0].pfn, &at) == PFA_OK)
		*(unsigned char *)at ^= 1;
	return sound.inflate(b, frames, out);
}

/* ---- stores ----------------------------------------------------------------------------------------------------------- */

static int get_flips(struct pfa_zstore *z, pfa_zobject object, void *out, size_t room, size_t *bytes)
{
	const int code = sound.z_get(z, object, out, room, bytes);
	if (code == PFA_OK)
		((unsigned char *)out)[*bytes / 2] ^= 0x10;
	return code;
}

static int get_is_busy(struct pfa_zstore *z, pfa_zobject object, void *out, size_t room, size_t *bytes)
{
	return sound.z_get(z, object, out, room, bytes) == PFA_OK ? PFA_EBUSY : PFA_EINVAL;
}

static int get_waits(struct pfa_zstore *z, pfa_zobject object, void *out, size_t room, size_t *bytes)
{
	uint32_t word = 1;
	while (real_one.os.wait(real_one.os.ctx, &word, 1, UINT64_MAX) == PFA_EDEADLK)
		;
	return sound.z_get(z, object, out, room, bytes);
}

static int delete_not(struct pfa_zstore *z, pfa_zobject object)
{
	(void)z;
	(void)object;
	return PFA_OK;
}

static int put_leaks(struct pfa_zstore *z, const void *data, size_t bytes, pfa_zobject *out)
{
	pfa_pfn pfn;
	const int code = pfa_alloc(real_one.pfa, 0, PFA_MOVABLE, &pfn);
	return code == PFA_OK ? sound.z_put(z, data, bytes, out) : code;
}

/* ---- arenas ----------------------------------------------------------------------------------------------------------- */

static int move_flips(struct pfa_mapped *a, const void *at, size_t bytes, const struct pfa_dest *dest, size_t *moved)
{
	const int code = sound.m_move(a, at, bytes, dest, moved);
	if (code == PFA_OK)
		*(unsigned char *)(uintptr_t)at ^= 2;
	return code;
}

static int move_ignores_pins(struct pfa_mapped *a, const void *at, size_t bytes, const struct pfa_dest *dest, size_t *moved)
{
	const struct real_mapped *m = real_one.mapped[0].it == a ? &real_one.mapped[0] : &real_one.mapped[1];
	for (size_t i = 0; i < m->nr; i++)
		for (unsigned k = 0; k < m->units[i].pins; k++)
			if (pfa_mapped_unpin(a, m->units[i].at, 1) != PFA_OK)
				return PFA_EINVAL;
	const int code = sound.m_move(a, at, bytes, dest, moved);
	for (size_t i = 0; i < m->nr; i++)
		for (unsigned k = 0; k < m->units[i].pins; k++)
			if (pfa_mapped_pin(a, m->units[i].at, 1) != PFA_OK)
				return PFA_EINVAL;
	return code;
}

static int move_leaves_closed(struct pfa_mapped *a, const void *at, size_t bytes, const struct pfa_dest *dest, size_t *moved)
{
	pfa_mapped_batch_begin(a);
	return sound.m_move(a, at, bytes, dest, moved);
}

static int free_frees_twice(struct pfa_mapped *a, void *at, size_t bytes)
{
	pfa_pfn head;
	const bool known = pfa_mapped_head(a, at, &head) == PFA_OK;
	const int code = sound.m_free(a, at, bytes);
	return code == PFA_OK && known && pfa_free(real_one.pfa, head, 0) == PFA_OK ? PFA_EINVAL : code;
}

/* ---- the core --------------------------------------------------------------------------------------------------------- */

static int migrate_refuses(struct pfa *pfa, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[])
{
	(void)pfa;
	(void)heads;
	(void)dest;
	for (size_t i = 0; i < nr; i++)
		results[i] = PFA_EBUSY;
	return PFA_EAGAIN;
}

static int migrate_lies(struct pfa *pfa, const pfa_pfn heads[], size_t nr, const struct pfa_dest *dest, int results[])
{
	(void)migrate_refuses(pfa, heads, nr, dest, results);
	memset(results, 0, nr * sizeof(results[0]));
	return PFA_OK;
}

static int check_fails(struct pfa *pfa, unsigned level, struct pfa_violation *out)
{
	const int code = sound.check(pfa, level, out);
	out->what = "planted";
	return code == PFA_OK ? PFA_ECORRUPT : code;
}

/* After the last look at the sums. */
static int check_leaks(struct pfa *pfa, unsigned level, struct pfa_violation *out)
{
	pfa_pfn pfn;
	if (real_one.nr_owners == 0 && real_one.run->step.index == real_one.run->p->nr_ops && pfa_alloc(pfa, 0, PFA_MOVABLE, &pfn) != PFA_OK)
		return PFA_EINVAL;
	return sound.check(pfa, level, out);
}

static const struct real_canary canaries[] = {
	{ "inflate_counts_wrong", "owners device", { .inflate = inflate_counts_wrong } },
	{ "tell_twice", "owners frames", { .tell = tell_twice } },
	{ "tell_not", "owners device", { .tell = tell_not } },
	{ "inflate_swaps", "owners frames", { .inflate = inflate_swaps } },
	{ "inflate_scribbles", "owners stamp", { .inflate = inflate_scribbles } },
	{ "get_flips", "owners store", { .z_get = get_flips } },
	{ "get_is_busy", "owners code", { .z_get = get_is_busy } },
	{ "get_waits", "owners wait", { .z_get = get_waits } },
	{ "delete_not", "owners store", { .z_delete = delete_not } },
	{ "put_leaks", "owners sums", { .z_put = put_leaks } },
	{ "move_flips", "owners arena", { .m_move = move_flips } },
	{ "move_ignores_pins", "owners pins", { .m_move = move_ignores_pins } },
	{ "move_leaves_closed", "owners writer", { .m_move = move_leaves_closed } },
	{ "free_frees_twice", "owners fault", { .m_free = free_frees_twice } },
	{ "migrate_refuses", "owners liveness", { .migrate = migrate_refuses } },
	{ "migrate_lies", "owners move", { .migrate = migrate_lies } },
	{ "check_fails", "owners check", { .check = check_fails } },
	{ "check_leaks", "owners end", { .check = check_leaks } },
};

int main(int argc, char **argv)
{
	return real_canaries(argc, argv, canaries, sizeof(canaries) / sizeof(canaries[0]));
}
