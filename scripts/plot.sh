#!/bin/sh
# plot: Draws the loss curves of every stage of a run.
#
# usage: streamavatar plot RUN
#
# Makes RUN/plots/STAGE.png of RUN/STAGE/metrics.jsonl, with gnuplot.
[ "${1:-}" != --help ] || exec sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
set -e
run=${1:?RUN is missing (see --help)}
mkdir -p "$run/plots"
for file in "$run"/*/metrics.jsonl; do
    [ -s "$file" ] || continue
    stage=$(basename "$(dirname "$file")")
    names=$(tr ',{}' '\n\n\n' <"$file" | sed -n 's/^ *"\([a-z_0-9/]*\)": *-\{0,1\}[0-9].*/\1/p' | sort -u |
        grep -E 'loss|margin|norm|difference' || true)
    [ -n "$names" ] || continue
    columns=""
    for name in $names; do
        sed -n "s/.*\"step\": *\([0-9]*\).*\"$name\": *\(-\{0,1\}[0-9.e+-]*\).*/\1 \2/p" "$file" \
            >"$run/plots/$stage.$name.txt"
        columns="$columns${columns:+, }'$run/plots/$stage.$name.txt' using 1:2 with lines title '$(echo "$name" |
            tr _ ' ')'"
    done
    scale='set logscale y' # unless a value is not positive (the SiD loss may be negative)
    awk '$2 <= 0 {bad = 1} END {exit bad}' "$run/plots/$stage".*.txt || scale=
    gnuplot <<PLOT
set terminal pngcairo size 900,500 font 'sans,11'
set output '$run/plots/$stage.png'
set title '$(echo "$stage" | tr _ ' ')'
set xlabel 'step'
$scale
set grid
plot $columns
PLOT
    rm -f "$run/plots/$stage".*.txt
done
