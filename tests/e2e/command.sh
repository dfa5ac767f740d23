#!/bin/sh
# command.sh: the command line that all programs share: every command's help and version, the new spelling of old
# options, words and keys in any order, scripts that are commands, and completion in bash. It lists no command by
# name: they are the sources in programs/ and the scripts that say so.
# Usage: BIN=bin sh tests/e2e/command.sh
. tests/e2e/checks
root=$BIN/streamavatar
sources=$(ls programs/*.c programs/lean/*.c | sed 's,.*/,,; s/\.c$//' | grep -vx streamavatar)
scripts=$(grep -l '^# usage: streamavatar' scripts/*.sh | sed 's,.*/,,; s/\.sh$//')
refused_alone() {
    "$work/streamavatar" help >"$work/out" 2>"$log"
    [ $? -eq 3 ] && [ ! -s "$work/out" ] && says 'no commands: neither'
}
answers() { # answers COMMAND...: to stdout alone, with code 0
    "$@" >"$work/out" 2>"$log" && [ -s "$work/out" ] && [ ! -s "$log" ]
}
shows() { grep -q -- "$1" "$work/out"; } # shows PATTERN: the command before did
check "version" answers "$root" version
check "version has all parts" shows "^streamavatar $(cat VERSION), commit .*, backend [a-z-]*, number type [a-z0-9]*$"
check "version has libraries" shows '^yaml-0.1 [0-9]'
check "--version too" answers "$root" --version
"$root" help >"$work/list"
for name in $sources $scripts; do
    check "help lists $name and what it does" grep -q "^  $name  *[A-Z].*\.$" "$work/list"
    check "help $name" answers "$root" help "$name"
    check "help $name says what it does first" [ "$(head -n 1 "$work/out" | cut -d : -f 1)" = "$name" ]
    check "help $name shows the usage" shows "^usage: streamavatar $name"
    cp "$work/out" "$work/help"
    check "$name --help is the same" answers "$root" "$name" --help
    check "word by word" cmp -s "$work/help" "$work/out"
done

for name in $sources; do
    check "$name --version" answers "$BIN/$name" --version
    check "$name: its own name" shows "^$name $(cat VERSION), commit"
    check "$name --help-config" answers "$BIN/$name" --help-config
    check "$name: an unknown option" expect 2 "$name" --no-such-option
    check "$name: one line" [ "$(wc -l <"$log")" -eq 1 ]
    # every key of the command's own, as an option
    "$BIN/$name" --help | awk '/^keys:$/ {on = 1; next} /^$/ {on = 0} on && /^  [^ ]/ {print $1}' >"$work/keys"
    while read -r key; do
        option=--$(echo "$key" | tr _ -)
        check "$name $option" expect 2 "$name" "$option" 5
        check "$name $option: its new spelling, in one line" \
            [ "$(sed "s/=yes /=5 /" "$log")" = "$name: write $key=5 instead of $option" ]
    done <"$work/keys"
done
check "what a stage reads" answers "$BIN/refine" --help-config
check "its own keys" shows '^  refine.steps '
check "and the run's" shows '^  seed '
check "no other stage's" [ "$(grep -c '^  light_decoder\.' "$work/out")" -eq 0 ]
check "but its name" shows '^Sections that other programs read: .*light_decoder'
check "what all stages read" answers "$BIN/export" --help-config
check "every stage's keys" shows '^  light_decoder.steps '
check "an option that has another name" expect 2 export --lora file
check "it says which" says 'write lora_out=file instead of --lora'

check "an unknown command" expect 2 streamavatar steam
check "a near name" says 'unknown command steam; did you mean stream?'
check "help of one" expect 2 streamavatar help evalute
check "its near name" says 'did you mean evaluate?'
check "no command" expect 2 streamavatar
cp "$root" "$work/streamavatar" # where what lies beside it is not ours
check "alone" refused_alone
check "a path is none" expect 2 streamavatar ../bin/stream

# ---- words and keys in any order, by the command ----

"$root" teacher configs/tiny.yaml teacher.batch=2 --plan ranks=2 shard.zero=1 >"$work/plan" 2>"$log"
verdict $? "a plan"
check "it is one" grep -q '^total' "$work/plan"
check "in another order" answers "$root" teacher ranks=2 --plan shard.zero=1 teacher.batch=2 configs/tiny.yaml
check "the same plan" cmp -s "$work/plan" "$work/out"
check "ranks= without --plan" expect 2 teacher configs/tiny.yaml ranks=2
check "after -- all are words" expect 2 teacher --plan -- configs/tiny.yaml seed=2
check "it says so" says 'one argument too many: seed=2'
printf 'x' >"$work/seed=2"
whole=$(cd "$BIN" && pwd)
(cd "$work" && "$whole/inspect" -- seed=2) >"$work/out" 2>"$log"
check "a file that looks like a key" [ $? -eq 3 ]
check "it was opened" says 'seed=2: is neither HDF5 nor safetensors'
check "an unknown key" expect 2 puppet "$work/no" clip=1
check "its near name" says 'clip: unknown key; did you mean clips?'
check "a key that must be given" expect 2 export configs/tiny.yaml out=x
check "it is named" says 'stage: missing'
check "launch finds commands" answers sh scripts/launch.sh -n 1 inspect --version

# ---- threads ----

# libgomp says at each start what it has read: how long its threads wait awake
waits() { # waits SPINS NAME=VALUE...: the last start of a program that is given these
    want=$1
    shift
    env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY OMP_DISPLAY_ENV=verbose "$@" "$BIN/inspect" --version >"$work/out" 2>"$log"
    [ "$(sed -n "s/.*GOMP_SPINCOUNT = '\(.*\)'/\1/p" "$log" | tail -n 1)" = "$want" ]
}
if env OMP_DISPLAY_ENV=verbose "$BIN/inspect" --version 2>&1 | grep -q GOMP_SPINCOUNT; then
    check "threads wait briefly when nothing is said" waits 3000
    check "as many tries as are asked for" waits 77 GOMP_SPINCOUNT=77
    check "a policy is left alone" waits 0 OMP_WAIT_POLICY=passive
    (cd "$work" && exec env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY "$whole/inspect" "no such") >"$work/out" 2>"$log"
    check "arguments arrive whole" says 'no such'
    loader=$(ldd "$BIN/inspect" | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\).*/\1/p')
    env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY "$loader" "$BIN/inspect" --version >"$work/out" 2>"$log"
    check "started by the loader a program is still itself" shows '^inspect '
else
    skipped=$((skipped + 5))
fi

# ---- completion ----

cat >"$work/complete.bash" <<'BASH'
. scripts/completion.bash
complete_line() { # words of the line; the last one is being written
    COMP_LINE=$1 COMP_POINT=${#1}
    read -ra COMP_WORDS <<<"${1//=/ = }"
    case $1 in *' ') COMP_WORDS+=("") ;; esac
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _streamavatar
    echo "${COMPREPLY[*]}"
}
complete_line "$1"
BASH
completes() { # completes LINE REPLIES
    command -v bash >/dev/null || { skipped=$((skipped + 1)) && return; }
    got=$(PATH="$(cd "$BIN" && pwd):$PATH" bash "$work/complete.bash" "$1" 2>"$log")
    [ "$got" = "$2" ]
    verdict $? "completion of '$1': '$got', expected '$2'"
}
completes "streamavatar st" "stream"
completes "streamavatar help evaluate" "evaluate evaluate_real"
completes "streamavatar export shard" "shard_mb= shard.zero= shard.offload="
completes "streamavatar export configs/tiny.yaml type=b" "bf16"
completes "streamavatar inspect stats=" "yes no"
completes "streamavatar distill distill.recompute=" "none block"
completes "streamavatar teacher --p" "--plan"
completes "streamavatar stream x reference=README" "README.md"
completes "streamavatar teacher configs/wan" "configs/wan2.2-ti2v-5b.yaml"
finish
