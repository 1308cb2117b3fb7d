# SPDX-License-Identifier: MIT
"""Planted bugs as files, and copies of the sources that they are planted into."""
import os
import re
import shutil
import subprocess

CLANG = "clang-" + os.environ.get("PFA_CLANG_VERSION", "19")
BUILDS = {"plain": ("gcc", ""), "asan": (CLANG, "address,undefined"), "tsan": ("gcc", "thread")}


class Setup(Exception):
	pass


def run(cmd, seconds=None, env=None, cwd=None):
	"""(status, output); status None: it did not end in time."""
	try:
		done = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
		                      timeout=seconds, env=env, cwd=cwd)
		return done.returncode, done.stdout.decode("utf-8", "replace")
	except subprocess.TimeoutExpired as late:
		return None, (late.stdout or b"").decode("utf-8", "replace")
	except OSError as error:
		raise Setup(f"cannot run {cmd[0]}: {error.strerror}") from error


def must(cmd, what):
	code, out = run(cmd)
	if code != 0:
		raise Setup(what + ":\n" + out[-4000:])
	return out


# What a failure says, by what says it best.
SAYS = [re.compile(p, re.M) for p in (
	r"pfa-finding:.*?invariant=(?P<say>\S+.*)",
	r"\b(?P<say>I\d{1,2}) \"I\d+ (?P<more>[^\"]*)\"",
	r"(?P<say>AddressSanitizer: [a-zA-Z][\w-]*|ThreadSanitizer: [^(\n]*|libFuzzer: [\w-]+)",
	r"(?P<say>runtime error: .*)",
	r"^\S*?(?P<say>\w+\.c:\d+: (?!error: Failure).*)",
	r"^\[  ERROR   \] --- (?P<say>.*\S.*)",
	r"^(?P<say>.*\berror\b.*)",
	r"(?P<say>LeakSanitizer: [\w ]+)")]


def what(output):
	"""One line of the output of something that failed."""
	test = re.search(r"^\[  FAILED  \] (\w+)$", output, re.M)
	before = test[1] + ": " if test else ""
	for pattern in SAYS:
		found = pattern.search(output)
		if found:
			more = found.groupdict().get("more")
			return (before + found["say"].strip() + (" " + more if more else ""))[:160]
	lines = [line.strip() for line in output.split("\n") if line.strip()]
	return (before + lines[-1])[:160] if lines else ""


class Mutant:
	def __init__(self, path):
		self.head, self.hunks = {}, []
		name = os.path.basename(path)
		with open(path, encoding="utf-8") as f:
			for number, line in enumerate(f.read().split("\n")[:-1], 1):
				if line.startswith("@@ "):
					self.hunks.append((line[3:], [], []))
				elif self.hunks and line[:1] in " -+" and line:
					_, old, new = self.hunks[-1]
					old += [line[1:]] if line[0] in " -" else []
					new += [line[1:]] if line[0] in " +" else []
				elif not self.hunks and re.fullmatch(r"[a-z]+: \S.*", line):
					key, value = line.split(": ", 1)
					self.head[key] = value
				else:
					raise Setup(f"{name}:{number}: neither 'key: value' nor part of a hunk")
		missing = {"id", "title", "row", "expect"} - set(self.head)
		unknown = set(self.head) - {"id", "title", "row", "expect", "threads", "only", "gap", "finding"}
		self.id, self.threads = self.head.get("id"), self.head.get("threads") == "yes"
		self.fuzzed = not self.threads and self.head.get("only") != "tests"
		if missing or unknown or self.id + ".mut" != name or not self.hunks or any(o == n for _, o, n in self.hunks):
			raise Setup(f"{name}: its head or a hunk is wrong (missing {missing or '-'}, unknown {unknown or '-'})")

	def plant(self, tree, only_look=False):
		for file, old, new in self.hunks:
			path = os.path.join(tree, file)
			with open(path, encoding="utf-8") as f:
				text = f.read()
			find = "\n" + "\n".join(old) + "\n"
			if text.count(find) != 1:
				raise Setup(f"{self.id} no longer applies: its lines occur {text.count(find)} times in {file}")
			if not only_look:
				write(path, text.replace(find, "\n" + "\n".join(new) + "\n").encode())


def write(path, data):
	"""Only if it changes something, so that no more is built than must be."""
	if os.path.exists(path):
		with open(path, "rb") as f:
			if f.read() == data:
				return
	with open(path, "wb") as f:
		f.write(data)


class Tree:
	"""A copy of the sources with a build of it."""

	def __init__(self, opt, build, number, snapshot):
		self.opt, self.build_name, self.snapshot = opt, build, snapshot
		self.folder = os.path.join(opt.out, f"{build}{number}")
		self.src, self.build = os.path.join(self.folder, "src"), os.path.join(self.folder, "build")
		if not os.path.isdir(self.src):
			shutil.copytree(snapshot, self.src)

	def restore(self):
		kept = set()
		for at, _, files in os.walk(self.snapshot):
			into = os.path.join(self.src, os.path.relpath(at, self.snapshot))
			os.makedirs(into, exist_ok=True)
			for name in files:
				with open(os.path.join(at, name), "rb") as f:
					write(os.path.join(into, name), f.read())
				shutil.copymode(os.path.join(at, name), os.path.join(into, name))
				kept.add(os.path.normpath(os.path.join(into, name)))
		for at, _, files in os.walk(self.src):
			for name in files:
				if os.path.normpath(os.path.join(at, name)) not in kept:
					os.unlink(os.path.join(at, name))

	def configure(self):
		compiler, sanitize = BUILDS[self.build_name]
		must(["cmake", "-S", self.src, "-B", self.build, "-G", "Ninja", "--no-warn-unused-cli", "-DPFA_DEBUG=ON",
		      "-DCMAKE_C_COMPILER=" + compiler, "-DPFA_SANITIZE=" + sanitize, "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
		      "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g", "-DPFA_BUILD_CHECKS=OFF"], f"cannot configure {self.build}")

	def make(self, *targets):
		return run(["cmake", "--build", self.build, "-j2", *sum((["--target", t] for t in targets), [])])
