#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds as stand-alone C programs: each compiles without warnings and comes to the same results as pfa-trace explain.

usage: to_c_test.py PFA_TRACE WORK_FOLDER SEED_FOLDER... -- CC ARGUMENT... (with what compiles and links libpfa)"""
import os
import re
import subprocess
import sys


def results_of_explain(trace, seed):
    out = subprocess.run([trace, "explain", seed], capture_output=True, text=True, check=False)
    if out.returncode:
        raise SystemExit(f"{seed}: explain: exit {out.returncode}\n{out.stdout}{out.stderr}")
    found = []
    for line in out.stdout.splitlines():
        if "#= " not in line or line.startswith("#"):
            continue
        operation, result = line.split("#= ", 1)
        found.append((operation.strip(), result.split()[0]))
    return found


def results_of_program(trace, seed, folder, compile_command):
    name = os.path.join(folder, os.path.basename(seed).replace(".pfa.txt", ""))
    subprocess.run([trace, "to-c", seed, "-o", name + ".c"], check=True)
    made = subprocess.run(compile_command[:1] + ["-Wall", "-Wextra", "-Werror", name + ".c"] + compile_command[1:] +
                          ["-o", name], capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"{seed}: the C program does not compile\n{made.stderr}")
    out = subprocess.run([name], capture_output=True, text=True, check=False, timeout=120)
    if out.returncode:
        raise SystemExit(f"{seed}: the C program: exit {out.returncode}\n{out.stdout[-2000:]}{out.stderr[-2000:]}")
    found, operation = [], None
    for line in out.stdout.splitlines():
        step = re.fullmatch(r"\d+: (.*)", line)
        if step:
            operation = step.group(1)
        elif line.startswith("    #= "):
            found.append((operation, line[7:].split()[0].replace("PFA_", "").lower()))
    return found


def has_owner(seed):
    """Scripted owners, and what depends on them, are no part of the C program."""
    with open(seed, encoding="utf-8") as text:
        return any(line.startswith("owner_create") for line in text)


def main():
    if "--help" in sys.argv or "--" not in sys.argv or sys.argv.index("--") < 4:
        print(__doc__)
        return 0 if "--help" in sys.argv else 2
    split = sys.argv.index("--")
    trace, folder, seed_folders, compiler = sys.argv[1], sys.argv[2], sys.argv[3:split], sys.argv[split + 1:]
    seeds = [os.path.join(f, n) for f in seed_folders for n in sorted(os.listdir(f)) if n.endswith(".pfa.txt")
             and not n.startswith("found-") and not has_owner(os.path.join(f, n))]
    different = steps = 0
    for seed in seeds:
        work = os.path.join(folder, os.path.basename(os.path.dirname(os.path.dirname(seed))))
        os.makedirs(work, exist_ok=True)
        expected = results_of_explain(trace, seed)
        actual = results_of_program(trace, seed, work, compiler)
        steps += len(expected)
        for index, (one, two) in enumerate(zip(expected, actual)):
            # a second, spoilt instance is no part of the C program
            if one != two and not one[0].startswith("init_raw"):
                print(f"{seed}: step {index}: explain {one}, C program {two}")
                different += 1
        if len(expected) != len(actual):
            print(f"{seed}: explain has {len(expected)} steps, the C program {len(actual)}")
            different += 1
    print(f"{len(seeds)} programs, {steps} steps, {different} differences")
    return 1 if different or not steps else 0


if __name__ == "__main__":
    sys.exit(main())
