#!/usr/bin/env bash
# What is pushed and copied is what others pull and run, digest by digest; nothing is sent twice.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
copy_templates "$WORK/repo"
export HARDTACK_STORE=$WORK/store
remote=docker://$REGISTRY

# digest REFERENCE: as skopeo sees it.
digest() {
    skopeo inspect --tls-verify=false --raw "$1" | sha256sum | sed 's/ .*//; s/^/sha256:/'
}

# writes: how many requests of the registry wrote something since forget_requests.
writes() {
    count_requests '^(PUT|PATCH|POST|DELETE) '
}

# refused WHAT TEXT COMMAND…: the command fails with one error that contains TEXT.
refused() {
    local what=$1 text=$2
    shift 2
    if "$@" > out 2> err; then fail "$what: it succeeds"; fi
    contains "$what" err "$text"
}

# The quickstart, with a push under two tags.
template=$(echo repo/templates/quickstart/*.pkr.hcl)
sed -i '$d' "$template"
cat >> "$template" <<HCL
  post-processor "oci-push" {
    repository = "$REGISTRY/team/quick"
    tags       = ["1", "latest"]
  }
  post-processors {
    post-processor "docker-tag" {
      repository = "$REGISTRY/other/quick"
      tags       = ["a", "b"]
    }
    post-processor "docker-push" {}
  }
}
HCL
build store quick.json repo/templates/quickstart
quick=$(digest_of quick.json quickstart.oci.busybox)
for name in team/quick:1 team/quick:latest other/quick:a other/quick:b; do
    equal "pushed $name" "$quick" "$(digest "$remote/$name")"
done
contains "the artifact names tag and digest" quick.json.out \
    "quickstart.oci.busybox oci-push $REGISTRY/team/quick:1@$quick,$REGISTRY/team/quick:latest@$quick"
contains "the second repository got its blobs by mounting" quick.json.err "5 blobs mounted"
contains "the first push sends all blobs" quick.json.err "5 blobs uploaded"

forget_requests
build store again.json repo/templates/quickstart
equal "a second push writes nothing" 0 "$(writes)"
contains "a second push says so" again.json.err "5 blobs already there"

# Annotations make a manifest of their own over the same layers.
mkdir annotated
cat > annotated/t.pkr.hcl <<HCL
source "oci" "quick" {
  image = "quickstart.oci.busybox"
}
build {
  name    = "annotated"
  sources = ["source.oci.quick"]
  post-processor "oci-push" {
    repository  = "$REGISTRY/team/quick"
    tags        = ["annotated"]
    annotations = { "com.example.ticket" = "7" }
  }
}
HCL
forget_requests
build store annotated.json annotated
equal "annotations: the registry has them" 7 \
    "$(skopeo inspect --tls-verify=false --raw "$remote/team/quick:annotated" | jq -r '.annotations["com.example.ticket"]')"
equal "annotations: the layers are the same" \
    "$(skopeo inspect --tls-verify=false "$remote/team/quick:1" | jq -c .Layers)" \
    "$(skopeo inspect --tls-verify=false "$remote/team/quick:annotated" | jq -c .Layers)"

# An empty store moves no layer between repositories of one registry; an archive needs the layers.
mkdir empty
cat > empty/t.pkr.hcl <<HCL
source "oci" "quick" {
  image = "$REGISTRY/team/quick:1"
}
build {
  sources = ["source.oci.quick"]
  post-processor "oci-push" {
    repository = "$REGISTRY/empty/quick"
  }
  post-processor "oci-archive" {
    path = "empty.tar"
  }
}
HCL
layers=$(skopeo inspect --tls-verify=false "$remote/team/quick:1" | jq -r '.Layers | join("|")')
forget_requests
build empty-store empty.json --except oci-archive empty
equal "an empty store reads no layer" 0 "$(count_requests "^GET .*/blobs/($layers)")"
equal "an empty store sends no layer" 0 "$(count_requests "^PUT .*digest=sha256%3A(${layers//sha256:/})")"
contains "an empty store mounts them" empty.json.err "4 blobs mounted"
build empty-store empty.json empty
contains "an archive fetches what it reads" empty.json.err "fetching 4 layers"
equal "the archive is whole" "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "$remote/empty/quick:latest")" \
    "$(digest oci-archive:empty.tar)"

# Docker, podman and containerd pull and run it.
start_docker
$DOCKER pull --quiet "$REGISTRY/team/quick:1" > /dev/null
equal "docker runs it" "hello, world" "$($DOCKER run --rm --network none "$REGISTRY/team/quick:1")"
$PODMAN pull --quiet --tls-verify=false "$remote/team/quick@$quick" > /dev/null
equal "podman runs it by digest" "hello, world" "$(podman_run "$REGISTRY/team/quick@$quick")"
$CTR images pull --plain-http "$REGISTRY/other/quick:b" > /dev/null
equal "containerd runs it" "hello, world" \
    "$($CTR run --rm --runc-binary /usr/sbin/runc "$REGISTRY/other/quick:b" push-test)"

# An index of two platforms, of builds that run side by side.
mkdir multi
cat > multi/t.pkr.hcl <<HCL
source "oci" "amd64" {
  scratch  = true
  platform = "linux/amd64"
}
source "oci" "arm64" {
  scratch  = true
  platform = "linux/arm64/v8"
}
build {
  name    = "multi"
  sources = ["source.oci.arm64", "source.oci.amd64"]
  config {
    cmd = ["/nothing"]
  }
  post-processor "oci-push" {
    repository  = "$REGISTRY/team/multi"
    tags        = ["1", "2"]
    index       = true
    annotations = { "com.example.version" = "1" }
  }
}
HCL
build store multi.json multi
skopeo inspect --tls-verify=false --raw "$remote/team/multi:1" > multi.index
equal "index: the platforms, sorted" '["amd64","arm64"]' "$(jq -c '[.manifests[].platform.architecture]' multi.index)"
equal "index: the images are those of the builds" \
    "$(digest_of multi.json multi.oci.amd64) $(digest_of multi.json multi.oci.arm64)" \
    "$(jq -r '[.manifests[].digest] | join(" ")' multi.index)"
equal "index: its annotation" 1 "$(jq -r '.annotations["com.example.version"]' multi.index)"
multi=$(digest "$remote/team/multi:1")
equal "index: both tags" "$multi" "$(digest "$remote/team/multi:2")"
contains "index: one build tells its digest" multi.json.out "$REGISTRY/team/multi:1@$multi"
forget_requests
build store multi2.json --parallel-builds 1 multi
equal "index: again, one build after the other, nothing is written" 0 "$(writes)"
sed 's/linux\/arm64\/v8/linux\/amd64/' multi/t.pkr.hcl > same.pkr.hcl
sed -i 's/team\/multi/team\/same/' same.pkr.hcl
refused "index: two images for one platform" "two images for linux/amd64" "$HARDTACK" build same.pkr.hcl
sed 's/index *= true/index = false/' multi/t.pkr.hcl > rivals.pkr.hcl
"$HARDTACK" validate rivals.pkr.hcl > out 2> err || fail "two builds that push one name are no error"
contains "without an index the last one wins, which is warned of" err "$REGISTRY/team/multi:1 is pushed by the builds multi.oci.amd64, multi.oci.arm64"
refused "index: there is none then" "manifest unknown" skopeo inspect --tls-verify=false "$remote/team/same:1"

# skopeo copies all of it both ways, and every digest stays.
skopeo copy --quiet --all --src-tls-verify=false "$remote/team/multi:1" oci:from-skopeo:m
equal "skopeo --all out of the registry" "$multi" "$(digest oci:from-skopeo:m)"
"$HARDTACK" copy --all oci:from-skopeo:m "$REGISTRY/back/multi:1" > copy.out 2> copy.err
equal "copy says what it made" "$REGISTRY/back/multi:1@$multi" "$(cat copy.out)"
skopeo copy --quiet --all --src-tls-verify=false --dest-tls-verify=false \
    "$remote/back/multi:1" "$remote/back/again:1"
equal "skopeo --all of what was copied" "$multi" "$(digest "$remote/back/again:1")"

# What refers to an image comes with it: a signature of the quickstart, and something about that.
python3 - "$quick" "$(skopeo inspect --tls-verify=false --raw "$remote/team/quick:1" | wc -c)" <<'PYTHON'
import hashlib, json, os, sys
os.makedirs("refer/blobs/sha256")
def put(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open(f"refer/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}
manifest = "application/vnd.oci.image.manifest.v1+json"
subject = {"mediaType": manifest, "digest": sys.argv[1], "size": int(sys.argv[2])}
entries = []
for name in ["signature", "about"]:
    document = {"schemaVersion": 2, "mediaType": manifest, "artifactType": "application/x." + name,
        "config": put(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [put(name.encode(), "text/plain")], "subject": subject}
    subject = put(json.dumps(document).encode(), manifest)
    entries.append(subject | {"annotations": {"org.opencontainers.image.ref.name": name}})
cosign = {"schemaVersion": 2, "mediaType": manifest, "config": put(b"{ }", "application/vnd.oci.image.config.v1+json"),
    "layers": [put(b"payload", "application/vnd.dev.cosign.simplesigning.v1+json")]}
entries.append(put(json.dumps(cosign).encode(), manifest)
    | {"annotations": {"org.opencontainers.image.ref.name": "cosign"}})
json.dump({"schemaVersion": 2, "manifests": entries}, open("refer/index.json", "w"))
open("refer/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
PYTHON
for name in signature about; do
    "$HARDTACK" copy --referrers=false "oci:refer:$name" "$REGISTRY/team/quick:$name" > /dev/null 2>&1
done
# Cosign has a tag instead.
"$HARDTACK" copy oci:refer:cosign "$REGISTRY/team/quick:sha256-${quick#sha256:}.sig" > /dev/null 2>&1
signature=$(digest oci:refer:signature)
about=$(digest oci:refer:about)

# In a circle: registry, registry, layout, archive, store, registry; nothing is lost on the way.
hops=("$remote/team/quick:1" "$REGISTRY/hop/quick:1" oci:hop/layout:q oci-archive:hop/archive.tar:q store:hop \
    "$remote/round/quick:1")
mkdir -p elsewhere
for number in 1 2 3 4 5; do
    # A store of its own, so that each hop has only what the one before gave.
    [ $number -gt 4 ] || rm -rf elsewhere/store
    "$HARDTACK" copy --store elsewhere/store "${hops[number - 1]}" "${hops[number]}" > copy.out 2> copy.err \
        || { cat copy.err; fail "copy to ${hops[number]}"; }
    contains "copy to ${hops[number]}: with all that refers to it" copy.err "4 manifests (3 that refer to another)"
done
equal "the image came round" "$quick" "$(digest "$remote/round/quick:1")"
equal "its signature came with it" "$signature" "$(digest "$remote/round/quick@$signature")"
equal "and what is about that" "$about" "$(digest "$remote/round/quick@$about")"
equal "and what cosign left under a tag" "$(digest oci:refer:cosign)" \
    "$(digest "$remote/round/quick:sha256-${quick#sha256:}.sig")"
equal "the registry knows who refers to it" "$signature" \
    "$(skopeo inspect --tls-verify=false --raw "$remote/round/quick:sha256-${quick#sha256:}" | jq -r '.manifests[].digest')"
equal "skopeo reads the layout" "$quick" "$(digest oci:hop/layout:q)"
equal "skopeo reads the archive" "$quick" "$(digest oci-archive:hop/archive.tar:q)"
rm -rf elsewhere/store
forget_requests
"$HARDTACK" copy --store elsewhere/store "$remote/team/quick:1" "$REGISTRY/mounted/quick:1" > /dev/null 2> copy.err
equal "between repositories of one registry no blob is read" 0 "$(count_requests '^GET .*/blobs/')"
equal "or sent" 0 "$(count_requests '^(PUT|PATCH) .*/blobs/')"
forget_requests
"$HARDTACK" copy "$remote/team/quick:1" "$REGISTRY/mounted/quick:1" > /dev/null 2>&1
equal "a second copy writes nothing" 0 "$(writes)"
"$HARDTACK" copy --referrers=false "$remote/team/quick:1" "$REGISTRY/alone/quick:1" > /dev/null 2> copy.err
contains "a copy without what refers to it" copy.err "1 manifest,"

# docker load reads a docker-archive of it, and docker-save writes one.
"$HARDTACK" copy "$REGISTRY/team/quick:1" docker-archive:copied.tar:copied:1 > /dev/null 2>&1
$DOCKER load --quiet --input copied.tar > /dev/null
equal "docker runs what was copied to an archive" "hello, world" "$($DOCKER run --rm --network none copied:1)"
"$HARDTACK" copy docker-archive:copied.tar:copied:1 "$REGISTRY/team/loaded:1" > /dev/null 2>&1
equal "the archive has the same layers" \
    "$(skopeo inspect --tls-verify=false "$remote/team/quick:1" | jq -c .Layers)" \
    "$(skopeo inspect --tls-verify=false "$remote/team/loaded:1" | jq -c .Layers)"
"$HARDTACK" copy --platform linux/arm64 "$REGISTRY/team/multi:1" oci:one:x > /dev/null 2>&1
equal "one platform of an index" "$(digest_of multi.json multi.oci.arm64)" "$(digest oci:one:x)"

# Packer's chain from a root file system: import, change, save, push.
mkdir -p import rootfs/bin
cp /bin/busybox rootfs/bin/
tar --create --file rootfs.tar --directory rootfs .
cat > import/t.pkr.hcl <<HCL
source "null" "nothing" {
  communicator = "none"
}
build {
  sources = ["source.null.nothing"]
  post-processors {
    post-processor "artifice" {
      files = ["rootfs.tar"]
    }
    post-processor "docker-import" {
      repository = "$REGISTRY/team/imported"
      tag        = "7"
      changes    = ["ENTRYPOINT [\"/bin/busybox\", \"echo\"]", "CMD imported", "CMD [\"it is\", \"imported\"]"]
    }
    post-processor "docker-save" {
      path = "imported.tar"
    }
  }
  post-processors {
    post-processor "artifice" {
      files = ["rootfs.tar"]
    }
    post-processor "docker-import" {
      repository = "$REGISTRY/team/imported"
      tag        = "8"
      changes    = ["ENTRYPOINT [\"/bin/busybox\", \"echo\"]", "CMD [\"pushed\"]"]
    }
    post-processor "docker-push" {
      keep_input_artifact = true
    }
  }
}
HCL
build store import.json import
$DOCKER load --quiet --input imported.tar > /dev/null
equal "docker runs what docker-import and docker-save made" "it is imported" \
    "$($DOCKER run --rm --network none "$REGISTRY/team/imported:7")"
$DOCKER pull --quiet "$REGISTRY/team/imported:8" > /dev/null
equal "docker runs what docker-import and docker-push made" "pushed" \
    "$($DOCKER run --rm --network none "$REGISTRY/team/imported:8")"

# Mistakes are told before anything runs.
cat > wrong.pkr.hcl <<'HCL'
source "oci" "none" {
  scratch = true
}
build {
  sources = ["source.oci.none"]
  post-processor "docker-push" {}
  post-processor "docker-push" {
    login = true
  }
  post-processor "oci-push" {
    repository = "r.example/Team"
    tags       = ["a b"]
  }
}
HCL
refused "validate: a docker-push without names" "docker-push has no names to push" "$HARDTACK" build wrong.pkr.hcl
contains "validate: a login without a name" err "\`login\` needs \`login_username\`"
contains "validate: a repository" err "r.example/Team"
contains "validate: a tag" err '"a b" is not a tag'

# What goes wrong with places.
refused "a tag that is not there" "$REGISTRY/team/quick has no tag none" \
    "$HARDTACK" copy "$REGISTRY/team/quick:none" oci:none
[ ! -e none ] || fail "a copy of nothing leaves a layout"
refused "a registry that is down" "127.0.0.1:1" "$HARDTACK" copy oci:hop/layout:q 127.0.0.1:1/x:1
refused "a name that is not in the layout" 'has no image "none"; it has' "$HARDTACK" copy oci:hop/layout:none oci:none
refused "a target without a host" "does not say where to" "$HARDTACK" copy oci:hop/layout:q quick
refused "another digest than asked for" "is to have the digest" \
    "$HARDTACK" copy oci:hop/layout:q "$REGISTRY/x@$multi"
refused "an index for docker" "choose one with --platform" "$HARDTACK" copy "$REGISTRY/team/multi:1" docker-archive:x.tar
if mkdir full && mount -t tmpfs -o size=600k tmpfs full 2> /dev/null; then
    at_exit+=("umount --lazy '$WORK/full' 2> /dev/null")
    refused "a full disk" "No space left on device" "$HARDTACK" copy oci:hop/layout:q oci:full/layout:q
    [ ! -e full/layout/index.json ] || fail "a full disk: there is a name"
    equal "a full disk: nothing unfinished" 0 "$(find full -name '.unfinished*' | wc -l)"
    umount full
fi
open=$REGISTRY
start_registry "auth:" "  htpasswd:" "    realm: test" "    path: $WORK/htpasswd"
refused "no permission" "log in with: hardtack login $REGISTRY" "$HARDTACK" copy oci:hop/layout:q "$REGISTRY/x:1"
password=$(sed -nE 's/.*password=([^ ]+).*/\1/p' "$REGISTRY_LOG" | head -n 1)
[ -n "$password" ] || fail "the registry made no user"
mkdir login
cat > login/t.pkr.hcl <<HCL
variable "password" {
  type      = string
  sensitive = true
}
source "oci" "quick" {
  image = "quickstart.oci.busybox"
}
build {
  sources = ["source.oci.quick"]
  post-processors {
    post-processor "docker-tag" {
      repository = "$REGISTRY/team/quick"
      tags       = ["1"]
    }
    post-processor "docker-push" {
      login          = true
      login_server   = "http://$REGISTRY/"
      login_username = "docker"
      login_password = var.password
    }
  }
}
HCL
build store login.json -var "password=$password" login
equal "docker-push logs in" "$quick" \
    "$(skopeo inspect --tls-verify=false --creds "docker:$password" --raw "docker://$REGISTRY/team/quick:1" | sha256sum | sed 's/ .*//; s/^/sha256:/')"
refused "docker-push with a wrong password" "$REGISTRY" "$HARDTACK" build --no-cache -var password=wrong login
if grep -rqF "$password" login.json login.json.err login.json.out; then fail "the password is shown"; fi
REGISTRY=$open
left_behind store
left_behind elsewhere/store
