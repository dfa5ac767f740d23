#!/bin/sh
# prepare.sh: a small puppet data set in one go and killed in the middle, with one worker and with two: the same bytes; the
# report; wrong configs and folders give one line and their exit code.
bin=${BIN:-bin}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
check() { # check WHAT COMMAND...
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
        tail -n 3 "$dir/log"
    fi
}
# expect CODE ARGUMENTS...: prepare ends with that code and, when it is not 0, with one line that starts with its name
expect() {
    want=$1
    shift
    "$bin/prepare" "$@" >"$dir/out" 2>"$dir/log"
    code=$?
    [ $code -eq "$want" ] || return 1
    [ "$want" -eq 0 ] || { [ "$(grep -c '^prepare: ' "$dir/log")" -eq 1 ] && [ ! -s "$dir/out" ]; }
}

cat >"$dir/set.yaml" <<EOF
source: puppet
height: 32
width: 32
channels: 16
frames: 3
stride: 9
audio_dim: 8
fit: {clips: 2, patches: 1000}
puppet: {identities: 3, dialogues: 2, seconds: 2, held_out: 2}
EOF
check "one go" expect 0 "$dir/set.yaml" out="$dir/a.h5" workers=2
check "report" grep -q "8 clips found, 8 taken, 0 rejected" "$dir/a.report.txt"
check "no work folder is left" [ ! -e "$dir/a.h5.work" ]
for delay in 0.1 0.3 0.6 1; do
    "$bin/prepare" "$dir/set.yaml" out="$dir/b.h5" workers=1 >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
check "after four kills" expect 0 "$dir/set.yaml" out="$dir/b.h5" workers=1
check "the same bytes" cmp "$dir/a.h5" "$dir/b.h5"
check "once more is no work" expect 0 "$dir/set.yaml" out="$dir/b.h5"
check "another config is refused" expect 2 "$dir/set.yaml" out="$dir/b.h5" stride=5
check "it says what differs" grep -q "stride" "$dir/log"
check "key that is not known" expect 2 "$dir/set.yaml" out="$dir/c.h5" strid=5
check "value out of range" expect 2 "$dir/set.yaml" out="$dir/c.h5" frames=1
check "patch that does not divide" expect 2 "$dir/set.yaml" out="$dir/c.h5" patch=7
check "no config" expect 2 "$dir/nowhere.yaml"
check "no folder" expect 3 "$dir/set.yaml" out="$dir/c.h5" source="$dir/nowhere"
mkdir "$dir/bad"
for i in 1 2 3; do echo "no video" >"$dir/bad/$i.mp4"; done
check "nothing but bad clips" expect 3 "$dir/set.yaml" out="$dir/c.h5" source="$dir/bad" held_out=1
check "data set that is none" expect 3 "$dir/set.yaml" out="$dir/bad/1.mp4"
check "nothing was written" [ ! -e "$dir/c.h5" ]
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
