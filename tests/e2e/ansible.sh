#!/usr/bin/env bash
# Playbooks of the host in the root of a step, with Debian's Ansible and with the newest one: no
# residue, cached by what they read, pinned roles, and messages that help.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
NEWEST=/opt/hardtack-tests/ansible/bin
# Whatever the caller has configured does not count.
export HOME=$WORK/home
mkdir -p "$HOME"
unset "${!ANSIBLE_@}"
template=repo/templates/ansible-web
name=ansible-web.debootstrap.debian

# The template as it is, forty tasks and more.
build store root.json $template
equal "no task fails" 1 "$(grep -c 'unreachable=0 *failed=0' root.json.err)"
tasks=$(sed -n 's/.*: ok=\([0-9]*\) .*/\1/p' root.json.err)
[ "$tasks" -ge 40 ] || fail "there are only $tasks tasks"
digest=$(digest_of root.json $name)
layer=$(jq --raw-output '.builds[].layers[-1].digest' root.json)
tar -tzf "store/blobs/sha256/${layer#sha256:}" | sort > members
for left in ansible '\.pyc$' __pycache__ '^tmp/.' '^root/.' '^var/tmp/.' '^run/.' async; do
    ! grep -E "$left" members || fail "the layer has $left"
done
echo "ok: no residue in the layer"
[ ! -e "$HOME/.ansible" ] || fail "there is a ~/.ansible: $(find "$HOME/.ansible")"
"$HARDTACK" run --store store $name -t -q || fail "nginx does not like its configuration"
umoci unpack --image store:$name bundle > /dev/null 2>&1
chroot bundle/rootfs sh -c 'cat /var/lib/app/who /opt/app/checkout/page /opt/app/etc/ready
    stat -c %U:%a /srv/www/site/assets/status.json
    ls /etc/systemd/system/multi-user.target.wants
    readlink /etc/systemd/system/apt-daily.timer' > said
rm -rf bundle
printf 'APP\na page\nready\nwww-data:640\napp.service\ne2scrub_reap.service\nnginx.service\nremote-fs.target\n/dev/null\n' > expected
diff expected said || fail "the tasks did something else"
echo "ok: users, services, git, background work"
left_behind store

# Unchanged: all from the store, at once.
build store again.json $template
equal "the second build gives the same" "$digest" "$(digest_of again.json $name)"
equal "from the store" true "$(jq '.builds[].layers[-1].cached' again.json)"
cost() {
    hyperfine --shell=none --warmup 2 --runs 20 --export-json cost.json "$HARDTACK build --store store $template" > /dev/null 2>&1
    jq '.results[0].median * 1000 | floor' cost.json
}
echo "an unchanged playbook takes $(cost) ms"

# The base by itself, so that all that follows starts from it without another mmdebstrap.
mkdir base
sed -e 's/name *= "ansible-web"/name = "base"/' -e '/^  # ansible-playbook runs/,/^}/d' $template/ansible-web.pkr.hcl > base/base.pkr.hcl
printf '  post-processor "oci-layout" {\n    path = "layout"\n    reference = "base"\n  }\n}\n' >> base/base.pkr.hcl
build store base.json base
chmod -R a+rX layout
[ "$(umoci list --layout layout)" = base ] || fail "there is no base"

# The same playbook again, and as a user with subordinate ids: the same layer.
from_layout() {
    mkdir -p "$1"
    cp -a $template/ansible "$1/"
    sed -e '/^source /,/^}/c\source "oci" "debian" {\n  layout    = "layout"\n  reference = "base"\n}' \
        -e 's/source.debootstrap/source.oci/' $template/ansible-web.pkr.hcl > "$1/web.pkr.hcl"
    chmod -R a+rX "$1"
}
from_layout again

build again-store again1.json again
layer_of() { jq --raw-output '.builds[].layers[-1].diff_id' "$1"; }
equal "two runs give the same layer" "$(layer_of root.json)" "$(layer_of again1.json)"
mkdir of-sub
chown hardtack-sub of-sub
as_user hardtack-sub "$HARDTACK" build --store of-sub/store --metadata-file of-sub/sub.json again > said 2>&1 \
    || { cat said; fail "hardtack-sub: build"; }
equal "hardtack-sub: the same layer" "$(layer_of root.json)" "$(layer_of of-sub/sub.json)"

# Several steps; one changed file, and only that step runs again.
mkdir -p several/one/templates several/two/roles/small/{tasks,templates}
cat > several/t.pkr.hcl <<'HCL'
source "oci" "debian" {
  layout    = "layout"
  reference = "base"
}
variable "password" {
  type      = string
  sensitive = true
  default   = "hunter2-of-the-vault"
}
build {
  name    = "several"
  sources = ["source.oci.debian"]
  provisioner "shell" {
    inline = ["useradd --create-home deploy"]
  }
  provisioner "ansible" {
    playbook_file    = "${path.root}/one/play.yml"
    extra_arguments  = ["--extra-vars", "ansible_host=x ansible_connection=docker db_password=${var.password}"]
    ansible_env_vars = ["ANSIBLE_STDOUT_CALLBACK=default"]
    use_proxy        = false
    local_port       = 2222
  }
  provisioner "ansible" {
    playbook_file       = "${path.root}/two/play.yml"
    user                = "deploy"
    host_alias          = "machine"
    groups              = ["web"]
    empty_groups        = ["db"]
    inventory_directory = "${path.root}/inventory"
  }
}
HCL
cat > several/one/play.yml <<'YML'
- hosts: all
  gather_facts: false
  tasks:
    - template: { src: greeting.j2, dest: /greeting }
    - raw: "echo {{ db_password }}"
      changed_when: false
    - delegate_to: localhost
      command: cat /etc/hostname
      changed_when: false
    - fetch: { src: /greeting, dest: "{{ playbook_dir }}/../fetched", flat: true }
YML
echo 'hello from {{ packer_build_name }} {{ packer_builder_type }}' > several/one/templates/greeting.j2
cat > several/two/play.yml <<'YML'
- hosts: web
  vars:
    rooted: "{{ lookup('pipe', 'id -u') }}"
  roles: [small]
- hosts: db
  tasks:
    - fail:
YML
cat > several/two/roles/small/tasks/main.yml <<'YML'
- command: id -un
  register: who
  changed_when: false
- shell: echo $HOME
  register: home
  changed_when: false
- command: id -un
  become: true
  become_method: sudo
  register: root
  changed_when: false
- command: id -un
  become: true
  become_method: su
  become_user: nobody
  register: nobody
  changed_when: false
- template:
    src: users.j2
    dest: /users
  become: true
- copy:
    content: "{{ from_group }}\n"
    dest: /home/deploy/own
YML
echo '{{ who.stdout }} {{ home.stdout }} {{ root.stdout }} {{ nobody.stdout }} {{ inventory_hostname }} {{ ansible_facts.distribution }}' > several/two/roles/small/templates/users.j2
mkdir -p several/inventory/group_vars
echo 'from_group: grouped' > several/inventory/group_vars/web.yml
build store several.json several
"$HARDTACK" run --store store several.oci.debian /bin/sh -c 'cat /greeting /users /home/deploy/own; stat -c %U /home/deploy/own' > said
printf 'hello from debian oci\ndeploy /home/deploy root nobody machine Debian\ngrouped\ndeploy\n' > expected
diff expected said || fail "several: other results"
echo "ok: users, become, groups, variables"
contains "files come back" several/fetched "hello from debian oci"
contains "another connection is explained" several.json.err "tasks enter the image directly"
contains "options of SSH are explained" several.json.err "local_port has no effect"
! grep -rq hunter2-of-the-vault several.json.err store/steps store/history || fail "the password is shown"
contains "the value of a password is masked" several.json.err "db_password=*****"
rm several/fetched
echo 'again' >> several/two/roles/small/templates/users.j2
build store several2.json several
cached() { jq --compact-output '[.builds[].layers[] | select(.step != null) | .cached]' "$1"; }
equal "one changed template, one step" '[true,true,false]' "$(cached several2.json)"
"$HARDTACK" plan --store store several > said 2>&1
rm several/inventory/group_vars/web.yml
echo 'from_group: other' > several/inventory/group_vars/web.yml
"$HARDTACK" plan --store store several > said 2>&1
contains "plan says which file" said "inventory_directory/group_vars/web.yml changed"

# The newest Ansible does the same, and another version is another step.
PATH=$NEWEST:$PATH build newest-store newest.json several
"$HARDTACK" run --store newest-store several.oci.debian /bin/sh -c 'cat /greeting; head -n 1 /users' > said
printf 'hello from debian oci\ndeploy /home/deploy root nobody machine Debian\n' > expected
diff expected said || fail "the newest Ansible: other results"
ANSIBLE_HOME=$WORK/other "$NEWEST/ansible-playbook" --version > said
echo "ok: $(head -n 1 said)"
"$HARDTACK" plan --store newest-store several > said 2>&1
contains "another Ansible is another step" said "option ansible changed"

# Galaxy, without Galaxy: a role from git and a collection from a tarball, pinned by content.
mkdir -p origin/greeter/{tasks,meta} origin/collection
git -C origin init --quiet --initial-branch main greeter
cat > origin/greeter/tasks/main.yml <<'YML'
- copy: { content: "greeted once\n", dest: /greeted }
YML
echo 'galaxy_info: { author: x, description: x, license: x, min_ansible_version: "2.12" }' > origin/greeter/meta/main.yml
commit() { git -C origin/greeter add . && git -C origin/greeter -c user.name=x -c user.email=x@example.com commit --quiet --message "$1"; }
commit one
mkdir -p origin/collection/plugins/filter
printf 'namespace: own\nname: words\nversion: 1.2.3\nauthors: [x]\nreadme: README.md\n' > origin/collection/galaxy.yml
touch origin/collection/README.md
printf 'class FilterModule:\n    def filters(self):\n        return {"shout": lambda text: text.upper()}\n' > origin/collection/plugins/filter/shout.py
ANSIBLE_HOME=$WORK/other ANSIBLE_LOCAL_TEMP=$WORK/other ansible-galaxy collection build origin/collection --output-path origin > /dev/null
mkdir galaxy
cat > galaxy/t.pkr.hcl <<'HCL'
source "oci" "debian" {
  layout    = "layout"
  reference = "base"
}
build {
  name    = "galaxy"
  sources = ["source.oci.debian"]
  provisioner "ansible" {
    playbook_file = "${path.root}/play.yml"
    galaxy_file   = "${path.root}/requirements.yml"
  }
}
HCL
cat > galaxy/requirements.yml <<YML
roles:
  - name: greeter
    src: git+file://$WORK/origin/greeter
    version: main
collections:
  - name: $WORK/origin/own-words-1.2.3.tar.gz
    type: file
YML
cat > galaxy/play.yml <<'YML'
- hosts: all
  gather_facts: false
  roles: [greeter]
  tasks:
    - copy: { content: "{{ 'loud' | own.words.shout }}\n", dest: /loud }
YML
build store galaxy.json galaxy
"$HARDTACK" run --store store galaxy.oci.debian /bin/cat /greeted /loud > said
printf 'greeted once\nLOUD\n' > expected
diff expected said || fail "galaxy: other results"
contains "the lock file says what was installed" galaxy/hardtack.lock.hcl '"own.words 1.2.3",'
contains "and of roles" galaxy/hardtack.lock.hcl '"greeter main",'
"$HARDTACK" init --store store galaxy > said 2>&1 || { cat said; fail "init"; }
build store galaxy2.json --locked galaxy
equal "locked, and from the store" '[true]' "$(cached galaxy2.json)"
equal "the home folder has nothing of it" "" "$(ls -A "$HOME")"
sed -i s/once/twice/ origin/greeter/tasks/main.yml
commit two
build store galaxy3.json --locked galaxy
equal "what has moved does not matter while it is known" '[true]' "$(cached galaxy3.json)"
cp galaxy/hardtack.lock.hcl kept.hcl
"$HARDTACK" build --store other-store galaxy > said 2>&1 && fail "a moved role is taken"
contains "elsewhere, a moved role is refused" said "has other files under the same version"
contains "with the remedy" said "hardtack init -upgrade"
equal "and the lock file stays" "$(cat kept.hcl)" "$(cat galaxy/hardtack.lock.hcl)"
"$HARDTACK" init --store other-store -upgrade galaxy > said 2>&1 || { cat said; fail "init -upgrade"; }
contains "init moves it" said "galaxy requirements.yml: sha256:"
build other-store galaxy4.json --locked galaxy
"$HARDTACK" run --store other-store galaxy.oci.debian /bin/cat /greeted > said
contains "the new role is used" said "greeted twice"
echo '# another list' >> galaxy/requirements.yml
"$HARDTACK" build --store store --locked galaxy > said 2>&1 && fail "--locked takes a changed list"
contains "--locked refuses a changed list" said "has changed since it was locked"

# What goes wrong, and what is said then.
mkdir wrong
wrong() { # WHAT PLAYBOOK OPTION…
    cat > wrong/play.yml
    cat > wrong/t.pkr.hcl <<HCL
source "oci" "base" {
  $1
}
build {
  name    = "wrong"
  sources = ["source.oci.base"]
  provisioner "ansible" {
    playbook_file = "\${path.root}/play.yml"
    $2
  }
}
HCL
    "$HARDTACK" build --store store wrong > said 2>&1 && { cat said; fail "it is built all the same"; }
    return 0
}
debian='layout = "layout"'
busybox='layout = "repo/fixtures/busybox"'
wrong "$busybox" "" <<'YML'
- hosts: all
  tasks: []
YML
contains "no Python in the image" said "install python3 in a shell step"
contains "the place in the template" said "wrong/t.pkr.hcl:7:"
wrong "$debian" "max_retries = 1" <<'YML'
- hosts: all
  gather_facts: false
  tasks:
    - command: mkdir /first
    - command: sh -c 'echo it is broken >&2; exit 3'
YML
contains "Ansible's own words" said "it is broken"
contains "the failure" said "the playbook failed (ansible-playbook ended with code 2)"
[ "$(grep -c "it is broken" said)" -ge 2 ] || fail "there is no second attempt"
! grep -q "File exists" said || fail "the second attempt stands on the first"
echo "ok: each attempt has a fresh root"
wrong "$debian" 'timeout = "3s"' <<'YML'
- hosts: all
  gather_facts: false
  tasks:
    - command: sleep 4321
YML
contains "a timeout" said "timed out after 3"
! pgrep -f 'sleep 4321' > /dev/null || fail "the task lives on"
! pgrep -f "ansible-playbook.*$WORK" > /dev/null || fail "Ansible lives on"
wrong "$debian" 'command = "ansible-nowhere"' <<'YML'
- hosts: all
YML
contains "no Ansible" said "there is no ansible-nowhere on this host"
contains "how to get it" said "apt install ansible-core"
wrong "$debian" 'ansible_winrm_use_http = true' <<'YML'
- hosts: all
YML
contains "WinRM is refused" said "there is no WinRM"

# Interrupted, nothing is left.
cat > wrong/play.yml <<'YML'
- hosts: all
  gather_facts: false
  tasks:
    - command: sleep 4322
YML
sed -i '/winrm/d' wrong/t.pkr.hcl
"$HARDTACK" build --store store wrong > said 2>&1 &
pid=$!
for _ in $(seq 100); do
    pgrep -f 'sleep 4322' > /dev/null && break
    sleep 0.1
done
kill -INT $pid
wait $pid && fail "it is built all the same"
contains "interrupted" said "interrupted"
for _ in $(seq 50); do
    pgrep -f 'sleep 4322' > /dev/null || break
    sleep 0.1
done
! pgrep -f 'sleep 4322' > /dev/null || fail "the task lives on"
left_behind store
