#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: report.py DIR [--json FILE] [--html FILE] [--command TEXT] [--seconds S] [--load L] [--strict] [--partial]
                 [--no-instructions]

Reads DIR/<allocator>.<n>.raw (lines "sample <row> <value> <base>", as the bench programs print them) and rows.tsv
beside this script; prints the table, and writes JSON (schema pfa-run/1) and one self-contained HTML page.
A sample's ratio is value / base; figures are medians over all chunks of all processes, spread is p10..p90.
A ratio to another allocator is that of the two medians, each in multiples of a compare-exchange if it has them.
exit: 0 fine; 1 a row of libpfa is missing or not a positive number (or, with --strict, a target was missed); 2 usage"""
import argparse
import collections
import glob
import html
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "ci"))
import envelope  # noqa: E402  (ci/envelope.py)

SUBJECT = "libpfa"
IN_SAMPLE = ("cas", "memcpy", "copy", "op", "lz4", "mremap", "madvise", "off", "least", "frames")  # what a row may be a ratio to that is measured beside it
DIFFERENCES = ("migrate_frame_ns", "burst_faults")  # of two times, or counts, that were measured: it may be negative, or 0
ANCHOR_CAS_NS = 2.4  # of the machine on which the targets were set
Row = collections.namedtuple("Row", "name unit ratio_to target aim what")


def read_rows():
	rows = []
	with open(os.path.join(HERE, "rows.tsv"), encoding="utf-8") as table:
		for line in table:
			if line.strip() and not line.startswith("#"):
				name, unit, to, target, aim, what = line.rstrip("\n").split("\t")
				number = lambda text: None if text == "-" else float(text)
				rows.append(Row(name, unit, None if to == "-" else to, number(target), number(aim), what))
	return rows


def read_samples(directory):
	"""{allocator: {row: [(value, base), ...]}}; a line cut short by an interruption is left out."""
	samples = {}
	for path in sorted(glob.glob(os.path.join(directory, "*.raw"))):
		of = samples.setdefault(os.path.basename(path).split(".")[0], {})
		with open(path, encoding="utf-8") as raw:
			for line in raw:
				fields = line.split()
				if line.endswith("\n") and len(fields) == 4 and fields[0] == "sample":
					of.setdefault(fields[1], []).append((float(fields[2]), float(fields[3])))
	return samples


def relative(pairs):
	"""The median in multiples of the base; of the plain value where there is none."""
	return statistics.median(v / b if b > 0 else v for v, b in pairs)


def result(row, allocator, samples):
	"""A row of the envelope, or None."""
	pairs = samples.get(allocator, {}).get(row.name)
	if not pairs:
		return None
	ratio = None
	if row.ratio_to in IN_SAMPLE:
		ratio = relative(pairs)
	elif row.ratio_to:
		other = samples.get(row.ratio_to, {}).get(row.name)
		ratio = relative(pairs) / relative(other) if other else None
	name = row.name if allocator == SUBJECT else allocator + "." + row.name
	out = envelope.row(name, row.unit, [v for v, _ in pairs], ratio=ratio, ratio_to=row.ratio_to)
	figure = ratio if row.ratio_to else out["median"]
	if allocator == SUBJECT and row.target is not None:
		out.update(target=row.target, aim=row.aim, met=figure is not None and figure <= row.target)
	return out


def faults(rows, results):
	"""What is wrong with libpfa's rows, as text."""
	wrong = []
	for row in rows:
		got = results.get((row.name, SUBJECT))
		if got is None:
			wrong.append(row.name)
		elif not all(math.isfinite(got[k]) and (got[k] > 0 or row.name in DIFFERENCES) for k in ("median", "p10", "p90")):
			wrong.append(row.name + " (not a positive number)")
		elif row.ratio_to and not (got["ratio"] and math.isfinite(got["ratio"]) and got["ratio"] > 0):
			wrong.append(row.name + " (no ratio to " + row.ratio_to + ")")
	return wrong


def figure_text(row, got):
	if got is None:
		return "-"
	if row.ratio_to == "cas" and got["ratio"] is not None:
		return "%.3gx" % got["ratio"] if got["ratio"] < 100 else "%.0fx" % got["ratio"]
	return "%.4g" % got["median"]


def verdict(row, got):
	if got is None or row.target is None:
		return ""
	return "ok" if got["met"] else "MISS"


def table(rows, peers, results):
	"""Lines of cells; the first is the heading."""
	lines = [["row", "median", "[p10..p90]", "unit", "ratio", "target", ""] + peers]
	for row in rows:
		got = results.get((row.name, SUBJECT))
		if got is None and not any((row.name, p) in results for p in peers):
			continue
		ratio = "" if got is None or got["ratio"] is None else "%.2fx %s" % (got["ratio"], row.ratio_to)
		spread = "-" if got is None else "[%.4g..%.4g]" % (got["p10"], got["p90"])
		target = "" if row.target is None else "<= %g" % row.target + (", aim %g" % row.aim if row.aim else "")
		lines.append([row.name, "-" if got is None else "%.4g" % got["median"], spread, row.unit, ratio, target,
		              verdict(row, got)] + [figure_text(row, results.get((row.name, p))) for p in peers])
	return lines


def print_table(lines):
	widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
	for line in lines:
		print("  ".join(c.ljust(w) if i in (0, 2, 3, 5, 6) else c.rjust(w)
		                for i, (c, w) in enumerate(zip(line, widths))).rstrip())


def draw(script):
	"""An SVG; "" where there is no gnuplot."""
	try:
		run = subprocess.run(["gnuplot"], input=script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
		                     check=False)
	except OSError:
		return ""
	return run.stdout[run.stdout.find("<svg"):] if run.returncode == 0 and "<svg" in run.stdout else ""


def plot(rows, allocators, results):
	"""An SVG of all rows that are ratios to a CAS, by gnuplot; "" where there is no gnuplot."""
	data = ""
	shown = [r for r in rows if r.ratio_to == "cas"]
	for i, row in enumerate(shown):
		got = [results.get((row.name, a)) for a in allocators]
		data += " ".join(['"%s"' % row.name] + ["%g" % g["ratio"] if g else "NaN" for g in got]) + "\n"
	script = "set terminal svg size 1200,560 font 'sans,11'\nset style data histograms\nset style fill solid 0.8\n" \
	         "set logscale y\nset ylabel 'multiples of a compare-exchange'\nset grid y\nset key outside\n" \
	         "set xtics rotate by -40 noenhanced\nset datafile missing 'NaN'\n$d << EOD\n" + data + "EOD\nplot " + \
	         ", ".join("$d using %d%s title '%s' noenhanced" % (i + 2, ":xtic(1)" if i == 0 else "", a)
	                   for i, a in enumerate(allocators)) + "\n"
	return draw(script)


def plot_resident(directory):
	"""Resident memory over the time of the load, with a device and without: of the first process ("trace" lines)."""
	paths = sorted(glob.glob(os.path.join(directory, SUBJECT + ".*.raw")))
	points = []
	if paths:
		with open(paths[0], encoding="utf-8") as raw:
			points = [line.split()[2:] for line in raw if line.startswith("trace burst_resident ") and len(line.split()) == 5]
	if not points:
		return ""
	data = "".join(" ".join(p) + "\n" for p in points)
	return draw("set terminal svg size 1200,360 font 'sans,11' name 'resident'\nset title 'burst_resident' noenhanced\nset grid\nset key outside\n"
	            "set xlabel 'seconds of the load'\nset ylabel 'MiB resident'\nset yrange [0:]\n$d << EOD\n" + data +
	            "EOD\nplot $d using 1:3 with lines title 'no device', $d using 1:2 with lines title 'reporting'\n")


def write_html(path, doc, lines, notes, svg):
	cell = lambda tag, c: "<%s%s>%s</%s>" % (tag, " class=miss" if c == "MISS" else "", html.escape(c), tag)
	body = "".join("<tr>" + "".join(cell("th" if n == 0 else "td", c) for c in line) + "</tr>\n"
	               for n, line in enumerate(lines))
	with open(path, "w", encoding="utf-8") as out:
		out.write("<!doctype html><meta charset=utf-8><title>libpfa bench</title><style>body{font:14px sans-serif}"
		          "td,th{padding:2px 8px;text-align:right}td:first-child{text-align:left}.miss{color:#b00}"
		          "tr:nth-child(even){background:#eee}</style><h1>libpfa bench</h1><p>%s</p><table>%s</table>%s%s"
		          % (html.escape("%s, %s, commit %s" % (doc["env"]["cpu"], doc["env"]["compiler"], doc["commit"][:12])),
		             body, "".join("<p>%s</p>" % html.escape(n) for n in notes), svg))


def remarks(rows, results, samples):
	"""What a reader of the table must know, and the median of a compare-exchange."""
	to_cas = {r.name for r in rows if r.ratio_to == "cas"}
	bases = [b for name, pairs in samples.get(SUBJECT, {}).items() if name in to_cas for _, b in pairs if b > 0]
	if not bases:
		return [], None
	cas = statistics.median(bases)
	notes = ["A compare-exchange took %.2f ns here." % cas]
	strict = [r.name for r in rows if r.ratio_to == "cas" and r.target is not None and (r.name, SUBJECT) in results
	          and results[(r.name, SUBJECT)]["median"] > r.target * ANCHOR_CAS_NS]
	notes.append("The targets were set where it took %.1f ns; in multiples of that, these rows would miss: %s."
	             % (ANCHOR_CAS_NS, ", ".join(strict) or "none"))
	notes.append("Peers' columns are multiples of a compare-exchange, or plain figures where the row is no ratio to one; "
	             "a block of a malloc-like peer is 4096 << order bytes, aligned to its size, never touched.")
	return notes, cas


def main():
	parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
	parser.add_argument("dir")
	for option in ("--json", "--html", "--command"):
		parser.add_argument(option, default="")
	parser.add_argument("--seconds", type=float, default=0)
	parser.add_argument("--load", type=float, default=0)
	parser.add_argument("--strict", action="store_true")
	parser.add_argument("--partial", action="store_true")
	parser.add_argument("--no-instructions", action="store_true")
	if "--help" in sys.argv:
		print(__doc__)
		return 0
	args = parser.parse_args()
	rows, samples = read_rows(), read_samples(args.dir)
	if args.no_instructions:
		rows = [r for r in rows if not r.name.endswith(".instructions")]
	order = [SUBJECT, "empty", "mutex_list", "textbook"]
	allocators = sorted(samples, key=lambda a: (order.index(a) if a in order else len(order), a))
	results = {(r.name, a): result(r, a, samples) for r in rows for a in allocators}
	results = {k: v for k, v in results.items() if v}
	notes, cas = remarks(rows, results, samples)
	if args.load > 0.5:
		notes.append("The machine was not idle (load %g before the first run): rows of two threads and of 64 GiB are "
		             "the least to be trusted." % args.load)
	lines = table(rows, [a for a in allocators if a != SUBJECT], results)
	print_table(lines)
	for note in notes:
		print(note)
	wrong = [] if args.partial else faults(rows, results)
	if wrong:
		print("report.py: these rows are missing or void for %s: %s" % (SUBJECT, ", ".join(wrong)), file=sys.stderr)
		print("report.py: rows are missing", file=sys.stderr)
	missed = [r.name for r in rows if (r.name, SUBJECT) in results and verdict(r, results[(r.name, SUBJECT)]) == "MISS"]
	code = 2 if args.partial else 1 if wrong or (args.strict and missed) else 0
	doc = envelope.envelope("libpfa", args.command or "report.py", compilers=["cc"],
	                        packages=["libjemalloc-dev", "libmimalloc-dev", "libgoogle-perftools-dev", "libc6", "valgrind"])
	doc["wall_s"] = args.seconds
	doc["rows"] = [results[(r.name, a)] for a in allocators for r in rows if (r.name, a) in results]
	doc["extra"] = {"cas_ns": cas, "missed": missed, "void": wrong, "notes": notes, "partial": args.partial, "load": args.load}
	if args.json:
		envelope.write(args.json, doc, code)
	if args.html:
		write_html(args.html, doc, lines, notes, plot(rows, allocators, results) + plot_resident(args.dir))
	return code


if __name__ == "__main__":
	sys.exit(main())
