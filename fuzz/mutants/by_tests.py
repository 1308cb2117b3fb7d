# SPDX-License-Identifier: MIT
"""Planted bugs against the tests of lib/tests."""
import concurrent.futures
import json
import os
import queue
import re
import time

from copies import Setup, Tree, must, run, what
from witness import witness

QUICK_TESTS = ("alloc", "types", "zones")
# What reads what another test wrote; what is right when it fails (the canaries).
NOT_ALONE = {"FIXTURES_REQUIRED", "WILL_FAIL", "PASS_REGULAR_EXPRESSION"}
STAGES = ("unit", "model", "abuse", "mt")


def each(opt, mutants, judge, report):
	with concurrent.futures.ThreadPoolExecutor(opt.jobs) as pool:
		futures = {pool.submit(judge, m): m for m in mutants}
		try:
			for future in concurrent.futures.as_completed(futures):
				report(futures[future], future.result())
		except BaseException:
			pool.shutdown(wait=False, cancel_futures=True)
			raise


def test_list(tree, opt):
	"""[(stage, name, command, target, properties)] of the tree's tests that apply."""
	text = must(["ctest", "--test-dir", tree.build, "--show-only=json-v1"], "ctest cannot list the tests")
	out = []
	for test in json.loads(text[text.index("{"):])["tests"]:
		props = {p["name"]: p["value"] for p in test["properties"]}
		labels, name = props.get("LABELS", []), test["name"]
		stage = next((s for s in STAGES if s in labels), None)
		# Programs; a file that a test is to write has a suffix.
		inside = [w for w in test.get("command", []) if w.startswith(tree.build + os.sep) and not os.path.splitext(w)[1]]
		if (not stage or "long" in labels or NOT_ALONE & props.keys() or not inside or
		        re.search(opt.exclude, name) or (opt.quick and name not in ["unit." + t for t in QUICK_TESTS])):
			continue
		out.append({"stage": stage, "name": name, "command": test["command"], "env": props.get("ENVIRONMENT", []),
		            "targets": [os.path.basename(w) for w in inside], "seconds": 0.0})
	if not out:
		raise Setup("there are no tests")
	return out


def run_test(tree, base, test, limit):
	"""None if it passes; else what it says."""
	code, out = tree.make(*test["targets"])
	if code != 0:
		return "build: " + what(out)
	env = dict(os.environ, **dict(e.split("=", 1) for e in test["env"]))
	code, out = run([w.replace(base.build + os.sep, tree.build + os.sep) for w in test["command"]], limit, env)
	if code is None:
		return "watchdog: it did not end"
	return None if code == 0 else what(out) or f"status {code}"


def control(tree, opt):
	"""The tests of a tree without a planted bug, with their durations: they must pass."""
	tree.restore()
	tree.configure()
	code, out = tree.make(*["test_" + t for t in QUICK_TESTS if opt.quick])
	if code != 0:
		raise Setup(f"the unmutated copy does not build ({tree.build_name}):\n" + out[-4000:])
	tests = test_list(tree, opt)
	if tree.build_name == "tsan":
		tests = [t for t in tests if t["stage"] == "mt"]
	for test in tests:
		started = time.monotonic()
		seen = run_test(tree, tree, test, 600)
		test["seconds"] = time.monotonic() - started
		if seen:
			raise Setup(f"the unmutated copy fails {test['name']} ({tree.build_name}): {seen}")
	tests.sort(key=lambda t: (STAGES.index(t["stage"]), t["name"].endswith("prot_none"), t["seconds"]))
	print(f"control: {len(tests)} tests of the unmutated copy pass ({tree.build_name})", flush=True)
	return tests


def by_tests(opt, snapshot, mutants, report):
	builds = ["plain"] if opt.quick else ["asan", "tsan"]
	pools, tests = {}, {}
	for build in builds:
		trees = [Tree(opt, build, i, snapshot) for i in range(min(opt.jobs, len(mutants)))]
		tests[build] = control(trees[0], opt)
		pools[build] = queue.SimpleQueue()
		for tree in trees:
			tree.base = trees[0]
			if tree is not trees[0]:
				tree.restore()
				tree.configure()
			pools[build].put(tree)

	def judge(mutant):
		started = time.monotonic()
		for build in builds:
			tree = pools[build].get()
			try:
				tree.restore()
				mutant.plant(tree.src)
				for test in tests[build]:
					seen = run_test(tree, tree.base, test, max(60, 10 * test["seconds"]))
					if seen and seen.startswith("build: "):
						raise Setup(f"{mutant.id} does not compile: {seen}")
					if seen:
						return {"by": f"{test['name']} ({build})", "saw": seen, "seconds": time.monotonic() - started}
			finally:
				tree.restore()
				pools[build].put(tree)
		return {"by": None, "saw": witness(opt, snapshot, mutant), "seconds": time.monotonic() - started}

	each(opt, mutants, judge, report)
