#!/bin/sh
# gpu_check.sh: checks the CUDA backend on a machine that has a GPU and CUDA's libraries and nothing else of ours.
#   gpu_check.sh build [FOLDER]     here: builds, and packs what is needed into FOLDER (gpu_pack), under 64 MiB
#   gpu_check.sh run FOLDER [OUT]   there: runs it all in under eight minutes; OUT/report.txt (OUT: FOLDER/report) has device,
#                                   versions, commit, and one line a check. Exit code 0: everything passed.
# CUDA_ARCH="90a" and TYPES="bf16 float" say for what it is built.
# Checks: every kernel against the double oracle; streams, recorded and with the decoder beside the network, against plain ones;
# the first updates of every stage, small and wide, and the losses of twenty, against the plain C loops in the same type; two
# runs for equal bits; compute-sanitizer, where there is one, over the smaller kernel tests; rates of every operation, of
# blocks, of a stream; what determinism costs.
set -u
ARCH=${CUDA_ARCH:-90a}
TYPES=${TYPES:-bf16 float}

build() {
    pack=${1:-gpu_pack}
    rm -rf "$pack"
    mkdir -p "$pack"
    for type in $TYPES; do
        make -s BACKEND=cuda TYPE="$type" CUDA_ARCH="$ARCH" MPI=0 NCCL=0 BUILD="build/gpu-$type" gpu-checks || return 1
        make -s BACKEND=ref TYPE="$type" MPI=0 BUILD="build/gpu-ref-$type" "build/gpu-ref-$type/gpu/stage_trace" || return 1
        mkdir -p "$pack/$type"
        cp "build/gpu-$type/gpu/"* "$pack/$type/"
        cp "build/gpu-ref-$type/gpu/stage_trace" "$pack/$type/stage_trace_ref"
        strip "$pack/$type/"*
    done
    # What CUDA's machine may lack goes along; what it must have is CUDA's and the C library's.
    for program in "$pack"/*/*; do ldd "$program"; done | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
        while read -r name path; do
            case $name in
            libc.so* | libm.so* | ld-linux* | libpthread* | libdl* | librt* | libcudart* | libcublas* | libcudnn* | libstdc++* | libgcc_s*) ;;
            *) for type in $TYPES; do cp "$path" "$pack/$type/$name"; done ;;
            esac
        done
    for program in "$pack"/*/test_* "$pack"/*/stage_trace*; do
        if readelf -d "$program" | grep NEEDED | grep -E 'hdf5|mpi|avcodec|dnnl|nccl|cairo|flite'; then
            echo "gpu_check: $program needs a library that a bare machine has not" >&2
            return 1
        fi
    done
    for type in $TYPES; do # kernels' code shrinks to a third
        tar -C "$pack" -czf "$pack/$type.tar.gz" "$type" && rm -r "${pack:?}/$type" || return 1
    done
    cp scripts/gpu_check.sh "$pack/"
    [ -f scripts/bench_torch.py ] && cp scripts/bench_torch.py "$pack/"
    { git rev-parse HEAD 2>/dev/null || echo "no commit"; git status --porcelain 2>/dev/null | grep -qv '^??' && echo "with changes"; } |
        tr '\n' ' ' >"$pack/commit"
    kib=$(du -sk "$pack" | cut -f1)
    echo "gpu_check: $pack, $kib KiB"
    [ "$kib" -lt 65536 ] || { echo "gpu_check: more than 64 MiB" >&2; return 1; }
}

failed=0 ran=0
# check NAME SECONDS COMMAND...: one line in the report; what failed leaves its output below it.
check() {
    name=$1 limit=$2
    shift 2
    ran=$((ran + 1))
    begun=$(date +%s)
    timeout -k 5 "$limit" "$@" >"$out/last" 2>&1 </dev/null
    code=$?
    took="$(($(date +%s) - begun)) s"
    if [ $code -eq 0 ]; then
        verdict=$(printf 'pass  %-52s %s' "$name" "$took")
    else
        failed=$((failed + 1))
        verdict=$(printf 'FAIL  %-52s %s, exit %d' "$name" "$took" $code)
    fi
    echo "$verdict" | tee -a "$report"
    [ $code -eq 0 ] || tail -n 40 "$out/last" | sed 's/^/        /' >>"$report"
    return $code
}

# The plain loops need a minute or two of one core: they run beside the kernels' tests. loops TYPE; then await TYPE.
loops() { { timeout -k 5 240 "$pack/$1/stage_trace_ref" write "$out/$1.ref" >"$out/$1.log" 2>&1; echo $? >"$out/$1.done"; } & }
await() {
    while [ ! -f "$out/$1.done" ]; do sleep 1; done
    cat "$out/$1.log"
    return "$(cat "$out/$1.done")"
}

traces() { # TYPE ALLOWED
    here="$pack/$1"
    ran=$((ran + 1))
    if await "$1" >"$out/last"; then
        echo "pass  $1: stages on the CPU" | tee -a "$report"
    else
        failed=$((failed + 1))
        echo "FAIL  $1: stages on the CPU" | tee -a "$report"
        sed 's/^/        /' "$out/last" >>"$report"
        return
    fi
    check "$1: stages on the device" 120 "$here/stage_trace" write "$out/$1.cuda" || return
    check "$1: stages, device against CPU (at most $2)" 60 "$here/stage_trace" compare "$out/$1.cuda" "$out/$1.ref" "$2"
    sed 's/^/        /' "$out/last" >>"$report"
    check "$1: stages once more" 120 "$here/stage_trace" write "$out/$1.again" || return
    check "$1: two runs have the same bits" 60 cmp "$out/$1.cuda" "$out/$1.again"
    rm -f "$out/$1".*
}

# price RATES DETERMINISTIC: lines of both that have the same name and a time in ms, and the quotient of the times.
price() {
    awk 'function time(i) {for (i = 2; i <= NF; i++) if ($i == "ms") return $(i - 1); return 0}
         /^block/ {name = $0; sub(/  .*/, "", name); t = time()
                   if (FILENAME == ARGV[1]) before[name] = t
                   else if (before[name] > 0) printf "        %-52s %9.3f ms, deterministic %9.3f ms: %.3f times as long\n", name, before[name], t, t / before[name]}' "$1" "$2"
}

run() {
    pack=$(cd "$1" && pwd) && [ -f "$pack/commit" ] || { echo "gpu_check: $1 is not what build packs" >&2; return 2; }
    out=${2:-$pack/report}
    mkdir -p "$out" && out=$(cd "$out" && pwd) || return 3
    report=$out/report.txt
    for type in $TYPES; do
        [ -d "$pack/$type" ] || [ ! -f "$pack/$type.tar.gz" ] || tar -C "$pack" -xzf "$pack/$type.tar.gz" || return 3
    done
    {
        echo "commit: $(cat "$pack/commit")"
        date -u '+date: %Y-%m-%d %H:%M UTC'
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2>/dev/null ||
            echo "no nvidia-smi"
        nvcc --version 2>/dev/null | tail -n 1
    } >"$report"
    cat "$report"
    # Libraries of CUDA wheels, where the toolkit's are not in the loader's path.
    wheels=$(python3 -c 'import glob, site; print(":".join(d for p in site.getsitepackages() for d in glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null)
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}:/usr/local/cuda/lib64:$wheels"
    rm -f "$out"/*.done
    for type in $TYPES; do [ ! -d "$pack/$type" ] || loops "$type"; done
    for type in $TYPES; do
        [ -d "$pack/$type" ] || continue
        for test in "$pack/$type"/test_*; do check "$type: $(basename "$test")" 60 "$test"; done
        case $type in
        bf16) traces bf16 0.06 ;; # as tests/golden/test_dit.c has it, for two roundings instead of one
        *) traces "$type" 1e-4 ;; # sums in another order
        esac
    done
    if command -v compute-sanitizer >/dev/null 2>&1; then
        for test in pointwise norms losses gemm norm_rope; do
            for tool in memcheck racecheck; do
                check "$tool: test_kernels_$test" 60 compute-sanitizer --tool $tool --error-exitcode 9 "$pack/bf16/test_kernels_$test"
            done
        done
    else
        echo "skip  compute-sanitizer is not there" >>"$report"
    fi
    if [ -x "$pack/bf16/bench_dit" ]; then
        check "rates" 150 "$pack/bf16/bench_dit" && sed 's/^/        /' "$out/last" >>"$report"
        cp "$out/last" "$out/rates"
        check "deterministic blocks" 60 "$pack/bf16/bench_dit" deterministic=yes && price "$out/rates" "$out/last" >>"$report"
        if [ -f "$pack/bench_torch.py" ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
            check "the same block in PyTorch" 120 python3 "$pack/bench_torch.py" && sed 's/^/        /' "$out/last" >>"$report"
        else
            echo "skip  PyTorch with a GPU is not there" >>"$report"
        fi
    fi
    echo "$((ran - failed)) passed, $failed failed" | tee -a "$report"
    [ $failed -eq 0 ] && [ $ran -gt 0 ]
}

case ${1:-} in
build) build "${2:-gpu_pack}" ;;
run) [ -n "${2:-}" ] || { echo "usage: gpu_check.sh run FOLDER [OUT]" >&2; exit 2; }; run "$2" "${3:-}" ;;
*) echo "usage: gpu_check.sh build [FOLDER] | run FOLDER [OUT]" >&2; exit 2 ;;
esac
