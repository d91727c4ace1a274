#!/usr/bin/env bash
# What Ansible costs: the start over plain `ansible-playbook -c local`, an unchanged playbook, and
# the playbook of templates/ansible-web through Packer's docker builder (if dockerd can run here).
#
#   HARDTACK=target/release/hardtack benches/ansible.sh
. "$(dirname "$0")/../tests/lib.sh"

copy_templates "$WORK/repo"
mkdir base empty
template=repo/templates/ansible-web
sed -e 's/name *= "ansible-web"/name = "base"/' -e '/^  # ansible-playbook runs/,/^}/d' $template/ansible-web.pkr.hcl > base/base.pkr.hcl
cat >> base/base.pkr.hcl <<'HCL'
  post-processor "oci-layout" {
    path      = "layout"
    reference = "base"
  }
  post-processor "docker-archive" {
    path = "base.tar"
    tags = ["base:latest"]
  }
}
HCL
build store base.json base
printf -- '- hosts: all\n  gather_facts: false\n  tasks: []\n' > empty/play.yml
cat > empty/t.pkr.hcl <<'HCL'
source "oci" "base" {
  layout    = "layout"
  reference = "base"
}
build {
  sources = ["source.oci.base"]
  provisioner "ansible" {
    playbook_file = "empty/play.yml"
    cache         = false
  }
}
HCL
build store first.json empty
echo "== the start: plain Ansible on this host, and a step"
hyperfine --shell=none --warmup 2 --runs 15 --export-json start.json \
    "ansible-playbook -c local -i localhost, empty/play.yml" "$HARDTACK build --store store empty"
jq --raw-output '[.results[].median * 1000 | floor] | "a step takes \(.[1] - .[0]) ms more than plain Ansible"' start.json

echo "== the playbook of templates/ansible-web"
begin=$(date +%s%N)
build store web.json $template
echo "hardtack: $((($(date +%s%N) - begin) / 1000000)) ms"
hyperfine --shell=none --warmup 2 --runs 20 "$HARDTACK build --store store $template"

start_docker
$DOCKER load --quiet --input base.tar > /dev/null
mkdir packer
cp -a $template/ansible packer/
cat > packer/web.pkr.hcl <<HCL
source "docker" "debian" {
  image       = "base:latest"
  pull        = false
  commit      = true
  run_command = ["-d", "-i", "-t", "--network", "host", "-e", "SYSTEMD_OFFLINE=1", "--entrypoint=/bin/sh", "--", "{{.Image}}"]
}
build {
  sources = ["source.docker.debian"]
  provisioner "ansible" {
    playbook_file   = "packer/ansible/site.yml"
    groups          = ["web"]
    # The image has no sudo, which Packer's connection needs to become another user.
    extra_arguments = ["--extra-vars", "site_title=Packer ansible_become=false ansible_python_interpreter=/usr/bin/python3", "--scp-extra-args", "'-O'"]
    # The server of this old Packer has no other kind of key.
    ansible_env_vars = ["ANSIBLE_SSH_ARGS=-o HostKeyAlgorithms=+ssh-rsa -o PubkeyAcceptedAlgorithms=+ssh-rsa"]
  }
}
HCL
begin=$(date +%s%N)
DOCKER_HOST=unix://$WORK/docker.sock CHECKPOINT_DISABLE=1 packer build packer/web.pkr.hcl > packer.out 2>&1 \
    || { tail -n 30 packer.out >&2; fail "Packer does not build it"; }
echo "Packer: $((($(date +%s%N) - begin) / 1000000)) ms"
