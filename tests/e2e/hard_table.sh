#!/bin/sh
# hard_table.sh: a row of scripts/ablations.sh on the hard world at toy size, where the teacher learns from a spoiled
# data set and refinement from the clean one: which stage sees which, the hard world's figures in the report, by source,
# by difference and by dialogue, and in the row's file and table.
# Usage: BIN=bin sh tests/e2e/hard_table.sh
. tests/e2e/checks
export BIN OMP_NUM_THREADS=1
cat >"$work/data.yaml" <<EOT
source: puppet
out: data.h5
height: 32
width: 32
patch: 4
channels: 16
frames: 7
stride: 24
first_reference: true
audio_dim: 16
text_len: 4
text_dim: 8
pictures: true
fit: {clips: 4, patches: 4000}
puppet: {world: hard, identities: 4, held_out: 1, seconds: 6}
EOT
sed 's/^pictures.*/pictures: false/; s/world: hard/&, spoil: "hands,drift"/' "$work/data.yaml" \
    >"$work/teacher_data.yaml"
toy="model.height=8 model.width=8 teacher.steps=2 ode_init.steps=1 ode_init.trajectories=2 distill.steps=1
    distill.critic_warmup=1 refine.steps=1 refine.head_warmup=1 light_decoder.steps=1 evaluate.dialogues=2
    evaluate.teacher_dialogues=1 evaluate.ablations=1 evaluate.seconds=20 evaluate.reseeded=2"
run=$work/run
table() {
    SEEDS=1 JOBS=1 TEACHER_DATA="$work/teacher_data.yaml" sh scripts/ablations.sh configs/tiny.yaml "$work/data.yaml" \
        "$run" full $toy >"$log" 2>&1
}
check "a row on the hard world" table
note() { "$BIN/inspect" "$1" | grep -q "$2"; } # note FILE PATTERN
check "the clean data set" note "$run/data.h5" 'puppet_world.*hard'
check "the teacher's is spoiled" note "$run/teacher_data.h5" 'puppet_spoil.*hands,drift'
learned_from() { sed -n 's/^data: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1/config.yaml"; } # learned_from FOLDER
for stage in teacher ablations/seed-1/ode_init ablations/seed-1/distill; do
    check "$stage learned from the spoiled set" [ "$(learned_from "$run/$stage")" = "$run/teacher_data.h5" ]
done
for stage in light_decoder ablations/seed-1/refine; do
    check "$stage from the clean one" [ "$(learned_from "$run/$stage")" = "$run/data.h5" ]
done
${PYTHON:-python3} - "$run/ablations" >"$log" 2>&1 <<'EOT'
import json
import sys

folder = sys.argv[1]
report = json.load(open(folder + "/full-1/report.json"))
assert report["world"] == "hard", report["world"]
names = list(report["codec"]["hard_world"])
assert len(names) == 11, names
for source in "drawn", "codec", "refined", "refined_reseeded":
    for name in names:
        assert "value" in report[source]["hard_world"][name], (source, name)
        if source.startswith("refined"):
            assert len(report["by_dialogue"][source][name]) == 2, (source, name)
assert report["codec"]["hard_world"]["hue_drift_5s"]["value"] >= 0
assert report["refined_reseeded"]["hard_world"]["spread_over_truth"]["value"] > 0
pairs = [of for name, of in report["differences"].items() if name.startswith("refined_less")]
assert pairs and all("difference" in of["hard_world"]["idle_mouth"] for of in pairs), report["differences"].keys()
row = json.load(open(folder + "/results/full-1.json"))
assert set(names) <= set(row["figures"]["student"]), row["figures"]["student"].keys()
EOT
verdict $? "the report has the hard world's figures, and so has the row"
check "the table has columns of them" grep -q '^| row .*hue_drift_5s.*idle_mouth' "$run/ablations/table.md"
check "again" table
check "trains nothing" sh -c "! grep -q 'done in' '$log'"
finish
