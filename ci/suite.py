#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several build trees as one CTest suite (for ci/test).

usage: suite.py merge OUT_DIR TREE...      write OUT_DIR/CTestTestfile.cmake with the tests of all trees; each test is
                                           named TREE/TEST and has TREE as a further label (TREE: last path component)
       suite.py table OUT_DIR              print the table of durations
       suite.py json OUT_DIR FILE EXIT WALL_S COMMAND   write the pfa-run/1 document

OUT_DIR/phases.tsv has one line a build: tree, seconds, ok|failed, sanitizers, compiler, log file.
OUT_DIR/junit.xml is CTest's own report.
"""
import hashlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import envelope

FIXTURES = ("FIXTURES_SETUP", "FIXTURES_CLEANUP", "FIXTURES_REQUIRED")


def bracket(text):
	"""A CMake bracket argument that holds text literally."""
	marks = "="
	while "]" + marks in text:
		marks += "="
	return "[%s[%s%s]%s]" % (marks, "\n" if text.startswith("\n") else "", text, marks)


def property_text(value):
	if isinstance(value, bool):
		return "ON" if value else "OFF"
	if isinstance(value, list):
		return ";".join(str(v) for v in value)
	return str(value)


def merged_test(tree, test):
	name = tree + "/" + test["name"]
	# A test whose program was not built has no command; CTest then reports it as not run, which fails the suite.
	command = test.get("command", [test["name"] + "-was-not-built"])
	lines = ["add_test(%s)" % " ".join(bracket(word) for word in [name] + command)]
	properties = {p["name"]: p["value"] for p in test["properties"]}
	for key in FIXTURES + ("DEPENDS",):
		if key in properties:
			properties[key] = [tree + "/" + value for value in properties[key]]
	properties["LABELS"] = [tree] + properties.get("LABELS", [])
	for key, value in properties.items():
		lines.append("set_tests_properties(%s PROPERTIES %s %s)" % (bracket(name), key, bracket(property_text(value))))
	return lines


def merge(out_dir, *trees):
	lines = []
	for path in trees:
		shown = subprocess.run(["ctest", "--test-dir", path, "--show-only=json-v1"], stdout=subprocess.PIPE, check=True)
		tests = json.loads(shown.stdout)["tests"]
		if not tests:
			print("suite.py: no tests in " + path, file=sys.stderr)
			return 1
		for test in tests:
			lines += merged_test(os.path.basename(path), test)
	with open(os.path.join(out_dir, "CTestTestfile.cmake"), "w", encoding="utf-8") as out:
		out.write("\n".join(lines) + "\n")
	return 0


def read_phases(out_dir):
	keys = ("tree", "build_s", "build", "sanitizers", "compiler", "log")
	try:
		with open(os.path.join(out_dir, "phases.tsv"), encoding="utf-8") as tsv:
			return [dict(zip(keys, line.rstrip("\n").split("\t"))) for line in tsv]
	except OSError:
		return []


def read_tests(out_dir):
	"""tree -> list of (name, seconds, failed, output)"""
	found = {}
	try:
		cases = xml.etree.ElementTree.parse(os.path.join(out_dir, "junit.xml")).iter("testcase")
	except (OSError, xml.etree.ElementTree.ParseError):
		return found
	for case in cases:
		tree, name = case.get("name").split("/", 1)
		skipped = case.find("skipped")
		# A test that could not be started counts as failed; one that was skipped by its own return code does not.
		not_run = skipped is not None and "SKIP" not in skipped.get("message", "")
		failed = case.get("status") == "fail" or not_run
		found.setdefault(tree, []).append((name, float(case.get("time")), failed, case.findtext("system-out") or ""))
	return found


def table(out_dir):
	tests = read_tests(out_dir)
	print("\n%-28s %9s %9s %7s %7s" % ("configuration", "build s", "tests s", "tests", "failed"))
	for phase in read_phases(out_dir):
		mine = tests.get(phase["tree"], [])
		print("%-28s %9.1f %9.1f %7d %7s" % (phase["tree"], float(phase["build_s"]), sum(t[1] for t in mine), len(mine),
		      "build" if phase["build"] != "ok" else sum(t[2] for t in mine)))
	print("(tests s: sum over the tests, which run in parallel)\n", flush=True)
	return 0


def finding(tree, name, message, text):
	identity = hashlib.sha256((tree + name + message).encode()).hexdigest()[:12]
	replay = "ctest --test-dir build/ci/%s -R '^%s$' --output-on-failure" % (tree, name) if name else "ci/test"
	return {"id": identity, "target": tree, "invariant": "", "message": message, "step": 0, "input": name,
	        "text": text[-4000:], "replay": replay}


def write_json(out_dir, path, exit_code, wall_s, command):
	phases, tests = read_phases(out_dir), read_tests(out_dir)
	doc = envelope.envelope("ci/test", command, compilers=sorted({p["compiler"] for p in phases}),
	                        packages=("gcc", "clang-19", "cmake", "ninja-build", "libcmocka-dev", "libc6-dev"))
	doc["wall_s"] = float(wall_s)
	for phase in phases:
		tree = phase["tree"]
		mine = tests.get(tree, [])
		seconds = sum(t[1] for t in mine)
		doc["rows"].append(envelope.row("build " + tree, "s", [float(phase["build_s"])]))
		doc["rows"].append(envelope.row("tests " + tree, "s", [seconds]))
		if phase["build"] != "ok":
			with open(phase["log"], encoding="utf-8", errors="replace") as log:
				doc["findings"].append(finding(tree, "", "the build failed", log.read()))
		for name, _, failed, output in mine:
			if failed:
				doc["findings"].append(finding(tree, name, "test failed: " + name, output))
		doc["targets"].append({
			"name": tree, "engine": "ctest", "sanitizers": [s for s in phase["sanitizers"].split(",") if s],
			"execs": len(mine), "execs_per_s": round(len(mine) / seconds, 3) if seconds else 0.0, "steps": 0, "edges": 0,
			"new_inputs": 0, "findings": sum(t[2] for t in mine) + (phase["build"] != "ok")})
		doc["extra"][tree] = {name: seconds for name, seconds, _, _ in mine}
	envelope.write(path, doc, int(exit_code))
	return 0


def main(words):
	commands = {"merge": (merge, 3, 99), "table": (table, 2, 2), "json": (write_json, 6, 6)}
	if words[:1] == ["--help"]:
		print(__doc__)
		return 0
	if not words or words[0] not in commands or not commands[words[0]][1] <= len(words) <= commands[words[0]][2]:
		print(__doc__, file=sys.stderr)
		return 2
	return commands[words[0]][0](*words[1:])


if __name__ == "__main__":
	sys.exit(main(sys.argv[1:]))
