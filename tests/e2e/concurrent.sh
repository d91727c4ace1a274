#!/usr/bin/env bash
# Builds at once on one store give what one after the other gives, and share the work.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir template
cat > template/concurrent.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "shared"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir /srv; echo one > /srv/one; sleep 1"]
  }
  provisioner "shell" {
    inline = ["seq 1 200000 > /srv/two; sleep 1"]
  }
}
build {
  name    = "forked"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir /srv; echo one > /srv/one; sleep 1"]
  }
  provisioner "shell" {
    inline = ["echo other > /srv/two"]
  }
}
HCL
build store-reference reference.json template
for name in shared.oci.base forked.oci.base; do
    digest_of reference.json $name
done > digests

# Three processes, one store, from nothing.
pids=()
for number in 1 2 3; do
    build store "metadata-$number.json" template &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || fail "a build at the same time failed"
done
for number in 1 2 3; do
    for name in shared.oci.base forked.oci.base; do
        digest_of "metadata-$number.json" $name
    done > found
    cmp digests found || fail "process $number has other digests"
done
ran=$(jq --slurp '[.[].builds[].layers[] | select(.step != null and (.cached | not)) | .key] | length' metadata-?.json)
equal "each step ran once, in whichever process came first" 3 "$ran"
left_behind store

# One of two is killed: the other one takes over.
rm -rf store
"$HARDTACK" build --store store template > killed.out 2>&1 &
first=$!
sleep 0.5
build store second.json template &
second=$!
sleep 0.5
kill -KILL $first
wait $first 2> /dev/null || true
wait $second || fail "the build that waited for a killed one failed"
for name in shared.oci.base forked.oci.base; do
    digest_of second.json $name
done > found
cmp digests found || fail "other digests after the other process was killed"
echo "ok: a killed build does not hold up another"

# Different templates on one store.
build store a.json repo/templates/quickstart &
first=$!
build store b.json repo/templates/release -var "output=$WORK/out" &
second=$!
wait $first || fail "quickstart failed beside another build"
wait $second || fail "release failed beside another build"
build store-reference c.json repo/templates/quickstart
equal "quickstart beside another build" "$(digest_of c.json quickstart.oci.busybox)" "$(digest_of a.json quickstart.oci.busybox)"
"$HARDTACK" images --store store --json | jq --exit-status . > /dev/null
left_behind store
