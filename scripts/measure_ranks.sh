#!/bin/sh
# measure_ranks.sh: measures what many ranks cost on this machine, compared with one. It made figures of
# docs/scaling.md.
#   memory [RANKS [ZERO [SEQUENCE]]]
#                          a teacher of 195 million parameters (LAYERS=16): for every rank (default 2, ZeRO 3, tokens
#                          not divided) the plan without the workspace that no kernel wanted, the peak above what the
#                          process had before, and their difference
#   shards [RANKS]         networks and optimiser in the plan of a rank with ZeRO 3, over one process's (default 4)
#   speed [ROUNDS [STEPS]] the demo's teacher: RANKS=2 processes of one thread against one process of two, by turns:
#                          the median time of a step, the ratios and their median (default 5 rounds of 20 steps)
# Usage: BIN=bin sh scripts/measure_ranks.sh memory|shards|speed [...]
BIN=${BIN:-bin}
export OMP_WAIT_POLICY=passive
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tell() { # tell COMMAND...: its output only when it fails
    "$@" >"$work/log" 2>&1 && return
    tail -n 5 "$work/log" >&2
    exit 1
}
data() { tell "$BIN/prepare" configs/demo_data.yaml out="$work/data.h5" puppet.identities=6 puppet.held_out=2; }
wide="model.dim=768 model.ffn_dim=3072 model.heads=12 model.layers=${LAYERS:-16} samples=1 teacher.sampler.steps=2"

memory() {
    ranks=${1:-2} zero=${2:-3} sequence=${3:-1}
    data
    tell sh scripts/launch.sh -n "$ranks" "$BIN/teacher" configs/demo.yaml $wide data="$work/data.h5" run="$work/run" \
        threads=1 teacher.steps=3 teacher.batch="$ranks" shard.zero="$zero" comm.sequence="$sequence"
    echo "rank  planned, MiB  peak, MiB  difference"
    for rank in $(seq 0 $((ranks - 1))); do
        [ "$rank" = 0 ] && log="$work/run/teacher/log.txt" || log="$work/run/teacher/log.rank$rank.txt"
        sed -nE 's/.*memory: ([0-9.]+) MiB planned, of them ([0-9.]+) .* is ([0-9.]+) MiB.*/\1 \2 \3/p' "$log" |
            awk -v r="$rank" '{p = $1 - $2; printf "%4d  %12.1f  %9.1f  %+8.1f %%\n", r, p, $3, 100 * ($3 / p - 1)}'
    done
}

shards() {
    ranks=${1:-4}
    for n in 1 "$ranks"; do
        "$BIN/teacher" configs/demo.yaml $wide --plan ranks="$n" shard.zero=3 teacher.batch="$n" >"$work/plan" || exit 1
        awk '/^  teacher: / && !/account/ {n += $(NF - 1)} END {printf "%.1f\n", n}' "$work/plan"
    done | awk -v n="$ranks" '
        {x[NR] = $1}
        END {printf "1 rank: %.1f MiB; each of %d: %.1f MiB, %.3f times it\n", x[1], n, x[2], x[2] / x[1]}'
}

# The median time of a step, ms: of the second half of a run.
step_time() {
    sed -E 's/.*"time": ([0-9.]+).*/\1/' "$work/run/teacher/metrics.jsonl" |
        awk 'NR > 1 {print 1000 * ($1 - t)} {t = $1}' | tail -n "$((steps / 2))" | sort -n |
        awk '{x[NR] = $1} END {printf "%.1f\n", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2}'
}
train() { # train THREADS [LAUNCHER...]
    threads=$1
    shift
    rm -rf "$work/run"
    tell "$@" "$BIN/teacher" configs/demo.yaml threads="$threads" data="$work/data.h5" run="$work/run" samples=1 \
        teacher.sampler.steps=1 \
        teacher.steps="$steps" teacher.sample_every=0 teacher.save_every=0
    step_time
}
speed() {
    rounds=${1:-5} steps=${2:-20} ranks=${RANKS:-2}
    data
    echo "round  1 process x $ranks threads, ms  $ranks processes x 1 thread, ms  ratio"
    for round in $(seq 1 "$rounds"); do
        one=$(train "$ranks") || exit 1
        many=$(train 1 sh scripts/launch.sh -n "$ranks") || exit 1
        echo "$round $one $many" | awk '{printf "%5d  %26s  %28s  %.3f\n", $1, $2, $3, $3 / $2}' | tee -a "$work/rounds"
    done
    sort -k 4 -n "$work/rounds" |
        awk '{x[NR] = $4} END {printf "median ratio %.3f\n", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2}'
}

what=$1
[ $# -gt 0 ] && shift
case $what in
memory | shards | speed) "$what" "$@" ;;
*)
    sed -n '/^#   memory/,/^# Usage/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
