#!/bin/sh
# mpi.sh: collectives between processes that mpirun started: all of tests/unit/test_comm.c on 2, 3 and 4 ranks; a rank
# that is killed or stopped is named and the job ends in time, non-zero; wrong numbers of ranks are refused.
# Usage: BUILD=build/cpu-float sh tests/e2e/mpi.sh
. tests/e2e/checks
export OMP_NUM_THREADS=1
command -v mpirun >/dev/null 2>&1 || {
    echo "skip: no mpirun"
    exit 77
}
ldd "$BUILD/tests/unit/test_comm" | grep -q libmpi || {
    echo "skip: built without MPI"
    exit 77
}
job() { # job N PROGRAM ARGUMENTS...
    mpi 60 "$@" >"$log" 2>&1
}

for n in 2 3 4; do
    job $n "$BUILD/tests/unit/test_comm"
    verdict $? "collectives on $n ranks"
    [ "$(grep -c "passed on $n ranks" "$log")" -eq 12 ]
    verdict $? "12 tests of collectives on $n ranks"
done

# signalled NAME PATTERN: a rank of three is signalled at work; the job ends within 30 s, non-zero, and names it.
signalled() {
    begun=$(date +%s)
    STREAMAVATAR_COMM_TIMEOUT=3 TEST_COMM_WORK=1 job 3 "$BUILD/tests/unit/test_comm" &
    shell=$!
    victim=
    while kill -0 $shell 2>/dev/null && [ -z "$victim" ]; do
        sleep 0.1
        victim=$(sed -n 's/^rank 1 is process \([0-9]*\)$/\1/p' "$log" 2>/dev/null)
    done
    kill -"$1" "$victim"
    wait $shell
    code=$?
    [ $code -ne 0 ] && [ $code -ne 124 ] && [ $(($(date +%s) - begun)) -lt 30 ]
    verdict $? "$1: exit code $code after $(($(date +%s) - begun)) s"
    grep -q "$2" "$log"
    verdict $? "$1: the rank is named"
}
signalled KILL 'rank 1 (.*closed its connection\|process rank 1 with PID'
signalled STOP 'rank 1 (.*no sign of life'

WORLD_SIZE=4 job 2 "$BUILD/tests/unit/test_comm"
[ $? -ne 0 ] && grep -q 'WORLD_SIZE is 4, but mpirun started 2' "$log"
verdict $? "WORLD_SIZE above what mpirun started"

finish
