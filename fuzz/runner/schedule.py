# SPDX-License-Identifier: MIT
"""Which job runs which target when."""

LEAST_S = 2
SLICE_S = {"libfuzzer": 120, "afl": 600}


def plan(targets, jobs, total):
    """Shares jobs * total seconds equally: for each job its list of (target, seconds); a target may span two jobs.

    A target gets LEAST_S seconds at least, even if that takes longer than `total`."""
    total = max(total, LEAST_S, LEAST_S * len(targets) / jobs)
    share, slots, slot, room = jobs * total / len(targets), [[] for _ in range(jobs)], 0, float(total)
    for target in targets:
        left = share
        while left > 0.5 and slot < jobs:
            part = min(left, room)
            if part >= 1 or room >= left:
                slots[slot].append((target, part))
            left, room = left - part, room - part
            if room < 0.5:
                slot, room = slot + 1, float(total)
    return slots


def endless(ctx, job, targets):
    """Always the target that had the least time, without an end."""
    if ctx.opt.jobs >= len(targets):
        while True:
            yield targets[job % len(targets)], SLICE_S[ctx.opt.engine]
    while True:
        idle = [t for t in targets if not ctx.stats[t.name].since] or targets
        yield min(idle, key=lambda t: ctx.stats[t.name].core_seconds()), SLICE_S[ctx.opt.engine]
