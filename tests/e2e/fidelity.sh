#!/usr/bin/env bash
# Everything odd about files survives the way through tar, overlay, layer and image, and what steps
# do to it is what any other tool unpacks. The expected tree is made by GNU tar and a chroot.
. "$(dirname "$0")/../lib.sh"

NEWEST=1735689600 # tests/make_odd_tree.py
unpack() {
    mkdir "$2"
    tar --extract --xattrs --xattrs-include='*' --numeric-owner --preserve-permissions \
        --delay-directory-restore --warning=no-unknown-keyword --file "$1" --directory "$2"
}
compare() {
    local what=$1
    shift
    "$REPO/tests/compare_trees.py" "$@" > differences || { cat differences >&2; fail "$what"; }
    echo "ok: $what: $(tail -n 1 differences)"
}

"$REPO/tests/make_odd_tree.py" /bin/busybox odd.tar
unpack odd.tar expected

mkdir template
cat > template/first.sh <<'SCRIPT'
set -e
cd /odd
# Removed: whiteouts of a file and of a folder.
rm -r removed many/0007
# Removed and made again: opaque.
rm -r replaced
mkdir -m 0700 replaced
echo new > replaced/new
# Emptied, but still the same folder.
rm -r emptied/*
# A folder becomes a file, and a file becomes a folder.
rm -r touched/below
echo file > touched/below
rm many/0001
mkdir many/0001
echo below > many/0001/file
mv moved moved-away
# Only metadata.
chmod 0600 content/1
chown 12:34 content/511
chmod 0711 xattrs/ping
chmod 0750 modes/folder-0000
chown -h 4:4 links/nowhere
touch content/512
# Nothing at all: neither must be in the layer.
chmod 0644 content/513
touch /tmp/left && rm /tmp/left
# New things.
mkdir -p "new/$(printf 'caf\351')/deep"
echo one > new/one
mkdir new/below
ln new/one new/below/two
ln new/one new/three
ln -s ../one new/below/link
mkfifo -m 0604 new/fifo
chmod 4711 new/one
truncate -s 5000000 new/sparse
echo end >> new/sparse
truncate -s 3000000 new/only-a-hole
echo name > "new/$(printf '\377\376')"
echo wh > new/wh
SCRIPT
cat > template/second.sh <<'SCRIPT'
set -e
cd /odd
# On top of the first: an opaque folder again, a whiteout made good, a moved folder changed.
rm -r replaced
mkdir replaced
echo newer > replaced/newer
mkdir -p removed/below
echo back > removed/below/c
rm moved-away/a
echo more >> moved-away/b
rm -r many/0001
echo file again > many/0001
rm new/three
# A whole folder that only the first step had.
rm -r new/below
SCRIPT
cat > template/fidelity.pkr.hcl <<'HCL'
variable "root" {
  type = string
}
source "rootfs" "odd" {
  path = var.root
}
build {
  name    = "base"
  sources = ["source.rootfs.odd"]
  post-processor "oci-layout" {
    path      = "out-${basename(var.root)}/base"
    reference = "x"
  }
}
build {
  name    = "changed"
  sources = ["source.rootfs.odd"]
  provisioner "shell" {
    script = "${path.root}/first.sh"
  }
  provisioner "shell" {
    script = "${path.root}/second.sh"
  }
  post-processor "oci-layout" {
    path      = "out-${basename(var.root)}/changed"
    reference = "x"
  }
}
HCL
chmod 755 template/*.sh
build store metadata.json -var root=odd.tar template

umoci unpack --image out-odd.tar/base:x umoci-base
compare "the base, unpacked by umoci" --clamp $NEWEST expected umoci-base/rootfs
for script in first second; do
    cp template/$script.sh expected/script
    chroot expected /bin/sh /script
    rm expected/script
done
umoci unpack --image out-odd.tar/changed:x umoci-changed
compare "the changes, unpacked by umoci" --clamp $NEWEST expected umoci-changed/rootfs

skopeo copy --quiet oci:out-odd.tar/changed:x oci-archive:changed.tar:x
$PODMAN load --quiet --input changed.tar > /dev/null
mounted=$($PODMAN image mount localhost/x)
compare "the changes, mounted by podman" --clamp $NEWEST expected "$mounted"
$PODMAN image umount --all > /dev/null

# What did not change is not in a layer again.
layer() {
    jq --raw-output ".builds[\"changed.rootfs.odd\"].layers[$1].digest" metadata.json | sed 's/sha256://'
}
tar --list --gzip --file "out-odd.tar/changed/blobs/sha256/$(layer 1)" > first.list
for name in odd/content/513 odd/many/0008 bin/busybox tmp/left etc/resolv.conf etc/hosts; do
    ! grep -qxF "$name" first.list || fail "$name did not change, and is in the layer"
done
! grep -q '^tmp/.' first.list || fail "something of the step is left in /tmp"
echo "ok: the layer holds what changed"

# Other users get the same bytes.
digest=$(digest_of metadata.json changed.rootfs.odd)
for user in hardtack-sub hardtack-single; do
    mkdir "of-$user"
    chown "$user" "of-$user"
    cp -r template odd.tar "of-$user/"
    as_user "$user" env --chdir="$WORK/of-$user" "$HARDTACK" build --store store \
        --metadata-file metadata.json -var root=odd.tar template > "of-$user/out" 2>&1 \
        || { cat "of-$user/out"; fail "$user: build"; }
    # With a single id the owners of links and fifos cannot be kept (docs/sandbox.md).
    [ "$user" != hardtack-single ] || continue
    equal "$user: base" "$(digest_of metadata.json base.rootfs.odd)" \
        "$(digest_of "of-$user/metadata.json" base.rootfs.odd)"
    equal "$user: changes" "$digest" "$(digest_of "of-$user/metadata.json" changed.rootfs.odd)"
done

# A compressed tar, and one in another order of another writer, are the same root file system.
unpack odd.tar folder
gzip --keep --fast odd.tar
tar --create --xattrs --xattrs-include='*' --numeric-owner --format=posix --sparse \
    --pax-option=delete=atime,delete=ctime --directory folder --file reordered.tar .
for form in odd.tar.gz reordered.tar; do
    build store-forms forms.json --only 'base.*' -var "root=$form" template
    equal "$form: the same first layer" \
        "$(jq --raw-output '.builds["base.rootfs.odd"].layers[0].diff_id' metadata.json)" \
        "$(jq --raw-output '.builds["base.rootfs.odd"].layers[0].diff_id' forms.json)"
done

# The times of a folder are those of its copy; all entries get the source date epoch.
SOURCE_DATE_EPOCH=$NEWEST build store-forms folder.json --only 'base.*' -var root=folder template
umoci unpack --image out-folder/base:x umoci-folder
find folder -exec touch --no-dereference --date=@$NEWEST {} +
compare "a folder" folder umoci-folder/rootfs

# Devices, which only root can make.
"$REPO/tests/make_odd_tree.py" --devices /bin/busybox devices.tar
unpack devices.tar devices
build store metadata-devices.json --only 'base.*' -var root=devices.tar template
umoci unpack --image out-devices.tar/base:x umoci-devices
compare "devices" --clamp $NEWEST devices umoci-devices/rootfs
left_behind store
