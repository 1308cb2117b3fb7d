# SPDX-License-Identifier: MIT
"""fuzz/run: builds, fuzzes every target for its share of the time, explains findings, sums up."""
import errno
import glob
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback

import build
import engine_afl
import engine_libfuzzer
import engine_replay
import inputs
import keep
import report
import schedule
from findings import Findings, screen
from options import Setup, Usage, parse_run

ENGINES = {"libfuzzer": engine_libfuzzer, "afl": engine_afl, "replay": engine_replay}
LEAST_FREE_BYTES = 64 << 20
DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class Context:
    """What all parts of one run share."""

    def __init__(self, opt, argv=()):
        self.opt, self.argv = opt, list(argv)
        self.folder = self.compiler = self.problem = self.progress = None
        self.interrupted = False
        self.stop, self.hard, self.over = threading.Event(), threading.Event(), threading.Event()
        self.work = os.path.join(opt.out, "work", f"run-{os.getpid()}")
        self.sanitizers = "" if opt.build else build.SANITIZE[opt.engine].replace("fuzzer-no-link,", "")
        self.stats, self.sources, self.seen, self.processes = {}, {}, {}, {}
        self.findings = Findings(self)

    def start(self, target):
        """The folder with the encoded copy of the checked-in corpus."""
        return os.path.join(self.work, "corpus", target.name)

    def grown(self, target):
        """The folder that new inputs go to."""
        return os.path.join(self.opt.out, "corpus", target.name)

    def stopping(self):
        return self.stop.is_set()

    def running(self, job, process):
        self.processes[job] = process

    def say(self, text):
        if self.progress:
            self.progress.say(text)
        else:
            print(text, flush=True)

    def fail(self, problem):
        self.problem = self.problem or problem
        self.halt()

    def halt(self):
        self.stop.set()
        for process in list(self.processes.values()):
            if process:
                process.interrupt()

    def on_signal(self, number, _frame):
        self.interrupted = True
        if self.stop.is_set() or self.over.is_set():
            self.hard.set()
        else:
            os.write(1, f"\n{signal.Signals(number).name}: ending (once more: without analysing findings)\n".encode())
        self.halt()


def explain(error):
    """What to tell the user of an exception: one that nobody foresaw comes with its place."""
    if isinstance(error, OSError) and error.errno in DISK:
        return f"cannot write {error.filename or 'a file'}: {error.strerror}; what was found before is saved"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, (Setup, Usage)):
        return str(error)
    return "a defect of the runner; what was found before is saved\n" + traceback.format_exc()


def prepare(ctx, targets):
    os.makedirs(ctx.work, exist_ok=True)
    os.makedirs(os.path.join(ctx.opt.out, "logs"), exist_ok=True)
    if shutil.disk_usage(ctx.opt.out).free < LEAST_FREE_BYTES:
        raise Setup(f"less than {LEAST_FREE_BYTES >> 20} MiB free for {ctx.opt.out}")
    for target in targets:
        ctx.stats[target.name] = report.Stats()
        os.makedirs(ctx.grown(target), exist_ok=True)
        ctx.sources[target.name] = inputs.encode_corpus(ctx, os.path.join(ctx.opt.corpus, target.name), ctx.start(target))
        adopt(ctx, target)


def adopt(ctx, target):
    """Findings that an earlier run saved but was killed before naming them."""
    for path in glob.glob(os.path.join(glob.escape(ctx.findings.folder(target)), "new-*")):
        owner = int((re.match(r"new-(\d+)-", os.path.basename(path)) or [0, "0"])[1])
        if owner and os.path.exists(f"/proc/{owner}"):
            continue
        result = inputs.run_one(ctx, target, path)
        if result.failed:
            found, _ = ctx.findings.add(target, path, result.kind, result.log)
            ctx.say(f"! {target.name}: finding {found['id']}, left by an earlier run: {found['message']}")


def job_loop(ctx, job, slots, targets):
    engine, seed = ENGINES[ctx.opt.engine], (ctx.opt.seed + job * 7919) % (2**31 - 2) + 1
    try:
        if ctx.opt.engine == "replay":
            work = [(t, None) for i, t in enumerate(targets) if i % ctx.opt.jobs == job]
        elif ctx.opt.time:
            work = slots[job]
        else:
            work = schedule.endless(ctx, job, targets)
        for target, seconds in work:
            if ctx.stopping():
                return
            stats = ctx.stats[target.name]
            stats.begin(job)
            try:
                engine.run_slice(ctx, target, job, seconds, seed)
            finally:
                stats.end(job)
            seed = (seed * 48271) % (2**31 - 1)
    except Exception as error:  # pylint: disable=broad-except
        ctx.fail(explain(error))


def analyse_loop(ctx):
    """Shrinks and shows findings while the jobs go on."""
    try:
        while True:
            last = ctx.over.is_set()
            found = ctx.findings.analyse_next(lambda: ctx.interrupted or ctx.hard.is_set())
            if found:
                ctx.say(screen(ctx.findings, found))
                continue
            if last:
                return
            ctx.over.wait(0.3)
    except Exception as error:  # pylint: disable=broad-except
        ctx.fail(explain(error))


def fuzz(ctx, targets):
    slots = schedule.plan(targets, ctx.opt.jobs, ctx.opt.time) if ctx.opt.time else None
    before = {t.name: inputs.files_in(ctx.grown(t)) for t in targets}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ctx.on_signal)
    total = None if ctx.opt.engine == "replay" else ctx.opt.time
    ctx.progress = report.Progress(ctx, targets, total)
    jobs = [threading.Thread(target=job_loop, args=(ctx, j, slots, targets)) for j in range(ctx.opt.jobs)]
    analyst = threading.Thread(target=analyse_loop, args=(ctx,))
    for thread in [*jobs, analyst]:
        thread.start()
    while any(t.is_alive() for t in jobs):
        ctx.progress.update()
        time.sleep(0.25)
    ctx.progress.end()
    ctx.over.set()
    if ctx.findings.pending and not ctx.interrupted:
        ctx.say("analysing what was found (Ctrl-C skips it)")
    analyst.join()
    idle = [t.name for t in targets if not ctx.stats[t.name].finished]
    if idle and not ctx.problem and not ctx.interrupted and ctx.opt.engine != "replay":
        ctx.problem = f"nothing was executed for {' '.join(idle)}: give it more --time"
    for target in targets:
        ctx.stats[target.name].new = len(inputs.files_in(ctx.grown(target)) - before[target.name])


def sum_up(ctx, targets):
    print("\n" + report.table(ctx, targets))
    for found in ctx.findings.all.values():
        print(f"finding {found['id']} {found['target']}: {found['invariant']}: {found['message']}\n"
              f"    replay: {ctx.findings.replay_command(found)}")
    if ctx.opt.engine == "afl":
        for target in targets:
            stability = ctx.stats[target.name].stability
            if stability is not None and stability < 100:
                print(f"WARNING: {target.name}: stability {stability} %: the target is not deterministic")


def repro(ctx, targets):
    """Runs one input and shows everything that it says."""
    path = ctx.opt.repro
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as error:
        raise Usage(f"--repro {path}: {error.strerror}") from error
    header = re.search(rb"target=(\w+)", data[:4096]) if path.endswith(".pfa.txt") else None
    name = header[1].decode() if header else os.path.basename(os.path.dirname(os.path.abspath(path)))
    if not ctx.opt.targets:
        targets = [t for t in targets if t.name == name.removeprefix("fuzz_")]
        if not targets:
            raise Usage(f"--repro {path}: which target is it for? fuzz/run <target> --repro {path}")
    target = targets[0]
    os.makedirs(ctx.work, exist_ok=True)
    folder = os.path.join(ctx.work, "repro")
    if path.endswith(".pfa.txt"):
        os.makedirs(folder)
        names = inputs.encode_texts(ctx, [os.path.abspath(path)], folder)
        path = os.path.join(folder, next(iter(names)))
    ctx.stats[target.name] = report.Stats()
    result = inputs.run_one(ctx, target, os.path.abspath(path))
    print(result.log.rstrip("\n"))
    ctx.stats[target.name].done(0, 1, 0)
    if result.failed:
        what = inputs.first_copy(ctx, target, path)
        found, _ = ctx.findings.add(target, what, result.kind, result.log)
        print(f"\n{target.file}: it fails: finding {found['id']}: {found['invariant']}: {found['message']}")
    else:
        print(f"\n{target.file}: it passes")
    return targets[:1]


def verdict(ctx):
    if ctx.findings.all:
        return 1
    return 2 if ctx.problem else 0


def run(ctx):
    opt = ctx.opt
    if not opt.build and not opt.list:
        print(f"building the targets for {opt.engine} (log: build/logs/fuzz-build-{opt.engine}.log)", flush=True)
    ctx.folder, ctx.compiler = build.build(opt, only_configure=opt.list)
    targets = build.targets(opt, ctx.folder)
    if opt.list:
        for t in targets:
            where = os.path.join(opt.corpus, t.name)
            count = [sum(len(files) for _, _, files in os.walk(d))
                     for d in (os.path.join(where, "seed"), os.path.join(where, "regress"), ctx.grown(t))]
            print(f"{t.name:<12} {count[0]:>5} seeds {count[1]:>5} regressions {count[2]:>6} new inputs in build/")
        return []
    if opt.repro:
        return repro(ctx, targets)
    prepare(ctx, targets)
    what = "until Ctrl-C" if not opt.time else f"{opt.time} s in all"
    print(f"{opt.engine}: {' '.join(t.name for t in targets)}; {'once' if opt.engine == 'replay' else what}, "
          f"{opt.jobs} jobs, seed {opt.seed}", flush=True)
    fuzz(ctx, targets)
    sum_up(ctx, targets)
    if opt.keep and not ctx.problem:
        keep.keep(ctx, targets)
    return targets


def main(argv):
    ctx, started, targets = Context(parse_run(argv), argv), time.monotonic(), []
    try:
        targets = run(ctx)
    except KeyboardInterrupt:
        ctx.problem = "interrupted before fuzzing began"
    except Exception as error:  # pylint: disable=broad-except
        ctx.problem = explain(error)
    finally:
        shutil.rmtree(ctx.work, ignore_errors=True)
    code = verdict(ctx)
    if ctx.problem:
        print(f"fuzz/run: {ctx.problem}", file=sys.stderr)
    if ctx.opt.json:
        try:
            report.write_json(ctx, targets, code, time.monotonic() - started)
        except OSError as error:
            print(f"fuzz/run: cannot write {ctx.opt.json}: {error.strerror}", file=sys.stderr)
            code = code or 2
    if targets and not ctx.opt.repro:
        n = len(ctx.findings.all)
        words = {0: "no finding", 1: f"{n} finding{'' if n == 1 else 's'}", 2: "stopped by a set-up problem"}[code]
        print(f"verdict: {words}{' (ended early by the user)' if ctx.interrupted else ''}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
