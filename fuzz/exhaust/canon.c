/* SPDX-License-Identifier: MIT
 *
 * canon.c - the canonical form of a state: all of the instance's memory that is ever written, less what decides nothing. A word
 * that is not named here is part of it, so that a field that the library gets some day makes more states, never fewer.
 *
 * With sched/lib_locks.c the only file of the harness that includes the library's own headers, as the checker does.
 */
#include "exhaust.h"

#include <string.h>

#include "instance.h"

size_t ex_state_bytes(const struct ex_machine *m)
{
	return sizeof(struct ex_world) + m->bytes - m->sealed;
}

void ex_save(const struct ex_machine *m, void *state)
{
	memcpy(state, &m->w, sizeof(m->w));
	memcpy((unsigned char *)state + sizeof(m->w), m->memory + m->sealed, m->bytes - m->sealed);
}

void ex_restore(struct ex_machine *m, const void *state)
{
	memcpy(&m->w, state, sizeof(m->w));
	memcpy(m->memory + m->sealed, (const unsigned char *)state + sizeof(m->w), m->bytes - m->sealed);
}

size_t ex_sealed_bytes(const struct pfa *pfa)
{
	return (size_t)((const unsigned char *)pfa->st - (const unsigned char *)pfa);
}

bool ex_canon_can(const struct pfa *pfa)
{
	return pfa->level < 3 && !pfa->history && !pfa->generations;
}

/* ---- the form ------------------------------------------------------------------------------------------------------ */

/* The same place in the copy. */
static void *canon_at(const struct ex_machine *m, const void *place)
{
	return m->canon + ((const unsigned char *)place - (m->memory + m->sealed));
}

/* Cached blocks: the order in a slot is the order in which they come out. What is above its top was left there. */
static void canon_slot(const struct ex_machine *m, struct pfai_cpu *c, struct pfai_slot *s, unsigned cap)
{
	uint32_t *entries = pfai_entries_at(c, s->start);

	for (unsigned i = s->n; i < cap; i++)
		entries[i] = 0;
	for (unsigned i = 1; i < s->n && m->forget == EX_FORGET_CACHE_ORDER; i++)
		for (unsigned k = i; k && entries[k - 1] > entries[k]; k--) {
			const uint32_t entry = entries[k];
			entries[k] = entries[k - 1];
			entries[k - 1] = entry;
		}
}

/* Of the counters of a cache only whether something happened since service last came by; of that time, how long ago. */
static void canon_cpu(const struct ex_machine *m, uint32_t cpu)
{
	struct pfai_cpu *c = canon_at(m, pfai_cpu_at(m->pfa, cpu));
	size_t sum = 0;

	for (size_t slot = 0; slot < m->pfa->nr_slots; slot++) {
		struct pfai_slot *s = &c->slots[slot];
		sum += s->allocs + s->frees;
		s->allocs = s->frees = 0;
		canon_slot(m, c, s, pfai_slot_sealed_cap(m->pfa, slot));
	}
	c->seen = c->seen_ns && sum != c->seen;
	if (c->seen_ns) {
		const uint64_t age = m->w.now_ns - c->seen_ns;
		c->seen_ns = 1 + (age < PFA_SERVICE_IDLE_NS ? age : PFA_SERVICE_IDLE_NS);
	}
}

static void canon_zone(const struct ex_machine *m, const struct pfai_zone *z)
{
	struct pfai_zone_state *st = canon_at(m, z->st);

	st->direct_allocs = st->direct_frees = 0;
	memset(&st->events, 0, sizeof(st->events));
	memset(&st->reports, 0, sizeof(st->reports));
	st->moves.migrated = st->moves.putback = st->moves.released = st->moves.again = 0;
	st->compaction.scanned = st->compaction.moved = st->compaction.failed = st->compaction.steps = 0;
	if (!st->compaction.running)
		memset(st->compaction.dst, 0, sizeof(st->compaction.dst));
	if (m->forget == EX_FORGET_TYPES) {
		struct pfai_pb *pb = canon_at(m, z->pb);
		for (size_t i = 0; i < z->nr_pb; i++)
			pb[i].code = 0;
		memset(st->free, 0, sizeof(st->free));
		memset(st->nonempty, 0, sizeof(st->nonempty));
		memset(canon_at(m, z->sets), 0, z->set_words * PFAI_PLANES * sizeof(pfai_word));
		memset(canon_at(m, (const void *)m->pfa->routes), 0, (m->pfa->span >> m->pfa->pb_order) + 1);
	}
}

/* Tokens are 1, 2, .. in the order of the pageblocks that they hold. */
static void canon_tokens(const struct ex_machine *m)
{
	uint32_t was[EX_HOLDS_MAX];
	unsigned nr = 0;

	for (uint32_t zone = 0; zone < m->pfa->nr_zones; zone++) {
		const struct pfai_zone *z = &m->pfa->zones[zone];
		struct pfai_pb *pb = canon_at(m, z->pb);
		for (size_t i = 0; i < z->nr_pb; i++) {
			const uint32_t token = pb[i].holder;
			unsigned k = 0;
			while (k < nr && was[k] != token)
				k++;
			if (token && k == nr && nr < EX_HOLDS_MAX)
				was[nr++] = token;
			if (token)
				pb[i].holder = k + 1;
		}
	}
}

static void canon_instance(const struct ex_machine *m)
{
	struct pfai_state *st = canon_at(m, m->pfa->st);

	st->last_token = 0;
	st->nr_fail = st->nr_drain = st->nr_misuse = st->nr_corrupt = st->nr_zeroed = st->nr_zero_skipped = 0;
	st->nr_records = 0;
	if (st->service_next != UINT64_MAX)
		st->service_next -= m->w.now_ns;
}

/* Without a batch (hash_memory() passes by what the last one was made of). A time that is over is over for ever; one to come is kept as how
 * far away it is. The device says nothing of bytes a second, so that these are not counted. */
static void canon_report(const struct ex_machine *m)
{
	struct pfai_report *r = canon_at(m, m->pfa->report);

	r->batch_zone = 0;
	r->refilled = 0;
	if (!r->running) {
		r->zone = 0;
		r->at = 0;
		r->left = r->failed = false;
	}
	if (!r->registered) {
		memset(&r->device, 0, sizeof(r->device));
		r->frame_bytes = r->suspended = 0;
	}
	if (!r->registered || r->suspended) /* listening begins anew then */
		r->backoff = 0;
	if (m->forget == EX_FORGET_DUE)
		r->due = 0;
	if (r->due)
		r->due = r->due > m->w.now_ns ? r->due - m->w.now_ns + 1 : 1;
}

/* What the areas counted. Who waits for what is over when a call is. */
static void canon_areas(const struct ex_machine *m)
{
	for (uint32_t i = 0; i < m->pfa->nr_cma; i++) {
		struct pfai_cma *a = canon_at(m, &m->pfa->cma[i]);
		a->ended = 0;
		a->allocs = a->failed = a->waits = 0;
	}
}

/* ---- the hash ------------------------------------------------------------------------------------------------------ */

static void hash_bytes(struct ex_key *key, const void *bytes, size_t nr)
{
	const unsigned char *at = bytes;
	uint64_t a = key->a, b = key->b, word;

	for (; nr; at += sizeof(word), nr -= nr < sizeof(word) ? nr : sizeof(word)) {
		word = 0;
		memcpy(&word, at, nr < sizeof(word) ? nr : sizeof(word));
		a = (a ^ word) * UINT64_C(0x9FB21C651E98DF25);
		a ^= a >> 29;
		b = (b + word) * UINT64_C(0xD6E8FEB86659FD93);
		b ^= b >> 32;
	}
	key->a = a;
	key->b = b;
}

/* The canonical memory. Most of it would be the report's arrays, which are of no concern where there is no batch: between two calls. */
static void hash_memory(const struct ex_machine *m, struct ex_key *key)
{
	const unsigned char *at = m->canon;
	const size_t bytes = m->bytes - m->sealed;
	const struct pfai_report *r = m->pfa->report ? canon_at(m, m->pfa->report) : NULL;
	size_t from = 0;

	if (r && !r->nr) {
		hash_bytes(key, at, (size_t)((const unsigned char *)r->held - at));
		from = (size_t)((const unsigned char *)r - at) + sizeof(*r);
	}
	hash_bytes(key, at + from, bytes - from);
}

static uint64_t hash_end(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

struct ex_key ex_canonical(struct ex_machine *m)
{
	struct ex_key key = { 1, 2 };

	memcpy(m->canon, m->memory + m->sealed, m->bytes - m->sealed);
	for (uint32_t cpu = 0; cpu < m->pfa->nr_cpus; cpu++)
		canon_cpu(m, cpu);
	for (uint32_t zone = 0; zone < m->pfa->nr_zones; zone++)
		canon_zone(m, &m->pfa->zones[zone]);
	canon_tokens(m);
	canon_instance(m);
	canon_areas(m);
	if (m->pfa->report)
		canon_report(m);
	hash_memory(m, &key);
	hash_bytes(&key, m->w.frame, m->span);
	for (unsigned i = 0; i < m->w.nr_holds; i++)
		hash_bytes(&key, &m->w.hold[i], offsetof(struct ex_hold, token));
	if (m->alphabet.report)
		hash_bytes(&key, m->w.told, m->span);
	return (struct ex_key){ hash_end(key.a), hash_end(key.b ^ key.a) };
}

/* ---- planted bugs -------------------------------------------------------------------------------------------------- */

/* Each stands for a bug of its kind in the library: what the operation that follows would have done wrong. For the test that
 * the explorer finds bugs, by a shortest program. */
void ex_plant(struct ex_machine *m, enum ex_kind kind)
{
	struct pfai_zone *z = &m->pfa->zones[0];

	for (uint32_t cpu = 0; cpu < m->pfa->nr_cpus && m->plant == EX_PLANT_DRAIN_LOSES && kind == EX_DRAIN; cpu++)
		for (size_t slot = 0; slot < m->pfa->nr_slots; slot++) /* a full slot's last block is forgotten */
			if (pfai_cpu_at(m->pfa, cpu)->slots[slot].n > 1)
				pfai_cpu_at(m->pfa, cpu)->slots[slot].n--;
	for (size_t i = 0; i < z->nr_pb && m->plant == EX_PLANT_KEEPS_HOLDER && kind == EX_UNDO; i++)
		if (z->pb[i].holder && z->pb[i].used != ((size_t)1 << m->pfa->pb_order)) /* counted out though it stays held */
			z->st->nr_held--;
	if (m->plant == EX_PLANT_NEWS_LOST && kind == EX_FREE && z->st->told) /* what comes free beside what is told is not looked at */
		z->st->reporting = 0;
	if (m->plant == EX_PLANT_RELEASE_UNCOUNTED && kind == EX_CMA_RELEASE)
		m->pfa->cma[0].granted++;
}
