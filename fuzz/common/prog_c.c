/* SPDX-License-Identifier: MIT
 *
 * prog_c.c - a program as a stand-alone C program against the public API.
 */
#include "prog_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *const runtime[] = {
#include "to_c_runtime_text.h"
#include "to_c_harden_text.h"
	NULL
};

/*
 * What an operation becomes: %y the handle that it yields, %h the one that it uses, %f flags and zone, %0 .. %3 an
 * argument. The functions are those of to_c_runtime.h and to_c_harden.h.
 */
static const char *const calls[OP_KINDS] = {
	[OP_ALLOC] = "alloc(%y, %0, %f)",
	[OP_FREE] = "free_blocks(%h, 0, SIZE_MAX, 0)",
	[OP_ALLOC_BULK] = "alloc_bulk(%y, %0, %f, %1)",
	[OP_FREE_BULK] = "free_bulk(%h)",
	[OP_ALLOC_EXACT] = "alloc_exact(%y, %0, %1, %f)",
	[OP_FREE_RANGE] = "free_ranges(%h, 0, SIZE_MAX)",
	[OP_FREE_PART] = "free_blocks(%h, %1, %2, 0)",
	[OP_FREE_RANGE_PART] = "free_ranges(%h, %1, %2)",
	[OP_SPLIT] = "split(%h, %1, %2)",
	[OP_WINDOW] = "set_window(%0, %1)",
	[OP_WINDOW_DEAD] = "if (had(%h)) window_near(%h, %1, %2)",
	[OP_ALLOC_WINDOW] = "alloc_window(%y, %0, %f)",
	[OP_ALLOC_PTR] = "alloc_ptr(%y, %0, %f)",
	[OP_FREE_PTR] = "free_blocks(%h, 0, SIZE_MAX, 1)",
	[OP_PTR_OF] = "ptr_of(%0, %1)",
	[OP_LARGEST_FREE] = "largest_free(%f)",
	[OP_WOULD_SUCCEED] = "CALL(pfa_would_succeed(pfa, %0, %f))",
	[OP_CACHE_DRAIN] = "CALL(pfa_cache_drain(pfa, %0))",
	[OP_CACHE_PURGE] = "CALL(pfa_cache_purge(pfa, %0))",
	[OP_PURGE_DEAD] = "if (had(%h)) CALL(pfa_cache_purge(pfa, (%h)->first.pfn + ((pfa_pfn)%1 << (%h)->first.order) / 64))",
	[OP_CACHE_DISABLE] = "CALL(pfa_cache_disable(pfa))",
	[OP_CACHE_ENABLE] = "CALL(pfa_cache_enable(pfa))",
	[OP_SET_CPU] = "cpu_of[thread] = %0; CALL(PFA_OK)",
	[OP_SERVICE] = "service(%0)",
	[OP_CLOCK_ADVANCE] = "now += %0; CALL(PFA_OK)",
	[OP_FILL] = "content(%h, %1)",
	[OP_VERIFY] = "content(%h, -1)",
	[OP_FAULT] = "fail_site(%0, %1, %2)",
	[OP_FINI] = "fini()",
	[OP_CHECK] = "check(%0)",
	[OP_CHECK_RANGE] = "check_range(%0, %1, PFA_CHECK_QUIESCENT | PFA_CHECK_FRAMES)",
	[OP_STATS] = "stats(%0, sizeof(struct pfa_stats), sizeof(struct pfa_zone_stats))",
	[OP_PRINT] = "CALL(pfa_print(pfa, (enum pfa_print_what)%0, print_bytes, %1 ? &cfg : NULL))",
	[OP_FRAME_INFO] = "frame_info(%0)",
	[OP_PAGEBLOCK_INFO] = "pageblock_info(%0)",
	[OP_NAMES] = "printf(\"    # %s, %s\\n\", pfa_error_name(-%0), pfa_config_problem_text((enum pfa_config_problem)%0)); "
	             "CALL(PFA_OK)",
	[OP_REGIONS] = "pfa_debug_regions(pfa, region, NULL); CALL(PFA_OK)",
	[OP_ON_UNLOCK] = "pfa_debug_on_unlock(pfa, %0 ? on_unlock : NULL, &unlocks); CALL(PFA_OK)",
	[OP_FREE_WRONG_ORDER] = "if ((%h)->nr) bad_free(block_of(%h, %1)->pfn, %2)",
	[OP_FREE_PFN] = "bad_free(%0, %1)",
	[OP_DOUBLE_FREE] = "if (had(%h)) bad_free((%h)->first.pfn, (%h)->first.order)",
	[OP_FREE_TAIL] = "free_tail(%h, %1, %2, %3)",
	[OP_FREE_FAR] = "bad_free(far_pfn(%0), %1)",
	[OP_FREE_BULK_BAD] = "bad_bulk(%h, %1)",
	[OP_FREE_RANGE_RAW] = "clipped_range(%0, %1)",
	[OP_FREE_RANGE_OFF] = "range_off(%h, %1, %2)",
	[OP_FREE_RANGE_FAR] = "bad_range(far_pfn(%0), %1)",
	[OP_SPLIT_BAD] = "if ((%h)->nr) bad_split(block_of(%h, %1)->pfn, %2, %3)",
	[OP_SPLIT_PFN] = "bad_split(%0, %1, 0)",
	[OP_SPLIT_DEAD] = "if (had(%h)) bad_split((%h)->first.pfn, (%h)->first.order, 0)",
	[OP_FREE_PTR_INSIDE] = "free_ptr_inside(%h, %1)",
	[OP_FREE_PTR_FOREIGN] = "CALL(pfa_free_ptr(pfa, foreign_ptr(%0), %1))",
	[OP_PFN_OF_FOREIGN] = "CALL(pfa_pfn_of(pfa, foreign_ptr(%0), &out.pfn))",
	[OP_PTR_FAR] = "bad_views(far_pfn(%0))",
	[OP_ALLOC_RAW] = "bad_request(%0, %1u | 1u << %2 | PFA_ZONE(%3))",
	[OP_EXACT_RAW] = "bad_exact(%0, %1)",
	[OP_WINDOW_RAW] = "bad_window(far_pfn(%0), %1, %2)",
	[OP_CHECK_RAW] = "bad_check(%0)",
	[OP_PRINT_RAW] = "if (%0 >= PFA_PRINT_WHATS) CALL(pfa_print(pfa, (enum pfa_print_what)(%0 == 255 ? 0 : %0), %0 == 255 ? NULL : "
	                 "print_bytes, NULL))",
	[OP_STATS_RAW] = "stats(%0, %1, %1)",
	[OP_SERVICE_RAW] = "CALL(pfa_service(pfa, 0, NULL))",
	[OP_MARK_BAD] = "CALL(pfa_mark_bad(pfa, %0))",
	[OP_MARK_BAD_OF] = "mark_bad_of(%h, %1, %2)",
	[OP_MARK_BAD_FAR] = "CALL(pfa_mark_bad(pfa, far_pfn(%0)))",
	[OP_ALLOC_CHECKED] = "alloc_checked(%y, %0, %f)",
	[OP_ALLOC_GUARDED] = "alloc(%y, %0, %f | PFA_GUARD)",
	[OP_HANDLE_OF] = "handle_of(%h, %1)",
	[OP_FREE_CHECKED] = "free_checked(%h)",
	[OP_POKE] = "poke(%h, %1)",
	[OP_FREE_STALE] = "free_stale(%h)",
	[OP_FREE_FORGED] = "free_forged(%h, %1, %2, %3)",
	[OP_HANDLE_OF_PFN] = "handle_of_pfn(%0, %1)",
	[OP_HISTORY] = "history(%0, %1)",
	[OP_HISTORY_FAR] = "history(far_pfn(%0), 1)",
	[OP_REPAIR] = "repair(%0, %1)",
	[OP_TRACE] = "trace(%0, %1)",
	/* owners are programs of their own */
	[OP_OWNER_CREATE] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_OWNER_DESTROY] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_OWNER_SAYS] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_OWNER_DOES] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_SET] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_SET_ALL] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_CLEAR] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_FREE] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_PIN] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_UNPIN] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_PAGE_LOCK] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_PAGE_TRYLOCK] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_PAGE_UNLOCK] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_INFO] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MIGRATE] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MIGRATE_TO] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MIGRATE_RAW] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_PFN] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_FAR] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MIGRATE_LIST] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_COMPACT] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_MOVABLE_CUT] = "/* an owner scripted by fuzz/common/exec_owner.c: see pfa-trace explain */",
	[OP_ISOLATE_RANGE] = "/* holds and ranges: see pfa-trace explain */",
	[OP_UNDO_ISOLATE] = "/* holds and ranges: see pfa-trace explain */",
	[OP_UNDO_HOLD] = "/* holds and ranges: see pfa-trace explain */",
	[OP_TEST_ISOLATED] = "/* holds and ranges: see pfa-trace explain */",
	[OP_CONTIG_RANGE] = "/* holds and ranges: see pfa-trace explain */",
	[OP_CONTIG_WINDOW] = "/* holds and ranges: see pfa-trace explain */",
	[OP_ALLOC_CONTIG] = "/* holds and ranges: see pfa-trace explain */",
	[OP_FREE_CONTIG] = "/* holds and ranges: see pfa-trace explain */",
	[OP_FREE_CONTIG_RAW] = "/* holds and ranges: see pfa-trace explain */",
	[OP_CONTIG_RAW] = "/* holds and ranges: see pfa-trace explain */",
	[OP_OFFLINE_RANGE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_ONLINE_RANGE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_ADD_RANGE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_REMOVE_RANGE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_CREATE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_DESTROY] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_FIND] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_ALLOC] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_RELEASE] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_RELEASE_RAW] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_CMA_STATS] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_PLUG_RAW] = "/* memory that comes and goes, and CMA: see pfa-trace explain */",
	[OP_DEVICE_REGISTER] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_UNREGISTER] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_SUSPEND] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_RESUME] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_FLUSH] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_SAYS] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_SETTLE] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_DEVICE_HOLD] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_WALK] = "/* a device, or a walk: see pfa-trace explain */",
	[OP_BALLOON_CREATE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_BALLOON_DESTROY] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_INFLATE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_DEFLATE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_PRESSURE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_DEVICE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_ZSTORE_CREATE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_ZSTORE_DESTROY] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_Z_PUT] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_Z_GET] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_Z_DELETE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_Z_REPLACE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_Z_DEAD] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_MAPPED_CREATE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_MAPPED_DESTROY] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_ALLOC] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_FREE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_WRITE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_READ] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_PIN] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_UNPIN] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_MOVE] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_M_BATCH] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_MOVE_BLOCK] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_HOOK] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_HOG] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_UNHOG] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_KERNEL] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_LOOK] = "/* an owner of lib/owners: see pfa-trace explain */",
	[OP_START] = "/* for several threads: see pfa-trace sched */",
	[OP_BARRIER] = "/* for several threads: see pfa-trace sched */",
	[OP_JOIN] = "/* for several threads: see pfa-trace sched */",
	[OP_FREE_RACE] = "/* for several threads: see pfa-trace sched */",
	[OP_SPLIT_RACE] = "/* for several threads: see pfa-trace sched */",
	[OP_FREE_CHECKED_RACE] = "/* for several threads: see pfa-trace sched */",
	[OP_ISOLATE] = "/* for several threads: see pfa-trace sched */",
	[OP_CONTIG] = "/* for several threads: see pfa-trace sched */",
	[OP_INIT_RAW] = "/* a second, spoilt instance: see pfa-trace explain */",
};

static void put_flags(FILE *f, uint32_t flags)
{
	static const char *const types[] = { "PFA_UNMOVABLE", "PFA_MOVABLE", "PFA_RECLAIMABLE" };
	static const char *const bits[] = { "ZERO", "NOWAIT", "HIGH", "COMPACT", "NORETRY", "EXACT_ZONE" };

	fputs(types[flags & 3], f);
	for (unsigned i = 0; i < 6; i++)
		if (flags >> (3 + i) & 1)
			fprintf(f, " | PFA_%s", bits[i]);
	if (flags >> 24)
		fprintf(f, " | PFA_ZONE(%u)", (unsigned)(flags >> 24));
}

static void put_arg(FILE *f, const struct prog_arg_info *arg, uint64_t value)
{
	if (arg->kind == PROG_ARG_RUN && value == PROG_RUN_ALL)
		fputs("SIZE_MAX", f);
	else if (arg->kind == PROG_ARG_CPU && value == PROG_CPU_ALL)
		fputs("PFA_ALL_CPUS", f);
	else if (value > INT32_MAX)
		fprintf(f, "UINT64_C(%" PRIu64 ")", value);
	else
		fprintf(f, "%" PRIu64, value);
}

static void put_call(FILE *f, const struct prog_op *op, unsigned yields, unsigned uses)
{
	const struct prog_kind_info *k = prog_kind(op->kind);
	uint64_t flags = 0, zone = 0;

	for (unsigned i = 0; i < k->nr_args; i++) {
		if (k->args[i].kind == PROG_ARG_FLAGS)
			flags = op->arg[i];
		if (k->args[i].kind == PROG_ARG_ZONE)
			zone = op->arg[i];
	}
	for (const char *c = calls[op->kind]; *c; c++) {
		if (*c != '%' || !strchr("yhf0123", c[1])) {
			fputc(*c, f);
			continue;
		}
		c++;
		if (*c == 'y')
			fprintf(f, "&handles[%u]", yields);
		else if (*c == 'h')
			fprintf(f, "&handles[%u]", uses);
		else if (*c == 'f')
			put_flags(f, prog_flags(flags, zone));
		else
			put_arg(f, &k->args[*c - '0'], op->arg[*c - '0']);
	}
}

static void put_runs(FILE *f, const char *name, unsigned zone, const struct prog_run *runs, unsigned nr)
{
	fprintf(f, "static const struct pfa_run zone%u_%s[] = {", zone, name);
	for (unsigned i = 0; i < nr; i++)
		fprintf(f, " { %" PRIu32 ", %" PRIu32 " },", runs[i].start, runs[i].nr);
	fprintf(f, " };\n");
}

/* The holes of a zone, with the one that config huge=1 stands for. */
static unsigned holes_of(const struct prog_config *c, unsigned zone, struct prog_run out[PROG_HOLES_MAX + 1])
{
	const struct prog_zone *z = &c->zones[zone];
	unsigned nr = z->nr_holes;

	memcpy(out, z->holes, nr * sizeof(out[0]));
	if (c->huge && z->start + z->nr == prog_span_end(c))
		out[nr++] = (struct prog_run){ z->start + z->nr, PROG_HUGE_HOLE };
	return nr;
}

static void put_zones(FILE *f, const struct prog_config *c)
{
	for (unsigned i = 0; i < c->nr_zones; i++) {
		struct prog_run holes[PROG_HOLES_MAX + 1];
		const unsigned nr = holes_of(c, i, holes);

		if (nr)
			put_runs(f, "holes", i, holes, nr);
		if (c->zones[i].cma.nr)
			put_runs(f, "cma", i, &c->zones[i].cma, 1);
	}
	fprintf(f, "\nstatic const struct pfa_zone_config zones[] = {\n");
	for (unsigned i = 0; i < c->nr_zones; i++) {
		const struct prog_zone *z = &c->zones[i];
		struct prog_run holes[PROG_HOLES_MAX + 1];
		const unsigned nr = holes_of(c, i, holes);

		fprintf(f, "\t{ .size = sizeof(struct pfa_zone_config), .start = %" PRIu32 ", .nr_frames = %" PRIu32, z->start,
		        nr > z->nr_holes ? z->nr + PROG_HUGE_HOLE + PROG_HUGE_TAIL : z->nr);
		if (nr)
			fprintf(f, ",\n\t  .holes = zone%u_holes, .nr_holes = %u", i, nr);
		if (z->cma.nr)
			fprintf(f, ",\n\t  .cma = zone%u_cma, .nr_cma = 1", i);
		fprintf(f, ",\n\t  .mark_min = %" PRIu32 ", .mark_low = %" PRIu32 ", .mark_high = %" PRIu32
		           ", .highatomic_frames = %" PRIu32 " },\n", z->mark_min, z->mark_low, z->mark_high, z->highatomic);
	}
	fprintf(f, "};\n\n");
}

static void put_setup(FILE *f, const struct prog_config *c)
{
	static const char *const poisons[PROG_POISONS] = { "PFA_POISON_NONE", "PFA_POISON_LINES", "PFA_POISON_ALL",
		                                            "PFA_POISON_ZERO" };

	fprintf(f, "\tstatic struct pfa_platform platform = {\n"
	           "\t\t.size = sizeof(struct pfa_platform), %s.self = platform_self,\n"
	           "\t\t.now_ns = platform_now, .fatal = platform_fatal,\n\t};\n\n",
	        c->cpu_way == PROG_CPU_NONE ? "" : ".cpu = platform_cpu, ");
	fprintf(f, "\tpfa_config_init(&cfg);\n\tcfg.platform = &platform;\n\tcfg.zones = zones;\n\tcfg.nr_zones = %u;\n",
	        c->nr_zones);
	fprintf(f, "\tcfg.flags = %s%s%s%s0;\n", c->generations ? "PFA_CONFIG_GENERATIONS | " : "", c->zeroed_meta ? "PFA_CONFIG_ZEROED_META | " : "",
	        c->zeroed_pool ? "PFA_CONFIG_ZEROED_POOL | " : "", c->track_zero ? "PFA_CONFIG_TRACK_ZERO | " : "");
	fprintf(f, "\tcfg.frame_shift = %u;\n\tcfg.pageblock_order = %u;\n\tcfg.nr_cpus = %u;\n", c->frame_shift,
	        c->pageblock_order, c->cpus);
	fprintf(f, c->max_order ? "\tcfg.max_order = %u;\n" : "\tcfg.max_order = PFA_EXPLICIT_0;\n", c->max_order);
	if (c->cpu_way == PROG_CPU_OFFSET)
		fprintf(f, "\tcfg.cpu_offset = cpu_offset();\n");
	if (c->cache_high)
		fprintf(f, c->cache_high == PROG_CACHE_NONE ? "\tcfg.cache_high = PFA_EXPLICIT_0;\n" :
		        "\tcfg.cache_high = %u;\n", c->cache_high);
	if (c->cache_batch)
		fprintf(f, "\tcfg.cache_batch = %u;\n", c->cache_batch);
	if (c->cache_max_order)
		fprintf(f, c->cache_max_order == PROG_CACHE_ORDER_0 ? "\tcfg.cache_max_order = PFA_EXPLICIT_0;\n" :
		        "\tcfg.cache_max_order = %u;\n", c->cache_max_order);
	if (c->hardening)
		fprintf(f, "\tcfg.hardening = %u;\n", c->hardening);
	if (c->hardening == 3 && c->quarantine != PROG_QUARANTINE_DEFAULT)
		fprintf(f, c->quarantine ? "\tcfg.quarantine = %u;\n" : "\tcfg.quarantine = PFA_EXPLICIT_0;\n", c->quarantine);
	fprintf(f, "\tcfg.poison = %s;\n", poisons[c->poison]);
	if (c->owners)
		fprintf(f, "\tcfg.max_owners = %u;\n", c->owners);
	if (c->history)
		fprintf(f, "\tcfg.history = %u;\n\tplatform.tag = platform_tag;\n", c->history);
	if (c->traces)
		fprintf(f, "\tcfg.nr_traces = %u;\n\tcfg.trace_shift = %u;\n\tplatform.backtrace = platform_backtrace;\n",
		        prog_nr_traces(c->traces), prog_trace_shift(c->traces));
	fprintf(f, "\tcfg.fatal_policy = %s;\n\tcfg.seed = %u;\n",
	        c->abort_policy ? "PFA_FATAL_ABORT" : "PFA_FATAL_REPORT", c->seed);
	fprintf(f, "\tspan_first = %" PRIu32 "u;\n\tspan_end = %" PRIu32 "u;\n", prog_span_start(c), prog_span_end(c));
	fprintf(f, "\tpool_frames = %" PRIu32 "u;\n",
	        prog_span_end(c) - prog_span_start(c) + (c->huge ? PROG_HUGE_HOLE + PROG_HUGE_TAIL : 0));
	fprintf(f, "\tsetup(&platform, %d, %u);\n\n", (int)(c->pool == PROG_POOL_CONTENT ? 0 : c->pool), c->seed & 1);
}

void prog_to_c(const struct program *p, const char *origin, FILE *out)
{
	uint16_t handle[PROG_OPS_MAX];
	unsigned nr_handles = 0;
	char text[256];

	for (unsigned i = 0; i < p->nr_ops; i++)
		handle[i] = (uint16_t)(prog_kind(p->ops[i].kind)->yields ? nr_handles++ : 0);
	fprintf(out, "/* Made by pfa-trace to-c from %s.\n", origin);
	fprintf(out, " * Build: cc -o repro repro.c $(pkg-config --cflags --libs pfa) */\n#define NR_HANDLES %u\n", nr_handles);
	for (unsigned i = 0; runtime[i]; i++)
		fputs(runtime[i], out);
	fprintf(out, "\n/* ---- the program ---- */\n\n");
	put_zones(out, &p->config);
	fprintf(out, "int main(void)\n{\n");
	put_setup(out, &p->config);
	for (unsigned i = 0; i < p->nr_ops; i++) {
		const struct prog_op *op = &p->ops[i];

		prog_print_op(p, i, text, sizeof(text));
		fprintf(out, "\tstep(%u, %u, \"%s\");\n\t", i, op->thread, text);
		put_call(out, op, handle[i], op->ref == PROG_NO_REF ? 0 : handle[op->ref]);
		fprintf(out, ";\n\tresult();\n");
	}
	fprintf(out, "\treturn finish();\n}\n");
}

bool prog_has_call(unsigned kind)
{
	return kind < OP_KINDS && calls[kind];
}
