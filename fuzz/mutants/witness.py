# SPDX-License-Identifier: MIT
"""Is a planted bug a change at all? By machine code, and for bugs that nothing sees by behaviour."""
import os
import shutil

from copies import Setup, must, run, what

SEEDS = 20000


def planted_copy(opt, snapshot, mutant):
	folder = os.path.join(opt.out, "witness", mutant.id)
	shutil.rmtree(folder, ignore_errors=True)
	shutil.copytree(os.path.join(snapshot, "lib"), os.path.join(folder, "lib"))
	mutant.plant(folder)
	return folder


# Some code is there for AddressSanitizer only; its tables of globals would have numbers of lines.
ASAN = ("-fsanitize=address", "--param=asan-globals=0")


def assembly(folder, source, more=()):
	"""Machine code as text, without names of files or numbers of lines."""
	# From within, so that no path differs.
	code, out = run(["gcc", "-std=c11", "-O2", "-w", *more, "-S", "-o", "-", "-Iinclude", source], cwd=os.path.join(folder, "lib"))
	if code != 0:
		raise Setup(f"{source} in {folder} does not compile: {what(out)}")
	return out


def changes(original, snapshot, folder, source, more):
	if (source, more) not in original:
		original[source, more] = assembly(snapshot, source, more)
	return assembly(folder, source, more) != original[source, more]


def not_equivalent(opt, snapshot, mutants):
	"""Every bug applies, compiles, and changes the machine code."""
	original, wrong = {}, []
	for mutant in mutants:
		files = {os.path.relpath(file, "lib") for file, _, _ in mutant.hunks}
		# A header may change anything.
		sources = files if all(f.endswith(".c") for f in files) else {"src/pfa_unity.c"}
		try:
			folder = planted_copy(opt, snapshot, mutant)
			if not any(changes(original, snapshot, folder, s, more) for more in ((), ASAN) for s in sources):
				wrong.append(f"{mutant.id} is equivalent: it changes no machine code")
			shutil.rmtree(folder)
		except Setup as problem:
			wrong.append(str(problem))
	if wrong:
		raise Setup("\n".join(wrong))


def build(folder, source):
	exe = os.path.join(folder, "witness")
	lib = os.path.join(folder, "lib")
	must(["gcc", "-std=c11", "-O1", "-w", "-I" + os.path.join(lib, "include"), source,
	      os.path.join(lib, "src", "pfa_unity.c"), "-o", exe], "the witness does not build")
	return exe


def witness(opt, snapshot, mutant):
	"""For a bug that nothing saw: at which seed does a random program behave otherwise?"""
	source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "witness.c")
	folder = planted_copy(opt, snapshot, mutant)
	exe = [build(snapshot, source), build(folder, source)]
	code = [run([e, "1", str(SEEDS)], 300) for e in exe]
	if code[0][0] != 0:
		raise Setup(f"the witness fails on the original: {what(code[0][1])}")
	pairs = zip(code[0][1].split("\n"), code[1][1].split("\n"))
	other = next((a for a, b in pairs if a != b), None)
	if other is None and code[1][0] == 0:
		return f"no witness in {SEEDS} random programs of one thread" + (", but it needs threads" if mutant.threads else "")
	return "witness: another behaviour at " + " ".join((other or "its end").split()[:2])
