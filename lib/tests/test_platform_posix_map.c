/* SPDX-License-Identifier: MIT
 *
 * platform/posix: mapped memory. Built twice: as it is, and with PFA_POSIX_PLAIN.
 */
#include "posix_rig.h"

static void map_anonymous(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 3 * page + 1, 0, PFA_POSIX_ANON), PFA_OK);
	assert_int_equal(region.bytes, 3 * page + 1);
	assert_int_equal(region.map_bytes, 4 * page);
	assert_int_equal(region.fd, -1);
	assert_int_equal(region.err, 0);
	assert_null(region.failed);
	unsigned char *bytes = region.base;
	for (size_t i = 0; i < region.map_bytes; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 0x5a, region.map_bytes);
	assert_int_equal(mapped_pages(), before + 4);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_null(region.base);
	assert_false(is_mapped(bytes));
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK); /* nothing left: fine */
}

static void map_aligned(void **state)
{
	static const unsigned shifts[] = { 0, 6, 12, 13, 16, 21, 26 };
	struct pfa_posix_region region;
	size_t page = system_page();

	(void)state;
	for (unsigned flags = 0; flags <= PFA_POSIX_HUGE; flags += PFA_POSIX_HUGE)
		for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
			size_t before = mapped_pages(), align = (size_t)1 << shifts[i];
			assert_int_equal(pfa_posix_map(&region, 5 * page, align, flags), PFA_OK);
			assert_int_equal((uintptr_t)region.base % align, 0);
			assert_int_equal((uintptr_t)region.base % (flags ? 2 * MIB : page), 0);
			assert_int_equal(mapped_pages(), before + 5); /* what was cut off is gone */
			memset(region.base, 1, 5 * page);
			assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
			assert_int_equal(mapped_pages(), before);
		}
}

static void map_refuses_arguments(void **state)
{
	struct pfa_posix_region region;
	size_t before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 0, 0, 0), PFA_EINVAL);
	assert_int_equal(region.err, EINVAL);
	assert_null(region.base);
	assert_int_equal(pfa_posix_map(&region, 4096, 3, 0), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, SIZE_MAX, 0), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, 0, PFA_POSIX_NO_POOL), PFA_EINVAL);
	assert_int_equal(pfa_posix_map(&region, 4096, 0, 1u << 31), PFA_EINVAL);
	assert_int_equal(mapped_pages(), before);
}

static void map_absurd_sizes(void **state)
{
	static const unsigned flags[] = { PFA_POSIX_ANON, PFA_POSIX_MEMFD, PFA_POSIX_RESERVE };
	size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 16 * 15, SIZE_MAX - system_page() + 1 };
	struct pfa_posix_region region;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	for (size_t f = 0; f < 3; f++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			assert_int_equal(pfa_posix_map(&region, sizes[i], 0, flags[f]), PFA_ENOMEM);
			assert_int_equal(region.err, ENOMEM);
			assert_string_equal(region.failed, "mmap");
			assert_null(region.base);
		}
	/* Each could be had, but together, for cutting an aligned piece out, they overflow. */
	assert_int_equal(pfa_posix_map(&region, SIZE_MAX / 4 * 3, SIZE_MAX / 2 + 1, 0), PFA_ENOMEM);
	assert_int_equal(region.err, ENOMEM);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void map_over_the_limit(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();

	(void)state;
	limit_set(RLIMIT_AS, before * system_page() + 16 * MIB, &saved);
	int refused = pfa_posix_map(&region, 64 * MIB, 0, PFA_POSIX_ANON), err = region.err;
	int fits = pfa_posix_map(&region, 4 * MIB, 0, PFA_POSIX_ANON);
	limit_restore(RLIMIT_AS, &saved);
	assert_int_equal(refused, PFA_ENOMEM);
	assert_int_equal(err, ENOMEM);
	assert_int_equal(fits, PFA_OK);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_int_equal(mapped_pages(), before);
}

static void map_reserved(void **state)
{
	static const unsigned backings[] = { PFA_POSIX_ANON, PFA_POSIX_MEMFD };
	size_t page = system_page();

	(void)state;
	for (int i = 0; i < 2 - TEST_PLAIN; i++) {
		struct pfa_posix_region region;
		size_t before = mapped_pages();
		int fd = next_fd();
		unsigned flags = backings[i] | PFA_POSIX_RESERVE;
		assert_int_equal(pfa_posix_map(&region, 8 * page, 0, flags), PFA_OK);
		unsigned char *bytes = region.base;
		assert_false(is_readable(bytes));
		assert_int_equal(pfa_posix_commit(&region, 2 * page, 3 * page), PFA_OK);
		assert_false(is_readable(bytes + page));
		assert_true(is_readable(bytes + 2 * page));
		assert_true(is_readable(bytes + 4 * page));
		assert_false(is_readable(bytes + 5 * page));
		for (size_t k = 2 * page; k < 5 * page; k++)
			assert_int_equal(bytes[k], 0);
		memset(bytes + 2 * page, 0x77, 3 * page);
		assert_int_equal(pfa_posix_decommit(&region, 3 * page, page), PFA_OK);
		assert_false(is_readable(bytes + 3 * page));
		assert_int_equal(bytes[2 * page], 0x77);
		assert_int_equal(pfa_posix_commit(&region, 0, 8 * page), PFA_OK);
		assert_int_equal(bytes[3 * page - 1], 0x77);
		assert_int_equal(bytes[4 * page], 0x77);
		for (size_t k = 3 * page; k < 4 * page; k++)
			assert_int_equal(bytes[k], 0); /* the old content is gone */
		assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
		assert_int_equal(mapped_pages(), before);
		assert_int_equal(next_fd(), fd);
	}
}

static void commit_refuses_arguments(void **state)
{
	struct pfa_posix_region region, none = { 0 };
	size_t page = system_page();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4 * page, 0, PFA_POSIX_RESERVE), PFA_OK);
	const struct {
		size_t offset, bytes;
	} bad[] = {
		{ 0, 0 },           { 1, page },        { 0, page + 1 },            { 0, 5 * page },
		{ 4 * page, page }, { 8 * page, page }, { SIZE_MAX - page + 1, page },
		{ page, SIZE_MAX - page + 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pfa_posix_commit(&region, bad[i].offset, bad[i].bytes), PFA_EINVAL);
		assert_int_equal(region.err, EINVAL);
		assert_int_equal(pfa_posix_decommit(&region, bad[i].offset, bad[i].bytes), PFA_EINVAL);
	}
	assert_false(is_readable(region.base));
	assert_int_equal(pfa_posix_commit(&none, 0, page), PFA_EINVAL);
	assert_int_equal(pfa_posix_decommit(&none, 0, page), PFA_EINVAL);
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
}

#ifdef PFA_POSIX_PLAIN

static void memfd_is_not_supported(void **state)
{
	struct pfa_posix_region region;
	size_t before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4096, 0, PFA_POSIX_MEMFD), PFA_ENOTSUP);
	assert_int_equal(region.err, ENOSYS);
	assert_string_equal(region.failed, "memfd_create");
	assert_null(region.base);
	assert_int_equal(mapped_pages(), before);
}

#else

static void memfd_is_shared(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();
	unsigned char seen[4] = { 0 };
	int fd = next_fd();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 4 * page, 2 * MIB, PFA_POSIX_MEMFD), PFA_OK);
	unsigned char *bytes = region.base;
	assert_int_equal((uintptr_t)bytes % (2 * MIB), 0);
	assert_int_equal(region.fd, fd);
	assert_true((fcntl(region.fd, F_GETFD) & FD_CLOEXEC) != 0);
	for (size_t i = 0; i < 4 * page; i++)
		assert_int_equal(bytes[i], 0);
	memcpy(bytes + page, "abc", 4);
	assert_int_equal(pread(region.fd, seen, 4, (off_t)page), 4);
	assert_string_equal((char *)seen, "abc");
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
	assert_int_equal(region.fd, -1);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void memfd_without_files(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	limit_set(RLIMIT_NOFILE, (rlim_t)fd, &saved);
	int code = pfa_posix_map(&region, 4096, 0, PFA_POSIX_MEMFD);
	limit_restore(RLIMIT_NOFILE, &saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_int_equal(region.err, EMFILE);
	assert_string_equal(region.failed, "memfd_create");
	assert_null(region.base);
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

static void memfd_over_the_file_limit(void **state)
{
	struct pfa_posix_region region;
	struct rlimit saved;
	size_t before = mapped_pages();
	int fd = next_fd();

	(void)state;
	limit_set(RLIMIT_FSIZE, MIB, &saved); /* would kill the process if it were met by the kernel */
	int code = pfa_posix_map(&region, 2 * MIB, 0, PFA_POSIX_MEMFD);
	limit_restore(RLIMIT_FSIZE, &saved);
	assert_int_equal(code, PFA_ENOMEM);
	assert_int_equal(region.err, EFBIG);
	assert_string_equal(region.failed, "ftruncate");
	assert_int_equal(mapped_pages(), before);
	assert_int_equal(next_fd(), fd);
}

/* Somebody closed our file behind our back. */
static void memfd_closed(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page(), before = mapped_pages();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 2 * page, 0, PFA_POSIX_MEMFD), PFA_OK);
	unsigned char *bytes = region.base;
	bytes[page] = 9;
	(void)close(region.fd);
	assert_int_equal(pfa_posix_decommit(&region, 0, 2 * page), PFA_EINVAL);
	assert_int_equal(region.err, EBADF);
	assert_string_equal(region.failed, "fallocate");
	assert_int_equal(bytes[page], 9); /* content and access are as before */
	bytes[0] = 1;
	assert_int_equal(pfa_posix_unmap(&region), PFA_EINVAL);
	assert_int_equal(region.err, EBADF);
	assert_string_equal(region.failed, "close");
	assert_null(region.base);
	assert_int_equal(region.fd, -1);
	assert_int_equal(mapped_pages(), before);
}

static void decommit_of_locked_memory(void **state)
{
	struct pfa_posix_region region;
	size_t page = system_page();

	(void)state;
	assert_int_equal(pfa_posix_map(&region, 2 * page, 0, PFA_POSIX_ANON), PFA_OK);
	unsigned char *bytes = region.base;
	bytes[0] = 8;
	if (syscall(SYS_mlock, bytes, 2 * page) != 0) { /* sanitizers replace mlock() */
		assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
		skip();
	}
	assert_int_equal(pfa_posix_decommit(&region, 0, 2 * page), PFA_EINVAL);
	assert_string_equal(region.failed, "madvise");
	assert_int_equal(bytes[0], 8);
	bytes[page] = 1;
	assert_int_equal(pfa_posix_unmap(&region), PFA_OK);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_anonymous),
		cmocka_unit_test(map_aligned),
		cmocka_unit_test(map_refuses_arguments),
		cmocka_unit_test(map_absurd_sizes),
		cmocka_unit_test(map_over_the_limit),
		cmocka_unit_test(map_reserved),
		cmocka_unit_test(commit_refuses_arguments),
#ifdef PFA_POSIX_PLAIN
		cmocka_unit_test(memfd_is_not_supported),
#else
		cmocka_unit_test(memfd_is_shared),
		cmocka_unit_test(memfd_without_files),
		cmocka_unit_test(memfd_over_the_file_limit),
		cmocka_unit_test(memfd_closed),
		cmocka_unit_test(decommit_of_locked_memory),
#endif
	};

	return cmocka_run_group_tests_name("platform_posix_map", tests, NULL, NULL);
}
