"""What a command takes: wall and processor seconds, peak memory."""

import mmap
import os
import shutil
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Cost:
    wall: float
    cpu: float
    peak_mb: float
    store_mb: float = 0

    def __add__(self, other):
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mb, other.peak_mb))


def limits(place, program):
    """What the machine can do with a tree at best: copying it, compressing it, looking at each file, and what one thread does
    with its bytes. Gives the seconds of `cp -a`, and all as lines of text."""
    tree, work = place.tree, place.work
    lines, seconds = [], []
    for name, line in (("cp -a", f"cp -a --sparse=auto '{tree}' '{work}/copy'"),
                       ("tar and zstd -3 -T2", f"tar cSf - -C '{tree}' . | zstd -q -3 -T2 > '{work}/packed'")):
        work.mkdir()
        place.make_ready()
        began = time.monotonic()
        subprocess.run(line, shell=True, check=True)
        seconds.append(time.monotonic() - began)
        lines.append(f"{name:24} {seconds[-1]:6.2f} s, {size_mb(work):.0f} MB")
        shutil.rmtree(work)
    place.make_ready()
    before, began = os.times(), time.monotonic()
    subprocess.run(["find", tree, "-newermt", "2100-01-01"], check=True)
    wall, after = time.monotonic() - began, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    lines.append(f"{'a look at each file':24} {wall:6.2f} s, {cpu:.2f} CPU s")
    if os.access(program, os.X_OK):
        said = subprocess.run([program, tree], check=True, capture_output=True, text=True).stdout
        lines += ["One thread, GB/s:", *said.splitlines()]
    return seconds[0], lines


def touch_memory(megabytes):
    """Memory that a machine has given back to its host is slow to touch again, whoever does it first: so it is touched
    before each run."""
    with mmap.mmap(-1, megabytes << 20) as held:
        for at in range(0, len(held), 1 << 20):
            held[at : at + (1 << 20)] = b"x" * (1 << 20)


def measure(tool, commands):
    """Runs commands one after the other. One that fails ends the benchmark."""
    total = Cost(0, 0, 0)
    for command in commands:
        words, folder = command if isinstance(command, tuple) else (command, None)
        times, messages = tool.work / "times", tool.work / "messages"
        # A small program starts it: the peak of what this one would start counts this one's own memory.
        timed = ["/usr/bin/time", "-q", "-o", times, "-f", "%e %U %S %M", tool.program, *map(str, words)]
        with messages.open("wb") as said:
            done = subprocess.run(timed, env=tool.env, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        if done.returncode != 0:
            said = messages.read_text(errors="replace")
            raise SystemExit(f"{tool.name} {' '.join(map(str, words))} gave {done.returncode}: {said}")
        wall, user, system, peak = map(float, times.read_text().split())
        total += Cost(wall, user + system, peak / 1024)
    return total


def size_mb(store):
    """What a store takes on its disk."""
    total = 0
    for folder, _, files in os.walk(store):
        total += sum(os.stat(os.path.join(folder, name)).st_blocks for name in files)
    return total * 512 / 1e6
