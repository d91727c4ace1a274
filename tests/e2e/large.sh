#!/usr/bin/env bash
# Files that do not fit into a tar header's octal size (8 GiB), sparse files, and many files.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir template
cat > template/large.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "large"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = [
      "mkdir /srv",
      "truncate -s 9000000000 /srv/large",
      "echo end >> /srv/large",
    ]
  }
  provisioner "shell" {
    inline = [
      "mkdir /many; cd /many",
      "for a in $(seq 100); do mkdir $a; for b in $(seq 200); do echo $b > $a/$b; done; done",
    ]
  }
  post-processor "oci-layout" {
    path      = "out"
    reference = "x"
  }
}
HCL
/usr/bin/time --format '%M' --output peak "$HARDTACK" build --store store --metadata-file metadata.json template \
    > stdout 2> said || { cat said; fail "build"; }
blob() {
    jq --raw-output ".builds[].layers[$1].digest" metadata.json | sed 's|sha256:|out/blobs/sha256/|'
}
equal "the size in the tar" 9000000004 \
    "$(tar --list --verbose --gzip --file "$(blob 1)" | awk '$6 == "srv/large" { print $3 }')"
equal "the end of the file" end "$(tar --extract --to-stdout --gzip --file "$(blob 1)" srv/large | tail -c 4)"
equal "many files" 20000 "$(tar --list --gzip --file "$(blob 2)" | grep -c '^many/[0-9]*/[0-9]')"
echo "peak memory: $(tail -n 1 peak) KiB"
[ "$(tail -n 1 peak)" -lt 400000 ] || fail "memory grows with the size of a file"
"$HARDTACK" run --store store large.oci.base -- sh -c 'test $(stat -c %s /srv/large) = 9000000004'
equal "the disk takes no more than what is there" small \
    "$([ "$(du --summarize --block-size=1M store | cut -f1)" -lt 500 ] && echo small)"
left_behind store
