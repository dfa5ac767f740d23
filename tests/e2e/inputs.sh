#!/bin/sh
# inputs.sh: what users get wrong, and what they get right in odd ways. Numbers that are none, folders for files, empty
# files, sizes that do not fit: one line and its exit code, before any work is done. Sound of any rate, width and
# channels, a state named by its file, output that nobody reads to its end: taken.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/inputs.sh
. tests/e2e/checks
mkdir "$work/folder"
: >"$work/empty"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 12 4 || exit 1
stage() { # stage CODE PROGRAM ARGUMENTS...
    want=$1 program=$2
    shift 2
    expect "$want" "$program" configs/tiny.yaml data="$work/data.h5" run="$work/run" threads=1 "$@"
}
check "a teacher" stage 0 teacher teacher.steps=2
state=$(newest run/teacher)

# ---- configs ----

for value in nan .inf -1 '[1, 2]' '' null; do
    check "a rate of '$value'" stage 2 teacher teacher.optimiser.lr="$value"
    check "it says which key" says 'teacher.optimiser.lr: expected a number'
done
check "a section that is a number" stage 2 teacher model=3
check "no run folder" stage 2 teacher run=
check "it says so" says 'run: expected a folder'
printf -- '- a\n- b\n' >"$work/list.yaml"
check "a config that is a list" expect 2 teacher "$work/list.yaml"
check "a config that is a folder" expect 2 teacher "$work/folder"
check "a config that is no text" expect 2 teacher "$work/data.h5"
for file in "$work/folder" "$work/empty" "$state" "$work/nowhere"; do
    check "data: $file" stage 3 teacher data="$file"
    check "init: $file" stage 3 teacher run="$work/other" teacher.init="$file"
done
check "threads that are no number" expect 2 bench threads=x
check "fewer than none" expect 2 bench_dit threads=-1

# ---- states ----

check "a state by its file" stage 0 ode_init ode_init.steps=1 ode_init.trajectories=2 ode_init.teacher="$state"
check "a file that is none" stage 3 ode_init run="$work/other" ode_init.teacher="$work/empty"
check "a network of other sizes" stage 3 ode_init run="$work/other" ode_init.teacher="$state" model.ffn_dim=96
check "it names the state, once" [ "$(grep -o "$(basename "$state")" "$log" | wc -l)" -eq 1 ]
"$BIN/inspect" "$state" 2>"$log" | head -n 1 >"$work/out"
check "who reads a listing may leave" [ -s "$work/out" ] && [ ! -s "$log" ]
check "a full disk is no damage" sh -c "! '$BIN/inspect' '$state' 2>&1 >/dev/full | grep -q damaged"

# ---- sound, pictures and places for a stream ----

wav() { # wav FILE RATE CHANNELS BITS SAMPLES
    bytes=$(($5 * $3 * $4 / 8))
    {
        printf RIFF && le 4 $((36 + bytes)) && printf 'WAVEfmt ' && le 4 16 && le 2 1 && le 2 "$3" && le 4 "$2"
        le 4 $(($2 * $3 * $4 / 8)) && le 2 $(($3 * $4 / 8)) && le 2 "$4" && printf data && le 4 "$bytes"
        head -c "$bytes" /dev/urandom
    } >"$work/$1.wav"
}
wav sound 16000 1 16 16000
wav stereo 11025 2 16 11025
wav fast 96000 1 16 96000
wav narrow 8000 1 8 8000
wav six 48000 6 24 48000
wav none 16000 1 16 0
wav one 16000 1 16 1
"$BIN/puppet" "$work/clips" size=32 identities=1 clips=1 seconds=1 >/dev/null 2>&1
clip=$(ls "$work"/clips/*.mp4)
check "a student" stage 0 export stage=teacher out="$work/student"
stream() { # stream CODE ARGUMENTS...
    want=$1
    shift
    expect "$want" stream "$work/student" threads=1 reference="$clip" "$@"
}
for sound in sound stereo fast narrow six; do
    check "sound: $sound" stream 0 audio="$work/$sound.wav" out="$work/$sound.mp4"
    check "a video of $sound" [ -s "$work/$sound.mp4" ]
done
check "a sample alone is no chunk" stream 0 audio="$work/one.wav"
check "no sample at all" stream 3 audio="$work/none.wav"
check "sound that is a folder" stream 3 audio="$work/folder"
check "a picture that is sound" stream 3 audio="$work/sound.wav" reference="$work/sound.wav"
check "a picture that is empty" stream 3 audio="$work/sound.wav" reference="$work/empty"
check "a folder for the video" stream 3 audio="$work/sound.wav" out="$work/folder"
check "known before the first chunk" [ "$(grep -c 'real-time factor' "$log")" -eq 0 ]
check "nowhere to write" stream 3 audio="$work/sound.wav" out="$work/nowhere/x.mp4"
for mask in "$work/folder" "$work/empty" "$work/nowhere" "$clip"; do
    check "mask: $mask" stream 3 audio="$work/sound.wav" talk=file mask="$mask"
done
for value in nan -1 1e; do check "seconds=$value" stream 2 audio="$work/sound.wav" seconds=$value; done
check "a student that is a video" expect 3 stream "$clip" reference="$clip" audio="$clip"
finish
