/* SPDX-License-Identifier: MIT
 *
 * free_steps - counts the instructions that frees execute, one trap each (x86-64). Prints them: of single frames in random order, most
 * of which end in a cache and come to a zone in batches, and of larger blocks, which come to a zone at once.
 *
 *   free_steps [room]      room: with room for a reporting device, and none registered
 *
 * Exit code: 0 fine, 1 a call fails, 77 this machine does not trap after each instruction.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <pfa/pfa.h>

#define FRAMES 4096u
#define SINGLES 96u /* each trap takes microseconds, and tens of them in some virtual machines */
#define LARGE 12u
#define LARGE_ORDER 5u

static _Alignas(4096) unsigned char memory[1u << 20];
static pfa_pfn blocks[SINGLES];
static volatile size_t steps;

static void stepped(int signal)
{
	(void)signal;
	steps = steps + 1;
}

/* The flags' trap bit, from behind popfq on. Compiled without a red zone, since pushfq writes below the stack pointer. */
static inline void stepping(int on)
{
	if (on)
		__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
	else
		__asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

/* Not where an emulator, or what a sandbox has for a kernel, passes the bit by. */
static int traps(void)
{
	steps = 0;
	stepping(1);
	__asm__ volatile("nop; nop; nop");
	stepping(0);
	return steps >= 3;
}

/* Instructions of nr frees after as many grants, in an order that is always the same. 0: something was refused. */
static size_t frees(struct pfa *pfa, unsigned nr, unsigned order)
{
	uint64_t random = 1;
	for (unsigned i = 0; i < nr; i++)
		if (pfa_alloc(pfa, order, PFA_MOVABLE, &blocks[i]) != PFA_OK)
			return 0;
	for (unsigned i = nr - 1; i > 0; i--) {
		random = random * 0xD1342543DE82EF95u + 0x9E3779B97F4A7C15u;
		const unsigned k = (unsigned)((random >> 32) * (i + 1) >> 32);
		const pfa_pfn other = blocks[k];
		blocks[k] = blocks[i];
		blocks[i] = other;
	}
	int bad = 0;
	steps = 0;
	stepping(1);
	for (unsigned i = 0; i < nr; i++)
		bad |= pfa_free(pfa, blocks[i], order);
	stepping(0);
	return bad ? 0 : steps;
}

int main(int argc, char **argv)
{
	struct pfa_platform os = { .size = sizeof(os) };
	struct pfa_zone_config zone = { .size = sizeof(zone), .nr_frames = FRAMES };
	struct pfa_config cfg;
	struct pfa *pfa;

	pfa_config_init(&cfg);
	cfg.platform = &os;
	cfg.zones = &zone;
	cfg.nr_zones = 1;
	cfg.cache_high = 16; /* so that few are enough to fill them */
	cfg.cache_batch = 8;
	if (argc > 1 && strcmp(argv[1], "room") == 0)
		cfg.flags |= PFA_CONFIG_REPORTING;
	if (signal(SIGTRAP, stepped) == SIG_ERR || pfa_init(memory, sizeof(memory), &cfg, &pfa, NULL, NULL) != PFA_OK)
		return 1;
	if (!traps())
		return 77;
	(void)frees(pfa, SINGLES, 0); /* what is done once */
	const size_t singles = frees(pfa, SINGLES, 0), large = frees(pfa, LARGE, LARGE_ORDER);
	printf("singles %u %zu\nlarge %u %zu\n", SINGLES, singles, LARGE, large);
	return singles && large ? 0 : 1;
}
