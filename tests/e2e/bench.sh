#!/bin/sh
# bench.sh: bench runs through the limits and a whole training step, bench_dit through all its parts; what they do not know is
# refused.
. tests/e2e/checks
whole() { "$BIN/bench" whole=yes >"$log" 2>&1 && grep -q '^training step .* GFLOP/s' "$log"; }
wide() { "$BIN/bench_dit" tiny=yes >"$log" 2>&1 && grep -q '^real-time factor' "$log" && grep -q '^light decoder' "$log"; }
check "limits and a training step" whole
check "blocks, a stream and the light decoder, tiny" wide
check "an unknown option exits 2" expect 2 bench --no-such-option
finish
