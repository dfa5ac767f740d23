#!/bin/sh
# codec.sh: a small Wan 2.2 autoencoder with made-up weights all the way: pixels to latents and back by `codec`; a data set,
# a teacher, an exported student and a stream by one line of config; weights that are gone, moved or others; wrong files
# and sizes give one line and their exit code.
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
# expect CODE PROGRAM ARGUMENTS...: ends with that code and, when it is not 0, with one line that starts with its name
expect() {
    want=$1 program=$2
    shift 2
    "$bin/$program" "$@" >"$dir/out" 2>"$dir/log" <"$dir/pcm"
    code=$?
    [ $code -eq "$want" ] || return 1
    [ "$want" -eq 0 ] || [ "$(grep -c "^$program: " "$dir/log")" -eq 1 ]
}
# says TEXT: the last program's line has it
says() { grep -q "$1" "$dir/log"; }

head -c 32000 /dev/zero >"$dir/pcm" # a second of silence on every standard input
"$build/tests/tiny_vae" wan22 "$dir/vae.safetensors" 48 || exit 1
"$build/tests/tiny_vae" wan21 "$dir/vae21.safetensors" 16 || exit 1
# tensor FILE NAME SHAPE COUNT: a safetensors file of one F32 tensor of zeros
tensor() {
    header=$(printf '{"%s":{"dtype":"F32","shape":[%s],"data_offsets":[0,%d]}}' "$2" "$3" $((4 * $4)))
    while [ $((${#header} % 8)) -ne 0 ]; do header="$header "; done
    { printf "\\$(printf %03o $((${#header} % 256)))\\0\\0\\0\\0\\0\\0\\0%s" "$header" && head -c $((4 * $4)) /dev/zero; } >"$1"
}

tensor "$dir/x.safetensors" pixels 5,3,32,48 $((5 * 3 * 32 * 48))
for kind in vae vae21; do
    check "$kind encodes" expect 0 codec encode "$dir/$kind.safetensors" "$dir/x.safetensors" "$dir/z.safetensors"
    check "$kind decodes" expect 0 codec decode "$dir/$kind.safetensors" "$dir/z.safetensors" "$dir/y.safetensors"
    expect 0 inspect "$dir/y.safetensors"
    check "$kind gives as many pixels" grep -q 'pixels.*5.*3.*32.*48' "$dir/out"
done
check "latents of another codec" expect 3 codec decode "$dir/vae.safetensors" "$dir/z.safetensors" "$dir/none"
check "it says so" says "latents of 16 channels, codec wan22 has 48"
check "plan" expect 0 codec plan "$dir/vae.safetensors" --height 704 --width 1280
check "plan of a wrong size" expect 3 codec plan "$dir/vae.safetensors" --height 700
check "it says which sizes" says "multiples of 16"
tensor "$dir/odd.safetensors" pixels 4,3,32,48 $((4 * 3 * 32 * 48))
check "four frames" expect 3 codec encode "$dir/vae.safetensors" "$dir/odd.safetensors" "$dir/none"
check "not an autoencoder" expect 3 codec encode "$dir/x.safetensors" "$dir/x.safetensors" "$dir/none"
check "it says so" says "no Wan video autoencoder"
check "no pixels in it" expect 3 codec encode "$dir/vae.safetensors" "$dir/z.safetensors" "$dir/none"
check "no such word" expect 2 codec recode "$dir/vae.safetensors" "$dir/x.safetensors" "$dir/none"
check "nothing is written" [ ! -e "$dir/none" ]

cat >"$dir/set.yaml" <<EOF2
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
make_set() { want=$1 && shift && expect "$want" prepare "$dir/set.yaml" out="$dir/data.h5" "$@"; }
check "a codec without its weights" make_set 2
check "a size that is no multiple" make_set 3 codec_weights="$dir/vae.safetensors" height=72
check "another codec's weights" make_set 3 codec_weights="$dir/vae21.safetensors"
check "a codec that is not known" make_set 2 codec=vae9
check "prepare" make_set 0 codec_weights="$dir/vae.safetensors"
run() {
    want=$1 program=$2
    shift 2
    expect "$want" "$program" configs/tiny.yaml run="$dir/run" data="$dir/data.h5" model.in_channels=48 model.out_channels=48 \
        teacher.steps=2 teacher.batch=2 threads=2 "$@"
}
check "teacher" run 0 teacher
check "it shows samples" [ -s "$dir/run/teacher/samples/step_00000002_sheet.png" ]
check "export" run 0 export --stage teacher --out "$dir/student"
check "without the weights" [ ! -e "$dir/student/codec.safetensors" ]
stream() {
    want=$1
    shift
    expect "$want" stream "$dir/student" reference="$dir/run/teacher/samples/step_00000002_sheet.png" audio=- \
        threads=2 "$@"
}
check "stream" stream 0 out="$dir/out.mp4"
check "a video" [ -s "$dir/out.mp4" ]
light() {
    want=$1
    shift
    run "$want" light_decoder light_decoder.steps=2 light_decoder.batch=2 light_decoder.width0=12 light_decoder.width1=8 \
        light_decoder.width2=8 light_decoder.width3=4 light_decoder.blocks=1 light_decoder.scale2=2 \
        light_decoder.patch=2 light_decoder.consistency_weight=0 "$@"
}
check "no gradient to this codec's pixels" light 2 light_decoder.consistency_weight=1
check "it says so" says "light_decoder.consistency_weight: the wan22 codec"
check "no such enlargement" light 2 light_decoder.patch=1
check "a light decoder" light 0
check "it shows samples" [ -s "$dir/run/light_decoder/samples/step_00000002_sheet.png" ]
decoder=$dir/run/light_decoder/decoder.safetensors
check "stream through it" stream 0 decoder="$decoder" out="$dir/light.mp4"
check "another picture" eval '! cmp -s "$dir/light.mp4" "$dir/out.mp4"'
check "no decoder" stream 3 decoder="$dir/x.safetensors"
check "export with it" run 0 export --stage teacher --out "$dir/student" decoder="$decoder"
check "it goes along" cmp "$decoder" "$dir/student/decoder.safetensors"
check "stream" stream 0 out="$dir/out.mp4"
check "the same through the student's own" cmp "$dir/light.mp4" "$dir/out.mp4"
check "export without it" run 0 export --stage teacher --out "$dir/student"
check "it is gone" [ ! -e "$dir/student/decoder.safetensors" ]
check "samples through it" run 0 teacher teacher.steps=3 decoder="$decoder"
mv "$dir/vae.safetensors" "$dir/moved.safetensors"
check "weights that are gone" stream 3
check "it says how to name them" says "codec_weights="
check "weights that moved" stream 0 codec_weights="$dir/moved.safetensors"
check "teacher without them" run 3 teacher
check "teacher with them" run 0 teacher codec_weights="$dir/moved.safetensors" teacher.steps=4
"$build/tests/tiny_vae" wan22 "$dir/vae.safetensors" 48
printf '\101' | dd of="$dir/vae.safetensors" bs=1 seek=5000003 conv=notrunc 2>/dev/null
check "weights that changed" stream 3
check "it says so" says "checksum"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
