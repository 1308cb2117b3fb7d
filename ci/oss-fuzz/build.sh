#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds all fuzz targets by OSS-Fuzz's contract: with $CC $CXX $CFLAGS $CXXFLAGS and nothing of our own that changes
# instrumentation of the code under test, linked with $CXX against $LIB_FUZZING_ENGINE, into $OUT, with seed corpora
# (from the text in corpus/), dictionaries and options. ci/oss-fuzz/check runs it as the images do.
set -euo pipefail
case ${1:-} in
--help | -h) sed -n '4,6s/^# \{0,1\}//p' "$0" && exit 0 ;;
?*) echo "build.sh: unknown argument $1; all it needs comes from the environment" >&2 && exit 2 ;;
esac
: "${SRC:?}" "${OUT:?}" "${WORK:?}" "${CC:?}" "${CXX:?}" "${LIB_FUZZING_ENGINE:?}"
export CC CXX CFLAGS="${CFLAGS:-}" CXXFLAGS="${CXXFLAGS:-}" LIB_FUZZING_ENGINE
source=$SRC/libpfa
build=$WORK/libpfa

# The model and the checkers run after every operation; their edges would drown those of the library.
export AFL_LLVM_DENYLIST=$source/fuzz/no-coverage.txt
case $CFLAGS in
*fuzzer-no-link*) CFLAGS="$CFLAGS -fsanitize-coverage-ignorelist=$source/fuzz/no-coverage.txt" ;;
esac

# Targets may rely on no library at run time: the archive, where there is one.
lz4=$("$CC" -print-file-name=liblz4.a)
zstore=()
[ ! -e "$lz4" ] || zstore=("-DPFA_LZ4_LIBRARY=$lz4")

rm -rf "$build"
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DPFA_FUZZ_ENGINE=external -DPFA_DEBUG=ON \
	-DPFA_INSTALL=OFF -DPFA_BUILD_FUZZ=ON -DPFA_BUILD_TESTS=OFF -DPFA_BUILD_STRESS=OFF -DPFA_BUILD_BENCH=OFF \
	-DPFA_BUILD_CHECKS=OFF "${zstore[@]}"
cmake --build "$build" -j "${PFA_JOBS:-$(nproc)}"

# Tools run at build time: what they leak or cover is of no interest.
export ASAN_OPTIONS=detect_leaks=0 LLVM_PROFILE_FILE=/dev/null
while read -r target; do
	area=${target#fuzz_}
	seeds=$WORK/seeds-$area
	rm -rf "$seeds" "$OUT/${target}_seed_corpus.zip"
	mkdir -p "$seeds"
	find "$source/corpus/$area" -name '*.pfa.txt' -print0 | sort -z |
		xargs -0 -r sh -c 'exec "$0" encode "$@" -o "'"$seeds"'"' "$build/fuzz/pfa-trace"
	(cd "$seeds" && zip -q -r -X "$OUT/${target}_seed_corpus.zip" .)
	cp "$build/fuzz/$target" "$OUT/$target"
	words=$build/fuzz/$target.dict
	[ -e "$words" ] || words=$build/fuzz/pfa.dict
	cp "$words" "$OUT/$target.dict"
	options=$source/fuzz/options/$target.options
	[ -e "$options" ] || options=$source/fuzz/options/default.options
	cp "$options" "$OUT/$target.options"
done <"$build/fuzz/targets.list"
