#!/bin/sh
# lora.sh: distillation through adapters, on a spoiled history (STAGE.history_spoil). A run that is killed goes on bit
# for bit; the loss of causal initialisation falls; the next stage goes on with adapters over the same weights; an
# export is base + alpha / rank B A; the adapters' own file holds the same; Diffusers loads it (where PYTHON_ORACLE
# has it); DMD on several ranks; a run that was moved goes on; a base that is gone or another, other adapters and
# adapters of what was trained whole are refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float [PYTHON_ORACLE=python3] sh tests/e2e/lora.sh
. tests/e2e/checks
settings="data=$work/data.h5 threads=2" # with the reference and a whole chunk in the sink, and two chunks behind it
spoil="distill.history_spoil.probability=0.5 refine.history_spoil.probability=0.5"
adapters="lora.rank=4 lora.alpha=8 lora.whole=time_projection $spoil"
sed 's/^frames: 7/frames: 10/' configs/tiny.yaml >"$work/config.yaml"
run() { # run STAGE RUN [key=value ...]
    stage=$1 name=$2
    shift 2
    "$BIN/$stage" "$work/config.yaml" $settings run="$work/$name" "$@" >>"$log" 2>&1
}

"$BUILD/tests/programs/tiny_dataset" "$work/config.yaml" "$work/data.h5" 16 24 4 || exit 1
run teacher run
verdict $? "teacher"

# A student of rank 16 learns.
run ode_init run lora.rank=16 ode_init.steps=150 ode_init.optimiser.lr=4e-3 ode_init.history_spoil.probability=0.5
verdict $? "ode_init through adapters"
losses run/ode_init |
    awk '{x[NR] = $1}
        END {for (i = 1; i <= 10; i++) {a += x[i]; b += x[NR + 1 - i]}
            print "loss", a / 10, b / 10; exit !(b < 0.95 * a)}' \
        >>"$log"
verdict $? "the loss does not fall"

# Other adapters: what ode_init gave becomes their base. Killed and resumed, the same bits.
run distill run $adapters
verdict $? "distill through adapters"
mv "$work/run/distill" "$work/whole"
code=0 tries=0
while [ $code -eq 0 ] && [ $tries -lt 10 ]; do # through before it was killed: once more
    rm -rf "$work/run/distill"
    tries=$((tries + 1))
    interrupt KILL '[ -n "$(newest run/distill)" ]' run distill run $adapters distill.save_every=1
done
[ $code -eq 137 ]
verdict $? "distill was not killed"
run distill run $adapters
verdict $? "distill resumed"
"$BIN/export" "$work/config.yaml" $settings run="$work/run" stage=distill out="$work/resumed" \
    lora_out="$work/resumed.lora" >>"$log" 2>&1
verdict $? "export of the resumed run"
rm -rf "$work/run/distill" && mv "$work/whole" "$work/run/distill"
for naming in original diffusers; do
    "$BIN/export" "$work/config.yaml" $settings run="$work/run" stage=distill naming=$naming out="$work/$naming" \
        lora_out="$work/$naming.lora" >>"$log" 2>&1
    verdict $? "export, $naming names"
done
cmp "$work/resumed.lora" "$work/diffusers.lora"
verdict $? "the resumed run's adapters differ"
"$BIN/export" "$work/config.yaml" $settings run="$work/run" stage=ode_init out="$work/base" \
    >>"$log" 2>&1
verdict $? "export of the base"

# The base stays though its stage goes on and keeps two states.
run ode_init run lora.rank=16 ode_init.steps=156 ode_init.save_every=2 ode_init.history_spoil.probability=0.5
verdict $? "ode_init goes on"
check "the base is kept" test -f "$work/run/ode_init/checkpoints/step_00000150.h5"
rm "$work"/run/ode_init/checkpoints/step_0000015[246].h5*

# The next stage: student and critic go on with their adapters.
run refine run $adapters refine.distill_share=0.5
verdict $? "refine through adapters"
strings "$(newest run/refine)" | grep -q 'checkpoints/.*ode_init\|ode_init/checkpoints'
verdict $? "refine's student is not over what distill's was"

# What a stage was started with stays.
again() { # again PATTERN key=value ...: distill goes on so
    pattern=$1
    shift
    refused 2 "$pattern" "$BIN/distill" "$work/config.yaml" $settings run="$work/run" distill.steps=9 "$@"
}
again 'student: lora.rank is 3, this run.s adapters have 4' $adapters lora.rank=3
again 'student: lora.alpha is 3, this run.s adapters have 8' $adapters lora.alpha=3
again 'student: lora.targets is "cross_attn", this run.s adapters have "' $adapters lora.targets=cross_attn
again 'student: lora.whole is "", this run.s adapters have "time_projection"' $adapters lora.whole=
again 'critic: this run trains it through adapters of rank 4' $adapters lora.networks=student
again 'student: this run trains it through adapters of rank 4'
run teacher other seed=2
run ode_init other seed=2
verdict $? "another teacher and its student"
again 'student: distill.student is .*other/ode_init, this run.s adapters are over other weights' $adapters \
    distill.student="$work/other/ode_init"
again 'critic: its adapters are over .*run/teacher.* frozen weights are .*other/teacher' $adapters \
    distill.teacher="$work/other/teacher"
cp "$work/other/ode_init/checkpoints/"step_*12.h5 "$work/stranger.h5"
cp "$work/other/ode_init/checkpoints/"step_*12.h5.sum "$work/stranger.h5.sum"
refused 2 'no adapters' "$BIN/export" "$work/config.yaml" $settings run="$work/run" stage=teacher out="$work/x" \
    lora_out="$work/x.lora"
refused 2 'lora.targets' "$BIN/distill" "$work/config.yaml" $settings run="$work/new" --plan lora.rank=4 \
    lora.targets=no_such
refused 2 'lora.networks' "$BIN/distill" "$work/config.yaml" $settings run="$work/new" --plan lora.networks=judge
refused 2 'teacher.init' "$BIN/teacher" "$work/config.yaml" $settings run="$work/new" lora.rank=4 lora.networks=teacher

if [ -n "$PYTHON_ORACLE" ]; then
    "$PYTHON_ORACLE" tests/golden/lora_loads.py "$work" >>"$log" 2>&1
    verdict $? "merged weights, or Diffusers"
fi

# On several ranks; a run's folder may be moved, and what it started from too when the config says where it is.
ranks() { # ranks N STAGE RUN [key=value ...]
    count=$1 stage=$2 name=$3
    shift 3
    sh scripts/launch.sh -n "$count" "$BIN/$stage" "$work/config.yaml" $settings threads=1 run="$work/$name" \
        "$@" >>"$log" 2>&1
}
mkdir "$work/dmd"
cp -r "$work/run/teacher" "$work/run/ode_init" "$work/dmd/"
ranks 3 distill dmd $adapters distill.loss=dmd shard.zero=3
verdict $? "DMD through adapters on three ranks"
mv "$work/dmd" "$work/moved"
ranks 2 distill moved $adapters distill.loss=dmd shard.zero=2 distill.steps=8
verdict $? "a moved run on two ranks"
strings "$(newest moved/distill)" | grep -q "^\.\./\.\./ode_init/checkpoints"
verdict $? "the place of the base is not relative"

mv "$work/run/ode_init" "$work/elsewhere"
refused 3 'ode_init/checkpoints.*, which is gone' "$BIN/distill" "$work/config.yaml" $settings run="$work/run" \
    $adapters distill.steps=9
run distill run $adapters distill.steps=9 distill.student="$work/elsewhere"
verdict $? "the config says where the base is now"
strings "$(newest run/distill)" | grep -q "^$work/elsewhere/checkpoints"
verdict $? "its new place is not in the state"

# Another file in its place.
mkdir -p "$work/run/ode_init/checkpoints"
base=$(cd "$work/elsewhere/checkpoints" && ls step_*.h5 | tail -n 1)
mv "$work/stranger.h5" "$work/elsewhere/checkpoints/$base"
mv "$work/stranger.h5.sum" "$work/elsewhere/checkpoints/$base.sum"
refused 3 "$base.* not the weights that the adapters were trained over" "$BIN/distill" "$work/config.yaml" $settings \
    run="$work/run" $adapters distill.steps=12

finish
