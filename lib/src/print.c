/* SPDX-License-Identifier: MIT */
#include "closed.h"
#include "fmt.h"
#include "leaf.h"
#include "live.h"
#include "stats.h"

/* Pageblocks that are looked at in one lock hold. */
#define PRINT_PAGEBLOCKS 64u
#define PRINT_PIECE 128u

struct print {
	struct pfa *p;
	void (*write)(void *ctx, const char *bytes, size_t nr);
	void *ctx;
	char text[PRINT_PIECE];
	struct pfai_fmt f;
};

static void print_flush(struct print *out)
{
	if (out->f.n)
		out->write(out->ctx, out->text, out->f.n);
	out->f.n = 0;
}

static void print_str(struct print *out, const char *s)
{
	for (; *s; s++) {
		if (out->f.n + 1 == out->f.cap)
			print_flush(out);
		pfai_fmt_char(&out->f, *s);
	}
}

static void print_dec(struct print *out, size_t value, unsigned width)
{
	char digits[32];
	struct pfai_fmt f = { digits, 0, sizeof(digits) };
	pfai_fmt_dec(&f, value, width);
	print_str(out, digits);
}

/* A string, padded on the left. */
static void print_padded(struct print *out, const char *s, size_t width)
{
	size_t n = 0;
	while (s[n])
		n++;
	for (; n < width; n++)
		print_str(out, " ");
	print_str(out, s);
}

static void print_zone_name(struct print *out, const struct pfai_zone *z, size_t width)
{
	char name[16];
	struct pfai_fmt f = { name, 0, sizeof(name) };
	pfai_fmt_str(&f, "zone");
	pfai_fmt_dec(&f, z->id, 0);
	print_padded(out, z->name ? z->name : name, width);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

/* Free blocks of one pageblock, by order, by where they begin. Zone locked. */
static void print_count_pageblock(const struct pfa *p, const struct pfai_zone *z, size_t pb,
                                  size_t counts[PFA_ORDER_LIMIT + 1])
{
	size_t rel = pb << p->pb_order, end = rel + ((size_t)1 << p->pb_order);
	while (rel < end) {
		size_t leaf = rel >> p->leaf_order;
		if (z->leaf[leaf] != 0 || z->leaf_top < p->leaf_order) {
			if (z->leaf[leaf] != PFAI_LEAF_FULL)
				pfai_leaf_count(pfai_leaf_at(p, z, leaf), 1u << (p->leaf_order - PFAI_WORD_SHIFT),
				                z->leaf_top, counts);
			rel += (size_t)1 << p->leaf_order;
			continue;
		}
		int order = pfai_zone_containing_locked(p, z, pfai_pb_code(&z->pb[pb]), rel);
		if (order < 0 || (rel & (((size_t)1 << order) - 1)))
			return; /* inside a block that began in an earlier pageblock */
		counts[order]++;
		rel += (size_t)1 << order;
	}
}

struct print_census {
	size_t blocks[PFAI_PLANES][PFA_ORDER_LIMIT + 1];
	size_t pageblocks[PFAI_PLANES];
};

static int print_census(struct pfa *p, struct pfai_zone *z, struct print_census *census)
{
	memset(census, 0, sizeof(*census));
	for (size_t pb = (z->start - z->origin) >> p->pb_order; pb < z->nr_pb;) {
		if (!pfai_zone_lock(p, z))
			return PFA_EBUSY;
		for (unsigned i = 0; i < PRINT_PAGEBLOCKS && pb < z->nr_pb; i++, pb++) {
			unsigned code = pfai_pb_code(&z->pb[pb]);
			census->pageblocks[code]++;
			print_count_pageblock(p, z, pb, census->blocks[code]);
		}
		pfai_zone_unlock(p, z);
	}
	return PFA_OK;
}

/* ---- the four texts ---------------------------------------------------------------------------------------------- */

static int print_buddyinfo(struct print *out)
{
	struct print_census census;
	for (uint32_t i = 0; i < out->p->nr_zones; i++) {
		struct pfai_zone *z = &out->p->zones[i];
		int result = print_census(out->p, z, &census);
		if (result != PFA_OK)
			return result;
		print_str(out, "Node 0, zone ");
		print_zone_name(out, z, 8);
		for (unsigned order = 0; order <= out->p->max_order; order++) {
			size_t sum = 0;
			for (unsigned code = 0; code < PFAI_PLANES; code++)
				sum += census.blocks[code][order];
			print_str(out, " ");
			print_dec(out, sum, 6);
		}
		print_str(out, "\n");
	}
	return PFA_OK;
}

static const char *const print_type_names[PFA_TYPES] = {
	"Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate",
};

static int print_pagetypeinfo(struct print *out)
{
	struct pfa *p = out->p;
	struct print_census census;
	print_str(out, "Page block order: ");
	print_dec(out, p->pb_order, 0);
	print_str(out, "\nPages per block:  ");
	print_dec(out, (size_t)1 << p->pb_order, 0);
	print_str(out, "\n\nFree pages count per migrate type at order ");
	for (unsigned order = 0; order <= p->max_order; order++) {
		print_str(out, " ");
		print_dec(out, order, 6);
	}
	print_str(out, "\n");
	for (uint32_t i = 0; i < p->nr_zones; i++) {
		struct pfai_zone *z = &p->zones[i];
		int result = print_census(p, z, &census);
		if (result != PFA_OK)
			return result;
		for (unsigned type = 0; type < PFA_TYPES; type++) {
			print_str(out, "Node    0, zone ");
			print_zone_name(out, z, 8);
			print_str(out, ", type ");
			print_padded(out, print_type_names[type], 12);
			for (unsigned order = 0; order <= p->max_order; order++) {
				print_str(out, " ");
				print_dec(out, census.blocks[pfai_code_of_type(type)][order], 6);
			}
			print_str(out, "\n");
		}
		print_str(out, "Number of blocks type");
		for (unsigned type = 0; type < PFA_TYPES; type++)
			print_padded(out, print_type_names[type], 13);
		print_str(out, "\nNode 0, zone ");
		print_zone_name(out, z, 8);
		for (unsigned type = 0; type < PFA_TYPES; type++)
			print_dec(out, census.pageblocks[pfai_code_of_type(type)], 13);
		print_str(out, "\n");
	}
	return PFA_OK;
}

static void print_json_field(struct print *out, const char *name, size_t value)
{
	print_str(out, ",\"");
	print_str(out, name);
	print_str(out, "\":");
	print_dec(out, value, 0);
}

/* A name from the configuration: may hold anything. */
static void print_json_name(struct print *out, const struct pfai_zone *z)
{
	if (!z->name) {
		print_zone_name(out, z, 0);
		return;
	}
	for (const char *s = z->name; *s; s++) {
		char piece[3] = { *s, 0, 0 };
		if (*s == '"' || *s == '\\') {
			piece[0] = '\\';
			piece[1] = *s;
		} else if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7E) {
			piece[0] = '?';
		}
		print_str(out, piece);
	}
}

static int print_json(struct print *out)
{
	struct pfa *p = out->p;
	struct pfa_stats stats;
	struct pfa_zone_stats zs;
	int result = pfa_stats_get(p, &stats, sizeof(stats));
	print_str(out, "{\"schema\":\"pfa-stats/1\"");
#define PFA_X(name, meaning) print_json_field(out, #name, stats.name);
	PFA_INSTANCE_STATS(PFA_X)
#undef PFA_X
	print_str(out, ",\"zones\":[");
	for (uint32_t i = 0; i < p->nr_zones && result == PFA_OK; i++) {
		result = pfa_zone_stats_get(p, i, &zs, sizeof(zs));
		if (result != PFA_OK)
			break;
		print_str(out, i ? ",{\"name\":\"" : "{\"name\":\"");
		print_json_name(out, &p->zones[i]);
		print_str(out, "\"");
		print_json_field(out, "start_pfn", p->zones[i].start);
		print_json_field(out, "end_pfn", p->zones[i].end);
#define PFA_X(name, meaning) print_json_field(out, #name, zs.name);
		PFA_ZONE_STATS(PFA_X)
#undef PFA_X
		print_str(out, "}");
	}
	print_str(out, "]}\n");
	return result;
}

/* One character a pageblock: its type's letter, small if some of it is used, '#' if all of it, '.' if entirely free. */
static char print_map_char(const struct pfa *p, const struct pfai_pb *pb)
{
	static const char letters[2][PFAI_PLANES + 1] = { "MUHRCI", "muhrci" };
	unsigned code = pfai_pb_code(pb);
	if (pb->used == 0)
		return code == PFAI_CODE_MOVABLE ? '.' : letters[0][code];
	return pb->used == 1u << p->pb_order ? '#' : letters[1][code];
}

static int print_map_zone(struct print *out, struct pfai_zone *z)
{
	struct pfa *p = out->p;
	char line[PRINT_PAGEBLOCKS + 1];
	print_str(out, "zone ");
	print_zone_name(out, z, 0);
	print_str(out, " ");
	print_dec(out, z->start, 0);
	print_str(out, "..");
	print_dec(out, z->end - 1, 0);
	print_str(out, "\n");
	for (size_t pb = (z->start - z->origin) >> p->pb_order; pb < z->nr_pb;) {
		unsigned n = 0;
		print_dec(out, z->origin + (pb << p->pb_order), 12);
		if (!pfai_zone_lock(p, z))
			return PFA_EBUSY;
		while (n < PRINT_PAGEBLOCKS && pb < z->nr_pb)
			line[n++] = print_map_char(p, &z->pb[pb++]);
		pfai_zone_unlock(p, z);
		line[n] = 0;
		print_str(out, " ");
		print_str(out, line);
		print_str(out, "\n");
	}
	return PFA_OK;
}

static int print_map(struct print *out)
{
	int result = PFA_OK;
	print_str(out, ". free  # full  m movable  u unmovable  r reclaimable  h highatomic  c cma  (capital: all free)\n");
	for (uint32_t i = 0; i < out->p->nr_zones && result == PFA_OK; i++)
		result = print_map_zone(out, &out->p->zones[i]);
	return result;
}

static void print_live_row(void *ctx, const struct pfai_live *live)
{
	struct print *out = ctx;
	char text[PFAI_LIVE_TEXT];
	pfai_live_text(out->p, live, text, sizeof(text));
	print_str(out, text);
	print_str(out, "\n");
}

static int print_live(struct print *out)
{
	pfai_live_visit(out->p, print_live_row, out);
	return PFA_OK;
}

int pfa_print(struct pfa *p, enum pfa_print_what what, void (*write)(void *ctx, const char *bytes, size_t nr), void *ctx)
{
	int closed = pfai_closed(p, "pfa_print");
	if (closed != PFA_OK)
		return closed;
	static int (*const printers[PFA_PRINT_WHATS])(struct print *) = {
		print_buddyinfo, print_pagetypeinfo, print_json, print_map, print_live,
	};
	struct print out;
	if ((unsigned)what >= PFA_PRINT_WHATS || !write)
		return PFA_EINVAL;
	out.p = p;
	out.write = write;
	out.ctx = ctx;
	out.f = (struct pfai_fmt){ out.text, 0, sizeof(out.text) };
	int result = printers[what](&out);
	print_flush(&out);
	return result;
}
