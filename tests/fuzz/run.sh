#!/bin/sh
# run.sh SECONDS PROGRAMS TARGET...: runs each fuzz target for so many seconds, one after the other, and says a line
# each: executions, edges covered, findings. What a target has learned stays in PROGRAMS/corpus/TARGET; a finding's
# input is written to PROGRAMS/findings/TARGET-*. Exit 1 when there is one.
seconds=$1 programs=$2
shift 2
found=0
# Inputs lie in memory where there is such a folder, and go away with it whatever becomes of the targets.
TMPDIR=$(mktemp -d /dev/shm/fuzz-XXXXXX 2>/dev/null || mktemp -d) || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$programs/findings"
for target; do
    corpus=$programs/corpus/$target log=$programs/$target.log
    mkdir -p "$corpus"
    case $target in
    mask_csv | live_unit | live_reference | live_conversation) dictionary= ;;
    tensors | prompt_*) dictionary=-dict=tests/fuzz/names.dict ;;
    config | prepare_config) dictionary=-dict=tests/fuzz/yaml.dict ;;
    *) dictionary=-dict=tests/fuzz/json.dict ;;
    esac
    # An input has a minute: on a busy machine, at this priority, that is a second of work. Leaks are looked for once,
    # when the process ends: libFuzzer's check after a run takes half a second.
    nice -n 19 "$programs/$target" -max_total_time="$seconds" -timeout=60 -detect_leaks=0 -rss_limit_mb=1500 \
        -print_final_stats=1 \
        -max_len=8192 $dictionary -artifact_prefix="$programs/findings/$target-" "$corpus" "tests/fuzz/corpus/$target" \
        >"$log" 2>&1
    code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    kept=$(find "$corpus" -type f | wc -l)
    if [ $code -eq 0 ]; then
        verdict='no finding'
    else
        found=1
        verdict="FOUND: $(sed -n 's/^SUMMARY: //p' "$log" | tail -n 1)"
    fi
    printf '%-22s %12s executions  %6s edges  %5s inputs kept  %s\n' "$target" "${runs:-?}" "${edges:-?}" "$kept" \
        "$verdict"
done
exit $found
