"""Where trees and stores lie while programs are measured, and what is done before each step so that all have it alike."""

import os
import subprocess
from pathlib import Path

from measure import size_mb, touch_memory


class Place:
    """Holds a tree, and a folder for a program's work."""

    # What is added to the name of a data set, and what is said of it.
    suffix = ""
    where = ""

    def __init__(self, path, pristine):
        self.path, self.pristine = path, pristine
        self.tree, self.work = path / pristine.name, path / "work"
        self.megabytes = int(size_mb(pristine))

    def renew(self):
        """A tree as it was, and nothing else."""
        remove(self.tree)
        remove(self.work)
        # With holes and times as they are. A program of its own: a million files take this one minutes.
        subprocess.run(["cp", "-a", "--sparse=always", self.pristine, self.tree], check=True)

    def make_ready(self):
        """Before each step."""

    def close(self):
        """Nothing is left, and its room is free."""
        remove(self.tree)
        remove(self.work)


class Memory(Place):
    where = "in memory"

    def make_ready(self):
        touch_memory(int(self.megabytes * 1.5) + 100)


class Disk(Place):
    """A file system of its own on a disk, made anew for each program: ext4 is slow to make files where many were deleted minutes ago
    (75,000 of them: 12 s instead of 3). Takes root."""

    suffix = " cold"
    where = "on a disk (ext4), nothing of it in memory when a step begins"

    def __init__(self, path, pristine):
        self.image, mounted = path / "image", path / "disk"
        mounted.mkdir(exist_ok=True)
        super().__init__(mounted, pristine)
        self.files = sum(len(names) for _, _, names in os.walk(pristine))

    def renew(self):
        self.unmount()
        with self.image.open("wb") as image:
            image.truncate((8 * self.megabytes + 4000) << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", str(6 * self.files + 200_000), "-E", "lazy_itable_init=0,lazy_journal_init=0",
                        self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        super().renew()

    def make_ready(self):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")

    def unmount(self):
        if os.path.ismount(self.path):
            subprocess.run(["umount", self.path], check=True)

    def close(self):
        self.unmount()
        self.image.unlink(missing_ok=True)


def remove(path):
    subprocess.run(["rm", "-rf", path], check=True)
