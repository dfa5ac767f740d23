#!/bin/sh
# decoder.sh: a decoder that learns from true pictures, at toy size: a data set that keeps them, the stage in one go, in
# two and on two ranks, the stages after it that show, export and stream through it, and what is refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/decoder.sh
. tests/e2e/checks
small="height=16 width=16 patch=4 channels=16 frames=7 stride=12 audio_dim=16 text_len=4 text_dim=8 puppet.identities=4
    puppet.held_out=1 puppet.seconds=4 workers=1"
prepares() { expect 0 prepare configs/demo_data.yaml $small "$@"; }
check "a data set with pictures" prepares out="$work/data.h5"
check "one without" prepares out="$work/none.h5" pictures=false
check "inspect" expect 0 inspect "$work/data.h5"
check "shows them" grep -q "pictures.* x 25 x 3 x 16 x 16" "$work/out"
check "inspect the other" expect 0 inspect "$work/none.h5"
check "has none to show" sh -c "! grep -q 'pictures ' '$work/out'"
check "they are smaller than the bytes they hold" sh -c \
    "[ \$((\$(wc -c <'$work/data.h5') - \$(wc -c <'$work/none.h5'))) -lt \$((32 * 25 * 3 * 16 * 16)) ]"

keys="threads=1 light_decoder.network=residual light_decoder.residual.width0=12 light_decoder.residual.width1=8
    light_decoder.residual.width2=8 light_decoder.residual.patch=1 light_decoder.target=pictures light_decoder.frames=3
    light_decoder.consistency_weight=0 light_decoder.batch=4 light_decoder.optimiser.cooldown=0
    light_decoder.log_every=1
    light_decoder.motion_pixels=3 light_decoder.noise_clip=0.05 light_decoder.noise_frame=0.045
    light_decoder.noise_motion=0.3"
learns() { # learns CODE RUN ARGUMENTS...
    want=$1 run=$work/$2
    shift 2
    expect "$want" light_decoder configs/tiny.yaml run="$run" data="$work/data.h5" $keys "$@"
}
decoder() { echo "$work/$1/light_decoder/decoder.safetensors"; }
figure() { sed -n "s/.*\"step\": $2, .*\"$3\": \([-0-9.e]*\).*/\1/p" "$work/$1/light_decoder/metrics.jsonl" |
    tail -n 1; }
check "its plan" learns 0 plan --plan
check "six steps" learns 0 whole light_decoder.steps=6
check "decibels to the pictures" sh -c "[ -n '$(figure whole 6 psnr)' ] && [ -n '$(figure whole 6 codec_psnr)' ]"
check "samples" [ -s "$work/whole/light_decoder/samples/step_00000006_sheet.png" ]
check "three steps" learns 0 parts light_decoder.steps=3
check "and three more" learns 0 parts light_decoder.steps=6
check "are the same bits" cmp "$(decoder whole)" "$(decoder parts)"
check "other noise, another decoder" learns 0 still light_decoder.steps=6 light_decoder.noise_clip=0 \
    light_decoder.noise_frame=0 light_decoder.noise_motion=0
check "it is" sh -c "! cmp -s '$(decoder whole)' '$(decoder still)'"
two() {
    timeout -k 5 120 sh scripts/launch.sh -n 2 "$BIN/light_decoder" configs/tiny.yaml run="$work/two" \
        data="$work/data.h5" \
        $keys light_decoder.steps=6 >"$log" 2>&1
}
check "two ranks" two
# The order of sums alone differs: six digits of the first loss.
check "see the same loss" awk \
    "BEGIN {a = $(figure whole 1 loss); b = $(figure two 1 loss); exit !(a > 0 && (a - b) ^ 2 < (1e-5 * a) ^ 2)}"
check "the codec's decode as the target" learns 0 codec light_decoder.steps=2 light_decoder.target=codec
check "from its own file" learns 0 again light_decoder.steps=2 light_decoder.from="$(decoder whole)"

check "a teacher shown through it" expect 0 teacher configs/tiny.yaml run="$work/whole" data="$work/data.h5" \
    teacher.steps=2 \
    decoder="$(decoder whole)"
check "exported with it" expect 0 export configs/tiny.yaml stage=teacher run="$work/whole" data="$work/data.h5" \
    decoder="$(decoder whole)" out="$work/student"
check "it goes along" cmp "$(decoder whole)" "$work/student/decoder.safetensors"

check "no pictures" learns 3 none data="$work/none.h5"
check "says what to do" says "no pictures.*pictures=true"
check "more than a window has" learns 2 none light_decoder.frames=7
check "names the key" says "light_decoder.frames"
check "a loss without weights" learns 2 none light_decoder.pixel=mse
check "says so" says "light_decoder.pixel"
check "pixels of another size" learns 2 none light_decoder.residual.patch=2
check "a decoder that decodes already" learns 2 none decoder="$(decoder whole)"
finish
