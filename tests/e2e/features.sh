#!/bin/sh
# features.sh: a network of features, trained for a few updates on small clips, and evaluations in its features: the
# same seed gives the same file, both reports name it by its checksum and have its figures, and what does not fit is
# refused in one line. The teacher of two steps that is streamed here knows nothing, so that only the figures of the
# codec's copy say something.
# Usage: BIN=bin sh tests/e2e/features.sh
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
stride: 8
audio_dim: 8
held_out: 2
pictures: true
fit: {clips: 2, patches: 1000}
EOT
cat >"$work/run.yaml" <<EOT
run: $work/run
data: $work/data.h5
frames: 13
model: {dim: 32, ffn_dim: 64, heads: 2, layers: 1, in_channels: 16, out_channels: 16, height: 8, width: 8, freq_dim: 32,
  text_len: 8, text_dim: 32, audio_dim: 8, audio_tokens: 4, audio_width: 16, audio_hidden: 16, audio_every: 1}
causal: {chunk: 3, sink: 4, ring: 6}
teacher: {steps: 2, batch: 2, sampler: {steps: 2}}
evaluate: {dialogues: 1, teacher_dialogues: 1, ablations: 1, reseeded: 1, seconds: 20, sampler: {steps: 2}}
EOT
number() { # number FILE GROUP FIGURE KEY: a figure's value; GROUP: the report's object above `measures`
    sed -n "/^\t\"$2\":/,/^\t}/p" "$1" | grep -A 4 "\"$3\":.{" | sed -n "s/.*\"$4\":[[:space:]]*\([-0-9.e]*\).*/\1/p" |
        head -n 1
}
check "clips" expect 0 puppet "$work/clips" size=64 identities=6 clips=1 seconds=3
check "a data set" expect 0 prepare "$work/data.yaml"
check "one without pictures" expect 0 prepare "$work/data.yaml" out="$work/none.h5" pictures=false

small="width0=4 width1=6 width2=8 embedding=8 batch=4 threads=1"
file=$work/features.safetensors
check "a network" expect 0 features "$work/data.h5" out="$file" steps=12 $small
shows() { grep -q "$1" "$work/out"; }
check "what it has learned" shows '^held-out clips, pairs of which .* same person [01]\.[0-9]'
check "and its checksum" shows "$file: .* checksum [0-9a-f]*"
check "the file says what it is" expect 0 inspect "$file"
check "with its notes" shows 'held_out_person'
check "the same again" expect 0 features "$work/data.h5" out="$work/twin.safetensors" steps=12 $small
check "has the same bytes" cmp "$file" "$work/twin.safetensors"
check "another seed" expect 0 features "$work/data.h5" out="$work/other.safetensors" steps=12 seed=2 $small
check "has others" sh -c "! cmp -s '$file' '$work/other.safetensors'"
check "no pictures" expect 3 features "$work/none.h5" out="$work/no.safetensors" $small
check "says so" says 'features: .*none.h5: .*pictures=true'
check "no file is left" [ ! -e "$work/no.safetensors" ]
check "a patch that does not divide" expect 2 features "$work/data.h5" out="$work/no.safetensors" patch=7 $small
check "names the sizes" says '64 x 64 do not divide into squares of 28'

check "a teacher" expect 0 teacher "$work/run.yaml"
check "its export" expect 0 export "$work/run.yaml" stage=teacher out="$work/student"
for stage in teacher ode_init distill refine; do cp -r "$work/student" "$work/run/export/$stage"; done
report=$work/run/report.json
check "an evaluation without it" expect 0 evaluate "$work/run.yaml"
check "has no such figures" sh -c "! grep -q '\"features\"' '$report'"
lag=$(number "$report" refined frechet_mouth value)
check "one with it" expect 0 evaluate "$work/run.yaml" features="$file"
check "names it" grep -q '"checksum":.*"[0-9a-f]\{8\}-[0-9]*"' "$report"
check "the copy is at no distance from itself" [ "$(number "$report" codec feature_frechet_whole value)" = 0 ]
check "a student is" awk -v x="$(number "$report" refined feature_frechet_whole value)" 'BEGIN { exit !(x > 0) }'
check "faces have a likeness" awk -v x="$(number "$report" codec face_likeness_last value)" \
    'BEGIN { exit !(x > 0.2 && x <= 1) }'
check "distances have their scale" [ "$(grep -c '"still_picture":' "$report")" -eq 16 ]
check "the older figures are the same" [ "$(number "$report" refined frechet_mouth value)" = "$lag" ]
check "the table has both" shows 'in features: hands'
check "and differences" shows 'Differences over the same dialogues'
check "one dialogue earns no star" sh -c "! grep -q '[0-9][*]' '$work/out'"
check "no such file" expect 3 evaluate "$work/run.yaml" features="$work/no.safetensors"
check "is named" says 'no.safetensors'
check "a file that is something else" expect 3 evaluate "$work/run.yaml" features="$work/student/weights.safetensors"

real="evaluate_real $work/data.yaml student=$work/student folder=$work/scores"
report=$work/scores/report.json
check "real clips" expect 0 $real
check "have distances in latents" awk -v x="$(number "$report" measures frechet_mouth value)" 'BEGIN { exit !(x > 0) }'
check "and no second rollout" sh -c "grep -A 1 '\"between_seeds\"' '$report' | grep -q null"
check "two rollouts, in features too" expect 0 $real seeds=2 features="$file"
check "are compared" awk -v x="$(number "$report" measures between_seeds value)" 'BEGIN { exit !(x > -1 && x < 1) }'
check "and are apart" awk -v x="$(number "$report" measures spread_whole value)" 'BEGIN { exit !(x > 0) }'
check "in features" awk -v x="$(number "$report" measures feature_frechet_mouth value)" 'BEGIN { exit !(x > 0) }'
check "the report names the network" grep -q '"checksum":' "$report"
check "not its file's fault" expect 3 $real features="$work/data.yaml"
finish
