#!/usr/bin/env bash
# Parts of a template's builds: together they are all, each build is in one, and what starts from
# another build goes with it.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir template
{
    cat <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
source "oci" "on-top" {
  from = "one.oci.base"
}
build {
  name    = "top"
  sources = ["source.oci.on-top"]
}
HCL
    for name in one two three four; do
        printf 'build {\n  name    = "%s"\n  sources = ["source.oci.base"]\n  provisioner "shell" {\n    inline = ["echo %s > /name"]\n  }\n}\n' "$name" "$name"
    done
} > template/t.pkr.hcl

# part I/N FLAG…: the builds of a part.
part() {
    "$HARDTACK" plan --store store --json --shard "$@" template | jq -r '.builds[].name' | sort | paste -sd' '
}
all="four.oci.base one.oci.base three.oci.base top.oci.on-top two.oci.base"
for count in 1 2 3 7; do
    found=$(for number in $(seq $count); do part "$number/$count"; done | tr ' ' '\n' | sed '/^$/d' | sort | paste -sd' ')
    equal "$count parts are the whole" "$all" "$found"
done
equal "what starts from another build goes with it" "one.oci.base top.oci.on-top" "$(part 1/2 | tr ' ' '\n' | grep -E 'one|top' | paste -sd' ')"
equal "a part may be empty" "" "$(part 7/7)"

# By known seconds, the slow build has a part of its own.
jq -n '{builds: {"one.oci.base": {seconds: 1}, "top.oci.on-top": {seconds: 1}, "two.oci.base": {seconds: 100},
    "three.oci.base": {seconds: 1}, "four.oci.base": {seconds: 1}}}' > costs.json
equal "the slowest build has the first part" "two.oci.base" "$(part 1/2 --shard-costs costs.json)"

# The parts are built, with the file of one run as the costs of the next.
build store a.json --shard 1/2 template
build store b.json --shard 2/2 template
equal "both parts are built" "$all" "$(jq -r '.builds | keys[]' a.json b.json | sort | paste -sd' ')"
build store c.json --shard 1/1 --shard-costs a.json template
build store d.json --shard 7/7 template
equal "an empty part builds nothing" "{}" "$(jq -c .builds d.json)"
for wrong in 0/2 3/2 x 1/0; do
    if "$HARDTACK" plan --store store --shard $wrong template > out 2> err; then fail "--shard $wrong was taken"; fi
    contains "--shard $wrong is refused" err "I from 1 to N"
done
if "$HARDTACK" plan --store store --shard 1/2 --shard-costs template/t.pkr.hcl template > out 2> err; then fail "costs that are none were taken"; fi
contains "what holds no costs is told" err "metadata-file"
