#!/bin/sh
# plan_peak.sh: what `stream --plan` states against the most memory that a stream took, within 3 %, at the widths of
# Wan2.2-TI2V-5B: a student of three of its blocks with random weights, in bf16, int8 and fp8, with a cache in fp8 and
# with streamed weights. What a process takes before it opens a student, some megabytes of code and libraries, is in
# neither figure. It needs 3 GB of memory and of disk. MEASURED=FILE keeps the figures.
. tests/e2e/checks
layers=3
sounds="reference=tests/inputs/picture.png audio=tests/inputs/sound.wav talk=always seconds=0.6 threads=1 out=null"
mib() { sed -n "s/.*memory: \([0-9.]*\) MiB planned; this process's peak is \([0-9.]*\) MiB above.*/$1/p" "$log"; }
planned() { # planned: MiB of both totals, as --plan states them
    awk '/^total/ {sum += $(NF - 1)} END {printf "%.1f", sum}' "$work/out"
}
near() { awk "BEGIN {exit !($1 > 0 && $2 > 0 && ($1 / $2 - 1) ^ 2 < 0.03 ^ 2)}"; }
for type in bf16 int8 fp8; do
    "$BUILD/tests/programs/big_student" "$work/$type" $layers $type >/dev/null || exit 1
    for keys in "" "cache_type=fp8" "weights_mib=1000"; do
        [ "$type" != bf16 ] || [ -z "$keys" ] || continue
        check "the plan of $type $keys" expect 0 stream "$work/$type" --plan $keys
        plan=$(planned)
        check "a stream of $type $keys" expect 0 stream "$work/$type" $sounds $keys
        echo "$type $keys: planned $plan MiB, taken $(mib '\2') MiB" | tee -a "${MEASURED:-/dev/null}"
        check "it plans what --plan says" near "$(mib '\1')" "$plan"
        check "and takes it within 3 %" near "$(mib '\2')" "$plan"
    done
    rm -r "${work:?}/$type"
done
finish
