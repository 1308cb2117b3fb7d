# SPDX-License-Identifier: MIT
"""Command line of fuzz/run and fuzz/cmin."""
import argparse
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

EPILOG = """\
Starts from a copy of corpus/<target>/{seed,regress} and from build/corpus/<target>, where new inputs go. Findings are
saved to build/findings/<target>/<id>.{bin,pfa.txt,c,log}, shrunk, and shown. Ctrl-C ends with the summary so far.

exit: 0 no finding, 1 a finding, 2 set-up or usage

examples:
  fuzz/run                              every target, 60 s in all, on all cores
  fuzz/run core misuse --time 10m       two targets, ten minutes
  fuzz/run --time 0 --keep              until Ctrl-C, then keep the best new inputs in corpus/
  fuzz/run --engine afl --time 5m       the same with AFL++
  fuzz/run --repro build/findings/core/1a2b3c4d.pfa.txt
"""


class Usage(Exception):
    """A wrong command line; the message is for the user."""


class Setup(Exception):
    """Something outside of the target failed: a tool, the disk, the build."""


def seconds(text):
    """90, 90s, 5m, 1h -> seconds; 0 means without an end."""
    match = re.fullmatch(r"(\d{1,7})([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no time; write 90, 90s, 5m or 1h (0: until Ctrl-C)")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def positive(text):
    if not re.fullmatch(r"\d{1,6}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return int(text)


def seed32(text):
    if not re.fullmatch(r"\d{1,10}", text) or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is not a seed (1..2147483647)")
    return int(text)


def common(parser):
    parser.add_argument("targets", nargs="*", metavar="target", help="core or fuzz_core; default: every target")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="processes at once, shared by the targets (default: all cores)")
    parser.add_argument("--build", metavar="DIR", help="use the targets built in DIR; install and build nothing")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(ROOT, "build"),
                        help="where corpus/, findings/ and logs go (default: build)")
    parser.add_argument("--corpus", metavar="DIR", default=os.path.join(ROOT, "corpus"),
                        help="the checked-in corpus (default: corpus)")


def parse_run(argv):
    parser = argparse.ArgumentParser(prog="fuzz/run", description="Fuzzes libpfa and explains what it finds.",
                                     epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    common(parser)
    parser.add_argument("--time", type=seconds, default=60, metavar="T",
                        help="90, 90s, 5m, 1h in all, divided over the targets (default 60); 0: until Ctrl-C")
    parser.add_argument("--engine", choices=("libfuzzer", "afl", "replay"), default="libfuzzer",
                        help="replay runs the corpus once, without an engine, built by the default compiler")
    parser.add_argument("--json", metavar="FILE", help="write the report (pfa-run/1) to FILE")
    parser.add_argument("--list", action="store_true", help="list the targets and their inputs, and stop")
    parser.add_argument("--repro", metavar="FILE", help="run one input (.pfa.txt or binary) and show what happens")
    parser.add_argument("--keep", action="store_true",
                        help="move new inputs that add coverage into corpus/, as text (10 MiB, 2000 files a target)")
    parser.add_argument("--seed", type=seed32, metavar="S", help="of the engine's random numbers; default: random")
    parser.add_argument("--timeout", type=positive, default=10, metavar="S",
                        help="an input that takes longer is a finding (default 10 s)")
    parser.add_argument("--rss-limit", type=positive, default=2048, metavar="MB",
                        help="an input that makes the process larger is a finding (default 2048)")
    parser.add_argument("--shrink", type=seconds, default=40, metavar="T",
                        help="time to shrink one finding (default 40 s; 0: don't)")
    opt = parser.parse_args(argv)
    if opt.keep and opt.engine != "libfuzzer":
        parser.error("--keep measures coverage with libFuzzer; run `fuzz/run --keep --time 1` afterwards")
    if opt.repro and (opt.list or opt.keep):
        parser.error("--repro cannot be combined with --list or --keep")
    if opt.repro and len(opt.targets) > 1:
        parser.error("--repro takes one target at most")
    finish(parser, opt)
    opt.seed = opt.seed or int.from_bytes(os.urandom(4), "little") % (2**31 - 1) + 1
    return opt


def parse_cmin(argv):
    parser = argparse.ArgumentParser(
        prog="fuzz/cmin", allow_abbrev=False,
        description="Reduces the corpus: of the inputs that fuzz/run --keep added (corpus/<target>/seed/found-*) and of "
                    "build/corpus/<target>, only those stay that add coverage to the hand-written ones. Hand-written "
                    "seeds and regress/ are never touched.",
        epilog="exit: 0 done, 1 an input failed meanwhile (run fuzz/run), 2 set-up or usage")
    common(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    opt = parser.parse_args(argv)
    opt.engine, opt.timeout, opt.rss_limit, opt.seed, opt.shrink = "libfuzzer", 10, 2048, 1, 0
    finish(parser, opt)
    return opt


def finish(parser, opt):
    opt.root = ROOT
    opt.out = os.path.abspath(opt.out)
    opt.corpus = os.path.abspath(opt.corpus)
    if opt.build:
        opt.build = os.path.abspath(opt.build)
        if not os.path.isdir(opt.build):
            parser.error(f"--build {opt.build}: no such folder")
