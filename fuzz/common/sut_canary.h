/* SPDX-License-Identifier: MIT
 *
 * sut_canary.h - allocators that are broken on purpose: libpfa behind a wrapper that breaks one promise. Each must
 * make one oracle fire; tests/test_canary.c proves it. X(name, the monitor that must say so, what is broken).
 */
#ifndef FUZZ_SUT_CANARY_H
#define FUZZ_SUT_CANARY_H

#include "sut.h"

#define SUT_CANARIES(X)                                                                                            \
	X(OWNED_FRAME, "I15 owner", "hands out a block that is already owned")                                     \
	X(HOLE, "I15 hole", "hands out a frame of a hole")                                                         \
	X(OUTSIDE, "I15 zone", "hands out a frame that lies in no zone")                                           \
	X(MISALIGNED, "I15 alignment", "hands out a block one frame further")                                      \
	X(WRONG_ZONE, "zone order", "ignores which zone the request names")                                        \
	X(WINDOW, "window", "ignores the window")                                                                  \
	X(CMA_TO_ALL, "I3 cma", "serves every request as a movable one")                                           \
	X(RESERVE_TO_ALL, "I3 highatomic", "serves every request as a high one")                                   \
	X(BELOW_MARK, "I12 watermark", "says that the mark is higher than what it asks")                           \
	X(REFUSES, "I12 liveness", "refuses each fifth request")                                                   \
	X(FOR_GOOD, "I12 final", "says ENOMEM where EAGAIN is right")                                             \
	X(NO_RESERVE, "I12 reserve", "refuses without giving up its reserve")                                      \
	X(FORGETS_ZERO, "zero", "does not zero")                                                                   \
	X(WRITES_CONTENT, "I15 stamp", "writes into a frame that is owned")                                        \
	X(LEAKS, "I1 conservation", "loses a frame in its counts")                                                 \
	X(COUNTS_OWNED, "I6 allocated", "counts one frame less as allocated")                                      \
	X(COUNTS_CMA, "I6 cma", "counts CMA frames that are not free")                                             \
	X(FORGETS_FREE, "I6 allocated", "says OK to a free and does nothing")                                      \
	X(DOUBLE_FREE, "model code", "accepts what it must refuse")                                                \
	X(WRONG_FAULT, "model fault", "tells another kind of fault")                                               \
	X(SILENT_FAULT, "contract fatal", "does not tell platform.fatal")                                          \
	X(CHANGES_ON_REFUSAL, "no change", "a refused free moves something")                                       \
	X(WRITES_OUT, "contract out", "a refusal writes to the out parameter")                                     \
	X(BULK_SHORT, "contract out", "says OK to a bulk request with one block less")                             \
	X(STEPS, "I13 steps", "takes more steps under a lock than the bound")                                      \
	X(CHECK, "I07 check", "its own checker finds something")                                                   \
	X(DRAIN, "I7 cached", "does not drain")                                                                    \
	X(PURGE, "I7 purge", "does not purge")                                                                     \
	X(DISABLED, "I7 disabled", "caches though it was told not to")                                             \
	X(QUARANTINE, "I7 quarantine", "has no quarantine")                                                       \
	X(GUARDS, "contract guards", "does not tell that guards ended")                                            \
	X(NO_GUARDS, "I6 allocated", "grants without guards")                                                      \
	X(POISON, "I15 poison", "keeps what was written after its free")                                           \
	X(CONTENT, "I15 poison", "does not look at the content of what it grants")                                 \
	X(LARGEST, "query largest", "promises an order too many")                                                  \
	X(WOULD, "query would", "promises whatever is asked")                                                      \
	X(FRAME_VIEW, "view frame", "shows owned frames as free")                                                  \
	X(PTR, "model ptr", "gives the address of the next frame")                                                 \
	X(HOLDER, "I4 holder", "holds a pageblock")                                                                \
	X(TYPE, "I3 cma type", "turns CMA pageblocks into movable ones")                                           \
	X(STEALS, "I3 steal", "turns unmovable pageblocks into reclaimable ones, however full")                    \
	X(PRINT, "contract print", "writes text without an end of line")                                           \
	X(LIVE_VIEW, "view live", "lists no block that lives")                                                     \
	X(SERVICE, "contract service", "wants to be called in the past")                                           \
	X(SERVICE_DRAINS, "I7 service", "service drains all caches, whoever uses them")                            \
	X(SERVICE_KEEPS, "I7 service", "service never drains")                                                     \
	X(ENDLESS, "I13 work", "asks for the largest block for ever")                                              \
	X(KEEPS_BAD, "I6 bad", "says OK to a bad frame and does nothing")                                          \
	X(OFFERS_BAD, "I15 bad", "grants a frame that is bad")                                                    \
	X(TAKES_STALE, "I15 handle", "frees by a handle, however old it is")                                       \
	X(HANDLE_CHANGES, "I15 handle", "gives a block another handle each time")                                  \
	X(HISTORY_FORGETS, "view history", "keeps no event of a frame")                                            \
	X(HISTORY_OLD, "view history", "does not say what happened last")                                          \
	X(TRACE_OTHER, "view trace", "gives the backtrace of another event")                                       \
	X(FRAME_TEXT, "view text", "says of each frame that it is free")                                           \
	X(LOG_SILENT, "view log", "does not say what lives at the end")                                            \
	X(FAULT_HISTORY, "contract platform", "tells a fault without its history")                                 \
	X(REPAIRS_SOUND, "view repair", "rebuilds zones that nobody damaged")                                      \
	X(FINI, "teardown", "does not end")                                                                        \
	X(NOT_COALESCED, "teardown", "keeps a block in pieces at the end")                                         \
	X(REFUSES_CONFIG, "model config", "refuses a valid configuration")                                         \
	X(ZERO_OP, "contract platform", "zeroes frames that it does not grant")                                    \
	X(COUNTS_MISUSE, "I6 misuse", "does not count misuse")                                                     \
	X(COUNTS_FAILS, "I6 fails", "does not count refusals")                                                     \
	X(COUNTS_ZEROED, "I6 zeroed", "does not count what it zeroes")                                             \
	X(ZEROES_AGAIN, "zero again", "zeroes what it knows to be zero")                                           \
	X(HOOK, "view unlock", "does not call the on-unlock hook")                                                 \
	X(PAGEBLOCK_VIEW, "view pageblock", "shows a frame too many in a pageblock")                               \
	X(REGIONS, "view regions", "shows a region that is not its own")                                           \
	X(STATS_VIEW, "view stats", "has a cpu too many")                                                          \
	X(ZONE_SWAP, "I12 low", "serves from the last zone first")                                                 \
	X(OP_COOKIE, "I10 op", "tells ops another cookie than the block's")                                       \
	X(OP_UNLOCKED, "I10 lock", "says that no page lock is held")                                              \
	X(PUTBACK_TWICE, "I10 automaton", "puts a block back twice")                                              \
	X(PUTBACK_NEVER, "I10 automaton", "never puts a block back")                                              \
	X(KEEPS_DESTINATION, "I10 destination", "does not give back a destination that was not used")             \
	X(SAYS_MOVED, "I10 result", "says that a block was moved that is busy")                                   \
	X(PINS_INSIDE, "I10 inside", "says OK to a pin that an op must not take")                                 \
	X(MOVABLE_VIEW, "I10 view", "shows a pin too many")                                                       \
	X(AGAIN_FOR_EVER, "I13 tries", "tries again as long as the owner says so")                                \
	X(COMPACTS_DOWN, "I10 compact", "compacts to lower frames")                                                  \
	X(LIST_SHORT, "I10 list", "does not move the last of several blocks")                                     \
	X(COMPACTS_TWICE, "I10 twice", "compacts to the middle, and then to the top")                             \
	X(COMPACTS_NOT, "I10 compacted", "says that it has compacted, and does not")                              \
	X(OFFERS, "I10 offer", "says that compaction had made a block")                                           \
	X(COMPACT_MOVED, "I10 statistics", "counts a frame more as moved by compaction")                          \
	X(COMPACT_FAILED, "I10 statistics", "does not count what compaction could not move")                      \
	X(COMPACT_SCANNED, "I10 statistics", "counts a frame less as scanned")                                    \
	X(COMPACT_STEPS, "I10 statistics", "takes many more steps")                                               \
	X(COMPACT_BEFORE, "I10 statistics", "tells another fragmentation index from before")                      \
	X(COMPACT_AFTER, "I10 statistics", "tells another fragmentation index from after")                        \
	X(COMPACT_MET, "I10 statistics", "counts scanners that met in a zone too many")                           \
	X(COUNTS_MOVABLE, "I6 movable", "does not count movable frames")                                          \
	X(COUNTS_ISOLATED, "I6 isolated", "counts blocks as isolated for ever")                                   \
	X(COUNTS_MOVES, "I6 moves", "does not count what is put back")                                            \
	X(LOSES_MOVED, "I15 stamp", "writes into the frames of a block that was just moved")                      \
	X(HELD_STATS, "I4 free_isolated", "counts what is held as on offer")                               \
	X(HELD_GRANT, "I4 grant", "grants a frame of a held pageblock")                                    \
	X(HELD_TYPE, "I4 type", "does not show a held pageblock as isolated")                              \
	X(HELD_TOKEN, "I4 token", "gives a token twice")                                                   \
	X(HOLDS_NOTHING, "I4 edge", "says that it isolates, and does not")                                 \
	X(UNDO_TYPE, "I11 census", "turns what is given up into unmovable pageblocks")                     \
	X(RANGE_REFUSED, "I11 must succeed", "refuses short ranges")                                       \
	X(RANGE_SAID, "I11 result", "says OK to a range that is in use")                                   \
	X(RANGE_BLOCKER, "I11 blocker", "names the frame behind the one in the way")                       \
	X(RANGE_MOVES_ALL, "I11 moves", "moves whatever it can for a range")                               \
	X(RANGE_GIVES_UP, "I13 contig", "does not ask an owner again that refused")                        \
	X(SEARCH_CMA, "I11 cma", "takes CMA pageblocks for whatever run")                                  \
	X(SEARCH_FAILS, "I11 must find", "finds no short run")                                             \
	X(PLUG_OFFERS, "I15 offline", "grants a frame that is offline")                                    \
	X(PLUG_REFUSED, "I11 must succeed", "takes no short range offline")                                \
	X(PLUG_SAID, "I11 result", "says that a range went offline that is in use")                        \
	X(PLUG_BLOCKER, "I11 blocker", "names the frame behind the one that keeps a range online")         \
	X(PLUG_NOTHING, "view frame", "says that a range went offline, and brings it back")                \
	X(PLUG_PRESENT, "I6 present", "counts what is offline as present")                                 \
	X(PLUG_ZERO, "view zero", "knows the content of what is offline")                                  \
	X(PLUG_REMOVES, "I11 result", "removes what is present")                                           \
	X(AREA_HANDLE, "I4 area", "gives a handle twice")                                                  \
	X(AREA_STAYS, "I3 cma type", "says that an area ended, and keeps it")                              \
	X(AREA_FOUND, "view area", "finds another area")                                                   \
	X(AREA_FAILS, "I11 must find", "finds no short run in an area")                                    \
	X(AREA_OUTSIDE, "I15 area", "grants a run beside the area")                                        \
	X(AREA_RELEASE, "model code", "releases what is not of the area")                                  \
	X(AREA_COUNTS, "view area", "counts a frame more as granted")                                      \
	X(RANDOM, "determinism", "decides by what it did in earlier runs")

enum sut_canary {
#define SUT_CANARY_ENUM(name, monitor, doc) SUT_CANARY_##name,
	SUT_CANARIES(SUT_CANARY_ENUM)
#undef SUT_CANARY_ENUM
	SUT_CANARY_NR
};

/* libpfa, broken in one way. The table is valid until the next call. */
const struct sut_ops *sut_canary(enum sut_canary which);

#endif
