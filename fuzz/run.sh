#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds: `fuzz/run.sh SECONDS [TARGET…]`.
#
# It needs cargo-fuzz and a C++ compiler; tests/setup.sh installs both. The pinned toolchain does:
# cargo-fuzz asks for options that are not stable, which RUSTC_BOOTSTRAP allows. What a target
# found stays in fuzz/artifacts, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")"

seconds=$1
shift
[ $# -gt 0 ] || set -- parse template json evaluate gotemplate

fuzz=$(command -v cargo-fuzz || echo /opt/hardtack-tests/bin/cargo-fuzz)
if [ ! -x "$fuzz" ]; then
    echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz@0.13.2" >&2
    exit 1
fi
export RUSTC_BOOTSTRAP=1
options=(--sanitizer none --codegen-units 16 --target-dir "$PWD/../target/fuzz")
"$fuzz" build "${options[@]}"

./seeds.py corpus
found=0
for target in "$@"; do
    echo "== $target"
    "$fuzz" run "${options[@]}" "$target" -- -dict=corpus/words \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=512 -max_len=4096 -print_final_stats=1 \
        || found=1
done
exit $found
