#!/usr/bin/env bash
# Bad input gets one clear error and exit code 1 (4 for the host's own limits), with nothing half
# done: templates, arguments, images, a damaged store, a full disk, a host that forbids too much.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir template outside
touch outside/keep

# wrong MESSAGE…: counts a case that went wrong; the others still run.
wrong_cases=0
wrong() {
    wrong_cases=$((wrong_cases + 1))
    echo "WRONG: $*"
    head -n 12 said | sed 's/^/    /'
}

# attempt CODE WHAT COMMAND…: runs hardtack and expects an exit code; what it says is in `said`.
attempt() {
    local expected=$1 what=$2 code=0
    shift 2
    if [ "$1" = as_user ]; then
        "$@" > stdout 2> said || code=$?
    else
        timeout --kill-after=5 60 "$@" > stdout 2> said || code=$?
    fi
    [ $code = "$expected" ] || wrong "$what: expected exit code $expected, found $code"
    ! grep -qiE 'panicked|RUST_BACKTRACE|bug in hardtack' said || wrong "$what: panics"
    if [ "$expected" != 0 ]; then
        grep -qi error said || wrong "$what: no error is told"
    fi
}

# says WHAT TEXT…: each text must be in what was said.
says() {
    local what=$1 text
    shift
    for text in "$@"; do
        grep -qiF -- "$text" said || wrong "$what: does not say: $text"
    done
    echo "ok: $what"
}

# bad WHAT TEXT… < TEMPLATE: a template that must be refused before anything runs.
bad() {
    local what=$1
    shift
    cat > template/bad.pkr.hcl
    attempt 1 "$what" "$HARDTACK" build --store store-bad template
    [ ! -s stdout ] || wrong "$what: something is on stdout"
    says "$what" "$@"
}

BASE='source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
'

# --- Templates: the language.
bad "a syntax error" "bad.pkr.hcl:1:" <<< 'source "oci" {{{'
bad "an unclosed string" "bad.pkr.hcl:2:" <<< 'locals {
  a = "open
}'
bad "an unclosed block" "bad.pkr.hcl" <<< 'build {'
bad "not UTF-8" "UTF-8" < <(printf 'locals {\n  a = "\xff\xfe"\n}\n')
bad "an unknown block" "sorce" "source" <<< 'sorce "oci" "base" {}'
bad "an unknown variable" "bad.pkr.hcl:" "nmae" <<< "$BASE"'variable "name" { default = "x" }
build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo ${var.nmae}"] }
}'
bad "an unknown local" "local.b" <<< "$BASE"'locals { a = local.b }
build { sources = ["source.oci.base"] }'
bad "an unknown function" "uper" "upper" <<< "$BASE"'locals { a = uper("x") }
build { sources = ["source.oci.base"] }'
bad "a wrong number of arguments" "upper" <<< "$BASE"'locals { a = upper("x", "y") }
build { sources = ["source.oci.base"] }'
bad "a wrong type" "number" <<< "$BASE"'locals { a = 1 + "one" }
build { sources = ["source.oci.base"] }'
bad "a division by zero" "zero" <<< "$BASE"'locals { a = 0 / 0 }
build { sources = ["source.oci.base"] }'
bad "locals in a circle" "local.a" "local.b" <<< "$BASE"'locals {
  a = local.b
  b = local.a
}
build { sources = ["source.oci.base"] }'
bad "a variable without value" "needed" <<< "$BASE"'variable "needed" { type = string }
build { sources = ["source.oci.base"] }'
bad "a validation that fails" "must be short" <<< "$BASE"'variable "name" {
  default = "too long"
  validation {
    condition     = length(var.name) < 3
    error_message = "The name must be short."
  }
}
build { sources = ["source.oci.base"] }'
bad "a list index out of range" "bad.pkr.hcl:" <<< "$BASE"'locals { a = ["x"][5] }
build { sources = ["source.oci.base"] }'
bad "the same variable twice" "name" <<< "$BASE"'variable "name" { default = "x" }
variable "name" { default = "y" }
build { sources = ["source.oci.base"] }'
{ printf 'locals {\n  a = '; printf '(%.0s' $(seq 20000); printf '1'; printf ')%.0s' $(seq 20000); printf '\n}\n'; } > template/deep
bad "nested without end" "bad.pkr.hcl" < template/deep
rm template/deep
bad "all mistakes at once" "unknown_one" "unknown_two" "unknown_three" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" { inline = [var.unknown_one] }
  provisioner "shell" { inline = [local.unknown_two] }
  provisioner "unknown_three" {}
}'

# --- Templates: components.
bad "no build" "build" <<< "$BASE"
bad "an unknown source" "bsae" "base" <<< "$BASE"'build { sources = ["source.oci.bsae"] }'
bad "an unknown kind of source" "docker" <<< 'source "docker" "x" { image = "x" }
build { sources = ["source.docker.x"] }'
bad "an unknown provisioner" "shel" "shell" "bad.pkr.hcl:6:" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shel" { inline = ["x"] }
}'
bad "an unknown post-processor" "oci-layuot" "oci-layout" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  post-processor "oci-layuot" { path = "x" }
}'
bad "an unknown option" "inlnie" "inline" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" { inlnie = ["x"] }
}'
bad "a missing option" "destination" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "file" { content = "x" }
}'
bad "options that exclude each other" "only one of" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["x"]
    script = "x"
  }
}'
bad "a missing file" "no-such-file" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "file" {
    source      = "${path.root}/no-such-file"
    destination = "/x"
  }
}'
bad "a missing script" "no-such-script" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" { script = "${path.root}/no-such-script" }
}'
bad "a missing layout" "no-such-layout" <<< 'source "oci" "base" { layout = "no-such-layout" }
build { sources = ["source.oci.base"] }'
bad "a source without origin" "scratch" <<< 'source "oci" "base" {}
build { sources = ["source.oci.base"] }'
bad "builds in a circle" "circle" <<< 'source "oci" "a" { from = "two.oci.b" }
source "oci" "b" { from = "one.oci.a" }
build {
  name    = "one"
  sources = ["source.oci.a"]
}
build {
  name    = "two"
  sources = ["source.oci.b"]
}'
bad "a build that starts from an unknown one" "on.oci.base" "one.oci.base" <<< "$BASE"'source "oci" "b" { from = "on.oci.base" }
build {
  name    = "one"
  sources = ["source.oci.base"]
}
build {
  name    = "two"
  sources = ["source.oci.b"]
}'
bad "two builds of one name" "oci.base" <<< "$BASE"'build { sources = ["source.oci.base"] }
build { sources = ["source.oci.base"] }'
bad "a bad port" "99999" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  config { ports = ["99999"] }
}'
bad "a bad timeout" "timeout" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    timeout = "soon"
    inline  = ["x"]
  }
}'
bad "a bad network" "network" <<< "$BASE"'build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    network = "bridge"
    inline  = ["x"]
  }
}'
bad "a suite that looks like an option" "suite" <<< 'source "debootstrap" "x" { suite = "--hook-dir=/tmp" }
build { sources = ["source.debootstrap.x"] }'
equal "nothing is outside" keep "$(ls -A outside)"
equal "refused templates leave no image" "[]" "$("$HARDTACK" images --store store-bad --json | jq --compact-output '.images? // .')"

# --- Arguments.
attempt 1 "a missing template" "$HARDTACK" build --store store-bad no-such-template
says "a missing template" no-such-template
mkdir empty
attempt 1 "an empty folder" "$HARDTACK" build --store store-bad empty
says "an empty folder" .pkr.hcl
attempt 1 "an unknown variable" "$HARDTACK" build --store store-bad -var nmae=x repo/templates/quickstart
says "an unknown variable" nmae
attempt 1 "a variable without value" "$HARDTACK" build --store store-bad -var name repo/templates/quickstart
attempt 1 "a missing variable file" "$HARDTACK" build --store store-bad -var-file none.pkrvars.hcl repo/templates/quickstart
says "a missing variable file" none.pkrvars.hcl
attempt 1 "only what there is not" "$HARDTACK" build --store store-bad -only=nothing repo/templates/quickstart
says "only what there is not" quickstart.oci.busybox
attempt 1 "an unknown image" "$HARDTACK" show --store store-bad nothing
says "an unknown image" nothing "hardtack images"
echo text > file
attempt 4 "a store that is a file" "$HARDTACK" build --store file repo/templates/quickstart
says "a store that is a file" file
attempt 4 "a store that cannot be written" as_user hardtack-single "$HARDTACK" build --store /proc/store repo/templates/quickstart

# --- Steps that fail.
mkdir failing
cat > failing/failing.pkr.hcl <<< "$BASE"'build {
  name    = "failing"
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["echo fine > /fine"] }
  provisioner "shell" {
    inline = ["echo the last words", "exit 3"]
  }
  post-processor "oci-archive" { path = "failing.tar" }
}'
attempt 1 "a failing step" "$HARDTACK" build --store store-failing failing
says "a failing step" "failing.pkr.hcl:8:" "exited with code 3" "the last words"
[ ! -e failing.tar ] || fail "a failing step: the post-processor ran"
! "$HARDTACK" images --store store-failing | grep -q failing || fail "a failing step: there is an image"
left_behind store-failing
sed -i 's/exit 3/no-such-command/' failing/failing.pkr.hcl
attempt 1 "a missing command" "$HARDTACK" build --store store-failing failing
says "a missing command" no-such-command 127
attempt 1 "a failing step that is tried again" "$HARDTACK" build --store store-failing failing
sed -i 's/no-such-command/kill -KILL $$/' failing/failing.pkr.hcl
attempt 1 "a killed command" "$HARDTACK" build --store store-failing failing
says "a killed command" "signal 9"
sed -i 's/kill -KILL [$][$]/true/' failing/failing.pkr.hcl
sed -i 's|path = "failing.tar"|path = "/proc/failing.tar"|' failing/failing.pkr.hcl
attempt 1 "a post-processor that cannot write" "$HARDTACK" build --store store-failing failing
says "a post-processor that cannot write" oci-archive /proc

# --- Images.
mkdir hostile hostile-template
cat > hostile-template/hostile.pkr.hcl <<'HCL'
variable "name" {
  type = string
}
source "oci" "hostile" {
  layout = "${path.root}/../hostile/${var.name}"
}
build {
  name    = "hostile"
  sources = ["source.oci.hostile"]
  provisioner "shell" {
    inline_shebang = "/bin/busybox sh -e"
    inline         = ["true"]
  }
  provisioner "file" {
    content     = "x"
    destination = "/tmp/x"
  }
}
HCL
"$REPO/tests/make_hostile_images.py" repo/fixtures/busybox "$WORK/outside" hostile > hostile.tsv
cp /etc/passwd /etc/hosts /etc/resolv.conf .
while IFS=$'\t' read -r name outcome; do
    code=0
    timeout --kill-after=5 60 "$HARDTACK" build --store store-hostile -var "name=$name" hostile-template \
        > stdout 2> said || code=$?
    ! grep -qiE 'panicked|bug in hardtack' said || wrong "hostile image $name: panics"
    case $code-$outcome in
        1-*) grep -qi error said || wrong "hostile image $name: no error is told" ;;
        0-harmless) ;;
        *) wrong "hostile image $name: exit code $code, where it must be $outcome" ;;
    esac
    [ "$(ls -A outside)" = keep ] || fail "hostile image $name: changed the host"
    for file in passwd hosts resolv.conf; do
        cmp $file /etc/$file || fail "hostile image $name: changed /etc/$file"
    done
    left_behind store-hostile
    echo "ok: hostile image $name (exit code $code)"
    rm -rf "hostile/$name"
done < hostile.tsv
build store-hostile hostile.json repo/templates/quickstart
build store-clean clean.json repo/templates/quickstart
equal "a good build on the same store" "$(digest_of clean.json quickstart.oci.busybox)" \
    "$(digest_of hostile.json quickstart.oci.busybox)"

# --- A damaged store: an error, or the damage is repaired; never a wrong image.
mkdir export
cp -r repo/templates/quickstart export/quickstart
sed -i 's|/../../fixtures|/../../repo/fixtures|' export/quickstart/*.hcl
cat > export/quickstart/export.pkr.hcl <<'HCL'
source "oci" "again" {
  from = "quickstart.oci.busybox"
}
build {
  name    = "exported"
  sources = ["source.oci.again"]
  post-processor "oci-layout" {
    path      = "exported"
    reference = "x"
  }
}
HCL
build store-good good.json export/quickstart
whole=$(digest_of good.json exported.oci.again)
number=0
for blob in $(cd store-good && find blobs -type f | sort); do
    for damage in flip cut empty remove; do
        rm -rf store-damaged exported
        cp -a store-good store-damaged
        case $damage in
            flip) printf '\377' | dd of="store-damaged/$blob" bs=1 seek=40 conv=notrunc status=none ;;
            cut) truncate --size=-10 "store-damaged/$blob" ;;
            empty) truncate --size=0 "store-damaged/$blob" ;;
            remove) rm -f "store-damaged/$blob" ;;
        esac
        code=0
        "$HARDTACK" build --store store-damaged --metadata-file damaged.json export/quickstart \
            > stdout 2> said || code=$?
        ! grep -qiE 'panicked' said || wrong "damaged store: panics"
        if [ $code = 0 ]; then
            [ "$whole" = "$(digest_of damaged.json exported.oci.again)" ] || wrong "$damage $blob: another image"
            skopeo copy --quiet oci:exported:x "dir:checked" || wrong "$damage $blob: a wrong layout was written"
            rm -rf checked
        else
            grep -qF "${blob##*/}" said || wrong "$damage $blob: the error does not name it"
            echo "ok: $damage $blob: an error"
        fi
        number=$((number + 1))
    done
done
[ $number -gt 10 ] || fail "the damaged store: only $number cases"
for file in $(cd store-good && find . -type f -not -path './blobs/*' -not -path './trees/*' | sort); do
    rm -rf store-damaged exported
    cp -a store-good store-damaged
    echo 'no json {' > "store-damaged/$file"
    code=0
    "$HARDTACK" build --store store-damaged --metadata-file damaged.json export/quickstart \
        > stdout 2> said || code=$?
    ! grep -qiE 'panicked' said || wrong "damaged $file: panics"
    if [ $code = 0 ]; then
        [ "$whole" = "$(digest_of damaged.json exported.oci.again)" ] || wrong "damaged $file: another image"
    else
        grep -qi error said || wrong "damaged $file: no error is told"
        echo "ok: damaged $file: an error"
    fi
done
rm -rf store-damaged

# --- A disk that is full.
mkdir small full
cat > full/full.pkr.hcl <<< "$BASE"'build {
  name    = "full"
  sources = ["source.oci.base"]
  provisioner "shell" { inline = ["seq 1 2000 > /numbers"] }
  provisioner "shell" { inline = ["dd if=/dev/urandom of=/big bs=1M count=40 2> /dev/null"] }
}'
# An ext4 in a file where loop devices exist, since tmpfs has no user attributes on older kernels.
truncate --size=24M small.img
mkfs.ext4 -q small.img
mount -o loop small.img small 2> /dev/null || mount -t tmpfs -o size=24m tmpfs small
at_exit+=("umount --lazy '$WORK/small' 2> /dev/null")
for _ in 1 2; do
    code=0
    "$HARDTACK" build --store small/store full > stdout 2> said || code=$?
    [ $code = 1 ] || [ $code = 4 ] || { cat said >&2; fail "a full disk: exit code $code"; }
    grep -qiE 'space|full' said || { cat said >&2; fail "a full disk: the error does not say so"; }
done
! "$HARDTACK" images --store small/store | grep -q full || fail "a full disk: there is an image"
build small/store small.json repo/templates/quickstart || fail "a full disk: the store is of no use after it"
equal "after a full disk" "$(digest_of clean.json quickstart.oci.busybox)" "$(digest_of small.json quickstart.oci.busybox)"
rm -rf small/store
dd if=/dev/zero of=small/filler bs=1M 2> /dev/null || true
sed "s|path      = \"exported\"|path      = \"$WORK/small/exported\"|" export/quickstart/export.pkr.hcl > export/quickstart/x
mv export/quickstart/x export/quickstart/export.pkr.hcl
code=0
"$HARDTACK" build --store store-good export/quickstart > stdout 2> said || code=$?
[ $code = 1 ] || [ $code = 4 ] || { cat said >&2; fail "an export to a full disk: exit code $code"; }
grep -qiE 'space' said || { cat said >&2; fail "an export to a full disk: the error does not say so"; }
[ ! -e small/exported/index.json ] || [ ! -s small/exported/index.json ] || fail "an export to a full disk: a layout is there"
umount small
echo "ok: a full disk"

# --- A host without user namespaces.
# The limit counts for each user namespace by itself: it is set in one made for this, so that the rest
# of the host does not see it.
mkdir of-single
chown hardtack-single of-single
code=0
as_user hardtack-single unshare --user --map-current-user --keep-caps sh -ec '
    echo 0 > /proc/sys/user/max_user_namespaces
    exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' sh \
    "$HARDTACK" build --store of-single/store repo/templates/quickstart > stdout 2> said || code=$?
equal "no user namespaces: exit code" 4 $code
says "no user namespaces" max_user_namespaces

equal "cases that went wrong" 0 $wrong_cases
