/* SPDX-License-Identifier: MIT
 *
 * Layer 3: broken promises. Called with no lock held.
 */
#ifndef PFAI_FAULT_H
#define PFAI_FAULT_H

#include "instance.h"

/* Counts, tells platform.fatal, and traps under policy ABORT. Returns PFA_EMISUSE or PFA_ECORRUPT. */
int pfai_fault(struct pfa *p, enum pfa_fault_kind kind, pfa_pfn pfn, unsigned order, const char *function);

#endif
