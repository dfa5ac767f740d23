#!/bin/sh
# refine.sh: what a refinement does before and beside its updates. While the discriminator's margin is not above what is
# asked for, the generator is what it was, to the last bit of its checkpoint's weights; the whole discriminator's
# warm-up ends by the margin or by its number; both go on bit for bit after a stop; a warm-up of the learning rate
# begins anew with the moments; margins and energies are among the metrics; what judges nothing is refused.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/refine.sh
. tests/e2e/checks
run() { # run STAGE RUN [key=value ...]
    stage=$1 name=$2
    shift 2
    "$BIN/$stage" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/$name" "$@" >"$log" 2>&1
}
fresh() { # fresh RUN [key=value ...]: a refinement of the same student
    name=$1
    shift
    mkdir -p "$work/$name"
    cp -r "$work/run/teacher" "$work/run/distill" "$work/$name/"
    run refine "$name" "$@"
}
metric() { sed -E "s/.*\"$2\": *([^,}]*).*/\1/" "$work/$1/refine/metrics.jsonl"; } # metric RUN NAME
all_are() { # all_are VALUE: of the lines on stdin
    awk -v v="$1" '$1 != v {bad = 1} END {exit bad || !NR}'
}
weights() { # weights RUN STAGE [key=value ...]: of its exported student
    from=$1 of=$2
    shift 2
    "$BIN/export" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/$from" stage="$of" \
        out="$work/$from.$of" "$@" >>"$log" 2>&1 && cat "$work/$from.$of"/*.safetensors | cksum
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
for stage in teacher ode_init distill; do
    run $stage run
    verdict $? "$stage"
done

# Held still in every step.
fresh still refine.hold_margin=1000
verdict $? "refine, held still"
metric still held | all_are 1
verdict $? "not all steps are marked as held"
metric still lr | all_are 0
verdict $? "a held step has a learning rate"
says 'warning: the generator was held still in 6 of 6 steps'
verdict $? "the run does not say that it taught nothing"
[ "$(weights still refine)" = "$(weights run distill)" ]
verdict $? "the generator that was held still is another"
metric still discriminator_loss | awk 'NR > 1 && $1 != last {moved = 1} {last = $1} END {exit !moved}'
verdict $? "the discriminator did not learn beside it"

# Never held, and with the rule's default.
fresh free refine.hold_margin=-1e6
verdict $? "refine, never held"
metric free held | all_are 0
verdict $? "a step was held"
[ "$(weights free refine)" != "$(weights run distill)" ]
verdict $? "the generator did not move"
for name in margin margin_local margin_global energy_0 energy_3 r1_local r2_global; do
    metric free $name | awk '!/^-?[0-9.]+(e[-+]?[0-9]+)?$/ {bad = 1} END {exit bad || NR != 6}'
    verdict $? "$name is not a number in each of 6 lines"
done
metric free energy_0 | awk '$1 <= 0 {bad = 1} END {exit bad}'
verdict $? "energies are not above 0"

# The whole discriminator's warm-up: to its number, and by the margin before.
fresh long refine.warmup=7 refine.warmup_margin=1000
verdict $? "refine, whole warm-up"
says "warning: the discriminator's margin is .* after a warm-up of 7 updates"
verdict $? "the warm-up does not say that it waited in vain"
fresh short refine.warmup=500 refine.warmup_margin=-0.5
verdict $? "refine, warm-up by the margin"
! says 'after a warm-up of'
verdict $? "a margin that was there already was waited for"
fresh some refine.warmup=500 refine.warmup_margin=0.05 refine.discriminator.optimiser.lr=3e-3
verdict $? "refine, warm-up until the margin"
done=$(sed -nE "s/.*margin is .* after a warm-up of ([0-9]*) updates.*/\1/p" "$log" | head -n 1)
[ -n "$done" ] && [ "$done" -gt 0 ] && [ "$done" -lt 500 ]
verdict $? "it took ${done:-no} updates, expected 1 to 499"

# A stop in the middle of it, then on: the same.
same="refine.warmup=60 refine.warmup_margin=1000 refine.save_every=1"
fresh whole $same
verdict $? "the uninterrupted run"
mv "$work/whole" "$work/kept" && mkdir "$work/whole" && cp -r "$work/run/teacher" "$work/run/distill" "$work/whole/"
interrupt TERM 'grep -q "warm-up of the discriminator" "$work/whole/refine/log.txt" 2>/dev/null' run refine whole $same
[ "$code" -eq 143 ] && [ ! -s "$work/whole/refine/metrics.jsonl" ]
verdict $? "exit code $code, or it was not stopped in the warm-up"
run refine whole $same
verdict $? "refine resumed"
cmp "$(newest kept/refine)" "$(newest whole/refine)"
verdict $? "states differ after a stop in the warm-up"

# Frames alone: no judgement of clips is left.
fresh alone refine.discriminator.scope=frame refine.hold_margin=-1e6
verdict $? "refine by a discriminator of single frames"
metric alone margin_local >"$work/local"
metric alone margin >"$work/margin"
[ -s "$work/local" ] && differ "$work/local" "$work/margin"
verdict $? "no margins"
[ "$(weights alone refine)" != "$(weights free refine)" ]
verdict $? "the scope changes nothing"
fresh blind refine.discriminator.scope=frame refine.local_weight=0
[ $? -eq 2 ] && says 'nothing is judged'
verdict $? "single frames without a weight are not refused"

# Rollouts beyond a clip, of distillation and of refinement; lengths that are none.
fresh far refine.frames=16 refine.hold_margin=-1e6
verdict $? "refine on rollouts beyond a clip"
[ "$(weights far refine)" != "$(weights free refine)" ]
verdict $? "rollouts beyond a clip change nothing"
cp -r "$work/far/refine" "$work/first"
rm -rf "$work/far/refine"
fresh far refine.frames=16 refine.hold_margin=-1e6
cmp "$(newest first)" "$(newest far/refine)"
verdict $? "the same rollouts beyond a clip end otherwise"
mkdir "$work/longer" && cp -r "$work/run/teacher" "$work/run/ode_init" "$work/longer/"
run distill longer distill.frames=13
verdict $? "distill on rollouts beyond a clip"
"$BIN/distill" configs/tiny.yaml run="$work/none" --plan distill.frames=31 >"$work/plan.31"
"$BIN/distill" configs/tiny.yaml run="$work/none" --plan distill.frames=16 >"$work/plan.16"
"$BIN/distill" configs/tiny.yaml run="$work/none" --plan >"$work/plan.7"
bytes() { sed -n 's/^total  *\([0-9.]*\) MiB/\1/p' "$1"; }
[ "$(bytes "$work/plan.31")" = "$(bytes "$work/plan.16")" ] && differ "$work/plan.16" "$work/plan.7"
verdict $? "the memory of long rollouts grows with their length"
refused 2 'refine.frames' "$BIN/refine" configs/tiny.yaml run="$work/none" --plan refine.frames=8
refused 2 'distill.frames' "$BIN/distill" configs/tiny.yaml run="$work/none" --plan distill.frames=4

# Where the sink stands travels with the student; one that says nothing has it where it always was.
weights free refine causal.sink_pos=shifted >/dev/null
grep -q '"sink_pos":.*"shifted"' "$work/free.refine/config.json"
verdict $? "the export does not say where the sink stands"
weights free refine >/dev/null
cp -r "$work/free.refine" "$work/older"
sed -i '/"sink_pos"/d' "$work/older/config.json"
sed -i ':all;N;$!ball;s/,\n\t"sum":[^\n]*//' "$work/older/config.json" # the last key: the file's own sum
stream() {
    "$BIN/stream" "$work/older" reference=tests/inputs/picture.png audio=tests/inputs/sound.wav out="$work/x.mp4"
}
stream >"$log" 2>&1
verdict $? "a student without sink_pos is refused: $(tail -n 1 "$log")"
sed -i 's/"rapr":/"sink_pos": "left", "rapr":/' "$work/older/config.json"
refused 3 'rollout.sink_pos: unknown value "left"' stream

# No branch at all.
fresh none refine.local_weight=0 refine.global_weight=0
[ $? -eq 2 ] && says 'nothing is judged'
verdict $? "a discriminator without a branch is not refused"
finish
