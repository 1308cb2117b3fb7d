#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line of pfa-trace: help, conversions of all seeds, errors with their place, shrinking.

usage: trace_test.py PFA_TRACE PFA_TRACE_WITH_SHRINK_TARGETS WORK_FOLDER CORPUS"""
import glob
import os
import random
import subprocess
import sys

LONG = """pfa-trace 1 target=%s seed=3
config frame_shift=7 max_order=7 pageblock_order=6 cpus=3 cache=4/8 threads=2 check=full meta=zeroed
zone 0 pfn=3..514 hole=64..71 marks=1/2/3 highatomic=64
zone 1 pfn=600..1000 cma=640..703
%s
"""
failures = 0


def expect(condition, what):
    global failures
    if not condition:
        failures += 1
        print(f"FAILED: {what}")


def run(*arguments, data=None):
    return subprocess.run(arguments, input=data, capture_output=True, check=False, timeout=300)


def operations(text):
    words = ("pfa-trace", "config", "zone", "schedule", "#")
    return [line for line in text.splitlines() if line and not line.startswith(words)]


def check_usage(trace):
    expect(run(trace, "--help").returncode == 0, "--help ends with 0")
    for command in ("run", "explain", "decode", "encode", "shrink", "to-c", "map", "diff", "coverage", "ops",
                    "dict"):
        out = run(trace, command, "--help")
        expect(out.returncode == 0 and command.encode() in out.stdout, f"{command} --help")
    for bad in ([], ["nonsense"], ["run"], ["run", "--frob", "x"], ["decode", "/nonexistent"], ["decode", "a", "b"],
                ["shrink", "-o"], ["run", "--timeout", "x", "a"], ["explain", "--sut", "none", "-"]):
        out = run(trace, *bad, data=b"pfa-trace 1\nzone 0 pfn=0..9\n")
        expect(out.returncode == 2 and out.stderr, f"{bad}: exit {out.returncode}, {out.stderr}")
    out = run(trace, "run", "-", data=b"pfa-trace 1 target=core\nzone 0 pfn=0..9\na = alloc order=77\n")
    expect(out.returncode == 2 and b"-:3:17: order: expected a number 0..10, found '77'" in out.stderr, out.stderr)
    out = run(trace, "run", "-", "--target", "nothing", data=b"")
    expect(out.returncode == 2 and b"no target nothing" in out.stderr, out.stderr)
    expect(run(trace, "decode", "-", data=b"x" * (2 << 20)).returncode == 2, "an input of 2 MiB is refused")


def check_map(trace):
    """Frames of every state that a few operations reach; a letter that is missing would end the line."""
    program = b"""pfa-trace 1 target=core
config frame_shift=6 max_order=6 pageblock_order=6 cpus=1 hardening=3
zone 0 pfn=0..63 hole=60..63
a = alloc_guarded order=1 flags=movable
mark_bad pfn=59
"""
    for command in (["map"], ["explain", "--map"]):
        out = run(trace, *command, "-", data=program)
        row = out.stdout.decode(errors="replace").splitlines()[-1]
        frames = row.split("|")[1]
        expect(out.returncode == 0 and len(frames) == 64 and frames.endswith("b    ") and "gHtg" in frames,
               f"{command}: a block between its guards, a bad frame, a hole: {row!r}")


def check_seeds(trace, folder, seeds):
    random.seed(1)
    for seed in seeds:
        with open(seed, "rb") as f:
            text = f.read()
        encoded = run(trace, "encode", seed)
        target = os.path.basename(os.path.dirname(os.path.dirname(seed)))
        decoded = run(trace, "decode", "-", "--target", target, data=encoded.stdout)
        again = run(trace, "encode", "-", data=decoded.stdout)
        expect(encoded.returncode == 0 and again.stdout == encoded.stdout, f"{seed}: bytes -> text -> bytes")
        expect(any(line.startswith(b"# ") for line in text.split(b"\n")[:2]), f"{seed}: a comment says what it exercises")
        cut = text[:random.randrange(len(text))] + bytes(random.randrange(256) for _ in range(3))
        out = run(trace, "decode", "-", data=b"#\n" + cut)
        expect(out.returncode in (0, 2), f"{seed}: damaged: exit {out.returncode} {out.stderr}")
    some = [s for s in seeds if "/core/" in s][:3]  # others may be raw bytes, fewer than a header
    out = run(trace, "encode", *some, "-o", folder)
    names = [os.path.join(folder, os.path.basename(s).replace(".pfa.txt", ".bin")) for s in some]
    expect(out.returncode == 0 and all(os.path.getsize(n) >= 64 for n in names), "encode of many into a folder")
    out = run(trace, "coverage", *seeds)
    last = out.stdout.decode().splitlines()[-1].split()
    # the seeds together carry out every kind of operation, but those that need threads
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "unreached.txt"), encoding="utf-8") as f:
        threads = sum(line.startswith("op ") for line in f)
    expect(out.returncode == 0 and int(last[2]) == int(last[4]) - threads, f"operations that no seed carries out:\n{out.stdout.decode()}")
    expect(run(trace, "encode", *seeds[:2]).returncode == 2, "encode of many needs a folder")


def check_shrink(trace, folder):
    noise = [f"n{i} = alloc order={i % 3} flags=movable,noretry\nset_cpu cpu={i % 3}\nt1: stats zone=1" for i in range(20)]
    path, small = os.path.join(folder, "long.pfa.txt"), os.path.join(folder, "small.pfa.txt")
    cases = [("core", "x = alloc_exact nr=37 align=3 flags=movable\nfill x stamp=1\ncache_drain cpu=1\nfree n3\n"
              "free_range x\nservice budget=3", ["a = alloc_exact nr=5 align=0 flags=unmovable", "cache_drain cpu=0",
                                                 "free_range a"]),
             ("misuse", "free_tail n7 at=1 tail=3 order=9\nfree n7", ["a = alloc order=0 flags=unmovable",
                                                                     "free_tail a at=0 tail=0 order=0"]),
             ("config", "service budget=7\nfree n3", ["service budget=1"])]
    for target, tail, smallest in cases:
        with open(path, "w", encoding="utf-8") as f:
            # each run of an endless loop takes the whole timeout
            f.write(LONG % (target, "\n".join(noise[:8 if target == "config" else 20] + [tail])))
        out = run(trace, "shrink", path, "-o", small, "--timeout", "1" if target == "config" else "20")
        expect(out.returncode == 0, f"shrink {target}: exit {out.returncode} {out.stderr}")
        with open(small, encoding="utf-8") as f:
            text = f.read()
        expect(operations(text) == smallest, f"shrink {target}:\n{text}")
        expect(text.count("\nzone ") == 1 and "hole" not in text and "cma" not in text, f"plain configuration:\n{text}")
        if target != "config":
            expect(run(trace, "run", small).returncode == 1, f"the shrunk {target} still has its finding")
    out = run(trace, "shrink", "-", "--target", "text", data=b"some text with a boom in it, and more")
    expect(out.stdout.endswith(b"raw 626f6f6d\n"), f"shrink text: {out.stdout} {out.stderr}")
    out = run(trace, "shrink", "-", "--target", "diff", data=b"")
    expect(out.returncode == 2 and b"nothing to shrink" in out.stderr, "shrink without a finding")


def main():
    if "--help" in sys.argv or len(sys.argv) != 5:
        print(__doc__)
        return 0 if "--help" in sys.argv else 2
    trace, with_targets, folder, corpus = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    seeds = sorted(glob.glob(os.path.join(corpus, "*", "seed", "*.pfa.txt")))
    expect(len(seeds) >= 60, f"at least 60 seeds, found {len(seeds)}")
    check_usage(trace)
    check_map(trace)
    check_seeds(trace, folder, seeds)
    check_shrink(with_targets, folder)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
