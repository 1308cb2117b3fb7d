# SPDX-License-Identifier: MIT
"""One slice of libFuzzer: a target for so many seconds, restarted after each finding."""
import glob
import os
import re
import signal
import subprocess
import threading
import time

import inputs
from build import dictionary
from options import Setup

STATUS = re.compile(r"#(\d+)\s+\w+\s.*?cov: (\d+) .*?exec/s: (\d+)")
FINAL = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
STEPS = re.compile(r"pfa-stats: steps=(\d+)")
KINDS = ("crash", "timeout", "oom", "leak")
LOG_LINES = 4000
INTERRUPTED = 72


def options_of(ctx, target):
    """-name=value for each line of fuzz/options/<target>.options, which is in OSS-Fuzz's format."""
    folder = os.path.join(ctx.opt.root, "fuzz", "options")
    own = os.path.join(folder, target.file + ".options")
    with open(own if os.path.exists(own) else os.path.join(folder, "default.options"), encoding="ascii") as f:
        lines = [line.split("#")[0].strip() for line in f]
    section, out = "", []
    for line in lines:
        if line.startswith("["):
            section = line
        elif "=" in line and section == "[libfuzzer]" and not line.startswith("dict"):
            out.append("-" + re.sub(r"\s*=\s*", "=", line))
    return out


def command(ctx, target, job, seconds, seed):
    prefix = os.path.join(ctx.findings.folder(target), f"new-{os.getpid()}-{job}-")
    cmd = [target.exe, f"-seed={seed}", f"-timeout={ctx.opt.timeout}", f"-rss_limit_mb={ctx.opt.rss_limit}",
           f"-artifact_prefix={prefix}", "-print_final_stats=1", "-reload=1", "-verbosity=1",
           "-report_slow_units=1000000", *options_of(ctx, target)]
    if seconds:
        cmd.append(f"-max_total_time={max(1, round(seconds))}")
    words = dictionary(ctx.folder, target)
    if words:
        cmd.append("-dict=" + words)
    return cmd + [ctx.grown(target), ctx.start(target)], prefix


class Process:
    """A running libFuzzer whose output is read line by line."""

    def __init__(self, ctx, target, job, seconds, seed):
        cmd, self.prefix = command(ctx, target, job, seconds, seed)
        self.lines, self.execs, self.steps = [], 0, 0
        self.ctx, self.target, self.job = ctx, target, job
        try:
            # A session of its own: Ctrl-C reaches this process through us, once.
            self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, start_new_session=True, cwd=ctx.work,
                                         env=inputs.environment("libfuzzer"))
        except OSError as error:
            raise Setup(f"cannot run {target.exe}: {error.strerror}") from error
        self.killed = False
        self.watchdog = None
        if seconds:
            self.watchdog = threading.Timer(seconds + 3 * ctx.opt.timeout + 30, self.give_up)
            self.watchdog.daemon = True
            self.watchdog.start()

    def give_up(self):
        self.killed = True
        self.proc.kill()

    def interrupt(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)

    def follow(self):
        stats, started = self.ctx.stats[self.target.name], time.monotonic()
        for raw in self.proc.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(line)
            if len(self.lines) > LOG_LINES:
                del self.lines[100:LOG_LINES // 2]
            status, final, steps = STATUS.match(line), FINAL.match(line), STEPS.search(line)
            if status:
                self.execs = max(self.execs, int(status[1]))
                stats.live(self.job, self.execs, int(status[3]), started)
                stats.edges = max(stats.edges, int(status[2]))
            elif final:
                self.execs = max(self.execs, int(final[1]))
            elif steps:
                self.steps = int(steps[1])
        code = self.proc.wait()
        if self.watchdog:
            self.watchdog.cancel()
        stats.done(self.job, self.execs, self.steps)
        return code

    def log(self):
        return "\n".join(self.lines) + "\n"


def take_findings(process):
    """Hands over what libFuzzer saved; returns how many files there were."""
    ctx, target = process.ctx, process.target
    taken = 0
    for path in sorted(glob.glob(glob.escape(process.prefix) + "*")):
        kind = os.path.basename(path)[len(os.path.basename(process.prefix)):].split("-")[0]
        if kind not in KINDS:
            os.unlink(path)
            continue
        taken += 1
        # If it is one of the inputs that we started from, the next process must not stumble over it again.
        with open(path, "rb") as f:
            name = inputs.hashlib.sha1(f.read()).hexdigest()
        for folder in (ctx.grown(target), ctx.start(target)):
            if os.path.exists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))
        found, first = ctx.findings.add(target, path, kind, process.log())
        if first:
            ctx.say(f"! {target.name}: finding {found['id']}: {found['invariant']}: {found['message']}")
    return taken


def blame(process, code):
    """The target ended in a way that is no finding and no end."""
    log = process.log()
    tail = "\n".join(process.lines[-12:])
    if "file size exceeded" in log or "No space left" in log:
        raise Setup(f"{process.target.file} could not write its files: the disk is full, or a file size limit was met")
    if process.killed:
        raise Setup(f"{process.target.file} ignored its time limits and was killed; its last lines:\n{tail}")
    if code == -signal.SIGKILL:
        raise Setup(f"{process.target.file} was killed from outside, perhaps because the machine has too little memory "
                    f"(try --jobs 1, or a smaller --rss-limit)")
    raise Setup(f"{process.target.file} ended with status {code} without a finding; its last lines:\n{tail}")


def run_slice(ctx, target, job, seconds, seed):
    """Fuzzes for `seconds` (None: until stopped), going on after each finding."""
    end = None if seconds is None else time.monotonic() + seconds
    while not ctx.stopping():
        left = None if end is None else end - time.monotonic()
        if left is not None and left < 0.5:
            return
        process = Process(ctx, target, job, left, seed)
        ctx.running(job, process)
        if ctx.stopping():
            process.interrupt()
        code = process.follow()
        ctx.running(job, None)
        taken = take_findings(process)
        if not taken and code not in (0, INTERRUPTED) and not ctx.stopping():
            blame(process, code)
        if not taken and code == 0 and process.execs == 0 and not ctx.stopping():
            raise Setup(f"{target.file} ran no input at all; its last lines:\n" + "\n".join(process.lines[-12:]))
        seed = seed % (2**31 - 2) + 1
