#!/usr/bin/env bash
# Garbage collection: what takes the disk, what goes, what stays, and that nothing in use goes.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
template() {
    cat > "$1" <<HCL
source "oci" "base" {
  layout = "$WORK/repo/fixtures/busybox"
}
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["head -c 500000 /dev/urandom > /one", "ln /one /same", "chown 7:7 /one", "mkdir -m 0 /closed"]
  }
  provisioner "shell" {
    inline = ["$2"]
  }
}
HCL
}
template t.pkr.hcl "cat /one > /two"
# sum STORE: what `cache du` says that the store takes.
sum() {
    "$HARDTACK" cache du --store "$1" --json | jq .bytes
}
disk() {
    du --summarize --block-size=1 "$1" | cut -f1
}
image=app.oci.base

echo "--- accounts"
build a a.json t.pkr.hcl
digest=$(digest_of a.json $image)
# Counting leaves a note beside each tree, so the second answer is the settled one.
sum a > /dev/null
equal "du agrees with du" "$(disk a)" "$(sum a)"
equal "kinds add up" "$(sum a)" "$("$HARDTACK" cache du --store a --json | jq '[.kinds[].bytes] | add')"
"$HARDTACK" cache du --store a > du.out
contains "a table" du.out RECLAIMABLE
equal "two steps are listed" 2 "$("$HARDTACK" cache ls --store a --json | jq length)"
equal "with their build" "$image" "$("$HARDTACK" cache ls --store a --json | jq -r '.[0].build')"

echo "--- what is of no use"
template changed.pkr.hcl "echo changed > /two"
build a b.json changed.pkr.hcl
changed=$(digest_of b.json $image)
sum a > /dev/null
before=$(disk a)
"$HARDTACK" cache prune --store a --dry-run > /dev/null
equal "a dry run removes nothing" "$before" "$(disk a)"
[ -e "a/blobs/sha256/${digest#sha256:}" ] || fail "the older image is gone"
"$HARDTACK" cache prune --store a
[ ! -e "a/blobs/sha256/${digest#sha256:}" ] || fail "the older image is still there"
build a c.json t.pkr.hcl
equal "results of steps stay" 2 "$(grep -c ': cached' c.json.err)"
equal "and give the same image" "$digest" "$(digest_of c.json $image)"

echo "--- age and size"
equal "three results" 3 "$("$HARDTACK" cache ls --store a --json | jq length)"
"$HARDTACK" cache prune --store a --older-than 1h > /dev/null
equal "nothing is old" 3 "$("$HARDTACK" cache ls --store a --json | jq length)"
find a/steps a/trees/*/*/ -maxdepth 1 -exec touch -d '3 days ago' {} +
find a/trees -name used -exec touch -d '3 days ago' {} +
build a d.json changed.pkr.hcl
"$HARDTACK" cache prune --store a --older-than 2d --json > prune.json
equal "what was used today stays" 2 "$("$HARDTACK" cache ls --store a --json | jq length)"
[ "$(jq .trees prune.json)" -gt 0 ] || fail "no tree went: $(cat prune.json)"
"$HARDTACK" run --store a $image -- cat /two > two
equal "and works" changed "$(cat two)"
"$HARDTACK" cache prune --store a --keep-size 1 > keep.out 2> keep.err
contains "images stay" keep.err "images are not removed"
equal "no tree is left" 0 "$(find a/trees -mindepth 2 -maxdepth 2 | wc -l)"
left_behind a
"$HARDTACK" run --store a $image -- cat /two > two
equal "an image needs no results" changed "$(cat two)"
"$HARDTACK" cache prune --store a --all > /dev/null
equal "nothing is left but the image" 0 "$("$HARDTACK" cache ls --store a --json | jq length)"
equal "all that can go has gone" 0 "$("$HARDTACK" cache du --store a --json | jq .reclaimable)"
"$HARDTACK" show --store a $image > /dev/null
build limited e.json --cache-size 1 t.pkr.hcl
equal "a limit is kept after a build" 0 "$(find limited/trees -mindepth 2 -maxdepth 2 | wc -l)"
"$HARDTACK" run --store limited $image -- test -s /two

echo "--- images of other tools"
skopeo copy --quiet "oci:repo/fixtures/busybox" oci:limited:theirs
"$HARDTACK" cache prune --store limited --all > /dev/null
skopeo copy --quiet oci:limited:theirs oci:copied:theirs
echo "ok: they stay"

echo "--- a store that is in use"
template slow.pkr.hcl "sleep 3; cat /one > /three"
build busy busy.json t.pkr.hcl
build busy slow.json slow.pkr.hcl &
slow=$!
sleep 1
start=$(date +%s%N)
"$HARDTACK" cache prune --store busy --all > /dev/null 2> wait.err
took=$((($(date +%s%N) - start) / 1000000))
wait $slow
contains "a prune says that it waits" wait.err "waiting for other runs"
[ $took -gt 1000 ] || fail "it did not wait: $took ms"
"$HARDTACK" run --store busy $image -- test -s /three
echo "ok: and removes nothing that a build uses"
left_behind busy

echo "--- many at once"
for round in 1 2 3; do
    for number in 1 2; do
        template "m$number.pkr.hcl" "cat /one > /m$number"
        build many "m$number.json" "m$number.pkr.hcl" &
    done
    "$HARDTACK" cache prune --store many --all > /dev/null 2>&1 &
    wait
    "$HARDTACK" run --store many $image -- test -s /one || fail "round $round"
done
left_behind many
echo "ok: builds and prunes side by side"

echo "--- killed while it removes"
build killed k.json t.pkr.hcl
digest=$(digest_of k.json $image)
for delay in 0.002 0.005 0.01 0.02 0.05; do
    timeout --signal=KILL $delay "$HARDTACK" cache prune --store killed --all > /dev/null 2>&1 || true
    build killed k2.json t.pkr.hcl
    "$HARDTACK" run --store killed $image -- test -s /two || fail "killed after $delay"
done
left_behind killed
echo "ok: the store works"

echo "--- export and import"
build from from.json t.pkr.hcl
"$HARDTACK" cache export --store from results > /dev/null
"$HARDTACK" cache export --store from results.tar > /dev/null
for path in results results.tar; do
    "$HARDTACK" cache import --store "to-$path" "$path" > /dev/null
    build "to-$path" to.json t.pkr.hcl
    equal "$path holds everything" 2 "$(grep -c ': cached' to.json.err)"
    equal "and gives the same image" "$(digest_of from.json $image)" "$(digest_of to.json $image)"
done
skopeo copy --quiet "oci:results:$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' results/index.json)" oci:record:x
echo "ok: skopeo reads it"

for user in hardtack-sub hardtack-single; do
    echo "--- as $user"
    mkdir "of-$user"
    chown "$user" "of-$user"
    as_user "$user" "$HARDTACK" build --store "of-$user/store" t.pkr.hcl > user.out 2>&1 || { cat user.out; fail "a build"; }
    as_user "$user" "$HARDTACK" cache du --store "of-$user/store" > /dev/null
    equal "du counts all that du counts" "$(disk "of-$user/store")" \
        "$(as_user "$user" "$HARDTACK" cache du --store "of-$user/store" --json | jq .bytes)"
    as_user "$user" "$HARDTACK" cache prune --store "of-$user/store" --all
    equal "all trees go" 0 "$(find "of-$user/store/trees" -mindepth 2 -maxdepth 2 | wc -l)"
    left_behind "of-$user/store"
done
