#!/bin/sh
# decoder_process.sh: a stream whose codec is in a second process (decoder_device): equal frames, work beside the
# network, one line and an exit code when either process dies, signals to either, nothing left behind.
. tests/e2e/checks

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=4 \
    teacher.optimiser.lr=0.05 teacher.optimiser.warmup=1 teacher.optimiser.ema=0
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
"$BUILD/tests/programs/voices" 1 3 >"$work/three.pcm" || exit 1 # seconds
"$BUILD/tests/programs/voices" 2 120 >"$work/long.pcm" || exit 1
input=$work/three.pcm
stream() { # stream CODE KEY=VALUE...
    want=$1
    shift
    expect "$want" stream "$work/student" reference=docs/demo.png audio=- threads=1 "$@"
}
nobody() { # no process of this script's streams is there, dead ones that nobody has waited for included
    for _ in $(seq 50); do
        pgrep -f "$work/student" >/dev/null || return 0
        sleep 0.1
    done
    return 1
}
# Memory that both share has no name that could stay behind: it is gone with the processes.
nameless() { grep -q "rw-s" "/proc/$decoder/maps" && ! grep -q " /dev/shm" "/proc/$stream/maps" "/proc/$decoder/maps"; }

# ---- the same video ----

check "in one process" stream 0 out=-
mv "$work/out" "$work/one.rgb"
check "in two" stream 0 out=- decoder_device=1
check "equal frames, all of three seconds" cmp "$work/one.rgb" "$work/out"
frame=$(($(wc -c <"$work/out") / 75)) # bytes
check "it says who decodes" says "process [0-9]* decodes, on device 1"
check "and how much of it was beside the network" says \
    "a process of its own decoded, [0-9]* % of the decoder.s time beside"
check "in turn" stream 0 out=- decoder_device=1 overlap=off
check "equal frames" cmp "$work/one.rgb" "$work/out"
"$BUILD/tests/programs/tiny_decoder" "$work/decoder.safetensors" 16 4 || exit 1
check "with a decoder that sees the reference" stream 0 out=- decoder="$work/decoder.safetensors"
mv "$work/out" "$work/seen.rgb"
check "it decodes otherwise" [ "$(cmp -s "$work/one.rgb" "$work/seen.rgb"; echo $?)" -eq 1 ]
check "in two" stream 0 out=- decoder="$work/decoder.safetensors" decoder_device=1
check "equal frames: the picture has come to the second process" cmp "$work/seen.rgb" "$work/out"
# AVI, because on processors with AVX-512 the encoders of MP4 make one of two files of the same pictures and sound.
check "into a file" stream 0 out="$work/one.avi"
check "into a file, by two" stream 0 out="$work/two.avi" decoder_device=1
check "the same file" cmp "$work/one.avi" "$work/two.avi"
check "no such device" stream 2 decoder_device=-2
mv "$work/student/codec.safetensors" "$work/away"
check "a codec that is not there" stream 3 decoder_device=1
check "what the second process met is said once" says "codec.safetensors"
mv "$work/away" "$work/student/codec.safetensors"
check "a picture that is not there" expect 3 stream "$work/student" reference="$work/no.png" audio=- threads=1 \
    decoder_device=1
check "nothing is left" nobody

# ---- ends ----

mkfifo "$work/sound"
exec 3<>"$work/sound" # the sound does not end
hours=
for _ in $(seq 60); do hours="$hours $work/long.pcm"; done
feed=
begin() { # begin KEY=VALUE...: a stream is under way: $stream, $decoder
    cat $hours >&3 &
    feed=$!
    : >"$work/out"
    "$BIN/stream" "$work/student" reference=docs/demo.png audio=- threads=1 decoder_device=1 "$@" <"$work/sound" \
        >"$work/out" 2>"$log" 3<&- &
    stream=$!
    for _ in $(seq 300); do
        decoder=$(pgrep -P $stream)
        [ -n "$decoder" ] && [ "$(wc -c <"$work/out")" -gt 100000 ] && return 0
        sleep 0.05
    done
    return 1
}
ended() { # ended CODE SECONDS: so it did, in time, and both are gone
    began=$(date +%s)
    (exec 3<&-; sleep $(($2 + 20)); kill -KILL $stream) >/dev/null 2>&1 & # a test that fails does not hang
    guard=$!
    wait $stream
    code=$?
    took=$(($(date +%s) - began))
    kill $feed $guard 2>/dev/null
    wait $feed 2>/dev/null
    timeout 0.3 cat <"$work/sound" >/dev/null
    [ $code -eq "$1" ] && [ $took -le "$2" ] && nobody
}
lines() { [ "$(grep -c "^stream: " "$log")" -eq "$1" ]; }

check "a stream" begin out=-
check "its memory has no name" nameless
kill -KILL $decoder
check "its decoder is killed" ended 5 4
check "it says so" says "^stream: the codec's process $decoder was ended by signal 9 (Killed)"
check "once" lines 1
check "a stream" begin out=-
kill -KILL $stream
check "it is killed" ended 137 4
check "its decoder says so" says "^stream: the process that this one decodes for is gone"
check "once" lines 1
for who in stream decoder; do
    check "a stream" begin out=-
    eval kill -TERM \$$who
    check "SIGTERM to its $who" ended 0 8
    check "without a complaint" lines 0
    check "whole frames" [ $(($(wc -c <"$work/out") % frame)) -eq 0 ]
done
check "a stream" begin out=-
kill -INT $stream $decoder # a terminal sends it to both
check "SIGINT to both" ended 0 8
check "without a complaint" lines 0
check "a stream" begin out=-
kill -STOP $decoder
sleep 0.5 # a chunk is waited for
kill -TERM $stream
check "a decoder that is stopped holds nobody up" ended 5 20
check "it says so" says "^stream: the codec's process $decoder gave no answer"
finish
