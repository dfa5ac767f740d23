#!/bin/sh
# ablations: Trains and measures the method with parts of it left out or changed, and prints one table.
#
# usage: streamavatar ablations CONFIG DATA_CONFIG RUN [ROW ...] [key=value ...]
#
# The rows are those of configs/ablations.txt, all of them unless some are named. Each is a run of its own in
# RUN/ablations/NAME that begins where it differs from the base run. The base run is RUN itself (as scripts/demo.sh
# makes it); whatever it lacks is trained first. If it is interrupted, the same command goes on where it stopped. The
# columns are what evaluate measures of the row's last student, which streams held-out puppet dialogues. key=value holds
# for all stages of all rows. $BIN (default bin) is where the programs lie, $ROWS another file of rows.
[ "${1:-}" != --help ] || exec sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
BIN=${BIN:-bin} rows=${ROWS:-$(dirname "$0")/../configs/ablations.txt}
[ $# -ge 3 ] || {
    echo "ablations: expected CONFIG DATA_CONFIG RUN (see --help)" >&2
    exit 2
}
config=$1 data_config=$2 base=$3
shift 3
wanted= common=
for word; do
    case $word in
    *=*) common="$common $word" ;;
    *) wanted="$wanted $word" ;;
    esac
done
. "$(dirname "$0")/stages.sh"

# The rows without comments: NAME|FIRST|LAST|KEYS|WHAT, no blanks around the bars; whatever editor wrote them.
mark=$(printf '\357\273\277')
list() { tr '\r' '\n' <"$rows" | sed "1s/^$mark//" | grep -v '^ *#' | grep '|' | sed 's/ *| */|/g; s/^ *//'; }
field() { list | awk -F'|' -v n="$1" -v k="$2" '$1 == n {print $k}'; } # field NAME NUMBER
[ -n "$wanted" ] || wanted=$(list | cut -d'|' -f1)
for row in $wanted; do
    [ -n "$(field "$row" 1)" ] || {
        echo "ablations: $rows has no row $row; it has $(list | cut -d'|' -f1 | tr '\n' ' ')" >&2
        exit 2
    }
done

say() { printf '\n== %s\n' "$*"; }
# train FOLDER FIRST LAST KEYS: its stages from FIRST to LAST, each exported.
train() {
    folder=$1 first=$2 last=$3 keys=$4 on=
    for stage in $stages; do
        [ "$stage" = "$first" ] && on=1
        if [ -n "$on" ] && [ ! -e "$folder/export/$stage/config.json" ]; then
            say "$folder: $stage $keys"
            "$BIN/$stage" "$config" run="$folder" data="$base/data.h5" $common $keys &&
                "$BIN/export" "$config" stage=$stage run="$folder" data="$base/data.h5" out="$folder/export/$stage" \
                    $common $keys || exit
        fi
        [ "$stage" = "$last" ] && break
    done
}
link() { [ -e "$2" ] || [ -L "$2" ] || ln -s "$(realpath "$1")" "$2" || exit; } # link WHAT NAME
# Links into a row's folder what it shares with the base run: the stages before FIRST, the trajectories (which depend on
# the teacher alone), and a student in place of the stages that follow LAST, so that the report has its columns.
share() { # share FOLDER FIRST
    mkdir -p "$1/export" || exit
    for stage in $stages; do
        [ "$stage" = "$2" ] && break
        link "$base/$stage" "$1/$stage"
        link "$base/export/$stage" "$1/export/$stage"
    done
    if [ "$2" = ode_init ] && [ ! -e "$1/ode_init" ]; then
        mkdir "$1/ode_init" && cp -r "$base"/ode_init/trajectories* "$1/ode_init/" || exit
    fi
}
measure() { # measure FOLDER LAST KEYS
    [ -e "$1/report.json" ] && return
    [ "$2" = refine ] || link "$1/export/$2" "$1/export/refine"
    say "$1: evaluation"
    "$BIN/evaluate" "$config" run="$1" data="$base/data.h5" $common $3 || exit
}
# One figure of a report: figure FILE GROUP KEY; "-" where the group has none
figure() {
    awk -v g="\"$2\":" -v k="\"$3\":" \
        '$1 == g {on = 1} on && $1 == k {sub(/,$/, "", $2); v = $2; exit} on && $1 ~ /^}/ {exit}
        END {print v == "" ? "-" : v}' "$1"
}
columns="lip_sync lip_sync_shuffled sharpness hand_motion_ratio listen_motion_ratio identity_psnr_first"
columns="$columns identity_psnr_last"
table() {
    printf '| row |'
    for c in $columns; do printf ' %s |' "$c"; done
    printf ' |\n| --- |'
    for c in $columns; do printf ' --- |'; done
    printf ' --- |\n'
    for row in $wanted; do
        report=$base/ablations/$row/report.json group=refined
        if [ "$(field "$row" 2)" = - ]; then
            report=$base/report.json
            [ "$(field "$row" 3)" = refine ] || group=distilled
        fi
        printf '| %s |' "$row"
        for c in $columns; do printf ' %s |' "$(figure "$report" $group "$c")"; done
        printf ' %s |\n' "$(field "$row" 5)"
    done
}

mkdir -p "$base/ablations" || exit
if [ ! -e "$base/data.h5" ]; then
    say "data"
    "$BIN/prepare" "$data_config" out="$base/data.h5" || exit
fi
if [ ! -e "$base/export/teacher/config.json" ]; then # what comes next is not there: the decoder may not be done
    say "$base: $decoder_stage"
    "$BIN/$decoder_stage" "$config" run="$base" data="$base/data.h5" $common || exit
fi
common="$(decoder_key "$base") $common"
train "$base" teacher refine ""
for row in $wanted; do
    first=$(field "$row" 2) last=$(field "$row" 3) keys=$(field "$row" 4) folder=$base/ablations/$row
    if [ "$first" = - ]; then
        folder=$base last=refine
    else
        share "$folder" "$first"
        train "$folder" "$first" "$last" "$keys"
    fi
    measure "$folder" "$last" "$keys"
done
say "$base/ablations/table.md"
table | tee "$base/ablations/table.md"
