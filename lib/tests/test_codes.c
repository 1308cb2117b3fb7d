/* SPDX-License-Identifier: MIT
 *
 * Was every documented return code of every function produced by some test? The other programs have written what they
 * saw (rig_write_codes). The table here is compared with them, and with the headers: every function that is declared
 * must be in the table, and so must every code that its comment names after @return.
 */
#define _GNU_SOURCE
#include <pfa/types.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an instance that is closed (pfa.h): every function's that takes one and returns a code. */
#define CLOSED "EMISUSE ENOTSUP"

#define ALLOC "OK ENOMEM EAGAIN EINVAL ENOTSUP ECORRUPT"
#define OWNER_CREATE "OK EINVAL ENOTSUP ENOMEM EDEADLK"

static const struct {
	const char *function, *codes; /* NULL: returns no code */
} documented[] = {
	{"pfa_error_name", NULL},
	{"pfa_config_problem_text", NULL},
	{"pfa_version", NULL},
	{"pfa_copy_frames", NULL},
	{"pfa_debug_on_unlock", NULL},
	{"pfa_debug_regions", NULL},
	{"pfa_regions", NULL},
	{"pfa_fork_prepare", "OK EBUSY"},
	{"pfa_fork_parent", NULL},
	{"pfa_fork_child", NULL},
	{"pfa_size", "OK EINVAL"},
	{"pfa_init", "OK EINVAL"},
	{"pfa_fini", "OK EBUSY ECORRUPT EDEADLK"},
	{"pfa_alloc", ALLOC},
	{"pfa_free", "OK EMISUSE ECORRUPT"},
	{"pfa_alloc_bulk", ALLOC},
	{"pfa_free_bulk", "OK EMISUSE ECORRUPT"},
	{"pfa_alloc_exact", ALLOC},
	{"pfa_alloc_window", ALLOC},
	{"pfa_split", "OK EINVAL EMISUSE ECORRUPT"},
	{"pfa_free_range", "OK EINVAL EMISUSE ECORRUPT"},
	{"pfa_ptr", "OK ERANGE ENOTSUP"},
	{"pfa_pfn_of", "OK ERANGE ENOTSUP"},
	{"pfa_alloc_ptr", ALLOC},
	{"pfa_free_ptr", "OK EMISUSE ECORRUPT ENOTSUP"},
	{"pfa_history", "OK ERANGE ENOTSUP"},
	{"pfa_trace", "OK ERANGE ENOTSUP"},
	{"pfa_event_text", NULL},
	{"pfa_frame_text", NULL},
	{"pfa_alloc_checked", ALLOC},
	{"pfa_handle_of", "OK EMISUSE ENOTSUP"},
	{"pfa_free_checked", "OK EMISUSE ECORRUPT ENOTSUP"},
	{"pfa_largest_free", "OK ENOMEM EINVAL ECORRUPT"},
	{"pfa_would_succeed", "OK ENOMEM EINVAL ENOTSUP ECORRUPT"},
	{"pfa_cache_drain", "OK EINVAL ECORRUPT EBUSY EDEADLK"},
	{"pfa_cache_purge", "OK ERANGE ECORRUPT EBUSY EDEADLK"},
	{"pfa_cache_disable", "OK EAGAIN EBUSY ECORRUPT EDEADLK"},
	{"pfa_cache_enable", "OK EINVAL EBUSY EDEADLK"},
	{"pfa_service", "OK EAGAIN EBUSY EINVAL ECORRUPT EDEADLK"},
	{"pfa_stats_get", "OK EINVAL"},
	{"pfa_zone_stats_get", "OK EINVAL EBUSY"},
	{"pfa_print", "OK EINVAL EBUSY"},
	{"pfa_repair", "OK EINVAL EBUSY"},
	{"pfa_mark_bad", "OK EAGAIN ERANGE ECORRUPT EDEADLK"},
	{"pfa_migrate_tries", NULL},
	{"pfa_owner_create", "OK ENOTSUP EINVAL ENOMEM EDEADLK"},
	{"pfa_owner_destroy", "OK ENOTSUP EINVAL EBUSY EDEADLK"},
	{"pfa_movable_set", "OK EINVAL EBUSY ERANGE ENOTSUP EDEADLK"},
	{"pfa_movable_clear", "OK EBUSY EINVAL ERANGE ENOTSUP EDEADLK"},
	{"pfa_pin", "OK EINVAL EAGAIN EBUSY EDEADLK ERANGE ENOTSUP"},
	{"pfa_unpin", "OK EMISUSE ERANGE ENOTSUP ECORRUPT"},
	{"pfa_page_lock", "OK EINVAL EDEADLK ERANGE ENOTSUP"},
	{"pfa_page_trylock", "OK EINVAL EDEADLK ERANGE ENOTSUP EBUSY"},
	{"pfa_page_unlock", "OK EMISUSE EDEADLK ERANGE ENOTSUP ECORRUPT"},
	{"pfa_movable_info", "OK EINVAL ERANGE ENOTSUP"},
	{"pfa_migrate", "OK EAGAIN EINVAL ENOTSUP EDEADLK"},
	{"pfa_compact", "OK ENOMEM EBUSY EINVAL ENOTSUP EDEADLK ECORRUPT"},
	{"pfa_report_register", "OK EBUSY EINVAL ENOTSUP EDEADLK"},
	{"pfa_report_unregister", "OK EINVAL EBUSY ENOTSUP EDEADLK"},
	{"pfa_report_suspend", "OK EINVAL EBUSY ENOTSUP EDEADLK"},
	{"pfa_report_resume", "OK EINVAL EBUSY ENOTSUP EDEADLK"},
	{"pfa_report_flush", "OK EAGAIN EDEVICE EBUSY EINVAL ECORRUPT ENOTSUP EDEADLK"},
	{"pfa_walk_free", "OK ESTOP EINVAL EDEADLK ECORRUPT"},
	{"pfa_isolate_range", "OK EBUSY EAGAIN ENOMEM ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_undo_isolate_range", "OK EMISUSE ERANGE EINVAL EBUSY ECORRUPT"},
	{"pfa_test_isolated", "OK EBUSY EMISUSE ERANGE EINVAL ECORRUPT"},
	{"pfa_alloc_contig_range", "OK EBUSY EAGAIN ENOMEM ERANGE EINVAL ENOTSUP EDEADLK ECORRUPT"},
	{"pfa_alloc_contig", "OK ENOMEM EAGAIN EINVAL EBUSY ENOTSUP EDEADLK ECORRUPT"},
	{"pfa_free_contig_range", "OK EINVAL EMISUSE ECORRUPT"},
	{"pfa_cma_create", "OK EBUSY EAGAIN ENOMEM ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_cma_destroy", "OK EBUSY EINVAL EDEADLK ECORRUPT"},
	{"pfa_cma_find", "OK ERANGE"},
	{"pfa_cma_alloc", "OK ENOMEM EAGAIN EBUSY EINVAL ENOTSUP EDEADLK ECORRUPT"},
	{"pfa_cma_release", "OK EINVAL EMISUSE ECORRUPT"},
	{"pfa_cma_stats", "OK EINVAL EBUSY"},
	{"pfa_offline_range", "OK EBUSY EAGAIN ENOMEM ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_online_range", "OK EBUSY ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_add_range", "OK EBUSY ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_remove_range", "OK EBUSY ERANGE EINVAL EDEADLK ECORRUPT"},
	{"pfa_frame_info", "OK EBUSY"},
	{"pfa_pageblock_info", "OK ERANGE EBUSY"},
	{"pfa_check", "OK ECORRUPT EINVAL EBUSY"},
	{"pfa_check_range", "OK ECORRUPT EINVAL EBUSY ERANGE"},
	{"pfa_balloon_bytes", NULL},
	{"pfa_balloon_create", OWNER_CREATE},
	{"pfa_balloon_destroy", "OK EMISUSE ECORRUPT EDEADLK"},
	{"pfa_balloon_inflate", "OK ENOMEM EAGAIN EDEVICE EINVAL ECORRUPT EDEADLK"},
	{"pfa_balloon_deflate", "OK EMISUSE ECORRUPT"},
	{"pfa_balloon_low_memory", NULL},
	{"pfa_balloon_frames", NULL},
	{"pfa_balloon_moves", NULL},
	{"pfa_zstore_bytes", NULL},
	{"pfa_zstore_max_bytes", NULL},
	{"pfa_zstore_create", OWNER_CREATE},
	{"pfa_zstore_destroy", "OK EMISUSE ECORRUPT EDEADLK"},
	{"pfa_zstore_put", "OK EINVAL ENOMEM EAGAIN ENOTSUP EDEADLK ECORRUPT"},
	{"pfa_zstore_get", "OK EINVAL ERANGE ECORRUPT"},
	{"pfa_zstore_delete", "OK EINVAL EMISUSE ECORRUPT"},
	{"pfa_zstore_stats_get", NULL},
	{"pfa_mapped_create", OWNER_CREATE " EDEVICE"},
	{"pfa_mapped_destroy", "OK EBUSY EDEADLK"},
	{"pfa_mapped_way_of", NULL},
	{"pfa_mapped_alloc", "OK EINVAL ENOMEM EAGAIN ENOTSUP ECORRUPT EDEADLK"},
	{"pfa_mapped_free", "OK EINVAL EBUSY ENOMEM ECORRUPT EMISUSE"},
	{"pfa_mapped_pin", "OK EINVAL EAGAIN"},
	{"pfa_mapped_unpin", "OK EINVAL"},
	{"pfa_mapped_head", "OK EINVAL"},
	{"pfa_mapped_batch_begin", NULL},
	{"pfa_mapped_batch_end", NULL},
	{"pfa_mapped_move", "OK EAGAIN EINVAL EDEADLK"},
	{"pfa_mapped_stats_get", NULL},
	{"pfa_discard_init", "OK EINVAL ENOTSUP ENOMEM"},
	{"pfa_discard_device", NULL},
	{"pfa_discard_stats_get", NULL},
	{"pfa_host_bytes", NULL},
	{"pfa_host_init", "OK EINVAL"},
	{"pfa_host_device", NULL},
	{"pfa_host_granted", "OK EINVAL ECORRUPT"},
	{"pfa_host_check", "OK ECORRUPT"},
	{"pfa_host_forget", NULL},
};
enum { NR_DOCUMENTED = sizeof(documented) / sizeof(documented[0]) };

static unsigned failures;

/* The headers of the owners that are built. */
static char **owners;
static int nr_owners;

/* Of an owner's or a device's function: its header. NULL: it is the core's. */
static const char *owner_header(int function)
{
	static const char *const headers[][2] = {
		{"balloon_", "balloon.h"}, {"zstore_", "zstore.h"}, {"mapped_", "mapped.h"}, {"discard_", "devices.h"}, {"host_", "devices.h"},
	};
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (strncmp(documented[function].function + 4, headers[i][0], strlen(headers[i][0])) == 0)
			return headers[i][1];
	return NULL;
}

static bool is_built(int function)
{
	const char *header = owner_header(function);
	for (int i = 0; i < nr_owners && header; i++)
		if (strcmp(owners[i], header) == 0)
			return true;
	return !header;
}

static int find_function(const char *name, size_t length)
{
	for (int i = 0; i < NR_DOCUMENTED; i++)
		if (strlen(documented[i].function) == length && strncmp(documented[i].function, name, length) == 0)
			return i;
	return -1;
}

static const char *closed_codes(int function)
{
	const char *name = documented[function].function;
	bool works = strcmp(name, "pfa_size") == 0 || strcmp(name, "pfa_init") == 0 || strcmp(name, "pfa_history") == 0 ||
	             strcmp(name, "pfa_trace") == 0 || owner_header(function);
	return works || !documented[function].codes ? "" : CLOSED;
}

static bool in_list(const char *at, const char *code, size_t length)
{
	for (; at && *at; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, " ") == length && strncmp(at, code, length) == 0)
			return true;
	return false;
}

static bool has_code(int function, const char *code, size_t length)
{
	return in_list(documented[function].codes, code, length) || in_list(closed_codes(function), code, length);
}

/* ---- what was produced ---------------------------------------------------------------------------------------------- */

static char *read_all(const char *dir, const char *name)
{
	char path[4096], *text = NULL;
	size_t nr = 0;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "r");
	if (!f) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(2);
	}
	for (size_t got = 1; got; nr += got) {
		text = realloc(text, nr + 65536 + 1);
		if (!text)
			exit(2);
		got = fread(text + nr, 1, 65536, f);
	}
	text[nr] = 0;
	fclose(f);
	return text;
}

static char *produced; /* lines "function PFA_CODE" of all programs, each beginning with a newline */

static void read_produced(const char *dir)
{
	DIR *d = opendir(dir);
	size_t nr = 0;
	unsigned files = 0;
	if (!d) {
		fprintf(stderr, "cannot read %s\n", dir);
		exit(2);
	}
	produced = calloc(1, 1);
	for (struct dirent *e; (e = readdir(d));) {
		const char *dot = strrchr(e->d_name, '.');
		if (!dot || strcmp(dot, ".codes") != 0)
			continue;
		char *text = read_all(dir, e->d_name);
		produced = realloc(produced, nr + strlen(text) + 2);
		if (!produced)
			exit(2);
		nr += (size_t)sprintf(produced + nr, "\n%s", text);
		free(text);
		files++;
	}
	closedir(d);
	printf("%u programs wrote what they produced\n", files);
}

/* Returns how many codes the list has. */
static unsigned compare_list(const char *function, const char *at)
{
	unsigned pairs = 0;
	for (; at && *at; at += strcspn(at, " "), at += *at == ' ') {
		char line[100];
		snprintf(line, sizeof(line), "\n%s PFA_%.*s\n", function, (int)strcspn(at, " "), at);
		pairs++;
		if (strstr(produced, line))
			continue;
		fprintf(stderr, "never produced: %s", line + 1);
		failures++;
	}
	return pairs;
}

static void compare_produced(void)
{
	unsigned pairs = 0;
	for (int i = 0; i < NR_DOCUMENTED; i++)
		if (is_built(i))
			pairs += compare_list(documented[i].function, documented[i].codes) +
			         compare_list(documented[i].function, closed_codes(i));
	for (char *save = NULL, *line = strtok_r(produced, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char function[64], code[32];
		int i;
		if (sscanf(line, "%63s PFA_%31s", function, code) != 2)
			continue;
		i = find_function(function, strlen(function));
		if (i >= 0 && has_code(i, code, strlen(code)))
			continue;
		fprintf(stderr, "produced, but not documented: %s PFA_%s\n", function, code);
		failures++;
	}
	printf("%u documented pairs of function and code\n", pairs);
}

/* ---- what the headers say -------------------------------------------------------------------------------------------- */

/* Codes named in a comment after @return, up to the next @word. */
static void compare_comment(int function, const char *comment, const char *end)
{
	const char *at = strstr(comment, "@return");
	if (!at || at > end)
		return;
	for (at += 7; at < end && *at != '@'; at++) {
		if (strncmp(at, "PFA_", 4) != 0)
			continue;
		at += 4;
		size_t length = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (length < 2 || (at[0] != 'E' && strncmp(at, "OK", 2) != 0) || at[length] == '_')
			continue;
		if (!has_code(function, at, length)) {
			fprintf(stderr, "%s: the header names PFA_%.*s, the table here does not\n", documented[function].function,
			        (int)length, at);
			failures++;
		}
	}
}

static void compare_header(const char *dir, const char *name, bool seen[NR_DOCUMENTED])
{
	char *text = read_all(dir, name), *comment = text;
	for (char *at = text; *at;) {
		if (strncmp(at, "/*", 2) == 0) {
			comment = at;
			at = strstr(at, "*/");
			at = at ? at + 2 : comment + strlen(comment);
			continue;
		}
		size_t line = strcspn(at, "\n");
		if (strncmp(at, "PFA_API", 7) == 0 || strncmp(at, "PFA_NODISCARD PFA_API", 21) == 0) {
			char *open = memchr(at, '(', line), *start = open;
			while (start && start > at && (start[-1] == '_' || (start[-1] >= 'a' && start[-1] <= 'z')))
				start--;
			int i = open ? find_function(start, (size_t)(open - start)) : -1;
			if (i < 0) {
				fprintf(stderr, "%s: not in the table here: %.*s\n", name, (int)line, at);
				failures++;
			} else {
				seen[i] = true;
				compare_comment(i, comment, at);
			}
		}
		/* on to the next line, or to a comment that begins in this one */
		char *next_comment = memmem(at, line, "/*", 2);
		at = next_comment ? next_comment : at + line + (at[line] == '\n');
	}
	free(text);
}

int main(int argc, char **argv)
{
	static const char *const headers[] = {"types.h", "config.h", "pfa.h", "stats.h", "debug.h", "harden.h", "copy.h", "movable.h", "compact.h", "walk.h", "contig.h", "cma.h", "hotplug.h", "report.h"};
	bool seen[NR_DOCUMENTED] = {false};
	if (argc < 3) {
		fprintf(argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr,
		        "usage: test_codes CODES_DIR HEADER_DIR [HEADER_OF_AN_OWNER ...]\n");
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	owners = argv + 3;
	nr_owners = argc - 3;
	read_produced(argv[1]);
	compare_produced();
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		compare_header(argv[2], headers[i], seen);
	for (int i = 0; i < nr_owners; i++)
		compare_header(argv[2], owners[i], seen);
	for (int i = 0; i < NR_DOCUMENTED; i++) {
		if (!seen[i] && is_built(i)) {
			fprintf(stderr, "no header declares %s\n", documented[i].function);
			failures++;
		}
	}
	free(produced);
	return failures ? 1 : 0;
}
