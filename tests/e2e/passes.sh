#!/bin/sh
# passes.sh: students of 2 and 1 passes go through all stages, are exported with their levels, planned and streamed. The
# causal student starts by consistency without recordings, and goes on to the same bits after a kill; a history that
# shows nothing is refused. A refinement takes passes away one by one, goes on to the same bits between two numbers of
# passes, and each of its states is exported with the passes that it was trained for.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/passes.sh
. tests/e2e/checks
all="configs/tiny.yaml data=$work/data.h5 threads=1"
stage() { # stage NAME RUN [key=value ...]
    program_run=$1 in_run=$2
    shift 2
    expect 0 "$program_run" $all run="$work/$in_run" "$@"
}
levels() { tr -d ' \t\n' <"$work/$1/config.json" | sed 's/.*"sigma":\(\[[^]]*\]\).*/\1/'; } # levels EXPORT
# streams EXPORT: makes a second of video by its passes
streams() {
    expect 0 stream "$work/$1" reference="$work/run/teacher/samples/step_00000030_sheet.png" audio=- seconds=1 \
        out="$work/out.mp4" && [ -s "$work/out.mp4" ]
}
frames() { sed -nE 's/.*"'"$2"'": *([^,}]*).*/\1/p' "$work/$1"; } # frames METRICS NAME

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
head -c 32000 /dev/zero >"$work/silence" # one second
input=$work/silence
check "teacher" stage teacher run
for sigma in '[1,0.75]' '[1]'; do
    folder=run$(echo "$sigma" | tr -dc 0-9)
    mkdir -p "$work/$folder" && cp -r "$work/run/teacher" "$work/$folder/"
    for name in ode_init distill refine; do
        check "$name of $sigma" stage $name $folder rollout.sigma="$sigma"
        check "its plan" stage $name $folder rollout.sigma="$sigma" --plan
        check "its export" stage export $folder rollout.sigma="$sigma" stage=$name out="$work/$folder-$name"
        [ "$(levels $folder-$name)" = "$sigma" ]
        verdict $? "the export of $name names $(levels $folder-$name), not $sigma"
    done
    check "a stream of $sigma" streams $folder-refine
    check "a plan of its stream" expect 0 stream "$work/$folder-refine" --plan
done

# Consistency: no recordings; the same bits after a kill.
by="ode_init.loss=consistency ode_init.save_every=1 ode_init.keep=20"
check "ode_init by consistency" stage ode_init run $by
[ ! -e "$work/run/ode_init/trajectories" ]
verdict $? "trajectories were recorded for nothing"
frames run/ode_init/metrics.jsonl energy_0 | awk '{n++; bad += !($1 > 0)} END {exit bad || n != 12}'
verdict $? "no energies of the targets"
mv "$work/run/ode_init" "$work/whole"
interrupt KILL '[ "$(steps_done run/ode_init)" -ge 4 ]' stage ode_init run $by
check "it goes on" stage ode_init run $by
cmp "$(newest whole)" "$(newest run/ode_init)"
verdict $? "consistency: states differ after a kill"
check "one pass with a clean one" stage ode_init run $by run="$work/clean" 'rollout.sigma=[1]' rollout.clean_pass=true \
    ode_init.teacher="$work/run/teacher"
refused 2 'clean_pass' "$BIN/ode_init" $all run="$work/noise" ode_init.loss=consistency 'rollout.sigma=[1]' \
    ode_init.teacher="$work/run/teacher"

# Passes fall from three to one while the student is refined.
fewer="refine.passes=1 refine.save_every=1 refine.keep=20 refine.hold_margin=-1e6"
check "distill" stage distill run
check "refine to one pass" stage refine run $fewer
[ "$(frames run/refine/metrics.jsonl passes | tr '\n' ' ')" = "3 3 2 2 1 1 " ]
verdict $? "passes by step: $(frames run/refine/metrics.jsonl passes | tr '\n' ' ')"
mv "$work/run/refine" "$work/whole2"
mkdir -p "$work/run/refine/checkpoints"
for step in 2 4 6; do # levels of the exports of steps 2, 4 and 6, with the run going on from 2 and from 4
    case $step in 2) named='[1,0.857142857142857,0.6]' ;; 4) named='[1,0.6]' ;; *) named='[1]' ;; esac
    rm -rf "$work/run/refine" && cp -r "$work/whole2" "$work/run/refine"
    for s in 1 2 3 4 5 6; do
        [ $s -le "$step" ] || rm -f "$work/run/refine/checkpoints/step_0000000$s".*
    done
    check "export of step $step" stage export run $fewer stage=refine out="$work/at$step"
    [ "$(levels at$step)" = "$named" ]
    verdict $? "the export of step $step has $(levels at$step), not $named"
    check "refine goes on from step $step" stage refine run $fewer
    cmp "$(newest whole2)" "$(newest run/refine)"
    verdict $? "refine: states differ when it goes on from step $step"
done
check "a stream of one pass" streams at6
# A state that was chosen as the best is exported with the passes by which it was measured, which are the last ones.
ln -sfn step_00000002.h5 "$work/run/refine/checkpoints/best.h5" && cp "$work/whole2/checkpoints/"step_00000002.* \
    "$work/run/refine/checkpoints/"
check "export of the best state" stage export run $fewer stage=refine states=best out="$work/best"
[ "$(levels best)" = '[1]' ] && says 'refine, step 2:'
verdict $? "the export of the best state has $(levels best), not [1]"
refused 2 'refine.passes' "$BIN/refine" $all run="$work/run" refine.passes=4
finish
