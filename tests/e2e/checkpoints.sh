#!/bin/sh
# checkpoints.sh: a teacher's way out and in again: trained a little, exported in either naming, in shards and in half
# types; bin/forward gives the same bits from every form of the same numbers; a teacher that starts from a trunk without
# audio modules gives that trunk's output to the last bit, and one that starts from an export has all of it. Bad files
# end with one line and exit code 3. With a Python that has Diffusers (PYTHON_ORACLE=...) its public class loads the
# export.
. tests/e2e/checks
refuses() { # refuses CODE TEXT PROGRAM ARGUMENTS...: nothing but one line, which has the text
    want=$1 text=$2
    shift 2
    expect "$want" "$@" && [ "$(wc -l <"$log")" -eq 1 ] && grep -qF -e "$text" "$log"
}
all="configs/tiny.yaml data=$work/data.h5 threads=2 model.rope_theta_t=10000 model.rope_theta_hw=10000"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 12 4 || exit 1
"$BUILD/tests/programs/forward_input" "$work/bare.safetensors" 2 16 3 4 6 5 8 0 || exit 1
"$BUILD/tests/programs/forward_input" "$work/sound.safetensors" 2 16 3 4 6 5 8 16 || exit 1

check "a teacher trains" expect 0 teacher $all run="$work/run" teacher.steps=12
for form in "diffusers f32 0" "original f32 0" "diffusers f32 0.05" "original bf16 0.05" "diffusers f16 0"; do
    set -- $form
    check "export $form" expect 0 export $all run="$work/run" stage=teacher naming="$1" type="$2" shard_mb="$3" \
        out="$work/$1-$2-$3"
    check "forward $form" expect 0 forward "$work/$1-$2-$3" "$work/sound.safetensors" "$work/$1-$2-$3.out"
done
first=$work/diffusers-f32-0
check "the trunk is one file" test -f "$first/transformer/diffusion_pytorch_model.safetensors"
check "or shards" test -f "$first.05/transformer/diffusion_pytorch_model.safetensors.index.json"
check "both namings are the same numbers" cmp "$first.out" "$work/original-f32-0.out"
check "and shards too" cmp "$first.out" "$first.05.out"
check "f16 rounds" differ "$first.out" "$work/diffusers-f16-0.out"

# Surgery: the trunk alone, and new audio modules in front of which it stays as it was.
check "forward of the trunk" expect 0 forward "$first/transformer" "$work/bare.safetensors" "$work/trunk.out"
check "a trunk is no student" refuses 3 "teacher.init=$first/transformer" stream "$first/transformer" --plan
check "audio counts" differ "$first.out" "$work/trunk.out"
check "a teacher starts from the trunk" expect 0 teacher $all run="$work/second" teacher.steps=0 \
    teacher.init="$work/original-f32-0/transformer"
check "its export" expect 0 export $all run="$work/second" stage=teacher out="$work/second-export"
check "its forward with sound" expect 0 forward "$work/second-export" "$work/sound.safetensors" "$work/second.out"
check "is the trunk's to the last bit" cmp "$work/trunk.out" "$work/second.out"
check "a teacher starts from an export" expect 0 teacher $all run="$work/third" teacher.steps=0 teacher.init="$first"
check "its export" expect 0 export $all run="$work/third" stage=teacher out="$work/third-export"
check "its forward" expect 0 forward "$work/third-export" "$work/sound.safetensors" "$work/third.out"
check "is the whole network's to the last bit" cmp "$first.out" "$work/third.out"

# The trunk's own sizes, as a config, are those that it was trained with.
"$BIN/inspect" model=yes "$first/transformer" >"$work/model.yaml" 2>"$log"
check "a config from a checkpoint" grep -q '^  ffn_dim: 64$' "$work/model.yaml"
check "starts a teacher" expect 0 teacher "$work/model.yaml" data="$work/data.h5" run="$work/fifth" frames=7 \
    model.height=4 \
    model.width=4 model.text_len=4 model.audio_dim=16 threads=2 teacher.steps=0 teacher.batch=1 \
    teacher.sampler.steps=2 \
    teacher.init="$first/transformer"

cp -r "$first" "$work/clean"
sed -i 's/"clean_floor":[^,}]*/"clean_floor": 0.25/' "$work/clean/config.json"
check "a config that was edited" refuses 3 "was changed since the export" inspect model=yes "$work/clean"
sed -i ':all;N;$!ball;s/,\n\t"sum":[^\n]*//' "$work/clean/config.json" # the last key
"$BIN/inspect" model=yes "$work/clean" >"$work/clean.yaml" 2>"$log"
check "a config from an export that predicts clean latents" grep -q '^  clean_floor: 0.25$' "$work/clean.yaml"

check "other sizes" refuses 3 "ffn_dim is 64, the run's 128" teacher $all run="$work/fourth" model.ffn_dim=128 \
    teacher.init="$first"
check "no such checkpoint" refuses 3 "cannot open" teacher $all run="$work/fourth" teacher.init="$work/none"
check "sound for a model that is deaf" refuses 3 "talk: the model has no audio modules" forward \
    "$first/transformer" "$work/sound.safetensors" "$work/no.out"
check "a model as input" refuses 3 "expected latents, timestep, text" forward "$first" "$first/audio.safetensors" \
    "$work/no.out"
# An export is checked whole before any of it is used; whatever file it is, and whoever loads it.
damaged() { # damaged FILE: one byte of it is another
    rm -rf "$work/damaged" && cp -r "$first.05" "$work/damaged" || return
    at=$(($(stat -c %s "$work/damaged/$1") - 9)) # in the data, or in the last line
    byte=$(tail -c +$((at + 1)) "$work/damaged/$1" | head -c 1 | od -An -tu1)
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$work/damaged/$1" bs=1 seek=$at conv=notrunc 2>/dev/null
}
for file in $(cd "$first.05" && ls -- *.safetensors transformer/*); do
    damaged "$file"
    check "$file, one bit" refuses 3 "$file: is damaged" forward "$work/damaged" "$work/sound.safetensors" \
        "$work/no.out"
    check "$file, as a start" expect 3 teacher $all run="$work/fourth" teacher.steps=0 teacher.init="$work/damaged"
    rm "$work/damaged/$file"
    check "$file is gone" expect 3 forward "$work/damaged" "$work/sound.safetensors" "$work/no.out"
done
check "an export as it is" expect 0 forward "$first.05" "$work/sound.safetensors" "$work/yes.out"
check "says nothing of sums" [ "$(grep -c sums "$log")" -eq 0 ]
cp -r "$first.05" "$work/old"
sed -i '/"sums":/,$d' "$work/old/config.json"
sed -i '$s/,$/}/' "$work/old/config.json"
check "an old export" expect 0 forward "$work/old" "$work/sound.safetensors" "$work/old.out"
check "loads" cmp "$work/yes.out" "$work/old.out"
check "and says once that it has no sums" [ "$(grep -c 'an export without sums' "$log")" -eq 1 ]
sed '$s/}$/,"sums":["audio.safetensors"]}/' "$work/old/config.json" >"$work/list.json"
mv "$work/list.json" "$work/old/config.json"
check "sums that are a list" refuses 3 "sums: expected" forward "$work/old" "$work/sound.safetensors" "$work/no.out"

printf '{"weight_map":{"a":"../bare.safetensors"}}' \
    >"$first.05/transformer/diffusion_pytorch_model.safetensors.index.json"
check "an index that leaves its folder" refuses 3 "is not one of this folder" forward "$first.05/transformer" \
    "$work/bare.safetensors" "$work/no.out"
truncate -s -1 "$first/transformer/diffusion_pytorch_model.safetensors"
check "a trunk cut short" refuses 3 "cut short" forward "$first/transformer" "$work/bare.safetensors" "$work/no.out"
check "nothing is written" test ! -e "$work/no.out"
check "an unknown type" refuses 2 "type: expected one of f32, bf16, f16, int8, fp8, got" export $all run="$work/run" \
    stage=teacher type=f8 out="$work/no"

if [ -n "$PYTHON_ORACLE" ]; then
    "$BIN/export" $all run="$work/run" stage=teacher out="$work/again" >/dev/null 2>&1
    check "Diffusers loads it" "$PYTHON_ORACLE" tests/golden/diffusers_loads.py "$work/again" "$BIN/forward"
else
    skipped=1
    echo "skipped: Diffusers loads the export; PYTHON_ORACLE names no Python that has it"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
