/* SPDX-License-Identifier: MIT
 *
 * The four texts: buddyinfo, pagetypeinfo, JSON (parsed by a small strict parser), the pageblock map.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static struct rig_text text;

static const char *print(struct rig *rig, enum pfa_print_what what)
{
	rig_text_free(&text);
	EXPECT(pfa_print, PFA_OK, rig->pfa, what, rig_text_write, &text);
	assert_true(text.nr > 0 && text.largest_piece <= 128);
	assert_int_equal(strlen(text.bytes), text.nr); /* no zero inside */
	assert_int_equal(text.bytes[text.nr - 1], '\n');
	return text.bytes;
}

/* Every free block of every zone, found the slow way: aligned, free throughout, one class, and not in a larger one. */
static bool block_free(struct rig *rig, pfa_pfn pfn, unsigned order, unsigned zone)
{
	int class = -1;
	for (size_t i = 0; i < (size_t)1 << order; i++) {
		struct pfa_frame_info info = rig_info(rig, pfn + i);
		int its = info.type == PFA_TYPE_CMA || info.type == PFA_TYPE_HIGHATOMIC ? (int)info.type : PFA_TYPE_MOVABLE;
		if (info.state != PFA_FRAME_FREE || info.zone != zone || (class >= 0 && its != class))
			return false;
		class = its;
	}
	return true;
}

static void slow_count(struct rig *rig, unsigned zone, size_t counts[11])
{
	const struct pfa_zone_config *z = &rig->zones[zone];
	const unsigned max = rig->cfg.max_order;
	memset(counts, 0, 11 * sizeof(counts[0]));
	for (pfa_pfn at = z->start; at < z->start + z->nr_frames;) {
		int order = (int)max;
		while (order >= 0 && (at % (1u << order) || !block_free(rig, at, (unsigned)order, zone)))
			order--;
		if (order < 0) {
			at++;
			continue;
		}
		counts[order]++;
		at += (size_t)1 << order;
	}
}

static void start(struct rig *rig)
{
	static const struct pfa_run area = {256, 128};
	static const struct pfa_run hole = {70, 3};
	rig_init(rig);
	struct pfa_zone_config *z = rig_zone(rig, 0, 1000);
	z->name = "DMA";
	z->cma = &area;
	z->nr_cma = 1;
	z->holes = &hole;
	z->nr_holes = 1;
	z->highatomic_frames = 64;
	rig_zone(rig, 1000, 500);
	rig->cfg.cache_high = 8;
	rig_start(rig);
	pfa_pfn pfn;
	struct rng rng = {7};
	for (unsigned i = 0; i < 60; i++)
		EXPECT(pfa_alloc, PFA_OK, rig->pfa, (unsigned)rng_below(&rng, 4),
		       (uint32_t)rng_below(&rng, 3) | (rng_one_in(&rng, 10) ? PFA_HIGH : 0) |
		               PFA_ZONE(rng_below(&rng, 2)), &pfn);
}

/* Numbers at the end of a line. */
static size_t numbers(const char *s, size_t out[], size_t limit)
{
	size_t nr = 0;
	while (*s && *s != '\n') {
		char *end;
		while (*s == ' ')
			s++;
		if (!isdigit((unsigned char)*s))
			break;
		assert_true(nr < limit);
		out[nr++] = strtoul(s, &end, 10);
		s = end;
	}
	assert_int_equal(*s, '\n');
	return nr;
}

static void test_buddyinfo(void **state)
{
	(void)state;
	struct rig rig;
	static const char *const heads[] = {"Node 0, zone      DMA ", "Node 0, zone    zone1 "};
	start(&rig);
	const char *line = print(&rig, PFA_PRINT_BUDDYINFO);
	for (unsigned zone = 0; zone < 2; zone++) {
		size_t seen[9], expected[11], frames = 0;
		assert_memory_equal(line, heads[zone], strlen(heads[zone]));
		assert_int_equal(numbers(line + strlen(heads[zone]), seen, 9), 9);
		slow_count(&rig, zone, expected);
		assert_memory_equal(seen, expected, sizeof(seen));
		for (unsigned order = 0; order <= 8; order++)
			frames += seen[order] << order;
		assert_int_equal(frames, rig_stats(&rig, zone).free);
		line = strchr(line, '\n') + 1;
	}
	assert_int_equal(*line, 0);
	rig_text_free(&text);
	rig_drop(&rig);
}

/* Pageblocks of several of the largest blocks, each of several leaves. */
static void test_buddyinfo_large_pageblocks(void **state)
{
	(void)state;
	static const char head[] = "Node 0, zone    zone0 ";
	struct rig rig;
	pfa_pfn pfn;
	for (uint32_t max_order = 8; max_order <= 10; max_order++) {
		size_t seen[11], expected[11];
		rig_init(&rig);
		rig.cfg.max_order = max_order;
		rig.cfg.pageblock_order = 11;
		rig_zone(&rig, 100, 5000);
		rig_start(&rig);
		EXPECT(pfa_alloc_window, PFA_OK, rig.pfa, 3, PFA_MOVABLE, ((struct pfa_run){304, 8}), &pfn);
		const char *line = print(&rig, PFA_PRINT_BUDDYINFO);
		assert_memory_equal(line, head, strlen(head));
		assert_int_equal(numbers(line + strlen(head), seen, 11), max_order + 1);
		slow_count(&rig, 0, expected);
		assert_memory_equal(seen, expected, (max_order + 1) * sizeof(seen[0]));
		EXPECT(pfa_free, PFA_OK, rig.pfa, pfn, 3);
		rig_text_free(&text);
		rig_stop(&rig);
	}
}

static void test_pagetypeinfo(void **state)
{
	(void)state;
	static const char *const types[] = {"Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate"};
	struct rig rig;
	start(&rig);
	char *all = strdup(print(&rig, PFA_PRINT_PAGETYPEINFO));
	assert_non_null(all);
	assert_memory_equal(all, "Page block order: 6\n", 20);
	size_t offered[2] = {0, 0}, cma = 0, high = 0, per_type[2][6] = {{0}};
	unsigned rows = 0, censuses = 0;
	char *save = NULL;
	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char zone[16], type[16], number[512];
		size_t n[16];
		if (sscanf(line, "Node 0, zone %15[^,], type %15s %500[0-9 ]", zone, type, number) == 3) {
			unsigned z = strcmp(zone, "DMA") != 0;
			assert_true(rows < 12);
			assert_string_equal(type, types[rows % 6]);
			assert_int_equal(z, rows / 6);
			strcat(number, "\n");
			assert_int_equal(numbers(number, n, 16), 9);
			for (unsigned order = 0; order <= 8; order++) {
				offered[z] += n[order] << order;
				cma += strcmp(type, "CMA") == 0 ? n[order] << order : 0;
				high += strcmp(type, "HighAtomic") == 0 ? n[order] << order : 0;
			}
			rows++;
		} else if (sscanf(line, "Node 0, zone %15s %500[0-9 ]", zone, number) == 2) {
			unsigned z = strcmp(zone, "DMA") != 0;
			strcat(number, "\n");
			assert_int_equal(numbers(number, n, 16), 6);
			memcpy(per_type[z], n, sizeof(per_type[z]));
			censuses++;
		}
	}
	offered[0] -= rig_stats(&rig, 0).free;
	offered[1] -= rig_stats(&rig, 1).free;
	assert_int_equal(rows, 12);
	assert_int_equal(offered[0] + offered[1], 0);
	assert_int_equal(cma, rig_stats(&rig, 0).free_cma);
	assert_int_equal(high, rig_stats(&rig, 0).free_highatomic);
	assert_int_equal(censuses, 2);
	for (unsigned z = 0; z < 2; z++) {
		size_t expected[6] = {0};
		for (pfa_pfn pb = rig.zones[z].start / 64; pb <= (rig.zones[z].start + rig.zones[z].nr_frames - 1) / 64; pb++) {
			pfa_pfn inside = pb * 64 < rig.zones[z].start ? rig.zones[z].start : pb * 64;
			expected[rig_type(&rig, inside)]++;
		}
		assert_memory_equal(per_type[z], expected, sizeof(expected));
	}
	free(all);
	rig_text_free(&text);
	rig_drop(&rig);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

struct json {
	const char *at;
	unsigned nr_zones; /* objects begun in the array "zones" */
	char key[64];
	struct pfa_zone_stats zones[4];
	struct pfa_stats all;
	size_t nr_numbers;
	char names[4][64];
	char schema[32];
};

static void json_value(struct json *j, unsigned depth);

static void json_string(struct json *j, char *out, size_t room)
{
	size_t nr = 0;
	assert_int_equal(*j->at++, '"');
	while (*j->at != '"') {
		assert_true((unsigned char)*j->at >= 0x20); /* control characters must be escaped */
		if (*j->at == '\\') {
			j->at++;
			assert_true(*j->at && strchr("\"\\/bfnrtu", *j->at));
		}
		assert_true(nr + 1 < room);
		out[nr++] = *j->at++;
	}
	j->at++;
	out[nr] = 0;
}

static void json_store(struct json *j, unsigned depth, size_t value)
{
	j->nr_numbers++;
#define PFA_X(field, meaning)                                                    \
	if (depth == 3 && j->nr_zones <= 4 && strcmp(j->key, #field) == 0)       \
		j->zones[j->nr_zones - 1].field = value;
	PFA_ZONE_STATS(PFA_X)
#undef PFA_X
#define PFA_X(field, meaning)                              \
	if (depth == 1 && strcmp(j->key, #field) == 0)     \
		j->all.field = value;
	PFA_INSTANCE_STATS(PFA_X)
#undef PFA_X
}

static void json_members(struct json *j, unsigned depth, char close)
{
	j->at++;
	if (*j->at == close) {
		j->at++;
		return;
	}
	for (;;) {
		if (close == '}') {
			json_string(j, j->key, sizeof(j->key));
			assert_int_equal(*j->at++, ':');
		}
		json_value(j, depth + 1);
		if (*j->at == close)
			break;
		assert_int_equal(*j->at++, ',');
	}
	j->at++;
}

static void json_value(struct json *j, unsigned depth)
{
	assert_true(depth < 10);
	if (*j->at == '{') {
		if (depth == 2)
			j->nr_zones++;
		json_members(j, depth, '}');
	} else if (*j->at == '[') {
		assert_string_equal(j->key, "zones");
		json_members(j, depth, ']');
	} else if (*j->at == '"') {
		char s[64];
		json_string(j, s, sizeof(s));
		if (depth == 3 && j->nr_zones <= 4 && strcmp(j->key, "name") == 0)
			memcpy(j->names[j->nr_zones - 1], s, sizeof(s));
		if (strcmp(j->key, "schema") == 0)
			snprintf(j->schema, sizeof(j->schema), "%.31s", s);
	} else {
		char *end;
		assert_true(isdigit((unsigned char)*j->at));
		assert_false(*j->at == '0' && isdigit((unsigned char)j->at[1]));
		json_store(j, depth, strtoul(j->at, &end, 10));
		j->at = end;
	}
}

static void parse(struct json *j, const char *s)
{
	memset(j, 0, sizeof(*j));
	memset(&j->zones, 0xEE, sizeof(j->zones));
	memset(&j->all, 0xEE, sizeof(j->all));
	j->at = s;
	json_value(j, 0);
	assert_string_equal(j->at, "\n"); /* one line */
	assert_string_equal(j->schema, "pfa-stats/1");
}

static void test_json(void **state)
{
	(void)state;
	struct rig rig;
	struct json j;
	start(&rig);
	parse(&j, print(&rig, PFA_PRINT_JSON));
	assert_int_equal(j.nr_zones, 2);
	assert_string_equal(j.names[0], "DMA");
	for (unsigned zone = 0; zone < 2; zone++) {
		struct pfa_zone_stats s = rig_stats(&rig, zone);
		assert_memory_equal(&j.zones[zone], &s, sizeof(s)); /* every field is there, and right */
	}
	struct pfa_stats all = rig_events(&rig);
	assert_memory_equal(&j.all, &all, sizeof(all));
	rig_text_free(&text);
	rig_drop(&rig);
}

static void test_json_names(void **state)
{
	(void)state;
	struct rig rig;
	struct json j;
	rig_init(&rig);
	rig_zone(&rig, 0, 64)->name = "a \"quoted\" \\ name";
	rig_zone(&rig, 64, 64)->name = "tab\tnew\nline";
	rig_zone(&rig, 128, 64)->name = "";
	rig_zone(&rig, 192, 64)->name = "a name much longer than any field for it would be wide";
	rig_start(&rig);
	parse(&j, print(&rig, PFA_PRINT_JSON));
	assert_int_equal(j.nr_zones, 4);
	assert_string_equal(j.names[0], "a \"quoted\" \\ name");
	assert_string_equal(j.names[2], "");
	assert_string_equal(j.names[3], rig.zones[3].name);
	print(&rig, PFA_PRINT_BUDDYINFO);
	print(&rig, PFA_PRINT_MAP);
	rig_text_free(&text);
	rig_stop(&rig);
}

/* The map: the legend, then the pageblocks of each zone, 64 a line. */
static void test_map(void **state)
{
	(void)state;
	struct rig rig;
	pfa_pfn pfn;
	rig_init(&rig);
	rig_zone(&rig, 0, 100 * 64);
	rig.cfg.cache_high = PFA_EXPLICIT_0;
	if (rig_level == 3)
		rig.cfg.hardening = 2; /* level 3 takes any pageblock */
	rig_start(&rig);
	for (unsigned i = 0; i < 64; i++)
		EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_UNMOVABLE, &pfn);
	EXPECT(pfa_alloc, PFA_OK, rig.pfa, 0, PFA_RECLAIMABLE, &pfn);
	const char *all = print(&rig, PFA_PRINT_MAP), *line = strchr(all, '\n') + 1;
	char map[200];
	size_t nr = 0;
	assert_true(strlen(all) > 0 && line - all > 20); /* a legend */
	for (; *line; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n'), *from = line;
		if (strncmp(line, "zone ", 5) == 0)
			continue;
		while (*from == ' ' || isdigit((unsigned char)*from))
			from++;
		assert_true(end - from <= 64 && nr + (size_t)(end - from) <= sizeof(map));
		memcpy(map + nr, from, (size_t)(end - from));
		nr += (size_t)(end - from);
	}
	assert_int_equal(nr, 100);
	assert_int_equal(map[0], '#');          /* full */
	assert_int_equal(map[1], 'r');          /* partly used, reclaimable */
	for (unsigned i = 2; i < 100; i++)
		assert_int_equal(map[i], '.');  /* entirely free */
	rig_text_free(&text);
	rig_drop(&rig);
}

static void test_arguments(void **state)
{
	(void)state;
	struct rig rig;
	struct rig_text none = {0};
	rig_init(&rig);
	rig_zone(&rig, 0, 64);
	rig_start(&rig);
	EXPECT(pfa_print, PFA_EINVAL, rig.pfa, PFA_PRINT_WHATS, rig_text_write, &none);
	EXPECT(pfa_print, PFA_EINVAL, rig.pfa, (enum pfa_print_what)99, rig_text_write, &none);
	EXPECT(pfa_print, PFA_EINVAL, rig.pfa, PFA_PRINT_JSON, NULL, &none);
	assert_int_equal(none.nr, 0);
	rig_stop(&rig);
}

/* No lock is held while text is written: the writer may allocate and free. */
static void write_and_allocate(void *ctx, const char *bytes, size_t nr)
{
	struct rig *rig = ctx;
	pfa_pfn pfn;
	(void)bytes;
	MUST(nr > 0);
	MUST_EQ(pfa_alloc(rig->pfa, 3, PFA_MOVABLE, &pfn), PFA_OK);
	MUST_EQ(pfa_free(rig->pfa, pfn, 3), PFA_OK);
	MUST_EQ(pfa_cache_drain(rig->pfa, PFA_ALL_CPUS), PFA_OK);
	rig_check(rig);
	rig->nr_zero_calls++;
}

static void test_writer_may_allocate(void **state)
{
	(void)state;
	struct rig rig;
	rig_init(&rig);
	rig_zone(&rig, 0, 100 * 64);
	rig_zone(&rig, 100 * 64, 1000);
	rig_start(&rig);
	for (int what = 0; what < PFA_PRINT_WHATS; what++)
		EXPECT(pfa_print, PFA_OK, rig.pfa, (enum pfa_print_what)what, write_and_allocate, &rig);
	assert_true(rig.nr_zero_calls > 8);
	rig_stop(&rig);
}

static const struct unit_test tests[] = {
	TEST(test_buddyinfo), TEST(test_buddyinfo_large_pageblocks), TEST(test_pagetypeinfo), TEST(test_json), TEST(test_json_names), TEST(test_map),
	TEST(test_arguments), TEST(test_writer_may_allocate),
};
UNIT_MAIN(tests)
