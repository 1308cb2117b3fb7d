/* SPDX-License-Identifier: MIT
 *
 * exec_plug.h - what exec_plug.c (frames that come and go, and the dispatch) and exec_cma.c (areas) share.
 */
#ifndef FUZZ_EXEC_PLUG_H
#define FUZZ_EXEC_PLUG_H

#include "exec_contig.h"
#include "model_plug.h"

bool exec_plug_offline(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits);
/* OP_ONLINE_RANGE, OP_ADD_RANGE and OP_REMOVE_RANGE. */
bool exec_plug_change(struct exec_run *run, unsigned kind, pfa_pfn start, pfa_pfn end, bool told);

bool exec_cma_create(struct exec_run *run, pfa_pfn start, pfa_pfn end, uint64_t bits);
bool exec_cma_destroy(struct exec_run *run, uint32_t handle);
bool exec_cma_find(struct exec_run *run, pfa_pfn pfn);
bool exec_cma_alloc(struct exec_run *run, struct exec_handle *h, const uint64_t *a);
bool exec_cma_release_raw(struct exec_run *run, pfa_pfn first, size_t nr, uint64_t whose);
bool exec_cma_stats(struct exec_run *run, const uint64_t *a);

#endif
