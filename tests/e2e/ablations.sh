#!/bin/sh
# ablations.sh: scripts/ablations.sh at toy size, trained through adapters: two rows and the base run. A second call
# finds everything done and prints the same. Every key of every row is one of a config. A run with adapters is
# evaluated, too.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/ablations.sh
. tests/e2e/checks
export BIN
small="height=16 width=16 patch=4 channels=16 frames=7 stride=24 audio_dim=16 text_len=4 text_dim=8 puppet.identities=5
    puppet.held_out=1 puppet.seconds=4"
check "data" expect 0 prepare configs/demo_data.yaml out="$work/run/data.h5" $small
toy="lora.rank=2 teacher.steps=3 ode_init.steps=2 ode_init.trajectories=4 distill.steps=2 distill.critic_warmup=1
    refine.steps=1 refine.head_warmup=1 evaluate.dialogues=1 evaluate.teacher_dialogues=1 evaluate.ablations=1
    evaluate.seconds=20"
ablate() { sh scripts/ablations.sh configs/tiny.yaml none "$work/run" "$@" $toy >"$log" 2>&1; }

check "two rows, and two of the base run" ablate full rapr no_sink no_causal_init
table=$work/run/ablations/table.md
check "a line a row" [ "$(wc -l <"$table")" -eq 6 ]
figures='^| [a-z_]* | -*[0-9.]* | [-0-9.]* | [0-9.]* | [0-9.]* | [-0-9.]* | [0-9.]* | [0-9.]* |'
check "figures in it" [ "$(grep -c "$figures" "$table")" -eq 4 ]
row() { sed -n "s/^| $1 | \(.*\) | [^|]* |\$/\1/p" "$table"; }
check "a row's are its own" [ "$(row no_sink)" != "$(row full)" ]
check "the base run's report has the full row's" grep -qe "$(row full | cut -d' ' -f1)" "$work/run/report.json"
no_sink=$work/run/ablations/no_sink
check "the row's student streams without a sink" grep -q '"sink":.0,' "$no_sink/export/refine/config.json"
check "the base run's with one" grep -q '"sink":.4,' "$work/run/export/refine/config.json"
check "the teacher is shared" [ -L "$no_sink/teacher" ]
check "it was trained through adapters" sh -c "strings '$(newest run/distill)' | grep -q lora_rank"
kept=$work/kept
check "an evaluation that keeps its videos" expect 0 evaluate configs/tiny.yaml run="$work/run" \
    data="$work/run/data.h5" $toy out="$kept"
for by in . truth codec teacher causal distilled; do check "$by: its video" [ -s "$kept/$by/dialogue_000.mp4" ]; done
check "its sounds" [ -s "$kept/dialogue_000.wav" -a -s "$kept/dialogue_000.user.wav" ]
report=$work/run/report.json
check "figures over the codec's copy" [ "$(grep -c '"over_copy"' "$report")" -ge 60 ]
check "the copy over itself is 1" sh -c \
    "sed -n '/^\t\"codec\"/,/^\t}/p' '$report' | grep -A1 '\"flicker\"' | grep -q '\"over_copy\":.1,'"
check "how to read distances" [ "$(grep -c '"still_picture":.[0-9]\|"halves_of_copy":.[0-9]' "$report")" -eq 16 ]
check "another rollout, and how far it is" sh -c \
    "sed -n '/^\t\"refined_reseeded\"/,/^\t}/p' '$report' | grep -A1 '\"spread_mouth\"' | grep -q '\"value\":.[0-9]'"
check "which persons" grep -q '"persons":.*"test"' "$report"
cp "$report" "$work/test_report.json"
check "development persons" expect 0 evaluate configs/tiny.yaml run="$work/run" data="$work/run/data.h5" $toy \
    evaluate.persons=development
other=$work/run/development_report.json
check "are others" sh -c "! cmp -s '$other' '$report' && grep -q '\"persons\":.*\"development\"' '$other'"
check "and leave the test's report alone" cmp "$report" "$work/test_report.json"
check "the manifest has it" grep -q '"id":.*"dialogue_000"' "$kept/manifest.json"
cp "$table" "$work/first.md"
check "again" ablate full rapr no_sink no_causal_init
check "trains nothing" sh -c "! grep -q 'step .* of' '$log'"
check "and prints the same" cmp "$table" "$work/first.md"
check "a row that there is not" sh -c \
    "sh scripts/ablations.sh configs/tiny.yaml none '$work/run' nonsense >'$log' 2>&1; [ \$? -eq 2 ]"
check "is named" says 'no row nonsense'

grep -v '^#' configs/ablations.txt | cut -d'|' -f1,4 | tr -d '|' | while read -r name keys; do
    "$BIN/refine" configs/demo.yaml --plan $keys >"$work/plan" 2>&1 || {
        echo "$name: $(tail -n 1 "$work/plan")" >"$log"
        exit 1
    }
done
verdict $? "every row is a config"
finish
