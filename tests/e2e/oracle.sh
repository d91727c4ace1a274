#!/usr/bin/env bash
# The oracle of the other tests can fail: tests/compare_trees.py sees each single difference between
# two trees, and sees none where there is none. Without this, a comparison that looks at too little
# would pass for every image.
. "$(dirname "$0")/../lib.sh"

"$REPO/tests/make_odd_tree.py" --devices /bin/busybox odd.tar
unpack() {
    mkdir "$1"
    tar --extract --xattrs --xattrs-include='*' --numeric-owner --preserve-permissions \
        --delay-directory-restore --warning=no-unknown-keyword --file odd.tar --directory "$1"
}
unpack one
unpack other
"$REPO/tests/compare_trees.py" one other > differences || { cat differences >&2; fail "two equal trees differ"; }
grep -q ' 0 differences' differences || fail "equal trees: $(cat differences)"
[ "$(find one -mindepth 1 | tr -dc '\n' | wc -c)" -gt 400 ] || fail "the odd tree has too few files"
echo "ok: $(tail -n 1 differences)"

# sees ASPECT COMMAND…: changes `other` with a command below other/odd; the difference must be told
# with ASPECT. The folder's time is put back, so that it is not what gives the change away.
sees() {
    local aspect=$1 what folder code=0
    shift
    what="$*"
    rm -rf other
    cp -a one other
    (cd other/odd && eval "$what")
    # A changed time of a folder is itself one of the cases.
    for folder in content emptied links links/below many modes names types xattrs .; do
        touch --reference="one/odd/$folder" "other/odd/$folder"
    done
    "$REPO/tests/compare_trees.py" one other > differences || code=$?
    [ $code = 1 ] || fail "not seen: $what (exit code $code)"
    grep -qF -- "$aspect" differences || { cat differences >&2; fail "seen, but not as \"$aspect\": $what"; }
    echo "ok: sees $what"
}

sees ': mode:'             'chmod 4754 modes/file-4755'
sees ': mode:'             'chmod 0777 modes/folder-7777'
sees ': owner:'            'chown 1:3 modes/owned-by-1'
sees ': owner:'            'chown --no-dereference 5:7 links/owned'
sees ': mtime:'            'touch --date=@2 times/1'
sees ': mtime:'            'touch --date=@1000000001 times'
sees ': mtime:'            'touch --no-dereference --date=@2 links/nowhere'
sees ': content:'          'printf y | dd of=content/513 bs=1 seek=512 conv=notrunc status=none; touch --date=@1000000000 content/513'
sees ': content:'          'printf y | dd of=content/zeros bs=1 seek=2000000 conv=notrunc status=none; touch --date=@1000000000 content/zeros'
sees ': size:'             'truncate --size=+1 content/zeros; touch --date=@1000000000 content/zeros'
sees ': xattrs:'           'setfattr --name=user.one --value=2 xattrs/plain'
sees ': xattrs:'           'setfattr --remove=user.two xattrs/plain'
sees ': xattrs:'           'setfattr --name=user.more --value= content/1'
sees ': xattrs:'           'setfattr --remove=user.folder xattrs'
sees ': xattrs:'           'setcap -r xattrs/ping'
sees ': xattrs:'           'setcap cap_net_raw=p xattrs/ping'
sees ': xattrs:'           'setfacl --modify user:1000:r xattrs/acl'
sees ': target:'           'ln --symbolic --force --no-dereference third links/owned; chown --no-dereference 5:6 links/owned'
sees ': linked with:'      'cp --preserve=all links/second x; mv x links/second'
sees ': linked with:'      'ln --force links/first links/below/fourth; rm links/below/third; mv links/below/fourth links/below/third; cp --preserve=all links/first x; mv x links/first'
sees ': linked with:'      'ln content/512 content/again; ln --force content/512 content/511'
sees ': type:'             'rm types/fifo; touch types/fifo'
sees ': type:'             'rm types/empty; mkdir types/empty'
sees ': device:'           'rm types/null; mknod --mode=0666 types/null c 1 5'
sees ': type:'             'rm types/null; mknod --mode=0666 types/null b 1 3'
sees ': is missing'        'rm many/0299'
sees ': is missing'        'rm -r emptied/below'
sees ': should not be there' 'touch --date=@1000000000 many/0300'
sees ': should not be there' 'touch "names/$(printf "\377")"'
sees ': is missing'        'mv "names/$(printf "latin-1 \351")" "names/$(printf "latin-1 \350")"'

# What the options let pass, and nothing else.
rm -rf other
cp -a one other
find other -exec touch --no-dereference --date=@1500000000 {} +
find one -mindepth 1 -exec touch --no-dereference --date=@1600000000 {} +
"$REPO/tests/compare_trees.py" --clamp 1500000000 one other > differences || { cat differences >&2; fail "--clamp"; }
! "$REPO/tests/compare_trees.py" --clamp 1500000001 one other > differences || fail "--clamp lets any time pass"
setfattr --name=user.extra --value=x other/odd/content/1
! "$REPO/tests/compare_trees.py" --clamp 1500000000 one other > differences || fail "an attribute passes"
"$REPO/tests/compare_trees.py" --clamp 1500000000 --ignore-xattr 'user.ex*' one other > differences \
    || { cat differences >&2; fail "--ignore-xattr"; }
find other -exec chown --no-dereference 1000:1000 {} +
"$REPO/tests/compare_trees.py" --only-content one other > differences || { cat differences >&2; fail "--only-content"; }
echo "ok: options"
