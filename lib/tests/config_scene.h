/* SPDX-License-Identifier: MIT
 *
 * config_scene.h - what the tests of configuration have in common: a configuration is refused for one problem, or taken.
 */
#ifndef PFA_TESTS_CONFIG_SCENE_H
#define PFA_TESTS_CONFIG_SCENE_H

#include "unit.h"

/* Problems that were produced; the last test wants them all. */
extern bool problem_seen[PFA_CONFIG_PROBLEMS];

/* One zone of 1024 frames from 0. */
void base(struct rig *rig);

/* Both pfa_size and pfa_init must refuse rig->cfg because of `problem` in zone `index`. */
#define REFUSE(rig, problem, index) refuse_at((rig), (problem), (index), __LINE__)
void refuse_at(struct rig *rig, enum pfa_config_problem problem, unsigned index, int line);

#define ACCEPT(rig) accept_at((rig), __LINE__)
void accept_at(struct rig *rig, int line);

/* config_zones.c */
void test_zones(void **state);
void test_overlap(void **state);
void test_span(void **state);
void test_holes(void **state);
void test_cma(void **state);
void test_marks(void **state);

#endif
