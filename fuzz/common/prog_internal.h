/* SPDX-License-Identifier: MIT
 *
 * prog_internal.h - shared by the files that make up the language, and by nobody else.
 */
#ifndef FUZZ_PROG_INTERNAL_H
#define FUZZ_PROG_INTERNAL_H

#include "program.h"

/* Which handles an operation may name: those that live, in the order in which they were yielded, and those that were
 * ended, in the order in which they were. */
struct prog_live {
	uint16_t live[PROG_OPS_MAX], dead[PROG_OPS_MAX];
	unsigned nr_live, nr_dead;
};

/* The operation that the byte names (newest first, modulo), or PROG_NO_REF if there is none. */
uint16_t prog_live_at(const struct prog_live *l, enum prog_argkind kind, unsigned byte);
/* The byte that names the operation, or -1. */
int prog_live_byte(const struct prog_live *l, enum prog_argkind kind, unsigned ref);
/* Takes note of an operation that is at index now. */
void prog_live_note(struct prog_live *l, const struct prog_op *op, unsigned index);

/* Argument values: from raw bits (any bits give a value), to raw bits, and any number made a value. */
uint64_t prog_arg_from_raw(const struct prog_config *cfg, const struct prog_arg_info *arg, uint32_t raw);
uint32_t prog_arg_to_raw(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t value);
uint64_t prog_arg_fix(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t value);
/* Smallest value: what a text that does not mention the argument means. */
uint64_t prog_arg_default(const struct prog_config *cfg, const struct prog_arg_info *arg);
/* The interval of values, for the kinds that are plain intervals. */
void prog_arg_range(const struct prog_config *cfg, const struct prog_arg_info *arg, uint64_t *low, uint64_t *high);
bool prog_arg_is_handle(enum prog_argkind kind);

/* The header alone. The number of operations is neither read nor written. */
void prog_config_decode(const uint8_t header[PROG_HEADER_BYTES], struct prog_config *out);
void prog_config_encode(const struct prog_config *c, uint8_t header[PROG_HEADER_BYTES]);
void prog_config_canonicalise(struct prog_config *c);
/* Zone indices in address order. */
void prog_zone_order(const struct prog_config *c, unsigned out[PROG_ZONES_MAX]);
/* All groups that exist. */
uint32_t prog_swarm_all(void);
/* The kind that a byte of the binary form means in this configuration. */
unsigned prog_kind_of_byte(const struct prog_config *cfg, uint8_t byte);

/* A small generator (splitmix64). */
static inline uint64_t prog_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

/* Does the C generator know the kind? */
bool prog_has_call(unsigned kind);

#endif
