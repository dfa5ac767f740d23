#!/bin/sh
# hours.sh: a stream of two minutes through a student that knows nothing: every source has its minutes, the truth says
# of itself what it must, the figures become a plot, and wrong requests are refused in one line.
. tests/e2e/checks
export OMP_NUM_THREADS=1
cat >"$work/data.yaml" <<EOT
source: $work/clips
out: $work/data.h5
height: 32
width: 32
channels: 16
frames: 13
stride: 8
audio_dim: 8
held_out: 1
fit: {clips: 2, patches: 1000}
EOT
cat >"$work/run.yaml" <<EOT
run: $work/run
data: $work/data.h5
frames: 13
model: {dim: 32, ffn_dim: 64, heads: 2, layers: 1, in_channels: 16, out_channels: 16, height: 4, width: 4, freq_dim: 32,
  text_len: 8, text_dim: 32, audio_dim: 8, audio_tokens: 4, audio_width: 16, audio_hidden: 16, audio_every: 1}
causal: {chunk: 3, sink: 4, ring: 6}
rollout: {sigma: [1, 0.6]}
teacher: {steps: 20, batch: 2, sampler: {steps: 2}, optimiser: {lr: 0.01, warmup: 1}}
EOT
check "clips" expect 0 puppet "$work/clips" size=32 identities=3 clips=1 seconds=3
check "a data set" expect 0 prepare "$work/data.yaml"
check "a teacher" expect 0 teacher "$work/run.yaml"
check "its export" expect 0 export "$work/run.yaml" stage=teacher out="$work/student"
cp -r "$work/student" "$work/other"

hours=$work/run/hours
check "two minutes" expect 0 hours "$hours" "$work/student" "$work/other/" minutes=2
column() { awk -F, -v source="$1" -v key="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == key) c = i }
    $1 == source { print $c }' "$hours/minutes.csv"; } # column SOURCE KEY
for source in drawn student student_no_sink student_no_rapr student_no_sink_no_rapr other; do
    check "$source has its minutes" [ "$(column $source minute | tr '\n' ' ')" = "1 2 " ]
    check "and its slopes" grep -q "\"$source\"" "$hours/report.json"
done
[ "$passed" -gt 0 ] && cp "$work/out" "$work/table"
check "all are printed" [ "$(grep -c lip_sync "$work/table")" -eq 6 ]
check "the truth is like the reference" [ "$(column drawn identity | awk '$1 > 30' | wc -l)" -eq 2 ]
check "has its own energy" [ "$(column drawn energy | sort -u)" = 1.00000 ]
check "moves its lips in time" [ "$(column drawn lip_sync | awk '$1 > 0.8' | wc -l)" -eq 2 ]
check "noise does not" [ "$(column student lip_sync | awk '$1 < 0.4' | wc -l)" -eq 2 ]
check "noise is not like the reference" [ "$(column student identity | awk '$1 < 30' | wc -l)" -eq 2 ]
check "the same student gives the same figures" [ "$(column student identity)" = "$(column other identity)" ]
check "switches change them" [ "$(column student identity)" != "$(column student_no_sink identity)" ]
check "a plot" sh scripts/plot.sh "$work/run"
check "is drawn" [ -s "$work/run/plots/hours.png" ]

check "no student" expect 2 hours "$hours"
check "two of one name" expect 2 hours "$hours" "$work/student" "$work/run/../student" minutes=1
check "says so" says 'two sources are called student'
check "no such student" expect 3 hours "$hours" "$work/none" minutes=1
finish
