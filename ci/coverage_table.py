#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints llvm-cov's summary of one directory as a table, and writes it as JSON (for ci/coverage).

usage: coverage_table.py SUMMARY DIRECTORY JSON_OR_EMPTY EXIT WALL_S COMMAND
"""
import json
import os
import sys

sys.dont_write_bytecode = True
import envelope

KINDS = ("lines", "branches", "functions", "mcdc")


def share(count, covered):
	return 100.0 * covered / count if count else 100.0


def cells(counts):
	return "".join("%7d %6d %5.1f%%" % (counts[k][0], counts[k][0] - counts[k][1], share(*counts[k])) for k in KINDS)


def main(words):
	if words == ["--help"]:
		print(__doc__)
		return 0
	if len(words) != 6:
		print(__doc__, file=sys.stderr)
		return 2
	summary, directory, path, exit_code, wall_s, command = words
	with open(summary, encoding="utf-8") as source:
		files = json.load(source)["data"][0]["files"]
	rows = {}
	for entry in files:
		name = os.path.relpath(entry["filename"], directory)
		if not name.startswith(".."):
			rows[name] = {k: (entry["summary"].get(k, {}).get("count", 0), entry["summary"].get(k, {}).get("covered", 0))
			              for k in KINDS}
	if not rows:
		print("coverage_table.py: no file of %s was measured" % directory, file=sys.stderr)
		return 2
	total = {k: tuple(sum(r[k][i] for r in rows.values()) for i in (0, 1)) for k in KINDS}
	print("\n%-16s" % "" + "".join("%21s" % (k + "  missed      ") for k in KINDS))
	for name in sorted(rows):
		print("%-16s%s" % (name, cells(rows[name])))
	print("%-16s%s" % ("total", cells(total)))
	if path:
		doc = envelope.envelope("ci/coverage", command, compilers=["clang-19"], packages=["clang-19", "llvm-19"])
		doc["wall_s"] = float(wall_s)
		for kind in KINDS:
			doc["rows"].append(envelope.row(kind + " of lib/src", "%", [share(*total[kind])]))
		doc["extra"]["files"] = {n: {k: {"count": c, "covered": d} for k, (c, d) in r.items()} for n, r in rows.items()}
		envelope.write(path, doc, int(exit_code))
	return 0


if __name__ == "__main__":
	sys.exit(main(sys.argv[1:]))
