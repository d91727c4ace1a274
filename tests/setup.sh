#!/usr/bin/env bash
# Installs what the tests need: on Debian 12, as root. Running it again changes nothing.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
    echo "tests/setup.sh must run as root, since it installs packages and adds users" >&2
    exit 1
fi

packages=(
    # Readers and runners of images that we did not write.
    buildah containerd docker.io oci-image-tool podman runc skopeo umoci
    # A registry that we did not write, and certificates.
    docker-registry openssl
    # What the Debian template and rootless builds with subordinate ids need.
    mmdebstrap uidmap
    # Playbooks run on the host; Galaxy's roles come from git.
    ansible-core git
    # For odd files, and for looking at results.
    acl attr busybox-static bzip2 e2fsprogs file jq libcap2-bin procps python3 time util-linux xz-utils zstd
    # Benchmarks, and the program whose templates hardtack reads.
    hyperfine packer
    # A double of AWS and Salt come from Python's package index.
    python3-dev python3-venv
    # Networks of a step's own, and keys to forward.
    openssh-client passt slirp4netns
    # A root that RPM manages.
    createrepo-c dnf rpm
    # Formulas for Salt are repositories.
    git
    # To build hardtack.
    ca-certificates curl gcc libc6-dev
    # To build libFuzzer.
    g++
)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    # Packages must not start their daemons: the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod 755 $policy
        trap 'rm -f $policy' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet
    apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
fi

# The double of AWS.
tools=/opt/hardtack-tests
if [ ! -x $tools/bin/moto_server ]; then
    python3 -m venv $tools
    $tools/bin/pip install --quiet 'moto[server]==5.2.5'
fi

# The newest Ansible for this Python, beside Debian's.
if [ ! -x $tools/ansible/bin/ansible-playbook ]; then
    python3 -m venv $tools/ansible
    $tools/ansible/bin/pip install --quiet 'ansible-core==2.19.14'
fi

# Salt for a Debian root of the same release; one of its parts is in C.
if [ ! -d $tools/salt ]; then
    rm -rf $tools/salt.new
    $tools/bin/pip wheel --quiet --wheel-dir $tools/salt.new 'salt==3008.3'
    mv $tools/salt.new $tools/salt
fi

# Runs the fuzz targets.
if [ ! -x $tools/bin/cargo-fuzz ]; then
    cargo install --quiet --locked --root $tools cargo-fuzz@0.13.2
fi

# A user with subordinate ids, and one without.
for user in hardtack-sub hardtack-single; do
    id "$user" > /dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
done
for file in /etc/subuid /etc/subgid; do
    touch $file
    # useradd gives every new user a range.
    sed -i '/^hardtack-\(sub\|single\):/d' $file
    echo 'hardtack-sub:200000:65536' >> $file
done
