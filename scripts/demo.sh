#!/bin/sh
# demo.sh CONFIG DATA_CONFIG RUN: the whole method, from data to a live student and a report. Interrupted, it goes on
# where it stopped. The programs are in $BIN.
set -e
config=$1 data_config=$2 run=$3
bin=${BIN:-bin}
. "$(dirname "$0")/stages.sh"
mkdir -p "$run"
started=$(date +%s)
[ -f "$run/started" ] || echo "$started" >"$run/started"

say() { printf '\n== %s (%d s so far)\n' "$1" $(($(date +%s) - started)); }

say "data"
"$bin/prepare" "$data_config" out="$run/data.h5"
say "$decoder_stage"
"$bin/$decoder_stage" "$config" run="$run" data="$run/data.h5"
decoder=$(decoder_key "$run")
for stage in $stages; do
    say "$stage"
    "$bin/$stage" "$config" run="$run" data="$run/data.h5" "$decoder"
    "$bin/export" "$config" stage=$stage run="$run" data="$run/data.h5" "$decoder" out="$run/export/$stage"
done
say "plots"
sh scripts/plot.sh "$run"
say "evaluation"
"$bin/evaluate" "$config" run="$run" data="$run/data.h5" started="$(cat "$run/started")"
