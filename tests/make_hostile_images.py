#!/usr/bin/env python3
"""Writes image layouts that no build may take, or that must do no harm.

    make_hostile_images.py BUSYBOX_LAYOUT OUTSIDE OUTPUT

Each layout is a folder OUTPUT/NAME with an image that has the layer of BUSYBOX_LAYOUT below it.
OUTSIDE is a folder of the host with a file `keep`; the layouts try to add a file `pwned` to it, or
to remove `keep`. stdout has a line for each: NAME, a tab, and `refused` if the build must fail or
`harmless` if it may also succeed.
"""
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tarfile

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

busybox, outside, output = (pathlib.Path(path) for path in sys.argv[1:])


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def member(name, kind=tarfile.REGTYPE, content=b"", target="", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*members, end=True):
    """A tar of raw members; nothing is checked or made nicer."""
    data = b""
    for info, content in members:
        data += info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        data += content + bytes(-len(content) % 512)
    return data + (bytes(1024) if end else b"")


def changed_header(data, offset, field, valid=True):
    """Writes `field` into the first header of a tar; the checksum is then made right."""
    header = bytearray(data[:512])
    header[offset:offset + len(field)] = field
    if valid:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


class Layout:
    """A layout that begins as a good one; each part can be made a bad one."""

    def __init__(self, name):
        self.path = output / name
        shutil.copytree(busybox, self.path)
        self.blobs = self.path / "blobs" / "sha256"
        index = json.loads((self.path / "index.json").read_text())
        self.manifest = json.loads(self.read(index["manifests"][0]))
        self.config = json.loads(self.read(self.manifest["config"]))

    def read(self, descriptor):
        return (self.blobs / descriptor["digest"].split(":")[1]).read_bytes()

    def put(self, media_type, data):
        digest = sha256(data)
        (self.blobs / digest.split(":")[1]).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_layer(self, data, compressed=None, diff_id=None):
        compressed = gzip.compress(data, 1, mtime=0) if compressed is None else compressed
        descriptor = self.put(LAYER, compressed)
        self.manifest["layers"].append(descriptor)
        self.config["rootfs"]["diff_ids"].append(diff_id or sha256(data))
        return descriptor

    def blob(self, descriptor):
        return self.blobs / descriptor["digest"].split(":")[1]

    def finish(self, config=None, manifest=None, index=None):
        if config is None:
            config = json.dumps(self.config).encode()
        self.manifest["config"] = {**self.put(CONFIG, config), **self.manifest.get("lies", {})}
        self.manifest.pop("lies", None)
        if manifest is None:
            manifest = json.dumps(self.manifest).encode()
        descriptor = self.put(MANIFEST, manifest)
        self.write_index(descriptor if index is None else index)

    def write_index(self, descriptor):
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
        (self.path / "index.json").write_text(json.dumps(value))


def case(name, outcome="refused"):
    """Registers a function that spoils a layout; it writes the layout itself if it returns True."""
    def register(spoil):
        layout = Layout(name)
        if not spoil(layout):
            layout.finish()
        print(f"{name}\t{outcome}")
    return register


def layer_case(name, data, outcome="refused", **options):
    case(name, outcome)(lambda layout: layout.add_layer(data, **options) and None)


LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
UP = "../" * 40 + str(outside).lstrip("/")
GOOD = tar(member("good", content=b"good"))

# Names.
layer_case("dot-dot", tar(member(f"{UP}/pwned", content=b"x")))
layer_case("dot-dot-within", tar(member("a", FOLDER), member(f"a/{UP}/pwned", content=b"x")))
layer_case("dot-dot-stays-inside", tar(member("a", FOLDER), member("a/../b", content=b"x")))
layer_case("dot-dot-folder", tar(member("..", FOLDER)))
layer_case("absolute", tar(member(f"{outside}/pwned", content=b"x")))
layer_case("nul-in-name", tar(member("x", content=b"x", pax_headers={"path": "a\0b"})))
layer_case("name-too-long", tar(member("n" * 256, content=b"x")))
layer_case("too-deep", tar(member("d/" * 6000 + "x", content=b"x")), "harmless")
layer_case("empty-name", tar(member("x", content=b"x", pax_headers={"path": ""})), "harmless")

# Links.
layer_case("symlink-then-file", tar(
    member("link", LINK, target=str(outside)), member("link/pwned", content=b"x")))
layer_case("symlink-up-then-file", tar(
    member("link", LINK, target=UP), member("link/pwned", content=b"x")))
layer_case("symlink-chain", tar(
    member("a", FOLDER), member("a/b", LINK, target="../" * 40), member("c", LINK, target="a/b"),
    member(f"c/{str(outside).lstrip('/')}/pwned", content=b"x")))
layer_case("symlink-then-folder", tar(
    member("link", LINK, target=str(outside)), member("link", FOLDER),
    member("link/pwned", content=b"x")), "harmless")
layer_case("symlink-is-overwritten", tar(
    member("link", LINK, target=f"{outside}/pwned"), member("link", content=b"x")), "harmless")
layer_case("symlink-then-hard-link", tar(
    member("link", LINK, target=str(outside)), member("stolen", HARD, target="link/keep")))
layer_case("symlink-then-whiteout", tar(
    member("link", LINK, target=str(outside)), member("link/.wh.keep")))
layer_case("symlink-then-opaque", tar(
    member("link", LINK, target=str(outside)), member("link/.wh..wh..opq")))
layer_case("hard-link-absolute", tar(member("stolen", HARD, target=f"{outside}/keep")))
layer_case("hard-link-up", tar(member("stolen", HARD, target=f"{UP}/keep")))
layer_case("hard-link-to-nothing", tar(member("stolen", HARD, target="no/such/file")))
layer_case("hard-link-to-folder", tar(member("a", FOLDER), member("b", HARD, target="a")))
layer_case("hard-link-to-itself", tar(member("a", HARD, target="a")))

# Whiteouts.
layer_case("whiteout-of-dot-dot", tar(member(".wh..."), member("a", FOLDER), member("a/.wh...")))
layer_case("whiteout-of-dot", tar(member(".wh..")))
layer_case("whiteout-without-name", tar(member(".wh.")))
layer_case("device-like-a-whiteout", tar(member("etc/passwd", tarfile.CHRTYPE, devmajor=0, devminor=0)))
layer_case("overlay-attributes", tar(
    member("etc", FOLDER, pax_headers={
        "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.redirect": "/root",
        "SCHILY.xattr.user.overlay.redirect": "/root"})), "harmless")
layer_case("device-in-an-odd-place", tar(
    member("tmp/disk", tarfile.BLKTYPE, devmajor=254, devminor=0, mode=0o666)), "harmless")
layer_case("file-below-a-file", tar(member("a", content=b"x"), member("a/b", content=b"x")), "harmless")
layer_case("unknown-type", tar(member("x", b"Z", content=b"x")), "harmless")

# Tar and gzip that are damaged.
layer_case("tar-cut-in-content", tar(member("x", content=b"x" * 5000))[:2048])
layer_case("tar-cut-in-header", GOOD[:300])
layer_case("tar-checksum", changed_header(GOOD, 148, b"0000000\0", valid=False))
layer_case("tar-size-not-a-number", changed_header(GOOD, 124, b"zzzzzzzzzzz\0"))
layer_case("tar-size-negative", changed_header(GOOD, 124, b"\xff" * 12))
layer_case("tar-size-of-exabytes", changed_header(GOOD, 124, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7))
layer_case("tar-owner-out-of-range", changed_header(GOOD, 108, b"\x80" + b"\xff" * 7))
layer_case("pax-size-lies", tar(member("x", content=b"x" * 10, pax_headers={"size": "99999999999"})))
layer_case("pax-size-not-a-number", tar(member("x", content=b"x", pax_headers={"size": "many"})))
layer_case("pax-record-lies", tar(member("x", content=b"x", pax_headers={"comment": "y" * 50}))
           .replace(b"62 comment", b"99 comment"))
layer_case("not-a-tar", b"this is no tar " * 100)
layer_case("gzip-cut", GOOD, compressed=gzip.compress(GOOD)[:-12])
layer_case("gzip-checksum", GOOD, compressed=gzip.compress(GOOD)[:-8] + b"\0" * 8)
layer_case("not-gzip", GOOD, compressed=b"this is no gzip")
layer_case("empty-blob", b"", compressed=b"")
layer_case("diff-id-lies", GOOD, diff_id=sha256(b"other"))


# Descriptors and documents.
@case("blob-with-other-content")
def _(layout):
    descriptor = layout.add_layer(GOOD)
    data = bytearray(layout.read(descriptor))
    data[len(data) // 2] ^= 1
    layout.blob(descriptor).write_bytes(data)


@case("size-too-small")
def _(layout):
    layout.add_layer(GOOD)["size"] -= 1


@case("size-too-large")
def _(layout):
    layout.add_layer(GOOD)["size"] += 1000


@case("size-negative")
def _(layout):
    layout.add_layer(GOOD)["size"] = -1


@case("blob-missing")
def _(layout):
    layout.blob(layout.add_layer(GOOD)).unlink()


@case("blob-is-a-folder")
def _(layout):
    blob = layout.blob(layout.add_layer(GOOD))
    blob.unlink()
    blob.mkdir()


@case("blob-is-a-fifo")
def _(layout):
    blob = layout.blob(layout.add_layer(GOOD))
    blob.unlink()
    os.mkfifo(blob)


@case("digest-is-a-path")
def _(layout):
    layout.add_layer(GOOD)["digest"] = f"sha256:{UP}/keep"


@case("digest-of-unknown-kind")
def _(layout):
    layout.add_layer(GOOD)["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e"


@case("layer-of-unknown-kind")
def _(layout):
    layout.add_layer(GOOD)["mediaType"] = "application/vnd.example.layer"


@case("more-layers-than-diff-ids")
def _(layout):
    layout.add_layer(GOOD)
    layout.config["rootfs"]["diff_ids"].pop()


@case("config-is-no-json")
def _(layout):
    layout.finish(config=b"{not json")
    return True


@case("config-is-nested-without-end")
def _(layout):
    layout.finish(config=b"[" * 200_000)
    return True


@case("config-of-other-architecture")
def _(layout):
    layout.config["architecture"] = "s390x"


@case("manifest-is-no-json")
def _(layout):
    layout.finish(manifest=b"\0\0\0")
    return True


@case("manifest-without-layers-field")
def _(layout):
    del layout.manifest["layers"]


@case("index-is-no-json")
def _(layout):
    layout.finish()
    (layout.path / "index.json").write_text("{")
    return True


@case("index-is-missing")
def _(layout):
    (layout.path / "index.json").unlink()
    return True


@case("index-is-empty")
def _(layout):
    (layout.path / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    return True


@case("index-is-a-fifo")
def _(layout):
    (layout.path / "index.json").unlink()
    os.mkfifo(layout.path / "index.json")
    return True


@case("index-within-index-without-end")
def _(layout):
    layout.finish()
    index = json.loads((layout.path / "index.json").read_text())
    for _ in range(200):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            layout.put(INDEX, json.dumps(index).encode())]}
    (layout.path / "index.json").write_text(json.dumps(index))
    return True


@case("layout-of-unknown-version")
def _(layout):
    layout.finish()
    (layout.path / "oci-layout").write_text('{"imageLayoutVersion": "9.0.0"}')
    return True


@case("environment-without-equals-sign", "harmless")
def _(layout):
    layout.config["config"]["Env"] = ["PATH=/bin", "NOTHING", "=x", ""]


@case("user-that-does-not-exist", "harmless")
def _(layout):
    layout.config["config"]["User"] = "nobody-knows-me"


@case("working-folder-goes-up", "harmless")
def _(layout):
    layout.config["config"]["WorkingDir"] = "/../../../.." + str(outside)


@case("working-folder-is-a-link", "harmless")
def _(layout):
    layout.add_layer(tar(member("link", LINK, target=UP)))
    layout.config["config"]["WorkingDir"] = "/link/pwned"


# What the sandbox itself writes to or mounts on, replaced by links.
layer_case("links-instead-of-mount-points", tar(
    member("proc", LINK, target=str(outside)), member("sys", LINK, target=str(outside)),
    member("dev", LINK, target=str(outside)), member("tmp", LINK, target=str(outside)),
    member("etc", LINK, target=str(outside))), "harmless")
layer_case("links-instead-of-files", tar(
    member("etc/resolv.conf", LINK, target=f"{outside}/pwned"),
    member("etc/hosts", LINK, target=f"{outside}/pwned"),
    member("etc/passwd", LINK, target=f"{outside}/pwned")), "harmless")
layer_case("fifo-instead-of-a-file", tar(
    member("etc/resolv.conf", tarfile.FIFOTYPE), member("etc/passwd", tarfile.FIFOTYPE)), "harmless")
