#!/bin/sh
# codec.sh: a small Wan 2.2 autoencoder with made-up weights all the way: pixels to latents and back by `codec`; a data
# set, a teacher, an exported student and a stream by one line of config; weights that are gone, moved or others; wrong
# files and sizes give one line and their exit code.
. tests/e2e/checks

input=$work/pcm
head -c 32000 /dev/zero >"$input" # a second of silence on every standard input
"$BUILD/tests/programs/tiny_vae" wan22 "$work/vae.safetensors" 48 || exit 1
"$BUILD/tests/programs/tiny_vae" wan21 "$work/vae21.safetensors" 16 || exit 1
# tensor FILE NAME SHAPE COUNT: a safetensors file of one F32 tensor of zeros
tensor() {
    header=$(printf '{"%s":{"dtype":"F32","shape":[%s],"data_offsets":[0,%d]}}' "$2" "$3" $((4 * $4)))
    while [ $((${#header} % 8)) -ne 0 ]; do header="$header "; done
    { le 8 ${#header} && printf '%s' "$header" && head -c $((4 * $4)) /dev/zero; } >"$1"
}

tensor "$work/x.safetensors" pixels 5,3,32,48 $((5 * 3 * 32 * 48))
for kind in vae vae21; do
    check "$kind encodes" expect 0 codec encode "$work/$kind.safetensors" "$work/x.safetensors" "$work/z.safetensors"
    check "$kind decodes" expect 0 codec decode "$work/$kind.safetensors" "$work/z.safetensors" "$work/y.safetensors"
    expect 0 inspect "$work/y.safetensors"
    check "$kind gives as many pixels" grep -q 'pixels.*5.*3.*32.*48' "$work/out"
done
check "latents of another codec" expect 3 codec decode "$work/vae.safetensors" "$work/z.safetensors" "$work/none"
check "it says so" says "latents of 16 channels, codec wan22 has 48"
check "plan" expect 0 codec plan "$work/vae.safetensors" height=704 width=1280
check "plan of a wrong size" expect 3 codec plan "$work/vae.safetensors" height=700
check "it says which sizes" says "multiples of 16"
tensor "$work/odd.safetensors" pixels 4,3,32,48 $((4 * 3 * 32 * 48))
check "four frames" expect 3 codec encode "$work/vae.safetensors" "$work/odd.safetensors" "$work/none"
check "not an autoencoder" expect 3 codec encode "$work/x.safetensors" "$work/x.safetensors" "$work/none"
check "it says so" says "no Wan video autoencoder"
check "no pixels in it" expect 3 codec encode "$work/vae.safetensors" "$work/z.safetensors" "$work/none"
check "no such word" expect 2 codec recode "$work/vae.safetensors" "$work/x.safetensors" "$work/none"
check "nothing is written" [ ! -e "$work/none" ]

cat >"$work/set.yaml" <<EOF2
source: puppet
height: 64
width: 64
codec: wan22
frames: 7
stride: 25
audio_dim: 16
text_len: 4
text_dim: 8
puppet: {identities: 2, dialogues: 1, seconds: 2, held_out: 1}
EOF2
make_set() { want=$1 && shift && expect "$want" prepare "$work/set.yaml" out="$work/data.h5" "$@"; }
check "a codec without its weights" make_set 2
check "a size that is no multiple" make_set 3 codec_weights="$work/vae.safetensors" height=72
check "another codec's weights" make_set 3 codec_weights="$work/vae21.safetensors"
check "a codec that is not known" make_set 2 codec=vae9
check "prepare" make_set 0 codec_weights="$work/vae.safetensors"
run() {
    want=$1 program=$2
    shift 2
    expect "$want" "$program" configs/tiny.yaml run="$work/run" data="$work/data.h5" model.in_channels=48 \
        model.out_channels=48 \
        teacher.steps=2 teacher.batch=2 threads=2 "$@"
}
check "teacher" run 0 teacher
check "it shows samples" [ -s "$work/run/teacher/samples/step_00000002_sheet.png" ]
check "export" run 0 export stage=teacher out="$work/student"
check "without the weights" [ ! -e "$work/student/codec.safetensors" ]
stream() {
    want=$1
    shift
    expect "$want" stream "$work/student" reference="$work/run/teacher/samples/step_00000002_sheet.png" audio=- \
        threads=2 "$@"
}
check "stream" stream 0 out="$work/out.mp4"
check "a video" [ -s "$work/out.mp4" ]
# overlapped ARGUMENTS...: the decoder beside the network or after it: the same frames
overlapped() {
    stream 0 out=- overlap=off "$@" && mv "$work/out" "$work/after" && stream 0 out=- overlap=on "$@" &&
        cmp "$work/out" "$work/after" && [ "$(wc -c <"$work/out")" -eq $((25 * 64 * 64 * 3)) ]
}
check "the decoder beside the network" overlapped
apart() { stream 0 out=- decoder_device=1 "$@" &&
    cmp "$work/out" "$work/after"; } # apart ARGUMENTS...: the same once more
check "the decoder in a process of its own" apart
check "the delay in its parts" says "first frame [0-9]* ms after the sound begins: .* look-ahead 80, .* codec [0-9]"
light() {
    want=$1
    shift
    run "$want" light_decoder light_decoder.steps=2 light_decoder.batch=2 light_decoder.width0=12 \
        light_decoder.width1=8 \
        light_decoder.width2=8 light_decoder.width3=4 light_decoder.blocks=1 light_decoder.scale2=2 \
        light_decoder.patch=2 light_decoder.consistency_weight=0 "$@"
}
check "no gradient to this codec's pixels" light 2 light_decoder.consistency_weight=1
check "it says so" says "light_decoder.consistency_weight: expected 0 with the wan22 codec"
check "no such enlargement" light 2 light_decoder.patch=1
check "a light decoder" light 0
check "it shows samples" [ -s "$work/run/light_decoder/samples/step_00000002_sheet.png" ]
decoder=$work/run/light_decoder/decoder.safetensors
check "stream through it" stream 0 decoder="$decoder" out="$work/light.mp4"
check "the codec's own decoder is not loaded" sh -c \
    "grep -q '^video encoder weights .*MiB' '$log' && ! grep -q '^video decoder' '$log'"
check "a plan" expect 0 stream "$work/student" --plan
check "has the codec's own decoder" grep -q '^video decoder  ' "$work/out"
check "a plan beside another" expect 0 stream "$work/student" --plan decoder="$decoder"
check "has not" sh -c '! grep -q "^video decoder  " "$0"' "$work/out"
check "the light decoder beside the network" overlapped decoder="$decoder"
check "the light decoder in a process of its own" apart decoder="$decoder"
check "another picture" differ "$work/light.mp4" "$work/out.mp4"
check "no decoder" stream 3 decoder="$work/x.safetensors"
check "export with it" run 0 export stage=teacher out="$work/student" decoder="$decoder"
check "it goes along" cmp "$decoder" "$work/student/decoder.safetensors"
check "stream" stream 0 out="$work/out.mp4"
check "the same through the student's own" cmp "$work/light.mp4" "$work/out.mp4"
check "export without it" run 0 export stage=teacher out="$work/student"
check "it is gone" [ ! -e "$work/student/decoder.safetensors" ]
check "samples through it" run 0 teacher teacher.steps=3 decoder="$decoder"
mv "$work/vae.safetensors" "$work/moved.safetensors"
check "weights that are gone from the second process" stream 3 decoder_device=1
check "it says how to name them" says "codec_weights="
check "weights that are gone" stream 3
check "it says how to name them" says "codec_weights="
check "weights that moved" stream 0 codec_weights="$work/moved.safetensors"
check "teacher without them" run 3 teacher
check "teacher with them" run 0 teacher codec_weights="$work/moved.safetensors" teacher.steps=4
"$BUILD/tests/programs/tiny_vae" wan22 "$work/vae.safetensors" 48
printf '\101' | dd of="$work/vae.safetensors" bs=1 seek=5000003 conv=notrunc 2>/dev/null
check "weights that changed" stream 3
check "it says so" says "checksum"
finish
