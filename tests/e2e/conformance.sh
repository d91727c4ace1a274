#!/usr/bin/env bash
# Expressions and templates by the hundred, through Packer 1.6.6 of Debian and through hardtack:
# output and exit code are alike, or the difference is a listed one. See tests/conformance.
. "$(dirname "$0")/../lib.sh"

version=$(CHECKPOINT_DISABLE=1 packer version) || fail "packer is not installed; tests/setup.sh installs it"
equal "the version of Packer" "Packer v1.6.6" "$version"
export PYTHONDONTWRITEBYTECODE=1
python3 "$REPO/tests/conformance/run.py" "$HARDTACK"
