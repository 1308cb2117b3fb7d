/* SPDX-License-Identifier: MIT
 *
 * Layer 5: where the blocks of a call are moved to: the hand, a request for each, or the caller's choice.
 */
#ifndef PFAI_DEST_H
#define PFAI_DEST_H

#include "migrate.h"

/* May dest be given so? *rq: the request for each destination, where dest has no take(). */
bool pfai_dest_fine(const struct pfa *p, const struct pfa_dest *dest, struct pfai_request *rq);

/* One for call->move while the mover has the page lock of its source: nobody may be waited for, and nothing told. more: as many are
 * wanted next. True: m->dst is ours, FREEING. */
bool pfai_dest_take_held(struct pfa *p, struct pfai_migration *call, size_t more);

/* One for call->move, with no lock held: a block of m->order in m->dst, HEAD and ours. @return PFA_OK; PFA_ENOMEM, PFA_EMISUSE,
 * PFA_ECORRUPT: there is none. */
int pfai_dest_take(struct pfa *p, struct pfai_migration *call);

/* It was not used. What is no such block is left alone, whatever else happened. */
void pfai_dest_give(struct pfa *p, const struct pfa_dest *dest, const struct pfai_move *m);

#endif
