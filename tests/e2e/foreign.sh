#!/usr/bin/env bash
# Legal layers of other writers, with whiteouts, links, names and numbers in every form that the
# specifications allow: what a step sees on top of them is what umoci and containerd unpack.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
"$REPO/tests/make_foreign_images.py" repo/fixtures/busybox foreign > foreign.tsv
chmod -R go+rX foreign
mkdir template
cat > template/foreign.pkr.hcl <<'HCL'
variable "name" {
  type = string
}
source "oci" "foreign" {
  layout = "${path.root}/../foreign/${var.name}"
}
build {
  name    = "foreign"
  sources = ["source.oci.foreign"]
  # So that a step runs on the base; what it makes is outside of what is compared.
  provisioner "shell" {
    inline = ["echo done > /done"]
  }
}
HCL
# layers_of LAYOUT: the digests of its layers; an index within the index is followed.
layers_of() {
    local document=$1/index.json digest
    while digest=$(jq --exit-status --raw-output \
        '.manifests | select(.) | [.[] | select((.platform.architecture // "amd64") == "amd64")][0].digest' "$document"); do
        document=$1/blobs/sha256/${digest#sha256:}
    done
    jq --raw-output '.layers[].digest' "$document"
}

# seen_by USER FOLDER NAME: /odd of the image as a command in it sees it.
seen_by() {
    local user=$1 folder=$2 name=$3
    as_user "$user" "$HARDTACK" build --store "$folder/store" --metadata-file "$folder/metadata.json" \
        -var "name=$name" template > "$folder/out" 2>&1 || { cat "$folder/out" >&2; return 1; }
    as_user "$user" "$HARDTACK" run --store "$folder/store" foreign.oci.foreign -- tar -cf - odd \
        > "$folder/odd.tar" 2> "$folder/out" || { cat "$folder/out" >&2; return 1; }
    rm -rf "$folder/seen"
    mkdir "$folder/seen"
    tar --extract --numeric-owner --preserve-permissions --delay-directory-restore \
        --file "$folder/odd.tar" --directory "$folder/seen"
}

# unpacked_by READER NAME: sets `tree` to what a reader unpacks.
unpacked_by() {
    rm -rf bundle
    case $1 in
        umoci)
            umoci unpack --image "foreign/$2:x" bundle 2> unpack.err || { cat unpack.err >&2; return 1; }
            tree=bundle/rootfs
            ;;
        containerd)
            tar --create --directory "foreign/$2" --file archive.tar .
            $CTR images import --digests --base-name "$2" archive.tar > unpack.err 2>&1 || { cat unpack.err >&2; return 1; }
            mkdir -p mounted
            $CTR images mount "$($CTR images ls --quiet | grep -F "$2:x" | head -n 1)" "$WORK/mounted" > unpack.err 2>&1 \
                || { cat unpack.err >&2; return 1; }
            mkdir bundle
            cp -a mounted/odd bundle/
            umount mounted
            $CTR snapshots rm "$WORK/mounted" > /dev/null
            tree=bundle
            ;;
    esac
    find "$tree" -mindepth 1 -maxdepth 1 -not -name odd -exec rm -rf {} +
}

start_docker
users=(root hardtack-sub hardtack-single)
for user in "${users[@]}"; do
    mkdir "of-$user"
    chown "$user" "of-$user"
done
problems=0
while IFS=$'\t' read -r name readers why; do
    if [ "$readers" = refused ]; then
        ! seen_by root of-root "$name" 2> problem || fail "$name: is taken, and was to be refused"
        contains "$name is refused" problem "$why"
        continue
    fi
    # Errors are gathered: each case is one of its own.
    for user in "${users[@]}"; do
        if ! seen_by "$user" "of-$user" "$name" 2> problem; then
            echo "FAILED: $name, $user: $(tail -n 5 problem)"
            problems=$((problems + 1))
            continue 2
        fi
    done
    digest=$(digest_of of-root/metadata.json foreign.oci.foreign)
    for user in hardtack-sub hardtack-single; do
        equal "$name: $user has the digest of root" "$digest" "$(digest_of "of-$user/metadata.json" foreign.oci.foreign)" \
            > /dev/null
    done
    diff <(layers_of "foreign/$name") \
        <(jq --raw-output '.builds[].layers[] | select(.step == null) | .digest' of-root/metadata.json) \
        || fail "$name: the layers of the base are not those of the image"
    "$REPO/tests/compare_trees.py" of-root/seen of-hardtack-sub/seen > differences \
        || { echo "FAILED: $name: root and hardtack-sub see other files:"; cat differences; problems=$((problems + 1)); }
    # With a single id all files of a step belong to it.
    "$REPO/tests/compare_trees.py" --only-content of-root/seen of-hardtack-single/seen > differences \
        || { echo "FAILED: $name: root and hardtack-single see other files:"; cat differences; problems=$((problems + 1)); }
    if [ "$readers" = - ]; then
        echo "ok: $name builds ($why)"
        continue
    fi
    for reader in ${readers//,/ }; do
        unpacked_by "$reader" "$name" || fail "$name: $reader does not unpack it"
        if "$REPO/tests/compare_trees.py" "$tree" of-root/seen > differences; then
            echo "ok: $name is what $reader unpacks"
        else
            echo "FAILED: $name is not what $reader unpacks:"
            cat differences
            problems=$((problems + 1))
        fi
    done
done < foreign.tsv
[ $problems = 0 ] || fail "$problems differences"
for user in "${users[@]}"; do
    left_behind "of-$user/store"
done
