# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the checks. A check is a script with a function `check` that prints what is wrong and returns 1, and a
# function `canary` that plants defects and uses `must_see` to prove that the check sees them.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 2
# shellcheck source=ci/install.sh
. "$root/ci/install.sh"
LLVM=$PFA_CLANG_VERSION

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' INT TERM

need_command() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || { echo "needs $c (run ci/test, it installs it)" >&2; exit 2; }
	done
}

# Runs a command that must fail with exactly code 1 and print something that matches.
must_see() { # regex command...
	local pattern=$1 text rc
	shift
	text=$("$@" 2>&1)
	rc=$?
	if [ $rc -ne 1 ]; then
		printf '%s\ncanary: exit code %s instead of 1: %s\n' "$text" $rc "$*" >&2
		exit 1
	fi
	if ! grep -Eq -- "$pattern" <<<"$text"; then
		printf '%s\ncanary: failed, but without "%s": %s\n' "$text" "$pattern" "$*" >&2
		exit 1
	fi
	echo "seen: $pattern"
}

# The sources of the normal build (all but the one-file build).
core_sources() { # directory
	local f
	for f in "$1"/*.c; do
		case $f in */pfa_unity.c) ;; *) echo "$f" ;; esac
	done
}

# Where only names, packages and what runs at all are looked at: a sixth of the compiler's time.
unoptimised='-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O0 -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O0'

# Configures, builds and installs the library alone.
build_library() { # compiler static|shared build-directory prefix, further CMake arguments
	local shared=OFF
	[ "$2" = shared ] && shared=ON
	{
		cmake -S "$root" -B "$3" -G Ninja --no-warn-unused-cli -DCMAKE_C_COMPILER="$1" -DBUILD_SHARED_LIBS=$shared \
			-DPFA_BUILD_TESTS=OFF -DPFA_BUILD_FUZZ=OFF -DPFA_BUILD_STRESS=OFF -DPFA_BUILD_BENCH=OFF \
			-DPFA_BUILD_CHECKS=OFF -DCMAKE_INSTALL_PREFIX="$4" "${@:5}" &&
			cmake --build "$3" -j 2 && cmake --install "$3"
	} >"$3.log" 2>&1 || { tail -n 30 "$3.log" >&2; echo "the library does not build with $1 ($2)" >&2; return 1; }
}

run_check() { # arguments of the script; uses usage, check, canary
	case ${1:-} in
	"") check && echo "fine" ;;
	--canary) canary && echo "the canary was seen" ;;
	--help | -h) usage; exit 0 ;;
	*) echo "unknown argument '$1' (see --help)" >&2; exit 2 ;;
	esac
	exit $?
}
