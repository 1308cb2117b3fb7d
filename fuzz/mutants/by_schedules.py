# SPDX-License-Identifier: MIT
"""Does the explorer (fuzz/sched) see a planted bug, how soon, and what must be done out of turn for it to show?"""
import glob
import json
import math
import os
import re
import shutil
import statistics

from copies import Setup, must, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "fuzz", "sched")
WITNESSES = os.path.join(ROOT, "corpus", "sched", "planted")
STRATEGIES = ("default", "random", "pct", "starve", "all")
SEEDED = ("random", "pct")
TRIED_ONCE = 3    # seconds for a strategy that has one way to go: what it finds it mostly finds at once
IN_ORDER = 10000  # schedules without a preemption, in which what needs threads must not show
RUNTIME = ("fiber.c", "locks.c", "place.c", "race.c", "sched.c", "shrink.c", "strategy.c", "strategy_all.c", "tsan.c",
           "pfa_sched.c", "lib_calls.c", "lib_file.c", "lib_locks.c", "lib_looks.c", "lib_movers.c", "lib_plan.c", "lib_run.c", "lib_shrink.c",
           "../../lib/platform/sim.c", *("../common/" + name + ".c" for name in
           ("arena", "prog_args", "prog_bytes", "prog_config", "prog_parse", "prog_parse_config", "prog_parse_ops", "prog_parse_words",
            "prog_print", "prog_switches", "prog_table")))


class Bench:
	"""The runtime and the drivers, compiled once; the library each time."""

	def __init__(self, opt):
		self.opt, self.out = opt, opt["out"]
		self.include = ["-I" + os.path.join(HERE), "-I" + os.path.join(HERE, "../common"), "-I" + os.path.join(ROOT, "lib/include"),
		                "-I" + os.path.join(ROOT, "lib/src")]
		every = sorted(glob.glob(os.path.join(ROOT, "corpus", "sched", "seed", "*.pfa.txt")))
		self.programs = [p for p in every if any(text in os.path.basename(p) for text in opt["programs"].split(","))]
		if not self.programs:
			raise Setup("there is no such program: " + opt["programs"])
		os.makedirs(self.out, exist_ok=True)
		self.objects = [path for path in opt["runtime"].split(",") if path]
		for source in RUNTIME if not self.objects else ():
			self.objects.append(os.path.join(self.out, os.path.basename(source)[:-2] + ".o"))
			must(["gcc", "-std=gnu11", "-O2", "-g", *self.include, "-c", os.path.join(HERE, source), "-o", self.objects[-1]],
			     "cannot compile " + source)
		entry = ["-mllvm", "-tsan-instrument-func-entry-exit=0"] if "clang" in opt["cc"] else \
		        ["--param", "tsan-instrument-func-entry-exit=0"]
		self.compile = [opt["cc"], "-std=c11", opt["opt"], "-g", "-fsanitize=thread", *entry, *self.include, "-c"]
		self.program, self.kind = os.path.join(self.out, "pfa-sched"), ""

	def plant(self, mutant):
		tree, library = os.path.join(self.out, "src"), os.path.join(self.out, "lib.o")
		shutil.rmtree(tree, ignore_errors=True)
		shutil.copytree(os.path.join(ROOT, "lib", "src"), os.path.join(tree, "lib", "src"))
		if mutant:
			mutant.plant(tree)
		self.kind = mutant.head.get("finding", "") if mutant else ""
		must([*self.compile, os.path.join(tree, "lib/src/pfa_unity.c"), "-o", library], "cannot compile the library")
		must(["objcopy", *(w for f in ("memcpy", "memmove", "memset") for w in ("--redefine-sym", f + "=sched_" + f)), library],
		     "objcopy")
		must(["gcc", *self.objects, library, "-o", self.program], "cannot link")

	def ask(self, args, files=None):
		"""What pfa-sched finds first: its kind and text, and what it took; its kind is None where nothing is found."""
		code, out = run([self.program, *args, *(files or self.programs)], 900)
		sums = re.search(r"^(\d+) runs,.* in ([\d.]+) s:", out, re.M)
		found = re.search(r"(?:weak|strong) memory: (.*)\n  (.*)", out)
		if code not in (0, 1):
			return {"runs": 0, "seconds": 0.0, "kind": "crash", "text": f"status {code}"}
		if code == 0 or not found or (self.kind and found[1] != self.kind):
			found = None
		return {"runs": int(sums[1]) if sums else 0, "seconds": float(sums[2]) if sums else 0.0, "kind": found and found[1],
		        "text": found and found[2]}

	def search(self, strategy, seed):
		most = self.opt["seconds"] if strategy in SEEDED else min(self.opt["seconds"], TRIED_ONCE)
		limit = ["--seconds", str(most)] if most else []
		return self.ask(["--first", "--no-shrink", "--strategy", strategy, "--runs", str(self.opt["runs"]), "--seed", str(1000 * seed), *limit])

	def hunt(self, strategy):
		"""A search for each seed; where the first two are in vain, no more."""
		tries = []
		for seed in range(1, 1 + (self.opt["seeds"] if strategy in SEEDED else 1)):
			if seed < 3 or any(t["kind"] for t in tries):
				tries.append(self.search(strategy, seed))
		return tries

	def in_order(self):
		"""Threads in any order, but none preempted: what is found so needs no concurrency, unless it is a race and nothing comes of it."""
		args = ["--first", "--no-shrink", "--strong", "--strategy", "order", "--runs", str(math.ceil(IN_ORDER / len(self.programs)))]
		kind = self.ask(args)["kind"]
		return "race alone" if kind == "race" and not self.ask([*args, "--no-races"])["kind"] else kind

	def one_preemption(self, witness):
		"""Every schedule of every program with one preemption (`next` is free); the witness's, too."""
		return self.ask(["bound", "--bound", "1", "--first", "--no-shrink"], self.programs + ([witness] if witness else []))

	def only_weak(self):
		"""With races allowed: found where loads may read older values, and not where they read the newest one?"""
		args = ["--first", "--no-shrink", "--no-races", "--runs", str(self.opt["runs"]), "--seconds", str(self.opt["seconds"] or 10)]
		return not self.ask([*args, "--strong"])["kind"] and bool(self.ask(args)["kind"])

	def replay(self, mutant):
		"""The bug's witness, as its schedule says: whether it fails. None: there is no such file."""
		path = os.path.join(WITNESSES, mutant.id + ".pfa.txt")
		if not os.path.exists(path):
			return None
		code, out = run([self.program, "run", "--quiet", path], 60)
		return code not in (0, 2) and (not self.kind or f": {self.kind}:" in out)

	def renew(self, mutant):
		"""Writes the witness: the finding with the fewest preemptions that can be had soon."""
		folder, path = os.path.join(self.out, "found"), os.path.join(WITNESSES, mutant.id + ".pfa.txt")
		shutil.rmtree(folder, ignore_errors=True)
		os.makedirs(folder)
		os.makedirs(WITNESSES, exist_ok=True)
		search = ["--first", "--runs", str(self.opt["runs"]), "--seconds", str(self.opt["seconds"] or 10)]
		tries = [["bound", "--first", "--bound", "1"], ["bound", "--first", "--bound", "2", "--most", "2000"],
		         [*search, "--strong", "--strategy", "random"], [*search, "--strategy", "random"], [*search, "--strategy", "pct"]]
		for args in tries:
			run([self.program, *args, "--out", folder, *self.programs], 900)
			found = self.written(folder)
			if not found:
				continue
			if args[0] != "bound": # what the shrinking, which has less time, may have missed
				run([self.program, "bound", "--first", "--bound", "2", "--most", "50000", "--out", folder, found[0]], 900)
			with open(self.written(folder)[0], encoding="utf-8") as f:
				text = f.read()
			with open(path, "w", encoding="utf-8") as f:
				f.write(f"# {mutant.id}: {mutant.head['title']}\n{text}")
			return

	def written(self, folder):
		"""The files of findings that count, the one with the fewest deviations first."""
		found = []
		for path in glob.glob(os.path.join(folder, "*")):
			with open(path, encoding="utf-8") as f:
				text = f.read()
			if text.startswith("# " + self.kind):
				found.append((len(re.findall("@[^ ]*=", text)), len(text), path))
		return [path for _, _, path in sorted(found)]


def measure(bench, mutant, kinds, renew):
	"""All that there is to say of one bug, for JSON."""
	bench.plant(mutant)
	if renew:
		bench.renew(mutant)
	path = os.path.join(WITNESSES, mutant.id + ".pfa.txt")
	found = {s: bench.hunt(s) for s in bench.opt["strategies"]}
	result = {"id": mutant.id, "title": mutant.head["title"], "row": mutant.head["row"], "witness": bench.replay(mutant), "found": found}
	if kinds:
		hits = [t for tries in found.values() for t in tries if t["kind"]]
		result["in_order"] = bench.in_order()
		result["preemptions"] = 0 if result["in_order"] else 1 if bench.one_preemption(path if result["witness"] else None)["kind"] else None
		if result["preemptions"] is None and result["witness"]:
			with open(path, encoding="utf-8") as f: # shrunk, as far as it can be soon
				result["preemptions"] = len(re.findall("=preempt:", f.read()))
		result["weak"] = not result["in_order"] and bool(hits) and bench.only_weak()
	with open(os.path.join(bench.out, mutant.id + ".json"), "w", encoding="utf-8") as f:
		json.dump(result, f)
	return result


def seen(result):
	return any(t["kind"] for tries in result["found"].values() for t in tries)


def cell(tries):
	"""Median and worst of the runs, and the worst's seconds."""
	hits = sorted((t for t in tries if t["kind"]), key=lambda t: t["runs"])
	if not hits:
		return "-"
	text = f"{hits[-1]['runs']} ({hits[-1]['seconds']:.1f})"
	if len(tries) > 1:
		text = f"{statistics.median(t['runs'] for t in hits):.0f}, " + text
	return text + (f" {len(hits)}/{len(tries)}" if len(hits) < len(tries) else "")


def needs(result):
	"""What has to happen for it to show."""
	if result.get("in_order"):
		return "sequential" if result["in_order"] != "race alone" else "no preemption: a race"
	if result.get("weak"):
		return "old values"
	number = result.get("preemptions")
	return "" if number is None else f"{number} preemption" + ("s" if number != 1 else "") if number else "cpus or old values"


def checkers(result):
	return ", ".join(sorted({t["kind"] for tries in result["found"].values() for t in tries if t["kind"]}))


def markdown(results, strategies):
	lines = ["| bug | row | needs | seen as | " + " | ".join(strategies) + " |", "|---" * (4 + len(strategies)) + "|"]
	for r in results:
		lines.append(f"| {r['id']} | {r['row'].split(' (')[0]} | {needs(r)} | {checkers(r)} | " +
		             " | ".join(cell(r["found"].get(s, [])) for s in strategies) + " |")
	return "\n".join(lines)


def counts(results, seconds):
	def soon(r):
		return any(tries and all(t["kind"] and t["seconds"] <= seconds for t in tries) for tries in r["found"].values())

	own = sum(r["row"].startswith("own") for r in results)
	kinds = [needs(r) for r in results]
	late = [r["id"] for r in results if not soon(r)]
	return (f"{len(results)} bugs: {len(results) - own} of the list of known bugs of such code, {own} own; "
	        f"{kinds.count('sequential')} sequential, {sum('race' in k for k in kinds)} races in any order, {kinds.count('1 preemption')} need one preemption, "
	        f"{sum(k[:1] in '23456789' for k in kinds if k)} more than one, {kinds.count('old values')} loads that read old values. "
	        f"Witnesses that fail: {sum(bool(r['witness']) for r in results)}. "
	        f"Within {seconds} s, with every seed, by some strategy: {len(results) - len(late)}" + ("; not " + ", ".join(late) if late else "") + ".")
