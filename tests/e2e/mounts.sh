#!/usr/bin/env bash
# Mounts of steps: host folders, memory, caches and the ssh agent; what decides keys, what stays.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
mkdir -p src/sub
printf '#!/bin/sh\necho from the source\n' > src/run
chmod 755 src/run
header="source \"oci\" \"base\" {
  layout = \"$WORK/repo/fixtures/busybox\"
}"

# template FILE COMMANDS MOUNTS
template() {
    cat > "$1" <<HCL
$header
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = [$2]
    $3
  }
}
HCL
}

for user in root hardtack-sub hardtack-single; do
    echo "--- $user"
    folder=$WORK/$user
    install -d -o "$user" "$folder"
    store=$folder/store
    template bind.pkr.hcl '"/src/run > /out", "! touch /src/new", "echo x > /cache/file", "echo x > /mem/file"' '
    mount "bind" {
      target = "/src"
      source = "src"
    }
    mount "cache" {
      target = "/cache"
    }
    mount "tmpfs" {
      target = "/mem"
      size   = "1MiB"
    }'
    run() {
        as_user "$user" HARDTACK_PROGRESS=plain "$HARDTACK" build --store "$store" --metadata-file "$folder/$1.json" \
            "$2" > "$folder/$1.out" 2> "$folder/$1.err" || { cat "$folder/$1.err" >&2; fail "$1 of $user"; }
    }
    run first bind.pkr.hcl
    layer=$(jq -r '.builds[].layers[-1].diff_id // empty' "$folder/first.json")
    [ -n "$layer" ] || layer=$(jq -c '.builds[].layers[-1]' "$folder/first.json")
    # The same layer whoever builds it: nothing of what was mounted is in it.
    [ "$user" != root ] || expected=$(digest_of "$folder/first.json" app.oci.base)
    equal "the image is the same" "$expected" "$(digest_of "$folder/first.json" app.oci.base)"
    run again bind.pkr.hcl
    contains "it is cached" "$folder/again.err" cached
    echo '# changed' >> src/run
    run changed bind.pkr.hcl
    equal "a changed source is another step" 0 "$(grep -c ': cached' "$folder/changed.err" || true)"
    sed -i '$d' src/run

    template use.pkr.hcl '"cat /elsewhere/file"' '
    mount "cache" {
      target  = "/elsewhere"
      id      = "/cache"
      sharing = "locked"
    }'
    run use use.pkr.hcl
    equal "a cache is counted" 1 "$(as_user "$user" "$HARDTACK" cache du --store "$store" --json | jq '[.kinds[] | select(.kind == "mounts")] | length')"
    as_user "$user" "$HARDTACK" cache export --mounts --store "$store" "$folder/cache.tar" > "$folder/export.out" 2>&1
    contains "a cache is exported" "$folder/export.out" "exported 1 mount"
    as_user "$user" "$HARDTACK" cache import --mounts --store "$folder/other" "$folder/cache.tar" > "$folder/import.out" 2>&1
    as_user "$user" HARDTACK_PROGRESS=plain "$HARDTACK" build --no-cache --store "$folder/other" use.pkr.hcl > "$folder/other.out" 2>&1 \
        || { cat "$folder/other.out"; fail "a cache of another store"; }
    echo "ok: and imported"
    as_user "$user" "$HARDTACK" cache prune --store "$store" --all > "$folder/prune.out"
    equal "and pruned" 0 "$(as_user "$user" "$HARDTACK" cache du --store "$store" --json | jq '[.kinds[] | select(.kind == "mounts")] | length')"
    left_behind "$store"
done

echo "--- from other builds"
from() {
    cat > from.pkr.hcl <<HCL
$header
build {
  name    = "tools"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir -p /opt/tools", "echo '#!/bin/sh' > /opt/tools/run", "echo 'echo $1' >> /opt/tools/run", "chmod 755 /opt/tools/run", "ln -s opt/tools /link", "ln -s /etc /out"]
  }
}
build {
  name    = "data"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["cp /tools/run /copied"]
    mount "bind" {
      target = "/tools"
      from   = "tools"
      path   = "/link"
    }
  }
}
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["/tools/run > /said", "cat /tools.file > /file", "! touch /tools/x", "! touch /all/x", "ls /all/opt/tools >> /said"]
    mount "bind" {
      target = "/tools"
      from   = "tools.oci.base"
      path   = "/opt/tools"
    }
    mount "bind" {
      target = "/tools.file"
      from   = "data"
      path   = "/copied"
    }
    mount "bind" {
      target = "/all"
      from   = "tools"
    }
  }
}
HCL
}
from one
for user in root hardtack-sub hardtack-single; do
    folder=$WORK/$user
    as_user "$user" "$HARDTACK" plan --store "$folder/from" from.pkr.hcl > "$folder/plan.out" 2>&1 || { cat "$folder/plan.out"; fail "plan"; }
    as_user "$user" HARDTACK_PROGRESS=plain "$HARDTACK" build --store "$folder/from" --only 'app.*' --metadata-file "$folder/from.json" from.pkr.hcl \
        > "$folder/out" 2> "$folder/err" || { cat "$folder/err"; fail "from other builds, as $user"; }
    [ "$user" != root ] || image=$(digest_of "$folder/from.json" app.oci.base)
    equal "$user: the same image" "$image" "$(digest_of "$folder/from.json" app.oci.base)"
    as_user "$user" "$HARDTACK" run --store "$folder/from" app.oci.base cat /said > "$folder/said" 2> "$folder/err" || { cat "$folder/err"; fail "run"; }
    equal "$user: what it has read" "one run" "$(tr '\n' ' ' < "$folder/said" | sed 's/ $//')"
done
build root/from cached.json from.pkr.hcl
equal "all of it is cached" 3 "$(grep -c ': cached' cached.json.err)"
"$HARDTACK" plan --store root/from from.pkr.hcl > plan.out 2>&1 || fail "plan"
from two
build root/from two.json from.pkr.hcl
equal "another image is another step" 0 "$(grep -c ': cached' two.json.err || true)"
[ "$image" != "$(digest_of two.json app.oci.base)" ] || fail "another image makes no difference"
"$HARDTACK" shell --store root/from --build app --before 1 from.pkr.hcl -- cat /tools/run > shell.out 2> shell.err || { cat shell.err; fail "shell"; }
contains "a shell has the mounts too" shell.out "echo two"
sed 's/"tools.oci.base"/"nobody"/' from.pkr.hcl > nobody.pkr.hcl
"$HARDTACK" validate nobody.pkr.hcl > nobody.out 2>&1 && fail "an unknown build"
contains "an unknown build" nobody.out 'there is no build named "nobody"'
sed '0,/provisioner "shell" {/s//provisioner "shell" {\n    mount "bind" {\n      target = "\/y"\n      from = "app"\n    }/' from.pkr.hcl > circle.pkr.hcl
"$HARDTACK" validate circle.pkr.hcl > circle.out 2>&1 && fail "a circle"
contains "a circle" circle.out 'builds need each other in a circle'

echo "--- one step at a time"
template lock.pkr.hcl '"test ! -e /cache/busy", "touch /cache/busy", "sleep 1", "rm /cache/busy", "echo ${build.name} > /done"' '
    mount "cache" {
      target  = "/cache"
      sharing = "locked"
    }'
sed -i 's/${build.name}/$PACKER_BUILD_NAME/' lock.pkr.hcl
sed 's/"app"/"other"/; s/ \/done/ \/other/' lock.pkr.hcl > lock2.pkr.hcl
build locks a.json lock.pkr.hcl &
build locks b.json lock2.pkr.hcl || fail "the second step"
wait $! || fail "the first step"
echo "ok: a locked cache has one user"
cat a.json.err b.json.err > both.err
contains "waiting is told" both.err waiting

echo "--- the ssh agent"
template ssh.pkr.hcl '"test -S $SSH_AUTH_SOCK", "echo done > /done"' '
    mount "ssh" {}'
env -u SSH_AUTH_SOCK "$HARDTACK" build --store ssh ssh.pkr.hcl > ssh.out 2> ssh.err && fail "built without an agent"
contains "no agent" ssh.err "there is no ssh agent: SSH_AUTH_SOCK is not set"
contains "what to do" ssh.err 'eval $(ssh-agent)'
eval "$(ssh-agent)" > /dev/null
at_exit+=("kill $SSH_AGENT_PID")
build ssh ssh.json ssh.pkr.hcl
echo "ok: an agent is forwarded"

echo "--- what is wrong in a template"
# wrong EXPECTED MOUNTS
wrong() {
    template wrong.pkr.hcl '"true"' "$2"
    "$HARDTACK" validate wrong.pkr.hcl > wrong.out 2>&1 && fail "accepted: $2"
    contains "$1" wrong.out "$1"
    contains "with its place" wrong.out "wrong.pkr.hcl:"
}
wrong 'there is no kind of mount "nfs"' 'mount "nfs" { target = "/x" }'
wrong 'needs its kind' 'mount { target = "/x" }'
wrong '`target` is required' 'mount "tmpfs" {}'
wrong 'cannot mount on "relative"' 'mount "tmpfs" { target = "relative" }'
wrong 'that belongs to the sandbox' 'mount "tmpfs" { target = "/proc/x" }'
wrong 'that is the whole root' 'mount "tmpfs" { target = "/" }'
wrong 'it holds `..`' 'mount "tmpfs" { target = "/a/../b" }'
wrong '/a is mounted twice' 'mount "tmpfs" { target = "/a" }
    mount "tmpfs" { target = "/a/" }'
wrong 'cannot mount nowhere' 'mount "bind" {
      target = "/a"
      source = "nowhere"
    }'
wrong 'sharing cannot be "mine"' 'mount "cache" {
      target  = "/a"
      sharing = "mine"
    }'
wrong 'a secret comes from one place' 'mount "secret" {
      id    = "a"
      file  = "x"
      value = "y"
    }'
wrong 'is no name of a variable' 'mount "secret" {
      id       = "a"
      variable = "a b"
    }'
wrong 'is no size' 'limits { memory = "much" }'
wrong 'there is no argument `cpus` here' 'limits { cpus = 2 }'
wrong 'network cannot be "vpn"' 'network = "vpn"'
