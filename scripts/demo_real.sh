#!/bin/sh
# demo_real.sh CONFIG DATA_CONFIG RUN FOLDER: the whole method on a folder of real talking-head videos: data set, all
# stages, export, streaming of the held-out clips, report. Interrupted, it goes on where it stopped. The programs are in
# $BIN.
set -e
config=$1 data_config=$2 run=$3 source=$4
bin=${BIN:-bin}
. "$(dirname "$0")/stages.sh"
if [ -z "$source" ]; then
    echo "demo-real: which videos? make demo-real DATA=FOLDER" >&2
    exit 2
fi
mkdir -p "$run"
begun=$(date +%s)
say() { printf '\n== %s (%d s so far)\n' "$1" $(($(date +%s) - begun)); }

say "data"
"$bin/prepare" "$data_config" source="$source" out="$run/data.h5"
say "$decoder_stage"
"$bin/$decoder_stage" "$config" run="$run" data="$run/data.h5"
decoder=$(decoder_key "$run")
for stage in $stages; do
    say "$stage"
    "$bin/$stage" "$config" run="$run" data="$run/data.h5" "$decoder"
    "$bin/export" "$config" stage=$stage out="$run/export/$stage" run="$run" data="$run/data.h5" "$decoder"
done
say "plots"
sh scripts/plot.sh "$run"
for stage in ode_init distill; do
    say "held-out clips, streamed by the student of $stage"
    "$bin/evaluate_real" "$data_config" source="$source" student="$run/export/$stage" folder="$run/streamed/$stage"
done
say "held-out clips, streamed by the student of refine"
varied=no
if grep -q 'clips are varied' "$run/data.report.txt"; then varied=yes; fi
"$bin/evaluate_real" "$data_config" source="$source" student="$run/export/refine" folder="$run" varied=$varied
