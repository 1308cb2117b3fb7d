# SPDX-License-Identifier: MIT
"""Findings: saved first, then told apart, shrunk, and shown on one screen."""
import glob
import hashlib
import os
import re
import shutil
import threading

import inputs

PROGRAM_LINES = 22
REPORT_LINES = 18
FRAME = re.compile(r"^\s+#(\d+) 0x[0-9a-f]+ in (\S+)(?: \S*?([^\s()]*\.[ch]\S*))?", re.M)
NOT_OURS = re.compile(r"^(_|fuzzer::|ExecuteFiles|LLVMFuzzer|main$|abort$|raise$|pthread_kill|gsignal|killpg|std::)")
SUMMARY = re.compile(r"SUMMARY: \w+Sanitizer: ([\w-]+)(?: \S*?([\w.]+:\d+):\d+)?(?: in (\S+))?")
ERROR = re.compile(r"(?:ERROR|WARNING): (Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer: ([\w-]+)")
UNDEFINED = re.compile(r"runtime error: (.*)")
OURS = re.compile(r"pfa-finding: (?:id=(?P<id>\w+) )?(?:invariant=(?P<invariant>\S+) )?(?:op=(?P<op>\S*) )?"
                  r"(?:step=(?P<step>\d+) )?message=(?P<message>.*)")
CONTEXT = re.compile(r"pfa-context: op=(?P<op>\S*) step=(?P<step>\d+)")


def frames_of(log, only_library):
    """Function names of the first stack: those of the library, or of the target where the library is not in it."""
    stack, library = [], []
    for match in FRAME.finditer(log):
        if stack and int(match[1]) == 0:
            break
        stack.append(match[2])
        if re.search(r"lib/(src|platform)/", match[0]):
            library.append(match[2])
    if library or only_library:
        return library
    return [name for name in stack if not NOT_OURS.match(name)]


def classify(log, kind):
    """What a log says: invariant or monitor, operation, step, message, top frames, and the identity of all that."""
    context, ours, error, undefined = (r.search(log) for r in (CONTEXT, OURS, ERROR, UNDEFINED))
    frames = frames_of(log, ours is not None)
    what = {"op": context["op"] if context else "", "step": int(context["step"]) if context else None}
    what["frames"] = frames[:3]
    if kind in ("timeout", "oom"):
        # Where it was when the limit struck is chance; through which function it went is not.
        what.update(invariant=kind, frames=frames[-1:])
        what["message"] = {"timeout": "the input takes longer than the time limit",
                           "oom": "the input makes the process larger than the memory limit"}[kind]
    elif ours:
        what.update(invariant=ours["invariant"] or "oracle", op=ours["op"] or what["op"], message=ours["message"])
        what["step"] = int(ours["step"]) if ours["step"] else what["step"]
    elif undefined:
        what.update(invariant="ubsan:" + re.sub(r"-?(0x)?[0-9a-f]*\d[0-9a-f]*", "N", undefined[1])[:60],
                    message=undefined[1])
    elif error:
        name = {"Address": "asan", "Leak": "lsan", "Memory": "msan", "Thread": "tsan"}.get(error[1], "ubsan")
        end = SUMMARY.search(log)
        what.update(invariant=f"{name}:{error[2]}", message=f"{error[2]}" + "".join(
            f" {word} {end[i]}" for word, i in (("in", 3), ("at", 2)) if end and end[i]))
    elif "deadly signal" in log or kind == "crash":
        what.update(invariant="signal", message="deadly signal" if "deadly signal" in log else "the target died")
    else:
        what.update(invariant=kind, message=kind)
    key = "|".join([what["invariant"], what["op"], *what["frames"]])
    what["id"] = ours["id"] if ours and ours["id"] and kind == "crash" else hashlib.sha256(key.encode()).hexdigest()[:8]
    return what


class Findings:
    """All findings of a run, grouped by identity. Safe to call from every job's thread."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.lock = threading.Lock()
        self.all = {}
        self.pending = []

    def folder(self, target):
        path = os.path.join(self.ctx.opt.out, "findings", target.name)
        os.makedirs(path, exist_ok=True)
        return path

    def add(self, target, raw, kind, log):
        """Takes over the file raw. Returns the finding, and whether this run meets it for the first time."""
        what = classify(log, kind)
        with self.lock:
            key = (target.name, what["id"])
            base = os.path.join(self.folder(target), what["id"])
            if key in self.all:
                self.all[key]["count"] += 1
                os.unlink(raw)
                return self.all[key], False
            explained = ".pfa.txt" if inputs.tool(self.ctx.folder, "pfa-trace") else ".bin"
            earlier = os.path.exists(base + ".bin") and os.path.exists(base + explained)
            found = dict(what, target=target.name, count=1, known=earlier, base=base, kind=kind)
            if earlier:
                os.unlink(raw)
            else:
                os.replace(raw, base + ".bin")
                with open(base + ".log", "w", encoding="utf-8", errors="replace") as f:
                    f.write(log)
            self.all[key] = found
            self.pending.append((target, found))
            return found, True

    def count(self, target=None):
        with self.lock:
            return sum(1 for f in self.all.values() if target is None or f["target"] == target.name)

    def analyse_next(self, stopped):
        """Shrinks and describes one of the saved findings, and returns it. When stopped, only what takes no time."""
        with self.lock:
            if not self.pending:
                return None
            target, found = self.pending.pop(0)
        if not found["known"]:
            if self.ctx.opt.shrink and not stopped():
                self.shrink(target, found, stopped)
            self.describe(target, found)
        return found

    def shrink(self, target, found, stopped):
        """Shrinks on operation level, else by bytes; accepts the result only if it fails in the same way."""
        ctx, base = self.ctx, found["base"]
        small = base + ".shrinking"
        if inputs.shrink(ctx, target, base + ".bin", small, ctx.opt.shrink) or stopped():
            if os.path.exists(small):
                os.unlink(small)
            return
        result = inputs.run_one(ctx, target, small)
        if result.failed and classify(result.log, result.kind)["id"] == found["id"]:
            os.replace(base + ".bin", base + ".orig.bin")
            os.replace(small, base + ".bin")
            found.update(classify(result.log, result.kind))
            with open(base + ".log", "w", encoding="utf-8", errors="replace") as f:
                f.write(result.log)
        else:
            os.unlink(small)

    def describe(self, target, found):
        """Writes the text form and the C program."""
        ctx, base = self.ctx, found["base"]
        found["text"] = inputs.decode(ctx, target, base + ".bin", base + ".pfa.txt")
        found["input"] = base + (".pfa.txt" if os.path.exists(base + ".pfa.txt") else ".bin")
        inputs.to_c(ctx, base + ".pfa.txt", base + ".c")

    def finish(self, found):
        """The fields of a finding that was not analysed in this run."""
        for end in (".pfa.txt", ".bin"):
            if "input" not in found and os.path.exists(found["base"] + end):
                found["input"] = found["base"] + end
        return found

    def replay_command(self, found):
        path = near(self.finish(found)["input"])
        extra = f" --build {self.ctx.opt.build}" if self.ctx.opt.build else ""
        engine = "" if self.ctx.opt.engine == "libfuzzer" else f" --engine {self.ctx.opt.engine}"
        return f"fuzz/run {found['target']} --repro {path}{engine}{extra}"


def near(path):
    """A path as the user would type it from here."""
    relative = os.path.relpath(path, os.getcwd())
    return path if relative.startswith("..") else relative


def report_of(log):
    """The part of a log that explains: from the oracle's or the sanitizer's first line on."""
    lines = log.splitlines()
    start = next((i for i, line in enumerate(lines)
                  if OURS.search(line) or UNDEFINED.search(line) or re.match(r"==\d+==\s?(ERROR|WARNING)", line)), 0)
    out = []
    for line in lines[start:]:
        if re.match(r"(MS: \d|0x[0-9a-f]+,|stat::|artifact_prefix|Base64:|NOTE: libFuzzer|pfa-finding:)", line):
            continue
        if re.match(r"(\s+#\d+ .*( in fuzzer::|libc\.so|_start|nptl/|/sysdeps/| in raise | in abort | in __san)|\s+Combine libF)", line):
            continue
        if re.match(r"(==\d+==\s?Register values|Shadow bytes around|==\d+== libFuzzer: |SUMMARY: libFuzzer)", line):
            break
        if line.strip():
            out.append(re.sub(r" \(BuildId: \w+\)", "", line))
    return out


def clip(lines, room):
    if len(lines) <= room:
        return lines
    return lines[:room - 1] + [f"... {len(lines) - room + 1} more lines"]


def screen(store, found):
    """One screen of text for one finding."""
    store.finish(found)
    where = " ".join(part for part in (f"op {found['op']}" if found["op"] else "",
                                       f"step {found['step']}" if found["step"] is not None else "") if part)
    out = ["", f"=== finding {found['id']} in {found['target']}: {found['invariant']}" + (f" ({where})" if where else "")
           + (f", met {found['count']} times" if found["count"] > 1 else "")]
    out.append(f"    {found['message']}")
    if found["known"]:
        out.append("    known from an earlier run, not analysed again")
    else:
        with open(found["base"] + ".log", encoding="utf-8", errors="replace") as f:
            out += ["--- report"] + clip(report_of(f.read()), REPORT_LINES)
        if found.get("text"):
            shrunk = " (shrunk)" if os.path.exists(found["base"] + ".orig.bin") else ""
            out += [f"--- the program{shrunk}"] + clip(found["text"].splitlines(), PROGRAM_LINES)
    out.append("--- files")
    for path in sorted(glob.glob(glob.escape(found["base"]) + ".*")):
        out.append("    " + near(path))
    out.append("replay: " + store.replay_command(found))
    return "\n".join(line[:shutil.get_terminal_size((160, 50)).columns] if len(line) > 400 else line for line in out)
