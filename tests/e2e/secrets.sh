#!/usr/bin/env bash
# Secrets: each source and each delivery, and that nothing of them is left anywhere.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
chmod 777 "$WORK"

# Four secrets, one for each source. They are made up of what nothing else holds.
plain=Sup3rSecretToken-9f8e7d6c5b4a
from_file=${plain}-file from_environment=${plain}-environment
from_value=${plain}-value from_flag=${plain}-flag
mkdir "$WORK/given"
echo "$from_file" > given/file
echo "$from_flag" > given/flag
chmod -R go+rX given

header="source \"oci\" \"base\" {
  layout = \"$WORK/repo/fixtures/busybox\"
}
variable \"value\" {
  type = string
  sensitive = true
}"
cat > t.pkr.hcl <<HCL
$header
build {
  name    = "app"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = [
      "test \"\$(cat /run/secrets/file)\" = \"\$FILE\"",
      "test \"\$(wc -c < /run/secrets/file)\" = \$((\$\${#FILE} + 1))",
      "test \"\$(stat -c '%a %u' /run/secrets/file)\" = '400 0'",
      "test -n \"\$ENVIRONMENT\" && test ! -e /run/secrets/environment",
      "test \"\$(cat /opt/value)\" = \"\$VALUE\"",
      "test \"\$(stat -c '%a' /opt/value)\" = 440",
      "test -n \"\$(cat /run/secrets/flag)\"",
      "test ! -e /run/secrets/none && test -z \"\$\${NONE:-}\"",
      "echo said: \$FILE \$ENVIRONMENT \$VALUE \$(cat /run/secrets/flag)",
      "echo encoded: \$(cat /run/secrets/flag | base64)",
      "echo \$FILE > /tmp/used && rm /tmp/used",
      "sleep 2",
      "echo done > /done",
    ]
    mount "secret" {
      id       = "file"
      target   = "/run/secrets/file"
      variable = "FILE"
      file     = "given/file"
    }
    mount "secret" {
      id          = "environment"
      variable    = "ENVIRONMENT"
      environment = "PLANTED"
    }
    mount "secret" {
      id       = "value"
      target   = "/opt/value"
      variable = "VALUE"
      value    = var.value
      mode     = "0440"
    }
    mount "secret" {
      id = "flag"
    }
    mount "secret" {
      id       = "none"
      variable = "NONE"
      required = false
    }
  }
}
HCL
cat > v.pkrvars.hcl <<HCL
value = "$from_value"
HCL
chmod go+r v.pkrvars.hcl

touch -d '1 second ago' "$WORK/begin"

# leaks FOLDER…: what has been written since the test began and holds one of the secrets, also in
# base64 and inside of what is compressed.
leaks() {
    local encoded
    encoded=$(printf %s "$plain" | base64)
    encoded=${encoded:0:30}
    {
        find "$@" -xdev \( -type f -o -type l \) -newer "$WORK/begin" \( -name "*$plain*" -o -lname "*$plain*" \) 2> /dev/null || true
        find "$@" -xdev -type f -size -200M -newer "$WORK/begin" -exec grep -laF -e "$plain" -e "$encoded" {} + 2> /dev/null || true
        find "$@" -xdev -type f -size -200M -newer "$WORK/begin" -path '*/blobs/*' -exec zgrep -laF -e "$plain" -e "$encoded" {} + 2> /dev/null || true
    } | sort -u
}

for user in root hardtack-sub hardtack-single; do
    echo "--- $user"
    home=$(getent passwd "$user" | cut -d: -f6)
    store=$WORK/store-$user
    out=$WORK/out-$user
    mkdir -m 777 "$out"
    env=(env PLANTED="$from_environment" HARDTACK_PROGRESS=json TMPDIR="$out")
    before=$(leaks "$home" /tmp)
    as_user "$user" "${env[@]}" "$HARDTACK" build --store "$store" --metadata-file "$out/metadata.json" \
        --var-file v.pkrvars.hcl --secret id=flag,src=given/flag t.pkr.hcl > "$out/stdout" 2> "$out/stderr" &
    build=$!
    # While the step sleeps, no command line may hold a secret.
    for _ in $(seq 300); do
        grep -q '"said: ' "$out/stderr" 2> /dev/null && break
        kill -0 $build 2> /dev/null || break
        sleep 0.05
    done
    lines=$(cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\0' ' ' || true)
    wait $build || { cat "$out/stderr" >&2; fail "the build of $user"; }
    [[ $lines != *"$plain"* ]] || fail "a command line holds a secret"
    echo "ok: no command line holds a secret"
    contains "the output is masked" "$out/stderr" 'said: <sensitive> <sensitive> <sensitive> <sensitive>'
    contains "so is its base64" "$out/stderr" 'encoded: <sensitive>'
    equal "nothing is left" "$before" "$(leaks "$store" "$out" "$home" /tmp)"

    as_user "$user" "${env[@]}" "$HARDTACK" build --store "$store" --var-file v.pkrvars.hcl \
        --secret id=flag,env=PLANTED t.pkr.hcl > "$out/stdout" 2> "$out/stderr" \
        || { cat "$out/stderr" >&2; fail "the second build"; }
    contains "another value is no other step" "$out/stderr" step_cached
done

echo "--- a step that keeps a secret"
leaking() {
    cat > leak.pkr.hcl <<HCL
$header
build {
  name    = "leak"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = [$1]
    mount "secret" {
      id       = "file"
      target   = "/run/secrets/file"
      variable = "FILE"
      file     = "given/file"
    }
  }
}
HCL
    "$HARDTACK" build --store leak-store --var-file v.pkrvars.hcl leak.pkr.hcl > leak.out 2> leak.err && fail "it was built"
    # What goes after a build that is killed goes with the next one; this one was not killed.
    equal "nothing is left of it ($1)" "" "$(leaks leak-store leak.out leak.err)"
}
leaking '"cp /run/secrets/file /copied"'
contains "it says where" leak.err "the secret file is in the content of copied"
contains "it says what to do" leak.err "remove it before the step ends"
leaking '"cat /run/secrets/file | base64 > /encoded"'
contains "base64 is found" leak.err "the content of encoded"
leaking '"head -c 60 /dev/zero | cat - /run/secrets/file | base64 > /encoded"'
contains "base64 in lines is found" leak.err "the content of encoded"
leaking '"mkdir /$FILE"'
contains "names are found" leak.err "a name in the root folder"
leaking '"ln -s $FILE /link"'
contains "links are found" leak.err "the target of link"
leaking '"echo $FILE > /left", "exit 3"'
contains "a step that fails says so" leak.err "exit"
"$HARDTACK" shell --store leak-store --var-file v.pkrvars.hcl --failed leak.pkr.hcl -- cat /left > shell.out 2>&1 \
    && fail "what failed with a secret was kept"
echo "ok: it is not kept to be looked at"
contains "it says why" leak.err "nothing of the failed step is kept: the secret file is in the content of left"
grep -q -e --failed leak.err && fail "it offers to show what is not there"
sed -i '$d' leak.pkr.hcl
cat >> leak.pkr.hcl <<HCL
  error-cleanup-provisioner "shell" {
    inline = ["cat /run/secrets/file > /dropped", "echo cleaned up"]
    mount "secret" {
      id   = "file"
      file = "given/file"
    }
  }
}
HCL
"$HARDTACK" build --store leak-store --var-file v.pkrvars.hcl leak.pkr.hcl > leak.out 2> leak.err && fail "it was built"
contains "what cleans up runs" leak.err "cleaned up"
grep -q -e 'error-cleanup-provisioner failed' leak.err && fail "what is dropped was searched"
echo "ok: what is dropped is not searched"

echo "--- what is missing"
"$HARDTACK" build --store none --var-file v.pkrvars.hcl t.pkr.hcl > missing.out 2> missing.err && fail "it was built without"
contains "the variable" missing.err 'the secret "environment" is missing: the variable PLANTED is not set'
contains "the flag" missing.err 'the secret "flag" is not given'
contains "what to do" missing.err '--secret id=flag,src=FILE'
contains "where" missing.err 't.pkr.hcl:'
[ ! -d none/steps ] || equal "nothing was run" "" "$(ls none/steps)"
"$HARDTACK" validate --var-file v.pkrvars.hcl t.pkr.hcl > validate.out 2>&1 || { cat validate.out; fail "validate asks for secrets"; }
echo "ok: checking needs no secrets"
left_behind leak-store

echo "--- a secret that goes through a cache"
cat > cache.pkr.hcl <<HCL
$header
build {
  name    = "leak"
  sources = ["source.oci.base"]
  provisioner "shell" {
    inline = ["cp /run/secrets/file /cache/copied"]
    mount "secret" {
      id   = "file"
      file = "given/file"
    }
    mount "cache" {
      target = "/cache"
    }
  }
  provisioner "shell" {
    inline = ["cp /cache/copied /carried"]
    mount "cache" {
      target = "/cache"
    }
  }
}
HCL
"$HARDTACK" build --store cache-store --var-file v.pkrvars.hcl cache.pkr.hcl > leak.out 2> leak.err && fail "it was built"
contains "a step that has not been given it is searched too" leak.err "the secret file is in the content of carried"
contains "it says that the cache has it" leak.err 'the secret file is in the content of copied of the cache "/cache"'
