#!/usr/bin/env bash
# Limits of steps, and the network of a step's own.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
# template FILE COMMANDS OPTIONS
template() {
    cat > "$1" <<HCL
source "oci" "base" {
  layout = "$WORK/repo/fixtures/busybox"
}
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
    attempt() {
        as_user "$user" HARDTACK_PROGRESS=plain timeout 60 "$HARDTACK" build --store "$folder/store" t.pkr.hcl > "$folder/out" 2>&1
    }
    template t.pkr.hcl '"i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done; echo all of them; exit 1"' 'limits { processes = 40 }'
    attempt && fail "a fork bomb succeeded"
    if ! grep -q 'does not hold for root' "$folder/out"; then
        grep -q 'all of them$' <(grep -v inline "$folder/out") && fail "a fork bomb was not stopped"
    fi
    echo "ok: a fork bomb"
    template t.pkr.hcl '"x=$(head -c 400000000 /dev/zero | tr \"\\0\" x); echo $${#x}"' 'limits { memory = "80MiB" }'
    attempt && fail "a memory hog succeeded"
    grep -q -e 'its limit `memory`' -e 'the limit on memory holds for each process' -e 'out of memory' "$folder/out" \
        || { cat "$folder/out"; fail "nothing is said of memory"; }
    echo "ok: a memory hog"
    template t.pkr.hcl '"dd if=/dev/zero of=/big bs=1M count=3"' 'limits { file_size = "2MiB" }'
    attempt && fail "a long file was written"
    echo "ok: a long file"
    template t.pkr.hcl '"while :; do :; done"' 'limits { cpu_time = "1s" }'
    attempt && fail "it ran forever"
    contains "it says which limit" "$folder/out" 'its limit `cpu_time`'
    template t.pkr.hcl '"ulimit -n | grep -x 100", "echo done > /done"' 'limits { open_files = 100 }'
    attempt || { cat "$folder/out"; fail "with few files"; }
    echo "ok: few files"
    left_behind "$folder/store"
done
left=$(find /sys/fs/cgroup -maxdepth 6 -type d -name 'hardtack-step-*' 2> /dev/null | while read -r group; do
    pid=${group##*/hardtack-step-}
    [ -e "/proc/${pid%%-*}" ] || echo "$group"
done)
equal "no control group is left" "" "$left"

echo "--- network"
if [ ! -c /dev/net/tun ]; then
    echo "left out: there is no /dev/net/tun"
    exit 0
fi
# As distributions have it.
at_exit+=("chmod $(stat -c %a /dev/net/tun) /dev/net/tun")
chmod 666 /dev/net/tun
python3 -m http.server --bind 127.0.0.1 18931 > /dev/null 2>&1 &
at_exit+=("kill $!")
server=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
for user in root hardtack-sub hardtack-single; do
    folder=$WORK/$user
    template t.pkr.hcl '"for host in 127.0.0.1 10.0.2.2 $(ip route | grep default | cut -d \" \" -f 3); do ! nc -w 2 $host 18931 < /dev/null || exit 9; done", "cat /etc/resolv.conf", "nslookup deb.debian.org && echo names are found || true", "echo done > /done"' 'network = "user"'
    as_user "$user" HARDTACK_PROGRESS=plain timeout 60 "$HARDTACK" build --store "$folder/store" t.pkr.hcl > "$folder/out" 2>&1 \
        || { cat "$folder/out"; fail "network user of $user"; }
    echo "ok: $user: a network of its own does not lead to the host"
    if getent hosts deb.debian.org > /dev/null; then
        contains "names are found by $server" "$folder/out" "names are found"
    fi
    left_behind "$folder/store"
done
pgrep -f 'slirp4netns --configure --mtu=65520 --disable-host-loopback --exit-fd=0' > /dev/null && fail "slirp4netns is left"
echo "ok: no program is left"
