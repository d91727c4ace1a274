#!/usr/bin/env bash
# Results of steps that several machines share by way of a registry: an empty machine moves no
# layers, and whatever is wrong with a record costs time, never a wrong image.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

start_registry
cp -a "$REPO/fixtures/busybox" base
CACHE=$REGISTRY/team/cache

# template FILE LAST-LINE [EXTRA]: four steps; the second changes nothing, the third is never the
# same twice.
template() {
    cat > "$1" <<HCL
source "oci" "base" {
  layout = "$WORK/base"
}
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["head -c 200000 /dev/urandom > /one"]
  }
  provisioner "shell" {
    inline = ["true"]
  }
  provisioner "shell" {
    inline = ["head -c 300000 /dev/urandom > /two"]
  }
  provisioner "shell" {
    inline = ["$2"]
  }
  ${3:-}
}
HCL
}
template t.pkr.hcl "cat /one /two > /three"

# tags: the records in the registry.
tags() {
    curl --silent "http://$REGISTRY/v2/team/cache/tags/list" | jq -r '.tags[]?' | sort
}
# manifest TAG
manifest() {
    curl --silent --fail -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY/v2/team/cache/manifests/$1"
}
# put TAG FILE [TYPE]: replaces a record.
put() {
    curl --silent --fail --output put.out -X PUT --data-binary "@$2" \
        -H "Content-Type: ${3:-application/vnd.oci.image.manifest.v1+json}" \
        "http://$REGISTRY/v2/team/cache/manifests/$1" || { cat put.out >&2; fail "put $1"; }
}
# cached METADATA: how many steps were not run.
cached() {
    grep -c '^==> .*: cached' "$1.err" || true
}
image=app.oci.base

echo "--- an empty machine"
build a a.json --cache-to "$CACHE" t.pkr.hcl
digest=$(digest_of a.json $image)
equal "four results are shared" 4 "$(tags | wc -l)"
skopeo copy --quiet --src-tls-verify=false "docker://$CACHE:$(tags | head -1)" oci:copied:record
echo "ok: skopeo copies a record"

forget_requests
start=$(date +%s%N)
build b b.json --cache-from "$CACHE" t.pkr.hcl
echo "an empty machine took $((($(date +%s%N) - start) / 1000000)) ms"
equal "it has the same image" "$digest" "$(digest_of b.json $image)"
equal "it ran nothing" 4 "$(cached b.json)"
contains "it says where from" b.json.err "cached ($CACHE)"
equal "it moved no layers" 0 "$(count_requests '^GET .*/blobs/')"
equal "and wrote nothing" 0 "$(count_requests '^(PUT|POST|PATCH)')"

forget_requests
build b b2.json --cache-from "$CACHE" t.pkr.hcl
equal "again, it asks nobody" 0 "$(count_requests '/manifests/')"
equal "and gives the same image" "$digest" "$(digest_of b2.json $image)"

echo "--- an empty machine publishes"
push="post-processor \"oci-push\" {
    repository = \"$REGISTRY/team/app\"
    tags       = [\"v1\"]
  }"
template push.pkr.hcl "cat /one /two > /three" "$push"
build a push.json --cache-from "$CACHE" --cache-to "$CACHE" push.pkr.hcl
forget_requests
start=$(date +%s%N)
build empty empty.json --cache-from "$CACHE" push.pkr.hcl
echo "an empty machine published in $((($(date +%s%N) - start) / 1000000)) ms"
equal "it published the same image" "$digest" "$(digest_of empty.json $image)"
equal "it pulled no layers" 0 "$(count_requests '^GET .*/blobs/')"
equal "it sent no layers" 0 "$(count_requests '^(PUT|PATCH|POST) .*/blobs/')"
template push2.pkr.hcl "cat /two > /four" "$push"
forget_requests
build empty empty2.json --cache-from "$CACHE" push2.pkr.hcl
equal "after a change of the last line it pulls what that needs" 2 "$(count_requests '^GET .*/blobs/')"
equal "and sends one layer and a configuration" 2 "$(count_requests '^PUT .*/blobs/')"
# Another repository of the same registry, on another empty machine.
sed 's|/team/app|/team/other|' push.pkr.hcl > push3.pkr.hcl
forget_requests
build empty2 empty3.json --cache-from "$CACHE" push3.pkr.hcl
equal "another repository gets the layers without their bytes" 0 "$(count_requests '^GET .*/blobs/')"
skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/team/other:v1" oci:other:v1
equal "and it is whole" "$digest" "$(jq -r '.manifests[0].digest' other/index.json)"

echo "--- the last line changes"
template changed.pkr.hcl "cat /two > /four"
forget_requests
build b c.json --cache-from "$CACHE" changed.pkr.hcl
equal "three results are found" 3 "$(cached c.json)"
equal "what the step stands on is pulled" 2 "$(count_requests '^GET .*/blobs/')"
"$HARDTACK" run --store b $image -- sh -c 'test -s /four && test ! -e /three'
echo "ok: the image is right"

echo "--- plan"
"$HARDTACK" plan --store plan --cache-from "$CACHE" t.pkr.hcl > plan.out
equal "a plan sees the results too" 4 "$(grep -c '^  hit' plan.out)"
contains "and says where they are" plan.out "from $CACHE"
"$HARDTACK" plan --store plan2 --json --cache-from "$CACHE" t.pkr.hcl > plan.json
equal "in JSON too" "$CACHE" "$(jq -r '.builds[0].steps[0].source' plan.json)"

echo "--- in the template"
{ printf 'variable "cache" {\n  default = "%s"\n}\n' "$CACHE"
  printf 'hardtack {\n  cache {\n    from = [lower(var.cache)]\n  }\n}\n'
  cat t.pkr.hcl; } > own.pkr.hcl
build d d.json own.pkr.hcl
equal "the block counts" 4 "$(cached d.json)"
build e e.json --no-remote-cache own.pkr.hcl
equal "unless nothing is to be shared" 0 "$(cached e.json)"
for wrong in 'from = ["x:y:z"]' 'from = "a"
 more = 1' 'mode = "some"' 'to = ["example.com/a@sha256:00"]'; do
    printf 'hardtack {\n  cache {\n    %s\n  }\n}\n' "$wrong" | cat - t.pkr.hcl > wrong.pkr.hcl
    "$HARDTACK" validate wrong.pkr.hcl > wrong.out 2>&1 && fail "accepted: $wrong"
    contains "a mistake is shown: ${wrong%%$'\n'*}" wrong.out "wrong.pkr.hcl:3"
done

echo "--- trust ends with the setting"
cp -a b trust
build trust f.json t.pkr.hcl
equal "records of a repository that is not named any more do not count" 0 "$(cached f.json)"

echo "--- poisoned records"
template poison.pkr.hcl "cat /one > /three; head -c 10 /two > /five"
mapfile -t all < <(tags)
declare -A good
for tag in "${all[@]}"; do good[$tag]=$(manifest "$tag"); done
# The record of the first step: the one with the layer of 200 kB.
first= second=
for tag in "${all[@]}"; do
    size=$(jq '.layers[0].size' <<< "${good[$tag]}")
    if [ "$size" -gt 190000 ] && [ "$size" -lt 250000 ]; then first=$tag; fi
    if [ "$size" -eq 2 ]; then second=$tag; fi
done
[ -n "$first" ] && [ -n "$second" ] || fail "the records are not what was expected"

# poisoned NAME EXPECTED-WARNING EXPECTED-RUNS [TYPE]: builds with the record in poison.json on an empty
# machine.
number=0
poisoned() {
    number=$((number + 1))
    [ -n "${IS_THERE:-}" ] || put "$first" poison.json "${4:-}"
    build "p$number" "p$number.json" --cache-from "$CACHE" poison.pkr.hcl
    contains "$1: a warning" "p$number.json.err" "$2"
    "$HARDTACK" run --store "p$number" $image -- sh -c \
        'test "$(wc -c < /one)" = 200000 && test "$(wc -c < /three)" = 200000 && test "$(wc -c < /five)" = 10' \
        || fail "$1: the image is wrong"
    [ "$(grep -c '^==> .*: running' "p$number.json.err")" -ge "${3:-1}" ] || fail "$1: nothing ran"
    left_behind "p$number"
}
# with FILTER: the good record of the first step, changed; `record` stands for its annotation.
with() {
    jq "(.annotations[\"org.hardtack.step\"] | fromjson) as \$record | $1" <<< "${good[$first]}" > poison.json
}
record='.annotations["org.hardtack.step"]'

with "$record = (\$record + {key: \"sha256:$(printf '%064d' 1)\"} | tojson)"
poisoned "the key of another step" "record of the step"
printf '%s' "${good[$second]}" > poison.json
poisoned "the record of another step" "record of the step" 2
with "$record = (\$record + {diff_id: \"sha256:$(printf '%064d' 1)\"} | tojson)"
poisoned "a wrong diffID" "its diffID is" 2
with "$record = (\$record + {diff_id: \"../../etc\"} | tojson)"
poisoned "no digest" "cannot be read" 2
with "$record = \"{\""
poisoned "a record that is no JSON" "cannot be read" 2
with "del($record)"
poisoned "an image in its place" "has no annotation" 2
with ".layers[0].mediaType = \"application/vnd.oci.image.layer.v1.tar\""
poisoned "another compression" "media type" 2
with "$record = (\$record + {log: (\"x\" * 600000)} | tojson)"
poisoned "a huge record" "at most" 2
jq -n --argjson m "$(jq '{mediaType, digest: "sha256:'"$(printf '%s' "${good[$second]}" | sha256sum | cut -c1-64)"'", size: '"$(printf '%s' "${good[$second]}" | wc -c)"'}' <<< "${good[$second]}")" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [$m]}' > poison.json
poisoned "an index" "no image manifest" 2 application/vnd.oci.image.index.v1+json

# What a registry does not let in, its disk may have all the same.
blob_file() {
    echo "$WORK"/registry-*/docker/registry/v2/blobs/sha256/"${1:7:2}"/"${1:7}"/data
}
printf '%s' "${good[$first]}" > poison.json
layer=$(jq -r '.layers[0].digest' poison.json)
data=$(blob_file "$layer")
cp "$data" kept
printf 'X' | dd of="$data" bs=1 seek=1000 conv=notrunc status=none
poisoned "a damaged layer" "cached result cannot be used" 2
head -c 1000 kept > "$data"
poisoned "a truncated layer" "instead of" 2
mv "$data" gone
IS_THERE=1 poisoned "a layer that is gone" "is not there" 2
mv gone "$data"
cp kept "$data"

# Who only writes mends what cannot be read.
with "$record = \"{\""
put "$first" poison.json
build writer writer.json --cache-to "$CACHE" poison.pkr.hcl
equal "a broken record is replaced by who only writes" "$(jq -r "$record | fromjson | .key" <<< "${good[$first]}")" \
    "$(manifest "$first" | jq -r "$record | fromjson | .key")"
printf '%s' "${good[$first]}" > good.json
put "$first" good.json

echo "--- outputs find out too"
template output.pkr.hcl "cat /one > /three; head -c 10 /two > /five" "post-processor \"oci-archive\" {
    path = \"out.tar\"
  }"
build out out.json --cache-from "$CACHE" --cache-to "$CACHE" output.pkr.hcl
# Everything is cached, and the archive needs the bytes.
with "$record = (\$record + {diff_id: \"sha256:$(printf '%064d' 2)\"} | tojson)"
rm out.tar
put "$first" poison.json
build out2 out2.json --cache-from "$CACHE" output.pkr.hcl
contains "a wrong diffID" out2.json.err "cached result cannot be used"
skopeo copy --quiet oci-archive:out.tar oci:unpacked:x
umoci unpack --image unpacked:x bundle > umoci.out 2>&1 || { cat umoci.out >&2; fail "the archive is wrong"; }
equal "the archive is right" 200000 "$(stat -c %s bundle/rootfs/three)"
printf '%s' "${good[$first]}" > good.json
put "$first" good.json
printf 'X' | dd of="$data" bs=1 seek=1000 conv=notrunc status=none
build out3 out3.json --cache-from "$CACHE" output.pkr.hcl
contains "a damaged layer" out3.json.err "cached result cannot be used"
rm -rf bundle unpacked
skopeo copy --quiet oci-archive:out.tar oci:unpacked:x
umoci unpack --image unpacked:x bundle > umoci.out 2>&1 || { cat umoci.out >&2; fail "the archive is wrong"; }
echo "ok: the archive is right again"
cp kept "$data"

echo "--- a record of the build below"
cat > two.pkr.hcl << HCL
$(sed "/^build/,\$d" poison.pkr.hcl)
source "oci" "below" {
  from = "app.oci.base"
}
$(sed -n '/^build/,$p' poison.pkr.hcl)
build {
  name    = "top"
  sources = ["source.oci.below"]
  provisioner "shell" {
    inline = ["cat /one /five > /top"]
  }
}
HCL
build low low.json --cache-to "$REGISTRY/low" two.pkr.hcl
CACHE_WAS=$CACHE CACHE=$REGISTRY/low
for tag in $(curl --silent "http://$REGISTRY/v2/low/tags/list" | jq -r '.tags[]'); do
    curl --silent -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY/v2/low/manifests/$tag" > low-record.json
    size=$(jq '.layers[0].size' low-record.json)
    if [ "$size" -gt 190000 ] && [ "$size" -lt 250000 ]; then
        jq "(.annotations[\"org.hardtack.step\"] | fromjson) as \$record | $record = (\$record + {diff_id: \"sha256:$(printf '%064d' 3)\"} | tojson)" \
            low-record.json > low-poison.json
        curl --silent --fail -X PUT --data-binary @low-poison.json -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
            "http://$REGISTRY/v2/low/manifests/$tag"
    fi
done
sed -i 's|cat /one /five > /top|cat /five /one > /top|' two.pkr.hcl
build low2 low2.json --cache-from "$CACHE" two.pkr.hcl
contains "it is found out above" low2.json.err "cached result cannot be used"
"$HARDTACK" run --store low2 top.oci.below -- sh -c 'test "$(wc -c < /top)" = 200010' || fail "the upper image is wrong"
"$HARDTACK" run --store low2 app.oci.base -- sh -c 'test "$(wc -c < /one)" = 200000' || fail "the lower image is wrong"
CACHE=$CACHE_WAS

echo "--- a wrong record is replaced"
with "$record = (\$record + {diff_id: \"sha256:$(printf '%064d' 1)\"} | tojson)"
put "$first" poison.json
build heal heal.json --cache-from "$CACHE" --cache-to "$CACHE" poison.pkr.hcl
build healed healed.json --cache-from "$CACHE" poison.pkr.hcl
equal "the next machine finds it all" 4 "$(cached healed.json)"
equal "and has the same image" "$(digest_of heal.json $image)" "$(digest_of healed.json $image)"

echo "--- a layer that is damaged here"
cp -a healed hurt
template more.pkr.hcl "cat /one > /six"
build hurt hurt.json --cache-from "$CACHE" more.pkr.hcl
for blob in hurt/blobs/sha256/*; do
    size=$(stat -c %s "$blob")
    if [ "$size" -gt 190000 ] && [ "$size" -lt 250000 ]; then
        printf 'X' | dd of="$blob" bs=1 seek=1000 conv=notrunc status=none
    fi
done
rm -rf hurt/trees/*
template more.pkr.hcl "cat /one > /seven"
build hurt hurt2.json --cache-from "$CACHE" more.pkr.hcl
contains "it is told" hurt2.json.err "cached result cannot be used"
"$HARDTACK" run --store hurt $image -- sh -c 'test "$(wc -c < /seven)" = 200000'
echo "ok: a build goes on without it"

echo "--- registries that give and take nothing"
build down down.json --cache-from "127.0.0.1:1/cache" --cache-to "127.0.0.1:1/cache" t.pkr.hcl
equal "a registry that is down is told once" 1 "$(grep -c 'not asked any more' down.json.err)"
equal "for each direction" 1 "$(grep -c 'not shared' down.json.err)"
equal "and everything is built" 0 "$(cached down.json)"
build down down2.json --cache-from "127.0.0.1:1/cache" --cache-from "$CACHE" t.pkr.hcl
password_file reader secret > htpasswd
OPEN=$REGISTRY OPEN_LOG=$REGISTRY_LOG
start_registry "auth:" "  htpasswd:" "    realm: test" "    path: $WORK/htpasswd"
build locked locked.json --cache-from "$REGISTRY/c" --cache-to "$REGISTRY/c" t.pkr.hcl
contains "no permission is a warning" locked.json.err "warning"
equal "and no failure" 0 "$(cached locked.json)"
REGISTRY=$OPEN REGISTRY_LOG=$OPEN_LOG

echo "--- modes"
template fails.pkr.hcl "exit 3"
! "$HARDTACK" build --store m1 --cache-to "$REGISTRY/min" fails.pkr.hcl > /dev/null 2>&1
equal "min shares nothing of a build that fails" null \
    "$(curl --silent "http://$REGISTRY/v2/min/tags/list" | jq -c .tags)"
! "$HARDTACK" build --store m2 --cache-to "$REGISTRY/max" --cache-mode max fails.pkr.hcl > /dev/null 2>&1
equal "max shares what went well" 3 "$(curl --silent "http://$REGISTRY/v2/max/tags/list" | jq '.tags | length')"

echo "--- secrets and uncached steps stay here"
cat > secret.pkr.hcl <<HCL
variable "password" {
  sensitive = true
  default   = "hunter2hunter2"
}
source "oci" "base" {
  layout = "$WORK/base"
}
build {
  name    = "secret"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["echo \${var.password} | wc -c > /a"]
  }
  provisioner "shell" {
    inline = ["date > /b"]
    cache  = false
  }
  provisioner "shell" {
    inline = ["true"]
  }
}
HCL
build s s.json --cache-to "$REGISTRY/secret" --cache-mode max secret.pkr.hcl
equal "one of three is shared" 1 "$(curl --silent "http://$REGISTRY/v2/secret/tags/list" | jq '.tags | length')"

echo "--- two machines at once"
build w1 w1.json --cache-from "$REGISTRY/two" --cache-to "$REGISTRY/two" --cache-mode max t.pkr.hcl &
build w2 w2.json --cache-from "$REGISTRY/two" --cache-to "$REGISTRY/two" --cache-mode max t.pkr.hcl
wait $!
build w3 w3.json --cache-from "$REGISTRY/two" t.pkr.hcl
equal "a third one finds everything" 4 "$(cached w3.json)"
for store in a b heal w1 w2 w3; do left_behind "$store"; done
