# SPDX-License-Identifier: MIT
"""Chooses a compiler, builds the fuzz targets of one engine, and lists them."""
import os
import shutil
import subprocess
import tempfile

from options import Setup, Usage

PROBE = "int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n < 0; }\n"
SANITIZE = {"libfuzzer": "fuzzer-no-link,address,undefined", "afl": "address,undefined", "replay": "address,undefined"}


class Target:
    """One fuzz target: fuzz_core is built as an executable, and called core wherever there is no doubt."""

    def __init__(self, exe):
        self.exe = exe
        self.file = os.path.basename(exe)
        self.name = self.file[len("fuzz_"):]


def links(compiler, flags):
    """Whether the compiler makes a program with these flags: the compiler may be there without its runtime."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w", encoding="ascii") as f:
            f.write(PROBE)
        cmd = [compiler, "-w", source, "-o", os.path.join(folder, "probe")] + flags
        return subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def choose_compiler(engine):
    """clang-19 (or PFA_CLANG_VERSION), else the newest clang that has libFuzzer and the sanitizers."""
    if engine == "replay":
        return shutil.which(os.environ.get("CC", "cc")) or raise_setup("no C compiler found (cc, or $CC)")
    if engine == "afl":
        if not shutil.which("afl-fuzz"):
            raise Setup("afl-fuzz not found: install the package afl++")
        return shutil.which("afl-clang-fast") or raise_setup("afl-clang-fast not found: install the package afl++")
    wanted = os.environ.get("PFA_CLANG") or "clang-" + os.environ.get("PFA_CLANG_VERSION", "19")
    names = [wanted] + [f"clang-{v}" for v in range(25, 11, -1)] + ["clang"]
    for name in dict.fromkeys(names):
        path = shutil.which(name)
        if path and links(path, ["-fsanitize=fuzzer,address,undefined"]):
            return path
    raise Setup("no clang that can link -fsanitize=fuzzer,address,undefined; "
                "install clang-19 and libclang-rt-19-dev (or set PFA_CLANG_VERSION)")


def raise_setup(message):
    raise Setup(message)


def run_logged(cmd, log, env=None):
    with open(log, "ab") as f:
        f.write(("$ " + " ".join(cmd) + "\n").encode())
        f.flush()
        code = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT, env=env,
                              check=False).returncode
    if code:
        with open(log, encoding="utf-8", errors="replace") as f:
            tail = "".join(f.readlines()[-30:])
        raise Setup(f"{tail}\n`{' '.join(cmd[:4])} ...` failed with status {code}; all of it: {log}")


def configure(opt, compiler, folder, log):
    cache = os.path.join(folder, "CMakeCache.txt")
    if os.path.exists(cache):
        with open(cache, encoding="utf-8", errors="replace") as f:
            known = [line.strip().split("=", 1)[1] for line in f if line.startswith("CMAKE_C_COMPILER:")]
        if known != [compiler]:
            shutil.rmtree(folder)
    cmd = ["cmake", "-S", opt.root, "-B", folder, f"-DCMAKE_C_COMPILER={compiler}",
           "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DPFA_FUZZ_ENGINE={opt.engine}",
           f"-DPFA_SANITIZE={SANITIZE[opt.engine]}", "-DPFA_DEBUG=ON", "-DPFA_BUILD_FUZZ=ON", "-DPFA_BUILD_TESTS=OFF",
           "-DPFA_BUILD_STRESS=OFF", "-DPFA_BUILD_BENCH=OFF", "-DPFA_BUILD_CHECKS=OFF"]
    if not os.path.exists(cache) and shutil.which("ninja"):
        cmd += ["-G", "Ninja"]
    if opt.engine == "libfuzzer":
        ignore = os.path.join(opt.root, "fuzz", "no-coverage.txt")
        judges = os.path.join(opt.root, "fuzz", "no-sanitize.txt")
        # Comparisons are not traced: the inputs are made of typed operations, so hints on constants gain nothing, and
        # their callbacks took 60 % of the time. Stack frames that outlive their function are for the other builds to see
        # (no-sanitize.txt names them): the fake stack took 8 %.
        cmd.append(f"-DCMAKE_C_FLAGS=-fsanitize-coverage-ignorelist={ignore} -fsanitize-ignorelist={judges} "
                   "-fno-sanitize-coverage=trace-cmp -fsanitize-address-use-after-return=never")
    run_logged(cmd, log)


def build(opt, only_configure=False):
    """Returns the folder with the targets of opt.engine, and the compiler."""
    if opt.build:
        return opt.build, None
    compiler = choose_compiler(opt.engine)
    folder = os.path.join(opt.out, "fuzz-" + opt.engine)
    os.makedirs(os.path.join(opt.out, "logs"), exist_ok=True)
    log = os.path.join(opt.out, "logs", f"fuzz-build-{opt.engine}.log")
    open(log, "wb").close()
    env = dict(os.environ, AFL_QUIET="1", AFL_LLVM_DENYLIST=os.path.join(opt.root, "fuzz", "no-coverage.txt"))
    configure(opt, compiler, folder, log)
    if not only_configure:
        run_logged(["cmake", "--build", folder, "-j", str(opt.jobs)], log, env)
    return os.path.join(folder, "fuzz"), compiler


def targets(opt, folder):
    """The targets that were asked for, in the order of the list."""
    try:
        with open(os.path.join(folder, "targets.list"), encoding="ascii") as f:
            known = [Target(os.path.join(folder, line.strip())) for line in f if line.strip()]
    except OSError as error:
        raise Setup(f"{folder} has no targets.list: not a build of fuzz ({error.strerror})") from error
    if not known:
        raise Setup(f"{folder}/targets.list is empty: no target was built")
    if not opt.targets:
        return known
    wanted = {t if t.startswith("fuzz_") else "fuzz_" + t for t in opt.targets}
    unknown = wanted - {t.file for t in known}
    if unknown:
        raise Usage(f"unknown target {', '.join(sorted(unknown))}; there are: {' '.join(t.name for t in known)}")
    return [t for t in known if t.file in wanted]


def tool(folder, name):
    """A built tool beside the targets, or None."""
    path = os.path.join(folder, name)
    return path if os.access(path, os.X_OK) else None


def dictionary(folder, target):
    """The target's own dictionary, else that of all targets whose inputs are programs; None: there is none."""
    for name in (target.file + ".dict", "pfa.dict"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    return None
