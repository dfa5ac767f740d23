#!/bin/sh
# faults.sh: updates that would do harm are skipped and counted, end the run or take it back to the last state, by
# configuration; a checkpoint that cannot be written (files may not grow: what a full disk looks like to the writer)
# leaves the one before whole and says so in one line, and the run ends or goes on, by configuration; states that are
# marked stay.
# Usage: BIN=bin BUILD=build/cpu-bf16 sh tests/e2e/faults.sh
. tests/e2e/checks

teacher() { # teacher RUN OVERRIDES...: log in RUN.log
    name=$1 log=$work/$1.log
    shift
    "$BIN/teacher" configs/tiny.yaml run="$work/$name" data="$work/data.h5" threads=1 teacher.sample_every=0 "$@" \
        >"$log" 2>&1
    code=$?
}
states() { ls "$work/$1/teacher/checkpoints" 2>/dev/null | grep -c 'h5$'; }

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

# ---- updates ----

teacher spikes teacher.steps=60 faults.spike=1.5 faults.after=50
verdict $code "spikes are skipped: exit code $code"
grep -q 'more than 1.5 times the mean' "$work/spikes.log"
verdict $? "no update was a spike"
[ "$(grep -c '"skipped": 1' "$work/spikes/teacher/metrics.jsonl")" -ge 1 ]
verdict $? "the metrics count no skipped update"
[ "$(wc -l <"$work/spikes/teacher/metrics.jsonl")" -eq 60 ]
verdict $? "the metrics have $(wc -l <"$work/spikes/teacher/metrics.jsonl") lines of 60"

# With a threshold below the mean every update after the first twenty is a spike: back, back, and no further.
teacher back teacher.steps=60 teacher.save_every=10 faults.spike=0.01 faults.after=3 faults.then=rollback \
    faults.rollbacks=2
[ "$code" -eq 4 ]
verdict $? "rollbacks that do not help: exit code $code"
[ "$(grep -c 'back to step 20, on with other batches' "$work/back.log")" -eq 2 ]
verdict $? "the run went back $(grep -c 'back to step' "$work/back.log") times, not twice to step 20"
[ "$(grep -c 'again after going back' "$work/back.log")" -eq 1 ]
verdict $? "the last line does not tell of going back"
[ "$(basename "$(newest back/teacher)")" = step_00000020.h5 ]
verdict $? "a state was saved among skipped updates: $(newest back/teacher)"

# The same run goes on when the reason is gone, and its metrics are whole.
teacher back teacher.steps=60 teacher.save_every=10
verdict $code "the run did not go on: exit code $code"
awk -F'[:,]' '{if ($2 + 0 != NR) bad = 1} END {exit bad || NR != 60}' "$work/back/teacher/metrics.jsonl"
verdict $? "steps are missing or doubled in the metrics"

# The threshold holds for every stage's optimisers: light_decoder shares no network with the others.
"$BIN/light_decoder" configs/tiny.yaml run="$work/light" data="$work/data.h5" threads=1 light_decoder.steps=30 \
    faults.spike=0.01 faults.after=1000 >"$work/light.log" 2>&1
verdict $? "light_decoder with faults.spike: $(tail -n 1 "$work/light.log")"
missed=$(grep -c '"skipped": 1' "$work/light/light_decoder/metrics.jsonl")
[ "$missed" -eq 10 ]
verdict $? "light_decoder skipped $missed updates of the 10 after 20 of warm-up"

teacher stop teacher.steps=60 faults.spike=0.01 faults.after=3
[ "$code" -eq 4 ]
verdict $? "faults.then=stop: exit code $code"

# ---- alarms: every update is finite and yet the run has gone wrong ----

# Without moments every weight goes a rate's length a step, whatever the number type, and the rate grows.
teacher diverges teacher.steps=60 teacher.optimiser.lr=1 teacher.optimiser.warmup=60 teacher.optimiser.beta1=0 \
    teacher.optimiser.beta2=0 teacher.optimiser.clip=1e6
[ "$(grep -c 'warning: .* the run diverges' "$work/diverges.log")" -eq 1 ]
verdict $? "a loss that rises by factors is warned of once"
teacher sound teacher.steps=60
! grep -q 'warning' "$work/sound.log"
verdict $? "a sound run is warned of: $(grep -m 1 warning "$work/sound.log")"
for stage in ode_init distill; do
    "$BIN/$stage" configs/tiny.yaml run="$work/sound" data="$work/data.h5" threads=1 $stage.sample_every=0 \
        >"$work/$stage.log" 2>&1 || verdict 1 "$stage: $(tail -n 1 "$work/$stage.log")"
done
! grep -q 'warning' "$work/distill.log"
verdict $? "a sound distillation is warned of: $(grep -m 1 warning "$work/distill.log")"
"$BIN/distill" configs/tiny.yaml run="$work/burst" data="$work/data.h5" threads=1 distill.sample_every=0 \
    distill.student="$work/sound/ode_init" distill.teacher="$work/sound/teacher" distill.optimiser.lr=0.05 \
    distill.steps=10 \
    >"$work/burst.log" 2>&1
[ "$(grep -c 'warning: .* the student has burst' "$work/burst.log")" -eq 1 ]
verdict $? "latents that burst are warned of once"

# ---- data that come slowly ----

# Reads as a disk far away does them: a read takes as long as a step of the sound run, whatever the build, and 20 ms at
# least. The preload is for a program without a sanitizer's own.
slow=$(sed -nE 's/.*"ms": *([0-9]+).*/\1/p' "$work/sound/teacher/metrics.jsonl" | tail -n 1)
[ "${slow:-0}" -ge 20 ] || slow=20
case $BUILD in
*-sanitize*) echo "faults.sh: slow reads are not tried under the sanitizer" ;;
*)
    ${CC:-cc} -shared -fPIC tests/e2e/slow_read.c -o "$work/slow.so" -ldl &&
        SLOW_READ=${slow}000 LD_PRELOAD=$work/slow.so "$BIN/teacher" configs/tiny.yaml run="$work/slow" \
        data="$work/data.h5" threads=1 \
            teacher.steps=25 teacher.sample_every=0 >"$work/slow.log" 2>&1
    verdict $? "slow reads: $(tail -n 1 "$work/slow.log")"
    [ "$(grep -c 'warning: .* ms a step are waiting for clips' "$work/slow.log")" -eq 1 ]
    verdict $? "the wait for clips is warned of once"
    ;;
esac

# ---- checkpoints ----

teacher whole teacher.steps=8
teacher full teacher.steps=4 teacher.save_every=2
size=$(($(stat -c %s "$(newest full/teacher)") / 1024))
# Files may grow to half of a state; the signal that comes with it is ignored, so that writing fails.
limited() { # limited RUN OVERRIDES...
    (
        trap '' XFSZ
        export ASAN_OPTIONS=detect_leaks=0 # HDF5 loses what it keeps of a file that it cannot close
        ulimit -f "$((size / 2 * 2))" # in blocks of 512 bytes
        teacher "$@"
        exit "$code"
    )
    code=$?
}
limited full teacher.steps=8 teacher.save_every=2
[ "$code" -eq 3 ]
verdict $? "a full disk: exit code $code"
[ "$(grep -c 'step_00000006.h5' "$work/full.log")" -eq 1 ]
verdict $? "not one line about the checkpoint"
[ "$(basename "$(newest full/teacher)")" = step_00000004.h5 ] && "$BIN/inspect" "$(newest full/teacher)" >/dev/null
verdict $? "the state before is not whole"
ls "$work/full/teacher/checkpoints" | grep -q tmp
[ $? -ne 0 ]
verdict $? "half a file was left"
limited full teacher.steps=8 teacher.save_every=2 faults.checkpoint=go_on
[ "$code" -eq 3 ] && grep -q 'the run goes on' "$work/full.log" && grep -q 'step 8/8' "$work/full.log"
verdict $? "faults.checkpoint=go_on: exit code $code, $(tail -n 1 "$work/full.log")"
teacher full teacher.steps=8 teacher.save_every=2
verdict $code "after the disk has room again: exit code $code"

teacher marks teacher.steps=4 teacher.save_every=1 teacher.keep=1
touch "$(newest marks/teacher).keep"
teacher marks teacher.steps=12 teacher.save_every=1 teacher.keep=2 teacher.keep_every=6
# 4 by its mark, 6 by its step, 11 and 12 as the last two
[ "$(states marks)" -eq 4 ] && [ -f "$work/marks/teacher/checkpoints/step_00000004.h5" ] &&
    [ -f "$work/marks/teacher/checkpoints/step_00000006.h5" ]
verdict $? "states kept: $(ls "$work/marks/teacher/checkpoints" | tr '\n' ' ')"

finish
