#!/usr/bin/env python3
"""Compares two unpacked root file systems, file by file.

    compare_trees.py [--clamp EPOCH] [--offset N] [--ignore-xattr GLOB]... [--only-content] EXPECTED FOUND

Compared are: type, permission bits, owner, size, modification time in whole seconds, extended
attributes, groups of hard links, link targets, device numbers and content. Names are bytes. Of the
root folder itself nothing counts, as a layer need not say anything about it.

With --clamp no time is later than EPOCH in what is expected. With --offset, N is taken off the ids
in what is found (what a user namespace added). The exit code is 0 if the trees are equal; each
difference is a line on stdout.
"""
import argparse
import fnmatch
import hashlib
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device", stat.S_IFBLK: "block device", stat.S_IFSOCK: "socket",
}
LINES = 60


def walk(root):
    """Yields all names below root as bytes, parents first."""
    pending = [b""]
    while pending:
        folder = pending.pop()
        below = []
        for entry in os.scandir(os.path.join(root, folder)):
            name = os.path.join(folder, entry.name)
            yield name
            if entry.is_dir(follow_symlinks=False):
                below.append(name)
        pending.extend(sorted(below, reverse=True))


def content(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def attributes(path, ignored):
    found = {}
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored):
            value = os.getxattr(path, name, follow_symlinks=False)
            found[name] = value.hex()
    return found


def read(root, arguments, expected):
    """Everything about each file of a tree, by name."""
    files, links = {}, {}
    for name in walk(root):
        path = os.path.join(root, name)
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        found = {"type": KINDS.get(kind, oct(kind))}
        files[name] = found
        if kind == stat.S_IFREG:
            found["size"] = status.st_size
            found["content"] = content(path)
        elif kind == stat.S_IFLNK:
            found["target"] = os.readlink(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            found["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if arguments.only_content:
            continue
        if kind != stat.S_IFLNK:
            found["mode"] = oct(stat.S_IMODE(status.st_mode))
        offset = 0 if expected else arguments.offset
        found["owner"] = (status.st_uid - offset, status.st_gid - offset)
        found["xattrs"] = attributes(path, arguments.ignore_xattr)
        time = status.st_mtime_ns // 1_000_000_000
        if expected and arguments.clamp is not None:
            time = min(time, arguments.clamp)
        found["mtime"] = time
        if kind != stat.S_IFDIR and status.st_nlink > 1:
            links.setdefault((status.st_dev, status.st_ino), []).append(name)
    for names in links.values():
        # The other names of an inode can be hidden, by a layer above in an overlay.
        for name in names if len(names) > 1 else []:
            files[name]["linked with"] = sorted(other for other in names if other != name)
    return files


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clamp", type=int)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--ignore-xattr", action="append", default=[])
    parser.add_argument("--only-content", action="store_true")
    parser.add_argument("expected", type=os.fsencode)
    parser.add_argument("found", type=os.fsencode)
    arguments = parser.parse_args()

    expected = read(arguments.expected, arguments, True)
    found = read(arguments.found, arguments, False)
    differences = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            differences.append(f"{name!r}: is missing")
        elif name not in expected:
            differences.append(f"{name!r}: should not be there ({found[name]['type']})")
        else:
            for aspect in sorted(expected[name].keys() | found[name].keys()):
                wanted, is_now = expected[name].get(aspect), found[name].get(aspect)
                if wanted != is_now:
                    differences.append(f"{name!r}: {aspect}: expected {wanted}, found {is_now}")
    for difference in differences[:LINES]:
        print(difference)
    if len(differences) > LINES:
        print(f"and {len(differences) - LINES} more")
    print(f"{len(expected)} files compared, {len(differences)} differences")
    return 1 if differences else 0


sys.exit(main())
