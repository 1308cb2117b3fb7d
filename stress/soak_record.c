/* SPDX-License-Identifier: MIT
 *
 * The recorder: the last calls of every thread, and the text that is written when a monitor fires. The first failure
 * wins; the program ends with it. Also called from signal handlers and from a sanitizer's last breath, where vsnprintf
 * into static memory and write() are all that it uses.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if SOAK_ASAN || SOAK_TSAN
#include <sanitizer/common_interface_defs.h>
#endif

static const struct {
	const char *name, *args[3];
} record_ops[SOAK_OP_COUNT] = {
#define SOAK_X(name, a, b, c) {#name, {a, b, c}},
	SOAK_OPS(SOAK_X)
#undef SOAK_X
};

struct soak_record *soak_record(struct soak_slot *slot, enum soak_op op, uintptr_t a, uintptr_t b, uintptr_t c)
{
	uint32_t next = atomic_load_explicit(&slot->ring_next, memory_order_relaxed);
	struct soak_record *record = &slot->ring[next % SOAK_RING];
	uint32_t op_actor = (uint32_t)op << 8 | slot->actor;
	atomic_store_explicit(&record->op_actor, op_actor, memory_order_relaxed);
	atomic_store_explicit(&record->result, SOAK_PENDING, memory_order_relaxed);
	atomic_store_explicit(&record->time_us, (uintptr_t)((soak_now_ns() - soak.start_ns) / 1000),
	                      memory_order_relaxed);
	atomic_store_explicit(&record->a, a, memory_order_relaxed);
	atomic_store_explicit(&record->b, b, memory_order_relaxed);
	atomic_store_explicit(&record->c, c, memory_order_relaxed);
	atomic_store_explicit(&slot->ring_next, next + 1, memory_order_relaxed);
	soak_count(&slot->progress, 1);
	return record;
}

void soak_recorded(struct soak_record *record, int result)
{
	atomic_store_explicit(&record->result, result, memory_order_relaxed);
}

/* ---- the text of a failure -------------------------------------------------------------------------------------- */

static int record_fd = -1;

static void record_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void record_out(const char *fmt, ...)
{
	static char line[2048];
	va_list args;
	int n;
	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	for (int done = 0; record_fd >= 0 && done < n;) {
		ssize_t w = write(record_fd, line + done, (size_t)(n - done));
		if (w < 0 && errno != EINTR)
			break;
		done += w > 0 ? (int)w : 0;
	}
}

static void record_line(const struct soak_record *record)
{
	uint32_t op_actor = atomic_load_explicit(&record->op_actor, memory_order_relaxed);
	unsigned op = op_actor >> 8 < SOAK_OP_COUNT ? op_actor >> 8 : 0, actor = op_actor & 0xFF;
	uintptr_t time_us = atomic_load_explicit(&record->time_us, memory_order_relaxed);
	int result = atomic_load_explicit(&record->result, memory_order_relaxed);
	uintptr_t args[3] = {atomic_load_explicit(&record->a, memory_order_relaxed),
	                     atomic_load_explicit(&record->b, memory_order_relaxed),
	                     atomic_load_explicit(&record->c, memory_order_relaxed)};
	if (op == SOAK_OP_none)
		return;
	record_out("    %10.6f s  %-10s %s", (double)time_us / 1e6,
	           actor < soak_nr_actors ? soak_actors[actor]->name : "-", record_ops[op].name);
	for (int i = 0; i < 3; i++) {
		const char *name = record_ops[op].args[i];
		if (name[0] && strcmp(name, "flags") == 0)
			record_out(" %s=%#zx", name, (size_t)args[i]);
		else if (name[0] && strcmp(name, "tag") == 0)
			record_out(" %s=%zu:%zu", name, (size_t)args[i] >> 20, (size_t)args[i] & 0xFFFFF);
		else if (name[0])
			record_out(" %s=%zu", name, (size_t)args[i]);
	}
	record_out("  -> %s\n", result == SOAK_PENDING ? "(has not returned)" : pfa_error_name(result));
}

/* The last calls of a thread, oldest first. */
static void record_slot(const struct soak_slot *slot, uint32_t most)
{
	static const char *const states[] = {"gone", "running", "parked"};
	uint32_t next = atomic_load_explicit(&slot->ring_next, memory_order_relaxed);
	uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	uint32_t nr = next < most ? next : most;
	if (next == 0)
		return;
	record_out("  thread %u%s: %s, %" PRIu32 " calls, the last %" PRIu32 ":\n", slot->id,
	           slot->id == 0                 ? " (main)"
	           : slot->id > soak.opt.threads ? " (visitor)"
	                                         : "",
	           state < 3 ? states[state] : "?", next, nr);
	for (uint32_t i = next - nr; i != next; i++)
		record_line(&slot->ring[i % SOAK_RING]);
}

/* Operation << 8 | actor of a thread's last call. */
static uint32_t record_last(const struct soak_slot *slot)
{
	uint32_t next = slot ? atomic_load_explicit(&slot->ring_next, memory_order_relaxed) : 0;
	if (!next)
		return (uint32_t)SOAK_OP_none << 8 | soak_nr_actors;
	return atomic_load_explicit(&slot->ring[(next - 1) % SOAK_RING].op_actor, memory_order_relaxed);
}

static void record_report(const char *monitor, const char *message, const struct soak_slot *slot, uint32_t most)
{
	unsigned actor = record_last(slot) & 0xFF;
	record_out("seed:    %" PRIu64 ", round %u\nrepeat:  %s\nmonitor: %s\n", soak.opt.seed, soak.round,
	           soak_repeat_command(), monitor);
	record_out("message: %s\nthread:  %d, actor %s\ngeometry:\n", message, slot ? (int)slot->id : -1,
	           actor < soak_nr_actors ? soak_actors[actor]->name : "-");
	record_out("%s", soak_geometry_text());
	record_out("last operations (time since the start; flags, results: pfa/types.h; tag = owner:generation)\n");
	if (slot)
		record_slot(slot, most);
	for (unsigned i = 0; soak.slots && i < soak.nr_slots; i++)
		if (&soak.slots[i] != slot)
			record_slot(&soak.slots[i], most);
}

static uint32_t record_hash(const char *a, const char *b)
{
	uint32_t h = 2166136261u;
	for (const char *p = a; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (const char *p = b; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h;
}

/* <findings>/<seed>/report.txt; "" if it cannot be written. */
static const char *record_open(void)
{
	static char path[4096];
	int n;
	mkdir(soak.opt.findings, 0777);
	n = snprintf(path, sizeof(path), "%s/%" PRIu64, soak.opt.findings, soak.opt.seed);
	if (n < 0 || (size_t)n + 16 > sizeof(path))
		return "";
	mkdir(path, 0777);
	memcpy(path + n, "/report.txt", sizeof("/report.txt"));
	record_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return record_fd >= 0 ? path : "";
}

static _Noreturn void record_failure(const char *monitor, const char *message)
{
	const struct soak_slot *slot = soak_self;
	const char *path, *op = record_ops[record_last(slot) >> 8].name;
	struct soak_finding finding = {.monitor = monitor, .message = message};
	uint32_t next = slot ? atomic_load_explicit(&slot->ring_next, memory_order_relaxed) : 0;
	path = record_open();
	finding.id = record_hash(monitor, op);
	finding.report = path;
	if (record_fd >= 0) {
		record_report(monitor, message, slot, SOAK_RING);
		soak_summary(record_out);
		close(record_fd);
	}
	record_fd = STDERR_FILENO;
	record_out("\npfa-finding: id=%08" PRIx32 " invariant=%s op=%s step=%" PRIu32 " message=%s\n", finding.id,
	           monitor, op, next, message);
	record_report(monitor, message, slot, 8);
	if (path[0])
		record_out("The whole report: %s\n", path);
	else
		record_out("The report could not be written below %s: %s\n", soak.opt.findings, strerror(errno));
	soak_json(&finding);
	_exit(1);
}

/* Claims the failure, or waits for whoever has: the process ends there. A failure within the report itself ends it. */
static void record_claim(void)
{
	static _Thread_local bool mine;
	if (mine)
		_exit(1);
	if (atomic_exchange(&soak.failing, 1))
		for (;;)
			pause();
	mine = true;
}

_Noreturn void soak_fail(const char *monitor, const char *fmt, ...)
{
	static char message[1024];
	va_list args;
	record_claim();
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	record_failure(monitor, message);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static void record_on_fault(int signal)
{
	soak_fail("signal", "signal %d (%s)", signal, strsignal(signal));
}

static void record_on_stop(int signal)
{
	(void)signal;
	soak.interrupted = 1;
}

#if SOAK_ASAN || SOAK_TSAN
#define RECORD_LAST_SECONDS 20u /* a whole report takes less than one, on a loaded machine too */

static void record_on_death(void)
{
	/* ThreadSanitizer calls this with locks of its own held, which what is called here may wait for, for ever. Its report has been
	 * written: so the process is killed rather than kept, if it is not done by then. */
	alarm(RECORD_LAST_SECONDS);
	soak_fail("sanitizer", "a sanitizer's report, see above");
}
#endif

/* The sanitizers have handlers of their own for faults, and tell us at the end of their report. */
void soak_signals(void)
{
	struct sigaction stop = {.sa_handler = record_on_stop, .sa_flags = (int)SA_RESETHAND};
	struct sigaction fault = {.sa_handler = record_on_fault, .sa_flags = SA_NODEFER};
	sigemptyset(&stop.sa_mask);
	sigemptyset(&fault.sa_mask);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGABRT, &fault, NULL);
#if SOAK_ASAN || SOAK_TSAN
	__sanitizer_set_death_callback(record_on_death);
#else
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGILL, &fault, NULL);
	sigaction(SIGFPE, &fault, NULL);
	sigaction(SIGTRAP, &fault, NULL);
#endif
}

#if SOAK_TSAN
/* A race ends the run, with the report of both the sanitizer and the recorder. Threads that had ended, and were not joined
 * yet, when the forker forked, are no leak of its child. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1:report_thread_leaks=0";
}

/* What a thread was writing without a lock (it served) is written anew in the child, where that thread is not. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pfa_fork_child";
}
#endif
