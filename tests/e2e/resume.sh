#!/bin/sh
# resume.sh: every stage is killed at a random step (SIGKILL) and again stopped by SIGTERM, and goes on; what it ends
# with is, bit for bit, what the uninterrupted run ends with: parameters, moments, averages, counts, replay of rollouts,
# and the metrics, times apart. Also: --plan needs no data; wrong settings end with one line and exit code 2 or 3.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/resume.sh [SEED]
. tests/e2e/checks
seeded "$1"

run() { # run STAGE: under the one run folder, so that configs are equal too
    "$BIN/$1" configs/tiny.yaml run="$work/run" data="$work/data.h5" threads=2 "$1.save_every=1" "$1.keep=3" \
        >>"$log" 2>&1
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

for stage in teacher ode_init distill refine light_decoder; do
    steps=$(sed -n "/^$stage:/,/^[a-z]/s/^  steps: //p" configs/tiny.yaml)
    run $stage
    verdict $? "$stage: the uninterrupted run"
    mv "$work/run/$stage" "$work/whole"
    there='[ "$(steps_done run/$stage)" -ge $at ]'
    # On a busy machine a run can be through before this shell sees its last steps and kills it: then once more.
    code=0 tries=0
    while [ "$code" -eq 0 ] && [ $tries -lt 10 ]; do
        rm -rf "$work/run/$stage"
        random $((steps - 2)) && at=$((random + 1)) tries=$((tries + 1))
        interrupt KILL "$there" run $stage
    done
    [ "$code" -eq 137 ]
    verdict $? "$stage: was not killed in step $at"
    random $((steps - 1)) && at=$((random + 1))
    before=$(steps_done run/$stage)
    [ $at -gt "$before" ] || at=$((before + 1))
    interrupt TERM "$there" run $stage
    [ "$code" -eq 143 ] || [ "$code" -eq 0 ] # it may have been at its end
    verdict $? "$stage: exit code $code after SIGTERM"
    run $stage
    verdict $? "$stage: the resumed run"
    cmp "$(newest whole)" "$(newest run/$stage)"
    verdict $? "$stage: states differ (killed and stopped, seed above)"
    values "$work/whole/metrics.jsonl" >"$work/a"
    values "$work/run/$stage/metrics.jsonl" >"$work/b"
    cmp "$work/a" "$work/b"
    verdict $? "$stage: metrics differ"
    rm -rf "$work/whole"
done

# A stop in the middle of the critic's warm-up.
mv "$work/run/distill" "$work/whole"
run distill &
shell=$!
while kill -0 $shell 2>/dev/null && ! grep -q 'critic' "$work/run/distill/log.txt" 2>/dev/null; do sleep 0.02; done
child=$(cat "/proc/$shell/task/$shell/children" 2>/dev/null)
[ -n "$child" ] && kill -TERM $child
wait $shell
run distill
cmp "$(newest whole)" "$(newest run/distill)"
verdict $? "distill: states differ after a stop in the warm-up"

# --plan: no data, no folder.
for stage in teacher ode_init distill refine light_decoder; do
    "$BIN/$stage" configs/tiny.yaml run="$work/none" --plan >"$work/plan" 2>&1
    verdict $? "$stage: --plan"
    grep -q '^total' "$work/plan" && [ ! -e "$work/none" ]
    verdict $? "$stage: --plan prints a total and makes nothing"
done

# One line on stderr and the exit code.
refused 2 'teacher.stepz' "$BIN/teacher" configs/tiny.yaml teacher.stepz=3
refused 2 'frames' "$BIN/teacher" configs/tiny.yaml frames=8
refused 2 'rollout.sigma' "$BIN/distill" configs/tiny.yaml 'rollout.sigma=[0.9, 0.5]'
refused 2 'teacher.optimiser.lr' "$BIN/teacher" configs/tiny.yaml teacher.optimiser.lr=fast
refused 3 'none.h5' "$BIN/teacher" configs/tiny.yaml run="$work/new" data="$work/none.h5"
refused 3 'audio' "$BIN/teacher" configs/tiny.yaml run="$work/new" data="$work/data.h5" model.audio_dim=17
refused 3 "no such folder" "$BIN/ode_init" configs/tiny.yaml run="$work/lone" data="$work/data.h5"
refused 2 'rollout.sigma' "$BIN/ode_init" configs/tiny.yaml run="$work/other" data="$work/data.h5" \
    ode_init.teacher="$work/run/teacher" ode_init.sampler.steps=7
refused 3 'recorded with seed 1' "$BIN/ode_init" configs/tiny.yaml run="$work/run" data="$work/data.h5" seed=2 \
    ode_init.steps=14
refused 2 'scale0..2 and patch' "$BIN/light_decoder" configs/tiny.yaml run="$work/other" data="$work/data.h5" \
    light_decoder.patch=2
refused 2 '4 in all\|expected 4' "$BIN/light_decoder" configs/tiny.yaml run="$work/other" light_decoder.grow1=1
refused 3 'none.safetensors' "$BIN/light_decoder" configs/tiny.yaml run="$work/other" data="$work/data.h5" \
    light_decoder.from="$work/none.safetensors"
refused 3 'light decoder' "$BIN/teacher" configs/tiny.yaml run="$work/other" data="$work/data.h5" \
    decoder=tests/golden/dit.safetensors
refused 4 'not finite' "$BIN/teacher" configs/tiny.yaml run="$work/nan" data="$work/data.h5" teacher.optimiser.lr=1 \
    teacher.optimiser.warmup=0 teacher.optimiser.clip=0 teacher.optimiser.beta2=0 teacher.optimiser.eps=1e-20 \
    teacher.steps=400 faults.after=3

finish
