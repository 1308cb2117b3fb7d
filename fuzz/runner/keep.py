# SPDX-License-Identifier: MIT
"""New inputs that are worth keeping: fuzz/run --keep, and fuzz/cmin."""
import glob
import os
import shutil
import sys

import inputs
from options import Setup

MOST_BYTES, MOST_FILES = 10 << 20, 2000


def merge(ctx, target, base, candidates, into):
    """Copies into the folder `into` a minimal set of the candidates that adds coverage to base."""
    os.makedirs(into, exist_ok=True)
    work = into + ".base"
    shutil.copytree(base, work, dirs_exist_ok=True)
    before = inputs.files_in(work)
    if not inputs.files_in(candidates):
        return set()
    scratch = os.path.join(ctx.work, "merge-")
    code, log = inputs.run(ctx, [target.exe, "-set_cover_merge=1", f"-timeout={ctx.opt.timeout}", "-artifact_prefix=" + scratch,
                                 f"-rss_limit_mb={ctx.opt.rss_limit}", work, candidates], None)
    failed = [p for p in glob.glob(glob.escape(scratch) + "*") if os.path.basename(p).split("-")[1] != "slow"]
    if code:
        raise Setup(f"{target.file} -set_cover_merge=1 ended with status {code}:\n" + "\n".join(log.splitlines()[-12:]))
    if failed:
        ctx.say(f"! {target.name}: {len(failed)} inputs failed while being measured; fuzz/run will show them")
    chosen = inputs.files_in(work) - before
    for name in chosen:
        shutil.copyfile(os.path.join(work, name), os.path.join(into, name))
    shutil.rmtree(work)
    return chosen


def usage_of(folder):
    sizes = [os.path.getsize(p) for p in glob.glob(os.path.join(glob.escape(folder), "**", "*"), recursive=True)
             if os.path.isfile(p)]
    return len(sizes), sum(sizes)


def keep(ctx, targets):
    """Moves new inputs that add coverage to corpus/, as text, smallest first, while there is room."""
    for target in targets:
        chosen_in = os.path.join(ctx.work, "keep", target.name)
        chosen = merge(ctx, target, ctx.start(target), ctx.grown(target), chosen_in)
        seeds = os.path.join(ctx.opt.corpus, target.name, "seed")
        os.makedirs(seeds, exist_ok=True)
        files, size = usage_of(os.path.join(ctx.opt.corpus, target.name))
        kept = full = bare = 0
        for name in sorted(chosen, key=lambda n: (os.path.getsize(os.path.join(chosen_in, n)), n)):
            text = os.path.join(ctx.work, "keep.pfa.txt")
            binary = os.path.join(chosen_in, name)
            code, _ = inputs.trace(ctx, "decode", binary, "--target", target.name, "-o", text)
            if code != 0:
                bare += 1
                continue
            with open(text, encoding="utf-8") as f:
                body = f.read()
            head, _, rest = body.partition("\n")
            body = f"{head}\n# kept by fuzz/run --keep: adds coverage\n{rest}"
            if files + 1 > MOST_FILES or size + len(body.encode()) > MOST_BYTES:
                full += 1
                continue
            with open(os.path.join(seeds, f"found-{name[:12]}.pfa.txt"), "w", encoding="utf-8") as f:
                f.write(body)
            os.unlink(os.path.join(ctx.grown(target), name))
            kept, files, size = kept + 1, files + 1, size + len(body.encode())
        print(f"kept {kept} new inputs in corpus/{target.name}/seed"
              + (f"; {full} more did not fit into {MOST_FILES} files and {MOST_BYTES >> 20} MiB (run fuzz/cmin)" if full else "")
              + (f"; {bare} have no text form" if bare else ""))


def cmin(ctx, targets, dry_run):
    """Drops found-* seeds, and inputs in build/corpus, that add nothing to the hand-written inputs."""
    for target in targets:
        here, found = os.path.join(ctx.work, "cmin", target.name), {}
        base = os.path.join(here, "base")
        os.makedirs(base)
        pool = os.path.join(here, "pool")
        os.makedirs(pool)
        for name, source in ctx.sources[target.name].items():
            ours = os.path.basename(source).startswith("found-") and "/seed/" in source
            shutil.copyfile(os.path.join(ctx.start(target), name), os.path.join(pool if ours else base, name))
            if ours:
                found[name] = source
        chosen = merge(ctx, target, base, pool, os.path.join(here, "seeds"))
        drop = [source for name, source in found.items() if name not in chosen]
        for name in chosen:
            shutil.copyfile(os.path.join(pool, name), os.path.join(base, name))
        grown = inputs.files_in(ctx.grown(target))
        useful = merge(ctx, target, base, ctx.grown(target), os.path.join(here, "grown"))
        stale = [os.path.join(ctx.grown(target), name) for name in grown - useful]
        print(f"{target.name}: corpus/: {len(found)} found inputs, {len(drop)} add nothing; "
              f"build/corpus/: {len(grown)}, {len(stale)} add nothing" + (" (dry run)" if dry_run else ", removed"))
        if not dry_run:
            for path in drop + stale:
                os.unlink(path)


def main(argv):
    import build
    import main as runner
    from options import Usage, parse_cmin
    opt = parse_cmin(argv)
    ctx = runner.Context(opt, argv)
    try:
        ctx.folder, ctx.compiler = build.build(opt)
        targets = build.targets(opt, ctx.folder)
        runner.prepare(ctx, targets)
        cmin(ctx, targets, opt.dry_run)
        return 1 if ctx.findings.all else 0
    except (Setup, Usage) as problem:
        print(f"fuzz/cmin: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"fuzz/cmin: {runner.explain(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("fuzz/cmin: interrupted; nothing was removed from the target at work", file=sys.stderr)
    finally:
        shutil.rmtree(ctx.work, ignore_errors=True)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
