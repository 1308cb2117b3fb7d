/* SPDX-License-Identifier: MIT */
#include <pfa/sim.h>

#include <stdatomic.h>

/* The compiler may call these; a freestanding embedder brings them for the core anyway. */
void *memset(void *to, int byte, size_t nr);

static struct pfa_sim *sim_enter(void *ctx, enum pfa_sim_op op)
{
	struct pfa_sim *sim = ctx;

	sim->nr_ops[op]++;
	if (sim->on_op)
		sim->on_op(sim, op);
	return sim;
}

static uint32_t sim_cpu(void *ctx)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_CPU);

	if (sim->cpu_script && sim->cpu_script_nr) {
		size_t at = sim->cpu_script_at < sim->cpu_script_nr ? sim->cpu_script_at : 0;
		sim->cpu = sim->cpu_script[at];
		sim->cpu_script_at = at + 1;
	}
	return sim->cpu;
}

static uint32_t sim_self(void *ctx)
{
	return sim_enter(ctx, PFA_SIM_SELF)->self;
}

static int sim_wait(void *ctx, const void *addr, uint32_t value, uint64_t until_ns)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_WAIT);

	/* The core reads the word again in its own loop; here it only decides whether to sleep: no order. */
	if (atomic_load_explicit((const _Atomic uint32_t *)addr, memory_order_relaxed) != value) {
		sim->nr_wait_mismatch++;
		return PFA_OK;
	}
	if (sim->on_wait)
		return sim->on_wait(sim, addr, value, until_ns);
	if (until_ns == UINT64_MAX) {
		sim->nr_deadlock++;
		return PFA_EDEADLK;
	}
	if (sim->now_ns < until_ns)
		sim->now_ns = until_ns;
	sim->nr_timeout++;
	return PFA_OK;
}

static void sim_wake(void *ctx, const void *addr)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_WAKE);

	if (sim->on_wake)
		sim->on_wake(sim, addr);
}

static uint64_t sim_now(void *ctx)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_NOW);
	uint64_t now = sim->now_ns;

	pfa_sim_advance(sim, sim->tick_ns);
	return now;
}

/* How many of the nr frames from first lie in sim->pool; the first of these comes *skip frames later. */
static size_t sim_inside(const struct pfa_sim *sim, pfa_pfn first, size_t nr, size_t *skip)
{
	size_t frames = sim->pool_bytes >> sim->frame_shift;

	*skip = first < sim->pool_pfn ? sim->pool_pfn - first : 0;
	if (*skip >= nr)
		return 0;
	size_t offset = first + *skip - sim->pool_pfn;
	if (offset >= frames)
		return 0;
	nr -= *skip;
	return nr < frames - offset ? nr : frames - offset;
}

static void sim_zero(void *ctx, pfa_pfn first, size_t nr_frames, void *ptr)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_ZERO);
	size_t skip;

	sim->nr_zero_frames += nr_frames;
	sim->last_zero = (struct pfa_run){ first, nr_frames };
	if (sim->frame_shift == 0)
		return;
	if (sim->pool) {
		size_t inside = sim_inside(sim, first, nr_frames, &skip);
		sim->nr_zero_outside += nr_frames - inside;
		if (inside)
			memset(sim->pool + ((first + skip - sim->pool_pfn) << sim->frame_shift), 0,
			       inside << sim->frame_shift);
	} else if (ptr) {
		memset(ptr, 0, nr_frames << sim->frame_shift);
	}
}

static uint64_t sim_random(void *ctx)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_RANDOM);
	uint64_t z = sim->random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void sim_copy_text(char to[PFA_SIM_TEXT], const char *from)
{
	size_t i = 0;

	for (; from && i < PFA_SIM_TEXT - 1 && from[i]; i++)
		to[i] = from[i];
	to[i] = '\0';
}

static void sim_fatal(void *ctx, const struct pfa_fault *fault)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_FATAL);
	struct pfa_sim_fault *slot = &sim->faults[sim->nr_faults % PFA_SIM_FAULTS];

	slot->code = fault->code;
	slot->kind = fault->kind;
	slot->pfn = fault->pfn;
	slot->order = fault->order;
	sim_copy_text(slot->message, fault->message);
	sim_copy_text(slot->function, fault->function);
	sim->nr_faults++;
	if (sim->on_fatal)
		sim->on_fatal(sim, fault);
}

static uint32_t sim_tag(void *ctx)
{
	return sim_enter(ctx, PFA_SIM_TAG)->tag;
}

static void sim_log(void *ctx, const char *text)
{
	sim_copy_text(sim_enter(ctx, PFA_SIM_LOG)->last_log, text);
}

static size_t sim_backtrace(void *ctx, uintptr_t out[], size_t max)
{
	struct pfa_sim *sim = sim_enter(ctx, PFA_SIM_BACKTRACE);
	size_t i = 0;

	for (; sim->trace && i < sim->trace_nr && i < max; i++)
		out[i] = sim->trace[i];
	return i;
}

void pfa_sim_init(struct pfa_sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->self = 1;
	sim->random_state = seed;
}

void pfa_sim_platform(struct pfa_sim *sim, struct pfa_platform *out)
{
	*out = (struct pfa_platform){
		.size = sizeof(*out),
		.ctx = sim,
		.cpu = sim_cpu,
		.self = sim_self,
		.wait = sim_wait,
		.wake = sim_wake,
		.now_ns = sim_now,
		.zero = sim_zero,
		.random = sim_random,
		.fatal = sim_fatal,
		.tag = sim_tag,
		.log = sim_log,
		.backtrace = sim_backtrace,
	};
}

void pfa_sim_advance(struct pfa_sim *sim, uint64_t ns)
{
	uint64_t end = UINT64_MAX - 1;

	if (sim->now_ns < end)
		sim->now_ns += ns < end - sim->now_ns ? ns : end - sim->now_ns;
}

const struct pfa_sim_fault *pfa_sim_fault(const struct pfa_sim *sim, size_t back)
{
	if (back >= sim->nr_faults || back >= PFA_SIM_FAULTS)
		return NULL;
	return &sim->faults[(sim->nr_faults - 1 - back) % PFA_SIM_FAULTS];
}

void pfa_sim_forget(struct pfa_sim *sim)
{
	memset(sim->nr_ops, 0, sizeof(sim->nr_ops));
	memset(sim->faults, 0, sizeof(sim->faults));
	sim->nr_wait_mismatch = 0;
	sim->nr_timeout = 0;
	sim->nr_deadlock = 0;
	sim->nr_zero_frames = 0;
	sim->nr_zero_outside = 0;
	sim->last_zero = (struct pfa_run){ 0, 0 };
	sim->nr_faults = 0;
	sim->last_log[0] = '\0';
}
