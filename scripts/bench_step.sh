#!/bin/sh
# bench_step.sh: times the teacher's training step, ours and PyTorch's by turns, at the demo's size and at 151 million
# parameters. Prints the least and the median of all rounds, and how many times as fast ours is by the least.
#   usage: PYTHON=python-with-torch sh scripts/bench_step.sh [ROUNDS [SECONDS]]     (3 rounds of 10 s each)
# BIN: the programs. The number type is the build's.
BIN=${BIN:-bin}
rounds=${1:-3} seconds=${2:-10}
[ -n "$PYTHON" ] || { echo "bench_step: PYTHON= names no Python that has PyTorch" >&2; exit 2; }
"$PYTHON" -c 'import torch' || { echo "bench_step: $PYTHON has no PyTorch" >&2; exit 3; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
kind=$("$BIN/bench" --version | sed 's/.*number type //')
for size in demo large; do
    for round in $(seq "$rounds"); do
        "$BIN/bench" step=$size seconds="$seconds" | grep 'training step' | tee -a "$work/ours.$size" || exit 1
        "$PYTHON" scripts/bench_torch_step.py $size "$kind" "$seconds" | tee -a "$work/torch.$size" || exit 1
    done
    for who in ours torch; do
        sed 's/.*least \(.*\) ms, median \(.*\) ms/\1 \2/' "$work/$who.$size" | sort -n >"$work/$who"
        awk -v who=$who '{ least = NR == 1 || $1 < least ? $1 : least; all[NR] = $2 }
            END { n = asort_free(all, NR); print least, n }
            function asort_free(a, n,   i, j, t) {
                for (i = 2; i <= n; i++)
                    for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
                return a[int((n + 1) / 2)]
            }' "$work/$who" >"$work/$who.sum"
    done
    paste "$work/ours.sum" "$work/torch.sum" |
        awk -v size=$size '{
            printf "%s: ours least %.1f ms, median %.1f; PyTorch least %.1f, median %.1f; %.2f times as fast\n", size,
                $1, $2, $3, $4, $3 / $1
        }'
done
