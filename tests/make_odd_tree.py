#!/usr/bin/env python3
"""Writes a tar of a root file system in which everything is odd.

    make_odd_tree.py [--devices] BUSYBOX OUTPUT

It holds a BusyBox, so that steps can run on it, and below /odd one of everything that a layer can
hold and tools like to lose. The newest time in it is NEWEST.
"""
import argparse
import io
import struct
import tarfile

NEWEST = 1735689600  # 2025-01-01T00:00:00Z
OLD = 1_000_000_000
APPLETS = (
    "cat chmod chown cp dd echo find grep id ln ls mkdir mkfifo mv rm rmdir sh sleep sync touch "
    "truncate true wc"
).split()


def capability(permitted, effective):
    """The value of security.capability: struct vfs_cap_data, revision 2 (linux/capability.h)."""
    magic = 0x02000000 | (1 if effective else 0)
    return struct.pack("<IIIII", magic, permitted & 0xFFFFFFFF, 0, permitted >> 32, 0)


def access_control_list(entries):
    """The value of system.posix_acl_access: version 2, then tag, permissions and id of each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


class Writer:
    def __init__(self, archive):
        self.archive = archive

    def add(self, name, kind=tarfile.REGTYPE, content=b"", mode=0o644, owner=(0, 0), time=OLD,
            target=b"", xattrs=None, device=(0, 0)):
        member = tarfile.TarInfo(text(name))
        member.type, member.mode, member.mtime = kind, mode, time
        member.uid, member.gid = owner
        member.uname = member.gname = ""
        member.linkname = text(target)
        member.devmajor, member.devminor = device
        member.size = len(content)
        for attribute, value in (xattrs or {}).items():
            # tarfile encodes the values of a header as UTF-8, with surrogates for other bytes.
            member.pax_headers["SCHILY.xattr." + attribute] = text(value)
        self.archive.addfile(member, io.BytesIO(content))

    def folder(self, name, mode=0o755, **options):
        self.add(name, tarfile.DIRTYPE, mode=mode, **options)


def text(data):
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data


def write_base(writer, busybox):
    writer.folder(".", time=NEWEST)
    for name, mode in [
        ("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("root", 0o700),
        ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777),
    ]:
        writer.folder(name, mode, time=NEWEST)
    with open(busybox, "rb") as file:
        writer.add("bin/busybox", content=file.read(), mode=0o755)
    for applet in APPLETS:
        writer.add(f"bin/{applet}", tarfile.SYMTYPE, mode=0o777, target="busybox")
    writer.add("etc/passwd", content=b"root:x:0:0:root:/root:/bin/sh\n")
    writer.add("etc/group", content=b"root:x:0:\n")


def write_odd(writer, devices):
    writer.folder("odd", time=OLD + 1)
    # Modes and owners.
    writer.folder("odd/modes")
    for mode in (0o000, 0o400, 0o644, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777):
        writer.add(f"odd/modes/file-{mode:04o}", content=b"x", mode=mode)
        writer.folder(f"odd/modes/folder-{mode:04o}", mode)
    for owner in ((1, 2), (1000, 100), (65534, 65534), (65535, 65535)):
        writer.add(f"odd/modes/owned-by-{owner[0]}", content=b"x", owner=owner, mode=0o4750)
    # Times.
    writer.folder("odd/times", time=OLD + 2)
    for time in (0, 1, OLD, NEWEST):
        writer.add(f"odd/times/{time}", time=time)
    # Extended attributes.
    writer.folder("odd/xattrs", xattrs={"user.folder": b"yes"})
    writer.add("odd/xattrs/plain", xattrs={"user.one": b"1", "user.two": b"two words\n"})
    writer.add("odd/xattrs/long", xattrs={"user.long": b"v" * 2000, "user." + "n" * 240: b"x"})
    writer.add("odd/xattrs/utf-8", xattrs={"user.gr\u00fc\u00dfe": "\u2603".encode()})
    writer.add("odd/xattrs/ping", content=b"#!/bin/sh\n", mode=0o755,
               xattrs={"security.capability": capability(1 << 13, True)})
    writer.add("odd/xattrs/inheritable", content=b"#!/bin/sh\n", mode=0o755, owner=(7, 8),
               xattrs={"security.capability": capability(1 << 10 | 1 << 38, False)})
    writer.add("odd/xattrs/acl", mode=0o664, xattrs={"system.posix_acl_access": access_control_list([
        (0x01, 6, 0xFFFFFFFF), (0x02, 7, 1000), (0x04, 4, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    ])})
    # Links.
    writer.folder("odd/links")
    writer.folder("odd/links/below")
    writer.add("odd/links/first", content=b"one inode\n", mode=0o640, owner=(5, 6))
    writer.add("odd/links/second", tarfile.LNKTYPE, mode=0o640, owner=(5, 6),
               target="odd/links/first")
    writer.add("odd/links/below/third", tarfile.LNKTYPE, mode=0o640, owner=(5, 6),
               target="odd/links/first")
    writer.add("odd/links/to-itself", tarfile.SYMTYPE, target="to-itself", mode=0o777)
    writer.add("odd/links/nowhere", tarfile.SYMTYPE, target="no/such/file", mode=0o777)
    writer.add("odd/links/absolute", tarfile.SYMTYPE, target="/etc/passwd", mode=0o777)
    writer.add("odd/links/up", tarfile.SYMTYPE, target="../../../../../etc", mode=0o777)
    writer.add("odd/links/owned", tarfile.SYMTYPE, target="first", mode=0o777, owner=(5, 6))
    writer.add("odd/links/long", tarfile.SYMTYPE, target="t" * 150 + "/" + "u" * 200, mode=0o777)
    writer.add("odd/links/bytes", tarfile.SYMTYPE, target=b"\xff\xfe", mode=0o777)
    # Names.
    writer.folder("odd/names")
    for name in (
        b"\xff\xfe not utf-8", b"latin-1 \xe9", "\u2603 gr\u00fc\u00dfe".encode(), b" ", b"  two",
        b"new\nline", b"tab\t", b"back\\slash", b"quote'\"", b"-rf", b"*", b"$(id)", b"...",
        b"wh.not", b".wh", b"a=b", b"#hash", b"colon:", b"~", b"N" * 255, "\u00e4".encode() * 127,
    ):
        writer.add(b"odd/names/" + name, content=name)
    # Sorting: `-`, `.` and `0` are around `/`.
    for name in ("sort", "sort-a", "sort.a", "sort0"):
        writer.folder(f"odd/names/{name}")
        writer.add(f"odd/names/{name}/x", content=name.encode())
    # Names around the limits of a tar header: 100 for the name, 155 for the prefix.
    for length in (98, 99, 100, 101, 155, 156, 254, 255, 256, 257, 300, 1000):
        folder = f"odd/paths-{length}"
        writer.folder(folder)
        while length - len(folder) > 120:
            folder += "/" + "d" * 80
            writer.folder(folder)
        writer.add(folder + "/" + "f" * (length - len(folder) - 1), content=b"deep")
    # Other types.
    writer.folder("odd/types")
    writer.add("odd/types/fifo", tarfile.FIFOTYPE, mode=0o622, owner=(3, 4))
    writer.add("odd/types/empty")
    if devices:
        writer.add("odd/types/null", tarfile.CHRTYPE, mode=0o666, device=(1, 3))
        writer.add("odd/types/loop", tarfile.BLKTYPE, mode=0o660, device=(7, 200), owner=(0, 6))
    # Content.
    writer.folder("odd/content")
    writer.add("odd/content/zeros", content=bytes(3 << 20))
    writer.add("odd/content/bytes", content=bytes(range(256)) * 5)
    for size in (1, 511, 512, 513, 65535, 65536, 65537):
        writer.add(f"odd/content/{size}", content=b"c" * size)
    writer.folder("odd/many")
    for number in range(300):
        writer.add(f"odd/many/{number:04}", content=str(number).encode())
    # What steps change: see tests/e2e/fidelity.sh.
    for folder in ("odd/removed", "odd/replaced", "odd/emptied", "odd/touched", "odd/moved"):
        writer.folder(folder, mode=0o751, owner=(9, 9))
        writer.folder(f"{folder}/below")
        for name in ("a", "b", "below/c"):
            writer.add(f"{folder}/{name}", content=f"{folder}/{name}\n".encode(), owner=(9, 9))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", action="store_true")
    parser.add_argument("busybox")
    parser.add_argument("output")
    arguments = parser.parse_args()
    with tarfile.open(arguments.output, "w", format=tarfile.PAX_FORMAT) as archive:
        writer = Writer(archive)
        write_base(writer, arguments.busybox)
        write_odd(writer, arguments.devices)


main()
