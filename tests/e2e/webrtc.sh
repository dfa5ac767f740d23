#!/bin/sh
# webrtc.sh: the bridge to WebRTC (examples/webrtc, docs/bridges.md) in a headless Chromium with a fake microphone: who
# is let in; connect, listen, speak, interrupt, in VP8 and H.264 (webrtc.py); flashes and beeps of a stand-in for the
# server (webrtc_flash.py; where Python has `websockets`, and the machine is not busy). Skipped where the bridge is not
# built or Chromium or Python is missing. BRIDGE_SHOTS=FOLDER leaves screenshots there.
. tests/e2e/checks
export PYTHONDONTWRITEBYTECODE=1
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
python=${PYTHON:-python3}
bridge=$BUILD/examples/webrtc/bridge
client=$BUILD/tests/programs/live_client
if [ ! -x "$bridge" ] || [ -z "$chromium" ] || ! command -v "$python" >/dev/null; then
    echo "skipped: the bridge's test needs the bridge (make examples), chromium and python3"
    exit 77
fi
check "its clock" sh -c "'$BUILD/tests/bridge/test_player' >'$log' 2>&1"
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=2
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
# wav SECONDS FILE: noise, 16-bit mono at 16 kHz
wav() {
    bytes=$(($1 * 32000))
    { printf RIFF; le 4 $((bytes + 36)); printf 'WAVEfmt '; le 4 16; le 2 1; le 2 1; le 4 16000; le 4 32000; le 2 2
        le 2 16
      printf data; le 4 $bytes; head -c $bytes /dev/urandom; } >"$2"
}
wav 2 "$work/voice.wav"
wav 60 "$work/speech.wav"
token=0123456789abcdef0123
echo $token >"$work/token"

started=
trap 'kill $started 2>/dev/null; rm -rf "$work"' EXIT
start() { # start NAME COMMAND...: in the background; it prints its address, whose port is $port
    name=$1
    shift
    "$@" >"$work/$name.address" 2>"$work/$name.log" &
    started="$started $!"
    for _ in $(seq 600); do
        [ -s "$work/$name.address" ] && break
        kill -0 $! 2>/dev/null || break
        sleep 0.05
    done
    address=$(cat "$work/$name.address")
    port=$(echo "$address" | sed 's/.*:\([0-9]*\)\/$/\1/')
    log=$work/$name.log
    [ -n "$port" ]
}
answers() { # answers STATUS KEY=VALUE...: the bridge's answer
    want=$1
    shift
    "$client" "$port" "$@" get 2>"$log" | head -n 1 | grep -q " $want "
}
talk() { timeout 30 "$client" "$port" "$@" >"$work/said" 2>&1; }
create='{"type":"session.create","codecs":["vp8"]}'

check "the server" start serve "$BIN/serve" "$work/student" port=0 reference=docs/demo.png threads=1 \
    token_file="$work/token"
check "the bridge" start bridge "$bridge" "$port" 0
check "its page" answers 200 path=/
check "that says what it may load" sh -c \
    "'$client' $port path=/ get 2>/dev/null | grep -qi \"content-security-policy: default-src 'none'\""
check "nothing else" answers 404 path=/etc/passwd
check "another host's name" answers 403 path=/ host=example.org
check "another site's page" answers 403 path=/ origin=http://example.org
check "a site that has our name in its own" answers 403 path=/ origin=http://127.0.0.1.example.org
check "our page" answers 200 path=/ origin=http://127.0.0.1:"$port"
talk origin=https://example.org run 2000
check "a WebSocket from another site" grep -q "http 403" "$work/said"
talk say "$create" wait never
check "the server's token is asked for" grep -q '"code":"webrtc"' "$work/said"
talk token=$token say "$create" wait webrtc.offer wait webrtc.candidate close 1000
check "with it comes an offer" grep -q 'webrtc.offer.*VP8/90000' "$work/said"
check "behind the session's begin" grep -q session.created "$work/said"
check "without units" sh -c "! grep -q ' unit ' '$work/said'"
talk token=$token say "$create" wait webrtc.offer say '{"type":"webrtc.answer","sdp":"nonsense"}' run 500
talk token=$token say 'no JSON' run 300
check "the bridge lives on" answers 200 path=/

for codec in vp8 h264; do
    log=$work/$codec
    timeout 120 "$python" tests/e2e/webrtc.py "$chromium" "$address" $token "$work/voice.wav" "$work/speech.wav" \
        $codec \
        $BRIDGE_SHOTS >"$log" 2>&1
    code=$?
    sum=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
    if [ -n "$sum" ]; then
        passed=$((passed + ${sum% *})) failed=$((failed + ${sum#* }))
    else
        verdict $code "the browser's script ($codec)"
    fi
    grep -E "^($codec|FAILED)" "$log"
done

for with in "$python" /usr/bin/python3; do
    "$with" -c "import websockets" 2>/dev/null && break
    with=
done
# the page hears by its main thread, which a busy machine lets wait
busy=$(awk -v cores="$(nproc)" '{ print ($1 > 4 * cores) }' /proc/loadavg)
if [ -n "$with" ] && command -v ffmpeg >/dev/null && [ "$busy" -eq 0 ]; then
    check "flashes and beeps" start flash "$with" tests/e2e/flash_server.py
    check "the bridge before them" start flash_bridge "$bridge" "$port" 0
    log=$work/flashes
    timeout 90 "$python" tests/e2e/webrtc_flash.py "$chromium" "$address" "$work/voice.wav" >"$log" 2>&1
    cat "$log"
    # 30 ms that the browser leaves, 20 of an Opus packet, 40 of the page's own ear
    check "reach the browser together" awk '/^flashes/ { good = $2 >= 5 && $8 <= 90 && $8 >= -90 } END { exit !good }' \
        "$log"
else
    skipped=$((skipped + 1))
    echo "skipped: flashes and beeps need ffmpeg, Python with websockets, and a machine that is not busy"
fi
set -- $started
{ sleep 2; kill -9 "$1"; } & # the server
start_of_end=$!
address=$(cat "$work/bridge.address")
port=$(echo "$address" | sed 's/.*:\([0-9]*\)\/$/\1/')
talk token=$token say "$create" wait webrtc.offer run 5000
wait $start_of_end
check "a page learns of the server's end" grep -q "close 1011" "$work/said"
talk say "$create" run 2000
check "and of its absence" grep -q "close 4000" "$work/said"
log=$work/bridge.log
check "the bridge has nothing to complain of but those" sh -c "! grep -qi 'critical\|sanitizer' '$work/bridge.log'"
finish
