#!/bin/sh
# memory.sh: a student under a budget for its weights (weights_mib) gives the bits that it gives without one, from every
# form of its files, in forward and stream; a budget that is too small is one line with the least; --plan prints the
# memory of stream and serve without a device's memory, a sound or a picture.
. tests/e2e/checks
refuses() { # refuses CODE TEXT PROGRAM ARGUMENTS...: nothing but one line, which has the text
    want=$1 text=$2
    shift 2
    expect "$want" "$@" && [ "$(wc -l <"$log")" -eq 1 ] && grep -qF -e "$text" "$log"
}
plan() { "$BIN/streamavatar" "$@" --plan >"$work/plan" 2>"$log"; }
total() { sed -n 's/^total  *\([0-9]*\).*/\1/p' "$work/plan" | head -n 1; }
all="configs/tiny.yaml data=$work/data.h5 threads=2 model.dim=256 model.ffn_dim=1024 model.heads=4 model.layers=5
model.rope_theta_t=10000 model.rope_theta_hw=10000"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 12 4 || exit 1
"$BUILD/tests/programs/forward_input" "$work/in.safetensors" 2 16 3 4 6 5 8 16 || exit 1

# A few long steps take the outputs, which begin at zero, to where the past shows in the pictures.
check "a network of some megabytes" expect 0 teacher $all run="$work/run" teacher.steps=4 \
    teacher.optimiser.lr=0.02 teacher.optimiser.warmup=0 teacher.optimiser.cooldown=0
# naming, type, MB of a shard, two budgets in MiB
case $("$BIN/forward" --version) in *'number type bf16') some="7 9" ;; *) some="12 17" ;; esac # all: 14.5, 29
for form in "diffusers f32 0 $some" "original bf16 4 $some" "diffusers int8 0 5 6" "original fp8 4 5 6"; do
    set -- $form
    student="$work/$1-$2"
    check "export $form" expect 0 export $all run="$work/run" stage=teacher naming="$1" type="$2" shard_mb="$3" \
        out="$student"
    check "forward with all weights" expect 0 forward "$student" "$work/in.safetensors" "$work/all"
    for mib in $4 $5; do
        check "forward with $mib MiB" expect 0 forward "$student" "$work/in.safetensors" "$work/some" weights_mib="$mib"
        check "it says what is streamed" says "blocks are streamed from"
        check "the same bits" cmp "$work/all" "$work/some"
    done
done
check "forward with too little" refuses 2 "at least" forward "$student" "$work/in.safetensors" "$work/none" \
    weights_mib=1
least=$(sed -n 's/.*at least \([0-9]*\),.*/\1/p' "$log")
check "the least is enough" expect 0 forward "$student" "$work/in.safetensors" "$work/some" weights_mib="$least"
check "less is not" expect 2 forward "$student" "$work/in.safetensors" "$work/none" weights_mib=$((least - 1))

sounds="reference=tests/inputs/picture.png audio=tests/inputs/sound.wav talk=always seconds=1 threads=2"
for student in "$work/diffusers-int8" "$work/diffusers-f32"; do
    "$BIN/stream" "$student" $sounds out=- >"$work/all" 2>"$log"
    check "stream" test -s "$work/all"
    check "it compares plan and peak" says "MiB planned; this process's peak"
    check "stream with too little" refuses 2 "at least" stream "$student" $sounds weights_mib=1
    least=$(sed -n 's/.*at least \([0-9]*\),.*/\1/p' "$log")
    "$BIN/stream" "$student" $sounds out=- weights_mib="$least" >"$work/some" 2>"$log"
    check "stream with the least" cmp "$work/all" "$work/some"
done

check "the plan of a stream" plan stream "$student"
check "by purpose" grep -q '^KV cache .*MiB$' "$work/plan"
whole=$(total)
check "the plan of a stream with the least" plan stream "$student" weights_mib="$least"
check "it is less" test "$(total)" -lt "$whole"
check "the plan of a server" plan serve "$student"
check "sessions apart" grep -q '^for each session' "$work/plan"
cache() { sed -n 's/^KV cache  *\([0-9.]*\) MiB/\1/p' "$work/plan"; }
check "the plan of a stream" plan stream "$student"
full=$(cache)
check "with a cache in fp8" plan stream "$student" cache_type=fp8
check "it is less than half" awk "BEGIN {exit !($(cache) > 0 && 2 * $(cache) < $full)}"
check "of a server too" plan serve "$student" cache_type=fp8
check "it is as much" awk "BEGIN {exit !(2 * $(cache) < $full)}"
"$BIN/stream" "$student" $sounds out=- cache_type=fp8 >"$work/some" 2>"$log"
check "a stream with it has as many pictures" test "$(wc -c <"$work/some")" -eq "$(wc -c <"$work/all")"
check "others" differ "$work/some" "$work/all"
"$BIN/stream" "$student" $sounds out=- cache_type=fp8 weights_mib="$least" >"$work/all" 2>"$log"
check "the same with streamed weights" cmp "$work/some" "$work/all"
check "no such cache" refuses 2 "cache_type" stream "$student" $sounds cache_type=fp4

check "a plan of too little" refuses 2 "at least" stream "$student" --plan weights_mib=1
check "a stream still wants its sound" refuses 2 "reference= and audio=" stream "$student"
finish
