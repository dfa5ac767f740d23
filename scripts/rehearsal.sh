#!/bin/sh
# Rehearses a student of Wan2.2-TI2V-5B's size on this machine: makes one of random weights in published shards (11 GB
# of bf16), checks that every tensor is found by its published name, prints the plan, and streams one chunk of small
# pictures with the weights kept within a budget. Prints the time, and the peak memory beside the plan.
# usage: rehearsal.sh FOLDER [weights_mib=4000] [KEY=VALUE of stream ...]
# FOLDER is made, and is yours to remove; one that has a student already is used again. docs/scaling.md has a record.
set -e
folder=${1:?"usage: rehearsal.sh FOLDER [KEY=VALUE ...]"}
shift
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float}
[ -x "$BUILD/tests/programs/big_student" ] || make "$BUILD/tests/programs/big_student"
mkdir -p "$folder"
[ -f "$folder/student/config.json" ] || "$BUILD/tests/programs/big_student" "$folder/student" $REHEARSAL_LAYERS
du -sh "$folder/student/transformer"
ls "$folder/student/transformer"
"$BIN/stream" "$folder/student" --plan weights_mib=4000 "$@"
date '+begun %T'
"$BIN/stream" "$folder/student" reference=tests/inputs/picture.png audio=tests/inputs/sound.wav talk=always \
    seconds=0.5 weights_mib=4000 "$@"
date '+done %T'
