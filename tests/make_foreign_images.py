#!/usr/bin/env python3
"""Writes image layouts whose layers are legal, and written in ways that hardtack's own are not.

    make_foreign_images.py BUSYBOX_LAYOUT OUTPUT

Each layout is a folder OUTPUT/NAME, tagged `x`, with the layer of BUSYBOX_LAYOUT at the bottom and
what is to be looked at below /odd. stdout has a line for each: NAME, a tab, and the readers that
are to agree with hardtack: `umoci`, `containerd`, both with a comma between them, or `-` for none.
It is `refused` where hardtack says no as a choice of its own. A third field says why a reader is
not named, since the specification leaves a thing open or the reader is known to be wrong; for
what is refused it is a part of the message.
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

INDEX = "application/vnd.oci.image.index.v1+json"
OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "tar": "application/vnd.oci.image.layer.v1.tar",
}
DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
TIME = 1_600_000_000
FOLDER, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
NULLS = bytes(1024)

busybox, output = (pathlib.Path(path) for path in sys.argv[1:])


def entry(name, content=None, kind=None, mode=None, owner=(0, 0), time=TIME, target="",
          form=tarfile.PAX_FORMAT, **fields):
    """The bytes of one member: a file with content, or a folder if there is none."""
    info = tarfile.TarInfo(name)
    info.type = kind or (FOLDER if content is None else tarfile.REGTYPE)
    content = content or b""
    info.size, info.linkname, info.mtime = len(content), target, time
    info.uid, info.gid = owner
    info.mode = mode if mode is not None else (0o755 if info.type == FOLDER else 0o644)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(form, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)


def layer(*members):
    return b"".join(members) + NULLS


ODD = entry("odd", mode=0o750, owner=(3, 4))
SAME = entry("odd/folder", mode=0o710, owner=(7, 8), time=TIME + 1)


def above(*members):
    """A layer that names the folder it changes something in, as most writers do."""
    return layer(ODD, *members)


LOWER = layer(
    ODD,
    entry("odd/keep", b"keep\n", owner=(5, 6), mode=0o640),
    SAME,
    entry("odd/folder/one", b"one\n"),
    entry("odd/folder/two", b"two\n"),
    entry("odd/folder/below", mode=0o700),
    entry("odd/folder/below/three", b"three\n"),
    entry("odd/target"),
    entry("odd/target/file", b"in the target\n"),
    entry("odd/link", kind=LINK, target="target"),
)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write(name, layers, readers="umoci,containerd", why="", types=None, compress=None, nested=False):
    """Writes a layout with the base's layer and `layers`, each the bytes of a tar."""
    types = types or OCI
    path = output / name
    shutil.copytree(busybox, path)
    blobs = path / "blobs" / "sha256"
    index = json.loads((path / "index.json").read_text())

    def read(descriptor):
        return (blobs / descriptor["digest"].split(":")[1]).read_bytes()

    def put(media_type, data):
        (blobs / sha256(data).split(":")[1]).write_bytes(data)
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    manifest = json.loads(read(index["manifests"][0]))
    config = json.loads(read(manifest["config"]))
    manifest["mediaType"] = types["manifest"]
    manifest["layers"][0]["mediaType"] = types["gzip"]
    config["history"] = []
    for data in layers:
        if compress == "none":
            manifest["layers"].append(put(types["tar"], data))
        else:
            compressed = (compress or (lambda tar: gzip.compress(tar, 6, mtime=0)))(data)
            manifest["layers"].append(put(types["gzip"], compressed))
        config["rootfs"]["diff_ids"].append(sha256(data))
    manifest["config"] = put(types["config"], json.dumps(config).encode())
    descriptor = put(types["manifest"], json.dumps(manifest, indent=2).encode())
    annotations = {"org.opencontainers.image.ref.name": "x"}
    if nested:
        other = dict(descriptor, platform={"architecture": "s390x", "os": "linux"})
        ours = dict(descriptor, platform={"architecture": "amd64", "os": "linux"})
        other.update(put(types["manifest"], json.dumps({**manifest, "annotations": {"not": "this"}}).encode()))
        inner = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, ours]}
        descriptor = put(INDEX, json.dumps(inner).encode())
    descriptor["annotations"] = annotations
    (path / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}))
    # Not an empty field: `read` of a shell takes two tabs for one.
    print(f"{name}\t{readers or '-'}\t{why}")


def named_gzip(tar):
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="layer.tar", mode="wb", fileobj=buffer, mtime=99) as file:
        file.write(tar)
    return buffer.getvalue()


# Whiteouts: they hide what is in layers below, never what is in their own, in whatever order.
OPAQUE, NEW = entry("odd/folder/.wh..wh..opq", b""), entry("odd/folder/new", b"new\n")
OTHER = entry("odd/folder", mode=0o711, owner=(1, 1))
write("opaque-first", [LOWER, above(OTHER, OPAQUE, NEW)])
write("opaque-last", [LOWER, above(SAME, NEW, OPAQUE)])
write("opaque-then-same-name", [LOWER, above(SAME, entry("odd/folder/one", b"other\n"), OPAQUE)])
write("opaque-below-missing-folder", [LOWER, above(entry("odd/none"), entry("odd/none/.wh..wh..opq", b""))])
write("opaque-in-the-middle", [LOWER, above(SAME, OPAQUE), above(SAME, entry("odd/folder/above", b"above\n"))])
write("whiteout-file", [LOWER, above(SAME, entry("odd/folder/.wh.one", b""))])
write("whiteout-folder", [LOWER, above(entry("odd/.wh.folder", b""))])
write("whiteout-symlink", [LOWER, above(entry("odd/.wh.link", b""))])
write("whiteout-of-nothing", [LOWER, above(SAME, entry("odd/folder/.wh.nothing", b""))])
write("whiteout-then-file-above", [
    LOWER, above(entry("odd/.wh.folder", b"")), above(entry("odd/folder", b"now a file\n"))])
write("whiteout-then-folder-above", [
    LOWER, above(entry("odd/.wh.folder", b"")), above(entry("odd/folder"), NEW)])
write("whiteout-then-folder-above-twice", [
    LOWER, above(entry("odd/.wh.folder", b"")), above(entry("odd/folder"), NEW),
    above(SAME, entry("odd/folder/newer", b"newer\n"))])
write("whiteout-with-content", [LOWER, above(SAME, entry("odd/folder/.wh.one", b"some bytes"))])
write("whiteout-that-is-a-folder-name", [LOWER, above(SAME, entry("odd/folder/.wh.below", b""), NEW)])
write("same-name-then-whiteout", [
    LOWER, above(entry("odd/keep", b"new\n"), entry("odd/.wh.keep", b""))],
      readers="umoci", why="containerd 1.6 cannot make a whiteout where a file is")
write("whiteout-then-same-name", [
    LOWER, above(entry("odd/.wh.keep", b""), entry("odd/keep", b"new\n"))])

# One thing in place of another.
write("file-over-folder", [LOWER, above(entry("odd/folder", b"a file\n"))])
write("folder-over-file", [LOWER, above(entry("odd/keep"), entry("odd/keep/below", b"x"))])
write("folder-over-symlink", [LOWER, above(entry("odd/link"), entry("odd/link/mine", b"x"))])
write("symlink-over-folder", [LOWER, above(entry("odd/folder", kind=LINK, target="target"))])
write("symlink-over-file", [LOWER, above(entry("odd/keep", kind=LINK, target="folder/one"))])
write("fifo-over-file", [LOWER, above(entry("odd/keep", kind=tarfile.FIFOTYPE))])
write("metadata-of-a-folder", [LOWER, above(entry("odd/folder", mode=0o1733, owner=(9, 9), time=5))])

# Folders that the tar does not name, come late, or cannot be written to.
write("parents-are-in-the-layer-below", [LOWER, layer(entry("odd/folder/below/new", b"x"))],
      readers="umoci", why="containerd gives them the time of unpacking")
write("parents-are-nowhere", [LOWER, above(entry("odd/a/b/c", b"x", owner=(5, 5)))],
      readers="", why="the specification does not say which mode they have, or which time")
write("folder-after-its-files", [LOWER, above(
    entry("odd/late/file", b"x"), entry("odd/late", mode=0o500, owner=(5, 5), time=77))],
      readers="containerd", why="umoci loses the time of the folder around it")
write("folder-without-permissions", [LOWER, above(
    entry("odd/closed", mode=0o000, time=78), entry("odd/closed/below", mode=0o111, time=79),
    entry("odd/closed/below/file", b"x", mode=0o000))])
write("layer-adds-to-a-folder-without-permissions", [
    LOWER, above(entry("odd/closed", mode=0o000, owner=(5, 5), time=78)),
    above(entry("odd/closed", mode=0o000, owner=(5, 5), time=78), entry("odd/closed/file", b"x"))])

# Hard links.
write("hard-links", [LOWER, above(
    entry("odd/first", b"x", owner=(5, 5), mode=0o600),
    entry("odd/second", kind=HARD, target="odd/first", owner=(5, 5), mode=0o600),
    entry("odd/third", kind=HARD, target="./odd/second", owner=(5, 5), mode=0o600))])
write("hard-link-to-the-layer-below", [LOWER, above(
    entry("odd/linked", kind=HARD, target="odd/keep", owner=(5, 6), mode=0o640))],
      readers="umoci", why="containerd's overlay refuses it")
write("hard-link-whose-target-is-replaced", [LOWER, above(
    entry("odd/first", b"one"), entry("odd/second", kind=HARD, target="odd/first"),
    entry("odd/first", b"two"))])
write("hard-link-to-a-symlink", [LOWER, above(
    entry("odd/soft", kind=LINK, target="keep", mode=0o777), entry("odd/hard", kind=HARD, target="odd/soft", mode=0o777))])

# The same name more than once: the last one counts.
write("twice", [LOWER, above(entry("odd/x", b"one", mode=0o600), entry("odd/x", b"two", mode=0o644))])
write("file-then-folder", [LOWER, above(entry("odd/x", b"one"), entry("odd/x"), entry("odd/x/y", b"two"))])
write("folder-then-file", [LOWER, above(entry("odd/x"), entry("odd/x", b"two"))])
write("folder-twice", [LOWER, above(
    entry("odd/x", mode=0o700), entry("odd/x/y", b"x"), entry("odd/x", mode=0o755, time=80))])

# Ways to write a name.
write("names-with-dots", [LOWER, above(
    entry("./"), entry("./odd/"), entry("./odd/./a", b"a"), entry("odd//b", b"b"), entry("odd/c/"),
    entry("././odd/c/d", b"d"))])
write("gnu-long-names", [LOWER, above(
    entry("odd/" + "d" * 120, form=tarfile.GNU_FORMAT),
    entry("odd/" + "d" * 120 + "/" + "f" * 200, b"x", form=tarfile.GNU_FORMAT),
    entry("odd/soft", kind=LINK, target="t" * 300, form=tarfile.GNU_FORMAT))])
write("ustar-prefix", [LOWER, above(
    entry("odd/" + "d" * 90, form=tarfile.USTAR_FORMAT),
    entry("odd/" + "d" * 90 + "/" + "f" * 90, b"x", form=tarfile.USTAR_FORMAT))])
write("names-that-are-not-utf-8", [LOWER, above(
    entry(b"odd/\xff\xfe".decode("utf-8", "surrogateescape"), b"x", form=tarfile.GNU_FORMAT),
    entry(b"odd/caf\xe9".decode("utf-8", "surrogateescape"), form=tarfile.GNU_FORMAT))])

# Numbers.
write("large-owner", [LOWER, above(entry("odd/x", b"x", owner=(65535, 65534)))])
write("time-with-fraction", [LOWER, above(entry("odd/x", b"x", time=1234567890.75))])
write("time-before-1970", [LOWER, above(entry("odd/x", b"x", time=-1000.0, pax_headers={"mtime": "-1000"}))],
      readers="", why="readers differ, and none may fail")
write("old-header", [LOWER, above(
    entry("odd/x", b"x", kind=tarfile.AREGTYPE), entry("odd/y/", kind=tarfile.AREGTYPE, mode=0o755))],
      readers="containerd", why="umoci makes a file of a folder that only its slash tells")


# Sparse files, in the forms that GNU tar writes.
def sparse(form):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/odd")
        os.chown(f"{folder}/odd", 3, 4)
        os.chmod(f"{folder}/odd", 0o750)
        with open(f"{folder}/odd/sparse", "wb") as file:
            for place in (0, 1 << 20, 3 << 20):
                file.seek(place)
                file.write(b"data at %d" % place)
            file.truncate(5 << 20)
        return subprocess.run(
            ["tar", "--create", "--sparse", *form, "--numeric-owner", f"--mtime=@{TIME}",
             "--directory", folder, "--no-recursion", "odd", "odd/sparse"], check=True, capture_output=True).stdout


for name, form in (("gnu", ["--format=gnu"]), ("pax-0.0", ["--format=posix", "--sparse-version=0.0"]),
                   ("pax-0.1", ["--format=posix", "--sparse-version=0.1"]),
                   ("pax-1.0", ["--format=posix", "--sparse-version=1.0"])):
    open_point = {
        "gnu": {"readers": "", "why": "Go's tar reader does not know the type"},
        # The readers take it. It repeats records of one header, which src/layer/pax.rs never lets pass.
        "pax-0.0": {"readers": "refused", "why": "GNU.sparse"},
    }.get(name, {})
    write(f"sparse-{name}", [LOWER, sparse(form)], **open_point)

# Compressed and described in other ways.
write("no-compression", [LOWER], compress="none")
write("gzip-in-members", [LOWER], compress=lambda tar: b"".join(
    gzip.compress(tar[start:start + 700], 1, mtime=0) for start in range(0, len(tar), 700)))
write("gzip-with-a-name", [LOWER], compress=named_gzip)
write("docker-media-types", [LOWER, above(SAME, OPAQUE)], types=DOCKER, readers="",
      why="neither reads Docker's types from a layout")
write("index-of-platforms", [LOWER], nested=True, readers="containerd", why="umoci 0.4.7 cannot choose")
write("empty-layer", [LOWER, NULLS, above(entry("odd/after", b"x"))])
write("layer-without-end", [LOWER, ODD + entry("odd/x", b"x")])
write("layer-with-much-padding", [LOWER, ODD + entry("odd/x", b"x") + bytes(64 << 10)])
write("one-layer-twice", [LOWER, above(entry("odd/.wh.keep", b"")), LOWER])
