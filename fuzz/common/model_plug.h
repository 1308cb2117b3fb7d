/* SPDX-License-Identifier: MIT
 *
 * model_plug.h - frames that come and go, and CMA areas: what each function of pfa/hotplug.h and pfa/cma.h must answer, and what follows.
 */
#ifndef FUZZ_MODEL_PLUG_H
#define FUZZ_MODEL_PLUG_H

#include <pfa/cma.h>
#include <pfa/hotplug.h>

#include "model_contig.h"

/* Whatever owners say: what is in the way of pfa_offline_range(); and, where that is nothing, what of movable blocks and guards. */
struct model_answer model_expect_offline(const struct model *m, pfa_pfn start, pfa_pfn end, uint32_t flags);
struct model_answer model_expect_offline_left(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end, uint32_t flags);
struct model_answer model_expect_online(const struct model *m, pfa_pfn start, pfa_pfn end);
struct model_answer model_expect_add(const struct model *m, pfa_pfn start, pfa_pfn end);
struct model_answer model_expect_remove(const struct model *m, pfa_pfn start, pfa_pfn end);

/* And what follows. Offline: false, if a frame of it is in use (*pfn). */
bool model_offline(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, pfa_pfn *pfn);
void model_online(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end);
void model_change(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, enum model_state from, enum model_state to);

/* pfa_cma_create(). *holds: the call holds the pageblocks before it answers. */
struct model_answer model_expect_area(const struct model *m, const struct model_movables *mm, pfa_pfn start, pfa_pfn end, uint32_t flags,
                                      bool *holds);
/* The area begins, or ends: its pageblocks are of another type. */
struct model_area *model_area_begin(struct model *m, unsigned zone, pfa_pfn start, pfa_pfn end, uint32_t handle);
void model_area_end(struct model *m, struct model_area *area);
/* The live area that has the frame, or that this is the handle of; NULL: there is none. */
struct model_area *model_area_at(struct model *m, pfa_pfn pfn);
struct model_area *model_area_of(struct model *m, uint32_t handle);
struct model_answer model_expect_area_end(const struct model *m, const struct model_area *area);
/* Is there a run in the area that nothing but what owners may say is in the way of? Un-owned, or movable where the flags allow it. */
bool model_area_has_run(const struct model *m, const struct model_movables *mm, const struct model_area *area, size_t nr, size_t align,
                        uint32_t flags);
bool model_area_held(const struct model *m, const struct model_area *area);
struct expectation model_expect_cma_release(const struct model *m, const struct model_area *area, pfa_pfn start, size_t nr);

#endif
