#!/bin/sh
# mutations.sh: damages files as disks, networks and memory do (a bit, a byte, a run of zeros, a run of noise, an
# early end) and reads them: COUNT of each kind by every reader inside one process (tests/mutations), PROGRAMS of each
# kind by the programs themselves. Files of ours with sums must be refused or give the same result; others must not
# crash or hang a program, nor give a picture that is not finite. Every refusal is one line and exit code 2, 3 or 4.
# What fails is printed with the command that repeats it. Readers that decode take only a part of COUNT (readers.c).
#   usage: sh scripts/mutations.sh [COUNT [PROGRAMS [SEED]]]      (10000 and 300: 30 minutes on two cores)
# BIN: the programs; BUILD: the tests' (tests/programs); JOBS: processes.
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float} JOBS=${JOBS:-$(nproc)}
count=${1:-10000} programs=${2:-300} seed=${3:-$(date +%s)}
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
work=$(mktemp -d "${TMPDIR:-/tmp}/mutations-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tests=$BUILD/tests/programs samples=$work/samples began=$(date +%s)
echo "seed $seed"

# ---- the samples: small, but of every kind ----

must() { "$@" >"$work/log" 2>&1 || { echo "mutations: $*"; tail -n 3 "$work/log"; exit 1; }; }
all="configs/tiny.yaml data=$samples/data/data.h5 run=$work/run threads=1"
for folder in data state transformer vae prompts mp4 mkv png wav yaml umt5; do mkdir -p "$samples/$folder"; done
must "$tests/mutations" samples "$samples"
must "$tests/tiny_dataset" configs/tiny.yaml "$samples/data/data.h5" 16 12 4
must "$BIN/teacher" $all teacher.steps=2
must "$BIN/export" $all stage=teacher shard_mb=0.1 out="$samples/student"
must "$BIN/export" $all stage=teacher type=bf16 naming=original out="$work/bf16"
cp "$work"/bf16/transformer/* "$samples/transformer"
cp "$samples/student/text.safetensors" "$samples/prompts"
cp "$(ls "$work"/run/teacher/checkpoints/*.h5 | tail -n 1)" "$samples/state/state.h5"
cp "$(ls "$work"/run/teacher/checkpoints/*.sum | tail -n 1)" "$samples/state/state.h5.sum"
must "$tests/tiny_vae" wan22 "$samples/vae/vae.safetensors" 4
must "$tests/tiny_wav2vec2" "$samples/wav2vec2" 1
must "$tests/tiny_text_encoder" "$samples/umt5/model.safetensors"
must "$BIN/puppet" "$work/clips" size=32 identities=1 clips=1 seconds=1
cp "$(ls "$work"/clips/*.mp4)" "$samples/mp4/clip.mp4"
cp tests/inputs/clip.mkv "$samples/mkv"
cp tests/inputs/picture.png "$samples/png"
cp configs/demo_data.yaml "$samples/yaml/prepare.yaml"
must "$tests/forward_input" "$work/input.safetensors" 1 16 3 4 6 5 8 16
cp tests/inputs/sound.wav "$samples/wav"

# ---- the readers ----

failed=0
"$tests/mutations" read "$samples" "$count" "$seed" "$JOBS" || failed=1
echo "readers: $(($(date +%s) - began)) s"

# ---- the programs ----

# use WHAT FOLDER: runs the program that reads the sample WHAT, which lies in FOLDER; what it made is in FOLDER/result
use() {
    sound=$samples/wav/sound.wav picture=$samples/png/picture.png student=$samples/student
    case $1 in
    student) set -- "$2" stream "$2/student" reference="$picture" audio="$sound" out=- threads=1 ;;
    data) set -- "$2" teacher configs/tiny.yaml data="$2/data/data.h5" run="$2/run" threads=1 teacher.steps=3 ;;
    transformer) set -- "$2" forward "$2/transformer" "$work/bare.safetensors" "$2/velocity" threads=1 ;;
    prompts)
        set -- "$2" stream "$student" reference="$picture" audio="$sound" out=- threads=1 \
            text="$2/prompts/text.safetensors"
        ;;
    png) set -- "$2" stream "$student" reference="$2/png/picture.png" audio="$sound" out=- threads=1 ;;
    wav) set -- "$2" stream "$student" reference="$picture" audio="$2/wav/sound.wav" out=- threads=1 ;;
    mp4) set -- "$2" stream "$student" reference="$2/mp4/clip.mp4" audio="$2/mp4/clip.mp4" out=- threads=1 ;;
    esac
    folder=$1 program=$2
    shift 2
    rm -rf "$folder/run" "$folder/velocity"
    timeout -k 5 60 "$BIN/$program" "$@" >"$folder/result" 2>"$folder/log" </dev/null
    code=$?
    metrics=$folder/run/teacher/metrics.jsonl
    [ ! -f "$metrics" ] || sed -E 's/"(time|ms|wait_ms)": [^,}]*//g' "$metrics" >"$folder/result"
    [ ! -f "$folder/velocity" ] || cp "$folder/velocity" "$folder/result"
}
ours="student data" kinds="bit byte zeros noise cut" whats="student data transformer prompts png wav mp4"
must "$tests/forward_input" "$work/bare.safetensors" 1 16 3 4 6 5 8 0
mkdir "$work/good"
for what in $whats; do
    mkdir "$work/good/$what"
    cp -r "$samples/$what" "$work/good/$what"
    use "$what" "$work/good/$what"
    [ $code -eq 0 ] && [ -s "$work/good/$what/result" ] && continue
    echo "mutations: $what as it is: exit code $code"
    cat "$work/good/$what/log"
    exit 1
done

# one JOB KIND NUMBER WHAT: a damaged copy through its program; prints what is wrong with what came of it
one() {
    folder=$work/job$1
    rm -rf "$folder" && mkdir "$folder" && cp -r "$samples/$4" "$folder"
    files=$(find "$folder/$4" -type f | sort)
    at=$((($3 * 7919 + seed) % $(echo "$files" | wc -l) + 1))
    file=$(echo "$files" | sed -n "${at}p") number=$((seed * 1000003 + $3))
    "$tests/mutations" damage "$2" "$number" "$file" || return
    use "$4" "$folder"
    case "$code $(grep -c "^$program: " "$folder/log")" in
    0\ *)
        case " $ours " in
        *" $4 "*) cmp -s "$folder/result" "$work/good/$4/result" || wrong="another result in silence" ;;
        esac
        ;;
    [234]\ 1) ;;
    *) wrong="exit code $code: $(tail -n 1 "$folder/log")" ;;
    esac
    [ -z "$wrong" ] || echo "$program, $4 ($2, $number, ${file#"$folder"/}): $wrong"
    echo "$4 $code" >>"$work/codes$1"
}
share() { # share JOB: every JOBS-th case
    n=0
    for kind in $kinds; do
        i=0
        while [ $i -lt "$programs" ]; do
            for what in $whats; do
                [ $i -lt "$programs" ] || break
                if [ $((n % JOBS)) -eq "$1" ]; then
                    wrong=
                    one "$1" "$kind" "$n" "$what"
                fi
                i=$((i + 1)) n=$((n + 1))
            done
        done
    done >"$work/wrong$1" 2>&1
}
job=0
while [ $job -lt "$JOBS" ]; do
    share $job &
    job=$((job + 1))
done
wait
cat "$work"/codes* | sort | uniq -c | awk '{print "programs: " $2 ", exit code " $3 ": " $1}'
cat "$work"/wrong*
[ ! -s "$work/wrong0" ] && [ -z "$(cat "$work"/wrong*)" ] || failed=1
echo "$programs of each kind by the programs; $(($(date +%s) - began)) s in all; seed $seed"
[ $failed -eq 0 ] && echo "no damage did harm"
exit $failed
