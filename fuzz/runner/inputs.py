# SPDX-License-Identifier: MIT
"""Inputs as files: encoding, decoding and shrinking with pfa-trace, and running a single one."""
import binascii
import collections
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

from build import tool
from options import Setup

Result = collections.namedtuple("Result", "failed kind log code")
BATCH = 200


def environment(engine):
    """Environment of a target. AFL++ wants to set the sanitizers' options itself."""
    env = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1:" + os.environ.get("UBSAN_OPTIONS", ""), PFA_FUZZ_STATS="1")
    if "ASAN_SYMBOLIZER_PATH" not in env:
        names = ["llvm-symbolizer-" + os.environ.get("PFA_CLANG_VERSION", "19"), "llvm-symbolizer"]
        names += [f"llvm-symbolizer-{v}" for v in range(25, 11, -1)]
        path = next((p for p in map(shutil.which, names) if p), None)
        if path:
            env["ASAN_SYMBOLIZER_PATH"] = path
    if engine != "libfuzzer":
        env["ASAN_OPTIONS"] = "handle_abort=1:" + os.environ.get("ASAN_OPTIONS", "")
    return env


def trace(ctx, *args, seconds=30):
    """Runs pfa-trace. Returns (exit status or None, output); None: it is not there or did not end in time."""
    exe = tool(ctx.folder, "pfa-trace")
    if not exe:
        return None, "pfa-trace is not in this build"
    code, out = run(ctx, [exe, *args], seconds)
    return code, out if code is not None else f"pfa-trace {args[0]} did not end within {seconds} s"


def encode_corpus(ctx, folder, into):
    """Copies the inputs under folder into the folder `into`, encoded to binary and named by content.

    Returns {name: path of the source}."""
    os.makedirs(into, exist_ok=True)
    texts, sources = [], {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "*"), recursive=True)):
        if path.endswith(".pfa.txt"):
            texts.append(path)
        elif os.path.isfile(path):
            with open(path, "rb") as f:
                sources[store(into, f.read())] = path
    for i in range(0, len(texts), BATCH):
        sources.update(encode_texts(ctx, texts[i:i + BATCH], into))
    return sources


def encode_texts(ctx, texts, into):
    part = os.path.join(into, ".encoding")
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    links = {}
    for i, path in enumerate(texts):
        links[f"{i}.bin"] = path
        os.symlink(path, os.path.join(part, f"{i}.pfa.txt"))
    names = [os.path.join(part, f"{i}.pfa.txt") for i in range(len(texts))]
    code, out = trace(ctx, "encode", *names, "-o", part, seconds=120)
    if code != 0:
        for i, path in enumerate(texts):
            out = out.replace(os.path.join(part, f"{i}.pfa.txt"), os.path.relpath(path, ctx.opt.root))
        raise Setup("cannot encode the corpus:\n" + out.strip())
    sources = {}
    for name, path in links.items():
        with open(os.path.join(part, name), "rb") as f:
            sources[store(into, f.read())] = path
    shutil.rmtree(part)
    return sources


def store(folder, data):
    """Writes data under the name that libFuzzer would give it."""
    name = hashlib.sha1(data).hexdigest()
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        with open(path + ".tmp", "wb") as f:
            f.write(data)
        os.replace(path + ".tmp", path)
    return name


def files_in(folder):
    try:
        return {e.name for e in os.scandir(folder) if e.is_file() and not e.name.startswith(".")}
    except FileNotFoundError:
        return set()


def decode(ctx, target, path, text_path):
    """Binary to text; returns the text, or None where the bytes have no text form in this build."""
    code, _ = trace(ctx, "decode", path, "--target", target.name, "-o", text_path)
    if code != 0 or not os.path.exists(text_path):
        return hex_dump(path)
    with open(text_path, encoding="utf-8", errors="replace") as f:
        return f.read()


def hex_dump(path):
    with open(path, "rb") as f:
        data = f.read(256)
    lines = [binascii.hexlify(data[i:i + 32], " ", 4).decode() for i in range(0, len(data), 32)]
    return "\n".join(lines or ["(empty)"])


def to_c(ctx, text_path, c_path):
    if os.path.exists(text_path):
        trace(ctx, "to-c", text_path, "-o", c_path)


def shrink(ctx, target, path, into, seconds):
    """Shrinks an input that fails; True if there is no smaller one."""
    text = into + ".pfa.txt"
    code, _ = trace(ctx, "shrink", path, "--target", target.name, "-o", text, "--timeout", str(seconds),
                    seconds=seconds + 20)
    if code == 0 and os.path.exists(text):
        part = into + ".part"
        code, _ = trace(ctx, "encode", text, "-o", part)
        if code == 0 and os.path.exists(part):
            os.replace(part, into)
    elif ctx.opt.engine == "libfuzzer":
        run(ctx, [target.exe, "-minimize_crash=1", f"-max_total_time={max(1, seconds // 4)}", "-exact_artifact_path=" + into,
                  f"-timeout={ctx.opt.timeout}", f"-rss_limit_mb={ctx.opt.rss_limit}", path], seconds)
    if os.path.exists(text):
        os.unlink(text)
    return not os.path.exists(into) or os.path.getsize(into) >= os.path.getsize(path)


def run(ctx, cmd, seconds):
    """Runs a command to its end, for `seconds` at most and until the user gives up: (status or None, output)."""
    try:
        proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True, env=environment(ctx.opt.engine))
    except OSError as error:
        raise Setup(f"cannot run {cmd[0]}: {error.strerror}") from error
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        try:
            out, _ = proc.communicate(timeout=0.2)
            return proc.returncode, out.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            if ctx.hard.is_set() or (end and time.monotonic() > end):
                os.killpg(proc.pid, signal.SIGKILL)
                out, _ = proc.communicate()
                return None, out.decode("utf-8", "replace")


def run_one(ctx, target, path):
    """Runs one binary input in a process of its own."""
    limit, scratch = ctx.opt.timeout, os.path.join(ctx.work, "single-")
    args = {"libfuzzer": [f"-timeout={limit}", f"-rss_limit_mb={ctx.opt.rss_limit}", f"-artifact_prefix={scratch}", path],
            "afl": [path],
            "replay": ["--no-fork", "--timeout", str(limit), path]}[ctx.opt.engine]
    code, log = run(ctx, [target.exe, *args], limit * 3 + 10)
    for left in glob.glob(glob.escape(scratch) + "*"):
        os.unlink(left)
    kind = "crash"
    if code is None or code == -14 or re.search(r"ERROR: libFuzzer: timeout", log):
        kind = "timeout"
    elif re.search(r"ERROR: libFuzzer: out-of-memory|AddressSanitizer: (out-of-memory|allocation-size-too-big)", log):
        kind = "oom"
    elif "LeakSanitizer: detected" in log:
        kind = "leak"
    return Result(code != 0, kind, log, code)


def first_copy(ctx, target, path):
    """A copy of an input for Findings.add, which takes its file over."""
    copy = os.path.join(ctx.findings.folder(target), f"new-{os.getpid()}-repro")
    shutil.copyfile(path, copy)
    return copy
