/* SPDX-License-Identifier: MIT */
#include "config_scene.h"

bool problem_seen[PFA_CONFIG_PROBLEMS];

void refuse_at(struct rig *rig, enum pfa_config_problem problem, unsigned index, int line)
{
	static unsigned char memory[64] __attribute__((aligned(64)));
	struct pfa_footprint need;
	enum pfa_config_problem why = PFA_CONFIG_PROBLEMS;
	unsigned where = 99;
	struct pfa *const untouched = (struct pfa *)(void *)memory;
	struct pfa *pfa = untouched;

	rig_expect("pfa_size", PFA_EINVAL, pfa_size(&rig->cfg, &need, &why, &where), __FILE__, line);
	if (why != problem)
		rig_fail(__FILE__, line, "pfa_size: \"%s\" instead of \"%s\"", pfa_config_problem_text(why),
		         pfa_config_problem_text(problem));
	if (where != index)
		rig_fail(__FILE__, line, "pfa_size: zone %u instead of %u", where, index);
	why = PFA_CONFIG_PROBLEMS;
	where = 99;
	rig_expect("pfa_init", PFA_EINVAL, pfa_init(memory, sizeof(memory), &rig->cfg, &pfa, &why, &where), __FILE__,
	           line);
	if (why != problem || where != index || pfa != untouched)
		rig_fail(__FILE__, line, "pfa_init: \"%s\" for zone %u, out %stouched", pfa_config_problem_text(why),
		         where, pfa == untouched ? "un" : "");
	/* Nobody needs to ask for the reason. */
	rig_expect("pfa_size", PFA_EINVAL, pfa_size(&rig->cfg, &need, NULL, NULL), __FILE__, line);
	rig_expect("pfa_init", PFA_EINVAL, pfa_init(memory, sizeof(memory), &rig->cfg, &pfa, NULL, NULL), __FILE__,
	           line);
	problem_seen[problem] = true;
}

void accept_at(struct rig *rig, int line)
{
	struct pfa_footprint need = {0};
	enum pfa_config_problem why = PFA_CONFIG_PROBLEMS;
	unsigned where = 99;
	rig_expect("pfa_size", PFA_OK, pfa_size(&rig->cfg, &need, &why, &where), __FILE__, line);
	if (why != PFA_CONFIG_FINE || need.core_bytes == 0 || need.align != 64)
		rig_fail(__FILE__, line, "accepted with %d, %zu bytes, align %zu", why, need.core_bytes, need.align);
	problem_seen[PFA_CONFIG_FINE] = true;
}

void base(struct rig *rig)
{
	rig_init(rig);
	rig_zone(rig, 0, 1024);
}
