/* SPDX-License-Identifier: MIT
 *
 * The parts of the snapshot program: which memory was written to, and the file.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- track.c: what was written to ---- */

enum track_way { TRACK_AUTO, TRACK_UFFD, TRACK_MPROTECT };

/* Writes to a mapping of a memfd, in chunks. */
struct track {
	enum track_way way;
	unsigned char *base;
	size_t chunk, nr_chunks; /* bytes of a chunk */
	_Atomic(unsigned char) *dirty;
	int uffd, wake[2];       /* TRACK_UFFD: the descriptor, and a pipe that ends its thread */
	pthread_t thread;
};

/* From now on each chunk is dirty, and not yet watched. AUTO: userfaultfd where it works, else mprotect(). NULL: fine; else what
 * failed. One tracker at a time where mprotect() is the way: its handler of SIGSEGV is the process's. */
const char *track_start(struct track *t, enum track_way way, void *base, size_t bytes, int fd);
/* Was the chunk written to since the last time? Then it is watched again: who copies it now misses nothing, since whatever is
 * written later makes it dirty once more. */
bool track_take(struct track *t, size_t chunk);
/* Was it? Nothing is changed. */
bool track_is_dirty(const struct track *t, size_t chunk);
size_t track_nr_dirty(const struct track *t);
/* All threads that write must be at rest. */
void track_stop(struct track *t);

/* ---- image.c: the file ---- */

/* Header, a checksum for each frame (0: the frame is free, and not in the file), frames at their place. Sparse. */
struct image_header {
	uint64_t magic, version;
	uint64_t frame_bytes, nr_frames, nr_used;
	uint64_t data_at, length; /* where frames begin; of the file */
	uint64_t table_sum, sum;  /* of the checksums; of all fields before this one */
};

struct image {
	char path[4000], part[4096];
	int fd;
	struct image_header header;
	uint64_t *sums;
	uint64_t bytes_written; /* frames */
};

/* All of these return NULL, or what went wrong (errno says why, if it is not 0). Nothing is at `path` before image_finish(). */
const char *image_create(struct image *i, const char *path, size_t frame_bytes, size_t nr_frames);
const char *image_put(struct image *i, size_t first, size_t nr, const void *bytes);
void image_leave_out(struct image *i, size_t frame);
const char *image_finish(struct image *i);
/* Takes away what is there of an image that is not finished. */
void image_abort(struct image *i);

/* Reads an image into fresh memory of its own (munmap(*out, nr_frames * frame_bytes)), frames that were free as zeroes; i->sums
 * says which. Refuses what is not whole. Then image_close(). */
const char *image_load(struct image *i, const char *path, unsigned char **out);
void image_close(struct image *i);

#endif
