/* SPDX-License-Identifier: MIT
 *
 * mutator_afl.c - the mutator, the crossover and an operation-level trim as AFL++'s custom mutator library
 * (AFL_CUSTOM_MUTATOR_LIBRARY).
 */
#include "prog_internal.h"

#include <stdlib.h>
#include <string.h>

struct mutator_afl {
	uint64_t state;
	struct program program, other, crossed;
	uint8_t out[PROG_BYTES_MAX];
	/* trim: operations [at, at + step) are left out of program; step halves when the end is reached */
	unsigned at, step;
	int round, rounds;
};

/* AFL++'s interface; its first argument is AFL++'s own state, which is not looked at. */
void *afl_custom_init(void *afl, unsigned int seed);
size_t afl_custom_fuzz(struct mutator_afl *m, uint8_t *buf, size_t buf_size, uint8_t **out_buf, uint8_t *add_buf,
                       size_t add_buf_size, size_t max_size);
int32_t afl_custom_init_trim(struct mutator_afl *m, uint8_t *buf, size_t buf_size);
size_t afl_custom_trim(struct mutator_afl *m, uint8_t **out_buf);
int32_t afl_custom_post_trim(struct mutator_afl *m, unsigned char success);
void afl_custom_deinit(struct mutator_afl *m);

void *afl_custom_init(void *afl, unsigned int seed)
{
	struct mutator_afl *m = calloc(1, sizeof(*m));

	(void)afl;
	if (m)
		m->state = seed;
	return m;
}

size_t afl_custom_fuzz(struct mutator_afl *m, uint8_t *buf, size_t buf_size, uint8_t **out_buf, uint8_t *add_buf,
                       size_t add_buf_size, size_t max_size)
{
	size_t most = max_size < sizeof(m->out) ? max_size : sizeof(m->out), nr;
	struct program *result = &m->program;

	if (buf_size && buf_size <= most && buf[0] >= 128) {
		/* for fuzz_config no program but a configuration by fields */
		memcpy(m->out, buf, buf_size);
		*out_buf = m->out;
		return prog_mutate_bytes(m->out, buf_size, most, prog_random(&m->state));
	}
	prog_decode(buf, buf_size, &m->program);
	if (add_buf && prog_random(&m->state) % 8 == 0) {
		prog_decode(add_buf, add_buf_size, &m->other);
		prog_crossover(&m->program, &m->other, &m->crossed, most, prog_random(&m->state));
		result = &m->crossed;
	} else {
		prog_mutate(&m->program, most, prog_random(&m->state));
	}
	nr = prog_encode(result, m->out, most);
	*out_buf = nr ? m->out : buf;
	return nr ? nr : buf_size;
}

int32_t afl_custom_init_trim(struct mutator_afl *m, uint8_t *buf, size_t buf_size)
{
	if (buf_size && buf[0] >= 128)
		return 0; /* no program: kept as it is */
	prog_decode(buf, buf_size, &m->program);
	m->at = 0;
	m->step = (m->program.nr_ops + 1) / 2;
	m->round = 0;
	m->rounds = 0;
	/* as many tries as it takes if none of them succeeds; no more are made, whatever succeeds */
	for (unsigned step = m->step; step; step /= 2)
		m->rounds += (int)((m->program.nr_ops + step - 1) / step);
	return m->rounds;
}

size_t afl_custom_trim(struct mutator_afl *m, uint8_t **out_buf)
{
	bool keep[PROG_OPS_MAX];

	while (m->at >= m->program.nr_ops && m->step > 1) {
		m->at = 0;
		m->step /= 2;
	}
	for (unsigned i = 0; i < m->program.nr_ops; i++)
		keep[i] = i < m->at || i >= m->at + m->step;
	m->crossed = m->program;
	prog_select(&m->crossed, keep);
	*out_buf = m->out;
	return prog_encode(&m->crossed, m->out, sizeof(m->out));
}

int32_t afl_custom_post_trim(struct mutator_afl *m, unsigned char success)
{
	if (success)
		m->program = m->crossed;
	else
		m->at += m->step;
	m->round++;
	if (m->at >= m->program.nr_ops && m->step <= 1)
		m->round = m->rounds;
	return m->round;
}

void afl_custom_deinit(struct mutator_afl *m)
{
	free(m);
}
