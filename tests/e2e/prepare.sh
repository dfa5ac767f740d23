#!/bin/sh
# prepare.sh: a small puppet data set in one go and killed in the middle, with one worker and with two: the same bytes;
# the report; wrong configs and folders give one line and their exit code.
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

varied="vary.colour=0.15 vary.place=0.06 vary.scale=0.1"
check "varied clips" prepares 0 "$work/set.yaml" out="$work/v.h5" $varied workers=2
check "the report says how" \
    grep -q "varied: colour by 16 %, place by 6.0 % of the height, size by 11 % at most$" "$work/v.report.txt"
check "and to programs" grep -q '"colour":.*0.15' "$work/v.report.json"
check "the data set knows" sh -c '"$0" "$1" | grep -q "vary.*colour 0.15.*copies 1, seed 1"' "$BIN/inspect" "$work/v.h5"
check "nothing is said of plain clips" sh -c '! grep -q varied "$0"' "$work/a.report.txt"
"$BIN/prepare" "$work/set.yaml" out="$work/w.h5" $varied workers=1 >/dev/null 2>&1 &
pid=$!
sleep 0.4
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
check "after a kill" prepares 0 "$work/set.yaml" out="$work/w.h5" $varied workers=1
check "the same bytes" cmp "$work/v.h5" "$work/w.h5"
check "half of them stay plain" prepares 0 "$work/set.yaml" out="$work/h.h5" $varied vary.plain=0.5
check "the report says so" grep -q "clips are varied, but for 50 % of them: colour by" "$work/h.report.txt"
check "the data set too" sh -c '"$0" "$1" | grep -q "vary.*plain 0.5, copies 1"' "$BIN/inspect" "$work/h.h5"
check "all of them" prepares 0 "$work/set.yaml" out="$work/p.h5" $varied vary.plain=1
quality() { grep '^training  ' "$work/$1.report.txt"; } # quality NAME: of a data set
check "are the clips that nothing varies" [ "$(quality p)" = "$(quality a)" ]
check "the other sets' clips are not" [ "$(quality v)" != "$(quality a)" -a "$(quality h)" != "$(quality a)" -a \
    "$(quality h)" != "$(quality v)" ]
check "other amounts are refused" prepares 2 "$work/set.yaml" out="$work/v.h5" vary.colour=0.2
check "copies that would be alike" prepares 2 "$work/set.yaml" out="$work/c.h5" vary.copies=2
check "an amount out of range" prepares 2 "$work/set.yaml" out="$work/c.h5" vary.place=0.6
check "clips of a folder" expect 0 puppet "$work/clips" size=64 identities=3 clips=1 seconds=2
check "copies" \
    prepares 0 "$work/set.yaml" out="$work/f.h5" source="$work/clips" held_out=1 tracks=1 $varied vary.copies=3
check "are counted" grep -q "7 clips found, 7 taken" "$work/f.report.txt"
check "and said" grep -q "at most; each is taken 3 times, and counted as often$" "$work/f.report.txt"
finish
