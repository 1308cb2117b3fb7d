/* SPDX-License-Identifier: MIT
 *
 * The misuse matrix: a block of each order in each place where a block can be, and every wrong free, split and range that
 * can be formed around it, through each function, from each cpu, at each level. All must be refused, told once with the
 * right kind, and leave every byte of the instance and of its pool as it was, the count of misuse apart.
 *
 * The table at the end counts them; its rows are what was wrong, its columns how it was tried.
 */
#include "misuse_scene.h"

#include <string.h>

#include "instance.h"

enum row {
	ROW_NEVER, ROW_FREE, ROW_CACHED, ROW_QUARANTINED, ROW_SMALLER, ROW_LARGER, ROW_TAIL, ROW_MISALIGNED, ROW_ORDER_LIMIT,
	ROW_OUTSIDE, ROW_HOLE, ROW_OFFLINE, ROW_BAD, ROW_GUARD, ROW_HELD, ROW_OTHER, ROW_IN_FRAME, ROW_RACE, ROW_MIXED, ROW_STALE, ROWS
};
static const char *const row_names[ROWS] = {
	[ROW_NEVER] = "never allocated",
	[ROW_FREE] = "double free, in its zone",
	[ROW_CACHED] = "double free, in a cache",
	[ROW_QUARANTINED] = "double free, in quarantine",
	[ROW_SMALLER] = "smaller order",
	[ROW_LARGER] = "larger order",
	[ROW_TAIL] = "tail",
	[ROW_MISALIGNED] = "misaligned",
	[ROW_ORDER_LIMIT] = "order above the largest",
	[ROW_OUTSIDE] = "out of range",
	[ROW_HOLE] = "hole",
	[ROW_OFFLINE] = "offline",
	[ROW_BAD] = "bad",
	[ROW_GUARD] = "a guard frame",
	[ROW_HELD] = "held by the allocator",
	[ROW_OTHER] = "another instance's",
	[ROW_IN_FRAME] = "inside a frame",
	[ROW_RACE] = "while it is being freed",
	[ROW_MIXED] = "mixed run",
	[ROW_STALE] = "stale handle",
};

enum column { BY_FREE, BY_BULK, BY_PTR, BY_RANGE, BY_SPLIT, BY_CHECKED, COLUMNS };
static const char *const column_names[COLUMNS] = {
	"pfa_free", "pfa_free_bulk", "pfa_free_ptr", "pfa_free_range", "pfa_split", "pfa_free_checked",
};

/* Handles exist where generations do. */
static enum column columns_of(bool hooked)
{
	return hooked ? COLUMNS : BY_CHECKED;
}

static unsigned long count[4][ROWS][COLUMNS]; /* by level */
static char messages[COLUMNS][PFA_FAULT_KINDS][200];

/* One wrong call. */
struct attempt {
	enum column by;
	enum row row;
	enum pfa_fault_kind kind;
	pfa_pfn pfn;
	unsigned order, new_order; /* new_order: of a split */
	size_t nr_frames;          /* of a range */
	unsigned in_frame;         /* pointers: bytes behind the frame's start */
	unsigned char *pool;       /* pointers: into this one, NULL: the instance's own */
	pfa_pfn offender;
	uint32_t generation;       /* of a handle */
};

/* Frees by pointer go on as pfa_free once the pointer is known to be a frame's, and are told in that name. */
static enum column attempt_told_as(const struct attempt *a)
{
	return a->by == BY_PTR && a->kind != PFA_FAULT_FOREIGN_POINTER ? BY_FREE : a->by;
}

static void attempt_fail(const struct scene *s, const struct attempt *a, const char *what)
{
	rig_fail(__FILE__, __LINE__,
	         "%s of pfn %zu, order %u (%zu frames), cpu %u: %s; level %u%s, max_order %u, block %zu of order %u: %s; told %u: \"%s\"",
	         column_names[a->by], a->pfn, a->order, a->nr_frames, s->rig.cpu, what, s->level,
	         s->hooked ? " with hooks" : "", s->geometry->max_order, s->block, s->order, residence_names[s->residence], s->rig.fault.nr, s->rig.fault.message);
}

static int attempt_call(struct scene *s, const struct attempt *a)
{
	struct pfa *p = s->rig.pfa;
	size_t nr = 77;
	int result;
	switch (a->by) {
	case BY_FREE: return pfa_free(p, a->pfn, a->order);
	case BY_BULK:
		result = pfa_free_bulk(p, a->order, 1, &a->pfn, &nr);
		if (nr)
			attempt_fail(s, a, "the bulk says that it freed something");
		return result;
	case BY_PTR: {
		uintptr_t pool = (uintptr_t)(a->pool ? a->pool : s->rig.pool);
		uintptr_t at = pool + ((a->pfn - s->rig.cfg.pool_pfn) << s->rig.cfg.frame_shift);
		return pfa_free_ptr(p, (void *)(at + a->in_frame), a->order);
	}
	case BY_RANGE: return pfa_free_range(p, a->pfn, a->nr_frames);
	case BY_CHECKED: return pfa_free_checked(p, &(struct pfa_handle){ a->pfn, a->generation, a->order });
	default: return pfa_split(p, a->pfn, a->order, a->new_order);
	}
}

/* "function: text (pfn N, order N)": the text is kept, and is the same each time. */
static void attempt_message(const struct scene *s, const struct attempt *a)
{
	enum column told_as = attempt_told_as(a);
	char *kept = messages[told_as][a->kind], text[200], tail[80];
	if (strcmp(s->rig.fault.function, column_names[told_as]) != 0)
		attempt_fail(s, a, "another function is named");
	snprintf(text, sizeof(text), "%s", s->rig.fault.message);
	snprintf(tail, sizeof(tail), " (pfn %zu, order %u)", s->rig.fault.pfn, s->rig.fault.order);
	char *cut = strstr(text, tail);
	if (!cut || strlen(cut) != strlen(tail))
		attempt_fail(s, a, "the message does not name the block");
	*cut = 0;
	if (!kept[0])
		strcpy(kept, text);
	if (strcmp(kept, text) != 0)
		attempt_fail(s, a, "two messages for one kind");
}

static void attempt(struct scene *s, const struct attempt *a)
{
	memset(&s->rig.fault, 0, offsetof(struct rig_fault, message) + 1);
	int result = attempt_call(s, a);
	if (result != PFA_EMISUSE)
		attempt_fail(s, a, pfa_error_name(result));
	if (s->rig.fault.nr != 1 || s->rig.fault.code != PFA_EMISUSE)
		attempt_fail(s, a, "not told once, as misuse");
	if (s->rig.fault.kind != a->kind)
		attempt_fail(s, a, "another kind");
	if (a->kind != PFA_FAULT_FOREIGN_POINTER && s->rig.fault.pfn != (a->by == BY_RANGE ? a->offender : a->pfn))
		attempt_fail(s, a, "another pfn is named");
	if (a->by != BY_RANGE && s->rig.fault.order != a->order)
		attempt_fail(s, a, "another order is named");
	attempt_message(s, a);
	const char *changed = scene_changed(s);
	if (changed[0])
		attempt_fail(s, a, changed);
	count[s->level][a->row][a->by]++;
}

/* ---- what is tried --------------------------------------------------------------------------------------------- */

static enum row row_of_place(const struct scene *s, pfa_pfn pfn)
{
	switch (scene_place(s, pfn)) {
	case PLACE_OUTSIDE: return ROW_OUTSIDE;
	case PLACE_HOLE: return ROW_HOLE;
	case PLACE_FRESH: return ROW_NEVER;
	case PLACE_FREE: return ROW_FREE;
	case PLACE_CACHED: return ROW_CACHED;
	case PLACE_QUARANTINED: return ROW_QUARANTINED;
	case PLACE_INSIDE: return ROW_TAIL;
	case PLACE_HELD: return ROW_HELD;
	case PLACE_OFFLINE: return ROW_OFFLINE;
	case PLACE_BAD: return ROW_BAD;
	case PLACE_GUARD: return ROW_GUARD;
	default: return ROWS;
	}
}

static enum row row_of(const struct scene *s, pfa_pfn pfn, unsigned order, enum pfa_fault_kind kind)
{
	if (kind == PFA_FAULT_ORDER_LIMIT)
		return ROW_ORDER_LIMIT;
	if (kind == PFA_FAULT_MISALIGNED)
		return ROW_MISALIGNED;
	if (kind == PFA_FAULT_WRONG_ORDER)
		return order < s->orders[pfn] ? ROW_SMALLER : ROW_LARGER;
	return row_of_place(s, pfn);
}

/* A handle that nobody was given: with the generation that the frame has now. Odd: that of a block that was freed. */
static void try_forged(struct scene *s, struct attempt *a)
{
	const struct pfa *p = s->rig.pfa;
	struct attempt forged = *a;
	forged.by = BY_CHECKED;
	forged.generation = 0;
	if (a->pfn - p->base < p->span)
		forged.generation = pfai_load_relaxed(&p->generations[a->pfn - p->base]);
	if ((forged.generation & 1) && a->kind != PFA_FAULT_ORDER_LIMIT) {
		forged.kind = PFA_FAULT_STALE_HANDLE;
		forged.row = ROW_STALE;
	}
	attempt(s, &forged);
}

/* The handle of the block's first grant, and those that look like it: nothing is freed by them, whoever has it now. */
static void try_stale(struct scene *s)
{
	struct attempt a = { .by = BY_CHECKED, .row = ROW_STALE, .kind = PFA_FAULT_STALE_HANDLE, .pfn = s->handle.pfn };
	const struct pfa *p = s->rig.pfa;
	const uint32_t current = pfai_load_relaxed(&p->generations[a.pfn - p->base]);
	for (unsigned i = 0; i < 32; i++) {
		a.generation = i ? s->handle.generation ^ 1u << i : s->handle.generation;
		for (a.order = 0; a.order <= s->geometry->max_order && a.generation != current; a.order++)
			attempt(s, &a);
	}
}

/* (pfn, order) through free, bulk, pointer and split, from each cpu where that matters. */
static void try_block(struct scene *s, pfa_pfn pfn, unsigned order)
{
	struct attempt a = { .pfn = pfn, .order = order, .kind = scene_judge(s, pfn, order) };
	if (a.kind == PFA_FAULT_NONE)
		return;
	a.row = row_of(s, pfn, order, a.kind);
	for (unsigned i = 0; i < (s->hooked ? 1 : 3); i++) { /* with hooks, the cpu comes after the claim */
		s->rig.cpu = i == 2 ? 9 : i;
		for (a.by = BY_FREE; a.by <= BY_BULK; a.by++)
			attempt(s, &a);
	}
	s->rig.cpu = 0;
	a.by = BY_SPLIT;
	for (unsigned i = 0; i < 3; i++) {
		a.new_order = order > s->geometry->max_order ? i : i * order / 2;
		if (i == 0 || a.new_order != (i - 1) * order / 2 || order > s->geometry->max_order)
			attempt(s, &a);
	}
	if (s->hooked)
		try_forged(s, &a);
	if (pfn >= 2u * FRAMES_LIMIT)
		return; /* no such address */
	a.by = BY_PTR;
	bool foreign = scene_place(s, pfn) == PLACE_OUTSIDE;
	if (foreign)
		a.kind = PFA_FAULT_FOREIGN_POINTER;
	attempt(s, &a);
	a.kind = PFA_FAULT_FOREIGN_POINTER;
	a.row = foreign ? ROW_OUTSIDE : ROW_IN_FRAME;
	for (a.in_frame = 1; !s->hooked && a.in_frame < 1u << s->rig.cfg.frame_shift; a.in_frame = 2 * a.in_frame + 1)
		attempt(s, &a);
}

static void try_range(struct scene *s, pfa_pfn first, size_t nr_frames)
{
	struct attempt a = { .by = BY_RANGE, .pfn = first, .nr_frames = nr_frames };
	a.kind = scene_judge_range(s, first, nr_frames, &a.offender);
	if (a.kind == PFA_FAULT_NONE)
		return;
	a.row = a.offender != first ? ROW_MIXED : row_of_place(s, first);
	if (a.row == ROWS)
		a.row = ROW_MIXED; /* the range ends inside the first block */
	attempt(s, &a);
}

static const unsigned beyond[] = { 31, 32, 33, 63, 64, 255, 256, 1u << 31, UINT32_MAX };
enum { NR_BEYOND = sizeof(beyond) / sizeof(beyond[0]) };

static void try_orders(struct scene *s, pfa_pfn pfn)
{
	for (unsigned order = 0; order <= s->geometry->max_order + 1; order++)
		try_block(s, pfn, order);
	for (unsigned i = 0; i < NR_BEYOND; i++)
		try_block(s, pfn, beyond[i]);
}

/* Every frame of a small block; of a large one the first, the last, and all around powers of two. */
static bool frame_matters(size_t at, size_t nr)
{
	size_t next = at + 1;
	return nr <= 16 || (at & (at - 1)) == 0 || at == nr - 1 || (next & (next - 1)) == 0;
}

static void try_around_block(struct scene *s)
{
	pfa_pfn block = s->block;
	size_t nr = (size_t)1 << s->order;
	for (size_t at = 0; at <= nr; at++) {
		if (!frame_matters(at, nr))
			continue;
		try_orders(s, block + at);
		for (size_t length = 1; length <= 2 * nr; length++)
			if (frame_matters(length, nr))
				try_range(s, block + at, length);
	}
	if (s->residence == AT_GUARDED) {
		try_orders(s, block - 1); /* the other one is at block + nr */
		for (size_t length = 1; length <= 2 * nr; length++)
			if (frame_matters(length, nr))
				try_range(s, block - 1, length);
	}
	if (s->residence == AT_OWNER || s->residence == AT_FRESH)
		for (size_t length = 1; length <= nr; length++)
			if (frame_matters(length, nr))
				try_range(s, block - length, length + nr); /* begins before it */
}

static void try_places(struct scene *s)
{
	const struct geometry *g = s->geometry;
	const pfa_pfn end[2] = { g->start[0] + g->nr_frames[0], g->start[1] + g->nr_frames[1] };
	const pfa_pfn hole_end = g->hole.first + g->hole.nr_frames;
	const pfa_pfn pfns[] = {
		0, 1, g->start[0] - 1, g->start[0] - 64, end[0], end[0] + 1, end[0] + 64, g->start[1] - 1, end[1], end[1] + 1,
		end[1] + 4096, FRAMES_LIMIT, (pfa_pfn)1 << 31, SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2 + 1,
		g->hole.first, g->hole.first + 1, hole_end - 1,
	};
	for (size_t i = 0; i < sizeof(pfns) / sizeof(pfns[0]); i++) {
		try_orders(s, pfns[i]);
		for (size_t length = 1; length < FRAMES_LIMIT && pfns[i] + length > pfns[i]; length = 2 * length + 1)
			try_range(s, pfns[i], length);
	}
	for (pfa_pfn at = g->hole.first; at < hole_end; at++)
		try_block(s, at, 0);
}

static void matrix_scene(const struct geometry *g, unsigned level, bool hooked, unsigned order, enum residence residence)
{
	static struct scene s;
	if (!scene_start(&s, g, level, hooked, order, residence))
		return;
	scene_keep(&s);
	try_around_block(&s);
	if (s.stale)
		try_stale(&s);
	if (residence == AT_FRESH || residence == AT_OWNER)
		try_places(&s);
	if (scene_pool_changed(&s))
		rig_fail(__FILE__, __LINE__, "the pool was written");
	if (rig_events(&s.rig).nr_corrupt)
		rig_fail(__FILE__, __LINE__, "corruption was counted");
	scene_stop(&s);
}

/* ---- two instances, two threads --------------------------------------------------------------------------------- */

/* What another instance granted: refused by number where this one has nothing there, and by address always. */
static void matrix_other_instance(const struct geometry *g, unsigned level, bool hooked, unsigned order)
{
	static struct scene s, other;
	for (unsigned i = 0; i < 2; i++) {
		MUST(scene_start(&s, g, level, hooked, order, i ? AT_OWNER : AT_FRESH));
		MUST(scene_start(&other, g, level, hooked, order, AT_OWNER));
		scene_keep(&s);
		scene_keep(&other);
		struct attempt a = { .row = ROW_OTHER, .pfn = g->block, .order = order, .offender = g->block,
		                     .nr_frames = (size_t)1 << order };
		for (a.by = BY_FREE; a.by < columns_of(hooked); a.by++) {
			a.kind = a.by == BY_PTR     ? PFA_FAULT_FOREIGN_POINTER
			         : a.by == BY_RANGE ? PFA_FAULT_MIXED_RANGE
			                            : PFA_FAULT_DOUBLE_FREE;
			a.pool = a.by == BY_PTR ? other.rig.pool : NULL;
			if (i == 0 || a.by == BY_PTR)
				attempt(&s, &a);
		}
		MUST_EQ(other.rig.fault.nr, 0);
		MUST(!scene_changed(&other)[0] && !scene_pool_changed(&other));
		scene_stop(&other);
		scene_stop(&s);
	}
}

/* The first free has claimed the block and has not given it back yet: every other one loses. */
static void race_second(struct scene *s)
{
	struct attempt a = { .row = ROW_RACE, .pfn = s->block, .offender = s->block,
	                     .nr_frames = (size_t)1 << s->order, .generation = s->handle.generation };
	scene_keep(s);
	for (a.by = BY_FREE; a.by < columns_of(s->hooked); a.by++) {
		a.kind = a.by == BY_RANGE     ? PFA_FAULT_MIXED_RANGE
		         : a.by == BY_CHECKED ? PFA_FAULT_STALE_HANDLE
		                              : PFA_FAULT_DOUBLE_FREE_RACE;
		for (a.order = 0; a.order <= s->geometry->max_order; a.order++)
			attempt(s, &a);
	}
	MUST(!scene_pool_changed(s));
}

/* It waits for the zone's lock. */
static void race_wait(struct scene *s, uint32_t *word)
{
	s->on_wait = NULL;
	race_second(s);
	*word = 0; /* whoever held the lock leaves */
}

static void matrix_race(const struct geometry *g, unsigned level, bool hooked, unsigned order)
{
	static struct scene s;
	for (enum column first = BY_FREE; first < columns_of(hooked); first++) {
		struct attempt a = { .by = first, .pfn = g->block, .order = order, .nr_frames = (size_t)1 << order };
		if (first == BY_SPLIT)
			continue; /* nothing of the outside is called while it is split */
		MUST(scene_start(&s, g, level, hooked, order, AT_OWNER_UNCACHED));
		a.generation = s.handle.generation;
		if (hooked) {
			s.on_freeing = race_second;
		} else {
			s.on_wait = race_wait;
			scene_lock_zone(&s);
		}
		size_t nr = 0;
		int result = first == BY_BULK ? pfa_free_bulk(s.rig.pfa, order, 1, &a.pfn, &nr) : attempt_call(&s, &a);
		MUST_EQ(result, PFA_OK);
		MUST(!s.on_wait && !s.on_freeing);
		scene_freed(&s);
		scene_stop(&s);
	}
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* What was told through different functions or for different kinds reads differently. */
static unsigned distinct_messages(void)
{
	const char *all[sizeof(messages) / sizeof(messages[0][0])];
	unsigned nr = 0;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *text = messages[i / PFA_FAULT_KINDS][i % PFA_FAULT_KINDS];
		for (unsigned k = 0; text[0] && k < nr; k++)
			if (strcmp(text, all[k]) == 0)
				rig_fail(__FILE__, __LINE__, "two kinds or functions say \"%s\"", text);
		if (text[0])
			all[nr++] = text;
	}
	return nr;
}

static void print_table(FILE *f)
{
	unsigned long all = 0;
	fprintf(f, "%-26s", "refused, nothing changed");
	for (unsigned by = 0; by < COLUMNS; by++)
		fprintf(f, "%17s", column_names[by]);
	fputs("   by level\n", f);
	for (unsigned row = 0; row < ROWS; row++) {
		unsigned long levels[4] = {0};
		fprintf(f, "%-26s", row_names[row]);
		for (unsigned by = 0; by < COLUMNS; by++) {
			unsigned long sum = 0;
			for (unsigned level = 1; level <= PFA_HARDENING; level++) {
				sum += count[level][row][by];
				levels[level] += count[level][row][by];
			}
			all += sum;
			fprintf(f, "%17lu", sum);
		}
		fprintf(f, "   %lu / %lu / %lu\n", levels[1], levels[2], levels[3]);
		for (unsigned level = 1; level <= PFA_HARDENING; level++)
			if (!levels[level] && (row != ROW_GUARD || level == 3)) /* of level 3 only */
				rig_fail(__FILE__, __LINE__, "nothing was tried: %s at level %u", row_names[row], level);
	}
	fprintf(f, "%lu of %lu refused, %u messages\n", all, all, distinct_messages());
}


static int matrix_usage(const char *program, FILE *f, int code)
{
	fprintf(f,
	        "usage: %s [--cpu=op|none|offset] [--table FILE] [--help]\n"
	        "Tries every misuse in every place and prints (and writes to FILE) how many were refused; exit code 1 at the first\n"
	        "that was not.\n",
	        program);
	return code;
}

int main(int argc, char **argv)
{
	const char *table = NULL;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return matrix_usage(argv[0], stdout, 0);
		if (strcmp(argv[i], "--table") == 0 && i + 1 < argc) {
			table = argv[++i];
			continue;
		}
		if (strcmp(argv[i], "--prot-none") == 0 || !rig_option(argv[i]))
			return matrix_usage(argv[0], stderr, 2);
	}
	for (unsigned level = 1; level <= PFA_HARDENING; level++) {
		for (unsigned i = 0; i < GEOMETRIES; i++) {
			const struct geometry *g = &geometries[i];
			for (unsigned order = 0; order <= g->max_order; order++) {
				for (unsigned hooked = 0; hooked < 2; hooked++) {
					for (unsigned at = 0; at < RESIDENCES; at++)
						matrix_scene(g, level, hooked, order, (enum residence)at);
					matrix_other_instance(g, level, hooked, order);
					matrix_race(g, level, hooked, order);
				}
			}
		}
	}
	print_table(stdout);
	FILE *f = table ? fopen(table, "w") : NULL;
	if (f) {
		print_table(f);
		fclose(f);
	}
	return table && !f ? 2 : 0;
}
