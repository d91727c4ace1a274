#!/usr/bin/env bash
# What is unchanged comes from the store, at once; what changed runs, and only that.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir -p template/files
echo one > template/files/one
echo two > template/files/two
cat > template/cache.pkr.hcl <<'HCL'
variable "word" {
  type    = string
  default = "first"
}
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "cache"
  sources = ["source.oci.base"]
  provisioner "shell" {
    name = "one"
    inline = ["mkdir /srv; echo one > /srv/one"]
  }
  provisioner "file" {
    name = "two"
    source      = "${path.root}/files"
    destination = "/srv"
  }
  provisioner "shell" {
    name = "three"
    env    = { WORD = var.word }
    # Only the length counts: two words of one length give the same layer.
    inline = ["echo $${#WORD} > /srv/three"]
  }
  provisioner "shell" {
    name = "four"
    inline = ["cat /srv/one /srv/files/* /srv/three > /srv/four; sleep 1"]
  }
}
HCL

# steps METADATA: h for a step from the store, r for one that ran, in their order.
steps() {
    jq --raw-output '[.builds[].layers[] | select(.step != null) | if .cached then "h" else "r" end] | join("")' "$1"
}
# states: the same for what `hardtack plan` says; l for later.
states() {
    "$HARDTACK" plan --store store --json template \
        | jq --raw-output '[.builds[].steps[].state[0:1]] | join("")'
}
equal "plan: before anything was built" muuu "$(states)"
build store a.json template
equal "the first build runs everything" rrrr "$(steps a.json)"
digest=$(digest_of a.json cache.oci.base)

equal "plan: all there" hhhh "$(states)"
begin=$(date +%s%N)
build store b.json template
took=$((($(date +%s%N) - begin) / 1000000))
equal "the second build runs nothing" hhhh "$(steps b.json)"
equal "the second build gives the same" "$digest" "$(digest_of b.json cache.oci.base)"
[ $took -lt 500 ] || fail "the second build took $took ms"
echo "ok: the second build took $took ms"

# Neither times nor comments nor formatting are inputs.
touch template/files/one
printf '# A comment.\n\n' | cat - template/cache.pkr.hcl > x && mv x template/cache.pkr.hcl
equal "plan: times and comments" hhhh "$(states)"

# One changed file: that step and what follows, and plan says which file.
echo changed > template/files/two
equal "plan: a changed file" hmuu "$(states)"
"$HARDTACK" plan --store store template > planned
contains "plan names the changed file" planned files/two
! grep -q files/one planned || { cat planned; fail "plan names a file that did not change"; }
build store c.json template
equal "a changed file" hrrr "$(steps c.json)"
[ "$(digest_of c.json cache.oci.base)" != "$digest" ] || fail "a changed file changes nothing"
equal "plan changed nothing" hhhh "$(states)"

# The old content again: everything is still there.
echo two > template/files/two
equal "plan: the old file" hhhh "$(states)"
build store d.json template
equal "the old file gives the old image" "$digest" "$(digest_of d.json cache.oci.base)"

# Permission bits and names are inputs.
chmod 600 template/files/one
equal "plan: a changed mode" hmuu "$(states)"
chmod 644 template/files/one
mv template/files/one template/files/uno
equal "plan: a changed name" hmuu "$(states)"
mv template/files/uno template/files/one

# Early cutoff: the third step runs and gives the same layer, so the fourth need not run.
"$HARDTACK" plan --store store -var word=other template > planned
contains "plan names the changed variable" planned WORD
build store e.json -var word=other template
equal "early cutoff" hhrh "$(steps e.json)"
equal "early cutoff gives the same image" "$digest" "$(digest_of e.json cache.oci.base)"
build store f.json -var word=longer-word template
equal "another layer, no cutoff" hhrr "$(steps f.json)"

# A changed line: that step and what follows. The step before it stays.
sed -i 's|cat /srv/one|cat /srv/one /srv/one|' template/cache.pkr.hcl
equal "plan: a changed line" hhhm "$(states)"
build store g.json template
equal "a changed line" hhhr "$(steps g.json)"

# The configuration is not an input of steps, but of the image.
sed -i 's|^build {|build {\n  config {\n    labels = { a = "b" }\n  }|' template/cache.pkr.hcl
build store h.json template
equal "a changed label runs nothing" hhhh "$(steps h.json)"
[ "$(digest_of h.json cache.oci.base)" != "$(digest_of g.json cache.oci.base)" ] || fail "a label is not in the image"

# Steps that never come from the store, and inputs that a command reads.
mkdir always
cat > always/always.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "always"
  sources = ["source.oci.base"]
  provisioner "shell" {
    name = "inputs"
    inputs = ["${path.root}/input-*"]
    inline = ["echo x > /x"]
  }
  provisioner "shell" {
    name = "never"
    cache  = false
    inline = ["echo y > /y"]
  }
  provisioner "shell" {
    name = "after"
    inline = ["echo z > /z"]
  }
}
HCL
echo 1 > always/input-one
build store i.json always
build store j.json always
equal "cache = false runs each time, and what follows is cut off" hrh "$(steps j.json)"
echo 2 > always/input-one
build store k.json always
equal "a changed input runs the step; its layer is the same" rrh "$(steps k.json)"
build store l.json --no-cache always
equal "--no-cache runs everything" rrr "$(steps l.json)"

# A step that changes nothing makes no layer, and is a hit the next time.
mkdir nothing
cat > nothing/nothing.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "nothing"
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo said and done"] }
}
HCL
build store m.json nothing
equal "no layer for a step that changes nothing" 1 "$(jq '.builds[].layers | length' m.json)"
build store n.json nothing
! grep -q 'said and done' n.json.err || fail "a step that changes nothing ran again"

# Fully cached builds materialise no tree: they need nothing but the small files.
build store-lazy o.json template
rm -rf store-lazy/trees
build store-lazy p.json template
equal "no tree is needed for hits" hhhh "$(steps p.json)"
[ -z "$(ls -A store-lazy/trees 2> /dev/null)" ] || fail "a fully cached build unpacked a tree"
left_behind store
