#!/bin/sh
# readme.sh: what README.md and docs tell users to run on a config that is here makes sense to the program: its plan is
# printed.
# Usage: BIN=bin sh tests/e2e/readme.sh
. tests/e2e/checks
from="distill.loss=sid" # README's own variable: places of files, which a plan does not read
sed -nE 's/^(bin|.*`bin)\/((teacher|ode_init|distill|refine|light_decoder) configs\/[^#`]*).*/\2/p' README.md \
    docs/*.md >"$work/commands"
check "there are commands" [ "$(wc -l <"$work/commands")" -ge 4 ]
while read -r line; do
    eval "set -- $line"
    check "$line" expect 0 "$@" --plan
    check "it is a plan" grep -q '^total' "$work/out"
done <"$work/commands"
finish
