/* SPDX-License-Identifier: MIT
 *
 * write.c - a path as a program of the operation language. Programs name blocks by the operation that granted them, so the path
 * is carried out once more, and each block's name is followed.
 */
#include "exhaust.h"

#include <string.h>

struct writer {
	struct ex_machine *m;
	struct program *p;
	bool full;
	unsigned cpu;
	unsigned says[2], does[2];        /* of isolate() and migrate(), as the owner's script is */
	unsigned device;                  /* as the device's is */
	uint16_t op_of[EX_SPAN_MAX];      /* the operation that the block's handle is of, */
	uint16_t place[EX_SPAN_MAX];      /* and after which others in its list it comes */
	uint16_t slot[EX_EVENTS_MAX];     /* movable blocks as the model counts them: where; EX_SPAN_MAX: none */
};

static unsigned put(struct writer *w, unsigned kind, uint16_t ref, const uint64_t arg[PROG_ARGS_MAX])
{
	struct prog_op *op = &w->p->ops[w->p->nr_ops];

	if (w->p->nr_ops == PROG_OPS_MAX) {
		w->full = true;
		return 0;
	}
	*op = (struct prog_op){ .kind = (uint8_t)kind, .ref = ref };
	memcpy(op->arg, arg, sizeof(op->arg));
	return w->p->nr_ops++;
}
#define PUT(w, kind, ref, ...) put(w, kind, (uint16_t)(ref), (const uint64_t[PROG_ARGS_MAX]){ __VA_ARGS__ })

/* What the owner says from now on, if it is not what it said before. */
static void put_answer(struct writer *w, unsigned answer)
{
	const unsigned says[2] = { answer == EX_ISOLATE_BUSY ? 2 : answer == EX_ISOLATE_AGAIN ? 1 : 0,
		                   answer == EX_MIGRATE_BUSY ? 2 : answer == EX_MIGRATE_AGAIN ? 1 : 0 };
	const unsigned does[2] = { answer == EX_ISOLATE_FREES, answer == EX_MIGRATE_FREES };

	for (unsigned op = 0; op < 2; op++) {
		if (says[op] != w->says[op])
			PUT(w, OP_OWNER_SAYS, PROG_NO_REF, 0, op, says[op], 0);
		if (does[op] != w->does[op])
			PUT(w, OP_OWNER_DOES, PROG_NO_REF, 0, op, does[op], 0);
		w->says[op] = says[op];
		w->does[op] = does[op];
	}
}

static void put_device(struct writer *w, unsigned device)
{
	static const struct {
		unsigned says, count, does;
	} scripts[EX_DEVICES] = { [EX_DEVICE_OK] = { 0, 15, 0 }, [EX_DEVICE_FAILS] = { 1, 15, 0 }, [EX_DEVICE_FIRST] = { 0, 1, 0 },
		                  [EX_DEVICE_LIES] = { 0, 14, 0 }, [EX_DEVICE_TAKES] = { 0, 15, 10 } };

	if (device != w->device)
		PUT(w, OP_DEVICE_SAYS, PROG_NO_REF, scripts[device].says, scripts[device].count, 0, scripts[device].does);
	w->device = device;
}

/* Is this the first frame of a block of the handle that frame at's block is of? Runs are of single frames. */
static bool same_handle(const struct writer *w, unsigned at, unsigned i)
{
	const uint8_t frame = w->m->w.frame[i];

	return (ex_is_run(frame) || (frame & (EX_HEAD | EX_OWNED)) == EX_HEAD) && w->op_of[i] == w->op_of[at];
}

static void put_of_block(struct writer *w, struct ex_op op)
{
	unsigned before = 0, nr = 0;

	for (unsigned i = 0; i < w->m->span; i++) {
		nr += same_handle(w, op.at, i);
		before += same_handle(w, op.at, i) && w->place[i] < w->place[op.at];
	}
	if (op.kind == EX_CMA_RELEASE)
		PUT(w, OP_CMA_RELEASE, w->op_of[op.at], 0, before, op.nr);
	else if (op.kind == EX_SPLIT)
		PUT(w, OP_SPLIT, w->op_of[op.at], 0, before, op.nr);
	else if (nr == 1)
		PUT(w, OP_FREE, w->op_of[op.at], 0);
	else
		PUT(w, OP_FREE_PART, w->op_of[op.at], 0, before, 1);
}

/* The number of a movable block among all. */
static unsigned nth_movable(const struct writer *w, unsigned at)
{
	unsigned n = 0, slot = 0;

	for (; slot < EX_EVENTS_MAX && w->slot[slot] != at; slot++)
		n += w->slot[slot] != EX_SPAN_MAX;
	return n;
}

/* Those of the device, and what its model has another operation for. False: it is none of them. */
static bool put_report(struct writer *w, struct ex_op op)
{
	const struct ex_machine *m = w->m;

	if (!m->alphabet.report)
		return false;
	if (op.kind >= EX_SERVICE && op.kind <= EX_FLUSH)
		put_device(w, op.arg);
	switch (op.kind) {
	case EX_ISOLATE: PUT(w, OP_DEVICE_HOLD, PROG_NO_REF, (unsigned)op.at >> m->p->config.pageblock_order, 0); break;
	case EX_UNDO: PUT(w, OP_DEVICE_HOLD, PROG_NO_REF, 0, 1); break;
	case EX_STEP: PUT(w, OP_SERVICE, PROG_NO_REF, m->p->config.cpus); break; /* one more than that */
	case EX_FLUSH: PUT(w, OP_DEVICE_FLUSH, PROG_NO_REF, 0); break;
	case EX_REGISTER: PUT(w, OP_DEVICE_REGISTER, PROG_NO_REF, op.nr, 2, 3u << 2, 0); break;
	case EX_UNREGISTER: PUT(w, OP_DEVICE_UNREGISTER, PROG_NO_REF, 0); break;
	case EX_SUSPEND: PUT(w, OP_DEVICE_SUSPEND, PROG_NO_REF, 0); break;
	case EX_RESUME: PUT(w, OP_DEVICE_RESUME, PROG_NO_REF, 0); break;
	default: return false;
	}
	return true;
}

static void put_op(struct writer *w, struct ex_op op)
{
	const struct ex_machine *m = w->m;
	const uint64_t pb = (m->base + op.at) >> m->p->config.pageblock_order, low = m->base >> m->p->config.pageblock_order;
	unsigned hold = 0, older = 0;

	if (op.cpu != w->cpu)
		PUT(w, OP_SET_CPU, PROG_NO_REF, op.cpu);
	w->cpu = op.cpu;
	if (m->owner && ((op.kind >= EX_ISOLATE && op.kind <= EX_COMPACT && op.kind != EX_UNDO) || op.kind == EX_CMA_ALLOC))
		put_answer(w, op.arg);
	if (put_report(w, op))
		return;
	switch (op.kind) {
	case EX_ALLOC: PUT(w, OP_ALLOC, PROG_NO_REF, op.nr, op.arg & 3u, (unsigned)op.arg >> 2 & 3u); break;
	case EX_FREE:
		if (m->w.frame[op.at] & EX_OWNED)
			PUT(w, OP_MOVABLE_FREE, PROG_NO_REF, nth_movable(w, op.at));
		else
			put_of_block(w, op);
		break;
	case EX_SPLIT: case EX_CMA_RELEASE: put_of_block(w, op); break;
	case EX_CMA_ALLOC: PUT(w, OP_CMA_ALLOC, PROG_NO_REF, 0, ex_area_unit(m), 0, op.nr); break;
	case EX_DRAIN: PUT(w, OP_CACHE_DRAIN, PROG_NO_REF, PROG_CPU_ALL); break;
	case EX_DISABLE: PUT(w, OP_CACHE_DISABLE, PROG_NO_REF, 0); break;
	case EX_ENABLE: PUT(w, OP_CACHE_ENABLE, PROG_NO_REF, 0); break;
	case EX_ISOLATE: PUT(w, OP_ISOLATE_RANGE, PROG_NO_REF, pb - (low ? low - 1 : 0), op.nr, 0, 0); break;
	case EX_UNDO:
		while (m->w.hold[hold].start != op.at)
			hold++;
		for (unsigned i = 0; i < m->w.nr_holds; i++) /* tokens count upwards */
			older += m->w.hold[i].token < m->w.hold[hold].token;
		PUT(w, OP_UNDO_HOLD, PROG_NO_REF, older, 0);
		break;
	case EX_CONTIG:
		PUT(w, OP_WINDOW, PROG_NO_REF, m->base + op.at, op.nr);
		PUT(w, OP_CONTIG_WINDOW, PROG_NO_REF, 0);
		break;
	case EX_MIGRATE: PUT(w, OP_MIGRATE, PROG_NO_REF, nth_movable(w, op.at), 0, PFA_MIGRATE_SYNC, PFA_MOVABLE); break;
	case EX_COMPACT: PUT(w, OP_COMPACT, PROG_NO_REF, 7, 63, PFA_MIGRATE_SYNC, 0); break;
	default:
		PUT(w, OP_CLOCK_ADVANCE, PROG_NO_REF, PFA_SERVICE_IDLE_NS);
		PUT(w, OP_SERVICE, PROG_NO_REF, 64);
	}
}

/* The last operation was carried out: names of what there is now. */
static void follow(struct writer *w, struct ex_op op, const struct ex_world *before)
{
	const struct ex_machine *m = w->m;
	const uint16_t last = (uint16_t)(w->p->nr_ops - 1);
	unsigned slot;

	for (unsigned i = 0; i < m->nr_events; i++)
		for (slot = 0; slot < EX_EVENTS_MAX; slot++)
			if (w->slot[slot] == m->event[i].from) {
				w->slot[slot] = m->event[i].to;
				break;
			}
	if ((op.kind == EX_ALLOC || op.kind == EX_CONTIG || op.kind == EX_CMA_ALLOC) && m->granted != EX_SPAN_MAX)
		for (unsigned i = 0; i < (op.kind == EX_ALLOC ? 1 : op.nr); i++) {
			w->op_of[m->granted + i] = last;
			w->place[m->granted + i] = (uint16_t)(EX_SPAN_MAX + m->granted + i);
		}
	if (op.kind == EX_ALLOC && m->granted != EX_SPAN_MAX && m->w.frame[m->granted] & EX_OWNED) {
		PUT(w, OP_MOVABLE_SET, last, 0, 0, 0);
		for (slot = 0; slot < EX_EVENTS_MAX - 1 && w->slot[slot] != EX_SPAN_MAX; slot++)
			;
		w->slot[slot] = (uint16_t)m->granted;
	}
	/* the pieces take the block's place */
	for (unsigned i = 1; op.kind == EX_SPLIT && i < 1u << (before->frame[op.at] & EX_ORDER); i++) {
		w->op_of[op.at + i] = w->op_of[op.at];
		w->place[op.at + i] = (uint16_t)(w->place[op.at] + i);
	}
}

struct exec_options ex_model_options(const struct ex_machine *m)
{
	return (struct exec_options){ .stop_before = SIZE_MAX, .real = m->alphabet.report != 0, .tells = m->alphabet.report ? EXEC_TELLS : EXEC_SILENT };
}

bool ex_write(struct ex_machine *m, const void *root, const struct ex_op path[], unsigned nr, bool crashes, struct program *out)
{
	static struct writer w;
	static struct ex_world before;

	w = (struct writer){ .m = m, .p = out };
	for (unsigned slot = 0; slot < EX_EVENTS_MAX; slot++)
		w.slot[slot] = EX_SPAN_MAX;
	/* an operation is 32 bytes, and most programs are short: what is not used is not copied */
	memcpy(out->target, m->alphabet.report ? "report" : "core\0\0", sizeof("report"));
	out->config = m->p->config;
	out->nr_ops = m->p->nr_ops;
	out->nr_schedule = 0;
	memcpy(out->ops, m->p->ops, m->p->nr_ops * sizeof(out->ops[0]));
	ex_restore(m, root);
	if (m->alphabet.report) {
		PUT(&w, OP_DEVICE_SAYS, PROG_NO_REF, 0, 15, 0, 0); /* else some operations would be made up */
		PUT(&w, OP_CLOCK_ADVANCE, PROG_NO_REF, PFA_SERVICE_IDLE_NS); /* as here */
	}
	for (unsigned i = 0; i < nr && !w.full; i++) {
		put_op(&w, path[i]);
		if (i + 1 == nr && crashes)
			break;
		before = m->w;
		(void)ex_apply(m, path[i]);
		follow(&w, path[i], &before);
	}
	return !w.full;
}
