# SPDX-License-Identifier: MIT
"""One slice of AFL++: afl-fuzz on a target, its statistics, crashes and hangs."""
import glob
import math
import os
import shutil
import signal
import subprocess
import time

import inputs
from build import dictionary
from options import Setup

SETTINGS = {"AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
            "AFL_NO_AFFINITY": "1", "AFL_AUTORESUME": "1", "AFL_QUIET": "1", "AFL_NO_CRASH_README": "1",
            "AFL_FORKSRV_INIT_TMOUT": "20000"}


def read_stats(path):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in f)}
    except FileNotFoundError:
        return {}


def read_plot(path):
    """The newest line of plot_data: (executions a second, executions, edges), refreshed every few seconds."""
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            last = f.readlines()[-1].split(",")
        rate = float(last[10])
        return (rate if math.isfinite(rate) else 0.0), int(last[11]), int(last[12])
    except (FileNotFoundError, IndexError, ValueError):
        return 0.0, 0, 0


class Process:
    """A running afl-fuzz. The folder of a target survives its slices, so that the next one resumes."""

    def __init__(self, ctx, target, job, seconds, seed):
        self.ctx, self.target = ctx, target
        start, self.out = ctx.start(target), os.path.join(ctx.work, f"afl-{target.name}-{job}")
        if not inputs.files_in(start):
            inputs.store(start, b"\0" * 64)
        env = inputs.environment("afl")
        env.update(SETTINGS)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            env.pop(name, None)  # afl-fuzz sets them
        mutator = os.path.join(ctx.folder, "libpfa_afl_mutator.so")
        # A target with words of its own does not read programs, so the mutator of programs is not for it.
        if os.path.exists(mutator) and not os.path.exists(os.path.join(ctx.folder, target.file + ".dict")):
            env["AFL_CUSTOM_MUTATOR_LIBRARY"] = mutator
        for folder in (start, ctx.grown(target)):
            for name in inputs.files_in(folder):
                if folder != start and not os.path.exists(os.path.join(start, name)):
                    shutil.copyfile(os.path.join(folder, name), os.path.join(start, name))
        cmd = ["afl-fuzz", "-i", start, "-o", self.out, "-t", str(ctx.opt.timeout * 1000), "-m", "none",
               "-s", str(seed)]
        words = dictionary(ctx.folder, target)
        if words:
            cmd += ["-x", words]
        if seconds:
            cmd += ["-V", str(max(1, round(seconds)))]
        log = os.path.join(ctx.opt.out, "logs", f"fuzz-afl-{target.name}.log")
        self.log_path = log
        with open(log, "ab") as f:
            self.proc = subprocess.Popen(cmd + ["--", target.exe], stdin=subprocess.DEVNULL, stdout=f,
                                         stderr=subprocess.STDOUT, start_new_session=True, env=env, cwd=ctx.work)

    def interrupt(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-15:])


def confirm(ctx, target, job, out, seen):
    """Runs each new crash or hang again, on its own, for the report."""
    for folder in ("crashes", "hangs"):
        for path in sorted(glob.glob(os.path.join(glob.escape(out), "default", folder, "id*"))):
            if path in seen:
                continue
            seen.add(path)
            raw = os.path.join(ctx.findings.folder(target), f"new-{os.getpid()}-{job}-{len(seen)}")
            shutil.copyfile(path, raw)
            result = inputs.run_one(ctx, target, raw)
            if not result.failed and folder == "hangs":
                os.unlink(raw)  # only slow beside other work
                continue
            log = result.log if result.failed else "It failed under afl-fuzz, and passes when run alone.\n" + result.log
            found, first = ctx.findings.add(target, raw, result.kind if result.failed else "unstable", log)
            if first:
                ctx.say(f"! {target.name}: finding {found['id']}: {found['invariant']}: {found['message']}")


def update(ctx, target, job, process, started, base):
    """afl-fuzz writes its statistics once a minute, and its plot more often where something changes."""
    rate, execs, edges = read_plot(os.path.join(process.out, "default", "plot_data"))
    final = read_stats(os.path.join(process.out, "default", "fuzzer_stats"))
    if int(final.get("execs_done", 0)) > execs:
        execs, rate = int(final["execs_done"]), 0.0
        edges = int(final.get("edges_found", 0))
    stats = ctx.stats[target.name]
    stats.edges = max(stats.edges, edges)
    stats.live(job, max(0, execs - base), int(rate), started)


def run_slice(ctx, target, job, seconds, seed):
    """Fuzzes for `seconds` (None: until stopped)."""
    if seconds is not None and seconds < 2:
        return
    started, stats, seen = time.monotonic(), ctx.stats[target.name], ctx.seen.setdefault(target.name, set())
    process = Process(ctx, target, job, seconds, seed)
    stats_path = os.path.join(process.out, "default", "fuzzer_stats")
    base = int(read_stats(stats_path).get("execs_done", 0))
    ctx.running(job, process)
    while process.proc.poll() is None:
        if ctx.stopping():
            process.interrupt()
        if seconds and time.monotonic() - started > seconds + 3 * ctx.opt.timeout + 60:
            process.proc.kill()
            raise Setup(f"afl-fuzz on {target.file} ignored its time limit; its last lines:\n{process.log_tail()}")
        update(ctx, target, job, process, started, base)
        confirm(ctx, target, job, process.out, seen)
        time.sleep(0.5)
    ctx.running(job, None)
    final = read_stats(stats_path)
    confirm(ctx, target, job, process.out, seen)
    if not final and not ctx.stopping():
        raise Setup(f"afl-fuzz on {target.file} did not start; its last lines:\n{process.log_tail()}")
    stats.done(job, max(0, int(final.get("execs_done", 0)) - base), 0)
    stats.edges = max(stats.edges, int(final.get("edges_found", 0)))
    if "stability" in final:
        stability = float(final["stability"].rstrip("%"))
        stats.stability = stability if stats.stability is None else min(stability, stats.stability)
    for path in glob.glob(os.path.join(glob.escape(process.out), "default", "queue", "id*")):
        if "orig:" not in os.path.basename(path):
            with open(path, "rb") as f:
                inputs.store(ctx.grown(target), f.read())
