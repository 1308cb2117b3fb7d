#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
exec bash "$SRC/libpfa/ci/oss-fuzz/build.sh"
