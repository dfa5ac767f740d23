#!/bin/sh
# bench.sh: bench runs through the limits and a whole training step, bench_dit through all its parts, or one alone; what
# they do not know is refused.
. tests/e2e/checks
whole() { "$BIN/bench" whole=yes >"$log" 2>&1 && grep -q '^training step .* GFLOP/s' "$log"; }
step() { "$BIN/bench" step=demo seconds=0.1 >"$log" 2>&1 &&
    grep -q ' rows: training step least [0-9.]* ms, median [0-9.]* ms$' "$log"; }
check "a training step alone" step
profile() { grep -qE '^products, forward +[0-9]+ calls +[0-9.]+ ms .* of the limit' "$log" &&
    grep -q '^the whole step .* ms .* of the limit' "$log"; }
check "and where its time goes" profile
wide() { "$BIN/bench_dit" tiny=yes >"$log" 2>&1 && grep -q '^real-time factor' "$log" &&
    grep -q '^light decoder' "$log"; }
check "limits and a training step" whole
check "blocks, a stream and the light decoder, tiny" wide
alone() { # PART LINE OTHERS: that part has the line, and none of the others'
    "$BIN/bench_dit" tiny=yes part="$1" >"$log" 2>&1 && grep -qE "$2" "$log" && ! grep -qE "$3" "$log"
}
check "limits alone" alone limits '^matrix product' '^(linear|block|stream|profiled)'
check "kernels alone" alone kernels '^profiled' '^(matrix|block|stream)'
check "a dry run counts a chunk and a training block" alone dry '^dry: a training block .* times the minimum' \
    '^(matrix|stream|served)'
check "an unknown part exits 2" expect 2 bench_dit part=everything
check "an unknown network exits 2" expect 2 bench_dit net=14b
check "a size that no latents make exits 2" expect 2 bench_dit size=100x100
check "an unknown option exits 2" expect 2 bench --no-such-option
finish
