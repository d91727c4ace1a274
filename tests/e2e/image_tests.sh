#!/usr/bin/env bash
# Test blocks and `hardtack test`, as root and without: what passes, what fails, what is left.
. "$(dirname "$0")/../lib.sh"
. "$REPO/tests/registry.sh"

copy_templates "$WORK/repo"

cat > web.pkr.hcl <<'HCL'
variable "greeting" {
  type    = string
  default = "hello"
}
variable "token" {
  type      = string
  default   = "s3cr3t-t0ken"
  sensitive = true
}
variable "out" { type = string }
variable "expected" {
  type    = string
  default = "hello"
}

source "oci" "busybox" { layout = "repo/fixtures/busybox" }

build {
  name    = "web"
  sources = ["source.oci.busybox"]

  provisioner "shell" {
    env = { GREETING = var.greeting }
    inline = [
      "mkdir -p /srv/www /var/log/web",
      "echo $GREETING > /srv/www/index.html",
      "ln -s index.html /srv/www/link",
      "echo 'web:x:33:33::/srv:/bin/false' >> /etc/passwd",
      "printf 'web:x:33:\\nlog:x:4:web\\n' >> /etc/group",
      "chmod 4755 /srv/www/index.html",
    ]
  }
  config {
    entrypoint = ["httpd", "-f"]
    cmd        = ["-p", "8080", "-h", "/srv/www"]
    ports      = ["8080"]
    env        = { MODE = "production" }
  }

  test "serves the page" {
    port "8080" {}
    env    = { TOKEN = var.token }
    inline = ["echo $TOKEN >&2", "wget -q -O - http://127.0.0.1:8080/", "touch /left"]
    stdout = ["^${var.expected}$"]
  }
  test "services of its own" {
    start = ["nc", "-l", "-p", "53"]
    setup = ["httpd -p 9090 -h /srv/www"]
    port "53" {}
    port "9090" { protocol = "tcp" }
  }
  test "is set up" {
    file "/srv/www/index.html" {
      type     = "file"
      mode     = "4755"
      owner    = "root"
      contains = ["^hello"]
    }
    file "/srv/www/link" { link_target = "index.html" }
    # Another test has made it, in a root of its own.
    file "/left" { exists = false }
    user "web" {
      uid    = 33
      groups = ["log"]
    }
    group "log" { members = ["web"] }
    config {
      env   = { MODE = "production", DEBUG = null }
      ports = ["8080/tcp"]
    }
  }
  test "sees no network but its own" {
    inline          = ["cat /proc/net/dev", "cat /proc/net/tcp"]
    excluded_stdout = ["eth0", ":1F90 "]
  }

  post-processor "oci-layout" { path = var.out }
}
HCL

# A program that writes what no XML can hold.
cat > bad.hcl <<'HCL'
variable "token" {
  type      = string
  default   = "s3cr3t-t0ken"
  sensitive = true
}
test "odd bytes" {
  inline = ["printf 'a\\000b\\033[1m<&]]>\\377\\nlast\\n'", "echo ${var.token}", "exit 3"]
  stdout = ["^nothing of it$"]
}
test "never listens" {
  start = ["sh", "-c", "echo cannot bind; exit 4"]
  port "81" { within = "20s" }
}
test "too slow" {
  timeout = "1s"
  inline  = ["sleep 100 & sleep 100"]
}
test "passes" { command = ["true"] }
HCL

cat > structure.yaml <<'YAML'
schemaVersion: "2.0.0"
globalEnvVars: [{key: GREETING, value: "${MODE}!"}]
commandTests:
  - name: variables
    setup: [[touch, /made]]
    command: sh
    args: [-c, 'echo "$GREETING"; ls /made; env']
    expectedOutput: ["^production!\n/made\n", "GREETING=production!"]
    excludedOutput: ["^/made"]
  - {name: code, command: "false", exitCode: 1}
fileExistenceTests:
  - {name: page, path: /srv/www/index.html, permissions: "urwxr-xr-x", uid: 0, gid: 0, isExecutableBy: other}
  - {name: link, path: /srv/www/link, permissions: "Lrwxrwxrwx"}
  - {name: none, path: /made, shouldExist: false}
fileContentTests:
  - {name: page, path: /srv/www/link, expectedContents: ["hel+o"], excludedContents: ["^hello$"]}
metadataTest:
  envVars: [{key: MODE, value: "^prod", isRegex: true}]
  exposedPorts: ["8080"]
  unexposedPorts: ["22"]
  entrypoint: [httpd, -f]
YAML
sed -e 's/exitCode: 1/exitCode: 0/' -e 's/"8080"/"80"/' structure.yaml > wrong.yaml
chmod a+r ./*

# junit FILE: the counts of a report, which Python must be able to read.
junit() {
    python3 - "$1" <<'PYTHON'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "testsuites"
cases = root.findall("testsuite/testcase")
for suite in root:
    assert int(suite.get("tests")) == len(suite.findall("testcase"))
    assert suite.get("name") and float(suite.get("time")) >= 0 and len(suite.get("timestamp")) == 19
for case in cases:
    assert case.get("name") and case.get("classname") and float(case.get("time")) >= 0
count = lambda name: sum(case.find(name) is not None for case in cases)
assert int(root.get("failures")) == count("failure")
print(len(cases), count("failure"), count("skipped"))
PYTHON
}

check() {
    local user=$1 folder=$WORK/of-$1 code
    mkdir "$folder"
    chown "$user" "$folder"
    run() { as_user "$user" "$HARDTACK" "$1" --store "$folder/store" "${@:2}"; }
    build_web() { run build --junit "$folder/junit.xml" --metadata-file "$folder/metadata.json" \
        -var "out=$folder/layout" "$@" web.pkr.hcl > "$folder/out" 2> "$folder/err"; }

    build_web || { cat "$folder/err"; fail "$user: build"; }
    equal "$user: JUnit" "4 0 0" "$(junit "$folder/junit.xml")"
    equal "$user: metadata" "passed passed passed passed" \
        "$(jq -r '[.builds[].tests[].state] | join(" ")' "$folder/metadata.json")"
    local digest
    digest=$(digest_of "$folder/metadata.json" web.oci.busybox)
    code=0
    run run web.oci.busybox -- test ! -e /left || code=$?
    equal "$user: what tests do is not in the image" 0 $code

    build_web || fail "$user: build again"
    equal "$user: passed tests do not run again" 4 "$(grep -c 'has passed before' "$folder/err")"
    equal "$user: the same image" "$digest" "$(digest_of "$folder/metadata.json" web.oci.busybox)"
    build_web --no-cache || fail "$user: build without cache"
    equal "$user: --no-cache runs them" 4 "$(grep -c ': passed in ' "$folder/err")"

    # Another image, which is not what the test expects.
    rm -rf "$folder/layout"
    code=0
    build_web -var greeting=bye -var expected=hello || code=$?
    equal "$user: a failed test fails the build" 1 $code
    contains "$user: what was expected" "$folder/err" 'expected something that matches "^hello$", found "bye"'
    contains "$user: where" "$folder/err" "web.pkr.hcl:"
    contains "$user: all failures are told" "$folder/err" "2 of 4 tests of the image failed: serves the page, is set up"
    [ ! -e "$folder/layout" ] || fail "$user: a post-processor ran"
    equal "$user: the name points at the older image" "$digest" "$(run show --json web.oci.busybox | jq -r .digest)"
    equal "$user: JUnit of a failure" "4 2 0" "$(junit "$folder/junit.xml")"
    ! grep -q s3cr3t "$folder/err" "$folder/junit.xml" || fail "$user: the secret is shown"
    contains "$user: the secret is hidden" "$folder/junit.xml" "&lt;sensitive&gt;"
    ! grep -rqF s3cr3t "$folder/store/steps" || fail "$user: the secret is in the store"
    code=0
    build_web -var greeting=bye -var expected=hello || code=$?
    equal "$user: a failure is not kept" "1 2" "$code $(grep -c 'has passed before' "$folder/err")"
    build_web -var greeting=bye -var expected=hello --skip-tests || fail "$user: --skip-tests"
    equal "$user: skipped" "4 0 4" "$(junit "$folder/junit.xml")"

    # The good image again, for the rest.
    build_web || fail "$user: build a third time"
    run test web.oci.busybox structure.yaml --junit "$folder/cst.xml" > "$folder/cst" || { cat "$folder/cst"; fail "$user: structure.yaml"; }
    equal "$user: container-structure-test's file" "7 0 0" "$(junit "$folder/cst.xml")"
    run test "oci:$folder/layout" structure.yaml --filter 'File*' > "$folder/cst"
    contains "$user: of a layout, filtered" "$folder/cst" "4 passed, 0 failed"
    code=0
    run test "$digest" wrong.yaml > "$folder/cst" || code=$?
    equal "$user: wrong.yaml" 1 $code
    contains "$user: wrong.yaml: code" "$folder/cst" "exit code: expected 0, found 1"
    contains "$user: wrong.yaml: port" "$folder/cst" "config: ports: expected 80, found 8080/tcp"

    code=0
    run test web.oci.busybox bad.hcl --format json --junit "$folder/bad.xml" > "$folder/bad.json" || code=$?
    equal "$user: bad.hcl" "1 4 3 0" "$code $(junit "$folder/bad.xml")"
    equal "$user: as JSON" "failed failed failed passed" \
        "$(jq -r '[.files[][].state] | join(" ")' "$folder/bad.json")"
    ! grep -q s3cr3t "$folder/bad.json" "$folder/bad.xml" || fail "$user: the secret is shown"
    contains "$user: what the service wrote" "$folder/bad.json" "cannot bind"
    left_behind "$folder/store"
}

check root
check hardtack-sub

# With a single id all files belong to root, so only what does not ask for others passes.
folder=$WORK/of-hardtack-single
mkdir "$folder"
chown hardtack-single "$folder"
as_user hardtack-single "$HARDTACK" build --store "$folder/store" -var "out=$folder/layout" web.pkr.hcl \
    > "$folder/out" 2>&1 || { cat "$folder/out"; fail "hardtack-single"; }
equal "hardtack-single: tests pass" 4 "$(grep -c ': passed in ' "$folder/out")"

# A build whose base fails has tests that never run.
cat > chain.pkr.hcl <<'HCL'
source "oci" "busybox" { layout = "repo/fixtures/busybox" }
source "oci" "above" { from = "below.oci.busybox" }
build {
  name    = "below"
  sources = ["source.oci.busybox"]
  dynamic "test" {
    for_each = ["true", "false"]
    labels   = ["runs ${test.value}"]
    content { command = [test.value] }
  }
  test "of others" {
    except  = ["oci.busybox"]
    command = ["false"]
  }
}
build {
  name    = "above"
  sources = ["source.oci.above"]
  test "never" { command = ["true"] }
}
HCL
code=0
"$HARDTACK" build --store "$WORK/of-root/store" --junit chain.xml chain.pkr.hcl > chain 2>&1 || code=$?
equal "a chain of builds" "1 3 1 1" "$code $(junit chain.xml)"
contains "why it was skipped" chain.xml 'message="the build failed before its tests"'

# An image of a registry that the store does not have; its layers come when the first test needs them.
start_registry
skopeo copy --quiet --dest-tls-verify=false "oci:$WORK/of-root/layout" "docker://$REGISTRY/team/web:1"
"$HARDTACK" test --store "$WORK/fresh" "$REGISTRY/team/web:1" structure.yaml > pulled \
    || { cat pulled; fail "an image of a registry"; }
contains "an image of a registry" pulled "7 passed, 0 failed"

# A flood of output, and a service that writes without end.
cat > flood.hcl <<'HCL'
test "flood" {
  inline = ["head -c 30000000 /dev/zero | tr '\\0' x"]
  stdout = ["^x"]
}
test "noisy" {
  start = ["yes"]
  inline = ["sleep 1"]
}
test "holes" {
  timeout = "2s"
  inline  = ["dd if=/dev/zero of=/holes bs=1 count=1 seek=8000000000000 2> /dev/null"]
  file "/holes" { sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" }
}
HCL
code=0
/usr/bin/time --format %M --output memory "$HARDTACK" test --store "$WORK/of-root/store" web.oci.busybox flood.hcl \
    > flood || code=$?
equal "a flood is a failure" 1 $code
contains "a flood is told" flood "output: expected at most 16 MiB"
contains "a service may write" flood "1 passed, 2 failed"
contains "a file of any size" flood "time was up before all was read"
[ "$(tail -n 1 memory)" -lt 150000 ] || fail "$(cat memory) kB of memory"

# Mistakes are found by validate, before anything is built.
sed 's/port "8080" {}/port "web" {}/; s/uid    = 33/uid    = "x"/' web.pkr.hcl > mistakes.pkr.hcl
code=0
"$HARDTACK" validate -var out=x mistakes.pkr.hcl > mistakes 2>&1 || code=$?
equal "validate" 1 $code
contains "validate: port" mistakes '"web" is not a port'
contains "validate: uid" mistakes '`uid`: a number is required'
code=0
"$HARDTACK" test --store "$WORK/of-root/store" web.oci.busybox web.pkr.hcl > mistakes 2>&1 || code=$?
equal "a template is no file of tests" 1 $code
code=0
"$HARDTACK" test --store "$WORK/of-root/store" nothing.such structure.yaml > mistakes 2>&1 || code=$?
equal "an image that is not there" 1 $code
