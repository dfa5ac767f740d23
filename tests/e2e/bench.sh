#!/bin/sh
# bench.sh: bench runs through the limits and a whole training step, bench_dit through all its parts; what they do not know is
# refused.
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
whole() { "$bin/bench" --whole >"$dir/log" 2>&1 && grep -q '^training step .* GFLOP/s' "$dir/log"; }
wide() { "$bin/bench_dit" --tiny >"$dir/log" 2>&1 && grep -q '^real-time factor' "$dir/log" && grep -q '^light decoder' "$dir/log"; }
refused() {
    "$bin/bench" --no-such-option >"$dir/log" 2>&1
    [ $? -eq 2 ]
}
check "limits and a training step" whole
check "blocks, a stream and the light decoder, tiny" wide
check "an unknown option exits 2" refused
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
