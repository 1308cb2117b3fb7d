#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The JSON envelope that every command writes (schema pfa-run/1), as a module:

    from envelope import envelope, write
    doc = envelope("libpfa", "ci/test", seed=0, compilers=["gcc", "clang-19"], packages=["cmake"])
    doc["rows"].append(row("build gcc64", "s", [12.3]))
    write(path, doc, exit_code)
"""
import json
import os
import platform
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def first_line(*command):
	"""First line that a command prints, or "" if it cannot be run."""
	try:
		out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True)
	except OSError:
		return ""
	return out.stdout.split("\n", 1)[0].strip() if out.returncode == 0 else ""


def commit():
	"""Commit of this checkout, with "+" if tracked files were changed; "" outside of git."""
	git = ("git", "-c", "safe.directory=" + ROOT, "-C", ROOT)
	head = first_line(*git, "rev-parse", "HEAD")
	return head + ("+" if head and first_line(*git, "status", "--porcelain", "--untracked-files=no") else "")


def cpu_name():
	try:
		with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
			for line in info:
				if line.lower().startswith(("model name", "cpu model")):
					return line.split(":", 1)[1].strip()
	except OSError:
		pass
	return platform.processor() or platform.machine()


def package_versions(packages):
	found = {}
	for name in packages:
		version = first_line("dpkg-query", "-W", "-f", "${Version}", name)
		if version:
			found[name] = version
	return found


def percentile(ordered, share):
	return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def row(name, unit, samples, **more):
	"""A row of the envelope from raw samples."""
	ordered = sorted(samples)
	return {"name": name, "unit": unit, "median": statistics.median(ordered), "p10": percentile(ordered, 0.1),
	        "p90": percentile(ordered, 0.9), "samples": len(ordered), **more}


def envelope(tool, command, seed=0, compilers=("cc",), packages=()):
	return {
		"schema": "pfa-run/1", "tool": tool, "command": command, "commit": commit(), "seed": seed,
		"env": {
			"cpu": cpu_name(), "cores": os.cpu_count(), "kernel": platform.release(),
			"compiler": "; ".join(filter(None, (first_line(c, "--version") for c in compilers))),
			"package_versions": package_versions(packages),
		},
		"wall_s": 0.0, "exit": 0, "verdict": "pass", "targets": [], "findings": [], "rows": [], "extra": {},
	}


def write(path, doc, exit_code):
	"""Sets exit and verdict, and writes the document so that a reader never sees half of it."""
	doc["exit"] = exit_code
	doc["verdict"] = {0: "pass", 1: "finding"}.get(exit_code, "setup")
	partial = path + ".partial"
	with open(partial, "w", encoding="utf-8") as out:
		json.dump(doc, out, indent="\t")
		out.write("\n")
	os.replace(partial, path)


if __name__ == "__main__":
	if sys.argv[1:] not in ([], ["--help"]):
		print(__doc__, file=sys.stderr)
		sys.exit(2)
	print(__doc__)
