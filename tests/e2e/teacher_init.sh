#!/bin/sh
# teacher_init.sh: a teacher that starts from a published kind of checkpoint (a folder of sharded files with Wan's
# names, or Diffusers'; no audio modules) on two ranks is the one that one process starts, whatever is divided: before
# the first update to the bit, then up to the order of sums. Adapters over it too.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/teacher_init.sh
. tests/e2e/checks
settings="data=$work/data.h5 threads=1"
run() { # run RANKS NAME [key=value ...]
    ranks=$1 name=$2
    shift 2
    if [ "$ranks" = 1 ]; then
        "$BIN/teacher" configs/tiny.yaml $settings run="$work/$name" "$@" >"$log" 2>&1
    else
        sh scripts/launch.sh -n "$ranks" "$BIN/teacher" configs/tiny.yaml $settings run="$work/$name" "$@" >"$log" 2>&1
    fi
}
export_to() { # export_to RUN FOLDER [key=value|--option ...]
    name=$1 folder=$2
    shift 2
    "$BIN/export" configs/tiny.yaml $settings run="$work/$name" stage=teacher out="$work/$folder" "$@" >"$log" 2>&1
}
same_files() { # every file of two exports
    (cd "$work/$1" && find . -name '*.safetensors') | while read -r file; do
        cmp "$work/$1/$file" "$work/$2/$file" || exit 1
    done
}
# close A B: losses and norms of two runs of 8 steps, up to the order in which fp32 gradients are summed: the first ones
# within 1e-6 of each other, all within 1e-5.
close() {
    for name in "$1" "$2"; do
        sed -E 's/.*"loss": ([^,]*), "grad_norm": ([^,]*),.*/\1 \2/' "$work/$name/teacher/metrics.jsonl" \
            >"$work/$name.figures"
    done
    paste -d' ' "$work/$1.figures" "$work/$2.figures" | awk '
        function gap(a, b) {return a > b ? (a - b) / a : (b - a) / b}
        {for (i = 1; i <= 2; i++) {
            g = gap($i, $(i + 2)); if (g > worst) worst = g; if (NR == 1 && g > first) first = g}}
        END {print NR " steps, first " first ", worst " worst; exit !(NR == 8 && first < 1e-6 && worst < 1e-5)}' >"$log"
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
run 1 source teacher.steps=20
verdict $? "a teacher to start from"
for naming in original diffusers; do
    export_to source "$naming" naming=$naming type=bf16 shard_mb=0.05
    verdict $? "its trunk in $naming names"
done
for naming in original diffusers; do
    init="teacher.init=$work/$naming/transformer"
    run 1 "one-$naming" "$init" teacher.steps=0
    verdict $? "$naming names: one process"
    grep -q 'its audio modules are new' "$log"
    verdict $? "the checkpoint has audio modules"
    export_to "one-$naming" "started-$naming"
    for zero in 0 3; do
        run 2 "two-$naming-$zero" "$init" teacher.steps=0 shard.zero=$zero
        verdict $? "$naming names: two ranks, ZeRO $zero"
        export_to "two-$naming-$zero" "started-$naming-$zero"
        check "two ranks start from other weights ($naming, ZeRO $zero)" same_files "started-$naming" \
            "started-$naming-$zero"
    done
done
check "names change the weights" same_files started-original started-diffusers

init="teacher.init=$work/original/transformer"
for kind in whole adapters; do
    more=
    [ $kind = adapters ] && more="lora.rank=4 lora.networks=teacher"
    run 1 one-$kind $init teacher.steps=8 $more
    verdict $? "$kind: one process"
    for zero in 0 1 2 3; do
        run 2 two-$kind-$zero $init teacher.steps=8 shard.zero=$zero $more
        verdict $? "$kind: two ranks, ZeRO $zero"
        check "$kind: two ranks, ZeRO $zero, do not learn what one process does" close one-$kind two-$kind-$zero
    done
done

finish
