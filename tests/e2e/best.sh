#!/bin/sh
# best.sh: the measure of held-out clips by which stages choose a state. The state with the least measure is kept and is
# the one that states=best takes; a run that goes wrong is ended early and says so, with exit code 0; a run that was
# killed chooses as one that was not; a collapse is one line.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/best.sh
. tests/e2e/checks
run() { # run STAGE RUN [key=value ...]
    stage=$1 name=$2
    shift 2
    "$BIN/$stage" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/$name" "$@" >"$log" 2>&1
}
measures() { # measures RUN STAGE: lines of step and measure
    sed -nE 's/.*"step": ([0-9]+).*"development": ([^,}]*).*/\1 \2/p' "$work/$1/$2/metrics.jsonl"
}
least() { measures "$1" "$2" | sort -k 2 -g | head -n 1 | cut -d ' ' -f 1; }
best() { basename "$(readlink "$work/$1/$2/checkpoints/best.h5")" .h5 | sed -E 's/step_0*//'; }
last() { measures "$1" "$2" | tail -n 1 | cut -d ' ' -f 1; }
exported() { # exported RUN STAGE [key=value ...]: the step whose weights are exported
    from=$1 of=$2
    shift 2
    "$BIN/export" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/$from" stage="$of" \
        out="$work/$from.$of" "$@" >"$log" 2>&1
    sed -nE "s/.*$of, step ([0-9]+):.*/\1/p" "$log"
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 8 || exit 1

# A teacher that learns, and gets better.
run teacher run teacher.best_every=10
verdict $? "teacher"
[ "$(measures run teacher | wc -l)" -eq 3 ] && [ "$(best run teacher)" = "$(least run teacher)" ]
verdict $? "a measure every ten steps, and the best state is that of the least: $(measures run teacher | tr '\n' ' ')"
measures run teacher | awk 'NR > 1 && $2 >= before {bad = 1} {before = $2} END {exit bad}'
verdict $? "a teacher that learns gets better"
run ode_init run ode_init.best_every=4
verdict $? "ode_init"
[ "$(best run ode_init)" = "$(least run ode_init)" ]
verdict $? "the best state of ode_init"

# A distillation that goes wrong.
wrong="distill.optimiser.lr=0.02 distill.optimiser.ema=0 distill.steps=40 distill.keep=1"
wrong="$wrong distill.best_every=2 distill.best_patience=3"
run distill run $wrong
verdict $? "a distillation that is ended early has exit code 0"
says 'distill: ends early at step [0-9]* of 40: 3 measures in a row were no better than that of step [0-9]*'
verdict $? "it says so"
says 'warning: step 2: held-out clips are .* times as far .*loses the person'
verdict $? "that the person is lost is said"
chosen=$(best run distill) end=$(last run distill)
[ "$chosen" = "$(least run distill)" ] && [ "$end" -eq $((chosen + 6)) ] && [ "$end" -lt 40 ]
verdict $? "the best state is that of the least measure, three before the end: $(measures run distill | tr '\n' ' ')"
[ "$(ls "$work/run/distill/checkpoints" | grep -c 'step_[0-9]*.h5$')" -eq 2 ]
verdict $? "the best state and the newest are kept, and no other"
[ "$(exported run distill)" = "$end" ]
verdict $? "export takes the newest state"
[ "$(exported run distill states=best)" = "$chosen" ]
verdict $? "with states=best it takes the best one"
run refine run refine.steps=1 states=best refine.best_every=1
verdict $? "a stage that takes the best states of those before"
says "student/.* from .*distill/checkpoints/step_0*$chosen.h5"
verdict $? "it says which"

# It stays ended; more patience goes on.
run distill run $wrong
verdict $? "the run again"
[ "$(last run distill)" = "$end" ]
verdict $? "an ended run makes no further step"
run distill run $wrong distill.best_patience=1000 distill.steps=$((end + 2))
verdict $? "with more patience"
[ "$(last run distill)" = $((end + 2)) ] && [ "$(best run distill)" = "$(least run distill)" ]
verdict $? "with more patience it goes on"

# A run that is stopped in between chooses alike.
mkdir -p "$work/two"
cp -r "$work/run/teacher" "$work/run/ode_init" "$work/two/"
interrupt INT '[ "$(measures two distill 2>/dev/null | wc -l)" -ge 1 ]' run distill two $wrong
run distill two $wrong
verdict $? "the run that was stopped goes on"
[ "$(best two distill)" = "$chosen" ] && [ "$(last two distill)" = "$end" ]
verdict $? "and chooses as the other: $(measures two distill | tr '\n' ' ')"

# A teacher that was good, and then learns far too fast.
cp -r "$work/run" "$work/fast"
run teacher fast teacher.best_every=2 teacher.steps=32 teacher.optimiser.lr=0.2 teacher.optimiser.cooldown=0 \
    teacher.optimiser.clip=1000 teacher.optimiser.ema=0
verdict $? "a teacher that learns too fast"
says 'warning: step 32: held-out clips measure .* at step 30: the run has collapsed'
verdict $? "a collapse is said, and since when"

# A discriminator that guesses.
run refine guess refine.student="$work/run/distill" refine.teacher="$work/run/teacher" refine.steps=30 \
    refine.discriminator.optimiser.lr=1e-12 refine.hold_margin=-1e6 refine.optimiser.lr=1e-9
verdict $? "a refinement whose discriminator learns nothing"
says "warning: step [0-9]*: the discriminator's margin has been below 0.05 for 20 steps"
verdict $? "that is said"

refused 2 'best_every: this stage has no measure' "$BIN/light_decoder" configs/tiny.yaml data="$work/data.h5" \
    run="$work/no" light_decoder.best_every=1
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/none.h5" 16 24 0 || exit 1
refused 3 'no held-out clips' "$BIN/teacher" configs/tiny.yaml data="$work/none.h5" run="$work/no" teacher.best_every=1
finish
