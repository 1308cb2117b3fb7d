#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What do the targets reach with the committed corpus, and is anything missing?

usage: reach_test.py PFA_REACH CORPUS TEST_CODES_C [--self-test]

Prints a table: pairs of function and result code, and kinds of operations, with the targets that reach them. Each pair
in the table of TEST_CODES_C, and each kind of fault, must be reached by a target, or unreached.txt says why none can; each
kind of operation must be carried out by a target.  --self-test: proves that what is missing, stale or unknown is noticed.

exit: 0 all reached, 1 not, 2 usage or set-up
"""
import os
import re
import subprocess
import sys

# fuzz_repair damages the word that says whether an instance has ended, and so meets what every function answers then.
CLOSED = ("EMISUSE", "ENOTSUP")
# By everything that takes a lock, where the platform cannot wait (the head of pfa.h); the harness has no second thread.
EVERYWHERE = ("EBUSY",)
HERE = os.path.dirname(os.path.abspath(__file__))


class Setup(Exception):
    pass


def documented(path):
    """The set of (function, code) of test_codes.c; code "-" where none is returned."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    named = dict(re.findall(r'^#define (\w+) "([A-Z ]+)"$', text, re.M))
    rows = re.findall(r'^\t\{"(pfa_\w+)", (?:"([A-Z ]+)"|(\w+)(?: "([A-Z ]+)")?)\},', text, re.M)
    if len(rows) != len(re.findall(r'^\t\{"pfa_', text, re.M)) or not rows:
        raise Setup(f"{path}: the table of functions is not as expected")
    pairs = set()
    # The owners that ship are another library: fuzz_owners judges what their functions return (exec_real_*.c). Devices are one, too: what
    # the harness tells is a device of its own.
    others = ("pfa_balloon_", "pfa_zstore_", "pfa_mapped_", "pfa_discard_", "pfa_host_")
    for function, codes, name, more in (row for row in rows if not row[0].startswith(others)):
        codes = codes or ("-" if name == "NULL" else named[name] + more)
        pairs |= {(function, code) for code in codes.split()}
    return pairs


def faults(path):
    """Names of enum pfa_fault_kind, in order."""
    with open(path, encoding="utf-8") as f:
        names = re.findall(r"^\tPFA_FAULT_(\w+)(?: = 0)?,", f.read(), re.M)
    if not names or names[0] != "NONE" or "DOUBLE_FREE" not in names:
        raise Setup(f"{path}: enum pfa_fault_kind is not as expected")
    return names


def reasons(path):
    """(function or *, code) -> why no target can reach it; "either: ..." why it may be reached or not"""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                words = line.split(None, 2)
                if len(words) != 3:
                    raise Setup(f"{path}: not FUNCTION CODE reason: {line.strip()}")
                found[words[0], words[1]] = words[2].strip()
    return found


def reached(output, kinds):
    """(function, code), ("op", name) or ("fault", kind) -> targets"""
    found = {}
    for line in output.splitlines():
        target, what, which, count = line.split()
        which = kinds[int(which)] if what == "fault" else which
        targets = found.setdefault((what, which.removeprefix("PFA_")), [])
        if int(count):
            targets.append(target)
    return found


def judge(pairs, why, found):
    """What is wrong, a line each."""
    wrong, used = [], set()
    for pair in sorted(pairs):
        excuse = next((key for key in (pair, ("*", pair[1])) if key in why), None)
        if found.get(pair) and excuse and not why[excuse].startswith("either: "):
            wrong.append(f"{pair[0]} {pair[1]}: reached by {' '.join(found[pair])}, though unreached.txt says that it cannot")
        elif not found.get(pair) and not excuse:
            wrong.append(f"{pair[0]} {pair[1]}: no target reaches it: a seed is missing, or a line in unreached.txt")
        used.add(excuse)
    used |= {key for key in found if key[0] == "op" and key in why and not found[key]}
    wrong += [f"unreached.txt: {f} {c}: no such pair is documented" for f, c in sorted(why) if (f, c) not in used]
    for (what, which), targets in sorted(found.items()):
        if what == "op" and not targets and (what, which) not in why:
            wrong.append(f"operation {which}: no target carries it out: a seed is missing")
        elif what != "op" and (what, which) not in pairs and which not in EVERYWHERE and \
                not (targets == ["repair"] and which in CLOSED):
            wrong.append(f"{what} {which}: reached, but not documented")
    if not any(what == "op" for what, _ in found):
        wrong.append("no operation at all")
    return wrong


def table(pairs, why, found):
    print(f"{'function':26} {'code':9} reached by")
    for pair in sorted(pairs):
        reason = why.get(pair) or why.get(("*", pair[1]), "nobody")
        print(f"{pair[0]:26} {pair[1]:9} {' '.join(found.get(pair, [])) or '- ' + reason}")
    print(f"\n{'operation':26} carried out by")
    for (what, which), targets in found.items():
        if what == "op":
            print(f"{which:26} {' '.join(targets) or 'nobody'}")
    kinds = [targets for (what, _), targets in found.items() if what == "op"]
    print(f"\n{sum(bool(found.get(p)) for p in pairs)} of {len(pairs)} pairs reached, "
          f"{sum(not found.get(p) for p in pairs)} not; {sum(map(bool, kinds))} of {len(kinds)} operations")


def self_test(pairs, why, found):
    """Each defect must be the only thing noticed."""
    pair = next(p for p in sorted(pairs) if found.get(p))
    op = next(key for key in found if key[0] == "op" and found[key])
    cases = {
        "nothing wrong": (pairs, why, found, 0),
        "a pair not reached": (pairs, why, {**found, pair: []}, 1),
        "a new function": (pairs | {("pfa_new", "OK")}, why, found, 1),
        "an excuse for what is reached": (pairs, {**why, pair: "no reason"}, found, 1),
        "an excuse for nothing": (pairs, {**why, ("pfa_gone", "OK"): "no reason"}, found, 1),
        "an excuse for an operation that is carried out": (pairs, {**why, op: "no reason"}, found, 1),
        "a code not documented": (pairs - {pair}, why, found, 1),
        "a kind of fault not told": (pairs | {("fault", "NEW")}, why, found, 1),
        "an operation not carried out": (pairs, why, {**found, op: []}, 1),
        "no operations": (pairs, {k: v for k, v in why.items() if k[0] != "op"}, {k: v for k, v in found.items() if k[0] != "op"}, 1),
    }
    failed = 0
    for name, (p, w, f, expected) in cases.items():
        wrong = judge(p, w, f)
        failed += len(wrong) != expected
        print(f"{'ok' if len(wrong) == expected else 'FAILED'}: {name}: {'; '.join(wrong) or 'silent'}")
    return 1 if failed else 0


def main(words):
    testing = "--self-test" in words
    words = [w for w in words if w != "--self-test"]
    if words == ["--help"]:
        print(__doc__)
        return 0
    if len(words) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        run = subprocess.run(words[:2], stdout=subprocess.PIPE, check=False, text=True)
        if run.returncode:
            raise Setup(f"{words[0]} failed with status {run.returncode}")
        pairs, why = documented(words[2]), reasons(os.path.join(HERE, "unreached.txt"))
        kinds = faults(os.path.join(os.path.dirname(words[2]), "..", "include", "pfa", "platform.h"))
        pairs |= {("fault", kind) for kind in kinds[1:]}
        found = reached(run.stdout, kinds)
    except (OSError, Setup) as error:
        print(f"reach_test.py: {error}", file=sys.stderr)
        return 2
    if testing:
        return self_test(pairs, why, found)
    table(pairs, why, found)
    wrong = judge(pairs, why, found)
    for line in wrong:
        print("MISSING: " + line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
