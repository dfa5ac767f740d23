#!/bin/sh
# mutations.sh: a small part of `make mutations` (scripts/mutations.sh); the day gives the seed, which is printed.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/mutations.sh
. tests/e2e/checks
COUNT=${COUNT:-60} PROGRAMS=${PROGRAMS:-7}
sh scripts/mutations.sh "$COUNT" "$PROGRAMS" "$(date +%Y%m%d)" >"$log" 2>&1
verdict $? "damaged files do no harm"
grep '^seed' "$log" | head -n 1
finish
