"""How each program does each step. A step is a list of commands; what they take together is its cost."""

import os
import re
import shutil
import subprocess


class Tool:
    """A program with a store of its own at `store`, protecting `tree`."""

    name = ""
    program = ""

    def __init__(self, program, work, tree):
        self.program, self.work, self.tree = program, work, tree
        self.store, self.home = work / "store", work / "home"
        self.home.mkdir(parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **self.variables()}

    @classmethod
    def find(cls):
        return os.environ.get(f"{cls.name.upper()}_BIN") or shutil.which(cls.program)

    @classmethod
    def version(cls):
        text = subprocess.run([cls.find(), "--version" if cls.name != "restic" else "version"], capture_output=True, text=True).stdout
        found = re.search(r"\d+\.\d+[.\d]*", text)
        return found.group() if found else "?"

    def variables(self):
        return {}

    def prepare(self):
        """What is done once, and not counted."""

    def run(self, *words):
        subprocess.run([self.program, *map(str, words)], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def answer(self, *words):
        done = subprocess.run([self.program, *map(str, words)], env=self.env, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


class Resurgam(Tool):
    name = program = "resurgam"

    def variables(self):
        return {"RESURGAM_HOME": str(self.home)}

    def backup(self):
        return [["-q", "protect", self.tree, "--pool", self.store]]

    def list(self):
        return [["ls", "latest", "--source", self.tree, "--recursive"]]

    def points(self):
        return [["points"]]

    def restore(self, to):
        return [["-q", "recover", "latest", "--source", self.tree, "--to", to]]

    def restore_one(self, path, to):
        return [["-q", "recover", "latest", path, "--source", self.tree, "--to", to]]

    def verify(self):
        return [["-q", "verify", "--read-data"]]

    def drop_old(self):
        # What was condemned is deleted by the second: nothing may be deleted while somebody could rely on it.
        self.run("source", "set", self.tree, "--keep-last", "1")
        return [["-q", "expire"], ["-q", "prune"], ["-q", "prune"]]


class Restic(Tool):
    name = program = "restic"

    def variables(self):
        return {"RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": str(self.store)}

    def prepare(self):
        self.run("-q", "init")

    def backup(self):
        return [["-q", "backup", self.tree]]

    def list(self):
        return [["-q", "ls", "latest"]]

    def points(self):
        return [["-q", "snapshots"]]

    def restore(self, to):
        return [["-q", "restore", "latest", "--target", to]]

    def restore_one(self, path, to):
        return [["-q", "restore", "latest", "--target", to, "--include", self.tree / path]]

    def verify(self):
        return [["-q", "check", "--read-data"]]

    def drop_old(self):
        return [["-q", "forget", "--keep-last", "1", "--prune"]]


class Rustic(Restic):
    name = program = "rustic"

    def variables(self):
        return {"RUSTIC_PASSWORD": "x", "RUSTIC_REPOSITORY": str(self.store), "RUSTIC_NO_PROGRESS": "true",
                "RUSTIC_LOG_LEVEL": "error"}

    def prepare(self):
        self.run("init")

    def backup(self):
        return [["backup", self.tree]]

    def list(self):
        return [["ls", "latest"]]

    def points(self):
        return [["snapshots"]]

    def restore(self, to):
        return [["restore", "latest", to]]

    def restore_one(self, path, to):
        return [["restore", f"latest:{self.tree / path}", to]]

    def verify(self):
        return [["check", "--read-data"]]

    def drop_old(self):
        return [["forget", "--keep-last", "1", "--prune", "--instant-delete"]]


class Borg(Tool):
    name = program = "borg"
    taken = 0

    def variables(self):
        return {"BORG_PASSPHRASE": "x", "BORG_REPO": str(self.store), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}

    def prepare(self):
        self.run("init", "-e", "repokey-blake2")

    def backup(self):
        self.taken += 1
        return [["create", "-C", "zstd,3", f"::point-{self.taken}", self.tree]]

    def list(self):
        return [["list", f"::point-{self.taken}"]]

    def points(self):
        return [["list"]]

    def restore(self, to):
        to.mkdir()
        return [(["extract", f"::point-{self.taken}"], to)]

    def restore_one(self, path, to):
        to.mkdir()
        return [(["extract", f"::point-{self.taken}", str(self.tree / path).lstrip("/")], to)]

    def verify(self):
        return [["check", "--verify-data"]]

    def drop_old(self):
        return [["prune", "--keep-last", "1"], ["compact"]]


class Bupstash(Tool):
    name = program = "bupstash"

    def variables(self):
        return {"BUPSTASH_REPOSITORY": str(self.store), "BUPSTASH_KEY": str(self.home / "key")}

    def prepare(self):
        self.run("init")
        self.run("new-key", "-o", self.home / "key")

    def backup(self):
        return [["put", "-q", "name=tree", self.tree]]

    def newest(self):
        return "id=" + re.findall(r'id="([0-9a-f]+)"', self.answer("list"))[-1]

    def list(self):
        return [["list-contents", self.newest()]]

    def points(self):
        return [["list"]]

    def restore(self, to):
        to.mkdir()
        return [["restore", "-q", "--into", to, self.newest()]]

    def restore_one(self, path, to):
        return [["get", "-q", "--pick", path, self.newest()]]

    def verify(self):
        return None

    def drop_old(self):
        ids = re.findall(r'id="([0-9a-f]+)"', self.answer("list"))
        for old in ids[:-1]:
            self.run("rm", f"id={old}")
        return [["gc", "-q"]]


TOOLS = [Resurgam, Restic, Rustic, Borg, Bupstash]
