# shellcheck shell=bash
# What the end-to-end tests share; sourced by each of them.
#
#   $HARDTACK   the binary under test; HARDTACK=… names another
#   $REPO       the repository
#   $WORK       the working directory, a folder of this test that every user can read; gone when
#               the test ends
#
# A test ends with exit code 0 if all is well. What it started is stopped on the way out.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TEST=$(basename "$0" .sh)
mkdir -p "$REPO/tests/.work"

if [ "$(id -u)" != 0 ]; then
    echo "the end-to-end tests run as root; they switch to other users themselves" >&2
    exit 1
fi

# The repository can lie where only root reads, below /root for example.
WORK=$(mktemp -d "/var/tmp/hardtack-$TEST.XXXXXX")
chmod 755 "$WORK"
HARDTACK_GIVEN=${HARDTACK:-$REPO/target/release/hardtack}
if [ ! -x "$HARDTACK_GIVEN" ]; then
    echo "there is no binary $HARDTACK_GIVEN; cargo build --release makes it" >&2
    exit 1
fi
mkdir "$WORK/bin"
cp "$HARDTACK_GIVEN" "$WORK/bin/hardtack"
HARDTACK=$WORK/bin/hardtack

# Nothing of the caller's environment may change what is built.
unset HARDTACK_STORE HARDTACK_THREADS HARDTACK_PROGRESS SOURCE_DATE_EPOCH
export LC_ALL=C.UTF-8 HARDTACK_PROGRESS=plain

DOCKERD_PID=
at_exit=()

finish() {
    local code=$? command
    set +e
    for command in "${at_exit[@]}"; do
        eval "$command"
    done
    [ -z "$DOCKERD_PID" ] || stop_docker
    if [ "${KEEP_WORK:-}" = 1 ]; then
        echo "kept $WORK"
    else
        umount --recursive --lazy "$WORK"/podman-root/overlay 2> /dev/null
        rm -rf --one-file-system "$WORK"
    fi
    [ $code -eq 0 ] && echo "$TEST: all is well"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

cd "$WORK"

# fail MESSAGE…: ends the test.
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# equal WHAT EXPECTED FOUND
equal() {
    [ "$2" = "$3" ] || fail "$1: expected $2, found $3"
    echo "ok: $1"
}

# contains WHAT FILE TEXT
contains() {
    grep -qF -- "$3" "$2" || { cat "$2" >&2; fail "$1: does not contain: $3"; }
    echo "ok: $1"
}

# as_user USER COMMAND…: runs a command as another user, from the test's folder, with a clean
# environment. `root` is a user like the others.
as_user() {
    local user=$1 home
    shift
    home=$(getent passwd "$user" | cut -d: -f6)
    setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
        env --ignore-environment --chdir="$WORK" HOME="$home" USER="$user" PATH="$PATH" LC_ALL=C.UTF-8 \
        "$@"
}

# digest_of METADATA BUILD: the digest of a build's image.
digest_of() {
    jq --exit-status --raw-output --arg name "$2" '.builds[$name].digest' "$1"
}

# build STORE METADATA ARGUMENT…: builds with a store of its own, quietly if all goes well.
build() {
    local store=$1 metadata=$2
    shift 2
    "$HARDTACK" build --store "$store" --metadata-file "$metadata" "$@" > "$metadata.out" 2> "$metadata.err" || {
        local code=$?
        cat "$metadata.err" >&2
        return $code
    }
}

# copy_templates FOLDER: puts a copy of fixtures and templates there.
copy_templates() {
    mkdir -p "$1"
    cp -a "$REPO/fixtures" "$REPO/templates" "$1/"
    rm -rf "$1/templates/release/out"
    chmod -R go+rX "$1"
}

# left_behind STORE: fails if a process, a mount or a temporary folder of a build is still there.
# Give it a moment: what is killed needs one to go.
left_behind() {
    local store=$1 processes='' mounts='' _
    for _ in $(seq 100); do
        # By the binary, whatever a helper calls itself.
        processes=$(find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$HARDTACK*" 2> /dev/null || true)
        [ -z "$processes" ] && break
        sleep 0.1
    done
    [ -z "$processes" ] || fail "processes are left: $processes"
    mounts=$(grep -F " $WORK" /proc/self/mountinfo | grep -vF -e podman -e " $WORK/docker" || true)
    [ -z "$mounts" ] || fail "mounts are left: $mounts"
    if [ -d "$store/tmp" ] && [ -n "$(ls -A "$store/tmp")" ]; then
        fail "temporary folders are left: $(ls -A "$store/tmp")"
    fi
}

# start_docker: a dockerd of this test alone. $DOCKER is the client's command, $CTR that of the
# containerd below it.
start_docker() {
    local exec_root=$WORK/docker-run
    mkdir -p "$WORK/docker" "$exec_root"
    echo '{}' > "$WORK/docker.json"
    dockerd --data-root "$WORK/docker" --exec-root "$exec_root" --pidfile "$WORK/docker.pid" \
        --host "unix://$WORK/docker.sock" --iptables=false --ip6tables=false --bridge=none \
        --config-file "$WORK/docker.json" --exec-opt native.cgroupdriver=cgroupfs \
        > "$WORK/dockerd.log" 2>&1 &
    DOCKERD_PID=$!
    DOCKER="/usr/bin/docker --host unix://$WORK/docker.sock"
    # shellcheck disable=SC2034 # tests use it
    CTR="ctr --address $exec_root/containerd/containerd.sock --namespace hardtack"
    for _ in $(seq 150); do
        $DOCKER version > /dev/null 2>&1 && return
        kill -0 $DOCKERD_PID 2> /dev/null || break
        sleep 0.2
    done
    tail -n 20 "$WORK/dockerd.log" >&2
    fail "dockerd does not start"
}

stop_docker() {
    kill "$DOCKERD_PID" 2> /dev/null
    wait "$DOCKERD_PID" 2> /dev/null
    DOCKERD_PID=
    # Not left to rm: it does not cross mounts.
    grep -F " $WORK/docker" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs --no-run-if-empty umount --lazy
    return 0
}

# podman_run ARGUMENT…: `podman run` with storage of this test alone, without network.
PODMAN="podman --root $WORK/podman-root --runroot $WORK/podman-run --runtime runc --cgroup-manager cgroupfs --events-backend file"
podman_run() {
    # Without CAP_SYS_RESOURCE the limits of podman's defaults cannot be raised.
    $PODMAN run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"
}
