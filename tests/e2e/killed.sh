#!/usr/bin/env bash
# SIGKILL at any moment leaves nothing running or mounted, and a store in which the next build
# succeeds with the same digest. Ctrl-C and timeouts leave nothing at all.
. "$(dirname "$0")/../lib.sh"

ROUNDS=${ROUNDS:-30}
copy_templates "$WORK/repo"
mkdir template
cat > template/killed.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  name    = "killed"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["mkdir /srv; seq 1 300000 > /srv/numbers; (sleep 31337 > /dev/null 2>&1 &) ; sleep 0.2"]
  }
  provisioner "file" {
    source      = "${path.root}/../repo/fixtures/"
    destination = "/srv/fixtures"
  }
  provisioner "shell" {
    inline = ["for n in $(seq 1 500); do mkdir -p /srv/many/$n; echo $n > /srv/many/$n/file; done"]
  }
  provisioner "shell" {
    inline = ["rm -r /srv/many/1*; dd if=/dev/zero of=/srv/zeros bs=1M count=20 2> /dev/null"]
  }
  post-processor "oci-archive" {
    path = "out.tar"
  }
}
HCL
begin=$(date +%s%N)
build store-reference reference.json template
length=$((($(date +%s%N) - begin) / 1000000))
digest=$(digest_of reference.json killed.oci.base)
archive=$(sha256sum < out.tar)
echo "a whole build takes $length ms"
left_behind store-reference

# nothing_left WHAT: no process of a killed build, and none that a step started.
nothing_left() {
    local _
    left_behind none
    for _ in $(seq 50); do
        pgrep --full 'sleep 31337' > /dev/null || return 0
        sleep 0.1
    done
    fail "$1: what a step started is still running"
}

RANDOM=${SEED:-$$}
for round in $(seq "$ROUNDS"); do
    # Rounds share a store, so that each begins with what the killed one before it left.
    [ $((round % 5)) != 1 ] || rm -rf store
    delay=$((RANDOM * length / 32768))
    "$HARDTACK" build --store store template > killed.out 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    kill -KILL $pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
    nothing_left "killed after $delay ms"
    [ ! -e out.tar ] || [ "$(sha256sum < out.tar)" = "$archive" ] || fail "a killed build left a part of an archive"
    if [ $((round % 5)) = 0 ]; then
        build store again.json template || fail "killed after $delay ms: the next build failed"
        equal "round $round, killed after $delay ms" "$digest" "$(digest_of again.json killed.oci.base)"
        left_behind store
    fi
done
rm -rf store

# Ctrl-C, and the request to end: the exit code says so, and the store is clean at once.
for signal in INT TERM; do
    "$HARDTACK" build --store store-$signal template > signal.out 2>&1 &
    pid=$!
    sleep "$(printf '0.%03d' $((length / 3 % 1000)))"
    kill -$signal $pid
    code=0
    wait $pid || code=$?
    [ $code != 0 ] || fail "SIG$signal: the build succeeded"
    [ $code -lt 128 ] || [ $code = 130 ] || [ $code = 143 ] || fail "SIG$signal: exit code $code"
    nothing_left "SIG$signal"
    left_behind store-$signal
    build store-$signal again.json template
    equal "after SIG$signal" "$digest" "$(digest_of again.json killed.oci.base)"
done

# A step that takes too long, and whose children ignore signals.
mkdir slow
cat > slow/slow.pkr.hcl <<'HCL'
source "oci" "base" {
  layout = "${path.root}/../repo/fixtures/busybox"
}
build {
  sources = ["source.oci.base"]
  provisioner "shell" {
    timeout = "1s"
    inline  = ["trap '' TERM INT HUP; (trap '' TERM INT HUP; setsid sleep 31337) & sleep 31337"]
  }
}
HCL
code=0
begin=$SECONDS
"$HARDTACK" build --store store-slow slow > slow.out 2>&1 || code=$?
equal "timeout: exit code" 1 $code
[ $((SECONDS - begin)) -lt 10 ] || fail "timeout: took $((SECONDS - begin)) s"
contains "timeout: message" slow.out "timed out after"
nothing_left timeout
left_behind store-slow
