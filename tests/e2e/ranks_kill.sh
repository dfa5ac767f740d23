#!/bin/sh
# ranks_kill.sh: jobs of 2 and 3 ranks, of every stage and with every ZeRO level, samples or their tokens divided, of
# which at a random moment one rank or all are killed (SIGKILL): the others end by themselves; the same job started
# again goes on and ends with the very state of an undisturbed run. Then a state of 4 ranks goes on with 2 and with 3,
# with another ZeRO level, and its losses are those of the undisturbed run up to the order of sums.
# Usage: BIN=bin BUILD=build/cpu-bf16 sh tests/e2e/ranks_kill.sh [ROUNDS [SEED]]
. tests/e2e/checks
rounds=${1:-4}
seeded "$2"

# job RANKS STAGE ZERO OVERRIDES...: output in $work/log. Ranks are started here, so that their process ids are known.
job() {
    n=$1 stage=$2 zero=$3
    shift 3
    port=$((20000 + ($$ * 7 + jobs * 13) % 12000)) jobs=$((jobs + 1)) # below those that the system gives out by itself
    pids= rank=0
    while [ $rank -lt "$n" ]; do
        RANK=$rank WORLD_SIZE=$n LOCAL_RANK=$rank LOCAL_WORLD_SIZE=$n MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
            "$BIN/$stage" configs/tiny.yaml run="$work/run" data="$work/data.h5" threads=1 shard.zero="$zero" \
            "$stage.sample_every=0" "$stage.save_every=1" "$stage.keep=3" comm.connect_timeout=20 "$@" >>"$log" 2>&1 &
        pids="$pids $!"
        rank=$((rank + 1))
    done
}
jobs=0
ended() { # waits for all ranks; code: the largest
    code=0
    for pid in $pids; do
        wait "$pid"
        c=$?
        [ $c -gt $code ] && code=$c
    done
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

# What the later stages start from.
for stage in teacher ode_init distill; do
    job 2 $stage 1
    ended
    verdict $code "$stage on 2 ranks: exit code $code"
    cp -r "$work/run/$stage" "$work/base_$stage"
done

# The folders that the stages start from, where a test has taken or changed them.
restore() {
    for r in teacher ode_init distill; do
        rm -rf "$work/run/$r"
        cp -r "$work/base_$r" "$work/run/$r"
    done
}

# Undisturbed runs of every stage, ranks, ZeRO level and division that a round draws; made when they are first asked
# for.
whole() { # whole STAGE RANKS ZERO SEQUENCE -> folder whole_...
    folder="whole_$1_$2_$3_$4"
    [ -d "$work/$folder" ] && return
    rm -rf "$work/run/$1"
    job "$2" "$1" "$3" comm.sequence="$4"
    ended
    verdict $code "$1 on $2 ranks, zero $3: exit code $code"
    mv "$work/run/$1" "$work/$folder"
    restore
}

round=0
while [ $round -lt "$rounds" ]; do
    random 4
    stage=$(echo teacher ode_init distill refine | cut -d' ' -f$((random + 1)))
    random 2 && n=$((random + 2))
    random 4 && zero=$random
    random 2 && sequence=1
    [ "$random" = 1 ] && [ $n = 2 ] && sequence=2 # two heads
    random 3 && victim=$random # n or more: all
    random 1000 && when=$random
    random 3 && writing=$random # 0: in the middle of a checkpoint
    whole $stage $n $zero $sequence
    rm -rf "$work/run/$stage"
    job $n $stage $zero comm.sequence=$sequence
    # A moment: after so many steps, and then some milliseconds, or when a file is being written.
    random $(sed -n "/^$stage:/,/^[a-z]/s/^  steps: //p" configs/tiny.yaml) && steps=$random
    while kill -0 $pids 2>/dev/null && [ "$(steps_done run/$stage)" -lt "$steps" ]; do sleep 0.02; done
    if [ $writing -eq 0 ]; then
        while kill -0 $pids 2>/dev/null && ! ls "$work/run/$stage/checkpoints" 2>/dev/null | grep -q tmp; do :; done
    else
        sleep "0.$(printf '%03d' $((when / 5)))"
    fi
    i=0
    for pid in $pids; do
        if [ $i -eq "$victim" ] || [ "$victim" -ge $n ]; then kill -KILL "$pid" 2>/dev/null; fi
        i=$((i + 1))
    done
    killed=$(date +%s%N)
    ended
    seconds=$((($(date +%s%N) - killed) / 1000000000))
    [ $seconds -lt 30 ]
    verdict $? "round $round: $stage, $n ranks, zero $zero, tokens by $sequence: the others needed $seconds s to end"
    left=$(newest run/$stage)
    half=$(ls "$work/run/$stage/checkpoints" 2>/dev/null | grep -c tmp)
    echo "round $round: $stage, $n ranks, zero $zero, tokens by $sequence:" \
        "$([ $victim -lt $n ] && echo "rank $victim" || echo all) killed at step $steps," \
        "the others ended in $seconds s, $half files half written, last state ${left##*/}"
    job $n $stage $zero comm.sequence=$sequence
    ended
    verdict $code "round $round: $stage, $n ranks, zero $zero, tokens by $sequence: went on with exit code $code"
    cmp "$(newest "$folder")" "$(newest run/$stage)"
    verdict $? \
        "round $round: $stage, $n ranks, zero $zero, tokens by $sequence, victim $victim at step $steps: states differ"
    rm -rf "$work/run/$stage"
    restore
    round=$((round + 1))
done

# Four ranks, then two and three: losses within rounding of the run on four.
for stage in teacher refine; do
    rm -rf "$work/run/$stage"
    job 4 $stage 3 $stage.steps=6 $stage.optimiser.cooldown=0
    ended
    verdict $code "$stage: 4 ranks to the end"
    losses run/$stage >"$work/b"
    rm -rf "$work/run/$stage"
    job 4 $stage 3 $stage.steps=4 $stage.optimiser.cooldown=0
    ended
    verdict $code "$stage: the first steps on 4 ranks"
    mv "$work/run/$stage" "$work/first"
    for then in "2 1" "3 2"; do
        set -- $then
        rm -rf "$work/run/$stage"
        cp -r "$work/first" "$work/run/$stage"
        job "$1" $stage "$2" $stage.steps=6 $stage.optimiser.cooldown=0
        ended
        verdict $code "$stage: went on with $1 ranks, zero $2: exit code $code"
        losses run/$stage >"$work/a"
        paste "$work/a" "$work/b" | awk '{d = $1 - $2; if (d < 0) d = -d; m = $2 < 0 ? -$2 : $2
                                          if (d > 2e-3 * m + 1e-6) bad = 1; n++} END {exit bad || n != 6}'
        verdict $? "$stage: losses of $1 ranks and of 4 differ: $(paste "$work/a" "$work/b" | tail -n 2 |
            tr '\t\n' '  ')"
    done
    rm -rf "$work/run/$stage" "$work/first"
    restore
done

finish
