#!/usr/bin/env bash
# The flags of `build` that Packer has, compared with Packer itself (1.6.6 of Debian) in one run:
# the same template is built by both, and what they print and leave is compared.
. "$(dirname "$0")/../lib.sh"

export CHECKPOINT_DISABLE=1 HARDTACK_STORE=$WORK/store
command -v packer > /dev/null || { echo "packer is not installed"; exit 1; }

# normal FILE: the lines without what differs between any two runs: times and names of scripts.
normal() {
    sed -E \
        -e 's/^[0-9]+,/TIME,/' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9:]{5}): /STAMP: /' \
        -e 's!/tmp/packer-shell[A-Za-z0-9]+!/tmp/SCRIPT!g' \
        -e 's/(after) [0-9]+ [a-z]+( [0-9]+ [a-z]+)?/\1 TIME/' \
        -e 's/Script exited with non-zero exit status: ([0-9]+)\. ?Allowed exit codes are: \[([0-9 ]+)\]/FAILED \1/' \
        -e 's/the command exited with code ([0-9]+)(, allowed are \[[0-9, ]+\])?/FAILED \1/' \
        "$1"
}

# both CODE FLAGS… < TEMPLATE: builds with both, expects the exit code of both, and the same lines.
both() {
    local expected=$1 code tool
    shift
    for tool in packer hardtack; do
        rm -rf "$tool"
        mkdir "$tool"
        [ $tool = hardtack ] || cat > template.pkr.hcl
        cp template.pkr.hcl "$tool/t.pkr.hcl"
        code=0
        if [ $tool = packer ]; then
            (cd packer && packer "$@" t.pkr.hcl > ../packer.out 2> ../packer.err) || code=$?
        else
            (cd hardtack && "$HARDTACK" "$@" t.pkr.hcl > ../hardtack.out 2> ../hardtack.err) || code=$?
        fi
        if [ $code != "$expected" ]; then
            echo "$tool $*: expected exit code $expected, found $code"
            cat $tool.out $tool.err
            exit 1
        fi
        normal $tool.out > $tool.lines
    done
    diff -u packer.lines hardtack.lines
    echo "ok: $*"
}

echo "== machine-readable lines"
both 0 build -machine-readable << 'END'
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = [
      "echo 'a, b'",
      "printf 'x\\ttab \"quoted\" \\\\n %%!(PACKER_COMMA)\\n'",
      "echo $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE",
    ]
  }
}
END
both 0 -machine-readable build << 'END'
source "file" "b" {
  content = "{{build_name}} {{build_type}}\n"
  target  = "deep/er/out.txt"
}
build {
  name    = "named"
  sources = ["source.file.b"]
  provisioner "shell-local" {
    inline = ["cat deep/er/out.txt"]
  }
}
END
cmp packer/deep/er/out.txt hardtack/deep/er/out.txt
[ "$(stat -c %a hardtack/deep/er/out.txt)" = "$(stat -c %a packer/deep/er/out.txt)" ]
both 1 build -machine-readable << 'END'
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline = ["echo first; exit 3"]
  }
  provisioner "shell-local" {
    inline = ["echo never"]
  }
}
END

echo "== times before messages"
both 0 build -machine-readable -timestamp-ui << 'END'
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    command = "echo hello"
  }
}
END
for zone in UTC Europe/Berlin Asia/Kolkata; do
    [ -e /usr/share/zoneinfo/$zone ] || continue
    # The offset is compared; the time itself is checked where it is written.
    TZ=$zone packer build -color=false -timestamp-ui template.pkr.hcl > packer.out
    TZ=$zone "$HARDTACK" build -timestamp-ui template.pkr.hcl 2> hardtack.err
    ours=$(grep -oE '^[0-9-]+T[0-9:]+(Z|[+-][0-9:]+): ' hardtack.err | head -n 1 | cut -c 20-)
    theirs=$(grep -oE '^[0-9-]+T[0-9:]+(Z|[+-][0-9:]+): ' packer.out | head -n 1 | cut -c 20-)
    [ "$ours" = "$theirs" ] || { echo "in $zone: $ours instead of $theirs"; exit 1; }
done

echo "== shell-local: every option"
cat > script.sh << 'END'
#!/bin/sh
echo "script $A|$B|$C"
END
both 0 build -machine-readable << END
source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  provisioner "shell-local" {
    environment_vars = ["B=it's \"b\"", "A=x=y"]
    scripts          = ["$WORK/script.sh", "$WORK/script.sh"]
    execute_command  = ["/bin/bash", "-c", "{{.Vars}} /bin/sh {{.Script}}"]
  }
  provisioner "shell-local" {
    inline             = ["echo \$0 | grep -o '[.]tst\$'", "exit 4"]
    tempfile_extension = ".tst"
    valid_exit_codes   = [0, 4]
    inline_shebang     = "/bin/bash -eu"
  }
}
END

echo "== the manifest, and -force"
manifest='source "null" "a" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
  post-processor "manifest" {
    strip_time  = true
    custom_data = { a = "b" }
  }
}'
for tool in packer hardtack; do
    mkdir -p manifest-$tool
    echo "$manifest" > manifest-$tool/t.pkr.hcl
    binary=$tool
    [ $tool = packer ] || binary=$HARDTACK
    (
        cd manifest-$tool
        for flags in "" "" -force; do
            # shellcheck disable=SC2086 # no flag is no argument
            "$binary" build $flags t.pkr.hcl > /dev/null 2>&1
            jq -c '.builds | length' packer-manifest.json
        done
    ) > manifest-$tool.found
    sed -E 's/"[0-9a-f-]{36}"/"UUID"/' manifest-$tool/packer-manifest.json > manifest-$tool.json
done
# Packer 1.6.6 forgets -force in HCL templates; its documentation does not.
diff -u <(sed 3s/.*/1/ manifest-packer.found) manifest-hardtack.found
# The record itself, in Packer's order of fields.
diff -u <(jq 'del(.builds[1, 2])' manifest-packer.json) <(jq . manifest-hardtack.json)
(cd manifest-hardtack && "$HARDTACK" build t.pkr.hcl && "$HARDTACK" build t.pkr.hcl) > /dev/null 2>&1
sed -E 's/"[0-9a-f-]{36}"/"UUID"/' manifest-hardtack/packer-manifest.json | cmp - manifest-packer.json

echo "== bad values of flags"
for flag in -on-error=maybe -parallel-builds=x -color=perhaps; do
    ! packer build $flag template.pkr.hcl > /dev/null 2>&1
    code=0
    "$HARDTACK" build $flag template.pkr.hcl > stdout 2> said || code=$?
    [ $code = 1 ] && [ ! -s stdout ] || { echo "$flag: exit code $code"; exit 1; }
done
"$HARDTACK" build -force -debug -color -color=false -on-error=run-cleanup-provisioner \
    -skip-enforcement -ignore-prerelease-plugins -use-sequential-evaluation -config-type=hcl2 \
    -parallel-builds=-1 template.pkr.hcl < /dev/null 2> said || { cat said; exit 1; }

echo "== colour"
NO_COLOR=1 "$HARDTACK" build -color=true template.pkr.hcl 2>&1 | grep -q $'\e\['
! "$HARDTACK" build -color=false template.pkr.hcl 2>&1 | grep -q $'\e\['
