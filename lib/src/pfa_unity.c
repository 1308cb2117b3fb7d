/* SPDX-License-Identifier: MIT
 *
 * The whole core as one file: add this one to your build, with lib/include on the include path.
 */
#include "bitset.c"
#include "fmt.c"
#include "leaf.c"
#include "lock.c"
#include "zone.c"
#include "fallback.c"
#include "fault.c"
#include "pcpu.c"
#include "alloc.c"
#include "free.c"
#include "range.c"
#include "query.c"
#include "service.c"
#include "stats.c"
#include "print.c"
#include "check.c"
#include "debug.c"
#include "layout.c"
#include "config.c"
#include "init.c"
