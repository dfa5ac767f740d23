#!/bin/sh
# run_one.sh: runs one test program or script under a time limit and prints its line: its counts and, when they are
# many, its seconds; below it the output, where the test failed. Adds "passed failed skipped" to the file $COUNTS, which
# run.sh reads.
# Usage: COUNTS=FILE sh tests/run_one.sh SECONDS LABEL COMMAND...
limit=$1 label=$2
shift 2
log=$(mktemp) || exit 1
TMPDIR=$(mktemp -d) || exit 1 # the test's own, so that nothing stays of what crashed
export TMPDIR
trap 'rm -rf "$log" "$log.said" "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

# count LABEL CODE SECONDS: reads the program's output in $log.
count() {
    p=0 f=0 s=0 note= took=$3
    summary=$(tail -n 1 "$log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?.*$/\1 \2 \4/p')
    if grep -q '^\[==========\]' "$log"; then # cmocka
        p=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
        f=$(sed -nE 's/^\[  FAILED  \] .*: ([0-9]+) test.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
        s=$(sed -nE 's/^\[  SKIPPED \] .*: ([0-9]+) test.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
    elif [ -n "$summary" ]; then
        set -- "$1" "$2" $summary
        p=$3 f=$4 s=${5:-0}
    elif [ "$2" -eq 77 ]; then
        s=1
    elif [ "$2" -eq 0 ]; then
        p=1
    fi
    if [ "$2" -eq 124 ] || [ "$2" -eq 137 ]; then
        note=' (time limit)'
    elif [ "$2" -gt 128 ]; then
        note=" (signal $(($2 - 128)))"
    fi
    if [ "$2" -ne 0 ] && [ "$2" -ne 77 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$2" -eq 0 ] && [ $((p + f + s)) -eq 0 ]; then f=1 note=' (no test ran)'; fi
    echo "$p $f $s" >>"$COUNTS"
    if [ "$f" -gt 0 ]; then
        printf 'FAIL  %-44s %s passed, %s failed%s\n' "$1" "$p" "$f" "$note"
        sed 's/^/      /' "$log" | tail -n 60
    elif [ "$p" -eq 0 ]; then
        printf 'skip  %-44s %s\n' "$1" "$(tail -n 1 "$log" | cut -c 1-60)"
    else
        [ "$s" -eq 0 ] || note=", $s skipped"
        [ "$took" -lt 2 ] || note="$note, $took s"
        printf 'ok    %-44s %s passed%s\n' "$1" "$p" "$note"
    fi
}

begun=$(date +%s)
timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null
code=$?
count "$label" $code $(($(date +%s) - begun)) >"$log.said"
cat "$log.said" # at once: several of these run beside each other
