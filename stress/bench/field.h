/* SPDX-License-Identifier: MIT
 *
 * field.h - a zone of single frames of which a random half is movable, for the rows about moving them.
 *
 * The owner here knows where each of its frames is, so every row can tell whether what it timed was done: that each frame is
 * where it was moved to, with its content.
 */
#ifndef PFA_BENCH_FIELD_H
#define PFA_BENCH_FIELD_H

#include "bench.h"

#include <pfa/movable.h>
#include <pfa/posix.h>

#define FRAME ((size_t)1 << BENCH_FRAME_SHIFT)

struct field {
	const char *row;
	struct pfa_posix arena;
	pfa_owner owner;
	size_t frames, live;
	char *pool;           /* NULL: the owner copies nothing */
	pfa_pfn *at;          /* of each movable frame, by its cookie */
	unsigned char *moves; /* how often it was moved since field_mix(); NULL: nobody asks */
	size_t nr_moves;
	struct {
		pfa_pfn dst, src;
		uint64_t cookie;
	} *trace; /* of each move since nr_moves was 0 */
	bool wrong;
};

/* A zone of so many frames. copies: the owner copies what is moved, and its content is looked at. */
bool field_open(struct field *f, const char *row, size_t frames, bool copies);
/* All frames of the zone are taken, and a random half of them freed; the others become movable. */
bool field_mix(struct field *f, uint64_t *rng);
/* Every frame is where the owner says that it is, with its content, and nobody else's. */
bool field_sound(struct field *f);
/* Frees all movable frames. */
bool field_free(struct field *f);
bool field_close(struct field *f, bool ok);
/* ns of copying what was moved once more, in the same order; into and out of `pool`. */
double field_copy_again(const struct field *f, char *pool);

/* Moving without the allocator: the owner's op alone, called for the moves of another field. Its notes about its frames are as large as
 * that one's, and as long not looked at; which matters, since they lie in memory at random. */
struct field_mirror {
	struct field f;
	char *memory; /* as large as the pool, where it copies; NULL: in the pool itself, since the length is beyond every cache */
};

void field_mirror_open(struct field_mirror *m, const struct field *f, bool elsewhere);
/* To be called after each field_mix(). */
void field_mirror_mix(struct field_mirror *m, const struct field *f);
/* ns of the moves since nr_moves was 0, in the same order. 0: the owner said that one of them is wrong. */
double field_mirror_moves(struct field_mirror *m, const struct field *f);
void field_mirror_close(struct field_mirror *m);

#endif
