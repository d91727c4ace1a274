#!/usr/bin/env bash
# Random texts for the template language: none may end the process, take long or fill the memory.
# A run of seconds for each target, from seeds of our own; `fuzz/run.sh` runs as long as one likes.
. "$(dirname "$0")/../lib.sh"

"$REPO/fuzz/run.sh" "${FUZZ_SECONDS:-10}"
