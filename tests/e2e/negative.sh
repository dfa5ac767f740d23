#!/bin/sh
# negative.sh: a negative prompt in place of no text in guidance. The prompt that clips have, as the negative one,
# undoes guidance of text; another one, which text_embed made, changes recorded trajectories and the real score of
# distillation; an export hands it on. A file that is not there or of another width is refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/negative.sh
. tests/e2e/checks
sed 's/text_dim: 8/text_dim: 48/' configs/tiny.yaml >"$work/config.yaml"
all="$work/config.yaml data=$work/data.h5 threads=1"
"$BUILD/tests/programs/tiny_dataset" "$work/config.yaml" "$work/data.h5" 16 24 4 || exit 1
"$BUILD/tests/programs/tiny_text_encoder" "$work/weights.safetensors" || exit 1
check "a teacher trains" expect 0 teacher $all run="$work/run" teacher.steps=20 teacher.drop_text=0.3
check "export" expect 0 export $all run="$work/run" stage=teacher out="$work/export"
own=$work/export/text.safetensors # the clips' prompt is its default
check "a prompt's embedding" expect 0 text_embed "$work/weights.safetensors" - "$work/prompts.safetensors" ids=yes -- \
    "static, blurred" 5,6,1 "bad hands" 7,8,9,1

# trained NAME [key=value ...]: a student on recorded trajectories, distilled for two steps; their losses in NAME.losses
trained() {
    name=$1
    shift
    mkdir -p "$work/$name"
    ln -s "$work/run/teacher" "$work/$name/teacher"
    for stage in ode_init distill; do
        expect 0 $stage $all run="$work/$name" ode_init.steps=2 ode_init.sampler.guidance=1 distill.steps=2 "$@" ||
            return
    done
    for stage in ode_init distill; do losses "$name/$stage"; done >"$work/$name.losses"
}
# gap A B: how far the losses of ode_init are apart, at most, in hundred thousandths
gap() {
    paste -d' ' "$work/$1.losses" "$work/$2.losses" | head -n 2 |
        awk '{g = ($1 - $2) / $1; if (g < 0) g = -g; if (g > worst) worst = g} END {printf "%d\n", 1e5 * worst}'
}
apart() { [ "$(gap "$1" "$2")" -gt 300 ]; }
same() { [ "$(gap "$1" "$2")" -lt 100 ]; } # bf16: v = 6 c - 5 c rounds
text="ode_init.sampler.text_guidance=6"

check "without guidance of text" trained plain
check "with it" trained guided $text
check "counts" apart plain guided
check "the clips' own prompt in place of no text" trained undone $text negative.file="$own"
check "undoes it" same plain undone
check "another prompt" trained negative $text negative.file="$work/prompts.safetensors"
check "is not no text" apart guided negative
check "one by its text" trained other $text negative.file="$work/prompts.safetensors" negative.prompt="bad hands"
check "is another" differ "$work/other.losses" "$work/negative.losses"

check "the real score without text" trained score distill.guide_text=true
check "counts" differ "$work/plain.losses" "$work/score.losses"
check "with the clips' own prompt" trained kept distill.guide_text=true negative.file="$own"
check "is with text, to the last bit" cmp "$work/plain.losses" "$work/kept.losses"
check "with another" trained far distill.guide_text=true negative.file="$work/prompts.safetensors"
check "is neither" differ "$work/far.losses" "$work/score.losses"

check "export with it" expect 0 export $all run="$work/run" stage=teacher out="$work/export2" negative.file="$own"
check "has it in the place of no text" differ "$work/export2/text.safetensors" "$own"

check "recordings are of one negative prompt" expect 3 ode_init $all run="$work/negative" ode_init.steps=9 \
    ode_init.sampler.guidance=1 $text negative.file="$own"
check "which" says 'recorded with negative prompt ".*prompts.safetensors ", the config has ".*text.safetensors "'
refuses() { # refuses PATTERN key=value ...
    pattern=$1
    shift
    expect 3 teacher $all run="$work/no" "$@" && says "$pattern"
}
check "no such file" refuses "cannot open\|No such file" negative.file="$work/none.safetensors"
check "no such prompt" refuses "gruesome" negative.file="$work/prompts.safetensors" negative.prompt=gruesome
narrow="configs/tiny.yaml data=$work/narrow.h5 threads=1"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/narrow.h5" 16 24 4 || exit 1
check "another width" expect 3 teacher $narrow run="$work/no" negative.file="$work/prompts.safetensors"
check "which" says 'prompts.safetensors: .*48.*8\]'
finish
