"""The five data sets and what changes in them. The same seed gives the same bytes; sizes go with the scale."""

import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

# Where real text lies on a machine that builds Rust programs.
TEXTS = ["~/.cargo/registry/src", "/usr/share/doc", "/usr/include", "/usr/lib/python3", "~/.rustup/toolchains"]
TEXT_ENDINGS = {".rs", ".c", ".h", ".py", ".md", ".html", ".txt", ".toml", ".json", ".js", ".css", ".gz", ""}
PAGE = 4096


class DataSet:
    """A tree with a name; `change` makes its successor in place, `halve` takes about half of it away."""

    def __init__(self, letter, title, make, change):
        self.letter, self.title, self._make, self._change = letter, title, make, change

    def make(self, root, scale):
        root.mkdir(parents=True)
        self._make(root, scale, random.Random(f"{self.letter} first"))

    def change(self, root, number):
        self._change(root, random.Random(f"{self.letter} {number}"))

    @staticmethod
    def halve(root):
        files = files_of(root)
        if len(files) == 1:
            os.truncate(files[0], os.stat(files[0]).st_size // 2)
        for path in files[: len(files) // 2]:
            os.unlink(path)

    @staticmethod
    def one_file(root):
        """Some file in the middle, as a path below the root."""
        files = files_of(root)
        return Path(files[len(files) // 2]).relative_to(root)


def files_of(root):
    """The paths of all files of a tree that was made here, sorted."""
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


def texts():
    for top in TEXTS:
        for folder, folders, files in os.walk(os.path.expanduser(top)):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.splitext(name)[1] in TEXT_ENDINGS and os.path.isfile(path) and not os.path.islink(path):
                    yield path


def make_files(root, scale, dice):
    """150,000 source and document files, 2 GB: what this machine has of them, and variations once that is used up."""
    wanted_files, wanted_bytes = int(150_000 * scale), int(2e9 * scale)
    files = total = turn = 0
    while files < wanted_files and total < wanted_bytes:
        for path in texts():
            length = os.path.getsize(path)
            # Such that both limits are met at about the same time.
            room = (wanted_bytes - total) / max(1, wanted_files - files)
            if not 0 < length < 40 * max(room, 4096):
                continue
            folder = root / f"{turn}-{files // 2000:03}" / f"{files // 40 % 50:02}"
            folder.mkdir(parents=True, exist_ok=True)
            content = Path(path).read_bytes()
            if turn:
                at = dice.randrange(len(content))
                content = content[at:] + str(files).encode() + content[:at]
            (folder / f"{files % 40:02}-{os.path.basename(path)[-80:]}").write_bytes(content)
            files, total = files + 1, total + length
            if files >= wanted_files or total >= wanted_bytes:
                return
        turn += 1


def change_files(root, dice):
    files = files_of(root)
    for path in map(Path, dice.sample(files, max(1, len(files) // 100))):
        content = path.read_bytes()
        at = dice.randrange(len(content) + 1)
        path.write_bytes(content[:at] + b"changed " + str(dice.random()).encode() + content[at:])


def make_incompressible(root, scale, dice):
    """2 GB that do not compress; a fifth of it is a repetition at shifted offsets."""
    files = 40
    length = int(2e9 * scale) // files
    fresh = []
    for number in range(files):
        if number % 5 == 4:
            content = dice.randbytes(dice.randrange(1, 5000)) + fresh[number // 5 * 4]
        else:
            content = dice.randbytes(length)
            fresh.append(content)
        (root / f"{number:02}.bin").write_bytes(content[:length])


def change_incompressible(root, dice):
    for path in sorted(root.iterdir()):
        content = path.read_bytes()
        at = dice.randrange(len(content))
        path.write_bytes(content[:at] + dice.randbytes(len(content) // 100) + content[at:])


def make_image(root, scale, dice):
    """A sparse disk image of 4 GB, a third of it in use."""
    tree = root.parent / "for-the-image"
    make_files(tree, scale * 0.55, dice)
    image = root / "disk.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-N", str(int(120_000 * max(scale, 0.01))),
                    "-E", "hash_seed=00000000-0000-0000-0000-000000000001", "-U", "00000000-0000-0000-0000-000000000002",
                    "-d", tree, image, f"{int(4e9 * scale) // 1024}k"], check=True)
    shutil.rmtree(tree)
    os.sync()


def change_image(root, dice):
    """2 % of the blocks that are in use are written anew, in runs, as file systems do."""
    image = root / "disk.img"
    blocks = image.stat().st_size // PAGE
    left = int(image.stat().st_blocks * 512 // PAGE * 0.02)
    with image.open("r+b") as file:
        while left > 0:
            run = min(left, dice.randrange(1, 17))
            file.seek(dice.randrange(blocks - run) * PAGE)
            if any(file.read(run * PAGE)):
                file.seek(-run * PAGE, os.SEEK_CUR)
                file.write(dice.randbytes(run * PAGE // 2).hex().encode())
                left -= run


def make_database(root, scale, dice):
    """An SQLite database of 1 GB."""
    words = [dice.randbytes(3).hex() for _ in range(5000)]
    with sqlite3.connect(root / "data.db") as db:
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, code TEXT, amount INTEGER, note TEXT)")
        rows = int(1e9 * scale) // 290
        db.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", (
            (number, dice.randbytes(8).hex(), dice.randrange(10**6), " ".join(dice.choices(words, k=35)))
            for number in range(rows)))
        db.execute("CREATE INDEX by_code ON item (code)")


def change_database(root, dice):
    """1 % of the rows, all over."""
    with sqlite3.connect(root / "data.db") as db:
        rows = db.execute("SELECT max(id) FROM item").fetchone()[0]
        db.executemany("UPDATE item SET amount = ? WHERE id = ?",
                       [(dice.randrange(10**6), dice.randrange(rows)) for _ in range(rows // 100)])


def make_tiny(root, scale, dice):
    """A million files of 0 to 200 bytes in 2,000 folders."""
    for folder in range(max(1, int(2000 * scale))):
        below = root / f"{folder:04}"
        below.mkdir()
        for number in range(500):
            (below / f"{number:03}").write_bytes(dice.randbytes(dice.randrange(101)).hex().encode())


def change_tiny(root, dice):
    for folder in sorted(root.iterdir()):
        for number in dice.sample(range(500), 5):
            (folder / f"{number:03}").write_bytes(dice.randbytes(dice.randrange(101)).hex().encode())


DATA_SETS = [
    DataSet("A", "150,000 source and document files, 2 GB", make_files, change_files),
    DataSet("B", "2 GB that do not compress, a fifth repeated", make_incompressible, change_incompressible),
    DataSet("C", "disk image, 4 GB, sparse", make_image, change_image),
    DataSet("D", "SQLite database, 1 GB", make_database, change_database),
    DataSet("E", "1,000,000 files of 0 to 200 bytes", make_tiny, change_tiny),
]
