#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: levels.py DIR [--json FILE] [--command TEXT] [--seconds S] [--load L] [--strict] [--partial]

What hardening costs: reads DIR/level<N>.<round>.raw (lines "sample <row> <value> <base>", as the bench programs print
them) and rows.tsv beside this script; prints for each row the median at level 0 and the ratios of the levels 1..3 to it,
and writes JSON (schema pfa-run/1).
A ratio is taken within each round, between the medians of two programs that ran one after the other, and the median of the
rounds is shown: what slows the machine for a while slows both. The goals (GOALS) are of the hot pair; the ratios of all
other rows are for information, and none of them can miss anything.
exit: 0 fine; 1 a row is missing or not a positive number (or, with --strict, a goal was missed); 2 usage, --partial"""
import argparse
import glob
import math
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "ci")]
import envelope  # noqa: E402
import report  # noqa: E402

LEVELS = (0, 1, 2, 3)
# row, level, at most this multiple of level 0, plus this many ns
GOALS = (("o0_hot_pair", 1, 1.05, 1.0), ("o0_hot_pair", 2, 1.15, 0.0), ("o0_hot_pair", 3, 2.0, 0.0))


def read(directory):
	"""{row: {level: {round: median}}}"""
	found = {}
	for path in glob.glob(os.path.join(directory, "level[0-9].*.raw")):
		name, turn = os.path.basename(path).split(".")[:2]
		samples = {}
		with open(path, encoding="utf-8") as raw:
			for line in raw:
				fields = line.split()
				if line.endswith("\n") and len(fields) == 4 and fields[0] == "sample":
					samples.setdefault(fields[1], []).append(float(fields[2]))
		for row, values in samples.items():
			found.setdefault(row, {}).setdefault(int(name[5:]), {})[turn] = statistics.median(values)
	return found


def ratios(of, level):
	"""Of each round that has both."""
	both = sorted(set(of.get(level, {})) & set(of.get(0, {})))
	return [of[level][turn] / of[0][turn] for turn in both if of[0][turn] > 0]


def goal(name, level, zero):
	"""The largest ratio that a row may have at a level; None: no goal."""
	for row, at, factor, more in GOALS:
		if at == level and row == name:
			return factor + more / zero
	return None


def results(rows, found):
	"""Rows of the envelope, and the names of what is missing or void."""
	out, void = [], []
	for row in rows:
		of = found.get(row.name, {})
		for level in LEVELS:
			values = list(of.get(level, {}).values())
			share = ratios(of, level)
			if not values or not share or not all(math.isfinite(v) and v > 0 for v in values + share):
				void.append("level%d.%s" % (level, row.name))
				continue
			target = goal(row.name, level, statistics.median(of[0].values()))
			ratio = statistics.median(share)
			got = envelope.row("level%d.%s" % (level, row.name), row.unit, values, ratio=ratio, ratio_to="level0",
			                   ratio_p10=envelope.percentile(sorted(share), 0.1), ratio_p90=envelope.percentile(sorted(share), 0.9))
			if target is not None:
				got.update(target=target, met=ratio <= target)
			out.append(got)
	return out, void


def print_table(rows, out):
	by_name = {r["name"]: r for r in out}
	lines = [["row", "level 0", "unit", "level 1", "level 2", "level 3"]]
	for row in rows:
		line = [row.name]
		for level in LEVELS:
			got = by_name.get("level%d.%s" % (level, row.name))
			if level == 0:
				line += ["%.4g" % got["median"] if got else "-", row.unit]
			elif got:
				line.append("%.2fx [%.2f..%.2f]%s" % (got["ratio"], got["ratio_p10"], got["ratio_p90"],
				                                     "" if got.get("met", True) else " MISS (%.2fx)" % got["target"]))
			else:
				line.append("-")
		lines.append(line)
	report.print_table([line + [""] for line in lines])


def main():
	parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
	parser.add_argument("dir")
	for option in ("--json", "--command", "--html"):
		parser.add_argument(option, default="")
	parser.add_argument("--seconds", type=float, default=0)
	parser.add_argument("--load", type=float, default=0)
	for option in ("--strict", "--partial", "--no-instructions"):
		parser.add_argument(option, action="store_true")
	if "--help" in sys.argv:
		print(__doc__)
		return 0
	args = parser.parse_args()
	# What is compared with another library's function is measured by bench_libpfa alone, and so is what moves: without
	# hardening there are no owners.
	rows = [r for r in report.read_rows() if r.ratio_to in (None, "cas", "empty")
	        and not r.name.startswith(("migrate_", "compact_", "contig_", "isolate_", "report_", "walk_", "cma_", "offline_", "burst_"))]
	if args.no_instructions:
		rows = [r for r in rows if not r.name.endswith(".instructions")]
	out, void = results(rows, read(args.dir))
	print_table(rows, out)
	missed = [r["name"] for r in out if not r.get("met", True)]
	print("Ratios to level 0, median [p10..p90] of the rounds. Load before the first run: %g. Goals missed: %s."
	      % (args.load, ", ".join(missed) or "none"))
	if void and not args.partial:
		print("levels.py: these rows are missing or void: %s" % ", ".join(void), file=sys.stderr)
		print("levels.py: rows are missing", file=sys.stderr)
	code = 2 if args.partial else 1 if void or (args.strict and missed) else 0
	doc = envelope.envelope("libpfa", args.command or "levels.py", compilers=["cc"], packages=["libc6", "valgrind"])
	doc["wall_s"] = args.seconds
	doc["rows"] = out
	doc["extra"] = {"missed": missed, "void": void, "partial": args.partial, "load": args.load}
	if args.json:
		envelope.write(args.json, doc, code)
	return code


if __name__ == "__main__":
	sys.exit(main())
