#!/usr/bin/env bash
# A root that RPM manages: its packages are made here of what Debian packages, and installed by the
# host's dnf. Shell and file provisioners work in it with the root's own rpm and dnf, as root and
# with subordinate ids.
. "$(dirname "$0")/../lib.sh"

for tool in rpmbuild dnf createrepo_c; do
    command -v $tool > /dev/null || fail "there is no $tool; tests/setup.sh installs it"
done

# files_of PACKAGE…: the files of Debian packages and of all that they need, but for documentation,
# as they lie in a root where /bin, /lib and /sbin are links.
files_of() {
    local packages
    packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$@" | grep '^[a-z]' | sed 's/:.*//' | sort -u)
    # Some names are of virtual packages.
    # shellcheck disable=SC2086 # they are several
    { dpkg-query --listfiles $packages 2> /dev/null || true; } \
        | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,' | sort -u | while read -r file; do
        case $file in
            /usr/share/doc/* | /usr/share/man/* | /usr/share/info/* | /usr/share/locale/*) ;;
            /var/log/* | /etc/dnf/* | /usr/lib/udev/*) ;;
            *) if [ -L "$file" ] || [ -f "$file" ]; then echo "${file#/}"; fi ;;
        esac
    done
}

# make_rpm REPOSITORY NAME VERSION HEADERS [SECTIONS [SED]] < SCRIPT: a package of the files that a
# script makes in $ROOT; a sed script gives lines of %files their attributes.
make_rpm() {
    local repository=$1 name=$2 version=$3 headers=$4 sections=${5:-} edits=${6:-}
    rm -rf build
    mkdir -p build log "$repository"
    ROOT=$WORK/build bash -euo pipefail || fail "the files of $name"
    # One line for each file and link, and for each folder that is empty.
    (cd build && find . \( -not -type d -o -type d -empty \) -printf '"/%P"\n' | sed "$edits") > files
    printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: x' 'License: x' \
        'AutoReqProv: no' "$headers" '%description' 'x' "$sections" '%files' > spec
    cat files >> spec
    rpmbuild -bb --quiet --buildroot "$WORK/build" --define "_topdir $WORK/rpmbuild" \
        --define '__os_install_post %{nil}' --define '_build_id_links none' \
        --define '_binary_payload w0.ufdio' --define "_rpmdir $WORK/$repository" spec > rpmbuild.log 2>&1 \
        || { cat rpmbuild.log; fail "rpmbuild $name"; }
}
export -f files_of

make_rpm repo filesystem 1 'Provides: /bin/sh' << 'END'
mkdir -p "$ROOT"/{dev,etc/dnf,home,proc,root,run,srv,sys,tmp,usr/{bin,lib,lib64,sbin},var/{cache,lib/rpm,log,tmp}}
chmod 1777 "$ROOT"/tmp "$ROOT"/var/tmp
for name in bin lib lib64 sbin; do ln -s usr/$name "$ROOT/$name"; done
cp "$(command -v busybox)" "$ROOT/usr/bin/busybox"
files_of rpm dash dnf > taken
# Not busybox's shell, which prefers its own rpm.
ln -s dash "$ROOT/usr/bin/sh"
for name in $(busybox --list); do
    grep -qxF -e "usr/bin/$name" -e "usr/sbin/$name" taken || [ -e "$ROOT/usr/bin/$name" ] || ln -s busybox "$ROOT/usr/bin/$name"
done
echo 'root:x:0:0:root:/root:/bin/sh' > "$ROOT/etc/passwd"
echo 'root:x:0:' > "$ROOT/etc/group"
printf 'NAME="Small RPM system"\nID=small\nVERSION_ID=1\n' > "$ROOT/etc/os-release"
printf '[main]\ngpgcheck=0\n' > "$ROOT/etc/dnf/dnf.conf"
END
make_rpm repo rpm 4.18 'Requires(pre): filesystem' << 'END'
files_of rpm dash > paths
tar --create --directory / --files-from paths | tar --extract --directory "$ROOT"
mkdir -p "$ROOT/etc/rpm"
# Debian's rpm is not for a system that RPM manages.
echo '%_dbpath /var/lib/rpm' > "$ROOT/etc/rpm/macros"
END
make_rpm repo dnf 4.14 'Requires: rpm' << 'END'
cp paths of-rpm
files_of dnf | grep -vxFf of-rpm > paths
tar --create --directory / --files-from paths | tar --extract --directory "$ROOT"
# It is a link that Debian's alternatives make.
[ -e "$ROOT/usr/bin/dnf" ] || ln -s dnf-3 "$ROOT/usr/bin/dnf"
END
createrepo_c --quiet repo
# Debian's rpm has its database in the home folder.
mkdir home
echo '%_dbpath /var/lib/rpm' > home/.rpmmacros
HOME=$WORK/home dnf --quiet --assumeyes --nogpgcheck --releasever=1 --installroot="$WORK/root" --repofrompath=base,"$WORK/repo" \
    --repo=base --setopt=cachedir="$WORK/cache" --setopt=logdir="$WORK/log" install dnf > dnf.log 2>&1 \
    || { cat dnf.log; fail "dnf --installroot"; }

# Packages to install in steps: with scripts, an owner, a capability, and one that needs another.
make_rpm more tool 2.0 '' "$(cat << 'END'
%pre
echo 'tool:x:77:77::/srv/tool:/bin/sh' >> /etc/passwd
echo 'tool:x:77:' >> /etc/group
%post
echo "configured by $(id -u)" > /etc/tool.state
END
)" 's,^"/srv/tool/data"$,%attr(0640\, root\, tool) &,; s,^"/usr/bin/tool"$,%caps(cap_net_raw=ep) &,; s,^"/etc/.*,%config &,' << 'END'
mkdir -p "$ROOT"/{etc,srv/tool,usr/bin}
printf '#!/bin/sh\necho "tool 2.0 $(cat /etc/tool.conf)"\n' > "$ROOT/usr/bin/tool"
chmod 755 "$ROOT/usr/bin/tool"
echo default > "$ROOT/etc/tool.conf"
echo data > "$ROOT/srv/tool/data"
END
make_rpm more addition 1.0 'Requires: tool' << 'END'
mkdir -p "$ROOT/usr/share/addition"
echo more > "$ROOT/usr/share/addition/file"
END
createrepo_c --quiet more
echo configured > tool.conf

mkdir template
cat > template/rpm.pkr.hcl <<'HCL'
source "rootfs" "rpm" {
  path = "root"
}
build {
  name    = "rpm"
  sources = ["rootfs.rpm"]
  provisioner "file" {
    source      = "more"
    destination = "/opt/"
  }
  provisioner "shell" {
    name    = "rpm"
    network = "none"
    inline = [
      "rpm --query filesystem rpm dnf",
      "rpm --install /opt/more/x86_64/tool-2.0-1.x86_64.rpm",
      "rpm --verify tool",
    ]
  }
  provisioner "file" {
    source      = "tool.conf"
    destination = "/etc/tool.conf"
  }
  provisioner "shell" {
    name    = "dnf"
    network = "none"
    inline = [
      "dnf --quiet --assumeyes --releasever=1 --repofrompath=more,/opt/more --repo=more install addition",
      "dnf --quiet --assumeyes --releasever=1 --repofrompath=more,/opt/more --repo=more reinstall tool",
      "rm -rf /opt/more /var/cache/dnf /var/log/dnf* /var/log/hawkey.log",
    ]
  }
}
HCL
chmod -R go+rX root more template tool.conf
for user in root hardtack-sub; do
    mkdir "of-$user"
    chown "$user" "of-$user"
    build_as() {
        as_user "$user" "$HARDTACK" build --store "of-$user/store" --metadata-file "of-$user/$1" template \
            > "of-$user/out" 2>&1 || { cat "of-$user/out" >&2; fail "$user: build"; }
    }
    build_as first.json
    # Times are those of the layer. Owners, modes and capabilities are as packaged, and all bytes but
    # those of the file that a step has replaced.
    as_user "$user" "$HARDTACK" run --store "of-$user/store" rpm.rootfs.rpm -- sh -c '
        tool; cat /etc/tool.state /usr/share/addition/file; stat -c "%a %U:%G" /srv/tool/data
        rpm --query --all --queryformat "%{NAME}\n" | sort; rpm --verify --nomtime addition tool; ls -A /opt' > "of-$user/result" 2>&1 || true
    diff - "of-$user/result" << 'END' || fail "$user: the result"
tool 2.0 configured
configured by 0
more
640 root:tool
addition
dnf
filesystem
rpm
tool
S.5......  c /etc/tool.conf
END
    echo "ok: $user: rpm and dnf have done their work"
    build_as again.json
    equal "$user: unchanged" "[true,true,true,true]" \
        "$(jq --compact-output '[.builds[].layers[] | select(.step) | .cached]' "of-$user/again.json")"
    left_behind "of-$user/store"
done
