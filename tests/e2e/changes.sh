#!/bin/sh
# changes.sh: reference, prompt and guidance that change between chunks, in `stream` (changes=FILE) and over the live
# protocol (session.change): what comes before is the same to the bit, what comes after is another's, nothing is missing
# between; and what is wrong is said, before a stream begins, and without an end to a session.
. tests/e2e/checks
client=$BUILD/tests/programs/live_client
side=8
frame=$((side * side * 3))

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" $side 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=4 \
    teacher.optimiser.lr=0.05 teacher.optimiser.warmup=1 teacher.optimiser.ema=0
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
"$BUILD/tests/programs/voices" 1 4 >"$work/sound.pcm" # seconds
other=tests/inputs/picture.png

# a file of the prompts "old" and "new", one token each
row='"dtype":"F32","shape":[1,8],"data_offsets"'
header="{\"old\":{$row:[0,32]},\"new\":{$row:[32,64]}}"
{
    le 8 ${#header}
    printf %s "$header"
    for bits in 1065353216 3212836864; do # 1 and -1
        for _ in 1 2 3 4 5 6 7 8; do le 4 $bits; done
    done
} >"$work/prompts"

# ---- stream ----

# streams NAME KEY=VALUE...: raw pictures in $work/NAME.rgb
streams() {
    name=$1
    shift
    "$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- seed=7 threads=1 text="$work/prompts" \
        prompt=old "$@" <"$work/sound.pcm" >"$work/$name.rgb" 2>"$work/$name.log"
    code=$?
    log=$work/$name.log
    return $code
}
script() { # script ROW...: $work/changes.csv
    { echo time,what,value; for row; do echo "$row"; done; } >"$work/changes.csv"
}
# parts NAME FRAME: the stream has as many frames as the one without changes, is the same before this one, and another
# from it on
parts() {
    size=$(($2 * frame))
    [ "$(wc -c <"$work/$1.rgb")" -eq "$(wc -c <"$work/plain.rgb")" ] || return
    cmp -n $size "$work/plain.rgb" "$work/$1.rgb" || return
    ! cmp -s -n $frame -i $size "$work/plain.rgb" "$work/$1.rgb"
}
changed() { # changed NAME FRAME ROW...: a stream with a script parts at this frame
    name=$1 at=$2
    shift 2
    script "$@"
    streams "$name" changes="$work/changes.csv" && parts "$name" "$at"
}
check "a stream without changes" streams plain
check "of four seconds" [ "$(wc -c <"$work/plain.rgb")" -eq $((100 * frame)) ]
script "1.0,reference,docs/demo.png" "1.5,talk,1" "2,listen,1" "2,prompt,old"
check "changes to what there is" streams same changes="$work/changes.csv"
check "change no bit" cmp "$work/plain.rgb" "$work/same.rgb"
check "another reference, from the chunk on that begins at its time" changed reference 25 "1.0,reference,$other"
check "or later" changed later 37 "1.01,reference,$other"
check "before the first chunk" changed first 1 "0,reference,$other"
check "another prompt" changed prompt 25 "1.0,prompt,new"
check "guidance of the agent's sound" changed talk 49 "1.6,talk,0"
check "and more of it" changed more 49 "1.6,talk,2.5"
check "which is not the same" differ "$work/talk.rgb" "$work/more.rgb"
check "all at once" changed all 25 "1,reference,$other" "1,talk,1.5" "1,prompt,new"
check "and back" changed back 25 "1,reference,$other" "2,reference,docs/demo.png"
check "is no restart" differ "$work/back.rgb" "$work/plain.rgb"
script "1,reference,$other" "2.5,talk,0"
check "network and decoder side by side" streams beside changes="$work/changes.csv" overlap=on
cp "$work/beside.rgb" "$work/beside"
check "and in turn" streams beside changes="$work/changes.csv" overlap=off
check "give the same" cmp "$work/beside" "$work/beside.rgb"

look() { "$BUILD/tests/programs/media_look" "$1" | sed 's/^[^ ]*:\{0,1\} //'; }
for name in without with; do
    more=
    [ $name = without ] || more="changes=$work/changes.csv"
    check "a video $name changes" expect 0 stream "$work/student" reference=docs/demo.png \
        audio=tests/inputs/sound.wav out="$work/$name.mp4" threads=1 $more
done
sound_of() { ffmpeg -v error -i "$1" -vn -c copy -f adts -; }
times_of() { ffprobe -v error -select_streams v -show_entries packet=pts -of csv "$1" | sort -t, -k2n; }
if command -v ffprobe >/dev/null && command -v ffmpeg >/dev/null; then
    times_of "$work/with.mp4" >"$work/times"
    times_of "$work/without.mp4" | cmp -s - "$work/times"
    verdict $? "no gap between the pictures"
    sound_of "$work/with.mp4" >"$work/heard"
    sound_of "$work/without.mp4" | cmp -s - "$work/heard"
    verdict $? "nor in the sound"
else
    echo "skipped: times of a video (ffmpeg is not installed)"
    skipped=$((skipped + 1))
fi

# Memory does not grow with the number of changes: 300 of them, and 20.
peak() { sed -n "s/.*peak is \([0-9]*\)\..*/\1/p" "$work/$1.log"; }
for count in 20 300; do
    { echo time,what,value; for i in $(seq $count); do echo "0.$((100 + i)),reference,$other"; done; } \
        >"$work/changes.csv"
    check "$count changes" streams "many$count" changes="$work/changes.csv"
done
check "memory stays as it is" [ "$(peak many300)" -le $(($(peak many20) + 1)) ]

# ---- scripts that are wrong: one line, before anything is streamed ----

wrong() { # wrong PATTERN ROW...
    pattern=$1
    shift
    script "$@"
    refused 3 "$pattern" "$BIN/stream" "$work/student" reference=docs/demo.png audio=- out="$work/none.mp4" threads=1 \
        changes="$work/changes.csv"
    check "and no video" [ ! -e "$work/none.mp4" ]
}
wrong "changes.csv:2: .*what" "1,colour,red"
wrong "changes.csv:2: .*time" "x,talk,1"
wrong "changes.csv:2: .*time" "-1,talk,1"
wrong "changes.csv:3: .*time" "2,talk,1" "1,talk,1"
wrong "changes.csv:2: .*time" "nan,talk,1"
wrong "changes.csv:2: .*value" "1,talk,6"
wrong "changes.csv:2: .*value" "1,listen,-0.1"
wrong "changes.csv:2: .*value" "1,prompt,"
wrong "nowhere.png" "1,reference,$work/nowhere.png"
wrong "sound.pcm" "1,reference,$work/sound.pcm"
wrong "has no embedding of" "1,prompt,a person who is not there"
wrong "changes.csv" "1,talk"
echo when,what >"$work/changes.csv"
refused 3 "changes.csv" "$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- changes="$work/changes.csv"
refused 3 "nowhere.csv" "$BIN/stream" "$work/student" reference=docs/demo.png audio=- out=- changes="$work/nowhere.csv"

# ---- sessions ----

server=
start() { # start KEY=VALUE...: a server with prompts and persons to change to
    start_server encoder=raw text="$work/prompts" prompt=old persons="$work/persons" "$@"
}
stop() { stop_server; }
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT
talk() { # talk ARGUMENTS...: the client's log in $work/said
    timeout 60 "$client" "$port" "$@" >"$work/said" 2>&1
    code=$?
    log=$work/said
    [ $code -eq 0 ]
}
heard() { grep -q "$1" "$work/said"; }
change() { printf '{"type":"session.change",%s}' "$1"; }
from_us() { sed -n 's/.*"session.changed","from_us":\([0-9]*\).*/\1/p' "$work/said" | sed -n "${1:-1}p"; }
seconds() { echo "$1" | awk '{ printf "%.2f", $1 / 1e6 }'; }
mkdir "$work/persons"
cp docs/demo.png "$work/persons/anna.png"
cp $other "$work/persons/ben.png"
anna='{"type":"session.create","reference":"person:anna","agent_rate":16000,"codecs":["raw"],"seed":7}'
end='{"type":"audio.end","turn":1}'

check "start" start idle=student
check "a face, a prompt and guidance change while it speaks" talk keep="$work/served.rgb" say "$anna" play \
    speech 1 "$work/sound.pcm" say "$end" wait playback.started run 600 \
    say "$(change '"reference":"upload","prompt":"new","talk":1.5')" reference $other wait session.changed \
    say "$(change '"reference":"person:anna","listen":0')" wait '"session.changed"' wait playback.finished close 1000
check "to its end" heard '"turn":1,"position_us":4000000,"interrupted":false'
check "without a gap" sh -c \
    "awk '\$2 == \"unit\" && \$3 == 1 { if (\$6 != 40000 * n++) exit 1 } END { exit n < 100 }' '$work/said'"
check "nor one in the sound" sh -c \
    "awk '\$2 == \"unit\" && \$3 == 2 { if (\$6 != 40000 * n++) exit 1 } END { exit n < 100 }' '$work/said'"
first=$(from_us 1) second=$(from_us 2)
check "at the beginning of chunks" [ "$((first % 480000)) $((second % 480000))" = "40000 40000" ]
script "$(seconds "$first"),reference,$other" "$(seconds "$first"),prompt,new" "$(seconds "$first"),talk,1.5" \
    "$(seconds "$second"),reference,docs/demo.png" "$(seconds "$second"),listen,0"
check "a stream with these changes" streams expected changes="$work/changes.csv"
check "has the same pictures, to the bit" cmp -n $((85 * frame)) "$work/expected.rgb" "$work/served.rgb"
check "which are not those without" sh -c "! cmp -s -n $((85 * frame)) '$work/plain.rgb' '$work/served.rgb'"
check "the next session" talk keep="$work/next.rgb" say "$anna" play speech 1 "$work/sound.pcm" say "$end" \
    wait playback.finished close 1000
check "has nothing of it" cmp -n $((85 * frame)) "$work/plain.rgb" "$work/next.rgb"

# what is wrong is said, and the session goes on with the bits that it has without
says_and_goes_on() { # says_and_goes_on CODE ARGUMENTS...
    code=$1
    shift
    check "$code: $2" talk keep="$work/on.rgb" say "$anna" play speech 1 "$work/sound.pcm" say "$end" wait \
        playback.started "$@" wait "\"code\":\"$code\"" wait playback.finished close 1000
    check "is not fatal" heard '"fatal":false'
    check "and changes nothing" cmp -n $((85 * frame)) "$work/plain.rgb" "$work/on.rgb"
    check "nor says that it did" sh -c "! grep -q session.changed '$work/said'"
}
head -c 3000 docs/demo.png >"$work/cut.png"
{ head -c 16 docs/demo.png; printf '\0\0\060\0\0\0\060\0'; tail -c +25 docs/demo.png; } >"$work/large.png"
head -c 9000000 /dev/zero >"$work/huge.png"
says_and_goes_on bad_change say "$(change '"reference":"person:nobody","talk":0')"
says_and_goes_on bad_change say "$(change '"reference":"default"')"
says_and_goes_on bad_change say "$(change '"reference":"somebody"')"
says_and_goes_on bad_change say "$(change '"reference":"upload","talk":0')" reference "$work/cut.png"
says_and_goes_on bad_change say "$(change '"reference":"upload"')" reference "$work/large.png"
says_and_goes_on bad_change say "$(change '"reference":"upload"')" reference "$work/huge.png"
says_and_goes_on bad_change say "$(change '"prompt":"a person who is not there","talk":0')"
says_and_goes_on bad_change say "$(change '"talk":5.1')"
says_and_goes_on bad_change say "$(change '"listen":"much"')"
says_and_goes_on bad_change say "$(change '"colour":"red"')"
says_and_goes_on bad_change reference $other say "$(change '"prompt":7')" # and a picture that nobody asked for
check "more than a few at once" talk keep="$work/on.rgb" say "$anna" play wait session.created \
    $(for _ in 1 2 3 4 5 6 7 8 9; do printf 'say {"type":"session.change","talk":1} '; done) \
    wait change_busy wait session.changed run 700 say "$(change '"talk":1')" wait '"session.changed"' close 1000
check "none before the session" talk say "$(create 2>/dev/null; printf \
    '{"type":"session.create","reference":"upload","codecs":["raw"]}')" say "$(change '"talk":1')" wait bad_change \
    reference $other wait session.created close 1000
check "stop" stop

# the idle clip is another's at once as well
check "start with a loop" start idle=loop
check "the other one's clip" talk keep="$work/ben.rgb" say "$(echo "$anna" | sed s/anna/ben/)" \
    play wait session.created run 600 close 1000
check "a face changes while nobody speaks" talk keep="$work/idle.rgb" say "$anna" play wait session.created run 800 \
    say "$(change '"reference":"person:ben"')" wait session.changed run 700 close 1000
check "in the chunk that it says" cmp -n $((12 * frame)) -i "$(($(from_us) / 40000 * frame)):0" \
    "$work/idle.rgb" "$work/ben.rgb"
check "stop the loop" stop
check "a clean end" sh -c "! grep -qi 'sanitizer\|error=internal' '$work/server'"
finish
