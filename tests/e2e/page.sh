#!/bin/sh
# page.sh: the page of `serve` in a headless Chromium with a fake microphone: connect, speak, listen, interrupt,
# reconnect, be refused, type words, be echoed (page.py). Skipped where Chromium or Python is missing. PAGE_SHOTS=FOLDER
# leaves screenshots there, PAGE_STUDENT=FOLDER takes that student and PAGE_FACE=PNG its face.
. tests/e2e/checks
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
python=$(command -v python3)
if [ -z "$chromium" ] || [ -z "$python" ]; then
    echo "skipped: the page's test needs chromium and python3"
    exit 77
fi

student=$PAGE_STUDENT
if [ -z "$student" ]; then
    student=$work/student
    "$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
    check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=2
    check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
        out="$student"
fi
mkdir "$work/persons"
cp "${PAGE_FACE:-docs/demo.png}" "$work/persons/anna.png"
# wav SECONDS FILE <PCM: 16-bit mono at 16 kHz
wav() {
    bytes=$(($1 * 32000))
    { printf RIFF; le 4 $((bytes + 36)); printf 'WAVEfmt '; le 4 16; le 2 1; le 2 1; le 4 16000; le 4 32000; le 2 2
        le 2 16
      printf data; le 4 $bytes; head -c $bytes; } >"$2"
}
"$BUILD/tests/programs/voices" 3 8 | wav 8 "$work/voice.wav"
wav 20 "$work/speech.wav" </dev/urandom

servers=
# start NAME KEY=VALUE...: a server; its address in $work/NAME
start() {
    name=$1
    shift
    "$BIN/serve" "$student" port=0 persons="$work/persons" sessions=1 queue=0 "$@" >"$work/$name" 2>"$work/$name.log" &
    servers="$servers $!"
}
trap '[ -z "$servers" ] || kill $servers 2>/dev/null; rm -rf "$work"' EXIT
start plain
start say agent=say
start echo agent=echo
echo 0123456789abcdef0123 >"$work/token"
start locked token_file="$work/token"
for name in plain say echo locked; do
    for _ in $(seq 200); do
        [ -s "$work/$name" ] && break
        sleep 0.05
    done
done
log=$work/said
timeout 90 "$python" -B tests/e2e/page.py "$chromium" "$(cat "$work/plain")" "$(cat "$work/say")" \
    "$(cat "$work/echo")" \
    "$work/voice.wav" "$work/speech.wav" "$PWD/docs/demo.png" "$(cat "$work/locked")" 0123456789abcdef0123 \
    $PAGE_SHOTS >"$log" 2>&1
code=$?
sum=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
if [ -n "$sum" ]; then
    passed=$((passed + ${sum% *})) failed=$((failed + ${sum#* }))
else
    verdict $code "the page's script"
fi
grep FAILED "$log"
kill $servers
for server in $servers; do
    wait "$server"
    verdict $? "a server's end"
done
servers=
finish
