#!/usr/bin/env bash
# Tools that we did not write read and run one build in each form that it is written in.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir template
cat > template/peers.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "peers"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir -p /srv/data", "echo first > /srv/data/file", "echo gone > /srv/gone"]
  }
  provisioner "shell" {
    inline = ["rm /srv/gone", "echo second >> /srv/data/file"]
  }
  config {
    env         = { GREETING = "hello" }
    entrypoint  = ["/bin/sh", "-c"]
    cmd         = ["echo $GREETING; cat /srv/data/file; pwd; test ! -e /srv/gone && echo removed"]
    workdir     = "/srv/data"
    user        = "0:0"
    labels      = { "com.example.one" = "1" }
    ports       = ["80", "53/udp"]
    volumes     = ["/srv/volume"]
    stop_signal = "SIGINT"
    annotations = { "com.example.two" = "2" }
    healthcheck {
      test     = ["CMD", "true"]
      interval = "5s"
      retries  = 2
    }
  }
  post-processor "oci-layout" {
    path      = "out/layout"
    reference = "peers"
  }
  post-processor "oci-archive" {
    path      = "out/oci.tar"
    reference = "peers"
  }
  post-processor "docker-archive" {
    path = "out/docker.tar"
    tags = ["peers:docker"]
  }
}
HCL
build store metadata.json template
digest=$(digest_of metadata.json peers.oci.base)
config=$(jq --raw-output '.builds[].config' metadata.json)
printf 'hello\nfirst\nsecond\n/srv/data\nremoved\n' > expected

# skopeo.
equal "skopeo: digest in the layout" "$digest" "$(skopeo inspect --format '{{.Digest}}' oci:out/layout:peers)"
equal "skopeo: digest in the archive" "$digest" "$(skopeo inspect --format '{{.Digest}}' oci-archive:out/oci.tar:peers)"
equal "skopeo: layers" 3 "$(skopeo inspect oci:out/layout:peers | jq '.Layers | length')"
skopeo inspect --config oci:out/layout:peers > config.json
equal "skopeo: the configuration" \
    '{"cmd":1,"entrypoint":["/bin/sh","-c"],"label":"1","ports":["53/udp","80/tcp"],"stop":"SIGINT","user":"0:0","volumes":["/srv/volume"],"workdir":"/srv/data"}' \
    "$(jq --compact-output --sort-keys '.config | {cmd: (.Cmd | length), entrypoint: .Entrypoint, label: .Labels["com.example.one"], ports: (.ExposedPorts | keys), stop: .StopSignal, user: .User, volumes: (.Volumes | keys), workdir: .WorkingDir}' config.json)"
equal "skopeo: as many layers in the history as in the root file system" \
    "$(jq '.rootfs.diff_ids | length' config.json)" \
    "$(jq '[.history[] | select(.empty_layer | not)] | length' config.json)"
equal "skopeo: an annotation" 2 \
    "$(skopeo inspect --raw oci:out/layout:peers | jq --raw-output '.annotations["com.example.two"]')"
skopeo copy --quiet --preserve-digests oci:out/layout:peers dir:copied
equal "skopeo: a copy has the digest" "${digest#sha256:}" "$(sha256sum < copied/manifest.json | cut -d' ' -f1)"
skopeo copy --quiet docker-archive:out/docker.tar:peers:docker oci:from-docker:x
name=$(tar --extract --to-stdout --file out/docker.tar manifest.json | jq --raw-output '.[0].Config')
equal "the docker archive has the same configuration" "$config" \
    "sha256:$(tar --extract --to-stdout --file out/docker.tar "$name" | sha256sum | cut -d' ' -f1)"
(cd out/layout/blobs/sha256 && for blob in *; do
    [ "$(sha256sum < "$blob")" = "$blob  -" ] || fail "the blob $blob has another digest"
done)

# umoci and the reference validator.
umoci unpack --image out/layout:peers bundle
equal "umoci: content" "first second" "$(tr '\n' ' ' < bundle/rootfs/srv/data/file | sed 's/ $//')"
[ ! -e bundle/rootfs/srv/gone ] || fail "umoci: a removed file is there"
oci-image-tool validate --type image --ref name=peers out/layout
oci-image-tool validate --type manifest "out/layout/blobs/sha256/${digest#sha256:}"
oci-image-tool validate --type config "out/layout/blobs/sha256/${config#sha256:}"

# podman.
$PODMAN load --quiet --input out/oci.tar > podman-loaded
podman_run "$(sed 's/^Loaded image: //; q' podman-loaded)" > podman-out
cmp expected podman-out || fail "podman prints something else"
$PODMAN load --quiet --input out/docker.tar > podman-loaded
podman_run "$(sed 's/^Loaded image: //; q' podman-loaded)" > podman-docker-out
cmp expected podman-docker-out || fail "podman prints something else for the docker archive"
echo "ok: podman"

# docker and containerd.
start_docker
equal "docker: load" "Loaded image: peers:docker" "$($DOCKER load --quiet --input out/docker.tar)"
equal "docker: the image's id is the configuration's digest" "$config" \
    "$($DOCKER image inspect --format '{{.Id}}' peers:docker)"
$DOCKER run --rm --network none peers:docker > docker-out
cmp expected docker-out || fail "docker prints something else"
echo "ok: docker"
$CTR images import --base-name peers out/oci.tar > /dev/null
reference=$($CTR images ls --quiet | head -n 1)
equal "ctr: digest" "$digest" "$($CTR images ls | awk -v name="$reference" '$1 == name { print $3 }')"
$CTR run --rm --runc-binary /usr/sbin/runc "$reference" peers-test > ctr-out
cmp expected ctr-out || fail "containerd prints something else"
echo "ok: containerd"

# And hardtack reads what it and others wrote.
mkdir again
for form in 'layout = "${path.root}/../out/layout"' 'archive = "${path.root}/../out/oci.tar"' \
    'archive = "${path.root}/../out/docker.tar"' 'layout = "${path.root}/../from-docker"'; do
    printf 'source "oci" "base" {\n  %s\n}\nbuild {\n  sources = ["source.oci.base"]\n  provisioner "shell" {\n    inline = ["test $(cat /srv/data/file | wc -l) = 2"]\n  }\n}\n' \
        "$form" > again/again.pkr.hcl
    build store-again again.json again
    echo "ok: reads $form"
done
