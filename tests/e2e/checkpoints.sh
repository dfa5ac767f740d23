#!/bin/sh
# checkpoints.sh: a teacher's way out and in again: trained a little, exported in either naming, in shards and in half
# types; bin/forward gives the same bits from every form of the same numbers; a teacher that starts from a trunk without
# audio modules gives that trunk's output to the last bit, and one that starts from an export has all of it. Bad files end
# with one line and exit code 3. With a Python that has Diffusers (PYTHON_ORACLE=...) its public class loads the export.
bin=${BIN:-bin} build=${BUILD:-build/cpu-float}
export OMP_WAIT_POLICY=passive
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0 skipped=0
check() { # check WHAT COMMAND...
    what=$1
    shift
    if "$@" >"$dir/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
        tail -n 3 "$dir/log"
    fi
}
# refuses CODE TEXT COMMAND...: that exit code, and one line that has the text
refuses() {
    want=$1 text=$2
    shift 2
    "$@" >/dev/null 2>"$dir/line"
    code=$?
    cat "$dir/line"
    [ $code -eq "$want" ] && [ "$(wc -l <"$dir/line")" -eq 1 ] && grep -qF -e "$text" "$dir/line"
}
all="configs/tiny.yaml data=$dir/data.h5 threads=2 model.rope_theta_t=10000 model.rope_theta_hw=10000"
"$build/tests/tiny_dataset" configs/tiny.yaml "$dir/data.h5" 16 12 4 || exit 1
"$build/tests/forward_input" "$dir/bare.safetensors" 2 16 3 4 6 5 8 0 || exit 1
"$build/tests/forward_input" "$dir/sound.safetensors" 2 16 3 4 6 5 8 16 || exit 1

check "a teacher trains" "$bin/teacher" $all run="$dir/run" teacher.steps=12
for form in "diffusers f32 0" "original f32 0" "diffusers f32 0.05" "original bf16 0.05" "diffusers f16 0"; do
    set -- $form
    check "export $form" "$bin/export" $all run="$dir/run" --stage teacher --naming "$1" --type "$2" --shard-mb "$3" \
        --out "$dir/$1-$2-$3"
    check "forward $form" "$bin/forward" "$dir/$1-$2-$3" "$dir/sound.safetensors" "$dir/$1-$2-$3.out"
done
first=$dir/diffusers-f32-0
check "the trunk is one file" test -f "$first/transformer/diffusion_pytorch_model.safetensors"
check "or shards" test -f "$first.05/transformer/diffusion_pytorch_model.safetensors.index.json"
check "both namings are the same numbers" cmp "$first.out" "$dir/original-f32-0.out"
check "and shards too" cmp "$first.out" "$first.05.out"
check "f16 rounds" sh -c "! cmp -s '$first.out' '$dir/diffusers-f16-0.out'"

# Surgery: the trunk alone, and new audio modules in front of which it stays as it was.
check "forward of the trunk" "$bin/forward" "$first/transformer" "$dir/bare.safetensors" "$dir/trunk.out"
check "audio counts" sh -c "! cmp -s '$first.out' '$dir/trunk.out'"
check "a teacher starts from the trunk" "$bin/teacher" $all run="$dir/second" teacher.steps=0 \
    teacher.init="$dir/original-f32-0/transformer"
check "its export" "$bin/export" $all run="$dir/second" --stage teacher --out "$dir/second-export"
check "its forward with sound" "$bin/forward" "$dir/second-export" "$dir/sound.safetensors" "$dir/second.out"
check "is the trunk's to the last bit" cmp "$dir/trunk.out" "$dir/second.out"
check "a teacher starts from an export" "$bin/teacher" $all run="$dir/third" teacher.steps=0 teacher.init="$first"
check "its export" "$bin/export" $all run="$dir/third" --stage teacher --out "$dir/third-export"
check "its forward" "$bin/forward" "$dir/third-export" "$dir/sound.safetensors" "$dir/third.out"
check "is the whole network's to the last bit" cmp "$first.out" "$dir/third.out"

# The trunk's own sizes, as a config, are those that it was trained with.
"$bin/inspect" --model "$first/transformer" >"$dir/model.yaml" 2>"$dir/log"
check "a config from a checkpoint" grep -q '^  ffn_dim: 64$' "$dir/model.yaml"
check "starts a teacher" "$bin/teacher" "$dir/model.yaml" data="$dir/data.h5" run="$dir/fifth" frames=7 model.height=4 \
    model.width=4 model.text_len=4 model.audio_dim=16 threads=2 teacher.steps=0 teacher.batch=1 teacher.sampler.steps=2 \
    teacher.init="$first/transformer"

check "other sizes" refuses 3 "ffn_dim is 64, the run's 128" "$bin/teacher" $all run="$dir/fourth" model.ffn_dim=128 \
    teacher.init="$first"
check "no such checkpoint" refuses 3 "cannot open" "$bin/teacher" $all run="$dir/fourth" teacher.init="$dir/none"
check "sound for a model that is deaf" refuses 3 "talk: the model has no audio modules" "$bin/forward" \
    "$first/transformer" "$dir/sound.safetensors" "$dir/no.out"
check "a model as input" refuses 3 "expected latents, timestep, text" "$bin/forward" "$first" "$first/audio.safetensors" \
    "$dir/no.out"
printf '{"weight_map":{"a":"../bare.safetensors"}}' >"$first.05/transformer/diffusion_pytorch_model.safetensors.index.json"
check "an index that leaves its folder" refuses 3 "is not one of this folder" "$bin/forward" "$first.05" \
    "$dir/bare.safetensors" "$dir/no.out"
truncate -s -1 "$first/transformer/diffusion_pytorch_model.safetensors"
check "a trunk cut short" refuses 3 "cut short" "$bin/forward" "$first" "$dir/bare.safetensors" "$dir/no.out"
check "nothing is written" test ! -e "$dir/no.out"
check "an unknown type" refuses 2 "--type f8: expected f32, bf16 or f16" "$bin/export" $all run="$dir/run" \
    --stage teacher --type f8 --out "$dir/no"

if [ -n "$PYTHON_ORACLE" ]; then
    "$bin/export" $all run="$dir/run" --stage teacher --out "$dir/again" >/dev/null 2>&1
    check "Diffusers loads it" "$PYTHON_ORACLE" tests/golden/diffusers_loads.py "$dir/again" "$bin/forward"
else
    skipped=1
    echo "skipped: Diffusers loads the export; PYTHON_ORACLE names no Python that has it"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
