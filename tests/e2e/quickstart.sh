#!/usr/bin/env bash
# The quickstart builds and runs for every kind of user, offline, with one digest.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
template=repo/templates/quickstart

# What one user sees: build, run, list, show, and build again from the store.
check() {
    local user=$1 network=$2
    local folder=$WORK/of-$user
    mkdir "$folder"
    chown "$user" "$folder"
    run() { $network setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
        env --ignore-environment --chdir="$WORK" HOME="$folder" PATH=/usr/bin:/bin LC_ALL=C.UTF-8 "$@"; }

    run "$HARDTACK" build --metadata-file "$folder/metadata.json" $template \
        > "$folder/out" 2> "$folder/err" || { cat "$folder/err"; fail "$user: build"; }
    digest_of "$folder/metadata.json" quickstart.oci.busybox > "$folder/digest"
    equal "$user: stdout has the image, and nothing else" \
        "quickstart.oci.busybox image $(cat "$folder/digest")" "$(cat "$folder/out")"
    equal "$user: layers" 4 "$(jq '.builds[].layers | length' "$folder/metadata.json")"
    [ -d "$folder/.local/share/hardtack" ] || fail "$user: the store is not in the home folder"

    equal "$user: run prints the greeting" "hello, world" \
        "$(run "$HARDTACK" run quickstart.oci.busybox)"
    equal "$user: run by digest, with a command" "0 world /srv/app" \
        "$(run "$HARDTACK" run "$(cat "$folder/digest")" -- sh -c 'echo $(id -u) $(cat name) $PWD')"
    local code=0
    run "$HARDTACK" run quickstart.oci.busybox -- sh -c 'exit 7' || code=$?
    equal "$user: the exit code is the command's" 7 $code

    run "$HARDTACK" build --metadata-file "$folder/again.json" $template > /dev/null 2>&1
    equal "$user: the second build is the same" "$(cat "$folder/digest")" \
        "$(digest_of "$folder/again.json" quickstart.oci.busybox)"
    equal "$user: all its steps come from the store" true \
        "$(jq '[.builds[].layers[] | select(.step != null) | .cached] | all' "$folder/again.json")"

    run "$HARDTACK" images > "$folder/images"
    contains "$user: images" "$folder/images" quickstart.oci.busybox
    run "$HARDTACK" show quickstart.oci.busybox > "$folder/show"
    contains "$user: show" "$folder/show" "$(cat "$folder/digest")"
    run "$HARDTACK" show --json quickstart.oci.busybox | jq --exit-status .layers > /dev/null
    run "$HARDTACK" images --json | jq --exit-status . > /dev/null
    left_behind "$folder/.local/share/hardtack"
}

# Not even a loopback device is up in there.
check root "unshare --net"
check hardtack-sub "unshare --net"
check hardtack-single "unshare --net"
equal "root and hardtack-sub" "$(cat "$WORK/of-root/digest")" "$(cat "$WORK/of-hardtack-sub/digest")"
equal "root and hardtack-single" "$(cat "$WORK/of-root/digest")" "$(cat "$WORK/of-hardtack-single/digest")"

# The other templates that need nothing.
build "$WORK/release" "$WORK/release.json" -var "output=$WORK/out" -var version=1.2.3 repo/templates/release \
    || fail "the release template does not build"
for name in example/release:1.2.3 example/release:1.2 example/release:1 example/release:latest; do
    equal "release: $name" "app 1.2.3: hi" "$("$HARDTACK" run --store "$WORK/release" $name -- hi)"
done
(cd "$WORK/out" && tr '\t' ' ' < app-1.2.3.sha256 | sed 's/ /  /' | sha256sum --check --quiet) \
    || fail "release: the checksum is wrong"
equal "release: the manifest knows the version" 1.2.3 \
    "$(jq --raw-output '.builds[-1].custom_data.version' "$WORK/out/manifest.json")"
equal "release: the layout has the image" "$(digest_of "$WORK/release.json" app.oci.app)" \
    "$(jq --raw-output '.manifests[0].digest' "$WORK/out/layout/index.json")"
