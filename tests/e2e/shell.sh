#!/usr/bin/env bash
# A shell in the state before or after a step, or in what a failed step has left.
. "$(dirname "$0")/../lib.sh"

copy_templates "$WORK/repo"
chmod -R a+rX "$WORK/repo"
mkdir shells
cat > shells/shell.pkr.hcl <<'HCL'
variable "fails" {
  type    = bool
  default = true
}
source "oci" "base" { layout = "${path.root}/../repo/fixtures/busybox" }
source "oci" "below" { from = "below" }
build {
  name    = "below"
  sources = ["oci.base"]
  provisioner "shell" { inline = ["echo below > /below"] }
}
build {
  name    = "above"
  sources = ["oci.below"]
  provisioner "shell" { inline = ["echo one > /one"] }
  provisioner "shell-local" { inline = ["echo ran >> ${path.cwd}/local"] }
  provisioner "shell" {
    name   = "second"
    inline = ["echo two > /two", "rm /one", var.fails ? "echo half > /half; exit 3" : "true"]
  }
  provisioner "shell" { inline = ["echo three > /three"] }
}
HCL
cp "$REPO/tests/dialogue.py" .
cat > at_terminal <<'TEXT'
< #
> echo a$((40+2))b; tty; sleep 300
< a42b
< /dev/pts/0
^C
> echo code=$?; exit 7
< code=130
TEXT
cat > asked <<'TEXT'
< [s] open a shell
> s
< #
> cat /half /two; echo seen=$((1+1)); exit
< seen=2
< [s] open a shell
> a
< exited with code 3
TEXT

check() {
    local as=$1 store=$2 run
    cat > run.sh <<SH
cd "$WORK" && export HARDTACK_STORE="$store" HARDTACK_PROGRESS=plain && exec "\$@"
SH
    run="$as bash $WORK/run.sh $HARDTACK"
    # expect CODE TEXT ARGUMENTS…: the shell ends with CODE and prints TEXT.
    expect() {
        local code=0 out
        out=$($run shell shells "${@:3}" 2> err < input) || code=$?
        [ "$code" = "$1" ] && [ "$out" = "$2" ] || {
            echo "shell ${*:3}: code $code, not $1; printed: $out; said: $(cat err)" >&2
            exit 1
        }
    }
    : > input
    # Nothing has been built: what is needed is, and the host's own steps are left alone.
    rm -f local
    expect 0 "below one" --build above --before second -- sh -c 'echo $(cat /below /one)'
    [ ! -e local ]
    expect 125 "" --build above --failed
    grep -q 'nothing is kept of a failed step' err
    expect 1 "" --before second
    grep -q 'several builds' err
    expect 1 "" --build above --before nope
    grep -q 'steps are 1 (shell), 2 (shell-local), 3 (shell.second), 4 (shell)' err
    # It needs a step that fails.
    expect 125 "" --build above -- true
    grep -q 'exited with code 3' err

    if $run build shells 2> err; then exit 1; fi
    grep -q -- '--failed' err
    echo 'cat /half /two; ls /one 2> /dev/null || echo gone; echo x > /more; exit 5' > input
    expect 5 "half
two
gone" --build above --failed
    # What was changed is thrown away.
    expect 1 "" --build above --failed -- test -e /more
    expect 0 "one" --build above --after 1 -- cat /one
    expect 127 "" --build above --after 1 -- /nowhere
    $as bash run.sh python3 dialogue.py at_terminal 7 "$HARDTACK" shell shells --build above --failed

    $as bash run.sh python3 dialogue.py asked 1 "$HARDTACK" build -on-error=ask shells

    # It fails once more, and is replaced; it goes with a success.
    if $run build -var fails=true shells 2> err; then exit 1; fi
    expect 0 "half" --build above --failed -- cat /half
    $run build -var fails=false shells 2> err
    grep -q '\[1/4\] shell: cached' err
    expect 125 "" --build above --failed
    : > input
    expect 0 "three" -var fails=false --build above -- cat /three
    left=$(find "$store/tmp" "$store/locks" -mindepth 1 | wc -l)
    [ "$left" = 0 ]
    ! find "$store" -name failed.json | grep .
}

chmod a+rwx "$WORK" # the host's own step writes here
check "" "$WORK/store-root"
check "as_user hardtack-sub" "$WORK/store-sub"
check "as_user hardtack-single" "$WORK/store-single"
! pgrep -f "$WORK/bin/hardtack" > /dev/null
