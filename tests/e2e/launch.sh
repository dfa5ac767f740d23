#!/bin/sh
# launch.sh: stages as jobs of several processes (scripts/launch.sh): one speaks, all stop after the same step on a
# signal to any one of them and resume, a rank that is killed or stopped is named and the job ends in time, a run folder
# takes one job at a time, and processes that do not belong together are refused in one line. Over MPI too, where mpirun
# is.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/launch.sh
. tests/e2e/checks
log=$work/out
settings="data=$work/data.h5 threads=1"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

# job N NAME [key=value ...]: the teacher on N ranks in the run folder NAME.
job() {
    ranks=$1 name=$2
    shift 2
    timeout -k 5 120 sh scripts/launch.sh -n "$ranks" "$BIN/teacher" configs/tiny.yaml $settings run="$work/$name" \
        "$@" \
        >"$log" 2>&1
}
# What the interrupted runs below are held to.
job 2 run teacher.steps=200
verdict $? "two ranks"
grep -q '^\[0\].*step 200/200' "$log" && ! grep -q '^\[1\]' "$log"
verdict $? "the first rank speaks, the second does not"
grep -q 'step 200/200' "$work/run/teacher/log.rank1.txt"
verdict $? "the second rank has a log of its own"
mv "$work/run" "$work/whole"

# A signal to one rank stops all after the same step.
for number in TERM USR1; do
    [ $number = TERM ] && want=143 rank=1 || want=138 rank=0
    interrupt_rank $number $rank run teacher job 2 run teacher.steps=200
    [ "$code" -eq $want ] || [ "$code" -eq 0 ] # it may have been at its end
    verdict $? "$number: exit code $code, expected $want"
    a=$(sed -n 's/.*teacher: \(.* after step [0-9]*\)$/\1/p' "$work/run/teacher/log.txt" | tail -n 1)
    b=$(sed -n 's/.*teacher: \(.* after step [0-9]*\)$/\1/p' "$work/run/teacher/log.rank1.txt" | tail -n 1)
    [ -n "$a" ] && [ "$a" = "$b" ]
    verdict $? "$number: rank 0 $a, rank 1 $b"
done

# A rank that is killed, then one that is stopped: named by the others, which end with 5 in time.
interrupt_rank KILL 1 three teacher job 3 three teacher.steps=100000 teacher.save_every=5
[ "$code" -ne 0 ] && [ "$seconds" -lt 30 ] && named 1 'closed its connection' 0 2
verdict $? "a killed rank: exit code $code after $seconds s"
GRACE=5 interrupt_rank STOP 2 four teacher job 3 four teacher.steps=100000 teacher.save_every=5 comm.timeout=3
[ "$code" -eq 5 ] && [ "$seconds" -lt 45 ] && named 2 'has given no sign of life' 0 1
verdict $? "a stopped rank: exit code $code after $seconds s"

# The interrupted run goes on, and ends with what the undisturbed one ended with.
job 2 run teacher.steps=200
verdict $? "the resumed run"
values "$work/whole/teacher/metrics.jsonl" >"$work/a"
values "$work/run/teacher/metrics.jsonl" >"$work/b"
cmp "$work/a" "$work/b"
verdict $? "metrics differ"

# One job a run folder.
job 2 one teacher.steps=100000 &
shell=$!
while [ "$(steps_done "one/teacher")" -lt 2 ] && kill -0 $shell 2>/dev/null; do sleep 0.05; done
"$BIN/teacher" configs/tiny.yaml $settings run="$work/one" teacher.steps=100000 >"$work/second" 2>&1
[ $? -eq 3 ] && grep -q "one/teacher: is in use by process [0-9]* on $(hostname)" "$work/second"
verdict $? "a second job: $(tail -n 1 "$work/second")"
sh scripts/launch.sh -n 2 "$BIN/teacher" configs/tiny.yaml $settings run="$work/one" teacher.steps=100000 \
    >"$work/second" 2>&1
[ $? -eq 3 ] && [ "$(grep -c 'is in use' "$work/second")" -eq 1 ]
verdict $? "a second job of two ranks: $(tail -n 1 "$work/second")"
kill -TERM $(rank_process one 0)
wait $shell

# Processes that do not belong together.
unformed() { # unformed CODE PATTERN VARIABLES... : the teacher with this environment
    want=$1 pattern=$2
    shift 2
    env "$@" "$BIN/teacher" configs/tiny.yaml $settings run="$work/no" comm.connect_timeout=1 >"$log" 2>&1
    code=$?
    [ $code -eq "$want" ] && tail -n 1 "$log" | grep -q "$pattern"
    verdict $? "exit code $code, expected $want: $(tail -n 1 "$log")"
}
unformed 2 'MASTER_ADDR is not set' RANK=0 WORLD_SIZE=2
unformed 2 'RANK: expected a number from 0 to 1' RANK=2 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 \
    MASTER_PORT=$((20000 + $$ % 4000))
unformed 5 '1 of 2 ranks did not come within 1 s: 1' RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 \
    MASTER_PORT=$((24000 + $$ % 4000))
[ ! -e "$work/no" ]
verdict $? "a job that was not formed makes no folder"
cat >"$work/odd.sh" <<END
exec "$BIN/teacher" configs/tiny.yaml $settings run="$work/no" seed=\$RANK
END
sh scripts/launch.sh -n 2 sh "$work/odd.sh" >"$log" 2>&1
[ $? -eq 2 ] && grep -q 'configs differ in line [0-9]*: rank 1 has "seed: 1", rank 0 has "seed: 0"' "$log"
verdict $? "configs that differ"

# Every rank has a folder of its own, where the data sets differ; then one that all share, and updates that are taken
# back.
programs=$(cd "$BIN" && pwd)
mkdir "$work/place0" "$work/place1"
cp "$work/data.h5" "$work/place0"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/place1/data.h5" 12 24 4 || exit 1
cat >"$work/places.sh" <<END
cd "$work/place\$RANK" &&
    exec "$programs/teacher" "$PWD/configs/tiny.yaml" data=data.h5 threads=1 run="$work/places" "\$@"
END
sh scripts/launch.sh -n 2 sh "$work/places.sh" teacher.steps=4 >"$log" 2>&1
code=$?
[ $code -eq 3 ] && [ "$(grep -c 'the ranks have different data sets: rank 0.s sum is' "$log")" -eq 1 ]
verdict $? "data sets that differ: exit code $code"
cp "$work/data.h5" "$work/place1"
sh scripts/launch.sh -n 2 sh "$work/places.sh" teacher.steps=60 teacher.save_every=10 faults.spike=0.01 faults.after=3 \
    faults.then=rollback faults.rollbacks=2 >"$log" 2>&1
code=$?
[ $code -eq 4 ] && [ "$(grep -c 'on with other batches' "$work/places/teacher/log.rank1.txt")" -eq 2 ]
verdict $? "two ranks go back together: exit code $code"

if with_mpi; then
    mpi 120 2 "$BIN/teacher" configs/tiny.yaml $settings \
        run="$work/mpi" teacher.steps=200 >"$log" 2>&1
    verdict $? "mpirun -np 2"
    values "$work/mpi/teacher/metrics.jsonl" >"$work/b"
    cmp "$work/a" "$work/b"
    verdict $? "over MPI the metrics differ from those over TCP"
fi

finish
