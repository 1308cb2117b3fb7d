/* SPDX-License-Identifier: MIT
 *
 * What the files of the mapped arena share.
 *
 * One lock an arena, taken by calls, by ops, and by the handler of SIGSEGV in a thread that wrote to the arena. Who holds it
 * touches neither the arena's memory nor anything of the library that may wait for a page lock: so ops may wait for it, and
 * a thread that has it does not fault.
 */
#ifndef PFAI_MAPPED_INTERNAL_H
#define PFAI_MAPPED_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <pfa/mapped.h>
#include <pfa/pfa.h>
#include <pfa/posix.h>

#include "owner_lock.h"

#define MAPPED_ARENAS 64u
#define MAPPED_WINDOW 16u /* units that are protected at once, in a batch */
#define MAPPED_PINS 65535u

enum mapped_state {
	MAPPED_FREE = 0,
	MAPPED_BUSY = 1, /* an address that is being allocated or freed */
	MAPPED_LIVE = 2
};

struct mapped_unit {
	pfa_pfn head;
	uint16_t pins;
	uint8_t state;
	bool protected;
};

struct pfa_mapped {
	struct pfa *pfa;
	struct pfa_platform os;
	pfa_owner owner;
	enum pfa_mapped_way way;
	int fd, uffd; /* uffd: -1 where it is not the way */
	uint64_t fd_offset;
	pfa_pfn pool_pfn;
	uint32_t frame_shift, order;
	size_t unit_bytes, nr_units;
	unsigned char *base;
	struct pfa_posix_region own, addresses; /* this struct with its units; the arena */

	struct pfai_owner_lock lock; /* guards all that follows */
	unsigned batches;
	unsigned window_limit;       /* shrinks where writers come in between, grows where none does */
	bool disturbed;              /* one did, since the window was made */
	size_t window, window_end;   /* all units that are protected are in here */
	size_t nr_live, search_from;
	/* Moves of protection so far: a fault at the same place at the same count as the last one is not of our making. */
	_Atomic(uintptr_t) epoch;
	_Atomic(uintptr_t) nr_moves, nr_protects, nr_waits, nr_refused;
	struct mapped_unit units[];
};

static inline void mapped_count(_Atomic(uintptr_t) *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline unsigned char *mapped_address(const struct pfa_mapped *a, size_t unit)
{
	return a->base + unit * a->unit_bytes;
}

/* mapped_move.c */
extern const struct pfa_owner_ops pfai_mapped_ops;
/* Maps nr units from `unit` on to the frames from `head` on, readable and writable. */
bool pfai_mapped_map_locked(struct pfa_mapped *a, size_t unit, size_t nr, pfa_pfn head);
/* Makes the window writable again, and lets writers go on. */
void pfai_mapped_lift_locked(struct pfa_mapped *a);
/* The same for one unit, which others of the window may stay protected beside. */
void pfai_mapped_lift_unit_locked(struct pfa_mapped *a, size_t unit);

/* mapped_fault.c */
/* Is write protection of this memfd by userfaultfd possible? Returns the descriptor, or -1. */
int pfai_mapped_uffd_open(int fd, size_t page);
/* Makes ready for protection what was just mapped. */
bool pfai_mapped_uffd_register(struct pfa_mapped *a, size_t unit, size_t nr);
bool pfai_mapped_uffd_protect(struct pfa_mapped *a, size_t unit, size_t nr, bool on);
void pfai_mapped_uffd_wake(struct pfa_mapped *a, size_t unit, size_t nr);
/* Does some writer wait? */
bool pfai_mapped_uffd_pending(const struct pfa_mapped *a);
/* Faults in this arena are the handler's from now on. False: too many arenas. */
int pfai_mapped_watch(struct pfa_mapped *a);
void pfai_mapped_unwatch(const struct pfa_mapped *a);

#endif
