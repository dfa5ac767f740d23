#!/bin/sh
# varied.sh: evaluations of the same student on plain and on varied pictures: both stand in report.json, the varied
# ones with their amounts; without amounts nothing is varied, or refused where it was asked for. The teacher of two
# steps that is streamed here knows nothing, so that only the codec's figures say something.
. tests/e2e/checks
export OMP_NUM_THREADS=1
mkdir "$work/run" "$work/run/export"
cat >"$work/data.yaml" <<EOT
source: $work/clips
out: $work/data.h5
height: 64
width: 64
channels: 16
frames: 13
stride: 4
audio_dim: 8
held_out: 2
fit: {clips: 2, patches: 1000}
vary: {colour: 0.1, place: 0.06, scale: 0.1, copies: 2}
EOT
cat >"$work/run.yaml" <<EOT
run: $work/run
data: $work/data.h5
frames: 13
model: {dim: 32, ffn_dim: 64, heads: 2, layers: 1, in_channels: 16, out_channels: 16, height: 8, width: 8, freq_dim: 32,
  text_len: 8, text_dim: 32, audio_dim: 8, audio_tokens: 4, audio_width: 16, audio_hidden: 16, audio_every: 1,
  clean_floor: 0.25, reference_gate: yes}
causal: {chunk: 3, sink: 4, ring: 6}
teacher: {steps: 2, batch: 2, sampler: {steps: 2}}
evaluate: {dialogues: 1, teacher_dialogues: 1, ablations: 1, seconds: 20, sampler: {steps: 2}}
EOT
number() { # number FILE GROUP KEY: of the group's object in a report; GROUP "": of the report itself
    sed -n "/^\t\"$2\":.*{\$/,/^\t}/p" "$1" | sed -n "s/^\t\t\"$3\":[[:space:]]*\([-0-9.e]*\).*/\1/p"
}
top() { sed -n "s/^\t\"$2\":[[:space:]]*\([-0-9.e]*\).*/\1/p" "$1"; }
check "clips" expect 0 puppet "$work/clips" size=64 identities=4 clips=1 seconds=3
check "a data set of varied clips" expect 0 prepare "$work/data.yaml"
check "a teacher" expect 0 teacher "$work/run.yaml"
check "its export" expect 0 export "$work/run.yaml" stage=teacher out="$work/student"

real="evaluate_real $work/data.yaml student=$work/student folder=$work/scores"
report=$work/scores/report.json
check "plain clips" expect 0 $real
check "nothing of varied ones" sh -c '! grep -q varied "$0"' "$report"
plain=$(top "$report" codec_still_psnr)
check "what the codec keeps" awk -v x="$plain" 'BEGIN { exit !(x > 20 && x < 60) }'
check "varied clips" expect 0 $real varied=yes
check "the plain figure is the same" [ "$(top "$report" codec_still_psnr)" = "$plain" ]
check "the amount" [ "$(number "$report" varied place)" = 0.06 ]
varied=$(number "$report" varied codec_still_psnr)
check "the varied one is another, of the same kind" \
    awk -v x="$varied" -v y="$plain" 'BEGIN { exit !(x != y && x > y - 6 && x < y + 6) }'
check "other amounts" expect 0 $real varied=yes vary.colour=0.3
check "give other figures" [ "$(number "$report" varied codec_still_psnr)" != "$varied" ]
check "no amounts" expect 2 $real varied=yes "vary={colour: 0, place: 0, scale: 0, copies: 1}"
check "that is said" says 'varied: none of vary.colour'

for stage in teacher ode_init distill refine; do cp -r "$work/student" "$work/run/export/$stage"; done
report=$work/run/report.json
check "puppets with amounts" expect 0 evaluate "$work/run.yaml" "evaluate.vary={colour: 0.1, place: 0.06, scale: 0.1}"
check "are in the table" grep -q '^varied pictures:  .*plain' "$work/out"
plain=$(number "$report" refined identity_psnr_first)
check "with the plain figure" [ "$(number "$report" varied identity_psnr_first_plain)" = "$plain" ]
check "beside the varied one" [ "$(number "$report" varied identity_psnr_first)" != "$plain" ]
copy=$(number "$report" codec identity_psnr_first)
check "the copy of the plain ones" [ "$(number "$report" varied codec_identity_psnr_first_plain)" = "$copy" ]
varied=$(number "$report" varied codec_identity_psnr_first)
check "and of the varied ones, which is a copy too" awk -v v="$varied" -v p="$copy" \
    'BEGIN {exit !(v + 0 == v && v != p && v > 20 && v < p + 10)}'
check "and the amounts" [ "$(number "$report" varied colour)" = 0.1 ]
finish
