#!/bin/sh
# thread_sanitizer.sh: runs tests, the live server's conversations and small jobs of several ranks that were built with
# clang's thread sanitizer; one report is a failure. OpenMP's own ordering is known to the sanitizer through Archer
# (libarcher), which comes with LLVM's libomp; libraries that are not instrumented (HDF5, MPI, libav) are left out of
# account.
# A TEST is one of BUILD/tests/unit, or a path.
#   usage: scripts/thread_sanitizer.sh BUILD TEST...        (make test-threads)
build=$1
shift
. "$(dirname "$0")/stages.sh"
archer=$(ls /usr/lib/llvm-*/lib/libarcher.so 2>/dev/null | tail -n 1)
[ -n "$archer" ] || {
    echo "thread_sanitizer: no libarcher.so (Debian: libomp-dev)" >&2
    exit 5
}
export OMP_TOOL_LIBRARIES="$archer" OMP_NUM_THREADS=2
work=$(mktemp -d) || exit 5
# Reports go to files, one a process: what a program says may be kept by the test that runs it, its exit code too.
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 history_size=4 log_path=$work/report"
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work" # tests' folders lie there too, so that nothing stays of what crashed
failed=0
run() { # run LABEL COMMAND...
    label=$1
    shift
    timeout -k 5 1800 "$@" >"$work/log" 2>&1
    code=$? reports=$(cat "$work"/report.* 2>/dev/null | grep -c 'WARNING: ThreadSanitizer')
    if [ $code -ne 0 ] || [ "$reports" -ne 0 ]; then
        failed=1
        echo "FAIL $label (exit code $code, $reports reports)"
        cat "$work"/report.* 2>/dev/null | head -n 60 | grep . || tail -n 60 "$work/log"
        rm -f "$work"/report.*
    else
        echo "ok   $label"
    fi
}
for test in "$@"; do
    case $test in
        */*) run "$test" "$test" ;;
        *) run "$test" "$build/tests/unit/$test" ;;
    esac
done
# a report ends the server with exit code 66, which its test takes for a failure
run "the live server" env BIN="$build/bin" BUILD="$build" sh tests/e2e/serve.sh
"$build/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1
for job in "3 0 1" "3 3 1" "2 1 2"; do
    set -- $job
    for stage in $stages; do
        run "$stage on $1 ranks, zero $2, tokens by $3" sh scripts/launch.sh -n "$1" "$build/bin/$stage" \
            configs/tiny.yaml \
            data="$work/data.h5" run="$work/run$2" threads=2 shard.zero="$2" comm.sequence="$3" comm.timeout=120 \
            $stage.steps=3 $stage.batch=3 $stage.save_every=2 distill.critic_warmup=1 refine.head_warmup=1
    done
done
exit $failed
