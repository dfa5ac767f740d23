#!/bin/sh
# world_gate.sh: the hard world at small size passes its gate, and the plain one, the control, fails it. A spoiled set
# has the codec of its clean twin, the same voices and other pictures; a set says its world; wrong requests are refused.
. tests/e2e/checks
export OMP_NUM_THREADS=1
prepares() { # prepares CODE ARGUMENTS...: prepare configs/hard_data.yaml at small size
    want=$1
    shift
    expect "$want" prepare configs/hard_data.yaml puppet.identities=6 puppet.held_out=1 puppet.seconds=6 pictures=no \
        fit.patches=12000 "$@"
}
note() { "$BIN/inspect" "$1" | grep -q "$2"; } # note FILE PATTERN
codec() { "$BIN/inspect" "$1" stats=yes | grep pca; }
latents() { "$BIN/inspect" "$1" stats=yes | grep /latents; }

check "a hard set" prepares 0 out="$work/hard.h5"
check "knows its world" note "$work/hard.h5" 'puppet_world.*hard'
check "its spoiled twin" prepares 0 out="$work/spoiled.h5" codec_from="$work/hard.h5" puppet.spoil=hands,drift
check "knows what is spoiled" note "$work/spoiled.h5" 'puppet_spoil.*hands,drift'
codec "$work/hard.h5" >"$work/codec"
check "has a codec" [ -s "$work/codec" ]
codec "$work/spoiled.h5" >"$work/spoiled"
check "which is the same" cmp "$work/codec" "$work/spoiled"
latents "$work/hard.h5" >"$work/codec"
latents "$work/spoiled.h5" >"$work/spoiled"
check "but other latents" differ "$work/codec" "$work/spoiled"
check "once more is no work" prepares 0 out="$work/hard.h5"
check "as another world it is refused" prepares 2 out="$work/hard.h5" puppet.world=plain
check "a codec of other sizes" prepares 3 out="$work/c.h5" codec_from="$work/hard.h5" channels=48
check "that is said" says 'codec_from'
check "a spoiling that is not known" prepares 2 out="$work/c.h5" puppet.spoil=hand
check "that is said" says 'puppet.spoil: expected hands'
check "a folder's clips are not spoiled" prepares 2 out="$work/c.h5" source="$work" puppet.spoil=hands
check "nothing was written" [ ! -e "$work/c.h5" ]

# Fourteen dialogues of 64 s must lie 5 standard errors apart. Those of 26 s have larger errors, by the root of 64 / 26;
# so 3.2 are asked of them.
check "the hard world passes" expect 0 world_gate "$work/hard.h5" seconds=26 separation=3.2
[ "$passed" -gt 0 ] && cp "$work/out" "$work/table"
check "without a failure" sh -c '! grep -q FAILS "$0"' "$work/table"
check "with every measure" [ "$(grep -c "  *[0-9.]*  *[0-9.]*  *[0-9.]*  *[0-9.]*$" "$work/table")" -ge 16 ]
check "a plain set" prepares 0 out="$work/plain.h5" codec_from="$work/hard.h5" puppet.world=plain
check "fails" expect 4 world_gate "$work/plain.h5" dialogues=2 seconds=12
check "its motion is the voices'" grep -q 'the whole must have 0.50: FAILS' "$work/out"
check "that is said" says 'the world fails in'
check "no data set" expect 3 world_gate "$work/table"
finish
