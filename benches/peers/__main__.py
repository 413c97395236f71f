"""Resurgam beside restic, rustic, borg and bupstash, on five data sets, in one run.

    cargo build --release --bin resurgam
    cargo build --release -p resurgam-store --example limits
    python3 benches/peers [--data ABCDE] [--cold] [--tools NAME,…] [--scale 1] [--scale E=0.5] [--repeats 3] [--out docs/benchmarks.md]

Makes the data, then lets each program do each step, one program after the other, each time on a new store; repeats that, and
writes the medians. A program that is not there is left out, and the page says so. `RESURGAM_BIN` and so on name binaries that
are not on the path. All lies in `$TMPDIR`, or else in memory (`/dev/shm`). With `--cold` (as root) trees and
stores lie in a file system of their own in `$TMPDIR` or else in `/var/tmp`, which should be on a disk, and before each step the kernel is made to
forget all that it has read; these are tables of their own.

With `--out` the page is written whenever a program has ended a round, once each has had one, and beside it, as JSON, every single
measurement: data sets that are not asked for, or not that far, stay on the page as they were measured before. With `--more`,
rounds are added to those that are there, until each program asked for has as many as `--repeats` says: the million tiny files take a
round of an hour on a slow machine. `--data ''` measures nothing and makes the page anew.

restic comes from Debian; `cargo install --locked rustic-rs bupstash` (with libsodium-dev) and `pip install 'borgbackup<2'` (with libacl1-dev,
liblz4-dev, libssl-dev, libxxhash-dev and libzstd-dev) make the others.
"""

import argparse
import datetime
import os
import platform
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from data import DATA_SETS  # noqa: E402
from measure import limits, measure, size_mb  # noqa: E402
from places import Disk, Memory, remove  # noqa: E402
from table import Measured, load, page, save  # noqa: E402
from tools import TOOLS  # noqa: E402

ROOT = Path(__file__).parents[2]
BOUNDS = Path(__file__).parent / "bounds.md"


def one_round(tool, data, place):
    """Every step of one program on a fresh store and a fresh tree. Gives (step, cost) as they are done."""

    def cost(commands):
        place.make_ready()
        return measure(tool, commands)

    def restored(commands):
        taken = cost(commands)
        remove(tool.work / "to")
        return taken

    tool.prepare()
    size = 0
    for step, before in (("first backup", None), ("unchanged", None), ("after 1 or 2 % changed", data.change)):
        if before:
            before(place.tree, 1)
        taken = cost(tool.backup())
        taken.store_mb, size = size_mb(tool.store) - size, size_mb(tool.store)
        yield step, taken
    to = tool.work / "to"
    yield "list", cost(tool.list())
    yield "points", cost(tool.points())
    yield "restore", restored(tool.restore(to))
    yield "restore one file", restored(tool.restore_one(data.one_file(place.tree), to))
    if checks := tool.verify():
        yield "verify all data", cost(checks)
    data.halve(place.tree)
    measure(tool, tool.backup())
    taken = cost(tool.drop_old())
    taken.store_mb = size_mb(tool.store)
    yield "prune after half was dropped", taken


def how(began, measured, missing, versions, where):
    """What the numbers of a data set were got with; `began` is the day of the first round."""
    days = began if began == str(datetime.date.today()) else f"{began} to {datetime.date.today()}"
    rounds = {name: measured.rounds(name) for name in measured.tools}
    most = max(rounds.values())
    fewer = "".join(f" (**{name} of {count}**)" for name, count in rounds.items() if count < most)
    programs = ", ".join(f"{name} {versions.get(name, '?')}" for name in measured.tools)
    return (f"On {days}, {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, stores and trees {where}, "
            f"scale {measured.scale:g}, medians of {most}{fewer}: {programs}."
            + (f" **Not there: {', '.join(missing)}.**" if missing else ""))


def tell(sets, out):
    text = page(sets, BOUNDS.read_text())
    if out:
        out.write_text(text)
    else:
        print(text)


def main():
    ask = argparse.ArgumentParser(prog="benches/peers", description=__doc__.split("\n")[0])
    ask.add_argument("--data", default="ABCDE", help="letters of the data sets")
    ask.add_argument("--cold", action="store_true", help="on a disk, and nothing of it in memory when a step begins")
    ask.add_argument("--tools", help="only these, with commas between; otherwise all that are there")
    ask.add_argument("--scale", action="append", default=[], metavar="[LETTER=]PART",
                     help="a part of the sizes: of all data sets, or of one")
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--more", action="store_true",
                     help="add rounds to those that `--out` has, of the same scale and at least these programs")
    ask.add_argument("--out", type=Path, help="where the page goes; otherwise to standard output")
    given = ask.parse_args()
    os.environ.setdefault("RESURGAM_BIN", str(ROOT / "target/release/resurgam"))
    asked = given.tools.split(",") if given.tools else [tool.name for tool in TOOLS]
    installed = [tool for tool in TOOLS if tool.find() and os.access(tool.find(), os.X_OK)]
    there = [tool for tool in installed if tool.name in asked]
    missing = [tool.name for tool in TOOLS if tool.name in asked and tool not in there]
    base, below = (Path(tempfile.mkdtemp(prefix="resurgam-peers.", dir=os.environ.get("TMPDIR", usual)))
                   for usual in ("/dev/shm", "/var/tmp" if given.cold else "/dev/shm"))
    scales = dict(part.rpartition("=")[::2] for part in given.scale)
    kept = given.out and given.out.with_suffix(".json")
    sets = load(kept) if kept else {}
    versions = {kind.name: kind.version() for kind in installed}
    place = None
    try:
        for data in (data for data in DATA_SETS if data.letter in given.data):
            print(f"{data.letter}: making {data.title}", file=sys.stderr)
            scale = float(scales.get(data.letter, scales.get("", 1)))
            pristine = base / "pristine" / data.letter
            data.make(pristine, scale)
            place = (Disk if given.cold else Memory)(below, pristine)
            name = data.letter + place.suffix
            before, names = sets.get(name), [kind.name for kind in there]
            if given.more and before and before.scale == scale and set(names) <= set(before.tools):
                # The limits stay those that were measured with the first rounds.
                measured, began = before, re.search(r"\d{4}-\d\d-\d\d", before.how).group()
            else:
                place.renew()
                measured = Measured("", scale, names, *limits(place, ROOT / "target/release/examples/limits"))
                began = str(datetime.date.today())
            for turn in range(min((measured.rounds(kind.name) for kind in there), default=given.repeats), given.repeats):
                for kind in (kind for kind in there if measured.rounds(kind.name) <= turn):
                    place.renew()
                    tool = kind(kind.find(), place.work, place.tree)
                    for step, cost in one_round(tool, data, place):
                        measured.steps.setdefault(step, {}).setdefault(tool.name, []).append(cost)
                        print(f"{name} {turn + 1} {tool.name:9} {step:30} {cost.wall:8.2f} s {cost.cpu:8.2f} CPU s "
                              f"{cost.peak_mb:6.0f} MB {cost.store_mb:+9.1f} MB", file=sys.stderr)
                    # So that what is done is not lost with what is not; nor what was measured before, with a first round that is stopped.
                    if not all(map(measured.rounds, measured.tools)):
                        continue
                    measured.how = how(began, measured, missing, versions, place.where)
                    sets[name] = measured
                    if kept:
                        save(kept, sets)
                        tell(sets, given.out)
            place.close()
            remove(base / "pristine")
    finally:
        if place:
            place.close()
        remove(base)
        remove(below)
    tell(sets, given.out)


main()
