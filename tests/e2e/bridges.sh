#!/bin/sh
# bridges.sh: pictures and sound sent on by ffmpeg as docs/bridges.md says: a session by RTMP and by UDP, and what
# `stream` writes into a pipe. Sound and picture stay in step (apart.py). Skipped where ffmpeg or Python is missing.
. tests/e2e/checks
if ! command -v ffmpeg >/dev/null || ! command -v ffprobe >/dev/null || ! command -v python3 >/dev/null; then
    echo "skipped: bridges need ffmpeg, ffprobe and python3"
    exit 77
fi
broadcast=$BUILD/examples/broadcast
[ -x "$broadcast" ] || {
    echo "skipped: $broadcast is not built (make examples)"
    exit 77
}
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=2
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
"$BUILD/tests/programs/voices" 1 6 >"$work/speech.pcm"
"$BIN/serve" "$work/student" port=0 reference=docs/demo.png threads=1 >"$work/address" 2>"$work/server" &
server=$!
trap 'kill $server $far 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    [ -s "$work/address" ] && break
    sleep 0.05
done
port=$(sed 's/.*:\([0-9]*\)\/$/\1/' "$work/address")
free_port() { # free_port TYPE
    python3 -c "import socket; s = socket.socket(type=socket.$1); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"
}

# in_step FILE: 100 pictures at least came through, each as far from its sound as it was sent, 40 ms at most
in_step() {
    python3 tests/e2e/apart.py "$work/sent.nut" "$work/$1" >"$log" 2>&1
    echo "$1: $(cat "$log")"
    awk '{ exit !($2 >= 100 && $6 >= 0.9 && $8 <= 40) }' "$log"
}
# receive FILE FORMAT-AND-INPUT...: what comes there, in the background; what is never sent is given up
receive() {
    file=$1
    shift
    timeout 120 ffmpeg -v error -y "$@" -c copy "$work/$file" 2>"$work/far" &
    far=$!
    sleep 0.5
}
# send FORMAT ADDRESS: the session's turn by ffmpeg
send() {
    "$broadcast" "$port" docs/demo.png <"$work/speech.pcm" 2>"$work/said" | tee "$work/sent.nut" |
        ffmpeg -v error -i - -c:v copy -c:a aac -f "$1" "$2" 2>>"$log"
}
whole() { grep -q " 0 dropped, 6.00 s spoken" "$work/said"; }

rtmp=rtmp://127.0.0.1:$(free_port SOCK_STREAM)/live/avatar
receive rtmp.flv -listen 1 -f flv -i "$rtmp"
send flv "$rtmp"
check "a session by RTMP" wait $far
check "spoken whole" whole
check "sound and picture in step by RTMP" in_step rtmp.flv

udp=udp://127.0.0.1:$(free_port SOCK_DGRAM)
receive udp.ts -i "$udp?timeout=4000000" # it ends with an error: 4 s of silence
send mpegts "$udp?pkt_size=1316"
check "a session by UDP" whole
wait $far
check "sound and picture in step by UDP" in_step udp.ts
ffmpeg -v error -y -i "$work/sent.nut" -itsoffset 0.12 -i "$work/sent.nut" -map 0:v -map 1:a -c:v copy -c:a aac \
    "$work/late.flv"
check "what is out of step is found" sh -c \
    "python3 tests/e2e/apart.py '$work/sent.nut' '$work/late.flv' | grep -q 'apart_ms 1[12]'"

fails() { # fails CODE SOUND ARGUMENTS...: broadcast ends so, with a line that says why
    want=$1 sound=$2
    shift 2
    timeout 20 "$broadcast" "$@" <"$sound" >/dev/null 2>"$log"
    [ $? -eq "$want" ] && [ -s "$log" ]
}
check "no sound, no stream" fails 0 /dev/null "$port" default
check "no picture" fails 3 "$work/speech.pcm" "$port" "$work/nowhere"
check "a picture that is none" fails 5 "$work/speech.pcm" "$port" configs/tiny.yaml
check "a codec that is none" fails 5 "$work/speech.pcm" "$port" default flac
check "no server" fails 5 "$work/speech.pcm" 1 default
head -c 32001 "$work/speech.pcm" >"$work/odd.pcm"
check "half a sample more" fails 0 "$work/odd.pcm" "$port" default vp8
check "is left out" says " 1.00 s spoken"

# `stream` hands out pictures alone; its sound is the input's
"$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- threads=1 <"$work/speech.pcm" 2>"$log" |
    ffmpeg -v error -y -f rawvideo -pixel_format rgb24 -video_size 8x8 -framerate 25 -i - -f s16le -ar 16000 -ac 1 \
        -i "$work/speech.pcm" -c:v libx264 -tune zerolatency -pix_fmt yuv420p -c:a aac "$work/file.flv"
check "the pictures of stream and its sound" [ -s "$work/file.flv" ]
mkfifo "$work/sound"
tee "$work/sound" <"$work/speech.pcm" | "$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- threads=1 \
    2>"$log" |
    timeout 60 ffmpeg -v error -y -f s16le -ar 16000 -ac 1 -i "$work/sound" -f rawvideo -pixel_format rgb24 \
    -video_size 8x8 \
        -framerate 25 -i - -map 1:v -map 0:a -c:v libx264 -tune zerolatency -pix_fmt yuv420p -c:a aac "$work/pipe.flv"
check "the same from a pipe" [ -s "$work/pipe.flv" ]
for file in file pipe; do
    ends=$(for s in v a; do
        ffprobe -v error -select_streams $s -show_entries packet=pts_time,duration_time -of csv=p=0 "$work/$file.flv" |
            awk -F, '!n++ || $1 < first { first = $1 } $1 + $2 > last { last = $1 + $2 } END { print first, last }'
    done | tr '\n' ' ')
    echo "$file.flv: picture and sound begin and end at $ends"
    # AAC begins 64 ms early with what decoders throw away, and its last packet is filled up: 64 ms more
    check "in step with its sound ($file)" awk -v ends="$ends" 'BEGIN {
        split(ends, e, " "); begin = e[1] - e[3] - 0.064; end = e[2] - e[4]
        exit !(e[2] > 5 && begin <= 0.04 && begin >= -0.04 && end <= 0.04 && end >= -0.104)
    }'
done
kill $server
wait $server
verdict $? "the server's end"
finish
