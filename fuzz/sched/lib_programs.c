/* SPDX-License-Identifier: MIT
 *
 * lib_programs.c - see lib_run.h: the programs.
 */
#include "lib_run.h"

#define A(order) { LIB_ALLOC, order, PFA_MOVABLE }
#define AU(order) { LIB_ALLOC, order, PFA_UNMOVABLE }
#define AN(order) { LIB_ALLOC, order, PFA_MOVABLE | PFA_NORETRY }
#define AZ(order) { LIB_ALLOC, order, PFA_MOVABLE | PFA_ZERO }
#define F(nth) { LIB_FREE, nth, 0 }
#define OP(kind) { LIB_##kind, 0, 0 }
#define OPA(kind, a) { LIB_##kind, a, 0 }

const struct lib_program lib_programs[] = {
	{ "alloc and free, one cpu", 2, 1, 1, 4, 0, { A(0), OPA(GIVE, 0) },
	  { { A(0), A(0), F(0), A(1), F(0), F(0) }, { A(0), OP(TAKE_FREE), F(0), A(0), A(2), F(1) } } },
	{ "alloc and free, two cpus, three threads", 3, 2, 1, 2, 0, { A(0), A(1), A(0), OPA(GIVE, 0) },
	  { { A(0), A(0), F(0), A(1), OPA(BULK, 4), F(0), F(0) },
	    { A(0), OP(TAKE_FREE), F(0), A(0), A(2), F(1), OPA(EXACT, 3) },
	    { AU(0), A(3), F(0), F(0), A(0), OPA(SPLIT, 0), A(0) } } },
	{ "no caches", 3, 1, 1, 0, 0, { A(3) },
	  { { A(0), A(0), F(0), A(1), F(0), F(0) }, { A(0), OP(TAKE_FREE), F(0), A(0), A(2), F(1) }, { AU(0), A(3), F(0), F(0) } } },
	/* Nobody allocates: whoever got the block between two frees would lose it to the second one. */
	{ "a double free", 3, 2, 1, 2, LIB_CONTESTED, { A(1), OPA(GIVE, 0), A(0), A(1) },
	  { { OP(FREE_TWICE), F(0) }, { OP(FREE_TWICE), OPA(DRAIN, LIB_ALL) }, { OP(FREE_TWICE), OP(STATS) } } },
	{ "a split against a free", 3, 2, 1, 2, LIB_CONTESTED, { A(1), OPA(GIVE, 0), A(0) },
	  { { OP(SPLIT_SHARED), F(0) }, { OP(FREE_TWICE), OPA(DRAIN, LIB_ALL) }, { OP(SPLIT_SHARED) } } },
	{ "drain against all", 3, 2, 1, 4, 0, { OPA(BULK, 6) },
	  { { A(0), A(0), F(0), A(0), F(0), F(0) }, { A(0), F(0), A(0), F(0) }, { OPA(DRAIN, LIB_ALL), OPA(DRAIN, 0), OPA(PURGE, 3) } } },
	{ "slots run over and dry", 3, 2, 1, 2, 0, { A(0) },
	  { { OPA(BULK, 6), F(0), F(0), F(0), F(0), F(0), F(0) }, { OPA(BULK, 6), F(0), F(0), F(0), F(0), F(0), A(0) }, { A(3), F(0), A(3), A(0), F(0) } } },
	{ "disabled caches against refill", 3, 2, 1, 4, 0, { A(0) },
	  { { A(0), A(0), F(0), F(0) }, { A(0), F(0), A(1), F(0) }, { OP(DISABLE), A(0), OP(ENABLE), F(0), OP(DISABLE), OP(ENABLE) } } },
	{ "service against alloc and free", 3, 2, 1, 4, 0, { OPA(BULK, 4) },
	  { { A(0), F(0), A(0), F(0) }, { A(0), F(0) }, { OP(SERVICE), OPA(LATER, 3), OP(SERVICE), OPA(LATER, 3), OP(SERVICE) } } },
	{ "looking at everything", 3, 2, 1, 2, 0, { A(0), A(2) },
	  { { A(0), A(1), F(0), F(0) }, { A(0), F(0), OP(STATS) }, { OP(STATS), OP(CHECK), OP(STATS) } } },
	{ "a walk against alloc and free", 3, 2, 1, 2, 0, { A(0), A(1), A(3), A(0) },
	  { { A(0), A(2), OPA(FREE, 2), F(0), F(0), A(1) }, { OPA(WALK, 0), OPA(WALK, 2) }, { A(0), OPA(DRAIN, LIB_ALL), F(0), A(4), F(0) } } },
	{ "a walk against migration", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 1) },
	  { { OP(MIGRATE) }, { OPA(WALK, 0) }, { OP(FREE_MOVABLE), A(0) } } },
	/* The free that wins may be followed by a grant of the same frames, which the others' handles must not disturb. */
	{ "stale handles", 3, 2, 1, 2, LIB_CONTESTED | LIB_HANDLES, { A(1), OPA(GIVE, 0), OP(HANDLE) },
	  { { OP(FREE_HANDLE), A(1), F(0) }, { OP(FREE_HANDLE), A(1) }, { OP(FREE_HANDLE), A(0), OPA(DRAIN, LIB_ALL) } } },
	/* The order tells an event from the one before it in its place. */
	{ "history is read while it is written", 2, 1, 1, 2, LIB_HISTORY, { A(0), F(0) },
	  { { A(0), F(0), A(1), F(0), A(0), F(0), A(1), F(0) }, { OPA(READ_HISTORY, 2), OPA(READ_HISTORY, 2), OPA(READ_HISTORY, 2) } } },
	{ "two services", 2, 2, 1, 4, 0, { OPA(BULK, 2), OPA(LATER, 3) },
	  { { OP(SERVICE), F(0), OP(SERVICE) }, { OP(SERVICE), A(0), OP(SERVICE) } } },
	{ "memory runs out", 3, 2, 1, 2, LIB_TIGHT, { A(6), A(5), A(4), A(3) },
	  { { A(2), A(1), AN(0), F(0), A(2) }, { A(1), A(1), A(0), F(0), F(0) }, { A(0), A(0), A(2), F(0) } } },
	{ "level 2", 3, 2, 2, 2, 0, { A(2) },
	  { { A(0), A(1), F(0), F(0) }, { A(0), F(0), A(2), OPA(SPLIT, 0) }, { A(0), A(3), F(0), OPA(DRAIN, LIB_ALL), F(0) } } },
	{ "level 3: quarantine and poison", 3, 2, 3, 2, 0, { A(0), A(2) },
	  { { A(0), AZ(1), F(0), F(0), A(0) }, { A(0), F(0), A(0), F(0) }, { AZ(0), OPA(DRAIN, LIB_ALL), F(0), A(0) } } },
	/* Where all of the memory is held, it may be short. */
	{ "isolation against alloc and free", 3, 2, 1, 4, LIB_TIGHT, { A(0), A(1), OPA(BULK, 3) },
	  { { A(0), F(0), F(0), A(0), A(1), F(0) }, { OPA(ISOLATE, 0), A(0), OPA(ISOLATE, 7) }, { A(0), A(2), F(0), F(0), A(0) } } },
	{ "drain against isolation", 3, 2, 1, 4, 0, { OPA(BULK, 4) },
	  { { F(0), A(0), F(0), A(0) }, { OPA(ISOLATE, 0), OPA(ISOLATE, 0) }, { OPA(DRAIN, LIB_ALL), A(0), OPA(PURGE, 0), F(0) } } },
	{ "isolation against isolation", 3, 2, 1, 2, LIB_TIGHT, { OPA(MOVABLE, 0) },
	  { { OPA(ISOLATE, 0), A(0) }, { OPA(ISOLATE, 7), A(0) }, { OPA(ISOLATE, 8), A(0), F(0) } } },
	{ "a range against alloc and free", 3, 2, 1, 4, LIB_TIGHT, { A(0), A(1), OPA(BULK, 3) },
	  { { F(0), F(0), F(0), A(1), F(0), F(0) }, { OPA(CONTIG, 0), OPA(CONTIG, 7) }, { A(0), A(4), F(0), F(0), A(0) } } },
	{ "a range against a range", 3, 2, 1, 2, LIB_TIGHT, { OPA(MOVABLE, 0), OPA(MOVABLE, 1) },
	  { { OPA(CONTIG, 0), A(0) }, { OPA(CONTIG, 1), OPA(CONTIG, 7) }, { OPA(CONTIG, 7), A(1), F(0) } } },
	{ "a range against compaction", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 0), OPA(MOVABLE, 1), OPA(MOVABLE, 0) },
	  { { OPA(CONTIG, 0), A(0) }, { OP(COMPACT) }, { OP(FREE_MOVABLE), OPA(ISOLATE, 0) } } },
	{ "a range against migration and pins", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 2) },
	  { { OPA(CONTIG, 0), OPA(CONTIG, 0) }, { OP(MIGRATE), OP(FREE_MOVABLE) }, { OP(PIN), OPA(MOVABLE, 0), OPA(PIN, 1) } } },
	{ "two walks, two services", 2, 2, 1, 4, 0, { OPA(BULK, 4) },
	  { { OPA(WALK, 2), OP(SERVICE), F(0), F(0) }, { OPA(WALK, 1), OPA(LATER, 3), OP(SERVICE), A(0) } } },
	{ "pins against migration", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 1) },
	  { { OPA(MOVABLE, 0), OP(PIN), OP(FREE_MOVABLE), OPA(PIN, 1) }, { OP(MIGRATE), A(0), F(0) }, { OPA(PIN, 0), OP(PIN), A(0) } } },
	{ "two migrations and a free", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 1), OPA(MOVABLE, 0) },
	  { { OP(FREE_MOVABLE), OPA(MOVABLE, 0), OP(FREE_MOVABLE) }, { OP(MIGRATE) }, { OP(MIGRATE), A(0) } } },
	{ "migration against the end of the owner", 2, 2, 1, 2, 0, { OPA(MOVABLE, 0) },
	  { { OP(MIGRATE), A(0) }, { OP(FREE_MOVABLE), OPA(DESTROY, 3) } } },
	{ "compaction against the end of the owner", 2, 1, 1, 0, 0, { OPA(MOVABLE, 0) },
	  { { OP(COMPACT), A(0) }, { OP(FREE_MOVABLE), OPA(DESTROY, 3) } } },
	{ "the end of the owner of a block that is released in an op", 3, 1, 1, 2, LIB_RELEASED, { OPA(MOVABLE, 0) },
	  { { OP(MIGRATE), A(0) }, { OPA(DESTROY, 3) }, { OP(COMPACT) } } },
	{ "compaction against alloc and free", 3, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 0), A(0), OPA(MOVABLE, 1), OPA(DRAIN, LIB_ALL) },
	  { { A(0), A(1), F(0), OP(FREE_MOVABLE), F(0) }, { OP(COMPACT) }, { A(2), F(0), OPA(MOVABLE, 0) } } },
	{ "two compactions", 2, 2, 1, 2, 0, { OPA(MOVABLE, 0), OPA(MOVABLE, 0), OPA(MOVABLE, 1), OPA(MOVABLE, 0) },
	  { { OP(COMPACT), A(0) }, { OP(FREE_MOVABLE), OP(COMPACT) } } },
};
const unsigned nr_lib_programs = sizeof(lib_programs) / sizeof(lib_programs[0]);
