# SPDX-License-Identifier: MIT
"""Planted bugs against the fuzz targets, built as fuzz/run builds them, from the committed corpus."""
import os
import queue
import re
import shutil
import statistics
import time
import types

import build as runner_build
import engine_libfuzzer
import inputs
import options
from by_tests import each
from copies import Setup, Tree, run, what
from witness import witness

# Shares of the time; the target of all operations comes first, as one who does not know the bug would do it.
SHARES = (("core", 0.3), ("migrate", 0.1), ("contig", 0.12), ("hotplug", 0.1), ("report", 0.1), ("walk", 0.05), ("misuse", 0.08), ("repair", 0.08), ("diff", 0.06),
          ("config", 0.06), ("owners", 0.05))
# The only target that lib/owners is part of.
OF_OWNERS = "owners"


class Targets:
	"""The fuzz targets of one tree."""

	def __init__(self, tree, opt):
		self.work = os.path.join(tree.folder, "work")
		self.opt = types.SimpleNamespace(root=tree.src, out=tree.folder, build=None, engine="libfuzzer", jobs=2, timeout=10,
		                                 rss_limit=2048, targets=[])
		shares = [(name, share) for name, share in SHARES if not re.search(opt.exclude, name)]
		if not shares:
			raise Setup("all targets are excluded")
		self.shares = [(name, share / sum(s for _, s in shares)) for name, share in shares]

	def make(self):
		try:
			self.folder, _ = runner_build.build(self.opt)
			known = {t.name: t for t in runner_build.targets(self.opt, self.folder)}
		except (options.Setup, options.Usage) as error:
			raise Setup(str(error)) from error
		self.known = [(known[name], share) for name, share in self.shares if name in known]
		if len(self.known) != len(self.shares):
			raise Setup(f"{self.folder} has not all of the targets {[name for name, _ in self.shares]}")

	def encode(self, target):
		"""The committed seeds of a target as libFuzzer wants them."""
		into = os.path.join(self.work, "seeds-" + target.name)
		shutil.rmtree(into, ignore_errors=True)
		os.makedirs(into)
		ctx = types.SimpleNamespace(folder=self.folder, opt=self.opt, hard=types.SimpleNamespace(is_set=lambda: False))
		for kind in ("seed", "regress"):
			source = os.path.join(self.opt.root, "corpus", target.name, kind)
			if os.path.isdir(source):
				try:
					inputs.encode_corpus(ctx, source, into)
				except options.Setup as error:
					raise Setup(str(error)) from error
		return into

	def one(self, target, seed, seconds):
		"""None, or what a target says that stopped within these seconds."""
		grown = os.path.join(self.work, "grown")
		shutil.rmtree(grown, ignore_errors=True)
		os.makedirs(grown)
		cmd = [target.exe, f"-seed={seed}", f"-max_total_time={max(1, round(seconds))}", f"-timeout={self.opt.timeout}",
		       f"-rss_limit_mb={self.opt.rss_limit}", f"-artifact_prefix={self.work}/found-",
		       *engine_libfuzzer.options_of(self, target)]
		words = runner_build.dictionary(self.folder, target)
		cmd += ["-dict=" + words] if words else []
		code, out = run(cmd + [grown, self.encoded[target.name]], seconds + 60, inputs.environment("libfuzzer"), self.work)
		return None if code == 0 else "watchdog: it did not end" if code is None else what(out) or f"status {code}"

	def search(self, seed, seconds, files=()):
		"""(seconds, target, what it saw), or (seconds, None, ""). files: what is changed; none: nothing."""
		started = time.monotonic()
		of_owners = files and all(name.startswith("lib/owners/") for name in files)
		for target, share in self.known:
			if of_owners:
				share = 1 if target.name == OF_OWNERS else 0
			if not share:
				continue
			seen = self.one(target, seed, seconds * share)
			if seen:
				return time.monotonic() - started, target.name, seen
		return time.monotonic() - started, None, ""


def prepare(opt, snapshot, number):
	tree = Tree(opt, "fuzz", number, snapshot)
	tree.restore()
	tree.targets = Targets(tree, opt)
	os.makedirs(tree.targets.work, exist_ok=True)
	tree.targets.make()
	# Encoded once, by the original: a planted bug has no say in what the seeds are.
	tree.targets.encoded = {t.name: tree.targets.encode(t) for t, _ in tree.targets.known}
	return tree


def by_fuzzing(opt, snapshot, mutants, report):
	pool = queue.SimpleQueue()
	for number in range(min(opt.jobs, len(mutants))):
		tree = prepare(opt, snapshot, number)
		if number == 0:
			_, name, seen = tree.targets.search(1, opt.time)
			if name:
				raise Setup(f"the unmutated copy has a finding in {name}: {seen}")
			print("control: no finding in the unmutated copy", flush=True)
		pool.put(tree)

	def judge(mutant):
		tree = pool.get()
		try:
			tree.restore()
			mutant.plant(tree.src)
			tree.targets.make()
			files = [name for name, _, _ in mutant.hunks]
			found = [tree.targets.search(seed, opt.time, files) for seed in range(1, opt.seeds + 1)]
		finally:
			tree.restore()
			pool.put(tree)
		hits = [f for f in found if f[1]]
		result = {"seconds": statistics.median(f[0] for f in found), "samples": [f[0] for f in found], "found": len(hits)}
		if not hits:
			return {"by": None, "saw": witness(opt, snapshot, mutant), **result}
		oracles = sorted({f"{name}: {seen}" for _, name, seen in hits})
		return {"by": f"{hits[0][1]}, {len(hits)} of {opt.seeds} seeds", "saw": oracles[0], "oracles": oracles, **result}

	each(opt, mutants, judge, report)
