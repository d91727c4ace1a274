#!/usr/bin/env bash
# A real Debian with packages, built as root and with subordinate ids: the same digest, and it runs.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
name=debian-nginx.debootstrap.debian
build store root.json repo/templates/debian-nginx
digest=$(digest_of root.json $name)

"$HARDTACK" run --store store $name -- -v > version 2>&1 || { cat version; fail "nginx -v"; }
contains "nginx runs" version "nginx version"
begin=$(date +%s%N)
build store again.json repo/templates/debian-nginx
echo "the second build took $((($(date +%s%N) - begin) / 1000000)) ms"
equal "the second build" "$digest" "$(digest_of again.json $name)"
equal "all from the store" true "$(jq '[.builds[].layers[] | select(.step != null) | .cached] | all' again.json)"

mkdir of-sub
chown hardtack-sub of-sub
as_user hardtack-sub "$HARDTACK" build --store of-sub/store --metadata-file of-sub/sub.json \
    repo/templates/debian-nginx > said 2>&1 || { cat said; fail "hardtack-sub: build"; }
jq --raw-output '.builds[].layers[] | .diff_id' root.json > root.layers
jq --raw-output '.builds[].layers[] | .diff_id' of-sub/sub.json > sub.layers
diff root.layers sub.layers || fail "hardtack-sub: other layers"
equal "hardtack-sub" "$digest" "$(digest_of of-sub/sub.json $name)"
as_user hardtack-sub "$HARDTACK" run --store of-sub/store $name -- -v > version 2>&1 \
    || { cat version; fail "hardtack-sub: nginx -v"; }
contains "hardtack-sub: nginx runs" version "nginx version"

# What dpkg says of its own files, in the image as another tool unpacks it.
mkdir export
cat > export/export.pkr.hcl <<'HCL'
source "oci" "debian" {
  image = "debian-nginx.debootstrap.debian"
}
build {
  name    = "export"
  sources = ["source.oci.debian"]
  post-processor "oci-layout" {
    path      = "out"
    reference = "x"
  }
  post-processor "docker-archive" {
    path = "out.tar"
    tags = ["debian-nginx:latest"]
  }
}
HCL
build store export.json export
umoci unpack --image out:x bundle
chroot bundle/rootfs dpkg --verify > verified || true
# The template's own file is the only one that is not as packaged.
equal "dpkg --verify" "??5?????? c /etc/nginx/nginx.conf" "$(cat verified)"
chroot bundle/rootfs dpkg --audit > audited
[ ! -s audited ] || { cat audited; fail "dpkg --audit finds something"; }
echo "ok: dpkg --audit"
equal "owner and mode of a file of www-data's group" "$(chroot bundle/rootfs stat -c '%a %U:%G' /etc/shadow)" "640 root:shadow"

start_docker
$DOCKER load --quiet --input out.tar > /dev/null
$DOCKER run --rm --network none debian-nginx:latest -v > version 2>&1
contains "docker runs it" version "nginx version"
left_behind store
