#!/bin/sh
# lora.sh: distillation through adapters. A run that is killed goes on bit for bit; the loss of causal initialisation
# falls; the next stage goes on with adapters over the same weights; an export is base + alpha / rank B A; the adapters'
# own file holds the same; Diffusers loads it (where PYTHON_ORACLE names a Python that has it); a base that is gone, other
# adapters and adapters of what was trained whole are refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float [PYTHON_ORACLE=python3] sh tests/e2e/lora.sh
. tests/e2e/checks
settings="data=$work/data.h5 threads=2"
adapters="lora.rank=4 lora.alpha=8 lora.whole=time_projection"
run() { # run STAGE RUN [key=value ...]
    stage=$1 name=$2
    shift 2
    "$BIN/$stage" configs/tiny.yaml $settings run="$work/$name" "$@" >>"$log" 2>&1
}

"$BUILD/tests/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
run teacher run
verdict $? "teacher"

# A student of rank 16 learns.
run ode_init run lora.rank=16 ode_init.steps=150 ode_init.optimiser.lr=4e-3
verdict $? "ode_init through adapters"
sed -E 's/.*"loss": *([0-9.e+-]+).*/\1/' "$work/run/ode_init/metrics.jsonl" |
    awk '{x[NR] = $1} END {for (i = 1; i <= 10; i++) {a += x[i]; b += x[NR + 1 - i]}; print "loss", a / 10, b / 10; exit !(b < 0.95 * a)}' \
        >>"$log"
verdict $? "the loss does not fall"

# Other adapters: what ode_init gave becomes their base. Killed and resumed, the same bits.
run distill run $adapters
verdict $? "distill through adapters"
mv "$work/run/distill" "$work/whole"
run distill run $adapters distill.save_every=1 distill.steps=6 &
shell=$!
while kill -0 $shell 2>/dev/null && ! ls "$work"/run/distill/checkpoints/*.h5 >/dev/null 2>&1; do sleep 0.02; done
child=$(cat "/proc/$shell/task/$shell/children" 2>/dev/null)
[ -n "$child" ] && kill -KILL $child 2>/dev/null
wait $shell
run distill run $adapters
verdict $? "distill resumed"
"$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage distill --out "$work/resumed" \
    --lora "$work/resumed.lora" >>"$log" 2>&1
verdict $? "export of the resumed run"
rm -rf "$work/run/distill" && mv "$work/whole" "$work/run/distill"
for naming in original diffusers; do
    "$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage distill --naming $naming --out "$work/$naming" \
        --lora "$work/$naming.lora" >>"$log" 2>&1
    verdict $? "export, $naming names"
done
cmp "$work/resumed.lora" "$work/diffusers.lora"
verdict $? "the resumed run's adapters differ"
"$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage ode_init --out "$work/base" \
    >>"$log" 2>&1
verdict $? "export of the base"

# The next stage: student and critic go on with their adapters.
run refine run $adapters refine.distill_share=0.5
verdict $? "refine through adapters"
strings "$(newest run/refine)" | grep -q 'checkpoints/.*ode_init\|ode_init/checkpoints'
verdict $? "refine's student is not over what distill's was"

refused 3 'not the config' "$BIN/distill" configs/tiny.yaml $settings run="$work/run" $adapters lora.alpha=3 distill.steps=9
refused 3 'through adapters' "$BIN/distill" configs/tiny.yaml $settings run="$work/run" distill.steps=9
refused 2 'no adapters' "$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage teacher --out "$work/x" \
    --lora "$work/x.lora"
refused 2 'lora.targets' "$BIN/distill" configs/tiny.yaml $settings run="$work/new" --plan lora.rank=4 lora.targets=no_such
refused 2 'lora.networks' "$BIN/distill" configs/tiny.yaml $settings run="$work/new" --plan lora.networks=judge
refused 2 'teacher.init' "$BIN/teacher" configs/tiny.yaml $settings run="$work/new" lora.rank=4 lora.networks=teacher

if [ -n "$PYTHON_ORACLE" ]; then
    "$PYTHON_ORACLE" tests/golden/lora_loads.py "$work" >>"$log" 2>&1
    verdict $? "merged weights, or Diffusers"
fi

mv "$work/run/ode_init" "$work/elsewhere"
refused 3 'gone' "$BIN/distill" configs/tiny.yaml $settings run="$work/run" $adapters distill.steps=9 \
    distill.student="$work/elsewhere"

finish
