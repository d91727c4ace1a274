#!/usr/bin/env bash
# What other tools push is pulled, unpacked and run: docker, podman's buildah and skopeo, in Docker's
# and in OCI's types, with gzip and zstd layers, alone and in an index.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
start_docker
copy_templates "$WORK/repo"

# The same files in each: an image of ours, with a layer on top that deletes one of them.
cat > t.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "repo/fixtures/busybox"
}
build {
  name    = "given"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir -p /srv", "mkdir -m 750 /srv/data", "head -c 300000 /dev/urandom > /srv/data/file", "echo gone > /srv/gone"]
  }
  provisioner "shell" {
    inline = ["rm /srv/gone", "ln -s data/file /srv/link"]
  }
  post-processor "docker-archive" {
    path = "given.tar"
  }
  post-processor "oci-layout" {
    path      = "given"
    reference = "v1"
  }
}
HCL
build store a.json t.pkr.hcl
tell='stat -c "%a %F %n" /srv /srv/*; sha256sum < /srv/link'
expected=$("$HARDTACK" run --store store given.oci.base -- sh -c "$tell")

# pulled NAME REFERENCE: pulls it into an empty store as root and as an ordinary user, and looks.
pulled() {
    local name=$1 reference=$2 digest user
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$reference")
    for user in root hardtack-sub; do
        mkdir "$name-$user"
        chown "$user" "$name-$user"
        equal "$name: $user pulls it by its digest" "$reference@$digest" \
            "$(as_user "$user" "$HARDTACK" pull --unpack --store "$WORK/$name-$user/s" "$reference" 2> err)"
        equal "$name: it is what was pushed" "$expected" \
            "$(as_user "$user" "$HARDTACK" run --store "$WORK/$name-$user/s" "$reference" -- sh -c "$tell")"
        left_behind "$name-$user/s"
    done
}

$DOCKER load --quiet --input given.tar > /dev/null
loaded=$($DOCKER images --quiet | head -n 1)
$DOCKER tag "$loaded" "$REGISTRY/by/docker:v1"
$DOCKER push --quiet "$REGISTRY/by/docker:v1" > /dev/null
pulled docker "$REGISTRY/by/docker:v1"

buildah="buildah --root $WORK/buildah --runroot $WORK/buildah-run"
given=$($buildah pull --quiet docker-archive:given.tar)
$buildah push --quiet --tls-verify=false --format oci "$given" "docker://$REGISTRY/by/buildah:oci"
pulled buildah-oci "$REGISTRY/by/buildah:oci"
$buildah push --quiet --tls-verify=false --format v2s2 "$given" "docker://$REGISTRY/by/buildah:v2s2"
pulled buildah-v2s2 "$REGISTRY/by/buildah:v2s2"

skopeo copy --quiet --dest-tls-verify=false --dest-compress-format zstd oci:given:v1 "docker://$REGISTRY/by/skopeo:zstd"
contains "the layers are zstd" <(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/by/skopeo:zstd") "tar+zstd"
pulled skopeo-zstd "$REGISTRY/by/skopeo:zstd"

# An index with another platform before ours.
jq '.manifests |= [(.[0] * {platform: {os: "linux", architecture: "s390x"}}), (.[0] * {platform: {os: "linux", architecture: "amd64"}})]
    | {schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [.manifests[] | del(.annotations)]}' \
    given/index.json > index
digest=$(sha256sum < index | cut -d' ' -f1)
cp index "given/blobs/sha256/$digest"
jq --arg digest "sha256:$digest" --argjson size "$(stat -c %s index)" \
    '.manifests = [{mediaType: "application/vnd.oci.image.index.v1+json", digest: $digest, size: $size,
        annotations: {"org.opencontainers.image.ref.name": "index"}}]' given/index.json > changed
cp changed given/index.json
skopeo copy --quiet --all --dest-tls-verify=false oci:given:index "docker://$REGISTRY/by/skopeo:index"
# skopeo may write the index anew.
digest=sha256:$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/by/skopeo:index" | sha256sum | cut -d' ' -f1)
contains "it is an index" <(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/by/skopeo:index") '"s390x"'
equal "an index is pulled by its digest" "$REGISTRY/by/skopeo:index@$digest" \
    "$("$HARDTACK" pull --store index-store "$REGISTRY/by/skopeo:index" 2> err)"
equal "and our platform's image is in it" "$expected" \
    "$("$HARDTACK" run --store index-store "$REGISTRY/by/skopeo:index" -- sh -c "$tell")"
