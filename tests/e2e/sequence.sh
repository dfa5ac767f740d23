#!/bin/sh
# sequence.sh: every stage with the tokens of its clips divided over ranks (comm.sequence), by the real programs. A
# chain of stages on two, three and four ranks learns what one process learns: the losses of every step, up to the
# roundings of this build's number type; trajectories are recorded once; a run goes on with another division; the plan's
# activations shrink; what cannot be divided is refused in one line. Usage: BIN=bin BUILD=build/cpu-float sh
# tests/e2e/sequence.sh
. tests/e2e/checks
# Five heads and four tokens a frame: three ranks divide neither, two not the heads.
settings="data=$work/data.h5 threads=1 model.dim=30 model.heads=5 model.clean_floor=0.25 model.reference_gate=yes"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

# job N NAME STAGE [key=value ...]
job() {
    ranks=$1 name=$2 stage=$3
    shift 3
    timeout -k 5 300 sh scripts/launch.sh -n "$ranks" "$BIN/$stage" configs/tiny.yaml $settings run="$work/$name" "$@" \
        >"$log" 2>&1
}
# gap A B STAGE: the largest difference of two runs' losses, by the largest loss.
gap() {
    losses "$1/$3" >"$work/a"
    losses "$2/$3" >"$work/b"
    paste "$work/a" "$work/b" | awk 'function abs(x) {return x < 0 ? -x : x}
        !/^[-0-9.e+]+\t[-0-9.e+]+$/ {odd = 1} {d = abs($1 - $2); if (d > gap) gap = d; if (abs($1) > top) top = abs($1)}
        END {print odd || !top ? "nan" : gap / top}'
}

# The same start for all: every stage goes on from one process's chain.
for stage in teacher ode_init distill refine; do
    job 1 one $stage
    verdict $? "$stage on one rank"
done
# A few roundings: of bf16 (2^-9), of float.
case $BUILD in *bf16*) bound=8e-3 ;; *) bound=1e-4 ;; esac
close() { awk -v x="$1" -v y="$bound" 'BEGIN {exit !(x + 0 == x && x <= y)}'; }
for division in "2 2 0" "3 3 3" "4 2 2"; do
    set -- $division
    for stage in teacher ode_init distill refine; do
        name=run$1_$stage
        mkdir "$work/$name"
        for before in teacher ode_init distill; do
            [ $before = $stage ] && break
            cp -r "$work/one/$before" "$work/$name/$before"
        done
        job "$1" "$name" $stage comm.sequence="$2" shard.zero="$3"
        verdict $? "$stage on $1 ranks, tokens by $2"
        g=$(gap one "$name" $stage)
        close "$g"
        verdict $? "$stage, $1 ranks, tokens by $2, ZeRO $3: losses differ by $g of the largest"
    done
done
job 1 other teacher seed=2
g=$(gap one other teacher)
! close "$g"
verdict $? "another seed's losses differ by $g only: the comparison sees nothing"

# What one rank began three go on with, and the other way round.
job 1 resumed teacher teacher.steps=15
job 3 resumed teacher comm.sequence=3 teacher.steps=30
verdict $? "a run of one rank goes on with tokens by three"
job 2 resumed teacher teacher.steps=36 shard.zero=1
verdict $? "and with samples of their own"
[ "$(losses resumed/teacher | wc -l)" -eq 36 ]
verdict $? "steps are missing"

# A rank that is killed in the middle of it is named by all others.
interrupt_rank KILL 1 killed teacher job 3 killed teacher comm.sequence=3 teacher.steps=100000
[ "$code" -ne 0 ] && [ "$seconds" -lt 30 ] && named 1 'closed its connection' 0 2
verdict $? "a killed rank: exit code $code after $seconds s"

if with_mpi; then
    mpi 120 2 "$BIN/teacher" configs/tiny.yaml $settings run="$work/mpi" comm.sequence=2 >"$log" 2>&1
    verdict $? "mpirun -np 2"
    g=$(gap run2_teacher mpi teacher)
    [ "$g" = 0 ]
    verdict $? "over MPI losses differ from those over TCP by $g"
fi

# The plan: a rank's activations and its share of the work.
plan_value() { "$BIN/teacher" configs/tiny.yaml $settings model.height=32 model.width=32 --plan ranks=4 \
    comm.sequence="$1" teacher.batch=$((4 / $1)) |
    awk -v name="$2" 'index($0, name) == 1 {print $(NF - 1)}'; }
awk -v a="$(plan_value 1 activations)" -v b="$(plan_value 4 activations)" 'BEGIN {exit !(b > 0 && b < 0.6 * a)}'
verdict $? "activations: $(plan_value 1 activations) MiB, tokens by four $(plan_value 4 activations)"
[ -n "$(plan_value 4 'of it exchanges')" ] && [ -z "$(plan_value 1 'of it exchanges')" ]
verdict $? "the plan's exchanges: $(plan_value 4 'of it exchanges')"

not_divided() { # not_divided N PATTERN [key=value ...]
    ranks=$1 pattern=$2
    shift 2
    job "$ranks" no teacher "$@"
    code=$?
    [ $code -eq 2 ] && [ "$(grep -c 'comm.sequence' "$log")" -ge 1 ] && grep -q "$pattern" "$log"
    verdict $? "exit $code, expected 2 and \"$pattern\": $(tail -n 1 "$log")"
}
not_divided 3 '3 processes cannot make groups of 2' comm.sequence=2
not_divided 3 '3 ranks cannot divide 2 heads' comm.sequence=3 model.dim=32 model.heads=2
[ ! -e "$work/no/teacher/checkpoints" ]
verdict $? "a run that was refused has begun"
finish
