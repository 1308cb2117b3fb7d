# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by ci/test, ci/bench, ci/coverage, fuzz/run and stress/run. Makes sure that the tools of a job are there.
#
#   . "$root/ci/install.sh"
#   pfa_need core fuzz || exit 2      groups: base core fuzz afl bench stress coverage long
#   pfa_cmocka32 DIR || exit 2        unpacks Debian's 32-bit cmocka and LZ4 into DIR (PFA_CMOCKA_ROOT, PFA_LZ4_ROOT)
#
# On Debian and Ubuntu, missing packages are installed with apt (as root, or through sudo). Elsewhere, and where that
# is not allowed, the missing things are named and 2 is returned. PFA_NO_INSTALL=1 only names them.

# The compilers of the sanitizer builds. Other versions work, too: PFA_CLANG_VERSION=20 ci/test
PFA_CLANG_VERSION=${PFA_CLANG_VERSION:-19}
PFA_CLANG=clang-$PFA_CLANG_VERSION
export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-/usr/bin/llvm-symbolizer-$PFA_CLANG_VERSION}

# Debian packages of a group. Needs gcc for the name of the 32-bit package: gcc-multilib itself conflicts with every
# cross compiler, gcc-N-multilib with nothing.
pfa_packages() {
	local v=$PFA_CLANG_VERSION multilib=""
	command -v gcc >/dev/null && multilib=gcc-$(gcc -dumpversion | cut -d. -f1)-multilib
	local base="gcc g++ libc6-dev cmake ninja-build python3 git"
	local clang="clang-$v libclang-rt-$v-dev llvm-$v"
	case $1 in
	base) echo $base ;;
	core) echo $base $clang $multilib libcmocka-dev liblz4-dev pkg-config zip unzip ;;
	fuzz) echo $base $clang liblz4-dev ;;
	afl) echo $base $clang liblz4-dev afl++ zip unzip ;;
	bench) echo $base valgrind liblz4-dev libjemalloc-dev libmimalloc-dev libgoogle-perftools-dev ;;
	stress) echo $base $clang liblz4-dev ;;
	coverage) echo $base $clang libcmocka-dev liblz4-dev ;;
	long) echo $base $clang libcmocka-dev liblz4-dev pkg-config zip unzip afl++ gcc-12 g++-12 gcc-12-multilib clang-14 libclang-rt-14-dev ;;
	*) return 1 ;;
	esac
}

# What a group's packages bring, as commands, for systems without dpkg.
pfa_commands() {
	local base="gcc g++ cmake ninja python3 git"
	local clang="$PFA_CLANG llvm-nm-$PFA_CLANG_VERSION llvm-objdump-$PFA_CLANG_VERSION"
	case $1 in
	base) echo $base ;;
	core) echo $base $clang pkg-config zip unzip ;;
	afl) echo $base $clang afl-clang-fast zip unzip ;;
	bench) echo $base valgrind ;;
	long) echo $base $clang pkg-config zip unzip afl-clang-fast gcc-12 clang-14 ;;
	*) echo $base $clang ;;
	esac
}

pfa_missing_packages() {
	local p
	for p in $(printf '%s\n' "$@" | sort -u); do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' || echo "$p"
	done
}

# Runs a command as root; the caller has made sure that there is a way.
pfa_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

pfa_need() {
	local group packages="" missing="" c
	if [ "$*" != base ] && command -v apt-get >/dev/null && ! command -v gcc >/dev/null; then
		pfa_need base || return 2
	fi
	for group in "$@"; do
		packages="$packages $(pfa_packages "$group")" || {
			echo "install.sh: unknown group '$group'" >&2
			return 2
		}
	done
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
		for c in $(for group in "$@"; do pfa_commands "$group"; done | tr ' ' '\n' | sort -u); do
			command -v "$c" >/dev/null || missing="$missing $c"
		done
		[ -z "$missing" ] && return 0
		echo "Not a Debian-like system; please install these commands:$missing" >&2
		return 2
	fi
	# shellcheck disable=SC2086
	missing=$(pfa_missing_packages $packages)
	[ -z "$missing" ] && return 0
	# shellcheck disable=SC2086
	if [ -n "${PFA_NO_INSTALL:-}" ] || ! pfa_apt_install $missing; then
		echo "These packages are missing and could not be installed; please run, as root:" >&2
		echo "  apt-get update && apt-get install" $missing >&2
		return 2
	fi
}

pfa_apt_install() {
	local log rc=0
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 1
	echo "Installing packages: $*"
	log=$(mktemp)
	{
		# A mirror that lacks some index is no reason to stop: the installation decides.
		pfa_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 update ||
			echo "apt-get update had errors"
		pfa_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
			--no-install-recommends --no-remove install "$@"
	} >"$log" 2>&1 </dev/null || rc=1
	[ $rc = 0 ] || tail -n 15 "$log" >&2
	rm -f "$log"
	return $rc
}

# cmocka and LZ4 for 32-bit programs: Debian has them for i386 only, and adding an architecture to somebody's system for a few
# small files is too much. Downloaded with a private apt state (no root needed) and unpacked.
pfa_cmocka32() {
	local dir=$1 state p
	[ -e "$dir/usr/include/cmocka.h" ] && [ -e "$dir/usr/include/lz4.h" ] && return 0
	if ! command -v apt-get >/dev/null; then
		echo "No 32-bit cmocka and LZ4: unpack them so that $dir/usr/include/{cmocka,lz4}.h and $dir/usr/lib exist" >&2
		return 2
	fi
	mkdir -p "$dir" && state=$(mktemp -d) || return 2
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	(
		cd "$state" || exit 1
		set -- -q -o APT::Architectures::=i386 -o APT::Architectures::="$(dpkg --print-architecture)" \
			-o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" -o APT::Sandbox::User="$(id -un)"
		apt-get "$@" update || echo "apt-get update had errors"
		apt-get "$@" download libcmocka0:i386 libcmocka-dev:i386 liblz4-1:i386 liblz4-dev:i386
	) >"$state/log" 2>&1 </dev/null
	for p in "$state"/lib*.deb; do
		[ -e "$p" ] && dpkg-deb -x "$p" "$dir"
	done
	if [ ! -e "$dir/usr/include/cmocka.h" ] || [ ! -e "$dir/usr/include/lz4.h" ]; then
		tail -n 8 "$state/log" >&2
		echo "The 32-bit packages libcmocka0, libcmocka-dev, liblz4-1 and liblz4-dev (:i386) could not be downloaded" >&2
		rm -rf "$state"
		return 2
	fi
	rm -rf "$state"
}
