#!/usr/bin/env bash
# hardtack inside containers: each kind of container builds what a host builds, or says why not.
#
# The container is BusyBox, hardtack and the quickstart template, started by podman. Where the modes
# of Docker are meant, the seccomp filter is one of the same kind as Docker's, made below.
. "$(dirname "$0")/../lib.sh"

# ---- the image of the containers

copy_templates "$WORK/image/work"
mkdir -p "$WORK"/image/{bin,dev,etc,home,lib64,proc,sys,tmp,usr/bin}
cp /bin/busybox image/bin/busybox
for applet in cat chmod echo env find grep id kill ls mkdir ps rm sed sh sleep test timeout touch true; do
    ln -s busybox "image/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n' > image/etc/passwd
printf 'root:x:0:\nuser:x:1000:\n' > image/etc/group
chmod 1777 image/tmp image/home
cp "$HARDTACK" image/usr/bin/hardtack
for library in $(ldd "$HARDTACK" | grep -o '/[^ ]*'); do
    cp --parents --dereference "$library" image
done
gcc -static -O1 -o image/usr/bin/attempts "$REPO/tests/sandbox/attempts.c"
echo "of the container" > image/work/marker
cat > image/work/attempts.pkr.hcl << 'HCL'
variable "outside" {
  type = string
}
source "oci" "busybox" {
  layout = "${path.root}/fixtures/busybox"
}
build {
  name    = "attempts"
  sources = ["source.oci.busybox"]
  provisioner "file" {
    source      = "/usr/bin/attempts"
    destination = "/tmp/attempts"
  }
  provisioner "shell" {
    inline = ["chmod 755 /tmp/attempts", "/tmp/attempts /work/marker ${var.outside}"]
  }
}
HCL
cat > image/work/slow.pkr.hcl << 'HCL'
source "oci" "busybox" {
  layout = "${path.root}/fixtures/busybox"
}
build {
  name    = "slow"
  sources = ["source.oci.busybox"]
  provisioner "file" {
    source      = "/usr/bin/attempts"
    destination = "/tmp/attempts"
  }
  provisioner "shell" {
    timeout = "2s"
    inline  = [
      "chmod 755 /tmp/attempts",
      "/tmp/attempts flee 10",
      "(sleep 600 & sleep 600 &) ; setsid sh -c 'sleep 600 & sleep 600' &",
      "sh -c 'trap \"\" TERM HUP INT; while true; do sleep 600; done' &",
      "sleep 600",
    ]
  }
}
HCL
# Its test asks for a network of its own, which a chroot cannot have.
mkdir image/work/templates/plain
cp -a image/work/templates/quickstart/. image/work/templates/plain
sed -i '/^  test /,/^  }/d' image/work/templates/plain/quickstart.pkr.hcl
tar --create --directory image --numeric-owner --owner 0 --group 0 . | $PODMAN import --quiet - box > podman.out
IMAGE=$(cat podman.out)

# A filter as Docker's: who lacks CAP_SYS_ADMIN makes no namespaces and no mounts, and nobody calls
# pivot_root. The C library falls back from clone3 to clone, whose flags (CLONE_NEW*) can be seen.
python3 - << 'PYTHON'
import json

def refuse(names, error=1, **more):
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error, **more}

nobody = ["pivot_root", "add_key", "keyctl", "request_key", "kexec_load", "userfaultfd", "swapon"]
administrators = ["setns", "unshare", "mount", "umount", "umount2", "mount_setattr", "move_mount",
                  "fsopen", "fsconfig", "fsmount", "fspick", "open_tree", "sethostname", "setdomainname", "bpf"]
new_namespaces = [1 << bit for bit in range(32) if 0x7E020000 >> bit & 1]
others = [refuse(administrators), refuse(["clone3"], 38)]
for flag in new_namespaces:
    only = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
    others.append(refuse(["clone"], args=[only]))
for name, rules in {"docker": others, "docker-admin": []}.items():
    with open(f"{name}.json", "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse(nobody), *rules]}, file)
PYTHON

# ---- what each container is asked

# box FLAG… -- COMMAND…
box() {
    local flags=()
    while [ "$1" != -- ]; do
        flags+=("$1")
        shift
    done
    shift
    # A filter in which a helper hangs must not hang the test.
    timeout --kill-after 5 90 $PODMAN run --rm --network none --ulimit nofile=1024:1024 \
        --ulimit nproc=1024:1024 "${flags[@]}" "$IMAGE" "$@"
}

build outside outside.json image/work/templates/quickstart
digest=$(digest_of outside.json quickstart.oci.busybox)
cat > expected << TEXT
quickstart.oci.busybox image $digest
hello, world
slow: 1, timed out after 2.0s
attempts: 0
doctor: 0
TEXT

# works NAME WARNING FLAG…: the quickstart gives the digest that it gives outside, with this text in
# the only warning (none if it is empty), a timeout ends all that runs, and nothing is left.
works() {
    local name=$1 warning=$2 warnings
    shift 2
    rm -rf volume
    mkdir -m 1777 volume
    box --volume "$WORK/volume:/store" --env HOME=/store --env STORE=/store/s --env TEMPLATE=quickstart "$@" -- sh -c '
        cat /proc/self/mounts > /tmp/mounts
        hardtack build --store $STORE --progress plain /work/templates/$TEMPLATE 2> /tmp/err \
            || { cat /tmp/err; exit 1; }
        grep "^warning:" /tmp/err >&2
        hardtack run --store $STORE quickstart.oci.busybox 2> /dev/null
        code=0
        hardtack build --store $STORE --progress plain /work/slow.pkr.hcl > /dev/null 2> /tmp/slow || code=$?
        echo "slow: $code, $(grep -o "timed out after 2..s" /tmp/slow | head -n 1)"
        hardtack build --store $STORE --progress plain /work/slow.pkr.hcl > /dev/null 2>&1 &
        sleep 1
        kill -9 $!
        wait
        sleep 0.5
        # The numbers of processes are others in a namespace of their own.
        outside=
        ! grep -q "^warning:.*isolation:" /tmp/err || { sleep 100 & outside="1 $!"; }
        code=0
        hardtack build --store $STORE --progress plain -var outside="$outside" /work/attempts.pkr.hcl \
            > /tmp/attempts.out 2>&1 || code=$?
        echo "attempts: $code"
        grep -E " worked| ended by| error:" /tmp/attempts.out
        kill $! 2> /dev/null
        wait
        hardtack doctor --store $STORE > /tmp/doctor
        echo "doctor: $?"
        grep -q "^builds can run: " /tmp/doctor || cat /tmp/doctor
        for folder in /proc/[0-9]*; do
            read name 2> /dev/null < $folder/comm || continue
            [ $folder = /proc/1 ] || echo "left: $name"
        done
        grep -vxFf /tmp/mounts /proc/self/mounts
        # What a killed build has left goes with the next.
        hardtack build --store $STORE --progress plain /work/templates/$TEMPLATE > /dev/null 2>&1
        ls -A $STORE/tmp
    ' > "$name.out" 2> "$name.err" || { cat "$name.out" "$name.err"; fail "$name"; }
    diff expected "$name.out" || { cat "$name.err"; fail "$name: something else came out"; }
    warnings=$(grep -c "^warning:" "$name.err" || true)
    if [ -n "$warning" ]; then
        contains "$name: the warning" "$name.err" "$warning"
        equal "$name: warnings" 1 "$warnings"
    else
        equal "$name: warnings" 0 "$warnings"
    fi
    echo "ok: $name"
}

shared="isolation: shared-processes"
works privileged "" --privileged
works podman "$shared"
works docker-admin "" --security-opt seccomp=docker-admin.json --cap-add SYS_ADMIN
works unconfined "$shared" --security-opt seccomp=unconfined
works unmasked "" --security-opt seccomp=unconfined --security-opt unmask=ALL
works user "$shared" --security-opt seccomp=unconfined --user 1000

# What Docker gives by default: nothing but a chroot, and that only if it is asked for.
docker=(--security-opt seccomp=docker.json --cap-add MKNOD,NET_RAW,AUDIT_WRITE)
refused() {
    local name=$1 text=$2 code=0
    shift 2
    box "$@" -- hardtack build --store /tmp/s /work/templates/quickstart > "$name.out" 2> "$name.err" || code=$?
    equal "$name: the exit code" 4 $code
    contains "$name: the error" "$name.err" "$text"
    code=0
    box "$@" -- hardtack doctor --store /tmp/s > "$name.out" || code=$?
    equal "$name: the doctor's exit code" 4 $code
    contains "$name: the doctor" "$name.out" "builds cannot run here"
    contains "$name: the doctor's remedy" "$name.out" "unmask=ALL"
}
refused docker "--security-opt seccomp=unconfined" "${docker[@]}"
refused podman-full "--isolation=shared-processes" --env HARDTACK_ISOLATION=full
refused docker-user "--security-opt seccomp=unconfined" "${docker[@]}" --user 1000 --env HARDTACK_ISOLATION=chroot
works docker-chroot "isolation: chroot" "${docker[@]}" --env HARDTACK_ISOLATION=chroot --env TEMPLATE=plain
works podman-least "$shared" --env HARDTACK_ISOLATION=chroot

# The root of the container is an overlay itself.
copy="a copy of all layers below it"
works own-root "$copy" --privileged --env STORE=/home/store
works own-root-podman "$copy" --env STORE=/home/store
works own-root-user "$copy" --security-opt seccomp=unconfined --user 1000 --env STORE=/home/store
