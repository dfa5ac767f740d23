#!/bin/sh
# run.sh: runs every built test program (tests/unit, cuda and golden of $BUILD, tests/double and golden of $DOUBLE,
# tests/unit of $SHIM: the CUDA kernels on the host) and every script in tests/e2e, each under a time limit, PARALLEL
# (as many as there are cores) at a time, with one line a program (run_one.sh) in the order in which they end. cmocka
# programs and scripts that end in "N passed, N failed" count by their tests, others as one test by their exit code; 77
# is a skip. A crash, a time-out, or a program that left no count is a failure. The last line is the sum.
# Usage: BIN=bin BUILD=build/cpu-float DOUBLE=build/ref-double [PARALLEL=1] sh tests/run.sh [NAME...]
PARALLEL=${PARALLEL:-$(nproc)}
LIMIT=${TEST_LIMIT:-300}          # seconds a unit program may take
LIMIT_E2E=${TEST_LIMIT_E2E:-1800} # seconds for a script
export BIN BUILD DOUBLE
# Tests use more threads than cores: waiting threads should sleep.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
list=$(mktemp) || exit 1
COUNTS=$list.counts
export COUNTS
trap 'rm -f "$list" "$COUNTS"' EXIT
trap 'exit 130' INT TERM
: >"$COUNTS"

# wanted LABEL: no NAME given, or one that is part of the label.
names=$*
wanted() {
    [ -z "$names" ] && return 0
    for n in $names; do case $1 in *"$n"*) return 0 ;; esac; done
    return 1
}

# programs BUILD FOLDER LABEL: the tests of tests/FOLDER in that build. Those whose source is gone are left out: a build
# folder may be old.
programs() {
    for program in "$1/tests/$2"/test_*; do
        name=$(basename "$program")
        [ -f "tests/$2/$name.c" ] && [ -x "$program" ] && wanted "$3/$name" && echo "$LIMIT $3/$name $program"
    done
}
{
    for script in tests/e2e/*.sh; do # the long ones first
        name=$(basename "$script")
        [ -f "$script" ] && wanted "e2e/$name" && echo "$LIMIT_E2E e2e/$name sh $script"
    done
    programs "$BUILD" unit unit
    programs "$BUILD" cuda cuda
    [ -n "$SHIM" ] && programs "$SHIM" unit cuda-shim && programs "$SHIM" shim cuda-shim
    programs "$DOUBLE" double double
    programs "$BUILD" golden golden
    programs "$DOUBLE" golden golden-double
} >"$list"
xargs -r -P "$PARALLEL" -L 1 sh tests/run_one.sh <"$list"

if [ ! -s "$list" ] || [ "$(wc -l <"$list")" -ne "$(wc -l <"$COUNTS")" ]; then
    echo "$(wc -l <"$list") programs were to run, $(wc -l <"$COUNTS") did"
    echo "0 1 0" >>"$COUNTS"
fi
awk '{passed += $1; failed += $2; skipped += $3}
    END {if (skipped) print skipped " skipped"; print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0}' \
        "$COUNTS"
