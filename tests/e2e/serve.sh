#!/bin/sh
# serve.sh: the live protocol against a running server: who is let in, a session's pictures to the bit, interruption,
# the user's sound, clients that vanish, come back, are slow or break the rules, the queue.
. tests/e2e/checks
client=$BUILD/tests/programs/live_client
tiny=$BUILD/tests/programs/tiny_dataset

"$tiny" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=4 \
    teacher.optimiser.lr=0.05 teacher.optimiser.warmup=1 teacher.optimiser.ema=0
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
mkdir "$work/persons"
cp docs/demo.png "$work/persons/anna.png"
voices=$BUILD/tests/programs/voices
"$voices" 1 3 >"$work/three.pcm" # seconds
"$voices" 2 3 >"$work/other.pcm"
"$voices" 3 20 >"$work/twenty.pcm"
head -c 1280 "$work/three.pcm" >"$work/short.pcm"
head -c 48000 "$work/three.pcm" >"$work/voice.pcm"
head -c 48000 /dev/zero >"$work/silence.pcm"
"$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- seed=7 threads=1 <"$work/three.pcm" \
    >"$work/stream.rgb" 2>"$log"
check "a stream to compare with" [ -s "$work/stream.rgb" ]
"$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- seed=7 threads=1 \
    <"$work/other.pcm" >"$work/other.rgb" 2>"$log"
check "whose pictures are of its sound" differ "$work/stream.rgb" "$work/other.rgb"

server=
start() { start_server "$@"; }
stop() { stop_server; }
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT
talk() { # talk CODE ARGUMENTS...: the client's log in $work/said
    want=$1
    shift
    timeout $((60 * patience)) "$client" "$port" "$@" >"$work/said" 2>&1
    code=$?
    log=$work/said
    [ $code -eq "$want" ]
}
heard() { grep -q "$1" "$work/said"; }
get() { # get PATH KEY=VALUE...: the answer in $work/answer
    path=$1
    shift
    "$client" "$port" path="$path" "$@" get >"$work/answer" 2>"$log"
}
status() { head -n 1 "$work/answer" | grep -q " $1 "; }
answers() { # answers STATUS PATH KEY=VALUE...
    want=$1
    shift
    get "$@"
    status "$want"
}
create() { # create KEYS: session.create with an uploaded reference and raw pictures
    printf '{"type":"session.create","reference":"upload","agent_rate":16000,"codecs":["raw"]%s}' "$1"
}
quick='{"type":"session.create","reference":"person:anna","agent_rate":16000,"codecs":["raw"]}'

# ---- who is let in ----

check "others' addresses need a token" expect 2 serve "$work/student" port=0 address=0.0.0.0
echo "too short" >"$work/token"
check "a token that is none" expect 3 serve "$work/student" port=0 token_file="$work/token"
check "no such student" expect 3 serve "$work/nowhere" port=0
check "no such encoder" expect 2 serve "$work/student" port=0 encoder=h265
check "start" start idle=student encoder=raw persons="$work/persons" sessions=2 queue=1 connections=8 \
    keep=$((2 * patience))
check "health" answers 200 /healthz
hex=$(printf %04X "$port")
check "listens on the loopback address" grep -qi " 0100007F:$hex 00000000:0000 0A " /proc/net/tcp
check "and on no other" sh -c \
    "! cat /proc/net/tcp /proc/net/tcp6 | grep -i ':$hex [0]*:0000 0A ' | grep -qv ' 0100007F:'"
ends() { # ends SECONDS: a server that gets a signal so long after its start
    "$BIN/serve" "$work/student" port=0 >/dev/null 2>&1 &
    begun=$!
    sleep "$1"
    kill $begun
    for _ in $(seq 100); do
        kill -0 $begun 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL $begun
    return 1
}
for moment in 0.01 0.03 0.1; do check "a signal $moment s after the start ends it" ends $moment; done
check "a port that is taken" expect 5 serve "$work/student" port="$port"
export STREAMAVATAR_TOKEN=0123456789abcdef0123
check "an address that is not ours" expect 5 serve "$work/student" port=0 address=192.0.2.1
unset STREAMAVATAR_TOKEN
check "page" answers 200 /
check "it says what it may load" grep -qi "content-security-policy: default-src 'none'" "$work/answer"
check "persons" answers 200 /v1/persons
check "anna is there" grep -q '"persons":\["anna"\]' "$work/answer"
check "anna's picture" answers 200 /v1/persons/anna
check "no file beside it" answers 404 /v1/persons/../student/config.json
check "metrics" answers 200 /metrics
check "of sessions" grep -q '^streamavatar_sessions_capacity 2' "$work/answer"
check "nothing else" answers 404 /etc/passwd
check "another host's name" answers 403 / host=example.org
check "another site's page" answers 403 / origin=http://example.org
check "a site that has our name in its own" answers 403 / origin=http://127.0.0.1.example.org
check "no one else may ask" answers 403 /v1/access origin=http://example.org
check "our page" answers 200 / origin=http://127.0.0.1:"$port"
check "a WebSocket from another site" talk 3 origin=https://example.org run 10
check "is forbidden" heard "http 403"
check "to another name" talk 3 host=example.org run 10
check "without our protocol" talk 3 protocol=chat run 10
check "elsewhere" talk 3 path=/v1/other run 10

# ---- a session ----

check "a turn from the first frame on" talk 0 keep="$work/served.rgb" say "$(create ',"seed":7')" \
    play speech 1 "$work/three.pcm" \
    say '{"type":"audio.end","turn":1}' reference docs/demo.png wait playback.finished close 1000
check "was spoken whole" heard '"turn":1,"position_us":3000000,"interrupted":false'
check "and properly ended" heard "close 1000"
frame=$((8 * 8 * 3))
# the last chunk of the stream hears its sound's end, the served one the silence after it
same=$(($(wc -c <"$work/stream.rgb") / frame - 12))
head -c $((same * frame)) "$work/stream.rgb" >"$work/a"
head -c $((same * frame)) "$work/served.rgb" >"$work/b"
check "the pictures of stream, to the bit" cmp "$work/a" "$work/b"
check "three seconds of them" [ "$same" -gt 60 ]
units() { awk -v kind="$1" '$2 == "unit" && $3 == kind { print $6 }' "$work/said"; }
check "pictures 40 ms apart" sh -c \
    "awk '\$2 == \"unit\" && \$3 == 1 { if (\$6 != 40000 * n++) exit 1 } END { exit n < 75 }' '$work/said'"
check "each with its sound" [ "$(units 1)" = "$(units 2)" ]

check "an interruption" talk 0 say "$quick" play speech 1 "$work/twenty.pcm" wait playback.started run 900 \
    say '{"type":"interrupt"}' wait '"interrupted":true' wait listening run 300 speech 1 "$work/short.pcm" \
    speech 2 "$work/three.pcm" wait '"playback.started","turn":2' close 1000
check "not spoken whole" sh -c "! grep -q 'position_us\":20000000' '$work/said'"
# Once interrupted, nothing of the old turn comes; play goes on at next_us without a gap, with a key frame first.
check "nothing of the turn comes after it" awk \
    '/"interrupted":true/ { after = 1 } after && $2 == "unit" && $5 == 1 { exit 1 }' \
    "$work/said"
next=$(sed -n 's/.*"interrupted":true,"next_us":\([0-9]*\).*/\1/p' "$work/said")
check "play goes on where it was said" sh -c \
    "awk '/\"interrupted\":true/ { after = 1 }
        after && \$2 == \"unit\" && \$3 == 1 { print \$4, \$6; exit }' '$work/said' | grep -qx '3 $next'"
check "within a chunk" awk -v most=$((480 * patience)) \
    '/"interrupted":true/ { at = $1 } at && $2 == "unit" { exit $1 - at > most }' "$work/said"
check "a turn that waits is interrupted too" talk 0 say "$quick" play speech 1 "$work/three.pcm" \
    speech 2 "$work/three.pcm" \
    wait playback.started say '{"type":"interrupt","turn":2}' wait '"turn":1,"position_us":' run 100 close 1000
check "unspoken" heard '"turn":2,"position_us":0,"interrupted":true,"next_us":0'

"$client" "$port" say "$quick" play wait session.created mic "$work/silence.pcm" 0 close 1000 >"$work/silent" 2>&1 &
quiet=$!
check "the user's voice" talk 0 say "$quick" play wait session.created mic "$work/voice.pcm" 3000 close 1000
check "is listened to" heard '"state":"listening"'
wait $quiet
check "silence is not" sh -c "! grep -q 'listening\|vain' '$work/silent'"
check "listening by word" talk 0 say "${quick%\}},\"listening\":\"manual\"}" play wait session.created \
    say '{"type":"listening.start"}' wait listening say '{"type":"listening.stop"}' wait '"idle"' close 1000
check "a clock's question" talk 0 say "$quick" play wait session.created say '{"type":"clock","client_us":77}' \
    wait '"client_us":77' \
    mic "$work/voice.pcm" 0 run 700 close 1000
# The times of the first chunk that heard the user: sound, due, begun, made, coded, in this order; the sound is no older
# than a chunk.
check "a chunk's times" sh -c \
    "grep -o '\"type\":\"chunk\".*user_us.*' '$work/said' | head -n 1 | tr -d '}' | tr ',' '\n' |
    awk -F: '/user_us/ { u = \$2 } /due_us/ { d = \$2 } /begun_us/ { b = \$2 } /made_us/ { m = \$2 }
        /coded_us/ { c = \$2 }
        END { exit !(u > 0 && d - u < 480000 && d <= b && b < m && m <= c && c - u < 5000000) }'"
check "before its units" awk \
    '/"type":"chunk"/ { said = 1 } $2 == "unit" && $3 == 1 && !said { exit 1 } END { exit !said }' "$work/said"
check "in the figures" sh -c "'$client' $port path=/metrics get | grep -q '^streamavatar_heard_seconds_count [1-9]'"
check "speech as text" talk 0 say "$quick" play say '{"type":"audio.append","turn":1,"audio":"AAAA/38AAAA="}' \
    say '{"type":"audio.end"}' wait playback.finished close 1000
check "turns without sound" talk 0 say "$quick" play say '{"type":"audio.end","turn":1}' \
    wait '"playback.finished","turn":1,"position_us":0,"interrupted":false' speech 2 "$work/short.pcm" \
    say '{"type":"audio.end","turn":3}' wait '"playback.finished","turn":2,"position_us":40000' \
    wait '"playback.finished","turn":3,"position_us":0,"interrupted":false' close 1000
check "24 kHz" talk 0 say '{"type":"session.create","reference":"person:anna","codecs":["raw"]}' \
    play speech 1 "$work/voice.pcm" \
    say '{"type":"audio.end"}' wait playback.finished close 1000
check "is two thirds as long" heard '"position_us":1000000,'
check "no reports, no more chunks" talk 0 say "$quick" wait session.created run 1000 close 1000
check "than one beyond the first" [ "$(units 1 | wc -l)" -le 25 ]

# ---- clients that go and come back ----

check "a client that vanishes" talk 0 say "$quick" play speech 1 "$work/twenty.pcm" wait playback.started run 300 drop
token=$(sed -n 's/.*session.created.*"token":"\([0-9a-f]*\)".*/\1/p' "$work/said")
session=$(sed -n 's/.*session.created","session":"\([0-9a-f]*\)".*/\1/p' "$work/said")
check "comes back" talk 0 say "{\"type\":\"session.create\",\"resume\":\"$token\"}" play wait session.created run 600 \
    drop
check "to its session" heard "\"session\":\"$session\""
check "that knows it" heard '"resumed":true'
check "and what it has had" heard '"next":{"agent":20'
check "and goes on speaking" grep -q "unit 1 3 1 " "$work/said"
check "the old token is no more" talk 0 say "{\"type\":\"session.create\",\"resume\":\"$token\"}" wait expired run 300
check "it says so" heard "close 4005"

# ---- too many ----

sleep $((2 * patience)) # until the client that vanished has been given up
"$client" "$port" say "$quick" play run $((40000 * patience)) >"$work/first" 2>&1 &
first=$!
"$client" "$port" say "$quick" play wait session.created run $((2400 * patience)) close 1000 >"$work/second" 2>&1 &
second=$!
sleep $((patience - 1)).5
"$client" "$port" say "$quick" play wait session.queued wait session.created run 300 close 1000 >"$work/third" 2>&1 &
third=$!
sleep $((patience - 1)).3
check "the fourth is sent away" talk 0 say "$quick" wait '"full"' run 300
check "with a code" heard "close 4004"
wait $third
check "the third waited and came in" [ $? -eq 0 ]
check "and was told its place" grep -q '"session.queued","place":0' "$work/third"
wait $second
check "health meanwhile" answers 200 /healthz

# ---- who breaks the rules ----

breaks() { # breaks WHAT CODE COMMAND...: the connection is closed with this code, and the server lives
    what=$1 close=$2
    shift 2
    talk 0 "$@" run $((2000 * patience))
    check "$what" heard "close $close"
}
breaks "no JSON" 4000 say 'hello'
breaks "no session" 4000 say '{"type":"interrupt"}'
breaks "two sessions" 4000 say "$quick" say "$quick"
breaks "a number for a text" 4000 say '{"type":7}'
breaks "a rate that is none" 4000 say '{"type":"session.create","agent_rate":44100}'
breaks "no codec in common" 4000 say '{"type":"session.create","codecs":["vp8"]}'
breaks "a unit without a header" 4000 say "$quick" unit 0102
breaks "a unit that lies about its length" 4000 say "$quick" unit 020000000100000000000000000000000500000000000000
breaks "a unit of no kind" 4000 say "$quick" unit 090000000100000000000000000000000000000000000000
breaks "video from a client" 4000 say "$quick" unit 010000000100000000000000000000000000000000000000
breaks "sound without a turn" 4000 say "$quick" unit 020000000000000000000000000000000000000000000000
breaks "a person that is not there" 4000 say '{"type":"session.create","reference":"person:nobody","codecs":["raw"]}'
breaks "no reference of the server's own" 4000 say '{"type":"session.create","codecs":["raw"]}'
breaks "a reference that is none" 4000 say "$(create)" reference "$work/short.pcm"
head -c 3000 docs/demo.png >"$work/cut.png"
breaks "a reference that is cut off" 4000 say "$(create)" reference "$work/cut.png"
{ head -c 16 docs/demo.png; printf '\0\0\060\0\0\0\060\0'; tail -c +25 docs/demo.png; } >"$work/large.png"
breaks "a reference that is too large" 4000 say "$(create)" reference "$work/large.png"
breaks "a unit that is too large" 1009 say "$quick" huge 2000000
talk 0 say '{"type":"session.create","reference":"person:anna","codecs":["raw"],"agent_rate":16000}' \
    $(for i in 1 2 3 4 5 6 7; do echo speech 1 "$work/twenty.pcm"; done) run 500 close 1000
check "too much speech is refused, and no more" heard speech_full
check "a message of no known type is no end" talk 0 say '{"type":"dance"}' wait no_session run 200
check "half a handshake" sh -c "timeout 1 sh -c 'printf \"GET /v1/ses\" | \"$client\" $port path=/ get' >/dev/null; :"
check "the first client noticed nothing" awk -v most=$((1500 * patience)) \
    '/ unit 1 / { if (at && $1 - at > most) bad = 1; at = $1 } / close | end$/ { bad = 1 } \
    END { exit bad || !at }' "$work/first"
kill $first
wait $first 2>/dev/null
check "stop" stop
check "a clean end" sh -c "! grep -qi 'sanitizer\|error=internal' '$work/server'"

# ---- a token, and every encoder ----

echo 0123456789abcdef0123 >"$work/token"
check "start with a token" start token_file="$work/token" persons="$work/persons"
check "the page is open" answers 200 /
check "the rest is not" answers 401 /metrics
check "but with the token" answers 200 /metrics bearer=0123456789abcdef0123
check "and not with another" answers 401 /metrics bearer=0123456789abcdef0124
check "who asks is told" answers 200 /v1/access
check "that a token is needed" grep -q '"token":true,"authorized":false,"crowded":false' "$work/answer"
check "or is there" sh -c \
    "'$client' $port path=/v1/access bearer=0123456789abcdef0123 get | grep -q '\"authorized\":true'"
check "no session without" talk 3 run 10
check "it says what is missing" heard "http 401"
check "a session with" talk 0 token=0123456789abcdef0123 say '{"type":"session.create","reference":"person:anna"}' \
    wait session.created close 1000
clients=
for codec in h264 vp8 mjpeg; do
    "$client" "$port" token=0123456789abcdef0123 keep="$work/$codec" \
        say "{\"type\":\"session.create\",\"reference\":\"person:anna\",\"codecs\":[\"$codec\"]}" \
        play wait session.created \
        run $((900 * patience)) close 1000 >"$work/said.$codec" 2>&1 &
    clients="$clients $!"
done
wait $clients
for codec in h264 vp8 mjpeg; do
    check "$codec" grep -q "\"codec\":\"$codec\"" "$work/said.$codec"
    check "with pictures" [ -s "$work/$codec" ]
    [ $codec = vp8 ] || check "that say what they are" grep -q "a synthetic picture of a person" "$work/$codec"
done

# ---- the examples: what a client in C and one in Python keep of the same turn, and a WAV at 24 kHz ----

python=
for one in python3 /usr/bin/python3; do "$one" -c 'import websockets' 2>/dev/null && python=$one && break; done
wav() { # wav RATE PCM: 16-bit mono
    bytes=$(wc -c <"$2")
    printf RIFF; le 4 $((36 + bytes)); printf 'WAVEfmt '; le 4 16; le 2 1; le 2 1; le 4 "$1"; le 4 $((2 * $1))
    le 2 2; le 2 16
    printf data; le 4 "$bytes"; cat "$2"
}
example() { timeout 60 "$python" examples/client.py "http://127.0.0.1:$port/" docs/demo.png "$@"; }
if [ -n "$python" ]; then
    wav 16000 "$work/three.pcm" >"$work/three.wav"
    wav 24000 "$work/voice.pcm" >"$work/voice.wav"
    wav 44100 "$work/voice.pcm" >"$work/other.wav"
    check "no example without the token" sh -c \
        "! '$python' examples/client.py http://127.0.0.1:$port/ docs/demo.png '$work/voice.wav' '$work/no' 2>'$log'"
    export STREAMAVATAR_TOKEN=0123456789abcdef0123
    example "$work/voice.wav" "$work/py24" vp8 2>"$work/py24.log"
    verdict $? "the example in Python, at 24 kHz, with it"
    check "says a second" grep -q '"position_us":1000000,"interrupted":false' "$work/py24.log"
    check "keeps a VP8 file" sh -c "head -c 4 '$work/py24.video' | grep -q DKIF"
    : >"$work/nothing.pcm"
    wav 16000 "$work/nothing.pcm" >"$work/nothing.wav"
    example "$work/nothing.wav" "$work/py0" vp8 2>"$work/py0.log"
    verdict $? "and ends where there is nothing to say"
    check "refuses another rate" sh -c \
        "! '$python' examples/client.py http://127.0.0.1:$port/ docs/demo.png '$work/other.wav' '$work/no' 2>'$log'"
    check "in a line" says 'expected 16-bit mono PCM at 16 or 24 kHz'
    unset STREAMAVATAR_TOKEN
fi
check "stop with a token" stop
check "start for the examples" start idle=student encoder=raw
[ -z "$python" ] || example "$work/three.wav" "$work/py" raw 2>"$work/py.log" &
"$BUILD/examples/client" "$port" docs/demo.png "$work/three.pcm" "$work/c" raw 2>"$work/c.log"
verdict $? "the example in C"
wait $!
check "says three seconds" grep -q '"position_us":3000000,"interrupted":false' "$work/c.log"
check "keeps pictures" [ "$(wc -c <"$work/c.video")" -ge $((75 * frame)) ]
check "and sound" [ "$(wc -c <"$work/c.pcm")" -ge 96000 ]
if [ -n "$python" ]; then
    check "the example in Python says them too" grep -q '"position_us":3000000,"interrupted":false' "$work/py.log"
    check "keeps the same pictures" cmp -n $((same * frame)) "$work/c.video" "$work/py.video"
    check "and the same sound" sh -c \
        "tail -c +45 '$work/py.wav' | head -c 96000 >'$work/py.pcm'
        head -c 96000 '$work/c.pcm' | cmp - '$work/py.pcm'"
else
    echo "skipped: the client in Python (python3-websockets is not installed)"
    skipped=$((skipped + 1))
fi
check "stop for the examples" stop


# ---- idle: the training data have no frame where nobody speaks, so that a loop is shown ----

check "the export says what it saw of idling" grep -q '"idle":.0' "$work/student/config.json"
check "start with a loop" start encoder=raw persons="$work/persons"
check "a turn amid the loop" talk 0 say "$quick" play wait session.created run 700 speech 1 "$work/three.pcm" \
    say '{"type":"audio.end","turn":1}' wait playback.started run 600 close 1000
check "the clip is marked" sh -c "awk '\$2 == \"unit\" && \$3 == 1 { exit \$4 < 8 }' '$work/said'"
# not after the clip's units, but in their place: a break (FIRST), and pictures of the student's from there on
check "cuts it short" awk \
    '/playback.started/ { after = 1 } after && $2 == "unit" && $3 == 2 { exit $4 != 2 || $5 != 1 } ' "$work/said"
check "the student's pictures follow" sh -c \
    "awk '/playback.started/ { after = 1 } after && \$2 == \"unit\" && \$3 == 1 { exit \$4 != 3 }' '$work/said'"
check "and the loop's when it is over" talk 0 say "$quick" play speech 1 "$work/short.pcm" say '{"type":"audio.end"}' \
    wait playback.finished run 900 close 1000
check "under its mark" sh -c "awk '\$2 == \"unit\" && \$3 == 1 { flag = \$4 } END { exit flag < 8 }' '$work/said'"
check "stop the loop" stop

# ---- the server's own agents ----

agents() { pgrep -P $server; } # their processes
alone() { # alone: none of them is left, not even as a zombie
    for _ in $(seq 80); do
        [ -z "$(agents)" ] && return
        sleep 0.05
    done
    return 1
}
within() { awk -v name="$1" -v most="$2" '$0 ~ name { n++ } END { exit n > most }' "$work/server"; }
with='{"type":"session.create","reference":"person:anna","agent_rate":16000,"codecs":["raw"],"agent":"server"'
text() { printf '{"type":"text","text":"%s"}' "$1"; }
cp "$BIN/serve" "$work/serve"
check "no agent beside it" refused 5 'agent=say: there is no program' "$work/serve" "$work/student" port=0 agent=say
export STREAMAVATAR_TOKEN=0123456789abcdef0123
check "start with say" start agent=say persons="$work/persons" sessions=8
descriptors=$(ls "/proc/$server/fd" | wc -l)
# together NAME ARGUMENTS...: a client beside the others; what it said in $work/said.NAME. done_well NAME: it has
together() {
    name=$1
    shift
    { timeout $((60 * patience)) "$client" "$port" token=0123456789abcdef0123 "$@" >"$work/said.$name" 2>&1
        echo $? >"$work/code.$name"; } &
    clients="$clients $!"
}
done_well() {
    log=$work/said.$1
    [ "$(cat "$work/code.$1")" -eq 0 ]
}
heard_by() { grep -q "$2" "$work/said.$1"; } # heard_by NAME PATTERN
clients=
numbers="One. Two. Three. Four. Five. Six. Seven. Eight. Nine."
together words say "$with}" play wait session.created say "$(text "Hello there.")" wait playback.finished close 1000
together fast say '{"type":"session.create","reference":"person:anna","codecs":["mjpeg"],"agent":"server"}' play \
    wait session.created say "$(text "Hello there.")" wait '"playback.finished","turn":1' close 1000
together stopped say "$with}" play wait session.created say "$(text "$numbers")" wait playback.started \
    say '{"type":"interrupt","turn":4000000000}' wait '"interrupted":true' say "$(text "And on.")" \
    wait '"interrupted":false' close 1000
together voice say "$with,\"barge_in\":\"voice\"}" play wait session.created say "$(text "$numbers")" \
    wait playback.started \
    mic "$work/voice.pcm" 0 wait '"interrupted":true' close 1000
together patient say "$with}" play wait session.created say "$(text "One. Two.")" wait playback.started \
    mic "$work/voice.pcm" 0 \
    wait playback.finished close 1000
together own say "$with}" play wait session.created speech 1 "$work/short.pcm" wait agent_speaks run 100 close 1000
together without say "$quick" play speech 1 "$work/three.pcm" say '{"type":"audio.end"}' wait playback.finished \
    say "$(text Hello)" wait no_agent close 1000
wait $clients
check "typed words" done_well words
check "are spoken by the server's agent" heard_by words '"agent":"say"'
check "whole" heard_by words '"playback.finished","turn":1,"position_us":[1-9][0-9]*,"interrupted":false'
check "and said to be its words" heard_by words '"type":"text","from":"agent","turn":1,"text":"Hello there."'
check "at 24 kHz" done_well fast
check "they are interrupted" done_well stopped
check "and others follow" heard_by stopped '"playback.finished","turn":2,.*"interrupted":false'
check "in the next turn" heard_by stopped '"turn":2,"text":"And on."'
check "a voice interrupts them" done_well voice
check "unless it shall not" done_well patient
check "and does not" heard_by patient '"interrupted":false'
check "a client's own speech is refused" done_well own
check "but where no agent was asked for" done_well without
check "all are ended" alone
"$client" "$port" token=0123456789abcdef0123 say "$with}" play wait session.created run 3000 \
    close 1000 >"$work/other" 2>&1 &
other=$!
for _ in $(seq 80); do
    child=$(agents)
    [ -n "$child" ] && [ "$(readlink "/proc/$child/exe")" = "$(readlink -f "$BIN/agent")" ] && break
    sleep 0.05
done
check "a session has one process" [ "$(echo "$child" | wc -w)" -eq 1 ]
check "with its five descriptors and no other" [ "$(ls "/proc/$child/fd" | tr '\n' ' ')" = "0 1 2 3 4 " ]
check "and without the token" sh -c "! tr '\0' '\n' <'/proc/$child/environ' | grep -q 0123456789abcdef"
wait $other
check "it ends with its session" alone
check "and leaves no descriptor" [ "$(ls "/proc/$server/fd" | wc -l)" -eq "$descriptors" ]
check "stop with say" stop
unset STREAMAVATAR_TOKEN

check "start with echo" start agent=echo persons="$work/persons"
check "the user's voice is the avatar's" talk 0 say "$with}" play wait session.created mic "$work/voice.pcm" 0 \
    mic "$work/silence.pcm" 0 wait playback.finished close 1000
check "and nobody listens to it" sh -c "! grep -q listening '$work/said'"
check "stop with echo" stop

# An agent that does as it is told by the first words that it gets: mostly, what it should not.
head -c 48000 "$work/three.pcm" >"$work/second.pcm" # one second at 24 kHz
cat >"$work/agent" <<'AGENT'
while read -r line <&3; do
    case $line in
    *speak*) exec cat "${0%/*}/second.pcm" ;;
    *twice*) for _ in 1 2; do printf %023040d 0; printf '{"type":"audio.end","samples":11520}\n' >&4; done ;;
    *flood*) exec cat /dev/zero ;;
    *deaf*) exec sleep 1001 ;;
    *junk*) exec cat /dev/urandom >&4 ;;
    *bytes*) printf '{"type":"text","text":"\377"}\n{"type":"text","text":"good"}\n{"type":"text"' >&4 ;;
    *noise*) exec yes 'trouble "here"' >&2 ;;
    *stubborn*) trap '' TERM; while :; do sleep 0.1; done ;;
    *family*) sleep 1002 & exec sleep 1003 ;;
    *quit*) exit 3 ;;
    *tell*) while read -r line <&3; do
            line=${line#*type\":\"}
            printf '{"type":"text","from":"user","text":"%s"}\n' "${line%%\"*}" >&4
        done ;;
    esac
done
AGENT
check "start with an agent of our own" start agent="sh $work/agent" persons="$work/persons" sessions=8 keep=1
descriptors=$(ls "/proc/$server/fd" | wc -l)
clients=
together ends say "$with}" play wait session.created say "$(text speak)" wait '"playback.finished","turn":1' \
    say "$(text speak)" \
    wait '"playback.finished","turn":2' close 1000
together twice say "$with}" play wait session.created say "$(text twice)" wait '"playback.finished","turn":2' close 1000
together told say "$with}" play wait session.created say "$(text tell)" mic "$work/voice.pcm" 0 \
    wait '"text":"listening.start"' \
    mic "$work/silence.pcm" 0 wait '"text":"listening.stop"' say '{"type":"interrupt"}' wait '"text":"interrupt"' \
    wait '"text":"state"' close 1000
together bytes say "$with}" play wait session.created say "$(text bytes)" wait '"text":"good"' close 1000
wait $clients
check "one that speaks and ends" done_well ends
check "ends its turn by that, whole" heard_by ends '"turn":1,"position_us":1000000,"interrupted":false'
check "and is started again for the next" heard_by ends '"turn":2,"position_us":1000000,"interrupted":false'
check "one that says two turns at once" done_well twice
check "has them apart to the sample" heard_by twice '"turn":1,"position_us":480000,"interrupted":false'
check "both" heard_by twice '"turn":2,"position_us":480000,"interrupted":false'
check "one that is told of the user" done_well told
check "one whose words are no UTF-8" done_well bytes
bad='flood deaf junk noise stubborn family quit'
clients=
for way in $bad; do
    together "$way" say "$with}" play wait session.created say "$(text $way)" mic "$work/voice.pcm" 0 \
        $([ $way != deaf ] || for i in $(seq 40); do echo "say $(text "$(printf %04000d 0)")"; done) \
        say '{"type":"interrupt"}' run $((1500 * patience)) close 1000
done
sleep 2
check "health meanwhile" answers 200 /healthz
wait $clients
for way in $bad; do
    check "an agent that is all $way spoils no picture" awk '$2 == "unit" && $3 == 1 { n++ } END { exit n < 45 }' \
        "$work/said.$way"
    check "and no end" done_well "$way"
done
check "one that floods is held back, and no one is told" sh -c "! grep -q speech_full '$work/said.flood'"
check "and interrupted" heard_by flood '"playback.finished","turn":1,.*"interrupted":true'
check "and what it goes on with is not spoken" sh -c "! grep -q '\"turn\":2' '$work/said.flood'"
check "one that reads nothing loses words, which is said once" \
    [ "$(grep -c event=agent.not_reading "$work/server")" -eq 1 ]
check "one that ends without a word is told of" grep -q agent_failed "$work/said.quit"
check "what they say to the log is bounded" within event=agent.log 400
check "and has no quotes of theirs" grep -q "text=\"trouble 'here'\"" "$work/server"
check "all are ended, with their children" alone
check "the stubborn too" sh -c "! pgrep -f '^sh $work/agent'"
check "and the children's children" sh -c "! pgrep -fx 'sleep 100[123]'"
check "and leave no descriptor" [ "$(ls "/proc/$server/fd" | wc -l)" -eq "$descriptors" ]
check "stop with an agent of our own" stop

if command -v python3 >/dev/null; then
    export WORK="$work" HEAR='cat >"$WORK/user.wav"; echo What a day.' THINK='sed "s/^/You say: /"'
    export SPEAK="$BIN/agent speak"
    check "start with the example" start agent='python3 examples/agent.py' persons="$work/persons"
    check "it answers words" talk 0 say "$with}" play wait session.created say "$(text "Good morning.")" \
        wait '"from":"agent","turn":1,"text":"You say: Good morning."' wait playback.finished mic "$work/voice.pcm" 0 \
        mic "$work/silence.pcm" 0 wait '"from":"user","text":"What a day."' \
        wait '"from":"agent","turn":2,"text":"You say: What a day."' wait playback.started say '{"type":"interrupt"}' \
        wait '"interrupted":true' close 1000
    check "and has heard what was said" [ "$(wc -c <"$work/user.wav")" -gt 32000 ]
    check "it has nothing to complain of" sh -c "! grep event=agent.log '$work/server'"
    check "and leaves nobody" alone
    check "stop with the example" stop
    unset HEAR THINK SPEAK WORK
else
    skipped=$((skipped + 7))
fi

BIN="$BIN" sh scripts/live.sh "$work/student" encoder=raw >"$work/address" 2>"$work/server" &
server=$!
for _ in $(seq $((400 * patience))); do
    grep -q 'The page is at' "$work/address" && break
    sleep 0.05
done
port=$(sed -n 's/.*page is at .*:\([0-9]*\)\/ .*/\1/p' "$work/address")
check "make live has faces" answers 200 /v1/persons
check "three of them" grep -q '"persons":\["person-1","person-2","person-3"\]' "$work/answer"
check "and a voice" talk 0 say "$(echo "$with}" | sed s/anna/person-2/)" play wait '"agent":"say"' close 1000
check "it ends when it is told to" stop
check "and says what is missing" refused 3 'make demo trains one' sh scripts/live.sh "$work/nowhere"

check "start with an agent that is none" start agent=/no/such/program persons="$work/persons"
check "five times it is tried, and no more" talk 0 say "$with}" play wait 'when it is needed' run 1000 say "$(text a)" \
    wait 'when it is needed' run 1000 say "$(text b)" wait 'when it is needed' run 1000 say "$(text c)" \
    wait 'when it is needed' run 1000 say "$(text d)" wait 'not started again' run 1000 say "$(text e)" \
    wait 'not started again' close 1000
check "it is counted" answers 200 /metrics
check "as what it is" grep -q '^streamavatar_agents_failed_total 5' "$work/answer"
check "the log says why" grep -q 'event=agent.log.*not found' "$work/server"
check "and how often" [ "$(grep -c event=agent.started "$work/server")" -eq 5 ]
check "stop with an agent that is none" stop
finish
