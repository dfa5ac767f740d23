#!/bin/sh
# chunks.sh: students of one latent frame a chunk, of a shorter first chunk, and of less look-ahead go through all
# stages, are planned, exported with what they are, streamed and timed; each waits for as much sound as it says. What a
# config leaves at its default an export does not name. Lengths that do not fit are refused in one line.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/chunks.sh
. tests/e2e/checks
sed 's/^frames: 7/frames: 8/' configs/tiny.yaml >"$work/config.yaml" # the reference, and 1 + 2 x 3 or 7 x 1
all="$work/config.yaml data=$work/data.h5 threads=1"
stage() { # stage NAME RUN [key=value ...]
    program_run=$1 in_run=$2
    shift 2
    expect 0 "$program_run" $all run="$work/$in_run" "$@"
}
rollout() { tr -d ' \t\n' <"$work/$1/config.json" | sed 's/.*"rollout":{\([^}]*\)}.*/\1/'; } # rollout EXPORT
streams() { # streams EXPORT PATTERN: makes two seconds of video and says so of the sound that it waited for
    expect 0 stream "$work/$1" reference="$work/run/teacher/samples/step_00000030_sheet.png" audio=- seconds=1.8 \
        out="$work/out.mp4" && [ -s "$work/out.mp4" ] && says "$2" && says '^.*45 frames, '
}

sed "s/^causal:.*/causal: {chunk: 3, first_chunk: 1, sink: 2, ring: 3, rapr: end, rapr_cap: 6}/" "$work/config.yaml" \
    >"$work/first.yaml"
"$BUILD/tests/programs/tiny_dataset" "$work/first.yaml" "$work/data.h5" 16 24 4 || exit 1
head -c 64000 /dev/zero >"$work/silence" # two seconds
input=$work/silence
check "teacher" stage teacher run causal.first_chunk=1 causal.sink=2
try() { # try RUN PATTERN JSON key=value ...: a student of these chunks through all stages
    folder=$1 waits=$2 json=$3
    shift 3
    mkdir -p "$work/$folder" && cp -r "$work/run/teacher" "$work/$folder/"
    for name in ode_init distill refine; do
        check "$folder: $name" stage $name "$folder" "$@"
        check "$folder: plan of $name" stage $name "$folder" "$@" --plan
    done
    check "$folder: export" stage export "$folder" "$@" stage=refine out="$work/$folder-out"
    rollout "$folder-out" | grep -q "$json"
    verdict $? "$folder: the export has $(rollout "$folder-out"), not $json"
    check "$folder: stream" streams "$folder-out" "$waits"
    check "$folder: plan of its stream" expect 0 stream "$work/$folder-out" --plan
    check "$folder: latency" expect 0 latency "$work/$folder-out" streams=3 chunks=2
    grep -q "^  first picture after the sound.s start: median .*, of which sound $sound\$" "$work/out"
    verdict $? "$folder: figures of latency: $(cat "$work/out")"
}
sound=320
try one 'first frame and chunk 200, look-ahead 80, encoder.s look-ahead 40' '"chunk":1,"sink":3,"ring":3' \
    causal.chunk=1 causal.sink=3
rollout one-out | grep -q 'first_chunk\|audio_lookahead'
[ $? -eq 1 ]
verdict $? "an export names what is as ever"
sound=240
try soon 'first frame and chunk 200, look-ahead 0, encoder.s look-ahead 40' '"audio_lookahead":0' causal.chunk=1 \
    causal.sink=3 causal.audio_lookahead=0
sound=280
try first 'first frame and chunk 200, look-ahead 40, encoder.s look-ahead 40' '"audio_lookahead":1,"first_chunk":1' \
    causal.first_chunk=1 causal.sink=2 causal.audio_lookahead=1 ode_init.history_spoil.probability=0.5

refused 2 'frames: expected 2 ' "$BIN/ode_init" $all run="$work/none" causal.first_chunk=1 causal.sink=2 frames=7
refused 2 'causal.sink: expected 0, 1 or 2 ' "$BIN/ode_init" $all run="$work/none" causal.first_chunk=1 causal.sink=4
refused 2 'causal.first_chunk: expected at most' "$BIN/ode_init" $all run="$work/none" causal.first_chunk=4
refused 2 'distill.frames: expected 0 ' "$BIN/distill" $all run="$work/none" causal.first_chunk=1 causal.sink=2 \
    distill.frames=11
refused 2 'causal.audio_lookahead' "$BIN/distill" $all run="$work/none" causal.audio_lookahead=3
finish
