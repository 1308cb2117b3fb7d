# SPDX-License-Identifier: MIT
"""Progress while it runs, the table at the end, and the JSON report."""
import os
import sys
import threading
import time

from options import ROOT

sys.path.insert(0, os.path.join(ROOT, "ci"))
from envelope import envelope, write  # noqa: E402

PLAIN_EVERY_S = 10


class Stats:
    """What one target did, over all jobs and slices."""

    def __init__(self):
        self.lock = threading.Lock()
        self.jobs = {}
        self.finished = self.steps = self.edges = self.new = 0
        self.stability = None
        self.spent = 0.0
        self.since = {}

    def begin(self, job):
        with self.lock:
            self.since[job] = time.monotonic()

    def end(self, job):
        with self.lock:
            self.spent += time.monotonic() - self.since.pop(job)

    def live(self, job, execs, rate, started):
        with self.lock:
            self.jobs[job] = (execs, rate, time.monotonic(), started)

    def done(self, job, execs, steps):
        with self.lock:
            self.jobs.pop(job, None)
            self.finished += execs
            self.steps += steps

    def core_seconds(self):
        with self.lock:
            return self.spent + sum(time.monotonic() - t for t in self.since.values())

    def execs(self):
        """Executions so far. libFuzzer reports at powers of two only; in between, its last rate is assumed to hold."""
        with self.lock:
            now = time.monotonic()
            return self.finished + sum(int(e + r * (now - t)) for e, r, t, _ in self.jobs.values())


def short(n):
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.1f}{unit}"
    return str(int(n))


class Progress:
    """One line a target: redrawn on a terminal, repeated every few seconds elsewhere."""

    def __init__(self, ctx, targets, total):
        self.ctx, self.targets, self.total = ctx, targets, total
        self.tty = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.lock = threading.Lock()
        self.drawn = 0
        self.last = time.monotonic()
        self.start = time.monotonic()

    def line(self, target):
        stats, found = self.ctx.stats[target.name], self.ctx.findings.count(target)
        spent, execs = stats.core_seconds(), stats.execs()
        if self.ctx.opt.engine == "afl" and not execs:
            return f"  {target.name:<10} {spent:6.0f} s  (AFL++ reports figures now and then only)  {found} findings"
        state = "running" if stats.since else ("waiting" if not spent else "paused")
        return (f"  {target.name:<10} {state:<8} {spent:6.0f} s  {short(execs):>8} execs  "
                f"{short(execs / spent if spent else 0):>7}/s  {stats.edges:>6} edges  "
                f"{found} finding{'' if found == 1 else 's'}")

    def head(self):
        passed = time.monotonic() - self.start
        return f"[{passed:.0f} s" + (f" of {self.total} s]" if self.total else ", Ctrl-C to end]")

    def erase(self):
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}F\x1b[J")
            self.drawn = 0

    def say(self, text):
        with self.lock:
            self.erase()
            print(text, flush=True)

    def update(self):
        with self.lock:
            if self.tty:
                self.erase()
                lines = [self.head()] + [self.line(t) for t in self.targets]
                print("\n".join(lines), flush=True)
                self.drawn = len(lines)
            elif time.monotonic() - self.last >= PLAIN_EVERY_S:
                self.last = time.monotonic()
                for target in self.targets:
                    if self.ctx.stats[target.name].since:
                        print(self.head() + self.line(target), flush=True)

    def end(self):
        with self.lock:
            self.erase()


def rows(ctx, targets):
    out = []
    for target in targets:
        stats = ctx.stats[target.name]
        execs, spent = stats.finished, stats.core_seconds()
        out.append({"name": target.file, "engine": ctx.opt.engine, "sanitizers": ctx.sanitizers, "execs": execs,
                    "execs_per_s": round(execs / spent, 1) if spent else 0, "core_s": round(spent, 2),
                    "steps": stats.steps, "edges": stats.edges, "new_inputs": stats.new,
                    "findings": ctx.findings.count(target)})
        if stats.stability is not None:
            out[-1]["stability_percent"] = stats.stability
    return out


def table(ctx, targets):
    names = ["target", "executions", "exec/s", "new inputs", "edges", "findings"]
    afl = ctx.opt.engine == "afl"
    lines = [names + (["stability"] if afl else [])]
    for row in rows(ctx, targets):
        known = "-" if ctx.opt.engine == "replay" else str(row["edges"])
        lines.append([row["name"], str(row["execs"]), f"{row['execs_per_s']:.0f}", str(row["new_inputs"]), known,
                      str(row["findings"])])
        if afl:
            lines[-1].append(f"{row['stability_percent']:.2f} %" if "stability_percent" in row else "?")
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths)))
                     for line in lines)


def write_json(ctx, targets, code, wall):
    """The envelope that every command of the project writes."""
    found = []
    for item in ctx.findings.all.values():
        ctx.findings.finish(item)
        found.append({"id": item["id"], "target": "fuzz_" + item["target"], "invariant": item["invariant"],
                      "message": item["message"], "step": item["step"], "op": item["op"], "frames": item["frames"],
                      "count": item["count"], "known": item["known"], "input": item.get("input", ""),
                      "text": item.get("text") or "", "replay": ctx.findings.replay_command(item)})
    doc = envelope("libpfa", " ".join(["fuzz/run", *ctx.argv]), ctx.opt.seed, [ctx.compiler] if ctx.compiler else (),
                   ["cmake", "libclang-rt-19-dev", "afl++"])
    doc.update(wall_s=round(wall, 2), targets=rows(ctx, targets), findings=found)
    doc["extra"] = {"time_s": ctx.opt.time, "jobs": ctx.opt.jobs, "engine": ctx.opt.engine,
                    "interrupted": ctx.interrupted, "setup_error": ctx.problem or ""}
    write(ctx.opt.json, doc, code)
