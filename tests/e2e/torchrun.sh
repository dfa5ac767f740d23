#!/bin/sh
# torchrun.sh: stages started by the real torchrun, in every form: plain, --standalone, a port of one's own, a c10d
# endpoint, one node and two (two agents on this host); a rank that is killed is replaced by --max-restarts, on one node
# and on two.
# Skipped where no torchrun is found. TORCHRUN="PATH PATH": those to try, by default the one on PATH.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/torchrun.sh
. tests/e2e/checks
TORCHRUN=${TORCHRUN:-$(command -v torchrun)}
[ -n "$TORCHRUN" ] || {
    echo "skip: no torchrun (TORCHRUN=PATH)"
    exit 77
}
export OMP_NUM_THREADS=1
log=$work/out
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
base=$((20000 + $$ % 9000))

# agent LOG OPTION...: the teacher on this agent's ranks, in the run folder "run", for $steps steps.
agent() {
    to=$1
    shift
    timeout -k 5 150 "$torchrun" "$@" --no-python "$BIN/teacher" configs/tiny.yaml data="$work/data.h5" threads=1 \
        run="$work/run" teacher.steps=$steps teacher.save_every=5 >"$to" 2>&1
}
# Two agents, each with the options after its own number.
two_agents() {
    agent "$work/other" --nnodes 2 --nproc-per-node 1 --node-rank 1 "$@" &
    agent "$log" --nnodes 2 --nproc-per-node 1 --node-rank 0 "$@"
    first=$?
    wait $!
    second=$?
    cat "$work/other" >>"$log"
    [ $first -eq 0 ] && [ $second -eq 0 ]
}
trained() { # trained CODE WHAT: the run is at its last step, and nobody took a rank for a stranger
    [ "$1" -eq 0 ] && grep -q "done after step $steps" "$work/run/teacher/log.txt" &&
        ! grep -q 'closed a connection' "$log"
    verdict $? "$torchrun, $2: exit code $1"
    rm -rf "$work/run"
}
killed() { # killed WHAT COMMAND...: rank 1 is killed at work, and the job is started anew by itself and goes on
    what=$1
    shift
    interrupt_rank KILL 1 run teacher "$@"
    [ "$(grep -c 'training clips, step' "$work/run/teacher/log.txt")" -ge 2 ]
    verdict $? "$torchrun, $what: started again"
    trained $code "$what"
}

for torchrun in $TORCHRUN; do
    steps=4
    for form in "" "--standalone" "--master-port $base" "--rdzv-backend c10d --rdzv-endpoint localhost:$base"; do
        agent "$log" $form --nproc-per-node 2
        trained $? "form \"$form\""
    done
    two_agents --master-addr 127.0.0.1 --master-port $((base + 40))
    trained $? "two nodes"
    two_agents --rdzv-backend c10d --rdzv-endpoint localhost:$((base + 80)) --rdzv-id two
    trained $? "two nodes, c10d"

    steps=200
    killed "a rank killed" agent "$log" --nproc-per-node 2 --max-restarts 1
    killed "a rank killed, standalone" agent "$log" --standalone --nproc-per-node 2 --max-restarts 1
    killed "a rank killed on two nodes" two_agents --master-addr 127.0.0.1 --master-port $((base + 120)) \
        --max-restarts 3
    killed "a rank killed on two nodes, c10d" two_agents --rdzv-backend c10d --rdzv-endpoint localhost:$((base + 160)) \
        --rdzv-id three --max-restarts 3
done
finish
