/* SPDX-License-Identifier: MIT
 *
 * exec_real_zstore.c - compressed stores: every object's bytes are made again from its kind and seed, and compared.
 */
#include "exec_real.h"

#include <stdlib.h>
#include <string.h>

#ifdef FUZZ_ZSTORE

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define REAL_WRITTEN(at, bytes) __msan_unpoison(at, bytes) /* by LZ4, which is not instrumented */
#endif
#endif
#ifndef REAL_WRITTEN
#define REAL_WRITTEN(at, bytes) ((void)(at), (void)(bytes))
#endif

/* ---- content ---------------------------------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static void make_content(const struct real_object *o, unsigned char *out)
{
	static const char words[] = "frame block order zone ";
	const uint32_t random = o->kind == 3 || o->kind == 7 ? o->bytes : o->kind == 4 ? o->bytes / 2 : 0;
	const uint32_t period = 1 + o->seed % 23;
	uint32_t state = o->seed;

	memset(out, o->kind == 1 ? (int)(o->seed & 0xFF) : o->kind == 4 ? 7 : 0, o->bytes);
	for (uint32_t i = 0; i < random; i++)
		out[i] = (unsigned char)next_random(&state);
	for (uint32_t i = 64; o->kind == 7 && i < o->bytes; i++) /* three quarters are what came before */
		out[i] = i & 0xC0 ? out[i - 64] : out[i];
	for (uint32_t i = 0; o->kind == 2 && i < o->bytes; i++)
		out[i] = (unsigned char)words[(i + (i >> 6) * o->seed) % (sizeof(words) - 1)];
	for (uint32_t i = 0; o->kind == 5 && i < o->bytes; i++)
		out[i] = i < period ? (unsigned char)(i * 11 + o->seed) : out[i - period];
	for (uint32_t i = 0; o->kind == 6 && i < o->bytes; i += 1 + next_random(&state) % 64)
		out[i] = (unsigned char)state;
}

/* ---- operations ------------------------------------------------------------------------------------------------------- */

size_t real_zstore_frames(const struct real_zstore *z)
{
	struct pfa_zstore_stats s;
	if (!z->it)
		return 0;
	pfa_zstore_stats_get(z->it, &s);
	return s.blocks << z->cfg.order;
}

static bool create(struct real_run *r, struct real_zstore *z, const uint64_t a[])
{
	const struct pfa_config *cfg = &r->run->setup.cfg;
	const unsigned most = cfg->max_order == PFA_EXPLICIT_0 ? 0 : cfg->max_order;
	z->cfg = (struct pfa_zstore_config){ .size = sizeof(z->cfg), .pfa = r->pfa, .platform = &r->os, .frame_shift = cfg->frame_shift,
		                             .order = (uint32_t)(a[1] < most ? a[1] : most), .max_objects = (size_t)a[2] + 1,
		                             .max_blocks = (size_t)a[3] + 1, .nr_scratch = 1 };
	const size_t bytes = pfa_zstore_bytes(&z->cfg);
	z->most = pfa_zstore_max_bytes(&z->cfg);
	z->nr = z->nr_dead = z->moves = 0;
	z->memory = NULL;
	if (bytes == 0 || z->most > REAL_OBJECT_MAX || posix_memalign(&z->memory, 64, bytes) != 0)
		return real_fail(r, "harness", "no memory for a store, or its objects are too large", 0, REAL_OBJECT_MAX, z->most);
	const int code = pfa_zstore_create(z->memory, bytes, &z->cfg, &z->it);
	const int expected = !cfg->max_owners ? PFA_ENOTSUP : r->nr_owners == cfg->max_owners ? PFA_ENOMEM : PFA_OK;
	if (code != PFA_OK) {
		z->it = NULL;
		free(z->memory);
		z->memory = NULL;
	} else {
		r->nr_owners++;
	}
	return real_may(r, code, REAL_MAY(expected), "pfa_zstore_create()");
}

bool real_zstore_end(struct real_run *r, struct real_zstore *z)
{
	if (!real_may(r, pfa_zstore_destroy(z->it), REAL_MAY(PFA_OK), "pfa_zstore_destroy()"))
		return false;
	free(z->memory);
	z->memory = NULL;
	z->it = NULL;
	z->nr = 0;
	r->nr_owners--;
	return true;
}

static bool known(const struct real_zstore *z, pfa_zobject handle)
{
	for (size_t i = 0; i < z->nr; i++)
		if (z->objects[i].handle == handle)
			return true;
	for (size_t i = 0; i < REAL_DEAD && i < z->nr_dead; i++)
		if (z->dead[i] == handle)
			return true;
	return handle == 0;
}

bool real_zstore_put(struct real_run *r, struct real_zstore *z, unsigned kind, size_t bytes)
{
	static unsigned char data[REAL_OBJECT_MAX + 4096];
	struct real_object o = { .bytes = (uint32_t)bytes, .seed = ++r->seed, .kind = kind };
	const pfa_zobject untouched = UINT64_C(0x5A5A5A5A5A5A5A5A);
	uint32_t allowed = REAL_MAY(PFA_OK) | REAL_MAY(PFA_ENOMEM);

	o.handle = untouched;
	if (z->putting) /* data is in use, and so is what it compresses with */
		return true;
	make_content(&o, data);
	z->putting = true;
	const int code = real_calls.z_put(z->it, data, bytes, &o.handle);
	z->putting = false;
	if (bytes == 0 || bytes > z->most)
		allowed = REAL_MAY(PFA_EINVAL);
	else if (!r->addresses)
		allowed = REAL_MAY(PFA_ENOTSUP) | REAL_MAY(PFA_ENOMEM);
	else if (z->nr == z->cfg.max_objects)
		allowed = REAL_MAY(PFA_ENOMEM) | (r->acted ? REAL_MAY(PFA_OK) : 0);
	if (!real_may(r, code, allowed, "pfa_zstore_put()"))
		return false;
	if (code != PFA_OK) {
		if (o.handle != untouched)
			return real_fail(r, "owners store", "a put that fails gives a handle", 0, 0, 1);
		return z->nr == z->cfg.max_objects || real_zstore_frames(z) >> z->cfg.order == z->cfg.max_blocks ||
		       real_really_full(r, code, z->cfg.order, PFA_MOVABLE);
	}
	if (known(z, o.handle) || z->nr == REAL_OBJECTS)
		return real_fail(r, "owners store", "a handle is given that another object has, or had", 0, z->nr, (size_t)o.handle);
	z->objects[z->nr++] = o;
	return true;
}

bool real_zstore_get(struct real_run *r, struct real_zstore *z, size_t at, unsigned how)
{
	static unsigned char expected[REAL_OBJECT_MAX + 64], got[REAL_OBJECT_MAX + 64];
	const struct real_object *o = &z->objects[at];
	const size_t room = how == 1 ? o->bytes - 1 : how == 2 ? 0 : how == 3 ? o->bytes + 40 : o->bytes;
	size_t bytes = SIZE_MAX;

	memset(got, 0xA7, o->bytes + 64u);
	memset(expected, 0xA7, o->bytes + 64u);
	const int code = real_calls.z_get(z->it, o->handle, got, room, &bytes);
	REAL_WRITTEN(got, o->bytes);
	if (!real_may(r, code, room < o->bytes ? REAL_MAY(PFA_ERANGE) : REAL_MAY(PFA_OK), "pfa_zstore_get()"))
		return false;
	if (bytes != o->bytes)
		return real_fail(r, "owners store", "an object has another size than was put", 0, o->bytes, bytes);
	if (code == PFA_OK)
		make_content(o, expected);
	if (memcmp(got, expected, o->bytes + 64u) == 0)
		return true;
	size_t byte = 0;
	while (got[byte] == expected[byte])
		byte++;
	return real_fail(r, "owners store", code == PFA_OK ? "an object contains something else than was put (byte)"
	                                                   : "a get that was refused wrote to its buffer", 0, expected[byte], byte);
}

bool real_zstore_delete(struct real_run *r, struct real_zstore *z, size_t at)
{
	const pfa_zobject handle = z->objects[at].handle;
	z->dead[z->nr_dead++ % REAL_DEAD] = handle;
	memmove(&z->objects[at], &z->objects[at + 1], (z->nr - at - 1) * sizeof(z->objects[0]));
	z->nr--;
	return real_may(r, real_calls.z_delete(z->it, handle), REAL_MAY(PFA_OK), "pfa_zstore_delete()");
}

/* Of a handle that is none any more. */
static bool dead(struct real_run *r, struct real_zstore *z, size_t at, bool del)
{
	const size_t kept = z->nr_dead < REAL_DEAD ? z->nr_dead : REAL_DEAD;
	const pfa_zobject handle = at < kept ? z->dead[at] : (pfa_zobject)(at % 2 ? 0 : (uint64_t)at << 28 | 0xFFFFFFFFu);
	unsigned char byte = 0xA7;
	size_t bytes = 0;
	const int code = del ? real_calls.z_delete(z->it, handle) : real_calls.z_get(z->it, handle, &byte, 1, &bytes);
	if (!real_may(r, code, REAL_MAY(PFA_EINVAL), "a handle that is none any more is used"))
		return false;
	return byte == 0xA7 || real_fail(r, "owners store", "a get of no object wrote to its buffer", 0, 0xA7, byte);
}

/* ---- looking ---------------------------------------------------------------------------------------------------------- */

bool real_zstore_look(struct real_run *r, struct real_zstore *z, bool all)
{
	struct pfa_zstore_stats s;
	size_t bytes = 0;

	pfa_zstore_stats_get(z->it, &s);
	for (size_t i = 0; i < z->nr; i++)
		bytes += z->objects[i].bytes;
	if (s.objects != z->nr || s.object_bytes != bytes)
		return real_fail(r, "owners store", "the sums of a store are not those of its objects", 0, bytes, s.object_bytes);
	if ((s.blocks == 0) != (z->nr == 0) || s.blocks > z->nr || s.blocks > z->cfg.max_blocks || s.slot_bytes > s.blocks * z->most ||
	    (z->nr && s.slot_bytes == 0))
		return real_fail(r, "owners store", "blocks or slots of a store are not what its objects need", 0, z->nr, s.blocks);
	all |= s.moves != z->moves;
	z->moves = s.moves;
	if (!all && z->nr)
		return real_zstore_get(r, z, r->run->step.index % z->nr, 0);
	for (size_t i = 0; i < z->nr; i++)
		if (!real_zstore_get(r, z, i, 0))
			return false;
	return true;
}

bool real_zstore_op(struct real_run *r, const struct prog_op *op)
{
	const uint64_t *a = op->arg;
	struct real_zstore *z = &r->zstore[a[0]];
	if ((op->kind == OP_ZSTORE_CREATE) == (z->it != NULL))
		return exec_skip(r->run);
	if ((op->kind == OP_Z_GET || op->kind == OP_Z_DELETE || op->kind == OP_Z_REPLACE) && !z->nr)
		return exec_skip(r->run);
	const size_t at = z->nr ? (size_t)a[1] % z->nr : 0;
	switch (op->kind) {
	case OP_ZSTORE_CREATE: return create(r, z, a);
	case OP_ZSTORE_DESTROY: return real_zstore_end(r, z);
	case OP_Z_PUT: {
		const size_t bytes = (size_t)a[2];
		const size_t of[4] = { bytes, bytes < z->most ? z->most - bytes : z->most, (z->most * bytes + 4095) / 4096, z->most + bytes };
		return real_zstore_put(r, z, (unsigned)a[1], of[a[3]]);
	}
	case OP_Z_GET: return real_zstore_get(r, z, at, (unsigned)a[2]);
	case OP_Z_DELETE: return real_zstore_delete(r, z, at);
	case OP_Z_REPLACE:
		return real_zstore_delete(r, z, at) && real_zstore_put(r, z, (unsigned)a[2], 1 + (z->most - 1) * (size_t)a[3] / 255);
	default: return dead(r, z, (size_t)a[1], a[2] != 0);
	}
}

#else /* LZ4 was not there */

size_t real_zstore_frames(const struct real_zstore *z)
{
	(void)z;
	return 0;
}

bool real_zstore_op(struct real_run *r, const struct prog_op *op)
{
	(void)op;
	return exec_skip(r->run);
}

/* There is none, so these are never called. */
bool real_zstore_end(struct real_run *r, struct real_zstore *z)
{
	return z->it == NULL && !r->failed;
}

bool real_zstore_look(struct real_run *r, struct real_zstore *z, bool all)
{
	return !all || real_zstore_end(r, z);
}

bool real_zstore_delete(struct real_run *r, struct real_zstore *z, size_t at)
{
	return at == 0 && real_zstore_end(r, z);
}

bool real_zstore_put(struct real_run *r, struct real_zstore *z, unsigned kind, size_t bytes)
{
	return kind <= bytes && real_zstore_end(r, z);
}

bool real_zstore_get(struct real_run *r, struct real_zstore *z, size_t at, unsigned how)
{
	return at <= how && real_zstore_end(r, z);
}

#endif
