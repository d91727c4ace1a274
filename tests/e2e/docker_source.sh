#!/usr/bin/env bash
# Templates for Packer's docker builder: what Packer and dockerd make of them, hardtack makes too, with
# a layer for each provisioner and without what Packer leaves behind.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
start_docker
export DOCKER_HOST=unix://$WORK/docker.sock HARDTACK_STORE=$WORK/store
export CHECKPOINT_DISABLE=1 PACKER_PLUGIN_PATH=$WORK/plugins
copy_templates "$WORK/repo"

# A base with a user, an entrypoint, arguments and variables.
mkdir base
cat > base/base.pkr.hcl <<HCL
source "oci" "busybox" {
  layout = "$WORK/repo/fixtures/busybox"
}
build {
  sources = ["oci.busybox"]
  provisioner "shell" {
    inline = [
      "mkdir -p /etc /srv /tmp /opt/bin && chmod 1777 /tmp",
      "printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' > /etc/passwd",
      "printf 'root:x:0:\napp:x:1000:\n' > /etc/group",
    ]
  }
  config {
    env        = { PATH = "/bin:/usr/bin:/sbin", BASE = "from the base" }
    entrypoint = ["/bin/busybox"]
    cmd        = ["echo", "the base's own"]
    labels     = { base = "yes" }
    workdir    = "/srv"
  }
  post-processors {
    post-processor "docker-tag" {
      repository = "$REGISTRY/team/base"
      tags       = ["1"]
    }
    post-processor "docker-push" {}
  }
}
build {
  name    = "user"
  sources = ["oci.busybox"]
  provisioner "shell" {
    inline = [
      "mkdir -p /etc /tmp && chmod 1777 /tmp",
      "printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' > /etc/passwd",
      "printf 'root:x:0:\napp:x:1000:\n' > /etc/group",
      "mkdir -p /home/app && chown 1000:1000 /home/app",
    ]
  }
  config {
    env     = { PATH = "/bin:/usr/bin:/sbin" }
    user    = "app"
    workdir = "/home/app"
  }
  post-processors {
    post-processor "docker-tag" {
      repository = "$REGISTRY/team/user"
      tags       = ["1"]
    }
    post-processor "docker-push" {}
  }
}
HCL
build store base.json base

# What people write.
mkdir -p web/files/sub
echo "a page" > web/files/index.html
echo "below" > web/files/sub/page.html
chmod 640 web/files/sub/page.html
printf '#!/bin/sh -e\nid -u > "/opt/$NAME"\npwd >> "/opt/$NAME"\necho "$FROM_RUN $BASE" >> "/opt/$NAME"\n' > web/script.sh
cat > web/web.pkr.hcl <<HCL
variable "version" {
  type    = string
  default = "1.2"
}
locals {
  repository = "$REGISTRY/team/web"
}
source "docker" "web" {
  image       = "$REGISTRY/team/base:1"
  commit      = true
  author      = "A Person <person@example.com>"
  message     = "what was committed"
  run_command = ["-d", "-i", "-t", "-e", "FROM_RUN=it ran", "-w", "/tmp", "--stop-signal", "SIGINT", "--name=${RANDOM}x", "--entrypoint=/bin/sh", "--", "{{.Image}}"]
  changes = [
    "ENV PATH=/opt/bin:\$PATH",
    "ENV VERSION=\${var.version} TEXT=\"two words\"",
    "LABEL version=\${var.version}",
    "EXPOSE 8080 53/udp",
    "VOLUME /data",
    "USER app",
    "WORKDIR sub",
    "ONBUILD RUN echo triggered",
    "HEALTHCHECK --interval=5s CMD wget localhost",
    "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
    "CMD [\"echo \$TEXT\"]",
  ]
}
build {
  sources = ["source.docker.web"]
  provisioner "shell" {
    inline = ["mkdir -p /opt/web", "echo \$PACKER_BUILD_NAME \$PACKER_BUILDER_TYPE > /opt/names"]
  }
  provisioner "file" {
    source      = "files/"
    destination = "/opt/web"
  }
  provisioner "shell" {
    environment_vars = ["NAME=script", "VERSION=\${var.version}"]
    script           = "script.sh"
  }
  post-processors {
    post-processor "docker-tag" {
      repository = local.repository
      tag        = ["\${var.version}", "latest"]
    }
    post-processor "docker-push" {}
    post-processor "manifest" {
      output = "manifest.json"
    }
  }
  post-processor "shell-local" {
    inline = ["echo ID=\${build.ID} > ids", "echo SHA=\${build.ImageSha256} >> ids", "echo FROM=\${build.SourceImageDigest} >> ids"]
  }
}
HCL
# Packer 1.6.6 wants `tag`, and does not know the digest of the base.
sed 's/FROM=.*>> ids/FROM= >> ids/' web/web.pkr.hcl > web/packer.txt
mkdir packer
cp -a web/files web/script.sh packer/
cp web/packer.txt packer/web.pkr.hcl
rm web/packer.txt
(cd packer && packer validate web.pkr.hcl > ../validate.out 2>&1) || { cat validate.out >&2; fail "Packer validates the template"; }
(cd packer && packer build web.pkr.hcl > ../packer.out 2>&1) || { cat packer.out >&2; fail "Packer builds the template"; }
skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/team/web:latest" oci:of-packer:x

(cd web && "$HARDTACK" validate web.pkr.hcl > /dev/null) || fail "validate"
(cd web && build "$WORK/store" "$WORK/web.json" web.pkr.hcl)
skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/team/web:latest" oci:of-hardtack:x
equal "the pushed image is the build's" "$(digest_of web.json docker.web)" \
    "$(skopeo inspect --tls-verify=false --raw "docker://$REGISTRY/team/web:1.2" | sha256sum | sed 's/ .*//; s/^/sha256:/')"

# unpack LAYOUT: its files, without those that Docker's container and Packer leave.
unpack() {
    rm -rf "$1.bundle"
    umoci unpack --image "$1:x" "$1.bundle" > unpack.out 2>&1 || { cat unpack.out >&2; return 1; }
    rm -rf "$1.bundle/rootfs/packer-files" "$1.bundle/rootfs/.dockerenv" "$1.bundle/rootfs/data" \
        "$1.bundle"/rootfs/{dev,proc,sys,root} \
        "$1.bundle"/rootfs/etc/{hosts,hostname,resolv.conf,mtab}
}
# config LAYOUT: what matters of the configuration, and is the same every time.
config() {
    skopeo inspect --config "oci:$1:x" | jq --sort-keys \
        '{author, os, architecture, config: (.config | .Env |= sort | del(.Hostname, .Image))}'
}
# same WHAT: the trees and configurations of of-packer and of-hardtack.
same() {
    unpack of-packer
    unpack of-hardtack
    "$REPO/tests/compare_trees.py" --clamp 1735689600 of-packer.bundle/rootfs of-hardtack.bundle/rootfs > differences \
        || { cat differences >&2; fail "$1: the files differ from Packer's"; }
    diff <(config of-packer) <(config of-hardtack) >&2 || fail "$1: the configuration differs from Packer's"
    echo "ok: $1"
}
same "a template of the docker builder"
history=$(skopeo inspect --config oci:of-hardtack:x | jq --raw-output '[.history[] | select(.empty_layer | not)] | length')
equal "a layer for each provisioner, over the base's two" 5 "$history"
equal "the message is in the history" "what was committed" \
    "$(skopeo inspect --config oci:of-hardtack:x | jq --raw-output '.history[-1].comment')"

# What scripts see.
image=$(jq --raw-output '.builds["docker.web"].config' web.json)
[ "$image" != null ] || image=$(skopeo inspect --raw oci:of-hardtack:x | jq --raw-output .config.digest)
contains "build.ID is the image's id" web/ids "ID=$image"
contains "build.ImageSha256 too" web/ids "SHA=$image"
base=$(skopeo inspect --tls-verify=false --raw "docker://$REGISTRY/team/base:1" | sha256sum | cut -d' ' -f1)
contains "build.SourceImageDigest" web/ids "FROM=$REGISTRY/team/base@sha256:$base"
equal "the manifest names the same artifact as Packer's" \
    "$(jq --raw-output '.builds[-1] | .name, .builder_type, .artifact_id' packer/manifest.json)" \
    "$(jq --raw-output '.builds[-1] | .name, .builder_type, .artifact_id' web/manifest.json)"
machine() { sed -nE "s/^[0-9]+,[^,]*,artifact,[0-9]+,(builder-id|id),/\1=/p" "$1" | grep -v '=sha256:' | sort -u; }
(cd packer && rm manifest.json && packer build -machine-readable web.pkr.hcl > ../packer.machine 2> /dev/null)
(cd web && "$HARDTACK" build -machine-readable web.pkr.hcl > ../web.machine 2> /dev/null)
equal "machine-readable output names the same artifacts" "$(machine packer.machine)" "$(machine web.machine)"
(cd web && "$HARDTACK" plan --json web.pkr.hcl > ../plan.json)
equal "the second run is cached" 0 "$(grep -c miss plan.json || true)"

# The base's entrypoint and arguments stay; an entrypoint of the template does not take the arguments.
mkdir keep
cat > keep/keep.pkr.hcl <<HCL
source "docker" "keep" {
  image  = "$REGISTRY/team/base:1"
  commit = true
}
source "docker" "entry" {
  image   = "$REGISTRY/team/base:1"
  commit  = true
  changes = ["ENTRYPOINT [\"/bin/sh\"]"]
}
build {
  sources = ["docker.keep", "docker.entry"]
  provisioner "shell" {
    inline = ["touch /kept"]
  }
}
HCL
build store keep.json keep
shown() { "$HARDTACK" show --json "$1" | jq --compact-output '.. | objects | select(has("Entrypoint")) | [.Entrypoint, .Cmd]' | head -n 1; }
equal "entrypoint and arguments stay" '[["/bin/busybox"],["echo","the base'\''s own"]]' "$(shown docker.keep)"
equal "arguments stay behind another entrypoint" '[["/bin/sh"],["echo","the base'\''s own"]]' "$(shown docker.entry)"

# Users: commands and uploads are the image's, `exec_user` is for commands alone.
mkdir user
echo "text" > user/file
cat > user/user.pkr.hcl <<HCL
source "docker" "user" {
  image     = "$REGISTRY/team/user:1"
  exec_user = "root"
  # Packer 1.6.6 forgets that this is the default.
  fix_upload_owner = true
  commit    = true
}
build {
  sources = ["docker.user"]
  provisioner "file" {
    source      = "file"
    destination = "/home/app/file"
  }
  provisioner "shell" {
    environment_vars = ["WHO=me"]
    inline           = ["id -u > /home/app/id", "echo more >> /home/app/file", "echo \$WHO > /home/app/who"]
  }
  post-processor "docker-tag" {
    repository = "$REGISTRY/team/user-made"
    tag        = ["1"]
  }
}
HCL
sed -i 's/^  post-processor "docker-tag"/  post-processors {\n  post-processor "docker-tag"/; $d' user/user.pkr.hcl
printf '  post-processor "docker-push" {}\n  }\n}\n' >> user/user.pkr.hcl
(cd user && packer build user.pkr.hcl > ../packer.out 2>&1) || { cat packer.out >&2; fail "Packer builds with a user"; }
rm -rf of-packer of-hardtack
skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/team/user-made:1" oci:of-packer:x
(cd user && build "$WORK/store" "$WORK/user.json" user.pkr.hcl)
skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/team/user-made:1" oci:of-hardtack:x
unpack of-packer
unpack of-hardtack
"$REPO/tests/compare_trees.py" --clamp 1735689600 of-packer.bundle/rootfs of-hardtack.bundle/rootfs > differences \
    || { cat differences >&2; fail "a base with a user: the files differ from Packer's"; }
# As the image's own user no script runs with Packer: the files are root's.
sed '/exec_user/d; s/environment_vars =/use_env_var_file = true\n    environment_vars =/; /post-processors {/,$d' user/user.pkr.hcl > user/file.pkr.hcl
echo "}" >> user/file.pkr.hcl
(cd user && build "$WORK/store" "$WORK/file.json" file.pkr.hcl)
equal "uploads belong to the image's user" 1000 "$(stat -c %u of-hardtack.bundle/rootfs/home/app/file)"

# An archive of all files, the same bytes each time, and an image made of it.
mkdir export
cat > export/export.pkr.hcl <<HCL
source "docker" "export" {
  image       = "$REGISTRY/team/base:1"
  export_path = "out/root.tar"
}
source "docker" "discard" {
  image   = "$REGISTRY/team/base:1"
  discard = true
}
build {
  sources = ["docker.export", "docker.discard"]
  provisioner "shell" {
    inline = ["rm -r /opt && echo \${source.name} > /made && ln /made /linked && chown 1000:7 /made"]
  }
  post-processors {
    post-processor "docker-import" {
      only       = ["docker.export"]
      repository = "imported"
      tag        = "1"
      changes    = ["CMD [\"/bin/sh\"]"]
    }
    post-processor "docker-save" {
      only = ["docker.export"]
      path = "out/saved.tar"
    }
  }
}
HCL
for user in root hardtack-sub; do
    cp -a export "export-$user"
    mkdir -p "home-$user"
    chown -R "$user" "export-$user" "home-$user"
    (cd "export-$user" && as_user "$user" env --chdir="$WORK/export-$user" "$HARDTACK" build --store "$WORK/home-$user/store" export.pkr.hcl > out.txt 2>&1) \
        || { cat "export-$user/out.txt" >&2; fail "export_path as $user"; }
done
cmp export-root/out/root.tar export-hardtack-sub/out/root.tar || fail "the archives of root and another user differ"
tar --list --verbose --numeric-owner --file export-root/out/root.tar > listed
contains "the archive holds owners" listed "1000/7"
grep -q 'linked link to\|made link to' listed || fail "the archive holds no hard links"
! grep -q ' ./opt\| opt/' listed || fail "the archive holds what was removed"
$DOCKER import export-root/out/root.tar from-docker:1 > /dev/null
equal "Docker imports it, and a container has the files" export \
    "$($DOCKER run --rm --network none from-docker:1 /bin/busybox cat /made)"
$DOCKER load --quiet --input export-root/out/saved.tar > /dev/null
equal "docker-import makes an image of it" export "$($DOCKER run --rm --network none imported:1 -c 'cat /linked' 2> /dev/null || $DOCKER run --rm --network none imported:1 /bin/busybox cat /linked)"
! "$HARDTACK" show --store home-root/store docker.discard > /dev/null 2>&1 || fail "discard keeps an image"
! "$HARDTACK" show --store home-root/store docker.export > /dev/null 2>&1 || fail "export_path keeps an image"
echo "ok: nothing else is left"

# Volumes and memory are there for the steps alone.
mkdir -p volumes shared/ro shared/rw
echo "of the host" > shared/ro/file
cat > volumes/volumes.pkr.hcl <<HCL
source "docker" "read" {
  image   = "$REGISTRY/team/base:1"
  commit  = true
  volumes = { "$WORK/shared/ro" = "/ro:ro" }
  tmpfs   = ["/memory:size=1m"]
}
source "docker" "write" {
  image       = "$REGISTRY/team/base:1"
  commit      = true
  run_command = ["-d", "-i", "-t", "-v", "$WORK/shared/rw:/rw", "--tmpfs", "/memory", "--entrypoint=/bin/sh", "{{.Image}}"]
}
build {
  sources = ["docker.read", "docker.write"]
  provisioner "shell" {
    only   = ["docker.read"]
    inline = ["cp /ro/file /copied", "! touch /ro/new 2> /dev/null", "! dd if=/dev/zero of=/memory/x bs=1M count=2 2> /dev/null"]
  }
  provisioner "shell" {
    only   = ["docker.write"]
    inline = ["touch /memory/x", "echo x >> /rw/times"]
  }
}
HCL
build store volumes.json volumes
build store volumes.json volumes
contains "a read-only volume keeps steps cached" volumes.json.err "cached"
equal "steps with a writable volume run each time" "2" "$(wc -l < shared/rw/times)"
contains "which is told" volumes.json.err "as they may write to /rw"
"$HARDTACK" copy docker.read oci:of-volumes:x > /dev/null 2>&1
umoci unpack --image of-volumes:x volumes-seen > /dev/null 2>&1
equal "only what a step copies is in the image" "/copied" \
    "$(find volumes-seen/rootfs -maxdepth 1 \( -name copied -o -name ro -o -name memory \) -printf '/%f\n')"

# A private base: the source's own credentials, also for the layers.
mkdir private
password_file pull secret-word > passwords
plain=$REGISTRY
start_registry "auth:" "  htpasswd:" "    realm: test" "    path: $WORK/passwords"
skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false --dest-creds pull:secret-word \
    "docker://$plain/team/base:1" "docker://$REGISTRY/team/base:1"
cat > private/private.pkr.hcl <<HCL
variable "password" {
  type      = string
  sensitive = true
}
source "docker" "private" {
  image          = "$REGISTRY/team/base:1"
  commit         = true
  login          = true
  login_server   = "http://$REGISTRY/"
  login_username = "pull"
  login_password = var.password
}
build {
  sources = ["docker.private"]
  provisioner "shell" {
    inline = ["echo in"]
  }
}
HCL
build private-store private.json -var password=secret-word private
! build wrong-store wrong.json -var password=wrong private 2> /dev/null || fail "a wrong password is accepted"
contains "a wrong password is told" wrong.json.err "does not accept the credentials"
! grep -rqF secret-word private-store private.json* || fail "the password is left behind"
echo "ok: a private base"

# What cannot be done is told by name.
mkdir told
cat > told/told.pkr.hcl <<'HCL'
packer {
  required_plugins {
    docker = {
      version = ">= 1.0.8"
      source  = "github.com/hashicorp/docker"
    }
  }
}
source "docker" "told" {
  image       = "debian"
  commit      = true
  export_path = "x.tar"
  volumes     = { "named" = "/data" }
  device      = ["/dev/fuse"]
  privileged  = true
  changes     = ["RUN true"]
  run_command = ["-d", "--add-host", "a:1.2.3.4", "{{.Image}}", "/sbin/init"]
}
build {
  sources = ["docker.told"]
}
HCL
if "$HARDTACK" validate told > told.out 2>&1; then fail "what cannot be done validates"; fi
for text in "only one of commit" "device is not supported" "names a volume of Docker" "privileged has no effect" \
    'cannot apply the change "RUN true"' "--add-host is not supported" "/sbin/init is not started"; do
    contains "told: $text" told.out "$text"
done
! grep -q "plugin" told.out || fail "the docker plugin is built in"
left_behind "$WORK/store"
