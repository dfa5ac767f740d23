#!/bin/sh
# plot: Draws the loss curves of every stage of a run, and the figures of a long stream's minutes.
#
# usage: streamavatar plot RUN
#
# Makes RUN/plots/STAGE.png of RUN/STAGE/metrics.jsonl and RUN/plots/hours.png of RUN/hours/minutes.csv (program
# `hours`), with gnuplot.
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

minutes=$run/hours/minutes.csv
[ -s "$minutes" ] || exit 0
sources=$(awk -F, 'NR > 1 && !seen[$1]++ {print $1}' "$minutes")
panels=""
for column in 3 4 5 6 7 8; do
    name=$(awk -F, -v c="$column" 'NR == 1 {print $c}' "$minutes" | tr _ ' ')
    panels="$panels
set title '$name'
plot for [s in '$(echo $sources)'] '$minutes' using 2:(strcol(1) eq s ? column($column) : NaN) with lines title s"
done
gnuplot <<PLOT
set terminal pngcairo size 1200,800 font 'sans,10' noenhanced
set output '$run/plots/hours.png'
set datafile separator ','
set xlabel 'minute'
set key font 'sans,8' outside below
set grid
set multiplot layout 2,3$panels
unset multiplot
PLOT
