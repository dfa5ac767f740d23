#!/bin/sh
# gpu_rehearsal.sh: the visit to a GPU (scripts/gpu_check.sh), rehearsed in a bare root: a system without any of our
# libraries, and stand-ins for CUDA's (tests/gpu/standin.c), which lie in PyTorch's folders only. Kernels do nothing
# there, so that tests fail and rates mean nothing: what is tried is that every program starts, every section ends with
# a figure or a reason, and nothing measured is lost. Takes root, nvcc's pack and some minutes, so that it skips unless
# GPU_REHEARSAL is set, and is not part of `make test`.
#   GPU_REHEARSAL=1 sh tests/e2e/gpu_rehearsal.sh [whole] [smoke] [short] [kill]     all four where none is named
#     whole   all sections, and the time of each
#     smoke   the smoke test fails: the run stops early, and says what was not reached
#     short   a deadline of SHORT seconds: it is kept, and what was not reached is listed
#     kill    KILLS runs, each killed at a random second: the report holds every line that was printed (SEED)
# KEEP: a folder that is made for the whole run's report.
# GPU_PACK: a pack that `gpu_check.sh build` has made; without it one is made.
[ -n "${GPU_REHEARSAL:-}" ] || { echo "GPU_REHEARSAL is not set"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "a bare root takes root's rights"; exit 77; }
. tests/e2e/checks
CUDA_HOME=${CUDA_HOME:-/usr/local/cuda} PACK=${GPU_PACK:-gpu_pack}
SHORT=${SHORT:-40} KILLS=${KILLS:-10} SEED=${SEED:-$(date +%s)}
root=$work/root out=$work/root/visit/out
[ -f "$PACK/commit" ] || sh scripts/gpu_check.sh build "$PACK" || exit 1

# into DESTINATION FILE...: with the libraries that they want, where the loader looks for them
into() {
    to=$1
    shift
    for file in "$@"; do
        mkdir -p "$root$to" && cp -L "$file" "$root$to/"
        ldd "$file" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | while read -r library; do
            mkdir -p "$root$(dirname "$library")" && cp -Ln "$library" "$root$library"
        done
    done
}

standin() { # MACRO NAME FOLDER
    mkdir -p "$root$3"
    echo "$2 { global: *; };" >"$work/map"
    ${CC:-gcc} -shared -fPIC -O1 -DSTANDIN_"$1" -I"$CUDA_HOME/include" -Wl,-soname,"$2" \
        -Wl,--version-script="$work/map" -o "$root$3/$2" tests/gpu/standin.c
}

script() { # PATH: its text from standard input
    mkdir -p "$root$(dirname "$1")"
    cat >"$root$1" && chmod +x "$root$1"
}

make_root() {
    site=/usr/lib/python3/site-packages
    mkdir -p "$root/tmp" "$root/proc" "$root/dev" "$root/visit"
    for name in sh awk basename cat chmod cmp cp cut date dirname du env find grep gzip head id kill mkdir mkfifo \
        mktemp nproc printf rm sed sleep sort tail tar timeout tr uname wc; do
        file=$(command -v $name) && [ -f "$file" ] && into /bin "$file"
    done
    for library in libstdc++.so.6 libgcc_s.so.1; do # the runtime of C++, which CUDA's libraries need too
        into /lib "$(${CC:-gcc} -print-file-name=$library)"
    done
    standin CUDART libcudart.so.13 $site/nvidia/cu13/lib && standin CUBLASLT libcublasLt.so.13 $site/nvidia/cu13/lib &&
        standin NVRTC libnvrtc.so.13 $site/nvidia/cu13/lib && standin CUDNN libcudnn.so.9 $site/nvidia/cudnn/lib &&
        standin NCCL libnccl.so.2 $site/nvidia/nccl/lib || return 1
    # Python as far as it is asked; PyTorch must not meet the libraries that our programs are shown.
    script /bin/python3 <<EOF
#!/bin/sh
case "\${LD_LIBRARY_PATH:-}" in ?*) echo "LD_LIBRARY_PATH reaches PyTorch: \$LD_LIBRARY_PATH"; exit 9 ;; esac
case "\$*" in *"import site"*) echo $site ;; *bench_torch*) echo "torch of the stand-in, block: 1.000 ms" ;; esac
EOF
    # Tools of the toolkit, off PATH: their own options, then the program.
    for name in ncu compute-sanitizer; do
        script /usr/local/cuda/bin/$name <<'EOF'
#!/bin/sh
while [ $# -gt 0 ] && ! { [ -f "$1" ] && [ -x "$1" ]; }; do shift; done
echo "==STAND-IN== looks on"
exec "$@"
EOF
    done
    cp -r "$PACK" "$root/visit/gpu_pack"
    mknod "$root/dev/null" c 1 3 && chmod 666 "$root/dev/null"
}

# visit SCREEN KEY=VALUE...: the one command, as on the machine, in a session of its own; pid: its process
visit() {
    screen=$1
    shift
    rm -rf "$out" && mkdir -p "$out"
    setsid unshare -m sh -c 'mount -t proc proc "$1/proc" && shift && exec chroot "$@"' sh "$root" "$root" \
        /bin/env -i PATH=/bin:/usr/bin OUT=/visit/out "$@" \
        /bin/sh -c 'cd /visit && exec sh gpu_pack/gpu_check.sh run gpu_pack' >"$screen" 2>&1 </dev/null &
    pid=$!
}

# What every section must end with: a verdict, a reason, or (who served what) sums. Prints those that have none.
unended() {
    awk '/^== / {if (name && !ends) print name; name = $0; ends = name ~ /not reached|^== sum/; next}
         /^(pass|FAIL|skip)  / || /not reached: / || /^  .*: [0-9]+ calls of [0-9]+ kinds/ {ends = 1}
         END {if (name && !ends) print name}' "$1"
}

# Lines of the screen that the report lacks; their order is another where several tests run at a time. A shell that
# outlives its child for a moment when all are killed says so on the screen alone.
unreported() {
    grep -vx 'Killed' "$work/screen" | sort >"$work/printed"
    sort "$out/report.txt" | comm -23 "$work/printed" -
}

section_times() { # the sections' wall times, from their beginnings
    awk '/^== .*\([0-9]+ s\)$/ {t = $(NF - 1); sub(/\(/, "", t); if (name) printf "  %4d s  %s\n", t - before, name
                               name = $0; sub(/^== /, "", name); sub(/ \([0-9]+ s\)$/, "", name); before = t}' "$1"
}

whole() {
    begun=$(date +%s)
    visit "$work/screen" AFTER_SMOKE=go
    wait $pid
    whole_seconds=$(($(date +%s) - begun)) report=$out/report.txt
    log=$report
    section_times "$report"
    files=$(find "$out" -type f | wc -l)
    echo "  $(tail -n 1 "$report"), $whole_seconds s in all, $files files, $(du -sk "$out" | cut -f1) KiB"
    [ "$whole_seconds" -le 565 ]
    verdict $? "the deadline of 560 s: $whole_seconds s"
    [ -z "$(unended "$report")" ]
    verdict $? "sections without a figure or a reason: $(unended "$report")"
    ! grep -rE 'error while loading|cannot open shared object|no version information|: not found|does not start' \
        "$out" "$work/screen" >"$work/missing"
    verdict $? "something is missing there: $(head -n 3 "$work/missing")"
    [ -z "$(unreported)" ]
    verdict $? "printed, but not in the report: $(unreported | head -n 3)"
    for pattern in '^== stream 5b 928x704' '^== stream 1.3b 512x512' '^pass  stream 5b 928x704' \
        '^pass  stream 1.3b 720x400' '^  first frame, fresh open:' '^  block 928 x 704' \
        'deterministic [0-9.]* times as long' '^pass  blocks in PyTorch' '^  convolution .* weight' \
        '^  library: /usr/lib/python3' 'attention backward .*attention_mma.cu.*buildDAG' \
        'convolution, weight .*conv.cu.*no engine' ' test_session, ' '^pass  bf16: two runs have the same bits' \
        '^  profiled: attention' '^pass  float: two runs' 'memcheck: test_kernels_norm_rope' '^pass  NCCL, one rank'; do
        grep -qE "$pattern" "$report"
        verdict $? "the report lacks: $pattern"
    done
    [ "$files" -le 8 ] && [ -z "$(find "$out" -mindepth 3)" ] && [ -z "$(find "$out" -size +16384k)" ]
    verdict $? "OUT holds too much"
    [ -z "${KEEP:-}" ] || cp -r "$out" "$KEEP"
    [ -z "$(ls "$root/tmp")" ]
    verdict $? "left in /tmp: $(ls "$root/tmp")"
}

smoke() {
    visit "$work/screen"
    wait $pid
    code=$? log=$out/report.txt
    [ $code -eq 5 ] && grep -q '^stop: the smoke test failed' "$log" && grep -q '^  not reached: streams' "$log" &&
        ! grep -q '^== stream' "$log"
    verdict $? "a failed smoke test: exit $code"
}

short() {
    begun=$(date +%s)
    visit "$work/screen" AFTER_SMOKE=go DEADLINE="$SHORT"
    wait $pid
    took=$(($(date +%s) - begun)) log=$out/report.txt
    [ $took -le $((SHORT + 2)) ]
    verdict $? "a deadline of $SHORT s: $took s"
    [ -z "$(unended "$log")" ] && grep -q 'not reached' "$log" && tail -n 1 "$log" | grep -qE '[1-9][0-9]* not reached$'
    verdict $? "what a short visit leaves out is not listed"
}

# All of a session that `visit` began, at once.
kill_visit() {
    pkill -KILL -s "$pid"
    wait "$pid" 2>/dev/null
}

kill_at_random() {
    longest=${whole_seconds:-120}
    echo "  seed $SEED, seconds up to $longest"
    seconds=$(awk -v seed="$SEED" -v n="$KILLS" -v most="$longest" \
        'BEGIN {srand(seed); for (i = 0; i < n; i++) printf "%.1f ", 1 + rand() * (most - 1)}')
    for after in $seconds; do
        visit "$work/screen" AFTER_SMOKE=go
        sleep "$after"
        kill_visit
        log=$out/report.txt lost=$(unreported)
        sections=$(grep -c '^== ' "$log")
        # The last section was under way; those before must have ended.
        open=$(unended "$log" | grep -vxF "$(grep '^== ' "$log" | tail -n 1)")
        echo "  killed after $after s: $sections sections begun, $(wc -l <"$log") lines"
        [ -z "$lost$open" ] && { [ "$sections" -ge 1 ] ||
            ! grep -q '^== ' "$work/screen"; } # unpacking comes before the first
        verdict $? "killed after $after s: lost \"$lost\", ended without a word \"$open\""
    done
}

make_root
verdict $? "a bare root"
for part in ${*:-whole smoke short kill}; do
    case $part in
    whole | smoke | short) echo "$part"; $part ;;
    kill) echo kill; kill_at_random ;;
    *) echo "gpu_rehearsal: $part is none of whole, smoke, short, kill"; exit 2 ;;
    esac
done
finish
