"""Fills a directory with every oddity that a file system allows. Written without the project's own code, in another
language, so that it is a second opinion on what a tree can hold. Needs root and an ext4 with ea_inode.

Usage: odd_tree.py ROOT CROWD     CROWD: entries of the crowded directory
"""

import fcntl
import os
import socket
import stat
import struct
import sys

root = os.fsencode(sys.argv[1])
crowd = int(sys.argv[2])

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
SECRM, UNRM, SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME = 0x1, 0x2, 0x8, 0x10, 0x20, 0x40, 0x80
NOTAIL, DIRSYNC, TOPDIR = 0x8000, 0x10000, 0x20000

# Set at the very end, innermost first: later changes below would undo or refuse them.
late_flags = []
late_modes = []
late_times = []


def at(*parts):
    return os.path.join(root, *[os.fsencode(part) if isinstance(part, str) else part for part in parts])


def directory(*parts):
    os.makedirs(at(*parts), exist_ok=True)
    return at(*parts)


def file(path, content=b""):
    with open(path, "xb") as handle:
        handle.write(content)
    return path


def noise(length, seed):
    state, out = seed * 2654435761 + 1, bytearray()
    while len(out) < length:
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out += struct.pack("<Q", state)
    return bytes(out[:length])


def acl(*entries):
    """An ACL as the kernel keeps it; entries of (tag, rights, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, who) for tag, rights, who in entries)


NOBODY = 0xFFFFFFFF
OWNER, USER, GROUP, A_GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32


def names():
    base = directory("names")
    for byte in range(1, 256):
        if byte not in b"/.":
            file(os.path.join(base, bytes([byte])), bytes([byte]))
    for name in [
        b"x" * 255, b"\xff" * 255, b"...", b"..x", b" leading", b"trailing ", b"-rf", b"--help", b"~", b"*", b"?[a]{b}",
        b"new\nline", b"tab\tand\rreturn", b"back\\slash", b"\\x41", b"quote'\"`$(id)", b"bell\x07", b"caf\xc3\xa9",
        b"cafe\xcc\x81", b"caf\xe9", b"A", b"\xf0\x9f\x92\xbe", b"\xe2\x80\xae reversed", b"con.txt:stream", b"%00", b"\xed\xa0\x80",
    ]:
        path = os.path.join(base, name)
        if not os.path.lexists(path):
            file(path, name)
    # Orders that differ between bytes, paths and languages.
    for name in ["a", "a.b", "a-b", "a b", "a0", "A.b", "b"]:
        order = directory("order", name)
        file(os.path.join(order, b"inside"), name.encode())
    for name in ["a.txt", "a!", "a\x01"]:
        file(at("order", name))


def contents():
    base = directory("contents")
    page, kib, mib = 4096, 1024, 1024 * 1024
    sizes = [0, 1, 2, 63, 64, 511, 512, 513, page - 1, page, page + 1, 64 * kib, 256 * kib, 512 * kib - 1, 512 * kib,
             512 * kib + 1, mib - 1, mib, mib + 1, 4 * mib - 1, 4 * mib, 4 * mib + 1]
    for number, size in enumerate(sizes):
        file(at("contents", "noise-%d" % size), noise(size, number))
    file(at("contents", "zeros-not-holes"), b"\0" * mib)
    file(at("contents", "repeated"), noise(page, 99) * 700)
    file(at("contents", "text"), b"all work and no play makes jack a dull boy\n" * 20000)
    file(at("contents", "trailing-zeros"), noise(300, 5) + b"\0" * 5000)


def holes():
    directory("holes")

    def sparse(name, length, pieces):
        with open(at("holes", name), "xb") as handle:
            for offset, content in pieces:
                handle.seek(offset)
                handle.write(content)
            handle.truncate(length)

    mib = 1024 * 1024
    sparse("all", 64 * mib, [])
    sparse("first", 8 * mib, [(8 * mib - 4096, noise(4096, 1))])
    sparse("last", 8 * mib, [(0, noise(4096, 2))])
    sparse("middle", 8 * mib, [(0, noise(10000, 3)), (7 * mib, noise(mib, 4))])
    sparse("odd-length", 3 * mib + 17, [(mib + 4096, b"x")])
    sparse("small", 20000, [(12288, b"y")])
    sparse("many", 6000 * 8192, [(index * 8192, noise(4096, index)) for index in range(3000)])
    with open(at("holes", "zeros-beside-holes"), "xb") as handle:
        handle.write(b"\0" * 65536)
        handle.truncate(4 * mib)
    with open(at("holes", "reserved"), "xb") as handle:
        handle.write(b"head")
        os.posix_fallocate(handle.fileno(), 0, mib)


def modes_and_owners():
    directory("modes")
    for mode in [0o000, 0o001, 0o111, 0o200, 0o400, 0o444, 0o644, 0o777, 0o1644, 0o2755, 0o4755, 0o6755, 0o7777]:
        path = file(at("modes", "file-%04o" % mode), b"%o" % mode)
        os.chown(path, 1, 2)  # before the mode: changing the owner takes setuid away
        os.chmod(path, mode)
        below = directory("modes", "dir-%04o" % mode)
        file(os.path.join(below, b"inside"), b"inside")
        late_modes.append((below, mode))
    for uid, gid in [(0, 0), (1, 1), (65534, 65534), (54321, 12345), (2**31, 2**32 - 2)]:
        os.chown(file(at("modes", "owner-%d" % uid)), uid, gid)
        os.symlink("x", at("modes", "link-of-%d" % uid))
        os.lchown(at("modes", "link-of-%d" % uid), uid, gid)
        os.chown(directory("modes", "dir-of-%d" % uid), uid, gid)


def times():
    directory("times")
    second = 10**9
    moments = {
        "first": -(2**31) * second, "before": -1, "half-before": -second // 2 - 1, "epoch": 0, "nano": 1,
        "y2k38": 2**31 * second, "y2k38-less": (2**31 - 1) * second + 999999999, "y2106": 2**32 * second + 123456789,
        "y2200": 7258118400 * second + 1, "y2446": (2**34 - 2**31 - 1) * second,
    }
    for name, moment in moments.items():
        late_times.append((file(at("times", name), name.encode()), moment))
        late_times.append((directory("times", "dir-" + name), moment))
        os.symlink("anything", at("times", "link-" + name))
        late_times.append((at("times", "link-" + name), moment))
    os.mkfifo(at("times", "fifo"))
    late_times.append((at("times", "fifo"), 7258118400 * second))


def symlinks():
    base = directory("symlinks")
    targets = {
        "dangling": b"nowhere/at/all", "absolute": b"/etc/passwd", "itself": b"itself", "up": b"../../..", "to-dir": b"../contents",
        "dot": b".", "bytes": b"\xff\xfe\x01\n\\ \xe9", "long": b"t/" * 2047 + b"t", "slash": b"/", "trailing": b"../contents/",
    }
    for name, target in targets.items():
        os.symlink(target, os.path.join(base, name.encode()))


def hard_links():
    here, there = directory("links", "here"), directory("links", "there", "deep")
    directory("links", "a-before-here")

    def both(name, *more):
        for target in (there, *more):
            os.link(os.path.join(here, name), os.path.join(target, name), follow_symlinks=False)

    file(os.path.join(here, b"file"), b"three names")
    both(b"file", at("links"), at("links", "a-before-here"))
    file(os.path.join(here, b"large"), noise(1500000, 50))
    both(b"large")
    file(os.path.join(here, b"empty"))
    both(b"empty")
    os.mkfifo(os.path.join(here, b"fifo"))
    both(b"fifo")
    os.mknod(os.path.join(here, b"device"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
    both(b"device")
    os.symlink(b"linked \xff link", os.path.join(here, b"symlink"))
    both(b"symlink")
    make_socket(os.path.join(here, b"socket"))
    both(b"socket")
    setuid = file(os.path.join(here, b"setuid"), b"setuid with two names")
    both(b"setuid")
    os.chmod(setuid, 0o4755)
    late_flags.append((file(os.path.join(here, b"immutable"), b"immutable with two names"), IMMUTABLE))
    both(b"immutable")


def make_socket(path):
    # Bound from inside the directory: a socket's address is short.
    back = os.getcwd()
    os.chdir(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.basename(path))
    os.chdir(back)


def specials():
    directory("specials")
    os.mkfifo(at("specials", "fifo"), 0o640)
    make_socket(at("specials", "socket"))
    os.chmod(at("specials", "socket"), 0o1757)
    devices = {"null": (stat.S_IFCHR, 1, 3), "sda": (stat.S_IFBLK, 8, 0), "large": (stat.S_IFBLK, 260, 70000),
               "whiteout": (stat.S_IFCHR, 0, 0), "highest": (stat.S_IFCHR, 4095, 1048575)}
    for name, (kind, major, minor) in devices.items():
        os.mknod(at("specials", name), kind | 0o620, os.makedev(major, minor))
        os.chown(at("specials", name), 7, 8)


def xattrs():
    directory("xattrs")
    path = file(at("xattrs", "many"), b"many")
    for number in range(40):
        os.setxattr(path, "user.number-%d" % number, noise(number, number))
    path = file(at("xattrs", "kinds"), b"kinds")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "user.nul", b"a\0b\0")
    os.setxattr(path, b"user.\xff\xfename", b"bytes")
    os.setxattr(path, "user." + "n" * 250, b"long name")
    os.setxattr(path, "trusted.overlay.opaque", b"y")
    os.setxattr(path, "trusted.empty", b"")
    os.setxattr(path, "security.selinux", b"system_u:object_r:etc_t:s0\0")
    os.setxattr(file(at("xattrs", "large"), b"large"), "user.large", noise(60000, 3))
    # cap_net_raw+ep, as setcap writes it; the owner is set first, since a change of owner takes capabilities away.
    path = file(at("xattrs", "capable"), b"#!/bin/true\n")
    os.chown(path, 1000, 1000)
    os.chmod(path, 0o755)
    os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0))
    below = directory("xattrs", "directory")
    os.setxattr(below, "user.of-directory", b"yes")
    os.setxattr(below, "trusted.of-directory", b"yes")
    os.symlink("target", at("xattrs", "symlink"))
    os.setxattr(at("xattrs", "symlink"), "trusted.of-symlink", b"yes", follow_symlinks=False)
    os.setxattr(at("xattrs", "symlink"), "security.of-symlink", b"too", follow_symlinks=False)
    for name in ["fifo", "null", "socket"]:
        os.setxattr(at("specials", name), "trusted.of-" + name, b"yes")
    read_only = file(at("xattrs", "read-only"), b"read only")
    os.setxattr(read_only, "user.before", b"mode 0400")
    os.chmod(read_only, 0o400)


def acls():
    directory("acls")
    named = acl((OWNER, 6, NOBODY), (USER, 4, 1), (USER, 6, 54321), (GROUP, 4, NOBODY), (A_GROUP, 2, 12345), (MASK, 6, NOBODY), (OTHER, 0, NOBODY))
    os.setxattr(file(at("acls", "file"), b"acl"), "system.posix_acl_access", named)
    # The mask hides the group's real rights: a later chmod by number would ruin them.
    hidden = acl((OWNER, 7, NOBODY), (USER, 7, 1), (GROUP, 6, NOBODY), (MASK, 0, NOBODY), (OTHER, 1, NOBODY))
    os.setxattr(file(at("acls", "masked"), b"acl"), "system.posix_acl_access", hidden)
    default = acl((OWNER, 7, NOBODY), (USER, 5, 2), (GROUP, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY))
    inherits = directory("acls", "inherits")
    # One child from before the default ACL, with none of its own, and some from after: neither may change.
    file(os.path.join(inherits, b"before"), b"before")
    directory("acls", "inherits", "before-dir")
    os.setxattr(inherits, "system.posix_acl_default", default)
    file(os.path.join(inherits, b"after"), b"after")
    directory("acls", "inherits", "after-dir", "deeper")
    both = directory("acls", "both")
    os.setxattr(both, "system.posix_acl_access", named)
    os.setxattr(both, "system.posix_acl_default", hidden)


def flags():
    directory("flags")
    for name, flag in {"secure": SECRM, "undelete": UNRM, "sync": SYNC, "immutable": IMMUTABLE, "append": APPEND, "nodump": NODUMP,
                       "noatime": NOATIME, "notail": NOTAIL, "several": NODUMP | NOATIME | APPEND,
                       "both": IMMUTABLE | APPEND}.items():
        path = file(at("flags", name), name.encode() * 1000)
        os.setxattr(path, "user.flag", name.encode())
        late_flags.append((path, flag))
    late_flags.append((file(at("flags", "empty-immutable")), IMMUTABLE))
    for name, flag in {"immutable": IMMUTABLE, "append": APPEND, "dirsync": DIRSYNC | SYNC, "topdir": TOPDIR, "nodump": NODUMP}.items():
        below = directory("flags", "dir-" + name)
        late_flags.append((file(os.path.join(below, b"plain"), b"in a flagged directory"), NODUMP))
        directory("flags", "dir-" + name, "deeper")
        os.symlink("plain", os.path.join(below, b"link"))
        late_flags.append((below, flag))


def crowds():
    base = directory("crowd")
    for number in range(crowd):
        file(os.path.join(base, b"%05d" % (number * 7919 % 100000)), b"%d" % number)
    deep = at("deep")
    os.mkdir(deep)
    for level in range(300):
        deep = os.path.join(deep, b"%d" % level)
        os.mkdir(deep)
    file(os.path.join(deep, b"bottom"), b"300 levels down")


def beyond_path_max():
    """Deeper than any path can say: by directory handles."""
    handle = os.open(directory("beyond"), os.O_DIRECTORY)
    for level in range(24):
        name = b"%02d-" % level + b"d" * 240
        os.mkdir(name, dir_fd=handle)
        child = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        bottom = os.open(b"file", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=child)
        os.write(bottom, b"level %d" % level)
        os.close(bottom)
        os.symlink(b"file", b"link", dir_fd=child)
        os.close(handle)
        handle = child
    os.link(b"file", b"second-name", src_dir_fd=handle, dst_dir_fd=handle)
    os.mkfifo(b"fifo", dir_fd=handle)
    os.utime(b"file", ns=(0, -5), dir_fd=handle)
    os.close(handle)


def set_flags(path, wanted):
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    have = struct.unpack("i", fcntl.ioctl(handle, GETFLAGS, struct.pack("i", 0)))[0]
    fcntl.ioctl(handle, SETFLAGS, struct.pack("i", have | wanted))
    os.close(handle)


os.umask(0o022)
for build in [names, contents, holes, modes_and_owners, times, symlinks, hard_links, specials, xattrs, acls, flags, crowds, beyond_path_max]:
    build()
os.setxattr(root, "user.of-root", b"the root has attributes too")
os.setxattr(root, "trusted.of-root", b"yes")
os.chown(root, 33, 44)
os.chmod(root, 0o1751)
late_times.append((root, 1000000000 * 10**9 + 7))
for path, mode in late_modes:
    os.chmod(path, mode)
for path, moment in sorted(late_times, reverse=True):
    os.utime(path, ns=(moment, moment), follow_symlinks=False)
for path, wanted in late_flags:
    set_flags(path, wanted)
