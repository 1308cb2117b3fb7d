#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# ClusterFuzzLite builds as OSS-Fuzz does. Copied to $SRC by the Dockerfile.
root=$(cd "$(dirname "$0")/.." && pwd)
[ -z "${SRC:-}" ] || root=$SRC/libpfa
exec bash "$root/ci/oss-fuzz/build.sh" "$@"
