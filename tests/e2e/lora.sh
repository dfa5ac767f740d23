#!/bin/sh
# lora.sh: distillation through adapters. A run that is killed goes on bit for bit; the loss of causal initialisation
# falls; the next stage goes on with adapters over the same weights; an export is base + alpha / rank B A; the adapters'
# own file holds the same; Diffusers loads it (where PYTHON_ORACLE names a Python that has it); a base that is gone, other
# adapters and adapters of what was trained whole are refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float [PYTHON_ORACLE=python3] sh tests/e2e/lora.sh
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float}
export OMP_WAIT_POLICY=passive
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

verdict() { # verdict OK TEXT
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $2"
        tail -n 5 "$work/log"
    fi
}
settings="data=$work/data.h5 threads=2"
adapters="lora.rank=4 lora.alpha=8 lora.whole=time_projection"
run() { # run STAGE RUN [key=value ...]
    stage=$1 name=$2
    shift 2
    "$BIN/$stage" configs/tiny.yaml $settings run="$work/$name" "$@" >>"$work/log" 2>&1
}
newest() { ls "$work/$1/checkpoints"/*.h5 2>/dev/null | tail -n 1; }
refused() { # refused CODE PATTERN COMMAND...
    want=$1 pattern=$2
    shift 2
    "$@" >/dev/null 2>"$work/error"
    code=$?
    last=$(tail -n 1 "$work/error")
    [ "$code" -eq "$want" ] && echo "$last" | grep -q "$pattern"
    verdict $? "exit $code, expected $want and \"$pattern\": $last"
}

"$BUILD/tests/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
run teacher run
verdict $? "teacher"

# A student of rank 16 learns.
run ode_init run lora.rank=16 ode_init.steps=150 ode_init.optimiser.lr=4e-3
verdict $? "ode_init through adapters"
sed -E 's/.*"loss": *([0-9.e+-]+).*/\1/' "$work/run/ode_init/metrics.jsonl" |
    awk '{x[NR] = $1} END {for (i = 1; i <= 10; i++) {a += x[i]; b += x[NR + 1 - i]}; print "loss", a / 10, b / 10; exit !(b < 0.95 * a)}' \
        >>"$work/log"
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
    --lora "$work/resumed.lora" >>"$work/log" 2>&1
verdict $? "export of the resumed run"
rm -rf "$work/run/distill" && mv "$work/whole" "$work/run/distill"
for naming in original diffusers; do
    "$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage distill --naming $naming --out "$work/$naming" \
        --lora "$work/$naming.lora" >>"$work/log" 2>&1
    verdict $? "export, $naming names"
done
cmp "$work/resumed.lora" "$work/diffusers.lora"
verdict $? "the resumed run's adapters differ"
"$BIN/export" configs/tiny.yaml $settings run="$work/run" --stage ode_init --out "$work/base" \
    >>"$work/log" 2>&1
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
    "$PYTHON_ORACLE" tests/golden/lora_loads.py "$work" >>"$work/log" 2>&1
    verdict $? "merged weights, or Diffusers"
fi

mv "$work/run/ode_init" "$work/elsewhere"
refused 3 'gone' "$BIN/distill" configs/tiny.yaml $settings run="$work/run" $adapters distill.steps=9 \
    distill.student="$work/elsewhere"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
