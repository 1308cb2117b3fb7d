/* SPDX-License-Identifier: MIT
 *
 * setup.h - from a program's configuration to a struct pfa_config with all that it points to.
 */
#ifndef FUZZ_SETUP_H
#define FUZZ_SETUP_H

#include "program.h"
#include "sut.h"

#define SETUP_ZONES 4u
#define SETUP_RUNS 8u

/* How frames know zero. */
enum setup_zero {
	SETUP_ZERO_NONE,   /* PFA_ZERO is ENOTSUP */
	SETUP_ZERO_SHADOW, /* the zero op only notes it: no content */
	SETUP_ZERO_OP,     /* the zero op writes it; free frames are poisoned under ASan */
	SETUP_ZERO_LIBRARY /* no zero op: the library writes it */
};

/* The cpu that the allocator is to believe it runs on, where the configuration says cpu_way=offset. */
extern _Thread_local uint32_t setup_cpu;
/* Where setup_cpu lies; 0, which leaves the cpu op in use, where the library cannot do it. */
ptrdiff_t setup_cpu_offset(void);

struct setup {
	struct pfa_config cfg;
	struct pfa_zone_config zones[SETUP_ZONES];
	struct pfa_run holes[SETUP_ZONES][SETUP_RUNS];
	struct pfa_run cma[SETUP_ZONES][SETUP_RUNS];
	struct pfa_platform *platform;
	enum setup_zero zero;
	unsigned char *content;    /* NULL: frames have none */
	size_t content_bytes;
	pfa_pfn content_pfn;       /* the frame at content */
	size_t frame_bytes;
};

/* Fills *s. platform: the harness's, with every op set; those that the configuration does without are set to NULL.
 * lacks: SUT_NO_*: what the allocator cannot do is left out. */
void setup_make(struct setup *s, const struct prog_config *c, uint32_t lacks, struct pfa_platform *platform);

/* Wipes the pool as a new instance of this configuration wants it. */
void setup_wipe_pool(struct setup *s);

/* What setup_spoil() made of a configuration. */
struct setup_spoilt {
	const struct pfa_config *cfg;       /* to be given to pfa_size() and pfa_init(); may be NULL */
	struct pfa_footprint *footprint;    /* for pfa_size(); may be NULL */
	bool init_only;                     /* pfa_size() accepts it, pfa_init() refuses the memory */
	void *memory;                       /* for pfa_init() */
	size_t memory_bytes;
	enum pfa_config_problem problem;    /* that it must be refused with */
};

/* Spoils a copy of a valid configuration in the way (bad, variant). False: this way does not apply to it. */
bool setup_spoil(const struct setup *s, enum prog_spoil bad, unsigned variant, struct setup_spoilt *out);

#endif
