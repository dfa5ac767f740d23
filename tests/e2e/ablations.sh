#!/bin/sh
# ablations.sh: scripts/ablations.sh at toy size, trained through adapters: two rows of two seeds. It is interrupted and
# goes on; a second call finds everything done and prints the same; of damaged, foreign or changed files only those rows
# are made again; a row that fails leaves the others alone. Every key of every row is one of a config. A run with
# adapters is evaluated, too.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/ablations.sh
. tests/e2e/checks
export BIN
small="height=16 width=16 patch=4 channels=16 frames=7 stride=24 audio_dim=16 text_len=4 text_dim=8 puppet.identities=5
    puppet.held_out=1 puppet.seconds=4"
check "data" expect 0 prepare configs/demo_data.yaml out="$work/run/data.h5" $small
toy="lora.rank=2 teacher.steps=3 ode_init.steps=2 ode_init.trajectories=4 distill.steps=2 distill.critic_warmup=1
    refine.steps=1 refine.head_warmup=1 evaluate.dialogues=2 evaluate.teacher_dialogues=1 evaluate.ablations=1
    evaluate.seconds=20 light_decoder.steps=2 threads=1"
export SEEDS=1,2 JOBS=2
ablate() { sh scripts/ablations.sh configs/tiny.yaml none "$work/run" "$@" $toy >"$log" 2>&1; }
rows=$work/run/ablations table=$work/run/ablations/table.md

setsid sh scripts/ablations.sh configs/tiny.yaml none "$work/run" self_forcing full $toy >"$log" 2>&1 &
while kill -0 $! 2>/dev/null && [ ! -d "$rows/seed-1/distill" ]; do sleep 0.05; done
env kill -TERM -- -$!
wait $!
check "an interruption ends it" [ $? -gt 128 ]
check "before a row was done" [ ! -e "$rows/results/full-1.json" ]
flock -F "$rows/lock" sleep 60 &
while flock -n "$rows/lock" true; do sleep 0.05; done
check "one command a run" sh -c "! sh scripts/ablations.sh configs/tiny.yaml none '$work/run' full >'$log' 2>&1"
check "which says so" says 'another command is at work in .*/ablations'
kill $!
wait $!
check "goes on: two rows, two seeds" ablate self_forcing full
check "says how long it takes" says '[a-z] [0-9]* minutes left'
check "says which rows are done" [ "$(grep -c '^row [a-z_]* [12]: done in' "$log")" -eq 4 ]
steps() { sed -n "1,/^$/s/^| $1 | \(.*\) | [^|]* |\$/\1/p" "$table"; } # steps ROW: its figures
check "the table has the rows in order" [ "$(grep -o '^| [a-z_]* | [0-9]' "$table" | tr -dc 'a-z_\n' | tr '\n' ' ')" \
    = "self_forcing full " ]
check "figures with intervals" [ "$(steps full | grep -o '[0-9.]* \[[-0-9.e]*, [-0-9.e]*\]' | wc -l)" -ge 5 ]
check "a row's are its own" [ "$(steps self_forcing)" != "$(steps full)" ]
check "the student with parts switched off beside" [ "$(grep -c '^| full, [a-zA-Z]* off | ' "$table")" -eq 3 ]
check "the step, paired over both seeds" grep -q '^| full less self_forcing | .* 2 |$' "$table"
check "who made it" grep -q "^Commits: " "$table"
check "a plot" [ -s "$rows/table.png" ]
check "the row's student streams without a sink" grep -q '"sink":.0,' "$rows/self_forcing-1/export/distill/config.json"
check "the other with one" grep -q '"sink":.4,' "$rows/full-1/export/refine/config.json"
check "the teacher is shared" [ -L "$rows/self_forcing-2/teacher" -a -L "$rows/seed-2/teacher" ]
check "so are a seed's trajectories" [ -L "$rows/self_forcing-2/ode_init/trajectories" ]
check "seeds have students of their own" sh -c \
    "! cmp -s '$rows/seed-1/export/distill/transformer/diffusion_pytorch_model.safetensors' \
        '$rows/seed-2/export/distill/transformer/diffusion_pytorch_model.safetensors'"
check "it was trained through adapters" sh -c "strings '$(newest run/ablations/seed-1/distill)' | grep -q lora_rank"
row=$rows/results/full-2.json
check "a row's file: two rollouts of every dialogue" \
    [ "$(grep -c '"frechet_hands":.\[[0-9.]*, [0-9.]*\]' "$row")" -eq 2 ]
check "and its seed" grep -q '"seed":.2' "$row"

cp "$table" "$work/first.md"
check "again" ablate self_forcing full
check "trains nothing" sh -c "! grep -q 'done in' '$log'"
check "and prints the same" cmp "$table" "$work/first.md"
cp "$row" "$work/row.json"
head -c 900 "$work/row.json" >"$row"
refused 3 'full-2.json: expected an object of JSON' "$BIN/ablation_table" "$rows/results/full-1.json" "$row"
check "a damaged file" ablate self_forcing full
check "is made again, and no other" \
    [ "$(grep 'done in' "$log" | grep -v '^trunk\|^record' | cut -d: -f1)" = "row full 2" ]
check "the figures are the same" cmp "$table" "$work/first.md"
sed 's/"method":.*/"method": "0123456789abcdef",/' "$work/row.json" >"$row"
rm -rf "$rows/seed-2" "$rows/full-2"
check "a file of other settings, and no run" ablate self_forcing full
check "is trained again, and no other" [ "$(grep 'done in' "$log" | cut -d: -f1 | tr '\n' ' ')" \
    = "record 2 trunk 2 refine row full 2 " ]
check "to the same figures" cmp "$table" "$work/first.md"
check "with as many threads as the command says, though one job is alone" \
    grep -q '^threads: 1$' "$rows/seed-2/refine/config.yaml"
refused 3 'full-2.json: was made with other settings: values of the method' \
    "$BIN/ablation_row" configs/tiny.yaml "$row" last=refine seed=2
check "files alone make the table" sh -c "RESULTS='$rows/results' sh scripts/ablations.sh configs/tiny.yaml none \
    '$work/nothing' self_forcing full $(echo $toy) >'$log' 2>&1"
check "the same" cmp "$work/nothing/ablations/table.md" "$work/first.md"
check "and nothing is trained" [ ! -e "$work/nothing/data.h5" ]
sed 's/"row":.*/"row": "control",/' "$rows/results/full-1.json" >"$work/control-1.json"
"$BIN/ablation_table" "$rows/results/full-1.json" "$work/control-1.json" >"$log" 2>&1
check "a row beside itself has no star" sh -c "grep -q '^| control' '$log' && ! grep '^| control' '$log' | grep -q '\*'"

cat >"$work/rows.txt" <<ROWS
bad  | refine | refine | refine.student=nowhere | fails
full | -      | refine |                        | everything
ROWS
check "a row that fails" sh -c "! ROWS='$work/rows.txt' sh scripts/ablations.sh configs/tiny.yaml none '$work/run' \
    bad full $(echo $toy) >'$log' 2>&1"
check "says so" says '^row bad 1: FAILED'
check "and the others are in the table" grep -q '^| full | ' "$table"
check "which says that it is not" says 'not in the table, because they failed: bad-1 bad-2'

check "measured on other persons" ablate self_forcing evaluate.persons=development
check "without a stage trained anew" sh -c "! grep -q 'begins anew' $rows/*/log.*.txt"

kept=$work/kept
check "an evaluation that keeps its videos" expect 0 evaluate configs/tiny.yaml run="$rows/seed-1" \
    data="$work/run/data.h5" $toy out="$kept"
for by in . truth codec teacher causal distilled; do check "$by: its video" [ -s "$kept/$by/dialogue_000.mp4" ]; done
check "its sounds" [ -s "$kept/dialogue_000.wav" -a -s "$kept/dialogue_000.user.wav" ]
report=$rows/seed-1/report.json
check "figures over the codec's copy" [ "$(grep -c '"over_copy"' "$report")" -ge 60 ]
check "the copy over itself is 1" sh -c \
    "sed -n '/^\t\"codec\"/,/^\t}/p' '$report' | grep -A1 '\"flicker\"' | grep -q '\"over_copy\":.1,'"
check "how to read distances" [ "$(grep -c '"still_picture":.[0-9]\|"halves_of_copy":.[0-9]' "$report")" -eq 16 ]
check "another rollout, and how far it is" sh -c \
    "sed -n '/^\t\"refined_reseeded\"/,/^\t}/p' '$report' | grep -A1 '\"spread_mouth\"' | grep -q '\"value\":.[0-9]'"
check "which persons" grep -q '"persons":.*"test"' "$report"
cp "$report" "$work/test_report.json"
check "development persons" expect 0 evaluate configs/tiny.yaml run="$rows/seed-1" data="$work/run/data.h5" $toy \
    evaluate.persons=development
other=$rows/seed-1/development_report.json
check "are others" sh -c "! cmp -s '$other' '$report' && grep -q '\"persons\":.*\"development\"' '$other'"
check "and leave the test's report alone" cmp "$report" "$work/test_report.json"
check "the manifest has it" grep -q '"id":.*"dialogue_000"' "$kept/manifest.json"
check "each dialogue has noise of its own" \
    [ "$(sed -n 's/^.*"seed":[[:space:]]*\([0-9]*\).*$/\1/p' "$kept/manifest.json" | sort -u | wc -l)" -eq 2 ]
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
