#!/bin/sh
# audio.sh: a small wav2vec2 from prepare through training and export to a stream, and audio_features; checkpoints that are
# missing or others, sound that is none: one line and the exit code.
bin=${BIN:-bin} build=${BUILD:-build/cpu-float}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
check() { # check WHAT COMMAND...
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
        tail -n 3 "$dir/log"
    fi
}
# expect CODE PROGRAM ARGUMENTS...: it ends with that code and, when it is not 0, with one line that starts with its name
expect() {
    want=$1 program=$2
    shift 2
    "$bin/$program" "$@" >"$dir/out" 2>"$dir/log"
    code=$?
    [ $code -eq "$want" ] || return 1
    [ "$want" -eq 0 ] || [ "$(grep -c "^$program: " "$dir/log")" -eq 1 ]
}
says() { grep -q "$1" "$dir/log"; }

"$build/tests/tiny_wav2vec2" "$dir/encoder" tiny || exit 1
"$build/tests/tiny_wav2vec2" "$dir/other" other || exit 1
cat >"$dir/set.yaml" <<EOF
source: puppet
height: 16
width: 16
patch: 4
channels: 16
frames: 7
stride: 20
text_len: 4
text_dim: 8
audio_encoder: wav2vec2
audio_weights: $dir/encoder
audio_states: last,0
audio_resample: before
audio_context: 20
fit: {clips: 2, patches: 1000}
puppet: {identities: 3, dialogues: 2, seconds: 3, held_out: 2}
EOF
check "no weights" expect 2 prepare "$dir/set.yaml" out="$dir/data.h5" audio_weights=
check "it says which key" says audio_weights
check "weights that are not there" expect 3 prepare "$dir/set.yaml" out="$dir/data.h5" audio_weights="$dir/nowhere"
check "states that it has not" expect 2 prepare "$dir/set.yaml" out="$dir/data.h5" audio_states=1-9
check "another width" expect 2 prepare "$dir/set.yaml" out="$dir/data.h5" audio_dim=32
check "prepare" expect 0 prepare "$dir/set.yaml" out="$dir/data.h5" workers=2
check "the same with one worker" expect 0 prepare "$dir/set.yaml" out="$dir/again.h5" workers=1
check "the same bytes" cmp "$dir/data.h5" "$dir/again.h5"
check "once more is no work" expect 0 prepare "$dir/set.yaml" out="$dir/data.h5"
check "other weights are another set" expect 2 prepare "$dir/set.yaml" out="$dir/data.h5" audio_weights="$dir/other"
check "another recipe is another set" expect 2 prepare "$dir/set.yaml" out="$dir/data.h5" audio_stride=6
check "it says what differs" says stride=6
check "two steps" expect 0 teacher configs/tiny.yaml run="$dir/run" data="$dir/data.h5" teacher.steps=2
check "export" expect 0 export configs/tiny.yaml run="$dir/run" data="$dir/data.h5" --stage teacher --out "$dir/student"
check "the student says what it needs" grep -q '"recipe":.*wav2vec2 version=1 weights=[0-9a-f]\{8\} .*states=last,0 .*stride=12' \
    "$dir/student/config.json"
"$bin/puppet" "$dir/clips" size=32 identities=1 clips=1 seconds=2 >/dev/null 2>&1
clip=$(ls "$dir"/clips/*.mp4)
check "stream" expect 0 stream "$dir/student" reference="$clip" audio="$clip" out="$dir/one.mp4"
check "frames came out" says "frames, "
mv "$dir/encoder" "$dir/moved"
check "weights that moved" expect 3 stream "$dir/student" reference="$clip" audio="$clip"
check "named elsewhere" expect 0 stream "$dir/student" reference="$clip" audio="$clip" out="$dir/two.mp4" audio_weights="$dir/moved"
check "the same video" cmp "$dir/one.mp4" "$dir/two.mp4"
check "other weights" expect 3 stream "$dir/student" reference="$clip" audio="$clip" audio_weights="$dir/other"
check "it names both" says "checksum [0-9a-f]\{8\}, the features were made with [0-9a-f]\{8\}"
check "whole clips" expect 0 prepare "$dir/set.yaml" out="$dir/whole.h5" audio_weights="$dir/moved" audio_mode=whole
check "export of it" expect 0 export configs/tiny.yaml run="$dir/run" data="$dir/whole.h5" --stage teacher --out "$dir/deaf"
check "a student of whole clips cannot stream" expect 2 stream "$dir/deaf" reference="$clip" audio="$clip"
check "it says why" says audio_mode

check "features of a clip" expect 0 audio_features "$dir/moved" "$clip" "$dir/whole.safetensors"
check "and by a stream" expect 0 audio_features "$dir/moved" "$clip" "$dir/stream.safetensors" audio_mode=stream
check "hidden states" sh -c "'$bin/inspect' '$dir/whole.safetensors' | grep -q hidden_states"
check "16 a second by way of 30" expect 0 audio_features "$dir/moved" "$clip" "$dir/s2v.safetensors" fps=16 via=30
check "not by a stream" expect 2 audio_features "$dir/moved" "$clip" "$dir/no.safetensors" fps=16 audio_mode=stream
check "compare" expect 0 audio_features "$dir/moved" "$clip" --compare audio_states=0-3
check "a line a state" [ "$(grep -c '^[0-3] ' "$dir/out")" -eq 4 ]
check "no pcm" expect 3 audio_features "$dir/moved" "$dir/whole.safetensors" "$dir/no.safetensors"
check "no sound" expect 3 audio_features "$dir/moved" "$dir/set.yaml" "$dir/no.safetensors"
check "no file" expect 3 audio_features "$dir/moved" "$dir/nowhere.wav" "$dir/no.safetensors"
check "no checkpoint" expect 3 audio_features "$dir/data.h5" "$clip" "$dir/no.safetensors"
check "no folder to write to" expect 3 audio_features "$dir/moved" "$clip" "$dir/nowhere/no.safetensors"
check "too few words" expect 2 audio_features "$dir/moved" "$clip"
check "nothing was written" [ ! -e "$dir/no.safetensors" ]
# sound as a tensor: 16-bit lengths of the header, the header, the samples
tensor() { # tensor FILE RATE VALUES(printf)
    head="{\"__metadata__\":{\"rate\":\"$2\"},\"pcm\":{\"dtype\":\"F32\",\"shape\":[$4],\"data_offsets\":[0,$((4 * $4))]}}"
    n=${#head}
    printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))\0\0\0\0\0\0%s" "$head" >"$1"
    printf "$3" >>"$1"
}
tensor "$dir/a.safetensors" 16000 '\0\0\0\077\0\0\0\077' 2
check "two samples" expect 0 audio_features "$dir/moved" "$dir/a.safetensors" "$dir/yes.safetensors"
tensor "$dir/b.safetensors" 16000 '\0\0\0\077\0\0\300\177' 2
check "a sample that is no number" expect 3 audio_features "$dir/moved" "$dir/b.safetensors" "$dir/no.safetensors"
check "it says which" says "sample 1"
tensor "$dir/c.safetensors" 8000 '\0\0\0\077' 1
check "another rate" expect 3 audio_features "$dir/moved" "$dir/c.safetensors" "$dir/no.safetensors"
check "it says both rates" says "8000, expected 16000"
tensor "$dir/d.safetensors" 16000 '' 0
check "empty sound" expect 3 audio_features "$dir/moved" "$dir/d.safetensors" "$dir/no.safetensors"
printf '{"sampling_rate": 8000}' >"$dir/moved/preprocessor_config.json"
check "a checkpoint of another rate" expect 3 audio_features "$dir/moved" "$clip" "$dir/no.safetensors"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
