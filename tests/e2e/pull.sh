#!/usr/bin/env bash
# Images of a registry as bases: pinned by the lock file, pulled only when a step needs them.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
copy_templates "$WORK/repo"

# An image that others have pushed: three layers, one of which only implies its folders.
mkdir -p base/bin
cp /bin/busybox base/bin/
for name in sh cat echo mkdir rm ls; do ln -s busybox "base/bin/$name"; done
umoci init --layout made
umoci new --image made:v1
umoci unpack --image made:v1 bundle > /dev/null 2>&1
cp -a base/. bundle/rootfs/
umoci repack --image made:v1 bundle > /dev/null 2>&1
for number in 1 2; do
    rm -rf bundle
    umoci unpack --image made:v1 bundle > /dev/null 2>&1
    mkdir -p "bundle/rootfs/srv/$number"
    head -c 200000 /dev/urandom > "bundle/rootfs/srv/$number/data"
    umoci repack --image made:v1 bundle > /dev/null 2>&1
done
umoci config --image made:v1 --config.cmd /bin/sh --config.env PATH=/bin --os linux --architecture amd64
skopeo copy --quiet --dest-tls-verify=false oci:made:v1 "docker://$REGISTRY/team/base:v1"
first=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/team/base:v1")

mkdir template
cat > template/t.pkr.hcl <<HCL
source "oci" "base" {
  image = "$REGISTRY/team/base:v1"
}
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["ls /srv/1/data /srv/2/data", "echo one > /one"]
  }
}
HCL

build store a.json template
contains "the first build pulls" a.json.err "pulling 3 layers"
contains "the first build writes the lock file" template/hardtack.lock.hcl "$first"
contains "the lock file names the tag" template/hardtack.lock.hcl "image \"$REGISTRY/team/base:v1\""
digest=$(digest_of a.json app.oci.base)
equal "the layers of the base stay what they are" \
    "$(skopeo inspect --tls-verify=false "docker://$REGISTRY/team/base:v1" | jq -c .Layers)" \
    "$(skopeo inspect "oci:store:app.oci.base" | jq -c '.Layers[0:3]')"

forget_requests
build store b.json template
equal "the second build gives the same image" "$digest" "$(digest_of b.json app.oci.base)"
equal "and asks the registry nothing" 0 "$(count_requests .)"

# The tag moves; who is locked stays.
umoci unpack --image made:v1 moved > /dev/null 2>&1
echo moved > moved/rootfs/srv/moved
umoci repack --image made:v1 moved > /dev/null 2>&1
skopeo copy --quiet --dest-tls-verify=false oci:made:v1 "docker://$REGISTRY/team/base:v1"
second=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/team/base:v1")
build other c.json template
equal "another store builds on the locked image" "$digest" "$(digest_of c.json app.oci.base)"
build store d.json template --locked
"$HARDTACK" init --store store template > init.out
contains "init alone moves nothing" init.out "Nothing has changed"
"$HARDTACK" init --store store -upgrade template > init.out
contains "init -upgrade shows what moved" init.out "$first -> $second"
build store e.json template
[ "$(digest_of e.json app.oci.base)" != "$digest" ] || fail "the moved base gives the same image"
echo "ok: the moved base gives another image"

# What is not locked is refused if only that may be used.
cp template/hardtack.lock.hcl lock
rm template/hardtack.lock.hcl
if "$HARDTACK" build --store store --locked template > out 2> err; then
    fail "--locked builds without a lock file"
fi
contains "--locked names the reference" err "$REGISTRY/team/base:v1 is not in the lock file"
[ ! -e template/hardtack.lock.hcl ] || fail "--locked writes the lock file"
cp lock template/hardtack.lock.hcl

# Nothing is pulled that no step and no output needs: plan and a build without steps.
sed -i '/provisioner/,/^  }/d' template/t.pkr.hcl
forget_requests
build lazy f.json template
equal "a build without steps pulls no layer" 0 \
    "$(count_requests "GET .*/blobs/$(skopeo inspect "oci:made:v1" | jq -r '.Layers[0]')")"

# pull, by tag and by digest.
"$HARDTACK" pull --store pulled "$REGISTRY/team/base:v1" > pull.out
equal "pull prints the pinned reference" "$REGISTRY/team/base:v1@$second" "$(cat pull.out)"
"$HARDTACK" pull --store pulled --unpack "$REGISTRY/team/base@$first" > pull.out
equal "pull by digest" "$REGISTRY/team/base@$first" "$(cat pull.out)"
skopeo copy --quiet "oci:pulled:$REGISTRY/team/base:v1" dir:copied
equal "run of a pulled image" "$(sha256sum < moved/rootfs/srv/1/data)" \
    "$("$HARDTACK" run --store pulled "$REGISTRY/team/base:v1" -- cat /srv/1/data | sha256sum)"

# Layers that need what is below them: folders that a layer only implies, the root among them, and a
# hard link to a file of another layer. They are unpacked side by side, as every kind of user.
python3 - "$REPO/fixtures/busybox" needy <<'PYTHON'
import gzip, hashlib, io, json, os, pathlib, sys, tarfile

source, target = map(pathlib.Path, sys.argv[1:])
blobs = target / "blobs" / "sha256"
blobs.mkdir(parents=True)

def put(data):
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}

def entry(name, kind, mode=0o644, link="", data=b""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    return info, io.BytesIO(data)

def layer(*entries):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, data)
    return tar.getvalue()

root = layer(entry("./", tarfile.DIRTYPE, 0o711), entry("srv", tarfile.DIRTYPE, 0o750),
             entry("srv/first", tarfile.REGTYPE, 0o604, data=b"first"))
implied = layer(entry("srv/deep/second", tarfile.REGTYPE, data=b"second"))
linked = layer(entry("third", tarfile.LNKTYPE, link="srv/first"))
plain = layer(entry("fourth", tarfile.REGTYPE, data=b"fourth"))

index = json.loads((source / "index.json").read_text())
read = lambda descriptor: (source / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
manifest = json.loads(read(index["manifests"][0]))
config = json.loads(read(manifest["config"]))
for descriptor in manifest["layers"]:
    put(read(descriptor))
for tar in (root, implied, linked, plain):
    config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(tar).hexdigest())
    manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                               **put(gzip.compress(tar, mtime=0))})
config.pop("history", None)
manifest["config"].update(put(json.dumps(config).encode()))
index["manifests"] = [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
                       **put(json.dumps(manifest).encode()),
                       "annotations": {"org.opencontainers.image.ref.name": "v1"}}]
(target / "index.json").write_text(json.dumps(index))
(target / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
skopeo copy --quiet --dest-tls-verify=false oci:needy:v1 "docker://$REGISTRY/team/needy:v1"
for user in root hardtack-sub hardtack-single; do
    mkdir "needy-$user"
    chown "$user" "needy-$user"
    as_user "$user" "$HARDTACK" pull --unpack --store "$WORK/needy-$user/store" "$REGISTRY/team/needy:v1" > /dev/null
    as_user "$user" "$HARDTACK" run --store "$WORK/needy-$user/store" "$REGISTRY/team/needy:v1" -- \
        sh -c 'stat -c "%a %n" / /srv /srv/deep /srv/deep/second /third /fourth; cat /third' > "needy-$user.out"
    equal "$user: layers that need those below" \
        "711 /|750 /srv|755 /srv/deep|644 /srv/deep/second|604 /third|644 /fourth|first" \
        "$(paste -sd'|' < "needy-$user.out")"
    left_behind "needy-$user/store"
done

# One clear line for what is not there.
for reference in "$REGISTRY/team/base:none" "$REGISTRY/team/none:v1" "$REGISTRY/team/base@sha256:$(printf 0%.0s {1..64})"; do
    if "$HARDTACK" pull --store pulled "$reference" > out 2> err; then fail "$reference was pulled"; fi
    contains "a missing image is named" err "${reference%%[:@]*}"
done
if "$HARDTACK" pull --store pulled "Not A Reference" > out 2> err; then fail "no reference was pulled"; fi
contains "what is no reference is said" err "is no reference"

# A platform that this host cannot run.
sed -i 's/image = .*/&\n  platform = "linux\/s390x"/' template/t.pkr.hcl
if "$HARDTACK" build --store store template > out 2> err; then fail "an image for another platform was used"; fi
contains "another platform is told" err "s390x"
# A name that the store has is as much an input as a tag.
mkdir named
cat > named/t.pkr.hcl <<'HCL'
source "oci" "base" {
  image = "team/base"
}
build {
  name    = "named"
  sources = ["source.oci.base"]
}
HCL
"$HARDTACK" copy --store store "docker://$REGISTRY/team/base:v1" store:team/base > /dev/null 2>&1
if "$HARDTACK" build --store store --locked named > out 2> err; then fail "--locked takes an image of the store that is not locked"; fi
contains "--locked names the image of the store" err "store:team/base"
"$HARDTACK" init --store store named > /dev/null
build store h.json --locked named

# Twelve layers, of which the lowest is gone from the registry, with more threads than layers are
# fetched at once: one error, soon.
cp -a made many
for number in $(seq 9); do
    rm -rf bundle
    umoci unpack --image many:v1 bundle > /dev/null 2>&1
    head -c 1000 /dev/urandom > "bundle/rootfs/more-$number"
    umoci repack --image many:v1 bundle > /dev/null 2>&1
done
skopeo copy --quiet --dest-tls-verify=false oci:many:v1 "docker://$REGISTRY/team/many:v1"
lowest=$(skopeo inspect oci:many:v1 | jq -r '.Layers[0]' | cut -d: -f2)
find "$WORK"/registry-*/docker/registry/v2/repositories/team/many/_layers/sha256/"$lowest" -delete
cat > many.pkr.hcl <<HCL
source "oci" "base" {
  image = "$REGISTRY/team/many:v1"
}
build {
  name    = "many"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["true"]
  }
}
HCL
code=0
timeout 60 "$HARDTACK" build --store many-store --threads 16 many.pkr.hcl > out 2> err || code=$?
equal "a layer that is gone is an error" 1 $code
contains "which names it" err "$lowest"
left_behind many-store

# What is pushed is looked for in the registry, whatever its mirror has; what is read comes from the
# mirror.
original=$REGISTRY original_log=$REGISTRY_LOG
start_registry
mirror=$REGISTRY mirror_log=$REGISTRY_LOG REGISTRY=$original REGISTRY_LOG=$original_log
cat > mirrored.pkr.hcl <<HCL
source "oci" "base" {
  image = "$REGISTRY/team/base@$second"
}
build {
  name    = "mirrored"
  sources = ["source.oci.base"]
  post-processor "oci-push" {
    repository = "$REGISTRY/team/pushed"
  }
}
HCL
skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/team/base@$second" "docker://$mirror/team/base:v1"
skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/team/base@$second" "docker://$mirror/team/pushed:latest"
build mirrored-store m.json --registry-mirror "$REGISTRY=http://$mirror" mirrored.pkr.hcl
equal "the registry has what was pushed" "$(digest_of m.json mirrored.oci.base)" \
    "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/team/pushed")"
REGISTRY_LOG=$mirror_log REQUESTS_FROM=0
[ "$(count_requests 'GET /v2/team/base/manifests')" -gt 0 ] || fail "the mirror was not asked"
echo "ok: the mirror was asked"
REGISTRY_LOG=$original_log

# A pull that is interrupted leaves nothing.
"$HARDTACK" pull --store interrupted "$REGISTRY/team/many:v1" > out 2>&1 &
pid=$!
sleep 0.05
kill -INT $pid 2> /dev/null || true
wait $pid || true
left_behind interrupted

cat > foreign.pkr.hcl <<'HCL'
source "oci" "scratch" {
  scratch  = true
  platform = "linux/s390x"
}
build {
  name    = "foreign"
  sources = ["source.oci.scratch"]
  provisioner "file" {
    content     = "hello"
    destination = "/hello"
  }
}
HCL
build store g.json foreign.pkr.hcl
equal "a file needs no emulator" s390x "$(skopeo inspect --raw --config oci:store:foreign.oci.scratch | jq -r .architecture)"
sed -i '$d' foreign.pkr.hcl
printf '  provisioner "shell" {\n    inline = ["true"]\n  }\n}\n' >> foreign.pkr.hcl
if "$HARDTACK" build --store store foreign.pkr.hcl > out 2> err; then fail "a program of another processor was run"; fi
contains "a program needs one" err "cannot run programs for linux/s390x"

left_behind store
left_behind pulled
