#!/bin/sh
# run.sh: runs every built test program (tests/unit, cuda and golden of $BUILD, tests/double and golden of $DOUBLE, tests/unit of
# $SHIM: the CUDA kernels on the host) and every script in tests/e2e, each under a time limit, with one line a program (its
# seconds, when they are many) and the output of those that fail. cmocka programs and scripts that end in "N passed, N failed"
# count by their tests, others as one test by their exit code; 77 is a skip. A crash or a time-out is a failure. The last line is
# the sum.
# Usage: BIN=bin BUILD=build/cpu-float DOUBLE=build/ref-double sh tests/run.sh [NAME...]
LIMIT=${TEST_LIMIT:-300}        # seconds a unit program may take
LIMIT_E2E=${TEST_LIMIT_E2E:-1800} # and a script
export BIN BUILD DOUBLE
# Tests use more threads than cores: waiting threads should sleep.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
passed=0 failed=0 skipped=0 ran=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
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
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s)) ran=$((ran + 1))
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

# run LIMIT LABEL COMMAND...
run() {
    limit=$1 label=$2
    shift 2
    begun=$(date +%s)
    timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null
    code=$?
    count "$label" $code $(($(date +%s) - begun))
}

# wanted LABEL: no NAME given, or one that is part of the label.
names=$*
wanted() {
    [ -z "$names" ] && return 0
    for n in $names; do case $1 in *"$n"*) return 0 ;; esac; done
    return 1
}

# programs BUILD FOLDER LABEL: the tests of tests/FOLDER in that build. Those whose source is gone are left out: a build folder may be old.
programs() {
    for program in "$1/tests/$2"/test_*; do
        name=$(basename "$program")
        [ -f "tests/$2/$name.c" ] && [ -x "$program" ] && wanted "$3/$name" && run "$LIMIT" "$3/$name" "$program"
    done
}
programs "$BUILD" unit unit
programs "$BUILD" cuda cuda
[ -n "$SHIM" ] && programs "$SHIM" unit cuda-shim
programs "$DOUBLE" double double
programs "$BUILD" golden golden
programs "$DOUBLE" golden golden-double
for script in tests/e2e/*.sh; do
    name=$(basename "$script")
    [ -f "$script" ] && wanted "e2e/$name" && run "$LIMIT_E2E" "e2e/$name" sh "$script"
done

[ "$ran" -eq 0 ] && echo "no test was found" && failed=1
[ "$skipped" -gt 0 ] && echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
