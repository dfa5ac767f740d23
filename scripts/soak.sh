#!/bin/sh
# soak.sh: what a live server must stand for minutes and hours (make soak; docs/serving.md, What it stands):
#   soak.sh STUDENT [PART...]
# STUDENT is an export's folder (make soak takes runs/demo/export/refine, which make demo leaves, or STUDENT=FOLDER).
# Parts; none: all:
#   begin     from the start of the process to the first picture of a session
#   many      as many sessions at once as the server admits
#   page      the page in a headless Chromium: sound against picture, and the time from the user's sound to the
#             picture that heard it
#   stream    an hour of one session at full speed, with a microphone whose clock is 0.3 % fast
#   turnover  sessions that come and go
#   attack    peers that are foreign, half open, slow, oversized or malformed, and random bytes, against a server with
#             sanitizers
# The first three have the machine to themselves; the others measure memory and positions, no times, and run side by
# side. Keys from the environment: SECONDS_MANY=600, SECONDS_PAGE=600, SECONDS_STREAM=3600 (of media time),
# TURNOVER=200, CONNECTS=1000, SECONDS_FUZZ=600, SESSIONS=0 (0: as many as the server admits). SOAK=0.05 shortens all of
# them to that fraction; the whole takes 33 minutes on two cores. Programs are in $BIN, the client in $BUILD; the server
# that is attacked is $SANITIZED/serve where that is (make soak builds it). Exit 1: something did not hold.
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float} SOAK=${SOAK:-1} SANITIZED=${SANITIZED:-$BUILD-sanitize/bin}
student=$1
[ -f "$student/config.json" ] || {
    echo "soak.sh: usage: soak.sh STUDENT_FOLDER [begin many page stream turnover attack]" >&2
    exit 2
}
shift
client=$BUILD/tests/programs/live_client
share() { awk -v n="$1" -v s="$SOAK" 'BEGIN { n = int(n * s + 0.5); print n < 1 ? 1 : n }'; }
many=$(share "${SECONDS_MANY:-600}") page=$(share "${SECONDS_PAGE:-600}") stream=$(share "${SECONDS_STREAM:-3600}")
turnover=$(share "${TURNOVER:-200}") connects=$(share "${CONNECTS:-1000}") fuzz=$(share "${SECONDS_FUZZ:-600}")
all=$(mktemp -d) || exit 1
# the freed memory that the address sanitizer holds back is not what resident sizes are compared for
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16}
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null; rm -rf "$all"' EXIT
trap 'exit 130' INT TERM
verdict() { # verdict CODE TEXT
    [ "$1" -eq 0 ] && word=ok || word=FAILED failed=1
    printf '%-7s %s\n' "$word" "$2"
}
holds() { awk "BEGIN { exit !($1) }"; } # holds CONDITION: of numbers
now() { date +%s%3N; }                  # milliseconds
start() { # start PROGRAM KEY=VALUE...
    program=$1
    shift
    : >"$work/address"
    "$program" "$student" port=0 reference=docs/demo.png connections=5000 "$@" >"$work/address" 2>"$work/log" &
    server=$!
    for _ in $(seq 6000); do
        [ -s "$work/address" ] && break
        kill -0 $server 2>/dev/null || break
        sleep 0.01
    done
    port=$(sed 's/.*:\([0-9]*\)\/$/\1/' "$work/address")
    [ -n "$port" ] || {
        tail -n 3 "$work/log"
        exit 1
    }
}
stop() {
    kill $server
    wait $server
    verdict $? "the server ends properly"
    server=
    ! grep -qi 'sanitizer\|error=internal' "$work/log" || {
        verdict 1 "its log has something to say:"
        grep -i -A 8 'sanitizer\|error=internal' "$work/log"
    }
}
metric() { "$client" "$port" path=/metrics get | sed -n "s/^streamavatar_$1 //p"; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }
files() { ls "/proc/$server/fd" | wc -l; }
create='{"type":"session.create","agent_rate":16000,"codecs":["h264","vp8"]}'
speech() { head -c $((32000 * $1)) /dev/urandom >"$work/speech.pcm"; } # speech SECONDS: noise that speaks
# turns of half a minute for so many seconds, each given when the one before it is over
talk() { # talk SECONDS LOG
    set -- "$1" "$2" play wait session.created
    for turn in $(seq $(($1 / 30 + 1))); do
        set -- "$@" speech "$turn" "$work/speech.pcm" say "{\"type\":\"audio.end\",\"turn\":$turn}" run 30000
    done
    seconds=$1 said=$2
    shift 2
    timeout "$seconds" "$client" "$port" say "$create" "$@" >"$said" 2>&1
}

# ---- the beginning ----

run_begin() {
    begin=$(now)
    start "$BIN/serve"
    ready=$(($(now) - begin))
    "$client" "$port" say "$create" play wait session.created run 1500 close 1000 >"$work/begin" 2>&1
    first=$(sed -n 's/.*event=session.first_frame .* ms=//p' "$work/log" | head -n 1)
    total=$(awk -v a="$ready" -v b="$first" 'BEGIN { printf "%.0f", a + b }')
    holds "${first:-0} > 0 && $total <= 1000"
    verdict $? "begin: process to first picture $total ms (at most 1000):\
 ready $ready, the session's first picture $first after its creation"
    stop
}

# ---- many at once ----

# So many sessions for so many seconds. 0: at most 1 % of the chunks came late.
crowd() { # crowd SESSIONS SECONDS
    start "$BIN/serve" sessions="$1"
    pids=
    for i in $(seq "$1"); do
        talk "$2" "$work/many.$i" &
        pids="$pids $!"
        sleep 0.05
    done
    wait $pids
    chunks=$(metric chunks_total) late=$(metric chunks_late_total)
    echo "        $1 sessions, $2 s: $late of $chunks chunks late; a chunk's work: median" \
        "$(metric 'chunk_seconds{quantile="0.5"}') s, 99 % $(metric 'chunk_seconds{quantile="0.99"}') s; its wait" \
        "for the device: 99 % $(metric 'chunk_wait_seconds{quantile="0.99"}') s"
    stop
    holds "${chunks:-0} > 0 && ${late:-1} <= ${chunks:-0} / 100"
}
run_many() {
    start "$BIN/serve" "sessions=${SESSIONS:-0}"
    n=$(metric sessions_capacity) factor=$(metric real_time_factor)
    stop
    speech 30
    crowd "$n" "$many"
    held=$?
    verdict $held \
        "many: $n sessions for $many s without a late chunk at the 99th percentile (0.9 / real-time factor $factor)"
    # the number that holds, where that one does not: the encoders and the clients have their part of the cores too
    fewer=$n
    while [ $held -ne 0 ] && [ "$fewer" -gt 1 ]; do
        fewer=$((fewer * 7 / 8))
        crowd "$fewer" $((many / 8 + 1))
        held=$?
    done
    [ $held -ne 0 ] || [ "$fewer" -eq "$n" ] || echo "        $fewer sessions hold"
}

# ---- the page ----

wav() { # wav SECONDS FILE: noise, 16-bit mono at 16 kHz
    bytes=$(($1 * 32000))
    little() { # little BYTES NUMBER
        n=$2
        for _ in $(seq "$1"); do
            printf "\\$(printf %03o $((n % 256)))"
            n=$((n / 256))
        done
    }
    { printf RIFF; little 4 $((bytes + 36)); printf 'WAVEfmt '; little 4 16; little 2 1; little 2 1; little 4 16000
      little 4 32000; little 2 2; little 2 16; printf data; little 4 $bytes; head -c $bytes /dev/urandom; } >"$2"
}
seen() { sed -n "s/^$1 //p" "$work/seen" | cut -d ' ' -f "$2"; } # seen WORD FIELD
run_page() {
    chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
    [ -n "$chromium" ] && command -v python3 >/dev/null || {
        echo "skipped page: it needs chromium and python3"
        return
    }
    start "$BIN/serve"
    wav 2 "$work/voice.wav"
    wav 10 "$work/speech.wav"
    python3 -B tests/e2e/page_watch.py "$chromium" "$(cat "$work/address")" "$work/voice.wav" "$work/speech.wav" \
        "$page" >"$work/seen" 2>&1
    verdict $? "page: $page s without an error on its console"
    sed 's/^/        /' "$work/seen"
    apart=$(seen apart 2) drift=$(seen drift 1) shown=$(seen shown 1)
    holds "$apart + 0 <= 40 && $drift + 0 <= 10 && $drift + 0 >= -10 && $shown + 0 > 20 * $page"
    verdict $? \
        "page: a picture is at most $apart ms behind its sound (at most 40), which drifts by $drift ms (at most 10)"
    holds "$(seen heard 1) + 0 <= 80 && $(seen heard 2) + 0 <= 150"
    verdict $? "page: from the last sound that a chunk hears to its first picture:\
 median $(seen heard 1) ms (at most 80), 99 % $(seen heard 2) ms (at most 150)"
    stop
}

# ---- one long stream ----

# sound and pictures in step, without a gap from 0 on: both have the same times, 40 ms apart
in_step() {
    awk '$2 == "unit" && $3 == 1 { if ($6 != 40000 * pictures++) bad = 1 }
         $2 == "unit" && $3 == 2 { if ($6 != 40000 * sounds++) bad = 1 }
         END { exit bad || !sounds || pictures != sounds && pictures + 1 != sounds }' "$1"
}
run_stream() {
    start "$BIN/serve" idle=student
    speech 30
    begin=$(now)
    # raw pictures: all of them come, however fast they are made
    "$client" "$port" say '{"type":"session.create","agent_rate":16000,"codecs":["raw"]}' wait session.created \
        race "$stream" "$work/speech.pcm" 3000 close 1000 >"$work/stream" 2>&1 &
    pid=$! before= longest=0
    while kill -0 $pid 2>/dev/null; do
        sleep 0.2
        waits=$(metric user_sound_seconds)
        holds "${waits:-0} > $longest" && longest=$waits
        [ -z "$before" ] && grep -q " unit 2 . [0-9]* $((stream / 10 * 1000000)) " "$work/stream" && before=$(resident)
        after=$(resident)
    done
    wait $pid
    verdict $? "stream: $stream s of media time in $((($(now) - begin) / 1000)) s"
    holds "${before:-0} > 0 && $after - ${before:-0} <= 1024"
    verdict $? "stream: resident $before KiB after a tenth, $after KiB at the end (at most 1024 more)"
    in_step "$work/stream"
    n=$(grep -c ' unit 1 ' "$work/stream")
    verdict $? "stream: its $n pictures and as many sounds are in step, 40 ms apart, from 0 on without a gap"
    awk '/playback.finished/ { n++; if (!/"position_us":30000000,"interrupted":false/) bad = 1 }
        END { exit bad || !n }' "$work/stream" ||
        [ "$stream" -lt 35 ]
    n=$(grep -c playback.finished "$work/stream")
    verdict $? "stream: $n turns are told to have been played for the 30 s that each has"
    # a chunk of 0.48 s as it comes and as it is taken, and what may wait beyond it
    holds "$longest <= 2 * 0.48 + 0.1 + 0.02"
    verdict $? "stream: a microphone 0.3 % fast: at most $longest s of it wait (at most 1.08)"
    stop
}

# ---- sessions that come and go ----

run_turnover() {
    start "$BIN/serve"
    speech 2
    early=$(((turnover + 9) / 10))
    for i in $(seq "$turnover"); do
        timeout 20 "$client" "$port" say "$create" play speech 1 "$work/speech.pcm" wait playback.started run 50 \
            close 1000 >/dev/null
        [ "$i" -eq "$early" ] && before=$(resident)
    done
    after=$(resident)
    holds "$after - $before <= 1024"
    verdict $? "turnover: resident $before KiB after $early sessions, $after KiB after $turnover (at most 1024 more)"
    stop
}

# ---- peers that mean no good, while one watches ----

run_attack() {
    program=$SANITIZED/serve
    [ -x "$program" ] || program=$BIN/serve
    echo "        attacked: $program"
    # what sessions hold is bounded by their number; with sanitizers and neighbours the machine serves no more than
    # these
    start "$program" sessions=3 queue=8 keep=5
    speech 30
    talk 3000 "$work/watch" &
    watch=$!
    sleep 1
    before=$(resident) open=$(files) slow=
    for i in $(seq "$(share 100)"); do
        "$client" "$port" half 40000 >/dev/null 2>&1 &
        slow="$slow $!"
    done
    for i in 1 2 3 4; do # they take nothing for as long as the server stands that
        "$client" "$port" say "$create" play speech 1 "$work/speech.pcm" deaf 45000 run 100 >"$work/slow.$i" 2>&1 &
        slow="$slow $!"
    done
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
    [ "$(grep -c 'http 403' "$work/attack")" -eq $(((connects + 7 - 1) / 8)) ]
    verdict $? "attack: of $connects connects each of a foreign origin is refused"
    "$BUILD/tests/programs/live_noise" "$port" "$fuzz" >"$work/noise" 2>&1
    verdict $? "attack: $(tail -n 1 "$work/noise")"
    wait $slow
    sleep 6 # until those who went have been given up
    after=$(resident)
    holds "$after - $before <= 65536"
    verdict $? "attack: resident $before KiB before, $after KiB after (at most 64 MiB more)"
    left=$(files)
    [ "$left" -le $((open + 2)) ]
    verdict $? "attack: $open open files before, $left after: no half-open peer is kept"
    kill $watch 2>/dev/null
    wait $watch 2>/dev/null
    awk '$2 == "unit" && $3 == 2 { if (at && $1 - at > most) most = $1 - at; at = $1 } / close / { bad = 1 }
        END { print most + 0; exit bad || !at || most > 2000 }' "$work/watch" >"$work/pause"
    verdict $? "attack: the longest pause of the one who watched was $(cat "$work/pause") ms (at most 2000)"
    stop
}

# In a shell of its own, with a folder and a server of its own.
part() (
    work=$all/$1 failed=0
    mkdir "$work"
    "run_$1"
    [ $failed -eq 0 ]
)
[ $# -gt 0 ] || set -- begin many page stream turnover attack
failed=0 beside=
for name; do
    case $name in
    begin | many | page) part "$name" || failed=1 ;;
    stream | turnover | attack) beside="$beside $name" ;;
    *)
        echo "soak.sh: no part $name" >&2
        exit 2
        ;;
    esac
done
for name in $beside; do
    part "$name" >"$all/$name.said" 2>&1 &
    eval "pid_$name=$!"
done
for name in $beside; do
    eval "wait \$pid_$name" || failed=1
    cat "$all/$name.said"
done
exit $failed
