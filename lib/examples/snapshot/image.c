/* SPDX-License-Identifier: MIT
 *
 * The file. It is written beside its place under another name, and gets its name when all of it is on the disk: what has the
 * name is whole. The checksums are against accidents, not against forgery.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_MAGIC UINT64_C(0x70616e7361667001) /* also tells the order of bytes */
#define IMAGE_PAGE 4096u                         /* frames begin at a multiple of it */
#define IMAGE_PIECE ((size_t)1 << 20)            /* bytes a system call */

/* Of whole words. */
static uint64_t image_sum(const void *bytes, size_t nr)
{
	uint64_t sum = nr ^ UINT64_C(0x9E3779B97F4A7C15), word;
	for (size_t i = 0; i + sizeof(word) <= nr; i += sizeof(word)) {
		memcpy(&word, (const unsigned char *)bytes + i, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0xFF51AFD7ED558CCD);
		sum ^= sum >> 29;
	}
	return sum ? sum : 1;
}

static bool image_write(int fd, const void *bytes, size_t nr, uint64_t at)
{
	const unsigned char *from = bytes;
	while (nr) {
		ssize_t done = pwrite(fd, from, nr < IMAGE_PIECE ? nr : IMAGE_PIECE, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		from += done;
		nr -= (size_t)done;
		at += (uint64_t)done;
	}
	return true;
}

static bool image_read(int fd, void *bytes, size_t nr, uint64_t at)
{
	unsigned char *to = bytes;
	while (nr) {
		ssize_t done = pread(fd, to, nr < IMAGE_PIECE ? nr : IMAGE_PIECE, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done < 0 ? errno : 0;
			return false;
		}
		to += done;
		nr -= (size_t)done;
		at += (uint64_t)done;
	}
	return true;
}

static uint64_t image_data_at(uint64_t nr_frames)
{
	return (sizeof(struct image_header) + nr_frames * sizeof(uint64_t) + IMAGE_PAGE - 1) / IMAGE_PAGE * IMAGE_PAGE;
}

/* ---- writing ---- */

const char *image_create(struct image *i, const char *path, size_t frame_bytes, size_t nr_frames)
{
	memset(i, 0, sizeof(*i));
	i->fd = -1;
	if (snprintf(i->path, sizeof(i->path), "%s", path) >= (int)sizeof(i->path))
		return "the name is too long";
	(void)snprintf(i->part, sizeof(i->part), "%s.part-%ld", i->path, (long)getpid());
	i->header = (struct image_header){.magic = IMAGE_MAGIC, .version = 1, .frame_bytes = frame_bytes, .nr_frames = nr_frames,
	                                  .data_at = image_data_at(nr_frames)};
	i->header.length = i->header.data_at + (uint64_t)nr_frames * frame_bytes;
	i->sums = calloc(nr_frames, sizeof(*i->sums));
	if (!i->sums)
		return "no memory";
	i->fd = open(i->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return i->fd < 0 ? "cannot create the file" : NULL;
}

const char *image_put(struct image *i, size_t first, size_t nr, const void *bytes)
{
	const size_t frame = (size_t)i->header.frame_bytes;
	if (!image_write(i->fd, bytes, nr * frame, i->header.data_at + (uint64_t)first * frame))
		return "cannot write";
	for (size_t k = 0; k < nr; k++)
		i->sums[first + k] = image_sum((const unsigned char *)bytes + k * frame, frame);
	i->bytes_written += nr * frame;
	return NULL;
}

void image_leave_out(struct image *i, size_t frame)
{
	i->sums[frame] = 0;
}

/* A new name is on the disk when its directory is. */
static bool image_sync_directory(const char *path)
{
	char copy[sizeof(((struct image *)0)->path)];
	(void)snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool done = fsync(fd) == 0 || errno == EINVAL; /* not every file system can */
	(void)close(fd);
	return done;
}

const char *image_finish(struct image *i)
{
	struct image_header *h = &i->header;
	const size_t table = (size_t)h->nr_frames * sizeof(uint64_t);
	for (size_t k = 0; k < h->nr_frames; k++)
		h->nr_used += i->sums[k] != 0;
	h->table_sum = image_sum(i->sums, table);
	h->sum = image_sum(h, offsetof(struct image_header, sum));
	if (ftruncate(i->fd, (off_t)h->length) != 0 || !image_write(i->fd, i->sums, table, sizeof(*h)) ||
	    !image_write(i->fd, h, sizeof(*h), 0))
		return "cannot write";
	if (fsync(i->fd) != 0)
		return "cannot write to the disk";
	if (rename(i->part, i->path) != 0)
		return "cannot rename the file";
	i->part[0] = 0;
	if (!image_sync_directory(i->path))
		return "cannot write the directory to the disk";
	image_close(i);
	return NULL;
}

void image_abort(struct image *i)
{
	const int err = errno;
	if (i->fd >= 0 && i->part[0])
		(void)unlink(i->part);
	image_close(i);
	errno = err;
}

void image_close(struct image *i)
{
	if (i->fd >= 0)
		(void)close(i->fd);
	free(i->sums);
	i->fd = -1;
	i->sums = NULL;
}

/* ---- reading ---- */

static const char *image_load_header(struct image *i)
{
	const struct image_header *h = &i->header;
	struct stat file;
	if (fstat(i->fd, &file) != 0)
		return "cannot read";
	errno = 0;
	if (!image_read(i->fd, &i->header, sizeof(i->header), 0) || h->magic != IMAGE_MAGIC || h->version != 1)
		return errno ? "cannot read" : "this is no snapshot";
	if (h->sum != image_sum(h, offsetof(struct image_header, sum)))
		return "the header is damaged";
	if (h->frame_bytes == 0 || h->frame_bytes % sizeof(uint64_t) || h->nr_frames == 0 ||
	    h->nr_frames > SIZE_MAX / 2 / sizeof(uint64_t) || h->frame_bytes > SIZE_MAX / 2 / h->nr_frames ||
	    h->data_at != image_data_at(h->nr_frames))
		return "this machine cannot hold it";
	if (h->length != (uint64_t)file.st_size || h->length != h->data_at + h->nr_frames * h->frame_bytes)
		return "the file is not as long as it was";
	return NULL;
}

static const char *image_load_frames(struct image *i, unsigned char *to)
{
	const size_t frame = (size_t)i->header.frame_bytes, nr = (size_t)i->header.nr_frames;
	for (size_t first = 0, end; first < nr; first = end) {
		end = first + 1;
		if (i->sums[first] == 0)
			continue;
		while (end < nr && i->sums[end] != 0)
			end++;
		if (!image_read(i->fd, to + first * frame, (end - first) * frame, i->header.data_at + (uint64_t)first * frame))
			return "cannot read";
		for (size_t k = first; k < end; k++)
			if (image_sum(to + k * frame, frame) != i->sums[k])
				return "a frame is damaged";
	}
	return NULL;
}

const char *image_load(struct image *i, const char *path, unsigned char **out)
{
	memset(i, 0, sizeof(*i));
	errno = 0;
	i->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (i->fd < 0)
		return "cannot open the file";
	const char *wrong = image_load_header(i);
	if (wrong)
		return wrong;
	const size_t table = (size_t)i->header.nr_frames * sizeof(uint64_t), bytes = (size_t)(i->header.nr_frames * i->header.frame_bytes);
	i->sums = malloc(table);
	if (!i->sums)
		return "no memory";
	if (!image_read(i->fd, i->sums, table, sizeof(i->header)))
		return "cannot read";
	if (image_sum(i->sums, table) != i->header.table_sum)
		return "the table of frames is damaged";
	unsigned char *to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (to == MAP_FAILED)
		return "no memory";
	wrong = image_load_frames(i, to);
	if (wrong)
		(void)munmap(to, bytes);
	else
		*out = to;
	return wrong;
}
