/* SPDX-License-Identifier: MIT
 *
 * exec_compact.c - compaction: moves that the library begins by itself, in pfa_compact(), for requests and in the service; what
 * pfa_compact() tells of them; and what is left when it is done.
 */
#include "exec_movable.h"

/* ---- the moves ----------------------------------------------------------------------------------------------------- */

void exec_pass_begins(void)
{
	exec_mov.pass = (struct exec_pass){ .number = exec_mov.pass.number + 1 };
}

void exec_compact_begins(struct exec_run *run, pfa_pfn src, enum pfa_migrate_mode mode)
{
	size_t index;

	if (exec_mov.contig) {
		exec_contig_begins(run, src, mode);
		return;
	}
	if ((exec_mov.move && exec_list_begins(run, src)) || (exec_mov.move && !exec_mov.move->compacts))
		return; /* pfa_migrate() began it */
	(void)exec_compact_ends(run);
	exec_mov.move = NULL;
	exec_mov_begin(&exec_mov.compacting, src, mode);
	exec_mov.compacting.compacts = true;
	run->asked.compacted = true;
	/* it stays in its zone, and goes where movable blocks belong */
	exec_mov.compacting.flags = PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(model_zone_of(&run->m, src, &index));
	run->tracks_zero = false;
}

bool exec_compact_ends(struct exec_run *run)
{
	const struct exec_move *move = &exec_mov.compacting;

	if (exec_mov.move != move)
		return !exec_mov.broken;
	if (move->isolated && !move->moved && !move->putback && !move->stopped)
		exec_mov_fail(run, "I10 automaton", "compaction isolated a block, and neither moved nor put it back", move->src, 1, 0);
	if (move->asked && !move->moved && !move->stopped) {
		exec_mov.pass.refused++;
		exec_mov.pass.refused_frames += (size_t)1 << move->order;
	}
	if (move->dst_released && !move->moved) {
		exec_mov.told++;
		exec_mov.kinds |= 1u << PFA_FAULT_NOT_MOVED;
	}
	if (exec_mov.nr_told != exec_mov.told || (exec_mov.told && !(exec_mov.kinds >> run->told.kind & 1u)))
		exec_mov_fail(run, "contract fatal", "what a move of compaction must tell platform.fatal (times)", move->src, exec_mov.told,
		              exec_mov.nr_told);
	run->told_misuses += exec_mov.told;
	exec_mov.told = exec_mov.nr_told = exec_mov.kinds = 0;
	exec_mov.move = NULL;
	return !exec_mov.broken;
}

void exec_compact_moves(struct exec_run *run, struct model_movable *b)
{
	struct exec_pass *pass = &exec_mov.pass;

	if (b->pass == pass->number && !pass->meddled)
		exec_mov_fail(run, "I10 twice", "compaction moves a block that it has moved before", b->pfn, 0, 1);
	b->pass = pass->number;
	pass->blocks++;
	pass->frames += (size_t)1 << b->order;
}

/* ---- what pfa_compact() tells -------------------------------------------------------------------------------------- */

struct compact_call {
	unsigned first, end;    /* zones */
	unsigned order;         /* or PFA_COMPACT_ALL */
	enum pfa_migrate_mode mode;
	size_t frames, pageblocks, movable;
	size_t held;            /* frames of blocks that are pinned or locked: their owners are not asked */
	bool exact;             /* nothing was cached or in quarantine: un-owned frames were the free ones */
	unsigned index;         /* before */
};

static bool compact_nothing_cached(const struct exec_run *run, const struct compact_call *c)
{
	for (unsigned zone = c->first; zone < c->end; zone++) /* what is held is un-owned, too, and not to be had */
		if (run->now[zone].cached || run->now[zone].quarantined || run->m.zone[zone].held)
			return false;
	return run->have_stats;
}

/* The order that the index is about; UINT_MAX: zones differ in it, or blocks do not grow across some pageblock's border. */
static unsigned compact_index_order(const struct exec_run *run, const struct compact_call *c)
{
	const unsigned most = run->m.pageblock_order < run->m.max_order ? run->m.pageblock_order : run->m.max_order;
	const unsigned order = c->order == PFA_COMPACT_ALL ? most : c->order;

	for (unsigned zone = c->first; zone < c->end; zone++) {
		const struct request r = request_block(order, PFA_MOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone));
		if (run->m.zone[zone].nr < (size_t)1 << order || (c->order == PFA_COMPACT_ALL && !model_has_place(&run->m, &r, zone)) ||
		    (order > run->m.pageblock_order && (run->m.zone[zone].present_cma || run->any_highatomic)))
			return UINT32_MAX;
	}
	return order;
}

static bool compact_before(struct exec_run *run, struct compact_call *c)
{
	size_t index;

	if (!exec_refresh(run))
		return false;
	for (unsigned zone = c->first; zone < c->end; zone++) {
		c->frames += run->m.zone[zone].nr;
		c->pageblocks += run->m.zone[zone].nr_pb;
		c->movable += exec_mov.mm.frames[zone];
	}
	for (unsigned i = 0; i < MODEL_MOVABLES; i++) {
		const struct model_movable *b = &exec_mov.mm.block[i];
		const unsigned zone = b->used ? model_zone_of(&run->m, b->pfn, &index) : 0;
		if (b->used && (b->pins || b->holder) && zone >= c->first && zone < c->end)
			c->held += (size_t)1 << b->order;
	}
	c->exact = compact_nothing_cached(run, c) && compact_index_order(run, c) != UINT32_MAX;
	if (c->exact)
		c->index = model_fragmentation(&run->m, c->first, c->end, compact_index_order(run, c));
	return true;
}

static bool compact_wrong(struct exec_run *run, const struct compact_call *c, const char *what, size_t expected, size_t actual)
{
	return exec_fail(run, "I10 statistics", what, run->m.zone[c->first].start, expected, actual);
}

/* Exactly what was seen of it in the ops, or bounded by it. */
static bool compact_judge_counts(struct exec_run *run, const struct compact_call *c, const struct pfa_compact_stats *s)
{
	const struct exec_pass *pass = &exec_mov.pass;
	const size_t zones = c->end - c->first;
	const size_t most = c->frames + (run->m.pageblock_order + 2) * c->pageblocks + pass->blocks;

	if (s->size != sizeof(*s))
		return compact_wrong(run, c, "the size of compaction's statistics", sizeof(*s), s->size);
	if (s->moved != pass->frames)
		return compact_wrong(run, c, "frames counted as moved by compaction", pass->frames, s->moved);
	if (s->failed < pass->refused_frames || (!pass->meddled && s->failed > pass->refused_frames + c->held))
		return compact_wrong(run, c, "frames counted as not moved: those refused, and at most those of pinned and locked blocks",
		                     pass->refused_frames, s->failed);
	if (s->scanned < s->moved + s->failed || s->scanned > c->frames)
		return compact_wrong(run, c, "frames counted as scanned: at least those moved and failed, at most those of the zones",
		                     c->frames, s->scanned);
	if (!c->movable && !pass->meddled && !model_any_held(&run->m) && c->order == PFA_COMPACT_ALL && c->mode == PFA_MIGRATE_SYNC && s->scanned != c->frames)
		return compact_wrong(run, c, "frames counted as scanned to the end of zones where nothing is movable", c->frames, s->scanned);
	if (s->steps < pass->blocks + pass->refused || s->steps > most)
		return compact_wrong(run, c, "steps counted: at least a block each, at most as documented", most, s->steps);
	if (s->met > zones || (run->step.code == PFA_ENOMEM && s->met != zones) || (c->order == PFA_COMPACT_ALL && s->met != zones))
		return compact_wrong(run, c, "zones in which the scanners met", zones, s->met);
	return true;
}

static bool compact_judge_index(struct exec_run *run, const struct compact_call *c, const struct pfa_compact_stats *s)
{
	if (c->exact && s->index_before != c->index)
		return compact_wrong(run, c, "the fragmentation index before, per mille", c->index, s->index_before);
	if (!compact_nothing_cached(run, c) || compact_index_order(run, c) == UINT32_MAX)
		return true;
	const unsigned index = model_fragmentation(&run->m, c->first, c->end, compact_index_order(run, c));
	return s->index_after == index || compact_wrong(run, c, "the fragmentation index after, per mille", index, s->index_after);
}

/* The answer: is there a block of the order on offer, as it says? And is all that can be done done? */
static bool compact_judge_rest(struct exec_run *run, const struct compact_call *c)
{
	const struct exec_pass *pass = &exec_mov.pass;
	bool fits = false;
	struct verdict v;
	pfa_pfn pfn;

	for (unsigned zone = c->first; zone < c->end && c->order != PFA_COMPACT_ALL; zone++) {
		const struct request r = request_block(c->order, PFA_UNMOVABLE | PFA_EXACT_ZONE | PFA_ZONE(zone));
		fits |= model_fits(&run->m, &r, zone, &pfn);
	}
	if (c->order != PFA_COMPACT_ALL && !run->any_highatomic && !pass->meddled &&
	    ((run->step.code == PFA_OK && !fits) || (run->step.code == PFA_ENOMEM && fits && compact_nothing_cached(run, c))))
		return exec_fail(run, "I10 offer", "compaction says whether a block of the order is on offer", run->m.zone[c->first].start,
		                 fits, run->step.code == PFA_OK);
	if (c->order != PFA_COMPACT_ALL || c->mode != PFA_MIGRATE_SYNC || pass->meddled || pass->refused || run->corrupt ||
	    !compact_nothing_cached(run, c) || (run->any_highatomic && !exec_refresh_types(run, 0, SIZE_MAX)))
		return run->r->outcome == EXEC_FINE;
	for (unsigned zone = c->first; zone < c->end; zone++)
		if (!exec_refresh_types(run, run->m.zone[zone].start, run->m.zone[zone].start + run->m.zone[zone].nr) ||
		    (!model_judge_compacted(&exec_mov.mm, &run->m, zone, &v) && !exec_say(run, &v)))
			return false;
	return true;
}

bool exec_compact(struct exec_run *run, const uint64_t *a)
{
	const uint32_t zone = a[0] == 7 ? PFA_ALL_ZONES : (uint32_t)a[0];
	struct compact_call c = { .first = zone == PFA_ALL_ZONES ? 0 : zone, .end = zone == PFA_ALL_ZONES ? run->m.nr_zones : zone + 1,
		                  .order = a[1] == 63 ? PFA_COMPACT_ALL : (unsigned)a[1], .mode = (enum pfa_migrate_mode)a[2] };
	struct pfa_compact_stats out = { .size = 1 };
	int code;

	if (!run->ops->compact)
		return exec_skip(run);
	const bool bad = c.first >= run->m.nr_zones || (c.order > run->m.max_order && c.order != PFA_COMPACT_ALL) ||
	                 c.mode >= PFA_MIGRATE_MODES;
	if (!bad && !compact_before(run, &c))
		return false;
	EXEC_CALL(run, code, run->ops->compact(run->sut, zone, c.order, c.mode, a[3] ? &out : NULL));
	run->step.code = code;
	run->step.value = exec_mov.pass.blocks;
	if (!exec_compact_ends(run))
		return false;
	if (bad || code != PFA_ENOMEM) {
		if (!exec_expect_code(run, bad ? PFA_EINVAL : PFA_OK, code))
			return false;
	} else if (c.order == PFA_COMPACT_ALL) {
		return exec_fail(run, "model code", "compaction to the end says that no block is on offer", 0, 0, 1);
	} else if (run->nr_told) {
		return exec_fail(run, "contract fatal", "platform.fatal was told of a compaction", 0, 0, (size_t)run->told.kind);
	}
	if (bad)
		return out.size == 1 || exec_fail(run, "contract out", "a compaction that was refused wrote statistics", 0, 1, out.size);
	if (!exec_judge_written(run) || !exec_refresh(run))
		return false;
	return (!a[3] || (compact_judge_counts(run, &c, &out) && compact_judge_index(run, &c, &out))) && compact_judge_rest(run, &c);
}
