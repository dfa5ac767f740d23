#!/bin/sh
# ablations: Trains and measures the method with parts of it left out or changed, and prints one table.
#
# usage: streamavatar ablations CONFIG DATA_CONFIG RUN [ROW ...] [key=value ...]
#
# The rows are those of configs/ablations.txt, all of them unless some are named. All share one teacher, RUN's, which
# is trained first where it is missing; from causal initialisation on every row is trained with several seeds. A row of
# a seed is a run of its own in RUN/ablations, which begins where it differs from what the configs say. What is measured
# of its last student on held-out dialogues is kept in a small file; a row whose file fits the settings is not trained
# again. The table, RUN/ablations/table.md and table.png, has intervals over dialogues and seeds. If it is interrupted,
# the same command goes on where it stopped; if a row fails, the others go on. key=value holds for all rows.
#
# variables:
#   SEEDS        seeds, with commas or blanks between; default 1,2,3
#   RESULTS      folder of the rows' files, ROW-SEED.json; default RUN/ablations/results
#   TEACHER_DATA config of a data set for the teacher, causal initialisation and distillation, in latents of
#                DATA_CONFIG's codec, while refinement, the decoder and evaluation use DATA_CONFIG's; default: all do
#   JOBS         rows that are trained side by side, each with its share of the threads unless threads= says how many;
#                default: the cores, on a GPU 1
#   ROWS         another file of rows
#   FIGURES      columns of the table, as ablation_table's columns=
#   BIN          where the programs lie; default bin
[ "${1:-}" != --help ] || exec sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
BIN=${BIN:-bin} rows=${ROWS:-$(dirname "$0")/../configs/ablations.txt}
[ $# -ge 3 ] || {
    echo "ablations: expected CONFIG DATA_CONFIG RUN (see --help)" >&2
    exit 2
}
config=$1 data_config=$2 base=$3
seeds=$(echo "${SEEDS:-1,2,3}" | tr ', ' '\n\n' | grep . | sort -u)
wanted= common= number=0
for word; do
    number=$((number + 1))
    case $number,$word in
    [123],*) ;;
    *=*) common="$common $word" ;;
    *) wanted="$wanted $word" ;;
    esac
done
. "$(dirname "$0")/stages.sh"
results=${RESULTS:-$base/ablations/results}
shared=$base/ablations # each job's folder lies in it: ROW-SEED, and seed-SEED for what the rows of a seed share

# The rows without comments: NAME|FIRST|LAST|KEYS|WHAT, no blanks around the bars; whatever editor wrote them.
mark=$(printf '\357\273\277')
list() { tr '\r' '\n' <"$rows" | sed "1s/^$mark//" | grep -v '^ *#' | grep '|' | sed 's/ *| */|/g; s/^ *//; s/ *$//'; }
field() { list | awk -F'|' -v n="$1" -v k="$2" '$1 == n {print $k}'; } # field NAME NUMBER
[ -n "$wanted" ] || wanted=$(list | cut -d'|' -f1)
wanted=$(printf '%s\n' $wanted | awk '!seen[$0]++')
for row in $wanted; do
    [ -n "$(field "$row" 1)" ] || {
        echo "ablations: $rows has no row $row; it has $(list | cut -d'|' -f1 | tr '\n' ' ')" >&2
        exit 2
    }
done
for seed in $seeds; do
    case $seed in *[!0-9]*)
        echo "ablations: SEEDS: expected whole numbers, found $seed" >&2
        exit 2
        ;;
    esac
done

fail() { # fail CODE TEXT: ends a job
    echo "ablations: $2" >&2
    exit "$1"
}
say() { printf '\n== %s\n' "$*"; }
link() { [ -e "$2" ] || ln -sfn "$(realpath "$1")" "$2" || exit 3; } # link WHAT NAME
before() { # before STAGE: the stages that come first
    for stage in $stages; do
        [ "$stage" = "$1" ] && return
        echo "$stage"
    done
}
up_to() { before "$1" && echo "$1"; } # up_to STAGE: those and itself
data_of() { # data_of STAGE: the data set that it is trained on
    case $1,$TEACHER_DATA in
    *, | refine,* | "$decoder_stage",*) echo "$base/data.h5" ;;
    *) echo "$base/teacher_data.h5" ;;
    esac
}

# ---- settings ----

data_keys() { # the data sets' configs, which are part of what a row is known by; none where the data are given
    [ ! -f "$data_config" ] || echo "data_config=$data_config"
    [ -z "$TEACHER_DATA" ] || echo "teacher_data_config=$TEACHER_DATA"
}
fits() { # fits ROW SEED: its file was made with the present settings; if not, says why on standard error
    "$BIN/ablation_row" "$config" "$results/$1-$2.json" row="$1" last="$(field "$1" 3)" $(data_keys) \
        $common $(field "$1" 4) seed="$2"
}
settings() { # settings CONFIG STAGE KEYS...: numbers for all that decides on what a stage makes
    "$BIN/ablation_row" "$1" last="$2" "$@"
}
# Whether a stage in FOLDER was begun with other settings than CONFIG with KEYS: differs FOLDER STAGE KEYS... What it is
# measured on does not count.
differs() {
    made_with=$1/$2/config.yaml stage_named=$2
    shift 2
    [ -f "$made_with" ] &&
        [ "$(what_trains "$made_with")" != "$(what_trains "$config" "$@")" ]
}
what_trains() { # what_trains CONFIG KEYS...
    of=$1
    shift
    "$BIN/ablation_row" "$of" last="$stage_named" "$@" 2>&1 | sed "s/ measured .*//"
}

# ---- a job: this script again, with the same arguments and $ABLATION_JOB ----

# train FOLDER FIRST LAST KEYS...: a run's stages from FIRST to LAST, each exported; those that are done with the same
# settings are left alone, others begin anew.
train() {
    folder=$1 last=$3 on=
    first=$2
    shift 3
    for stage in $(up_to "$last"); do
        [ "$stage" = "$first" ] && on=1
        [ -n "$on" ] || continue
        if differs "$folder" "$stage" "$@"; then
            [ "$folder" != "$base" ] ||
                fail 2 "$base/$stage was trained with other settings: take its keys, or another RUN"
            say "$stage begins anew, because its settings are others now"
            rm -rf "$folder/export/$stage" "${folder:?}/$stage"
        fi
        [ ! -e "$folder/export/$stage/config.json" ] || continue
        [ "$stage" != ode_init ] || share_trajectories "$folder" "$@"
        say "$folder: $stage $*"
        begun=$(date +%s)
        "$BIN/$stage" "$config" run="$folder" data="$(data_of "$stage")" "$@" || exit
        "$BIN/export" "$config" stage="$stage" run="$folder" data="$(data_of "$stage")" \
            out="$folder/export/$stage" "$@" || exit
        timed "$stage" "$begun"
    done
}
timed() { # timed STAGE BEGUN: notes how long it took, for the estimate
    echo "$1 $(($(date +%s) - $2))" >>"$times"
    [ -z "$folder" ] || echo "$1 $(($(date +%s) - $2))" >>"$folder/seconds"
}
training_seconds() { # sums the row's own stages, the last time each ran
    awk '$1 != "evaluate" {last[$1] = $2} END {for (stage in last) sum += last[stage]; print sum + 0}' \
        "$folder/seconds"
}
# The trajectories of a seed depend on the teacher and its sampler alone, so that rows share them, unless their keys
# change the teacher, the sampler or the shape of clips.
share_trajectories() { # share_trajectories FOLDER KEYS...
    [ -d "$trunk/recorded/ode_init/trajectories" ] && [ -z "$own_trajectories" ] || return 0
    mkdir -p "$1/ode_init" && link "$trunk/recorded/ode_init/trajectories" "$1/ode_init/trajectories"
}
share() { # share FROM FOLDER STAGE...: links stages that another run has trained
    from=$1 to=$2
    shift 2
    mkdir -p "$to/export" || exit 3
    for stage; do
        [ -e "$from/export/$stage/config.json" ] || fail 3 "$from has no $stage: it failed"
        link "$from/$stage" "$to/$stage"
        link "$from/export/$stage" "$to/export/$stage"
    done
}

record_job() { # record_job SEED: the teacher's trajectories
    folder=$trunk/recorded
    share "$base" "$folder" teacher
    ! differs "$folder" ode_init $common seed="$1" ode_init.steps=0 || rm -rf "$folder/ode_init"
    begun=$(date +%s)
    "$BIN/ode_init" "$config" run="$folder" data="$(data_of ode_init)" $common seed="$1" ode_init.steps=0 || exit
    timed record "$begun"
}
trunk_job() { # trunk_job SEED LAST: what CONFIG says, up to the stage LAST
    share "$base" "$trunk" teacher
    train "$trunk" ode_init "$2" $common seed="$1"
}
row_job() { # row_job ROW SEED
    first=$(field "$1" 2) last=$(field "$1" 3) keys=$(field "$1" 4) what=$(field "$1" 5)
    folder=$shared/$1-$2
    case " $keys" in
    *' ode_init.loss='* | *' ode_init.sampler.'* | \
        *' ode_init.batch='* | *' ode_init.trajectories='* | *' frames='* | *' model.'* | \
        *' rollout.sigma='*) own_trajectories=1 ;;
    esac
    case $first in
    -) share "$base" "$folder" teacher && share "$trunk" "$folder" $(up_to "$last" | sed 1d) ;;
    teacher) mkdir -p "$folder" ;;
    *) share "$base" "$folder" teacher && share "$trunk" "$folder" $(before "$first" | sed 1d) ;;
    esac
    [ "$first" = - ] || train "$folder" "$first" "$last" $common $keys seed="$2"
    say "$folder: evaluation"
    begun=$(date +%s)
    "$BIN/evaluate" "$config" run="$folder" data="$(data_of refine)" last="$last" $features_key \
        $common $keys || exit
    timed evaluate "$begun"
    "$BIN/ablation_row" "$config" "$results/$1-$2.json" row="$1" last="$last" report="$folder/report.json" \
        what="$what" against="$(field "$1" 6)" seconds="$(training_seconds)" $(data_keys) $common $keys seed="$2"
}
# Does a job ("record SEED", "trunk SEED LAST", "row ROW SEED") with its log in its folder, and says how it ended.
# xargs stops at code 255: after an interruption nothing more is begun.
job() {
    set -- $ABLATION_JOB
    case $1 in
    row) name=$2-$3 seed=$3 ;;
    *) name=seed-$2 seed=$2 ;;
    esac
    trunk=$shared/seed-$seed own_trajectories= folder=
    mkdir -p "$shared/$name" || exit 3
    job_log=$shared/$name/log.$1.txt kind=$1 job_begun=$(date +%s)
    shift
    ("${kind}_job" "$@") >"$job_log" 2>&1 </dev/null
    code=$?
    echo "$kind $*" >>"$finished"
    minutes=$((($(date +%s) - job_begun + 30) / 60))
    case $code in
    0) echo "$kind $*: done in $minutes minutes; $(estimate)" ;;
    129 | 130 | 137 | 143) exit 255 ;;
    *)
        echo "$kind $*: FAILED ($code): $(tail -n 1 "$job_log") (see $job_log)"
        echo "$code" >>"$failed"
        ;;
    esac
}

# ---- the order of the jobs ----

times=$shared/times finished=$shared/finished failed=$shared/failed queue=$shared/queue

# The stages that each job in the queue goes through, as "JOB: STAGE ..."
plan_of() {
    case $1 in
    record) echo "record" ;;
    trunk) up_to "$3" | sed 1d ;;
    row)
        first=$(field "$2" 2)
        [ "$first" = - ] || { up_to "$(field "$2" 3)" && before "$first"; } | sort | uniq -u
        echo "evaluate"
        ;;
    esac
}
# What is left to do, from the mean time of every stage so far.
estimate() {
    awk -v jobs="$jobs" '
        FILENAME ~ /times$/ {sum[$1] += $2; count[$1]++; next}
        FILENAME ~ /finished$/ {done[$0] = 1; next}
        {
            job = $0
            sub(/:.*/, "", job)
            if (job in done) next
            for (i = split(substr($0, length(job) + 2), stage, " "); i > 0; i--)
                if (count[stage[i]]) left += sum[stage[i]] / count[stage[i]]; else unknown = 1
        }
        END {
            if (!left && unknown) print "how long it takes is known when the first row is done"
            else printf "%s %.0f minutes left\n", unknown ? "more than" : "about", left / jobs / 60
        }' "$times" "$finished" "$queue"
}
# Prints the jobs that are to do, in three groups (1, 2, 3), each of which needs the one before: the seeds'
# trajectories; what the rows of a seed share, and the rows that train from causal initialisation on; the other rows.
jobs_to_do() {
    for seed in $seeds; do
        last= starts=
        for row in $wanted; do
            fits "$row" "$seed" 2>/dev/null && continue
            first=$(field "$row" 2) end=$(field "$row" 3)
            case $first in
            teacher) echo "2 row $row $seed" && continue ;;
            ode_init)
                echo "2 row $row $seed"
                case $(field "$row" 4) in *ode_init.loss=consistency*) ;; *) starts=1 ;; esac
                continue
                ;;
            -) echo "3 row $row $seed" ;;
            *) echo "3 row $row $seed" && end=$(before "$first" | tail -n 1) ;;
            esac
            [ -n "$last" ] && up_to "$last" | grep -qx "$end" || last=$end
        done
        [ -z "$last" ] || echo "1.5 trunk $seed $last"
        [ -z "$last$starts" ] || echo "1 record $seed"
    done | sort -s -n -k 1,1
}
group() { # group NUMBER...: runs these groups' jobs side by side
    grep -E "^($1) " "$shared/jobs" | cut -d' ' -f2- >"$shared/group"
    count=$(wc -l <"$shared/group")
    [ "$count" -gt 0 ] || return 0
    side=$jobs
    [ "$count" -ge "$side" ] || side=$count
    threads=
    case "$gpu $common" in
    ' '*' threads='*) ;; # the command says how many
    ' '*) threads="threads=$(($(nproc) / side > 0 ? $(nproc) / side : 1))" ;;
    esac
    shift
    xargs -P "$side" -I{} env ABLATION_JOB={} sh "$0" "$@" $threads <"$shared/group" 9>&-
    [ $? -lt 124 ] || fail 130 "interrupted; the same command goes on"
}

# The base run: the data sets, the decoder and the teacher, with all threads.
prepare_base() {
    if [ ! -e "$base/data.h5" ]; then
        say "$base/data.h5"
        "$BIN/prepare" "$data_config" out="$base/data.h5" || exit
    fi
    if [ -n "$TEACHER_DATA" ] && [ ! -e "$base/teacher_data.h5" ]; then
        say "$base/teacher_data.h5"
        "$BIN/prepare" "$TEACHER_DATA" out="$base/teacher_data.h5" codec_from="$base/data.h5" || exit
    fi
    if [ ! -e "$base/export/teacher/config.json" ]; then # what comes next is not there: the decoder may not be done
        say "$base: $decoder_stage"
        "$BIN/$decoder_stage" "$config" run="$base" data="$(data_of "$decoder_stage")" $keys_of_all || exit
    fi
    if [ -n "$features_key" ] && [ ! -e "$base/features.safetensors" ]; then
        say "$base/features.safetensors"
        "$BIN/features" "$base/data.h5" out="$base/features.safetensors" || exit
    fi
}

keys_of_all=$common
# The last student streams every dialogue twice, from other noise the second time.
common="$(decoder_key "$base") evaluate.reseeded=10000 $common"
# A network of features measures too, where the data set holds the pictures that it learns from.
features_key=
[ ! -x "$BIN/features" ] || ! grep -q '^pictures: *true' "$data_config" 2>/dev/null ||
    features_key=features=$base/features.safetensors
gpu=
case $("$BIN/teacher" --version) in *'backend cuda,'*) gpu=1 ;; esac
jobs=${JOBS:-$([ -n "$gpu" ] && echo 1 || nproc)}
if [ -n "$ABLATION_JOB" ]; then
    job
    exit
fi

mkdir -p "$shared" "$results" || exit 3
# One command a run: two would write each other's lists of jobs. Programs of one that was interrupted may end a little
# later. Only code 1 says that another has the lock; file systems without locks have other codes.
exec 9>"$shared/lock" || exit 3
flock -w 5 9 2>/dev/null
[ $? -ne 1 ] || fail 3 "another command is at work in $shared"
jobs_to_do >"$shared/jobs" || exit
: >"$failed"
: >"$finished"
touch "$times"
if [ -s "$shared/jobs" ]; then
    folder=$base trunk=
    prepare_base
    train "$base" teacher teacher $common
    cut -d' ' -f2- "$shared/jobs" | while read -r job; do echo "$job: $(plan_of $job | tr '\n' ' ')"; done >"$queue"
    say "$(grep -c row "$shared/jobs") rows to train, $jobs side by side; $(estimate)"
    group 1 "$@"
    group '1\.5|2' "$@"
    group 3 "$@"
fi

say "$shared/table.md"
files= missing=
for row in $wanted; do
    for seed in $seeds; do
        if fits "$row" "$seed" 2>/dev/null; then
            files="$files $results/$row-$seed.json"
        else
            missing="$missing $row-$seed"
        fi
    done
done
[ -z "$missing" ] || echo "not in the table, because they failed:$missing"
[ -n "$files" ] || fail "$(head -n 1 "$failed")" "no row is done"
"$BIN/ablation_table" $files out="$shared/table.md" plot="$shared/table.png" ${FIGURES:+columns="$FIGURES"} || exit
cat "$shared/table.md"
if command -v gnuplot >/dev/null 2>&1; then gnuplot "$shared/table.png.gnuplot"; else echo "no gnuplot: no plot"; fi
exit "$(head -n 1 "$failed" | grep . || echo 0)"
