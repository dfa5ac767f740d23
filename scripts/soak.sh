#!/bin/sh
# soak.sh: what a live server must stand for minutes and hours (make soak): many sessions at once, an hour's stream, sessions that come and
# go, a microphone whose clock is off, peers that are slow, half open, malformed or foreign, random bytes.
#   soak.sh STUDENT [PART...]     parts: many stream turnover microphone attack; none: all
# Keys from the environment: SECONDS_MANY=600, SECONDS_STREAM=3600, TURNOVER=200, SECONDS_MIC=3600, CONNECTS=1000, SECONDS_FUZZ=600,
# SESSIONS=0 (0: as many as the server admits). SOAK=0.05 takes that share of all. Exit 1: something did not hold.
# Programs are in $BIN, the client in $BUILD. For the sanitizers: BIN=build/VARIANT-sanitize/bin.
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float} SOAK=${SOAK:-1}
student=$1
[ -f "$student/config.json" ] || { echo "soak.sh: usage: soak.sh STUDENT_FOLDER [many stream turnover microphone attack]" >&2; exit 2; }
shift
client=$BUILD/tests/programs/live_client
share() { awk -v n="$1" -v s="$SOAK" 'BEGIN { n = int(n * s + 0.5); print n < 1 ? 1 : n }'; }
many=$(share "${SECONDS_MANY:-600}") stream=$(share "${SECONDS_STREAM:-3600}") turnover=$(share "${TURNOVER:-200}")
mic=$(share "${SECONDS_MIC:-3600}") connects=$(share "${CONNECTS:-1000}") fuzz=$(share "${SECONDS_FUZZ:-600}")
work=$(mktemp -d) || exit 1
# the freed memory that the address sanitizer holds back is not what resident sizes are compared for
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16}
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
failed=0
verdict() { # verdict CODE TEXT
    [ "$1" -eq 0 ] && word=ok || word=FAILED failed=1
    printf '%-7s %s\n' "$word" "$2"
}
start() { # start KEY=VALUE...
    : >"$work/address"
    "$BIN/serve" "$student" port=0 reference=docs/demo.png connections=5000 "$@" >"$work/address" 2>"$work/log" &
    server=$!
    for _ in $(seq 1200); do
        [ -s "$work/address" ] && break
        kill -0 $server 2>/dev/null || break
        sleep 0.05
    done
    port=$(sed 's/.*:\([0-9]*\)\/$/\1/' "$work/address")
    [ -n "$port" ] || { tail -n 3 "$work/log"; exit 1; }
}
stop() {
    kill $server
    wait $server
    verdict $? "the server ends properly"
    server=
    grep -qi 'sanitizer' "$work/log" && { verdict 1 "sanitizers have something to say:"; grep -i -A 8 sanitizer "$work/log"; }
}
metric() { "$client" "$port" path=/metrics get | sed -n "s/^streamavatar_$1 //p"; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }
create='{"type":"session.create","agent_rate":16000,"codecs":["h264","vp8"]}'
# noise that speaks: as many seconds as asked for, at most a minute a turn
speech() { head -c $((32000 * $1)) /dev/urandom >"$work/speech.pcm"; }
# turns of half a minute for so many seconds, each given when the one before it is over
talk() { # talk SECONDS LOG
    set -- "$1" "$2" play wait session.created
    for turn in $(seq $(($1 / 30 + 1))); do
        set -- "$@" speech "$turn" "$work/speech.pcm" say "{\"type\":\"audio.end\",\"turn\":$turn}" run 30000
    done
    seconds=$1 log=$2
    shift 2
    timeout "$seconds" "$client" "$port" say "$create" "$@" >"$log" 2>&1
}

# ---- many at once ----

run_many() {
    start "sessions=${SESSIONS:-0}"
    speech 30
    n=$(metric sessions_capacity)
    echo "        $n sessions for $many s; real-time factor $(metric real_time_factor)"
    pids=
    for i in $(seq "$n"); do
        talk "$many" "$work/many.$i" &
        pids="$pids $!"
        sleep 0.05
    done
    wait $pids
    chunks=$(metric chunks_total) late=$(metric chunks_late_total)
    awk -v c="$chunks" -v l="$late" 'BEGIN { exit !(c > 0 && l <= c / 100) }'
    verdict $? "$n sessions: $late of $chunks chunks late (at most 1 %); chunk median $(metric 'chunk_seconds{quantile="0.5"}') s, 99 % $(metric 'chunk_seconds{quantile="0.99"}') s; to the first picture on its way 99 % $(metric 'chunk_sent_seconds{quantile="0.99"}') s"
    stop
}

# ---- one long stream ----

# sound and pictures in step, without a gap: both have the same times, 40 ms apart
in_step() {
    awk '$2 == "unit" && $3 == 1 { if (v && $6 != v + 40000) bad = 1; v = $6; pictures++ }
         $2 == "unit" && $3 == 2 { if (a && $6 != a + 40000) bad = 1; a = $6; sounds++ }
         END { exit bad || pictures != sounds && pictures + 1 != sounds }' "$1"
}
run_stream() {
    start
    speech 30
    talk "$stream" "$work/stream" &
    pid=$!
    sleep "$(awk -v s="$stream" 'BEGIN { print s / 10 }')"
    before=$(resident)
    wait $pid
    after=$(resident)
    [ $((after - before)) -le 1024 ]
    verdict $? "$stream s: resident $before KiB after a tenth, $after KiB at the end (at most 1024 more)"
    in_step "$work/stream"
    verdict $? "its $(grep -c 'unit 1 ' "$work/stream") pictures and sounds are in step, without a gap"
    awk -v want="$stream" '$2 == "unit" && $3 == 2 { first = first ? first : $1; last = $1; at = $6 }
        END { drift = (last - first) / 1000 - at / 1e6; exit !(drift < 1 && drift > -1) }' "$work/stream"
    verdict $? "media time keeps to the clock within a second"
    stop
}

# ---- sessions that come and go ----

run_turnover() {
    start
    speech 2
    for i in $(seq "$turnover"); do
        timeout 20 "$client" "$port" say "$create" play speech 1 "$work/speech.pcm" wait playback.started run 50 close 1000 >/dev/null
        [ "$i" -eq $((turnover / 10 + 1)) ] && before=$(resident)
    done
    after=$(resident)
    [ $((after - before)) -le 1024 ]
    verdict $? "$turnover sessions: resident $before KiB after a tenth, $after KiB after all (at most 1024 more)"
    stop
}

# ---- a microphone's clock ----

run_microphone() {
    start
    head -c $((32000 * mic)) /dev/urandom >"$work/mic.pcm"
    timeout $((mic + 60)) "$client" "$port" say "$create" play wait session.created mic "$work/mic.pcm" 3000 close 1000 >"$work/mic" 2>&1
    verdict $? "$mic s of a microphone 0.3 % fast"
    in_step "$work/mic"
    verdict $? "pictures and sounds are in step, without a gap"
    stop
}

# ---- peers that mean no good, while one watches ----

run_attack() {
    start sessions=16 queue=8 keep=5 # what sessions hold is bounded by their number
    speech 30
    talk 3000 "$work/watch" &
    watch=$!
    sleep 1
    before=$(resident)
    for i in $(seq "$connects"); do
        case $((i % 8)) in
        0) "$client" "$port" run 1 ;;
        1) "$client" "$port" origin=http://example.org run 1 ;;
        2) "$client" "$port" say "$create" drop ;;
        3) "$client" "$port" say hello run 100 ;;
        4) "$client" "$port" say "$create" unit 0209 run 100 ;;
        5) "$client" "$port" say "$create" huge 1100000 run 100 ;;
        6) "$client" "$port" bytes ffffffffffffffffffffffff run 20 ;;
        7) "$client" "$port" say "$create" play deaf 50 drop ;;
        esac >>"$work/attack" 2>&1
    done
    [ "$(grep -c 'http 403' "$work/attack")" -eq $(((connects + 6) / 8)) ]
    verdict $? "$connects connects: each of a foreign origin is refused"
    "$BUILD/tests/programs/live_noise" "$port" "$fuzz" >"$work/noise" 2>&1
    verdict $? "$(tail -n 1 "$work/noise")"
    after=$(resident)
    [ $((after - before)) -le 65536 ]
    verdict $? "resident $before KiB before, $after KiB after (at most 64 MiB more)"
    kill $watch 2>/dev/null
    wait $watch 2>/dev/null
    awk '$2 == "unit" && $3 == 2 { if (at && $1 - at > 2000) bad = 1; at = $1 } / close / { bad = 1 } END { exit bad || !at }' "$work/watch"
    verdict $? "the one who watched saw no pause of 2 s"
    stop
}

[ $# -gt 0 ] || set -- many stream turnover microphone attack
for part; do
    echo "$part"
    case $part in
    many | stream | turnover | microphone | attack) "run_$part" ;;
    *) echo "soak.sh: no part $part" >&2; exit 2 ;;
    esac
done
exit $failed
