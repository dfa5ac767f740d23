#!/bin/sh
# probe.sh: the discriminator's probe, from a teacher to its report. It learns to tell that a person changes, gives the
# same report twice, and its exit code says whether what was required is there; settings that make no sense are
# refused.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/probe.sh
. tests/e2e/checks
mkdir -p "$work/run"
config="configs/tiny.yaml data=$work/data.h5 threads=1 run=$work/run"
figure() { # figure FAULT BRANCH: the area under the curve in the report
    tr -d ' \n\t' <"$work/run/probe.json" | sed -E "s/.*\"$1\":.*\"$2\":\{\"area\":([0-9.e-]+).*/\1/"
}

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 96 48 || exit 1
check teacher expect 0 teacher $config

learnt="refine.batch=4 refine.head_warmup=10 refine.discriminator.optimiser.lr=2e-3"
learnt="$learnt refine.level.max=0.1 refine.r1=0 refine.r2=0 spoil=person updates=120"
check "the probe" expect 0 probe $config $learnt
check "a table" grep -q '^person *clip *[0-9.]* ([0-9.]* to [0-9.]*)' "$work/out"
area=$(figure person global)
awk -v a="$area" 'BEGIN {exit !(a > 0.9 && a <= 1)}'
verdict $? "another person is told by the clip: $area"
cp "$work/run/probe.json" "$work/first.json"
check "the probe again" expect 0 probe $config $learnt require=0.9
check "the same report" cmp "$work/first.json" "$work/run/probe.json"
check "too little for what is required" expect 4 probe $config refine.batch=4 refine.head_warmup=0 \
    refine.discriminator.optimiser.lr=1e-9 spoil=person updates=1 require=0.9
check "that is said" says 'person, scope clip: the global branch has 0[.][0-9]*, require=0.9'
check "frames alone" expect 0 probe $config refine.batch=4 refine.head_warmup=0 spoil=person,none updates=2 \
    scope=frame,clip
check "no branch for clips there" grep -q '^person *frame .* - ' "$work/out"

check "an unknown fault" refused 2 'there is no teeth' "$BIN/probe" $config spoil=hands,teeth
check "an unknown scope" refused 2 'there is no all' "$BIN/probe" $config scope=all
check "a region without an area" refused 2 'hands: expected' "$BIN/probe" $config hands='[0.5,0,0.5,1]'
check "too few held-out clips" refused 3 '48 held-out clips' "$BIN/probe" $config refine.batch=64
check "no teacher" refused 3 'teacher' "$BIN/probe" $config run="$work/none"
finish
