/* SPDX-License-Identifier: MIT
 *
 * sut_textbook.c - the bench's textbook buddy behind the table of sut.h: an allocator that is not libpfa, which keeps
 * the seam honest. It has one zone, no types, marks, caches or flags; what can be composed from alloc and free (bulk)
 * is, the rest is left NULL.
 */
#include "arena.h"
#include "sut.h"

#include "textbook.h"

struct sut_textbook_instance {
	struct sut sut;
	struct textbook *tb;
	pfa_pfn start;
	size_t nr_frames;
};

static struct sut_textbook_instance sut_textbook_one;

static struct textbook *sut_textbook_of(struct sut *s)
{
	return ((struct sut_textbook_instance *)(void *)s)->tb;
}

static int sut_textbook_code(int code)
{
	switch (code) {
	case TEXTBOOK_OK:
		return PFA_OK;
	case TEXTBOOK_ENOMEM:
		return PFA_ENOMEM;
	case TEXTBOOK_EMISUSE:
		return PFA_EMISUSE;
	case TEXTBOOK_EBUSY:
		return PFA_EBUSY;
	default:
		return PFA_EINVAL;
	}
}

static int sut_textbook_create(const struct pfa_config *cfg, struct sut **out, enum pfa_config_problem *problem,
                               unsigned *index)
{
	struct sut_textbook_instance *one = &sut_textbook_one;
	const size_t bytes = textbook_size(cfg->zones[0].nr_frames, cfg->max_order);
	void *memory = bytes ? arena_metadata(bytes, false) : NULL;

	*problem = PFA_CONFIG_FINE;
	*index = 0;
	if (!memory)
		return PFA_ENOTSUP;
	one->sut.ops = &sut_textbook;
	one->start = cfg->zones[0].start;
	one->nr_frames = cfg->zones[0].nr_frames;
	*out = &one->sut;
	return sut_textbook_code(textbook_create(memory, bytes, one->start, one->nr_frames, cfg->max_order, &one->tb));
}

static int sut_textbook_fini(struct sut *s)
{
	return sut_textbook_code(textbook_destroy(sut_textbook_of(s)));
}

static void sut_textbook_abandon(struct sut *s)
{
	((struct sut_textbook_instance *)(void *)s)->tb = NULL;
}

static int sut_textbook_alloc(struct sut *s, unsigned order, uint32_t flags, pfa_pfn *out)
{
	(void)flags;
	return sut_textbook_code(textbook_alloc(sut_textbook_of(s), order, out));
}

static int sut_textbook_free(struct sut *s, pfa_pfn pfn, unsigned order)
{
	return sut_textbook_code(textbook_free(sut_textbook_of(s), pfn, order));
}

static int sut_textbook_alloc_bulk(struct sut *s, unsigned order, uint32_t flags, size_t nr, pfa_pfn out[],
                                   size_t *out_nr)
{
	int code = PFA_OK;
	size_t done = 0;

	while (done < nr && (code = sut_textbook_alloc(s, order, flags, &out[done])) == PFA_OK)
		done++;
	*out_nr = done;
	return code;
}

static int sut_textbook_free_bulk(struct sut *s, unsigned order, size_t nr, const pfa_pfn pfns[], size_t *out_nr)
{
	int code = PFA_OK;
	size_t done = 0;

	while (done < nr && (code = sut_textbook_free(s, pfns[done], order)) == PFA_OK)
		done++;
	*out_nr = done;
	return code;
}

static int sut_textbook_largest_free(struct sut *s, uint32_t flags, unsigned *out)
{
	const int order = textbook_largest_free(sut_textbook_of(s));

	(void)flags;
	if (order < 0)
		return PFA_ENOMEM;
	*out = (unsigned)order;
	return PFA_OK;
}

static int sut_textbook_zone_stats(struct sut *s, unsigned zone, struct pfa_zone_stats *out, size_t size)
{
	const struct sut_textbook_instance *one = (struct sut_textbook_instance *)(void *)s;

	if (zone != 0 || size != sizeof(*out))
		return PFA_EINVAL;
	*out = (struct pfa_zone_stats){ .present = one->nr_frames, .free = textbook_free_frames(one->tb) };
	out->allocated = out->present - out->free;
	return PFA_OK;
}

static int sut_textbook_check(struct sut *s, unsigned level, struct pfa_violation *out)
{
	const char *what = textbook_check(sut_textbook_of(s));

	(void)level;
	*out = (struct pfa_violation){ .invariant = what ? 2 : 0, .what = what };
	return what ? PFA_ECORRUPT : PFA_OK;
}

const struct sut_ops sut_textbook = {
	.name = "textbook",
	.lacks = SUT_NO_ZONES | SUT_NO_HOLES | SUT_NO_MARKS | SUT_NO_TYPES | SUT_NO_FLAGS | SUT_NO_CACHES | SUT_NO_KINDS |
	         SUT_NO_POISON | SUT_NO_ARGS,
	.create = sut_textbook_create,
	.fini = sut_textbook_fini,
	.abandon = sut_textbook_abandon,
	.alloc = sut_textbook_alloc,
	.free = sut_textbook_free,
	.alloc_bulk = sut_textbook_alloc_bulk,
	.free_bulk = sut_textbook_free_bulk,
	.largest_free = sut_textbook_largest_free,
	.zone_stats = sut_textbook_zone_stats,
	.check = sut_textbook_check,
};
