#!/usr/bin/env bash
# Dockerfiles, translated: what hardtack builds from the template is what buildah builds from the file,
# in files and configuration.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
export HARDTACK_STORE=$WORK/store
copy_templates "$WORK/repo"

# A base with a shell, users and a variable.
mkdir base
cat > base/base.pkr.hcl <<HCL
source "oci" "busybox" {
  layout = "$WORK/repo/fixtures/busybox"
}
build {
  sources = ["oci.busybox"]
  provisioner "shell" {
    inline = [
      "mkdir -p /etc /tmp /opt /root /home/app && chmod 1777 /tmp",
      "printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n' > /etc/passwd",
      "printf 'root:x:0:\napp:x:1001:\nstaff:x:50:\n' > /etc/group",
      "printf '' > /etc/hosts && printf '' > /etc/resolv.conf && printf '' > /etc/hostname",
      "ln -sf /bin/busybox /bin/bash",
    ]
  }
  config {
    env        = { PATH = "/bin:/usr/bin:/sbin", FROM_BASE = "yes" }
    entrypoint = ["/bin/echo"]
    cmd        = ["base"]
    workdir    = "/opt"
  }
  post-processors {
    post-processor "docker-tag" {
      repository = "$REGISTRY/base"
      tags       = ["1"]
    }
    post-processor "docker-push" {}
  }
}
HCL
build store base.json base

# context NAME: a folder for a Dockerfile, with files to copy.
context() {
    mkdir -p "$1/src/deep" "$1/assets" "$1/.hidden"
    echo "a" > "$1/a.txt"
    echo "b" > "$1/b.txt"
    echo "note" > "$1/note.md"
    echo "code" > "$1/src/code.sh"
    chmod 750 "$1/src/code.sh"
    echo "object" > "$1/src/code.o"
    echo "deep" > "$1/src/deep/file"
    ln -s ../a.txt "$1/src/link"
    echo "style" > "$1/assets/style.css"
    echo "secret" > "$1/.hidden/file"
    chmod 700 "$1/assets"
}

# flat LAYOUT: its files, without what buildah's runs leave.
flat() {
    rm -rf "$1.bundle"
    umoci unpack --image "$1:x" "$1.bundle" > unpack.out 2>&1 || { cat unpack.out >&2; return 1; }
    rm -rf "$1.bundle"/rootfs/{dev,proc,sys,run} "$1.bundle"/rootfs/etc/{hosts,resolv.conf,hostname}
}
# same NAME [BUILD [BUILDAH'S ARGUMENT…]]: both build NAME/Dockerfile, and agree.
same() {
    local name=$1 build=${2:-oci.stage-0}
    shift
    [ $# -eq 0 ] || shift
    sed -i "s|BASE_IMAGE|$REGISTRY/base:1|" "$name/Dockerfile"
    # Its own file is none of the context's.
    "$HARDTACK" import-dockerfile "$name/Dockerfile" --output "$name/template.pkr.hcl" > "$name.err" 2>&1 \
        || { cat "$name.err" "$name/template.pkr.hcl" >&2; fail "$name: something is left out"; }
    mkdir "$name.template"
    mv "$name/template.pkr.hcl" "$name.template/"
    sed -i "s|\${path.root}|$WORK/$name|g; s|fileset(\".\"|fileset(\"$WORK/$name\"|g" "$name.template/template.pkr.hcl"
    "$HARDTACK" fmt --check "$name.template/template.pkr.hcl" > /dev/null || fail "$name: the template is not formatted"
    "$HARDTACK" validate "$name.template" > "$name.err" 2>&1 || { cat "$name.err" >&2; fail "$name: validate"; }
    build "$WORK/store" "$name.json" "$name.template" || fail "$name: build"
    rm -rf "$name.of-hardtack" "$name.of-buildah"
    "$HARDTACK" copy "$build" "oci:$name.of-hardtack:x" > /dev/null 2>&1 || { "$HARDTACK" copy "$build" "oci:$name.of-hardtack:x"; fail "$name: copy"; }
    buildah --root "$WORK/buildah" --runroot "$WORK/buildah-run" --storage-driver vfs bud --isolation chroot \
        --tls-verify=false --format docker --layers=false --quiet "$@" \
        --tag "dir-$name" --file "$name/Dockerfile" "$name" > "$name.buildah" 2>&1 \
        || { cat "$name.buildah" >&2; fail "$name: buildah"; }
    buildah --root "$WORK/buildah" --runroot "$WORK/buildah-run" --storage-driver vfs push --quiet \
        "dir-$name" "oci:$name.of-buildah:x" > /dev/null
    # As it is written: skopeo shows only what OCI's configuration has a place for.
    local config
    config=$(skopeo inspect --raw "oci:$name.of-hardtack:x" | jq --raw-output .config.digest)
    buildah --root "$WORK/buildah" --runroot "$WORK/buildah-run" --storage-driver vfs inspect --type image "dir-$name" \
        | jq .Docker > "$name.docker"
    flat "$name.of-hardtack"
    flat "$name.of-buildah"
    # Times are those of the base here, and of files and builds there.
    find "$name.of-hardtack.bundle/rootfs" "$name.of-buildah.bundle/rootfs" -exec touch --no-dereference --date=@0 {} +
    "$REPO/tests/compare_trees.py" "$name.of-buildah.bundle/rootfs" "$name.of-hardtack.bundle/rootfs" > differences \
        || { cat "$name.template/template.pkr.hcl" differences >&2; fail "$name: the files differ"; }
    diff <(of_docker "$name.docker") <(of_docker "$name.of-hardtack/blobs/sha256/${config#sha256:}") >&2 \
        || { cat "$name.template/template.pkr.hcl" >&2; fail "$name: the configuration differs"; }
    echo "ok: $name"
}

# of_docker FILE: what matters of a configuration in Docker's form.
of_docker() {
    jq --sort-keys '{author: (.author // ""), config: (.config | {
        User: (.User // ""), WorkingDir: (.WorkingDir // ""), Entrypoint: (.Entrypoint // []), Cmd: (.Cmd // []), Env: (.Env // [] | sort),
        Labels: ((.Labels // {}) | del(.["io.buildah.version"])), ExposedPorts: (.ExposedPorts // {}),
        Volumes: (.Volumes // {}), StopSignal: (.StopSignal // ""), Shell: (.Shell // null),
        OnBuild: (.OnBuild // []), Healthcheck: (.Healthcheck // null)})}' "$1"
}

context simple
cat > simple/Dockerfile <<'DOCKERFILE'
# escape=\
# A comment
FROM BASE_IMAGE
MAINTAINER A Person <person@example.com>
ARG VERSION=1.5
ARG UNSET
ENV APP=web NOTE="two words" \
    ESCAPED=a\ b\$c
ENV OLD style of it
ENV PATH=/opt/web/bin:$PATH VERSION=${VERSION:-none}
LABEL org.example.version="$VERSION" "org.example.name"="a \"web\""
RUN mkdir -p /opt/web/bin && \
    # a comment in between
    echo "$APP $NOTE $ESCAPED $OLD $VERSION $FROM_BASE ${UNSET:-unset}" > /opt/web/variables && \
    echo "$PATH" >> /opt/web/variables
WORKDIR /srv/app
WORKDIR below
RUN pwd > where; id -u >> where; false; true
RUN ["/bin/sh", "-c", "echo \"$0 ${APP}\" > exec", "name"]
RUN echo 'single \
quotes' "{{ .Go }} %{x} \${y}" > quotes
COPY a.txt .
COPY src /srv/src
COPY ["a.txt", "b.txt", "/srv/both/"]
COPY *.txt assets/*.css /srv/matched/
COPY --chown=app:staff --chmod=640 a.txt /srv/owned
COPY --chown=app src/deep /srv/owned-folder/
ADD note.md /srv/
USER app
RUN id -u > /tmp/who && id -g >> /tmp/who && echo "$HOME" >> /tmp/who
USER root
RUN echo last >> /tmp/who
EXPOSE 80 443/tcp 53/udp
VOLUME /data /logs
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=3s --retries=2 CMD wget -q localhost || exit 1
ONBUILD RUN echo "${triggered}"
ENTRYPOINT ["/bin/sh", "-c"]
CMD echo $APP
USER app:staff
DOCKERFILE
same simple

context ignored
printf '# what stays out\n**/*.o\nnote.md\n.hidden\n!src/deep\nsrc/deep/nothing\nDockerfile\n' > ignored/.dockerignore
cat > ignored/Dockerfile <<'DOCKERFILE'
FROM BASE_IMAGE
COPY . /all
COPY src /only
COPY src/ /only/again/
DOCKERFILE
same ignored

context shells
cat > shells/Dockerfile <<'DOCKERFILE'
ARG TAG=ignored
FROM BASE_IMAGE
ENV MODE=first
SHELL ["/bin/busybox", "sh", "-e", "-c"]
RUN echo "$MODE in another shell" > /opt/shell
RUN ["/bin/busybox", "touch", "/opt/exec"]
CMD ["in", "no shell"]
DOCKERFILE
same shells

# A template is the same from any folder, and the next build makes the same image.
context beside
printf 'FROM %s/base:1\nCOPY *.txt /texts/\nCOPY . /all\n' "$REGISTRY" > beside/Dockerfile
"$HARDTACK" import-dockerfile beside/Dockerfile --output beside/template.pkr.hcl
"$HARDTACK" validate beside > /dev/null || fail "from the folder above"
(cd beside && "$HARDTACK" validate . > /dev/null) || fail "from the template's own folder"
build store beside.json beside
[ -e beside/hardtack.lock.hcl ] || fail "there is no lock file"
digest=$(digest_of beside.json oci.stage-0)
build store beside.json beside
equal "the second build" "$digest" "$(digest_of beside.json oci.stage-0)"

# Heredocs, which this buildah does not know.
context heredocs
cat > heredocs/Dockerfile <<DOCKERFILE
FROM $REGISTRY/base:1
ENTRYPOINT ["/bin/cat"]
ENV MODE=first
RUN <<SCRIPT
echo "\$MODE" > /opt/script
false
echo 'quoted \$MODE {{.x}} \${y} %{z}' >> /opt/script
SCRIPT
RUN cat <<-'TEXT' > /opt/text
	\$MODE stays
	TEXT
RUN <<-SCRIPT
	#!/bin/busybox ash
	echo "by \$0" > /opt/ash
	SCRIPT
COPY <<FILE /opt/file
\$MODE "it's" \\\$MODE
FILE
COPY <<'FILE' /opt/literal
\$MODE
FILE
DOCKERFILE
"$HARDTACK" import-dockerfile heredocs/Dockerfile --output heredocs/template.pkr.hcl
build store heredocs.json heredocs/template.pkr.hcl
in_image() { "$HARDTACK" run oci.stage-0 "$1"; }
equal "a script" 'first
quoted $MODE {{.x}} ${y} %{z}' "$(in_image /opt/script)"
equal "a text for a command" '$MODE stays' "$(in_image /opt/text)"
equal "a script with an interpreter" "by" "$(in_image /opt/ash | cut -d' ' -f1)"
equal "a file with variables" "first \"it's\" \$MODE" "$(in_image /opt/file)"
equal "a file without" '$MODE' "$(in_image /opt/literal)"

mkdir scratch
echo data > scratch/data
cat > scratch/Dockerfile <<'DOCKERFILE'
FROM scratch
COPY data /folder/data
WORKDIR /folder
ENV A=1
ENV B=${A}2 C=${D:-3}
LABEL b=$B
CMD ["/folder/data"]
DOCKERFILE
same scratch

context stages
cat > stages/Dockerfile <<'DOCKERFILE'
ARG KIND=final
FROM BASE_IMAGE AS builder
ARG KIND
WORKDIR /out
ENV BUILT=yes
COPY src/code.sh tool
RUN mkdir sub && echo "$KIND" > sub/kind && chown 1000:50 sub/kind && chmod 600 sub/kind && ln -s kind sub/link
FROM builder AS test
RUN echo "$BUILT $PWD" > tested
FROM scratch AS unused
COPY a.txt /
FROM BASE_IMAGE
COPY --from=builder /out/tool /usr/bin/
COPY --from=0 --chown=app /out/sub /srv/sub
COPY --from=test /out/tested /out/tool /srv/
COPY --from=BASE_IMAGE /etc/passwd /srv/passwd
RUN --mount=type=bind,from=builder,source=/out,target=/mnt --mount=type=bind,source=src,target=/src --mount=type=tmpfs,target=/memory \
    cp /mnt/tool /srv/mounted && cp /src/code.sh /srv/ && touch /memory/gone
RUN --mount=type=cache,target=/cache echo kept > /cache/x
DOCKERFILE
if [ -n "${WITH_STAGES-1}" ]; then
    sed -i "s|BASE_IMAGE|$REGISTRY/base:1|" stages/Dockerfile
    same stages oci.stage-3
fi

# What cannot be translated is told, at its place, and by the exit code.
mkdir told
printf 'FROM base\nADD https://example.com/x /x\nRUN --security=insecure true\nCMD ok\n' > told/Dockerfile
code=0
"$HARDTACK" import-dockerfile told/Dockerfile > told/template.pkr.hcl 2> told.err || code=$?
equal "the exit code tells that something is left out" 1 "$code"
contains "the place is told" told.err "Dockerfile:2:1"
contains "and the second one" told.err "Dockerfile:3:1"
contains "the template says so too" told/template.pkr.hcl "# Dockerfile:2: left out"
contains "the rest is there" told/template.pkr.hcl "cmd"
printf 'FROM \0' > told/wrong
! "$HARDTACK" import-dockerfile told/wrong > told.out 2> told.err || fail "a NUL passes"
[ ! -s told.out ] || fail "something is written for what is no Dockerfile"
equal "standard input" 0 "$(echo 'FROM scratch' | "$HARDTACK" import-dockerfile - > told.out; echo $?)"
left_behind "$WORK/store"
