#!/usr/bin/env bash
# One template, one digest: whatever the store, the threads, the times and places of the inputs,
# the user, the environment, and what was built before.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir -p repo/template/files/deep
for number in $(seq 40); do
    echo "file $number" > "repo/template/files/$number"
done
echo deep > repo/template/files/deep/file
ln -s ../1 repo/template/files/deep/link
chmod 754 repo/template/files/2
cat > repo/template/determinism.pkr.hcl <<'HCL'
source "oci" "one" {
  layout = "${path.root}/../fixtures/busybox"
}
source "oci" "two" {
  layout = "${path.root}/../fixtures/busybox"
}
build {
  name    = "same"
  sources = ["source.oci.one", "source.oci.two"]
  provisioner "file" {
    source      = "${path.root}/files/"
    destination = "/srv/files"
  }
  provisioner "shell" {
    inline = [
      "mkdir -p /srv/made && cd /srv/made",
      # More than one block of any compressor, and files in an order of the moment.
      "seq 1 400000 > numbers",
      "for n in $(seq 1 60 | shuf); do echo $n > $n; done",
      "ln 1 linked; ln -s linked symlink; mkfifo fifo; chmod 2755 .",
      "chown -R 7:8 /srv/made; chown -h 9:9 symlink",
      "sleep 0.3; touch late",
    ]
  }
  provisioner "shell" {
    inline = ["rm /srv/made/5; rm -r /srv/files/deep; mkdir /srv/files/deep; date > /dev/null"]
  }
  config {
    labels = { b = "2", a = "1", c = "3" }
    env    = { B = "2", A = "1" }
    ports  = ["443", "80"]
    cmd    = ["/bin/sh"]
  }
}
build {
  name    = "plain"
  sources = ["source.oci.one"]
  provisioner "file" {
    source      = "${path.root}/files/"
    destination = "/srv/files"
  }
  provisioner "shell" {
    inline = [
      "mkdir -p /srv/made/below && cd /srv/made",
      "for n in $(seq 1 20 | shuf); do echo $n > $n; done",
      "chmod 4755 3; chown -R 7:8 /srv/made; chown 33:8 1; chmod 2711 2; chown 7:44 below",
    ]
  }
}
HCL

# again WHAT COMMAND…: the digest must be the first one's.
again() {
    local what=$1
    shift
    "$@" || fail "$what: the build failed"
    equal "$what" "$digest" "$(digest_of again.json same.oci.one)"
    equal "$what, the other source" "$digest" "$(digest_of again.json same.oci.two)"
}

build store-1 first.json repo/template
digest=$(digest_of first.json same.oci.one)
equal "two sources of one build" "$digest" "$(digest_of first.json same.oci.two)"

again "another store, one thread" build store-2 again.json --threads 1 repo/template
again "two threads" build store-3 again.json --threads 2 repo/template
again "seven threads, one build at a time" build store-4 again.json --threads 7 --parallel-builds 1 repo/template
again "without the cache" build store-1 again.json --no-cache repo/template

find repo -exec touch --no-dereference --date=@1 {} +
again "touched inputs, from the store" build store-1 again.json repo/template
equal "touched inputs are hits" true "$(jq '[.builds[].layers[] | select(.step != null) | .cached] | all' again.json)"
again "touched inputs, a new store" build store-5 again.json repo/template

cp -r --preserve=mode,links repo "$WORK/moved to another place"
again "copied inputs" build store-6 again.json "moved to another place/template"
again "copied inputs, from the store" build store-1 again.json "moved to another place/template"
equal "copied inputs are hits" true "$(jq '[.builds[].layers[] | select(.step != null) | .cached] | all' again.json)"

cd repo/template
again "from within the folder" build "$WORK/store-7" again.json .
cd "$WORK"

strange() {
    (
        umask 077
        export TZ=Pacific/Kiritimati LANG=de_DE.UTF-8 TMPDIR="$WORK/moved to another place" HOME=/nonexistent EDITOR=ed
        build store-8 again.json repo/template
    )
}
again "another environment, time zone and umask" strange

build store-9 other.json repo/templates/quickstart
build store-9 other.json repo/templates/release -var "output=$WORK/out"
again "after unrelated builds" build store-9 again.json repo/template

for user in hardtack-sub hardtack-single; do
    mkdir "of-$user"
    chown "$user" "of-$user"
    as_user "$user" "$HARDTACK" build --store "of-$user/store" --metadata-file "of-$user/again.json" repo/template \
        > "of-$user/out" 2>&1 || { cat "of-$user/out"; fail "$user: build"; }
    # A single id keeps the owners of files and folders; links, fifos and groups that a folder
    # hands down are what it cannot keep (docs/sandbox.md).
    equal "$user: files and folders" "$(digest_of first.json plain.oci.one)" \
        "$(digest_of "of-$user/again.json" plain.oci.one)"
    [ "$user" = hardtack-single ] \
        || equal "$user" "$digest" "$(digest_of "of-$user/again.json" same.oci.one)"
done

SOURCE_DATE_EPOCH=1000000000 build store-10 epoch.json repo/template
[ "$(digest_of epoch.json same.oci.one)" != "$digest" ] || fail "SOURCE_DATE_EPOCH changes nothing"
equal "SOURCE_DATE_EPOCH is the time of creation" "2001-09-09T01:46:40Z" \
    "$("$HARDTACK" show --store store-10 --json same.oci.one | jq --raw-output .config.created)"

# Guards against a change of format that nobody meant. A deliberate one changes this line, and
# plan::key::FORMAT, in the same commit.
GOLDEN=$REPO/tests/e2e/determinism.golden
if [ -e "$GOLDEN" ]; then
    equal "the golden digest" "$(cat "$GOLDEN")" "$digest"
else
    fail "there is no $GOLDEN; this build's digest is $digest"
fi
