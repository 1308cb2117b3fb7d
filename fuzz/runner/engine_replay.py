# SPDX-License-Identifier: MIT
"""The corpus through a plain program: no engine, any compiler."""
import os
import re
import shutil

import inputs
from options import Setup

SUMMARY = re.compile(r"replayed (\d+) inputs, (\d+) passed, (\d+) failures")
FAILED = re.compile(r"^FAILED (.*): ([^:]*)$", re.M)


def run_slice(ctx, target, job, _seconds, _seed):
    """Replays everything once; each failing input is run again on its own for its report."""
    stats = ctx.stats[target.name]
    folders = [f for f in (ctx.start(target), ctx.grown(target)) if inputs.files_in(f)]
    if not folders:
        ctx.say(f"  {target.name}: no inputs in corpus/{target.name} nor build/corpus/{target.name}")
        return
    code, log = inputs.run(ctx, [target.exe, "--timeout", str(ctx.opt.timeout), *folders], None)
    summary = SUMMARY.search(log)
    if not summary:
        raise Setup(f"{target.file} ended with status {code}:\n" + "\n".join(log.splitlines()[-12:]))
    stats.done(job, int(summary[1]), 0)
    for path, why in FAILED.findall(log):
        if not os.path.isfile(path):
            raise Setup(f"{target.file} failed {path}: {why}\n" + "\n".join(log.splitlines()[-12:]))
        raw = os.path.join(ctx.findings.folder(target), f"new-{os.getpid()}-{job}-" + os.path.basename(path))
        shutil.copyfile(path, raw)
        result = inputs.run_one(ctx, target, raw)
        kind = result.kind if result.failed else "unstable"
        found, first = ctx.findings.add(target, raw, "timeout" if why == "timeout" else kind, result.log)
        if first:
            source = ctx.sources[target.name].get(os.path.basename(path), path)
            ctx.say(f"! {target.name}: finding {found['id']}: {found['message']} ({os.path.relpath(source, ctx.opt.root)})")
