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

# requests: what the registry was asked since the last call, as METHOD PATH.
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

left_behind store
left_behind pulled
