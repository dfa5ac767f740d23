#!/bin/sh
# prepare.sh: a small puppet data set in one go and killed in the middle, with one worker and with two: the same bytes; the
# report; wrong configs and folders give one line and their exit code.
. tests/e2e/checks
prepares() { # prepares CODE ARGUMENTS...: prepare as expected, and a refusal prints nothing else
    want=$1
    shift
    expect "$want" prepare "$@" && { [ "$want" -eq 0 ] || [ ! -s "$work/out" ]; }
}

cat >"$work/set.yaml" <<EOF
source: puppet
height: 32
width: 32
channels: 16
frames: 3
stride: 9
audio_dim: 8
pictures: true
fit: {clips: 2, patches: 1000}
puppet: {identities: 3, dialogues: 2, seconds: 2, held_out: 2}
EOF
check "one go" prepares 0 "$work/set.yaml" out="$work/a.h5" workers=2
check "report" grep -q "8 clips found, 8 taken, 0 rejected" "$work/a.report.txt"
check "no work folder is left" [ ! -e "$work/a.h5.work" ]
for delay in 0.1 0.3 0.6 1; do
    "$BIN/prepare" "$work/set.yaml" out="$work/b.h5" workers=1 >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
check "after four kills" prepares 0 "$work/set.yaml" out="$work/b.h5" workers=1
check "the same bytes" cmp "$work/a.h5" "$work/b.h5"
check "once more is no work" prepares 0 "$work/set.yaml" out="$work/b.h5"
check "another config is refused" prepares 2 "$work/set.yaml" out="$work/b.h5" stride=5
check "it says what differs" grep -q "stride" "$log"
check "key that is not known" prepares 2 "$work/set.yaml" out="$work/c.h5" strid=5
check "value out of range" prepares 2 "$work/set.yaml" out="$work/c.h5" frames=1
check "patch that does not divide" prepares 2 "$work/set.yaml" out="$work/c.h5" patch=7
check "no config" prepares 2 "$work/nowhere.yaml"
check "no folder" prepares 3 "$work/set.yaml" out="$work/c.h5" source="$work/nowhere"
mkdir "$work/bad"
for i in 1 2 3; do echo "no video" >"$work/bad/$i.mp4"; done
check "nothing but bad clips" prepares 3 "$work/set.yaml" out="$work/c.h5" source="$work/bad" held_out=1
check "data set that is none" prepares 3 "$work/set.yaml" out="$work/bad/1.mp4"
check "nothing was written" [ ! -e "$work/c.h5" ]
finish
