#!/bin/sh
# locks.sh: on file systems that have no locks data sets are written and read and runs are made without them; each
# program says so once, with the reason. About another process it says only what a lock tells.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/locks.sh
. tests/e2e/checks
log=$work/out
${CC:-cc} -shared -fPIC -D_GNU_SOURCE tests/e2e/nolock.c -o "$work/nolock.so" || {
    echo "skip: no C compiler"
    exit 77
}
# without NUMBER PART COMMAND...: flock fails with NUMBER for files with PART in their path
without() {
    number=$1 part=$2
    shift 2
    env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD="$work/nolock.so" FLOCK_ERRNO="$number" \
        ${part:+FLOCK_ONLY=$part} "$@" >"$log" 2>&1
}
says_once() { [ "$(grep -c "cannot lock files ($1), so the run goes on without" "$log")" -eq 1 ]; }

without 37 "" "$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 &&
    says_once 'No locks available'
verdict $? "a data set is written without locks"
teacher() { "$@" "$BIN/teacher" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/run" teacher.steps=2; }
for pair in '37 No locks available' '38 Function not implemented' '95 Operation not supported'; do
    rm -rf "$work/run"
    teacher without ${pair%% *} "" && says_once "${pair#* }" && [ -s "$work/run/teacher/metrics.jsonl" ]
    verdict $? "a run where flock says: $pair"
    teacher without ${pair%% *} data.h5 && says_once "${pair#* }"
    verdict $? "a data set where flock says: $pair"
done
without 38 "" "$BIN/inspect" "$work/data.h5" && says_once 'Function not implemented'
verdict $? "a data set is looked into without locks"

# Somebody holds it: that is said, and of that file.
teacher without 11 /lock
[ $? -eq 3 ] && tail -n 1 "$log" | grep -q 'run/teacher: is in use by'
verdict $? "a run that somebody holds: $(tail -n 1 "$log")"
teacher without 11 data.h5
[ $? -eq 3 ] && tail -n 1 "$log" | grep -q 'data.h5: is open for writing in another process'
verdict $? "a data set that somebody holds: $(tail -n 1 "$log")"
head -c 3000 "$work/data.h5" >"$work/cut.h5"
"$BIN/teacher" configs/tiny.yaml data="$work/cut.h5" threads=1 run="$work/run" teacher.steps=2 >"$log" 2>&1
[ $? -eq 3 ] && tail -n 1 "$log" | grep -q 'cut.h5: cannot be read as HDF5: truncated file'
verdict $? "a data set that is cut off: $(tail -n 1 "$log")"
finish
