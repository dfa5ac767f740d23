#!/bin/sh
# gpu_check.sh: checks and measures the CUDA backend in one short visit to a machine that has a GPU, CUDA 13's
# libraries, perhaps only those in PyTorch's folders, and nothing else of ours.
#   gpu_check.sh build [PACK]      here: builds, and packs what is needed into PACK (gpu_pack), at most PACK_MIB
#   gpu_check.sh run PACK [OUT]    there: runs everything within DEADLINE seconds. OUT is a folder for report.txt and
#                                  a few other files; without it the environment variable OUT names it, else PACK/report
# The most valuable sections come first: docs/gpu.md has their order. Each line is printed and is in report.txt as soon
# as it is known, so that a run that is killed has lost only what was under way. A part that fails or is out of time
# does not hide the others.
# Exit code of run: 0 all passed, 1 something failed, 5 the smoke test did, 2 usage, 3 OUT or PACK cannot be used.
# Keys, each of which can be set in the environment:
: "${DEADLINE:=560}"    # seconds for all of it
: "${PACK_MIB:=60}"     # most that the pack may hold
: "${OUT_FILES:=8}"     # most files in OUT
: "${OUT_FILE_MIB:=16}" # most that one of them may hold
: "${PART_LINES:=400}"  # most lines of one part in the report
: "${AFTER_SMOKE:=stop}" # "go": all the rest is run even where the smoke test fails
: "${CUDA_ARCH:=90a}" "${TYPES:=bf16 float}" # what it is built for
# Most seconds of: the versions, the smoke test, one stream, the training blocks, PyTorch's, the operations, one kernel
# test, one trace, ncu, one run of compute-sanitizer, NCCL.
: "${S_VERSIONS:=30}" "${S_SMOKE:=40}" "${S_STREAM:=40}" "${S_BLOCKS:=45}" "${S_TORCH:=90}" "${S_OPERATIONS:=75}"
: "${S_TEST:=60}" "${S_TRACE:=60}" "${S_NCU:=60}" "${S_SANITIZER:=45}" "${S_NCCL:=30}"
: "${LOOP_THREADS:=4}" # threads of each plain loop on the host
set -u

# ---- build ----

# companions PACK TYPE: the libraries that its programs want and a machine with CUDA may lack. CUDA's own, and the
# runtime of C and C++ that those need too, it must have.
companions() {
    for program in "$1/$2"/*; do ldd "$program"; done | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
        while read -r name path; do
            case $name in
            libc.so* | libm.so* | ld-linux* | libpthread* | libdl* | librt* | libstdc++* | libgcc_s*) ;;
            libcudart* | libcublas* | libcudnn* | libnccl*) ;;
            *) cp "$path" "$1/$2/$name" ;;
            esac
        done
}

build() {
    pack=$1
    rm -rf "$pack"
    for type in $TYPES; do
        mkdir -p "$pack/$type"
        device=build/gpu-$type loops=build/gpu-ref-$type
        make -s BACKEND=cuda TYPE="$type" CUDA_ARCH="$CUDA_ARCH" MPI=0 NCCL=0 BUILD="$device" gpu-checks || return 1
        make -s BACKEND=ref TYPE="$type" MPI=0 BUILD="$loops" "$loops/gpu/stage_trace" || return 1
        cp "$device/gpu/"* "$pack/$type/"
        cp "$loops/gpu/stage_trace" "$pack/$type/stage_trace_ref"
        [ "$type" = bf16 ] || rm -f "$pack/$type/bench_dit" "$pack/$type/nccl_one_rank" # rates are those of bf16
        strip "$pack/$type/"*
        if readelf -d "$pack/$type"/* | grep NEEDED |
            grep -E 'hdf5|mpi|libavcodec|libavformat|libsw|dnnl|cairo|flite'; then
            echo "gpu_check: a program of $type needs a library that a bare machine has not" >&2
            return 1
        fi
        companions "$pack" "$type"
        tar -C "$pack" -czf "$pack/$type.tar.gz" "$type" || return 1 # kernels' code shrinks to a third
        rm -r "${pack:?}/$type"
    done
    cp scripts/gpu_check.sh scripts/bench_torch.py "$pack/"
    changes=
    git status --porcelain 2>/dev/null | grep -qv '^??' && changes=", with changes"
    echo "$(git rev-parse HEAD 2>/dev/null || echo none)$changes" >"$pack/commit"
    kib=$(du -sk "$pack" | cut -f1)
    echo "gpu_check: $pack, $kib KiB of $((PACK_MIB * 1024))"
    [ "$kib" -le $((PACK_MIB * 1024)) ] || { echo "gpu_check: more than PACK_MIB=$PACK_MIB" >&2; return 1; }
}

# ---- the report ----

say() { # TEXT...: a line, in the report first, then to whoever looks on
    echo "$*" >>"$report"
    echo "$*"
}

left() { echo $((begun + DEADLINE - $(date +%s))); }

# Its own limit, or what is left: at least 1, since 0 would mean none to `timeout`.
within() {
    rest=$(($(left) - 4))
    [ "$rest" -lt "$1" ] || rest=$1
    [ "$rest" -gt 0 ] || rest=1
    echo "$rest"
}

section() { # TEXT: begins it; 1: there is no time for it
    if [ "$(left)" -le 5 ]; then
        say "== $1: not reached, the time is over"
        echo "$1" >>"$work/unreached"
        return 1
    fi
    say "== $1 ($(($(date +%s) - begun)) s)"
}

# What went beyond its limit ends with 124, or 137 where it did not stop at once.
ended() { # CODE LIMIT: the reason in words
    case $1 in
    124 | 137) echo "stopped at its limit of $2 s" ;;
    127) echo "does not start" ;;
    *) if [ "$1" -gt 128 ]; then echo "signal $(($1 - 128))"; else echo "exit $1"; fi ;;
    esac
}

# ours COMMAND...: with the paths of libraries for our programs alone. PyTorch brings its own, which these would
# displace.
ours() { env LD_LIBRARY_PATH="$libraries" "$@"; }

# relay PREFIX: lines of standard input to the report at once. Who served what goes to a file of its own.
relay() {
    lines=0
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        served:*) echo "$1: ${line#served: }" >>"$out/served.txt"; continue ;;
        esac
        lines=$((lines + 1))
        [ $lines -gt "$PART_LINES" ] || say "  $(printf '%.300s' "$line")"
    done
    [ $lines -le "$PART_LINES" ] || say "  and $((lines - PART_LINES)) lines more"
}

# figures NAME LIMIT COMMAND...: a part whose lines are figures. COMMAND may be `ours ...`.
figures() {
    name=$1 limit=$(within "$2")
    shift 2
    if [ "$(left)" -le 5 ]; then
        say "  not reached: $name"
        echo "$name" >>"$work/unreached"
        return 1
    fi
    started=$(date +%s)
    { bounded "$limit" "$@" 2>&1; echo $? >"$work/code"; } | relay "$name"
    code=$(cat "$work/code")
    took=$(($(date +%s) - started))
    if [ "$code" -eq 0 ]; then
        say "pass  $name, $took s"
    else
        say "FAIL  $name, $took s: $(ended "$code" "$limit")"
    fi
    return "$code"
}

# bounded SECONDS COMMAND...: `timeout` starts programs, not functions of this shell.
bounded() {
    seconds=$1
    shift
    if [ "$1" = ours ]; then
        shift
        ours timeout -k 3 "$seconds" "$@" </dev/null
    else
        timeout -k 3 "$seconds" "$@" </dev/null
    fi
}

# check NAME LIMIT COMMAND...: one line in the report; what failed leaves its end below it and all of it in
# failures.txt. Several at a time may run.
check() {
    name=$1 limit=$(within "$2")
    shift 2
    if [ "$(left)" -le 5 ]; then
        say "  not reached: $name"
        echo "$name" >>"$work/unreached"
        return 1
    fi
    last=$(mktemp "$work/check.XXXXXX")
    started=$(date +%s)
    bounded "$limit" "$@" >"$last" 2>&1
    code=$?
    took=$(($(date +%s) - started))
    if [ $code -eq 0 ]; then
        say "pass  $name, $took s"
    else
        echo "FAIL  $name, $took s: $(ended $code "$limit")" >"$last.report"
        tail -n 12 "$last" | cut -c 1-300 | sed 's/^/        /' >>"$last.report"
        cat "$last.report" >>"$report"
        cat "$last.report"
        { echo "== $name"; head -c 262144 "$last"; } >>"$out/failures.txt"
    fi
    rm -f "$last" "$last.report"
    return $code
}

# several LIMIT PREFIX PROGRAM...: a check each, some at a time: most of their time is one core's, of the double oracle.
several() {
    limit_each=$1 prefix=$2
    shift 2
    while [ $# -gt 0 ]; do
        wave='' count=0
        while [ $# -gt 0 ] && [ $count -lt "$at_once" ]; do
            check "$prefix: $(basename "$1")" "$limit_each" ours "$1" &
            wave="$wave $!" count=$((count + 1))
            shift
        done
        for pid in $wave; do wait "$pid"; done
    done
}

# ---- where things are ----

tool() { # NAME: a program of the toolkit, on PATH or in its usual folder
    command -v "$1" 2>/dev/null || { [ -x "/usr/local/cuda/bin/$1" ] && echo "/usr/local/cuda/bin/$1"; } ||
        for found in /opt/nvidia/nsight-compute/*/"$1"; do [ -x "$found" ] && echo "$found" && break; done
}

# Folders that hold a library of CUDA 13: pip's, PyTorch's, the toolkit's; pip's first, so that both sides of a
# comparison use the same.
library_folders() {
    {
        python3 -c 'import site, sys
print("\n".join(site.getsitepackages() + [site.getusersitepackages()] + sys.path))' 2>/dev/null
        for place in /usr/lib/python3*/*-packages /usr/local/lib/python3*/*-packages /opt/*/lib/python3*/*-packages; do
            echo "$place"
        done
    } | while IFS= read -r place; do
        for folder in "$place"/nvidia/*/lib "$place"/torch/lib; do [ -d "$folder" ] && echo "$folder"; done
    done | awk '!seen[$0]++' | while IFS= read -r folder; do
        for name in libcudart.so.13 libcublasLt.so.13 libcudnn.so.9 libnccl.so.2 libnvrtc.so.13; do
            [ -e "$folder/$name" ] && echo "$folder" && break
        done
    done
    for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib; do [ -d "$folder" ] && echo "$folder"; done
}

# A folder whose programs the system lets run; intermediates lie there, never in OUT.
work_folder() {
    for place in "${TMPDIR:-/tmp}" /var/tmp /dev/shm "$pack"; do
        work=$(mktemp -d "$place/gpu_check.XXXXXX" 2>/dev/null) || continue
        printf '#!/bin/sh\nexit 0\n' >"$work/try" && chmod +x "$work/try" && "$work/try" 2>/dev/null && return 0
        rm -rf "$work"
    done
    return 1
}

# ---- sections ----

smi() { # FIELDS: of the device, in one line; nothing where there is no such tool
    [ -z "$(command -v nvidia-smi)" ] || nvidia-smi --query-gpu="$1" --format=csv,noheader 2>&1 </dev/null
}

versions() {
    section "versions" || return
    say "  commit $(cat "$pack/commit")"
    say "  $(date -u '+%Y-%m-%d %H:%M UTC'), $(nproc 2>/dev/null || echo '?') cores, DEADLINE $DEADLINE s"
    smi name,driver_version,memory.total,clocks.max.sm,power.limit,compute_mode | relay versions
    for name in nvcc ncu compute-sanitizer; do say "  $name: $(tool $name || true)"; done
    say "  library folders: $libraries"
    figures "versions of driver and libraries" "$S_VERSIONS" ours "$bf16/gpu_smoke" versions
}

smoke() {
    section "smoke test" || return
    check "smoke test: own kernel, product, attention, convolution" "$S_SMOKE" ours "$bf16/gpu_smoke" && return
    [ "$AFTER_SMOKE" = go ] && return
    say "stop: the smoke test failed; what else there is would measure nothing"
    for name in streams blocks PyTorch operations "who served what" kernels traces ncu float sanitizer NCCL; do
        echo "$name" >>"$work/unreached"
    done
    finish
    exit 5
}

stream() { # NET SIZE
    section "stream $1 $2" &&
        figures "stream $1 $2" "$S_STREAM" ours "$bf16/bench_dit" part=stream net="$1" size="$2"
}

# price BEFORE AFTER: blocks of both files and the quotient of their times.
price() {
    awk 'function time(i) {for (i = 2; i <= NF; i++) if ($i == "ms") return $(i - 1); return 0}
         /^ *block/ {name = $0; sub(/^ */, "", name); sub(/  .*/, "", name); t = time()
                   if (FILENAME == ARGV[1]) before[name] = t
                   else if (before[name] > 0 && t > 0)
                       printf "  %s: deterministic %.3f times as long\n", name, t / before[name]}' "$1" "$2"
}

blocks() {
    section "training blocks" || return
    figures "training blocks" "$S_BLOCKS" ours "$bf16/bench_dit" part=blocks
    grep '^  block' "$report" >"$work/blocks"
    figures "training blocks, deterministic" "$S_BLOCKS" ours "$bf16/bench_dit" part=blocks deterministic=yes
    grep '^  block' "$report" | tail -n +$(($(grep -c '' "$work/blocks") + 1)) >"$work/deterministic"
    price "$work/blocks" "$work/deterministic" | while IFS= read -r line; do say "$line"; done
}

torch() {
    section "the same in PyTorch" || return
    works='import torch; assert torch.cuda.is_available(), "no GPU"'
    if reason=$(timeout -k 3 "$(within 40)" python3 -c "$works" 2>&1 </dev/null); then
        TORCHINDUCTOR_CACHE_DIR="$work/inductor" TRITON_CACHE_DIR="$work/triton" \
            figures "blocks in PyTorch" "$S_TORCH" python3 -u "$pack/bench_torch.py"
    else
        say "skip  PyTorch: $(echo "$reason" | tail -n 1)"
    fi
}

operations() {
    section "operations" && figures "operations" "$S_OPERATIONS" ours "$bf16/bench_dit" part=operations
}

# From what the parts before have told: own kernels and whatever has a reason by name, the libraries' calls as a sum.
served() {
    section "who served what" || return
    [ -s "$out/served.txt" ] || { say "skip  no part has told"; return; }
    sed 's/^[^:]*: //' "$out/served.txt" | awk '
        {calls = 0; for (i = 1; i < NF; i++) if ($(i + 1) ~ /^calls/) {calls = $i; $i = "CALLS"}
         split($0, part, ": "); split(part[2], by, ",")
         kinds[by[1]] += !seen[$0]++; sum[by[1]] += calls; of[$0] += calls}
        /calls; / || /\.cu, / {if (seen[$0] == 1) own[++n] = $0}
        END {for (i = 1; i <= n; i++) {line = own[i]; sub(/CALLS/, of[own[i]], line); print "  " line}
             for (k in kinds) printf "  %s: %d calls of %d kinds\n", k, sum[k], kinds[k]}' |
        while IFS= read -r line; do say "$line"; done
}

# The plain loops need a minute or two of one core: they run beside the device's work, four threads each.
loops() { # TYPE
    [ -x "$work/$1/stage_trace_ref" ] || return
    OMP_NUM_THREADS=$LOOP_THREADS LD_LIBRARY_PATH="$work/$1" timeout -k 3 "$(within 240)" \
        "$work/$1/stage_trace_ref" write "$work/$1.ref" >"$work/$1.log" 2>&1 </dev/null &
    echo $! >"$work/$1.pid"
}

# await TYPE: until its plain loops are done, a trace's limit long at most; 1: they are not, or they failed.
await() {
    [ -f "$work/$1.pid" ] || return 1
    patience=$(within "$S_TRACE")
    while kill -0 "$(cat "$work/$1.pid")" 2>/dev/null && [ "$patience" -gt 0 ]; do
        sleep 1
        patience=$((patience - 1))
    done
    [ "$patience" -gt 0 ] && wait "$(cat "$work/$1.pid")"
}

kernels() { # TYPE
    section "kernels against the oracle, $1" || return
    several "$S_TEST" "$1" "$work/$1"/test_*
}

traces() { # TYPE ALLOWED
    section "gradients and traces, $1" || return
    here="$work/$1"
    check "$1: stages on the device" "$S_TRACE" ours "$here/stage_trace" write "$work/$1.cuda" || return
    for run in once again; do # what is faster may add in another order
        check "$1: stages, deterministic, $run" "$S_TRACE" ours "$here/stage_trace" write "$work/$1.$run" deterministic
    done
    check "$1: two runs have the same bits" "$S_TRACE" cmp "$work/$1.once" "$work/$1.again"
    if await "$1"; then
        figures "$1: stages, device against plain loops (at most $2)" "$S_TRACE" \
            ours "$here/stage_trace" compare "$work/$1.cuda" "$work/$1.ref" "$2"
    else
        say "FAIL  $1: stages by plain loops on the host: not done, or $(tail -n 1 "$work/$1.log" 2>/dev/null)"
    fi
    rm -f "$work/$1.cuda" "$work/$1.once" "$work/$1.again" "$work/$1.ref"
}

profile() {
    section "six kernels under ncu" || return
    ncu=$(tool ncu)
    [ -n "$ncu" ] || { say "skip  ncu is not there"; return; }
    share=avg.pct_of_peak_sustained
    metrics=gpu__time_duration.sum,sm__throughput.${share}_elapsed,sm__inst_executed_pipe_tensor.${share}_active
    metrics=$metrics,dram__throughput.${share}_elapsed,sm__warps_active.${share}_active,launch__registers_per_thread
    figures "ncu" "$S_NCU" ours "$ncu" --clock-control none --profile-from-start off --metrics "$metrics" \
        "$bf16/bench_dit" part=kernels
}

sanitizer() { # what NCCL needs is left
    section "compute-sanitizer" || return
    sanitize=$(tool compute-sanitizer)
    [ -n "$sanitize" ] || { say "skip  compute-sanitizer is not there"; return; }
    for test in norm_rope norms gemm losses pointwise; do
        for kind in memcheck racecheck; do
            if [ $(($(left) - S_NCCL)) -lt 15 ]; then
                say "  not reached: $kind of test_kernels_$test"
                echo "$kind of test_kernels_$test" >>"$work/unreached"
                continue
            fi
            limit=$(($(left) - S_NCCL))
            [ $limit -lt "$S_SANITIZER" ] || limit=$S_SANITIZER
            check "$kind: test_kernels_$test" "$limit" \
                ours "$sanitize" --tool $kind --error-exitcode 9 "$bf16/test_kernels_$test"
        done
    done
}

nccl() {
    section "NCCL, one rank" && figures "NCCL, one rank" "$S_NCCL" ours "$bf16/nccl_one_rank"
}

# ---- run ----

finish() {
    say "== sum ($(($(date +%s) - begun)) s)"
    [ "$(find "$out" -type f | wc -l)" -le "$OUT_FILES" ] || say "FAIL  $out holds more than $OUT_FILES files"
    find "$out" -type f -size +"$((OUT_FILE_MIB * 1024))"k | while IFS= read -r file; do
        say "FAIL  $file is larger than $OUT_FILE_MIB MiB"
    done
    passes=$(grep -c '^pass  ' "$report") fails=$(grep -c '^FAIL  ' "$report")
    if [ -s "$work/unreached" ]; then
        sed 's/^/  not reached: /' "$work/unreached" | while IFS= read -r line; do say "$line"; done
    fi
    say "$passes passed, $fails failed, $(grep -c '' "$work/unreached") not reached"
}

clean() {
    [ -z "${holder:-}" ] || kill "$holder" 2>/dev/null
    for pid in "$work"/*.pid; do [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null; done
    rm -rf "$work"
}

# A device that takes one program at a time is neither kept awake by one nor given four tests at once.
keep_awake() {
    at_once=4
    case $(smi compute_mode) in *Exclusive*) at_once=1; return ;; esac
    mkfifo "$work/held" # the keeper ends with this shell, however that ends: then nobody holds the other side
    ours "$bf16/gpu_smoke" hold <"$work/held" >/dev/null 2>&1 &
    holder=$!
    exec 9>"$work/held"
}

refuse() { # CODE TEXT
    echo "gpu_check: $2" >&2
    exit "$1"
}

run() {
    begun=$(date +%s)
    pack=$(cd "$1" 2>/dev/null && pwd) && [ -f "$pack/commit" ] || refuse 2 "$1 is not what build packs"
    out=${2:-${OUT:-$pack/report}}
    mkdir -p "$out" && out=$(cd "$out" && pwd) && [ -w "$out" ] || refuse 3 "$out cannot be written"
    work_folder || refuse 3 "no folder for programs"
    export TMPDIR="$work" # tests' folders lie there, so that nothing stays of what crashed
    trap clean EXIT
    trap 'exit 130' INT TERM HUP
    report=$out/report.txt
    : >"$work/unreached"
    : >"$report"
    : >"$out/served.txt"
    : >"$out/failures.txt"
    for type in $TYPES; do
        [ ! -f "$pack/$type.tar.gz" ] || tar -C "$work" -xzf "$pack/$type.tar.gz" || refuse 3 "$type.tar.gz is damaged"
    done
    bf16=$work/bf16
    libraries="$bf16:$(library_folders | tr '\n' ':')${LD_LIBRARY_PATH:-}"
    keep_awake
    versions
    smoke
    for size in 928x704 768x512 704x384 512x512; do stream 5b $size; done
    for size in 832x480 720x400 512x512; do stream 1.3b $size; done
    blocks
    torch
    operations
    served
    for type in $TYPES; do loops "$type"; done
    kernels bf16
    traces bf16 0.06 # the bound of tests/golden/test_dit.c, for two roundings instead of one
    profile
    case " $TYPES " in *" float "*)
        kernels float
        traces float 1e-4 ;; # sums in another order
    esac
    sanitizer
    nccl
    finish
    [ "$fails" -eq 0 ] && [ "$passes" -gt 0 ]
}

case ${1:-} in
build) build "${2:-gpu_pack}" ;;
run) [ -n "${2:-}" ] || { echo "usage: gpu_check.sh run PACK [OUT]" >&2; exit 2; }; run "$2" "${3:-}" ;;
*) echo "usage: gpu_check.sh build [PACK] | run PACK [OUT]" >&2; exit 2 ;;
esac
