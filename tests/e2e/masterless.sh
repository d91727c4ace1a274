#!/usr/bin/env bash
# ansible-local, puppet-masterless and salt-masterless with the real tools in a Debian root,
# chef-solo with a stand-in that records what it gets: as root and with subordinate ids, cached by
# content, and without leaving anything.
. "$(dirname "$0")/../lib.sh"

SALT=/opt/hardtack-tests/salt
[ -d $SALT ] || fail "there is no $SALT; tests/setup.sh makes it"
copy_templates "$WORK/repo"

# A Debian with the tools. It is made once, and kept by what it is made of.
mkdir base
cat > base/base.pkr.hcl <<HCL
source "debootstrap" "tools" {
  suite    = "bookworm"
  packages = ["ansible-core", "puppet-agent", "python3-venv"]
}
build {
  name    = "tools"
  sources = ["debootstrap.tools"]
  provisioner "file" {
    source      = "$SALT"
    destination = "/opt/wheels"
  }
  provisioner "shell" {
    inline = [
      "python3 -m venv /opt/salt",
      "/opt/salt/bin/pip install --quiet --no-cache-dir --no-index --find-links /opt/wheels/salt salt",
      "rm -r /opt/wheels",
      "ln -s /opt/salt/bin/salt-call /usr/local/bin/salt-call",
      "useradd --create-home app",
      # What ansible-galaxy installs without a network.
      "mkdir -p /opt/galaxy/named/tasks /opt/galaxy/named/meta && cd /opt/galaxy",
      "echo 'galaxy_info: { author: x, description: x, license: x, min_ansible_version: 2.9 }' > named/meta/main.yml",
      "echo '- copy: { content: role, dest: /etc/from-role }' > named/tasks/main.yml",
      "tar -czf named.tar.gz named && rm -r named",
      "ansible-galaxy collection init -v test.greet > /dev/null",
      "mkdir -p test/greet/roles/hello/tasks",
      "echo '- copy: { content: collection, dest: /etc/from-collection }' > test/greet/roles/hello/tasks/main.yml",
      "ansible-galaxy collection build test/greet > /dev/null",
      "rm -rf test /root/.ansible",
    ]
  }
  post-processor "oci-layout" {
    path      = "layout"
    reference = "tools"
  }
}
HCL
kept=$REPO/tests/.work/masterless-$(sha256sum base/base.pkr.hcl | cut -c1-12)
if [ ! -d "$kept" ]; then
    build base-store base.json base
    rm -rf base-store "$kept.new"
    cp -a layout "$kept.new"
    mv "$kept.new" "$kept"
fi
[ -d layout ] || cp -a "$kept" layout
chmod -R go+rX layout

mkdir -p work/{play/roles/web/{tasks,templates},vars,modules/web/{manifests,templates},states/web,pillar}
cat > work/play/site.yml <<'YAML'
- hosts: web
  connection: local
  roles:
    - web
    - named
    - test.greet.hello
YAML
cat > work/play/roles/web/tasks/main.yml <<'YAML'
- template: { src: web.j2, dest: /etc/web-ansible, mode: "0640" }
- lineinfile: { path: /etc/environment, line: "ROLE=web" }
- user: { name: deploy, shell: /bin/sh }
YAML
echo '{{ packer_build_name }} {{ packer_builder_type }} {{ greeting }}, {{ given }}' > work/play/roles/web/templates/web.j2
ln -s web.j2 work/play/roles/web/templates/same.j2
echo 'greeting: hello' > work/vars/web.yml
cat > work/play/requirements.yml <<'YAML'
roles:
  - name: named
    src: file:///opt/galaxy/named.tar.gz
collections:
  - name: /opt/galaxy/test-greet-1.0.0.tar.gz
    type: file
YAML
cat > work/site.pp <<'PP'
include web
notify { "for ${facts['packer_build_name']} of ${facts['packer_builder_type']}": }
PP
cat > work/modules/web/manifests/init.pp <<'PP'
class web {
  file { '/etc/web-puppet': ensure => file, mode => '0640', content => epp('web/web.epp') }
  user { 'worker': ensure => present, managehome => true }
}
PP
echo '<%= $facts["packer_build_name"] %> <%= $facts["colour"] %> <%= lookup("size") %>' > work/modules/web/templates/web.epp
cat > work/hiera.yaml <<'YAML'
version: 5
hierarchy:
  - name: common
    data_hash: yaml_data
    datadir: /srv/hiera
    path: common.yaml
YAML
echo 'size: large' > work/common.yaml
echo "base: {'*': [web]}" > work/states/top.sls
cat > work/states/web/init.sls <<'SLS'
/etc/web-salt:
  file.managed:
    - source: salt://web/web.conf
    - template: jinja
    - mode: '0640'
runner:
  user.present: []
SLS
echo "{{ pillar['colour'] }} {{ grains['role'] }} {{ grains['os'] }}" > work/states/web/web.conf
echo "base: {'*': [colours]}" > work/pillar/top.sls
echo 'colour: blue' > work/pillar/colours.sls
echo 'role: server' > work/grains
cat > work/web.pkr.hcl <<'HCL'
source "oci" "tools" {
  layout = "layout"
}
build {
  name    = "chain"
  sources = ["oci.tools"]
  provisioner "ansible-local" {
    playbook_dir     = "${path.root}/play"
    playbook_file    = "${path.root}/play/site.yml"
    inventory_groups = ["web"]
    group_vars       = "${path.root}/vars"
    galaxy_file      = "${path.root}/play/requirements.yml"
    extra_arguments  = ["--extra-vars", "\"given='a b'\""]
  }
  provisioner "file" {
    source      = "${path.root}/common.yaml"
    destination = "/srv/hiera/"
  }
  provisioner "puppet-masterless" {
    manifest_file     = "${path.root}/site.pp"
    module_paths      = ["${path.root}/modules"]
    hiera_config_path = "${path.root}/hiera.yaml"
    facter            = { colour = "it's red" }
  }
  provisioner "salt-masterless" {
    local_state_tree   = "${path.root}/states"
    local_pillar_roots = "${path.root}/pillar"
    grains_file        = "${path.root}/grains"
    skip_bootstrap     = true
    log_level          = "warning"
  }
}
HCL
chmod -R go+rX work

# cached METADATA: for each step that made a layer whether it came from the store.
cached() {
    jq --compact-output '[.builds[].layers[] | select(.step) | .cached]' "$1"
}

# build_as USER METADATA: builds work/ in a store of that user.
build_as() {
    as_user "$1" "$HARDTACK" build --store "of-$1/store" --metadata-file "of-$1/$2" work \
        > "of-$1/out" 2>&1 || { cat "of-$1/out" >&2; fail "$1: build"; }
}

for user in root hardtack-sub; do
    mkdir "of-$user"
    chown "$user" "of-$user"
    build_as "$user" first.json
    contains "$user: facts of the build" "of-$user/out" "for tools of oci"
    if grep -F -e 'Permission denied' -e 'world writable' "of-$user/out"; then
        fail "$user: a tool complains"
    fi
    as_user "$user" "$HARDTACK" run --store "of-$user/store" chain.oci.tools -- sh -c '
        cat /etc/web-ansible /etc/web-puppet /etc/web-salt
        echo $(cat /etc/from-role /etc/from-collection)
        stat -c "%a %U" /etc/web-ansible /etc/web-puppet /etc/web-salt
        id -un deploy; id -un worker; id -un runner; tail -n 1 /etc/environment' > "of-$user/result"
    diff - "of-$user/result" << 'END' || fail "$user: the result"
tools oci hello, a b
tools it's red large
blue server Debian
rolecollection
640 root
640 root
640 root
deploy
worker
runner
ROLE=web
END
    echo "ok: $user: ansible, puppet and salt have done their work"
    build_as "$user" again.json
    equal "$user: unchanged" "[true,true,true,true]" "$(cached "of-$user/again.json")"
done
equal "root and hardtack-sub" "$(digest_of of-root/first.json chain.oci.tools)" \
    "$(digest_of of-hardtack-sub/first.json chain.oci.tools)"

# All that the layers of the steps hold.
jq --raw-output '.builds[].layers[] | select(.step) | .digest' of-root/first.json | while read -r digest; do
    tar --list --gzip --file "of-root/store/blobs/sha256/${digest#sha256:}"
done > files
if grep -E '^(tmp|root|srv/(salt|pillar)|opt|etc/salt/minion_id|var/(cache/salt|log)|.*(pycache|last_run|\.retry))' files; then
    fail "something is left"
fi
echo "ok: nothing is left"

# One changed template: only its step runs, and what comes after a step that yields the same.
echo '# another comment' >> work/play/roles/web/tasks/main.yml
build_as root comment.json
equal "what changes nothing" "[false,true,true,true]" "$(cached of-root/comment.json)"
echo 'more' >> work/states/web/web.conf
build_as root template.json
equal "a changed template of the last step" "[true,true,true,false]" "$(cached of-root/template.json)"
"$HARDTACK" run --store of-root/store chain.oci.tools -- tail -n 1 /etc/web-salt > last
equal "it is in the image" more "$(cat last)"
ln -sfn nowhere work/play/roles/web/templates/same.j2
build_as root link.json
equal "a changed link" "[false,true,true,true]" "$(cached of-root/link.json)"
mkdir work/play/.git
date > work/play/.git/index
build_as root history.json
equal "the history of a repository does not count" "[true,true,true,true]" "$(cached of-root/history.json)"

# Another user of the base, and a staging folder that the image has.
mkdir user
cat > user/user.pkr.hcl <<'HCL'
source "oci" "tools" {
  layout = "layout"
}
source "oci" "app" {
  from = "base"
}
build {
  name    = "base"
  sources = ["oci.tools"]
  config {
    user = "app"
  }
}
build {
  name    = "app"
  sources = ["oci.app"]
  provisioner "ansible-local" {
    playbook_file     = "${path.root}/home.yml"
    staging_directory = "/opt"
    group_vars        = "${path.root}/vars"
  }
  provisioner "puppet-masterless" {
    manifest_file = "${path.root}/home.pp"
    prevent_sudo  = true
  }
}
HCL
mkdir user/vars
echo 'word: app' > user/vars/all.yml
chmod 600 user/vars/all.yml
cat > user/home.yml <<'YAML'
- hosts: all
  connection: local
  tasks:
    - copy: { content: "{{ word }}", dest: "~/file" }
YAML
echo 'file { "/home/app/other": ensure => file, content => "other" }' > user/home.pp
"$HARDTACK" build --store of-root/store user > out 2>&1 || { cat out; fail "another user"; }
"$HARDTACK" run --store of-root/store app.oci.app -- sh -c \
    'cat ~/file ~/other; echo; stat -c %U ~/file ~/other; ls -A /opt; ls -A ~ | grep -v "^\.[bp]"' > result
diff - result << 'END' || fail "another user"
appother
app
app
galaxy
salt
file
other
END
echo "ok: another user, and a staging folder of the image"

# The stand-in for Chef, and one for Salt's bootstrap, in a small root.
mkdir -p chef/{cookbooks/web/recipes,roles,bags,salt}
echo 'package "web"' > chef/cookbooks/web/recipes/default.rb
echo '{}' > chef/roles/db.json
echo '{}' > chef/bags/users.json
echo s3cret > chef/secret
chmod 600 chef/secret
cat > chef/chef-solo <<'SH'
#!/bin/sh
mkdir -p /recorded
for argument; do echo "$argument"; done > /recorded/arguments
cp "$3" /recorded/solo.rb
cp "$5" /recorded/node.json
cd "${3%/*}" && find . -type f | sort > /recorded/files
mkdir -p /var/chef/cache && date > /var/chef/cache/run
SH
# Fetches nothing: the script that it writes installs another stand-in.
cat > chef/curl <<'SH'
#!/bin/sh
echo "curl $*" > /curl-arguments
cat > "$4" <<'END'
echo "bootstrap $*" > /bootstrap-arguments
printf '#!/bin/sh\necho "$@" > /salt-arguments\nfind /srv -type f > /salt-files\n' > /bin/salt-call
chmod +x /bin/salt-call
END
SH
chmod +x chef/chef-solo chef/curl
echo "base: {'*': []}" > chef/salt/top.sls
git init --quiet formula.git
mkdir formula.git/vault
echo one > formula.git/vault/init.sls
git_commit() {
    git -C formula.git add .
    git -C formula.git -c user.name=x -c user.email=x@example.com commit --quiet -m "$1"
}
git_commit one
git -C formula.git tag v1
echo two > formula.git/vault/init.sls
touch formula.git/vault/later.sls
git_commit two
cat > chef/chef.pkr.hcl <<HCL
source "oci" "busybox" {
  layout = "repo/fixtures/busybox"
}
build {
  name    = "chef"
  sources = ["oci.busybox"]
  provisioner "file" {
    sources     = ["chef/chef-solo", "chef/curl"]
    destination = "/bin/"
  }
  provisioner "chef-solo" {
    install_command                = "echo 'installed {{.Version}}' > /installed"
    version                        = "17"
    cookbook_paths                 = ["chef/cookbooks"]
    remote_cookbook_paths          = ["/opt/cookbooks"]
    roles_path                     = "chef/roles"
    data_bags_path                 = "chef/bags"
    encrypted_data_bag_secret_path = "chef/secret"
    chef_license                   = "accept"
    run_list                       = ["recipe[web]"]
    json_string                    = jsonencode({ port = 80 })
  }
  provisioner "salt-masterless" {
    local_state_tree  = "chef/salt"
    remote_state_tree = "/srv/kept"
    bootstrap_args    = "-X"
    formulas          = ["git::$WORK/formula.git//vault?ref=v1"]
  }
}
HCL
"$HARDTACK" build --store chef-store chef > out 2>&1 || { cat out; fail "stand-ins"; }
"$HARDTACK" run --store chef-store chef.oci.busybox -- sh -c '
    cat /installed; for name in arguments solo.rb node.json files; do echo "-- $name"; cat /recorded/$name; done
    echo "-- left"; ls -A /tmp; ls -A /var/chef 2>&1 | head -n 1
    echo "-- salt"; cat /curl-arguments /bootstrap-arguments /salt-arguments /salt-files /srv/kept/vault/*' > recorded
diff - recorded << 'END' || fail "what the stand-ins recorded"
installed 17
-- arguments
--no-color
-c
/tmp/packer-chef-solo/solo.rb
-j
/tmp/packer-chef-solo/node.json
-- solo.rb
cookbook_path ["/opt/cookbooks","/tmp/packer-chef-solo/cookbooks-0"]
chef_license "accept"
role_path "/tmp/packer-chef-solo/roles"
data_bag_path "/tmp/packer-chef-solo/data_bags"
encrypted_data_bag_secret "/tmp/packer-chef-solo/encrypted_data_bag_secret"
-- node.json
{
  "port": 80,
  "run_list": [
    "recipe[web]"
  ]
}-- files
./cookbooks-0/web/recipes/default.rb
./data_bags/users.json
./encrypted_data_bag_secret
./node.json
./roles/db.json
./solo.rb
-- left
ls: /var/chef: No such file or directory
-- salt
curl -L https://bootstrap.saltproject.io -o /tmp/install_salt.sh
bootstrap -X
--local state.highstate --file-root=/srv/kept --pillar-root=/srv/pillar --retcode-passthrough -l info
/srv/kept/top.sls
/srv/kept/vault/init.sls
one
END
echo "ok: chef-solo and salt's bootstrap"
if grep -rlF s3cret chef-store > leaks; then
    cat leaks
    fail "the secret of the data bags is in the store"
fi
echo "ok: the secret of the data bags is nowhere"

# fails_with WHAT OPTIONS TEXT…: a provisioner on the small root fails, and says why.
fails_with() {
    local what=$1 options=$2 text
    shift 2
    rm -rf failing
    mkdir failing
    printf 'source "oci" "busybox" {\n  layout = "repo/fixtures/busybox"\n}\nbuild {\n  sources = ["oci.busybox"]\n  provisioner %s\n}\n' \
        "$options" > failing/failing.pkr.hcl
    if "$HARDTACK" build --store chef-store failing > out 2>&1; then
        cat out
        fail "$what: builds"
    fi
    for text; do
        contains "$what" out "$text"
    done
}
fails_with "no Ansible" '"ansible-local" { playbook_file = "user/home.yml" }' \
    "a command was not found (exit code 127)" "failing/failing.pkr.hcl:6:15" "install it in an earlier step"
fails_with "no Puppet" '"puppet-masterless" { manifest_file = "work/site.pp" }' \
    "a command was not found (exit code 127)" "name its folder with puppet_bin_dir"
fails_with "no Puppet, failures ignored" '"puppet-masterless" {
    manifest_file     = "work/site.pp"
    ignore_exit_codes = true
  }' "a command was not found (exit code 127)"
fails_with "no Salt" '"salt-masterless" {
    local_state_tree = "work/states"
    skip_bootstrap   = true
  }' "a command was not found (exit code 127)" "salt_bin_dir"
fails_with "no Chef" '"chef-solo" { skip_install = true }' \
    "a command was not found (exit code 127)" "skip_install"
fails_with "no such formula" '"salt-masterless" {
    local_state_tree = "work/states"
    formulas         = ["git::/nowhere/x.git//x"]
  }' "cannot get the formula of /nowhere/x.git: "
fails_with "chef-client" '"chef-client" { server_url = "https://chef" }' "needs a Chef server" "use chef-solo"
fails_with "puppet-server" '"puppet-server" {}' "needs a Puppet server" "use puppet-masterless"
sed -i 's/ensure => file/ensure => wrong/' user/home.pp
if "$HARDTACK" build --store of-root/store user > out 2>&1; then
    fail "a manifest that is wrong builds"
fi
contains "a manifest that is wrong" out "Puppet could not run or compile the manifest"

left_behind of-root/store
left_behind of-hardtack-sub/store
left_behind chef-store
