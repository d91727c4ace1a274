#!/usr/bin/env bash
# Runs all tests: `tests/run.sh`, or only some end-to-end tests: `tests/run.sh quickstart cache`.
#
# It installs what they need (Debian 12, as root), builds the release binary, runs `cargo test` and
# then each script of tests/e2e. Logs are below tests/.work. The exit code is 0 if all passed.
set -euo pipefail
cd "$(dirname "$0")/.."

# A test whose tools are missing fails in CI and is left out elsewhere. Here they are installed.
export CI=true

work=$PWD/tests/.work
mkdir -p "$work/logs"
passed=0
failed=0

# The seconds that one part may take: what hangs must fail with its log, not with CI's own limit.
limit=1500

# run NAME COMMAND…: prints PASS or FAIL, and the end of the log of what failed.
run() {
    local name=$1 log=$work/logs/$1.log start=$SECONDS
    shift
    if timeout --kill-after=30 $limit "$@" > "$log" 2>&1; then
        passed=$((passed + 1))
        echo "PASS $name ($((SECONDS - start)) s)"
    else
        failed=$((failed + 1))
        echo "FAIL $name ($((SECONDS - start)) s), the end of $log:"
        tail -n 25 "$log" | sed 's/^/    /'
    fi
}

run setup tests/setup.sh
run build cargo build --release --locked
if [ $failed -eq 0 ]; then
    if [ $# -eq 0 ]; then
        run cargo-test cargo test --locked
        cd tests/e2e
        set -- *.sh
        cd ../..
    fi
    for test in "$@"; do
        test=${test%.sh}
        run "$test" "tests/e2e/$test.sh"
    done
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
