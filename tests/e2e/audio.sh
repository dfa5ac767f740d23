#!/bin/sh
# audio.sh: a small wav2vec2 from prepare through training and export to a stream, and in audio_features. A checkpoint
# that is missing or another one, and a file that is no sound, end in one line and the exit code.
. tests/e2e/checks

"$BUILD/tests/programs/tiny_wav2vec2" "$work/encoder" tiny || exit 1
"$BUILD/tests/programs/tiny_wav2vec2" "$work/other" other || exit 1
cat >"$work/set.yaml" <<EOF
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
audio_weights: $work/encoder
audio_states: last,0
audio_resample: before
audio_context: 20
fit: {clips: 2, patches: 1000}
puppet: {identities: 3, dialogues: 2, seconds: 3, held_out: 2}
EOF
check "no weights" expect 2 prepare "$work/set.yaml" out="$work/data.h5" audio_weights=
check "it says which key" says audio_weights
check "weights that are not there" expect 3 prepare "$work/set.yaml" out="$work/data.h5" audio_weights="$work/nowhere"
check "states that it has not" expect 2 prepare "$work/set.yaml" out="$work/data.h5" audio_states=1-9
check "another width" expect 2 prepare "$work/set.yaml" out="$work/data.h5" audio_dim=32
check "prepare" expect 0 prepare "$work/set.yaml" out="$work/data.h5" workers=2
check "the same with one worker" expect 0 prepare "$work/set.yaml" out="$work/again.h5" workers=1
check "the same bytes" cmp "$work/data.h5" "$work/again.h5"
check "once more is no work" expect 0 prepare "$work/set.yaml" out="$work/data.h5"
check "other weights are another set" expect 2 prepare "$work/set.yaml" out="$work/data.h5" audio_weights="$work/other"
check "another recipe is another set" expect 2 prepare "$work/set.yaml" out="$work/data.h5" audio_stride=6
check "it says what differs" says stride=6
check "two steps" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=2
check "export" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher out="$work/student"
check "the student says what it needs" grep -q \
    '"recipe":.*wav2vec2 version=1 weights=[0-9a-f]\{8\} .*states=last,0 .*stride=12' \
    "$work/student/config.json"
"$BIN/puppet" "$work/clips" size=32 identities=1 clips=1 seconds=2 >/dev/null 2>&1
clip=$(ls "$work"/clips/*.mp4)
check "stream" expect 0 stream "$work/student" reference="$clip" audio="$clip" out="$work/one.mp4"
check "frames came out" says "frames, "
mv "$work/encoder" "$work/moved"
check "weights that moved" expect 3 stream "$work/student" reference="$clip" audio="$clip"
check "named elsewhere" expect 0 stream "$work/student" reference="$clip" audio="$clip" out="$work/two.mp4" \
    audio_weights="$work/moved"
check "the same video" cmp "$work/one.mp4" "$work/two.mp4"
check "other weights" expect 3 stream "$work/student" reference="$clip" audio="$clip" audio_weights="$work/other"
check "it names both" says "checksum [0-9a-f]\{8\}, the features were made with [0-9a-f]\{8\}"
check "whole clips" expect 0 prepare "$work/set.yaml" out="$work/whole.h5" audio_weights="$work/moved" audio_mode=whole
check "export of it" expect 0 export configs/tiny.yaml run="$work/run" data="$work/whole.h5" stage=teacher \
    out="$work/deaf"
check "a student of whole clips cannot stream" expect 2 stream "$work/deaf" reference="$clip" audio="$clip"
check "it says why" says audio_mode

sed 's/"dit":[^{]*{/&"deaf": 1,/' "$work/student/config.json" >"$work/old.json" &&
    mv "$work/old.json" "$work/student/config.json"
check "an export of an earlier version" expect 3 stream "$work/student" reference="$clip" audio="$clip"
check "is told what its key is called now" says \
    'dit.deaf: this key is called dit.mute_input now: export the student again'

check "features of a clip" expect 0 audio_features "$work/moved" "$clip" "$work/whole.safetensors"
check "and by a stream" expect 0 audio_features "$work/moved" "$clip" "$work/stream.safetensors" audio_mode=stream
check "hidden states" sh -c "'$BIN/inspect' '$work/whole.safetensors' | grep -q hidden_states"
check "16 a second by way of 30" expect 0 audio_features "$work/moved" "$clip" "$work/s2v.safetensors" fps=16 via=30
check "not by a stream" expect 2 audio_features "$work/moved" "$clip" "$work/no.safetensors" fps=16 audio_mode=stream
check "compare" expect 0 audio_features "$work/moved" "$clip" compare=yes audio_states=0-3
check "a line a state" [ "$(grep -c '^[0-3] ' "$work/out")" -eq 4 ]
check "no pcm" expect 3 audio_features "$work/moved" "$work/whole.safetensors" "$work/no.safetensors"
check "no sound" expect 3 audio_features "$work/moved" "$work/set.yaml" "$work/no.safetensors"
check "no file" expect 3 audio_features "$work/moved" "$work/nowhere.wav" "$work/no.safetensors"
check "no checkpoint" expect 3 audio_features "$work/data.h5" "$clip" "$work/no.safetensors"
check "no folder to write to" expect 3 audio_features "$work/moved" "$clip" "$work/nowhere/no.safetensors"
check "too few words" expect 2 audio_features "$work/moved" "$clip"
check "nothing was written" [ ! -e "$work/no.safetensors" ]
# sound as a tensor: the header's length, the header, the samples
tensor() { # tensor FILE RATE VALUES(printf) COUNT
    pcm="{\"dtype\":\"F32\",\"shape\":[$4],\"data_offsets\":[0,$((4 * $4))]}"
    head="{\"__metadata__\":{\"rate\":\"$2\"},\"pcm\":$pcm}"
    { le 8 ${#head} && printf '%s' "$head" && printf "$3"; } >"$1"
}
tensor "$work/a.safetensors" 16000 '\0\0\0\077\0\0\0\077' 2
check "two samples" expect 0 audio_features "$work/moved" "$work/a.safetensors" "$work/yes.safetensors"
tensor "$work/b.safetensors" 16000 '\0\0\0\077\0\0\300\177' 2
check "a sample that is no number" expect 3 audio_features "$work/moved" "$work/b.safetensors" "$work/no.safetensors"
check "it says which" says "pcm: holds a value that is not finite (element 1"
tensor "$work/c.safetensors" 8000 '\0\0\0\077' 1
check "another rate" expect 3 audio_features "$work/moved" "$work/c.safetensors" "$work/no.safetensors"
check "it says both rates" says "8000, expected 16000"
tensor "$work/d.safetensors" 16000 '' 0
check "empty sound" expect 3 audio_features "$work/moved" "$work/d.safetensors" "$work/no.safetensors"
printf '{"sampling_rate": 8000}' >"$work/moved/preprocessor_config.json"
check "a checkpoint of another rate" expect 3 audio_features "$work/moved" "$clip" "$work/no.safetensors"
finish
