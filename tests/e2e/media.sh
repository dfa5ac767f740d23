#!/bin/sh
# media.sh: what the world does to pictures, videos and sound. Files of every kind are made by tests/programs/media_make
# and read as our readers read them; then by the programs: prepare and its report, stream with every kind of output,
# pipes that nobody writes to. Where ../shared/cases is, its files too.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/media.sh
. tests/e2e/checks
make() { # make NAME [key=value ...]
    name=$1
    shift
    "$BUILD/tests/programs/media_make" "$work/$name" "$@"
}
look() { "$BUILD/tests/programs/media_look" "$@" >"$log" 2>&1; } # look pictures|sound|sync FILE
# seen FILE PATTERN: what is seen in it; heard and in_sync likewise
seen() { look pictures "$1" && says "$2"; }
heard() { look sound "$1" && says "$2"; }
# in_sync FILE: flashes and beeps lie within one frame, and move by less than 5 ms from one second to the next.
in_sync() {
    look sync "$1" && awk '$2 < 5 || $6 > 40 || $6 < -40 || $8 > 5 || $8 < -5 { exit 1 }' "$log"
}

# ---- pictures ----

for kind in jpg png webp mp4 mov; do
    number=1
    for corners in rgbw grwb wbgr bwrg rbgw brwg wgbr gwrb; do
        make o.$kind orientation=$number frames=3 channels=0
        check "orientation $number of $kind" seen "$work/o.$kind" "corners $corners"
        number=$((number + 1))
    done
done
for form in tEXt zTXt iTXt; do
    make text.png orientation=6 profile=$form
    check "orientation in a PNG's $form" seen "$work/text.png" "corners brwg"
done
for kind in mkv mp4 webm; do
    make disc.$kind pattern=disc aspect=4/3 frames=3
    check "pixel aspect of $kind" seen "$work/disc.$kind" "light \(39\|40\)x40 "
done
for kind in pq hlg; do
    make $kind.mkv pattern=patches transfer=$kind frames=60
    check "$kind: diffuse white is near white" seen "$work/$kind.mkv" "patch 2[345][0-9] .* hdr"
done
for file in mpg mkv mp4; do
    codec=mpeg2video
    [ $file = mp4 ] && codec=libx264
    make inter.$file interlaced=1 pattern=bar codec=$codec frames=60
    check "interlaced $file: no combing" seen "$work/inter.$file" "comb [0-4]\.[0-9] interlaced"
done
for file in png webp; do
    make alpha.$file alpha=1
    check "what is transparent is white, $file" seen "$work/alpha.$file" "corners wwww .* patch 255"
done
for file in mp4 mkv; do
    make cover.$file cover=1 frames=30
    check "a cover picture is not the video, $file" seen "$work/cover.$file" "frames 30 .*corners rgbw"
done
for name in 'a%d.png' 'b %03d: [x].png' 'c*{y}?.jpg' 'd%5d.mkv'; do
    make "$name" orientation=1 frames=5
    check "a name: $name" seen "$work/$name" "corners rgbw"
done

# ---- frames that were never there, clocks, channels ----

make hole.mkv drop=40-60
check "a hole of 20 frames" seen "$work/hole.mkv" "frames 100 missing 1[5-9] first 0 "
make late.mkv late=5 frames=75
check "pictures 5 s late" seen "$work/late.mkv" "missing 12[2-5] first 12[2-5] "
make cut.ts gop=75 drop=0-30 frames=120 pattern=still
check "cut between key frames" seen "$work/cut.ts" "missing \(7[1-5]\) first \(7[1-5]\) corners rgbw"
make slow.mkv frames=60
check "nothing is missing" seen "$work/slow.mkv" "frames 60 missing 0 "
for kind in mkv mp4 ts webm mov avi; do
    codec=mpeg4
    [ $kind = webm ] && codec=libvpx
    for clock in 5000 -5000 2000; do
        make clock.$kind clock=$clock frames=750 codec=$codec
        check "a clock off by $clock ppm, $kind" in_sync "$work/clock.$kind"
    done
done
for kind in mov avi mkv; do # PCM over twenty minutes
    make clock.$kind clock=-4000 frames=30000 codec=mpeg4 sound=pcm_s16le rate=16000
    check "a clock off over twenty minutes, $kind" in_sync "$work/clock.$kind"
    check "all of them, $kind" says "pairs 119[0-9] of 119[0-9] "
done
# the order of a file in which nothing drifts is no clock: sound in pieces of a second, sound that ends early
make chunks.mov codec=mpeg4 frames=750 piece=48000
check "sound in pieces of a second" in_sync "$work/chunks.mov"
make early.mov codec=mpeg4 frames=750 ends=25
check "sound that ends early" in_sync "$work/early.mov"
for kind in mov avi; do
    make order.$kind codec=mpeg4 frames=750 order=3000
    check "an order that drifts over sound of the right length, $kind" in_sync "$work/order.$kind"
done
make opposite.mkv channels=2 opposite=1
check "right is -left" heard "$work/opposite.mkv" "talk 25-\(28\|29\) 50-\(53\|54\) 75-"
make six.mkv channels=6 frames=60
check "six channels" heard "$work/six.mkv" "channels 6 .*talk 25-"
make whole.mkv frames=100
head -c $(($(wc -c <"$work/whole.mkv") / 2)) "$work/whole.mkv" >"$work/half.mkv"
look pictures "$work/half.mkv"
check "half a matroska file" says "is cut off or damaged"

# ---- prepare ----

mkdir "$work/clips"
mv "$work/hole.mkv" "$work/late.mkv" "$work/pq.mkv" "$work/inter.mpg" "$work/six.mkv" "$work/half.mkv" "$work/clips"
make clips/shots.mkv pattern=shots frames=80
make 'clips/a%d: [x] 1.mkv' frames=60
make clips/face.mkv pattern=face frames=60
awk 'BEGIN { print "Frame,Left,Top,Width,Height"; for (f = 0; f < 60; f++) printf "%d,%g,24,16,16\n", f, 8 + f / 4 }' \
    >"$work/clips/face.box.csv"
set_of() { # set_of OUT [key=value ...]
    set_out=$1
    shift
    expect "$want" prepare source="$work/clips" out="$work/$set_out" height=32 width=32 channels=16 frames=3 stride=4 \
        audio_dim=8 \
        fit.patches=1000 held_out=1 workers=2 "$@"
}
want=0
check "prepare" set_of data.h5
report() { grep -q "$1" "$work/data.report.txt"; }
check "all but the half one are taken" report "9 clips found, 8 taken, 1 rejected"
check "frames that are not there" report "^1[34][0-9] frames in 2 clips have no picture"
check "the cut" report "^1 cuts in 1 clips"
check "HDR is said" report "^1 clips are HDR"
check "interlaced is said" report "^1 clips are interlaced"
check "of which clip" report "found in  shots.mkv: 1 cuts"
check "and to programs" grep -q '"cuts":.*1' "$work/data.report.json"
check "no shots, no cuts" set_of whole.h5 shots=0
check "none" sh -c "! grep -q 'cuts in' '$work/whole.report.txt'"
printf 'frame,left,top,width,height\n0,1,1,5,5\n0,9,1,5,5\n' >"$work/clips/face.box.csv"
check "two boxes for one frame" set_of two.h5
check "it says where, and what to do" grep -q "face.box.csv:3: frame 0 has a second box" "$work/two.report.txt"
# what docs/formats.md says of active-speaker detectors, run as it stands on what they leave: two faces, the second
# talks more
if command -v python3 >/dev/null 2>&1; then
    mkdir "$work/asd" "$work/asd/pywork"
    awk '/^import csv, pickle/ { on = 1 } /^```/ { on = 0 } on' docs/formats.md >"$work/asd/snippet.py"
    check "the documented snippet" sh -c "cd '$work/asd' && python3 -c '
import pickle
track = lambda left: {\"track\": {\"frame\": list(range(5, 60)), \"bbox\": [[left, 24, left + 16, 40]] * 55}}
pickle.dump([track(4), track(30)], open(\"pywork/tracks.pckl\", \"wb\"))
pickle.dump([[0.5] * 10 + [-1] * 45, [-0.2] * 10 + [1.5] * 30 + [-1] * 15],
            open(\"pywork/scores.pckl\", \"wb\"))' && python3 snippet.py"
    for kind in box mask; do cp "$work/asd/NAME.$kind.csv" "$work/clips/face.$kind.csv"; done
    check "its sidecars" set_of asd.h5
    check "are taken" grep -q "9 clips found, 8 taken, 1 rejected" "$work/asd.report.txt"
    check "boxes of one face" [ "$(grep -c ',30.0,24.0,46.0,40.0' "$work/clips/face.box.csv")" -eq 55 ]
    mask=$work/clips/face.mask.csv
    check "who talks" [ "$(grep -c ',talk' "$mask") $(grep -c ',listen' "$mask")" = "30 10" ]
else
    echo "media.sh: no python3: the documented snippet is not run"
fi
rm -r "$work/clips"
mkdir "$work/clips"
make clips/a.mkv frames=60 channels=2
make clips/six.mkv frames=60 channels=6
check "two tracks of six channels" set_of tracks.h5 tracks=2 held_out=0
check "are refused" grep -q "six.mkv: has 6 sound channels, but two tracks" "$work/tracks.report.txt"

# ---- stream ----

"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/set.h5" 16 12 4 || exit 1
expect 0 teacher configs/tiny.yaml data="$work/set.h5" run="$work/run" threads=1 teacher.steps=2
check "a student" expect 0 export configs/tiny.yaml data="$work/set.h5" run="$work/run" stage=teacher \
    out="$work/student"
make me.jpg orientation=6
make sound.mkv frames=30 pattern=still channels=2
stream() { # stream CODE ARGUMENTS...
    stream_code=$1
    shift
    expect "$stream_code" stream "$work/student" threads=1 reference="$work/me.jpg" "$@"
}
for ending in mp4 m4v mov mkv webm avi gif; do
    check "out=x.$ending" stream 0 audio="$work/sound.mkv" "out='$work/a%d: [x].$ending'"
    check "it is one of $ending" seen "$work/a%d: [x].$ending" "frames \(29\|30\|31\) "
    [ $ending = gif ] || check "it says that it was made" grep -q "a synthetic picture of a person" \
        "$work/a%d: [x].$ending"
    [ $ending = gif ] || check "it has both parties" heard "$work/a%d: [x].$ending" "channels 2 .*talk 25-"
done
check "an ending that is none" stream 2 audio="$work/sound.mkv" out="$work/x.foo"
check "no ending" stream 2 audio="$work/sound.mkv" out="$work/x"
make hdr.mkv pattern=patches transfer=pq frames=5
check "HDR is no reference" stream 3 audio="$work/sound.mkv" reference="$work/hdr.mkv"
check "it says so" says HDR

head -c 64000 /dev/zero >"$work/zeros"
check "sound that cannot be heard" sh -c \
    "'$BIN/stream' '$work/student' threads=1 reference='$work/me.jpg' audio=- <'$work/zeros' >'$work/out' 2>'$log'"
check "it is said" says "too quiet (below"

# a wav of 0.9 s, 48 kHz, stereo, by every way in: 23 frames; the same samples raw
{
    printf RIFF && le 4 $((36 + 172800)) && printf 'WAVEfmt ' && le 4 16 && le 2 1 && le 2 2 && le 4 48000 &&
        le 4 192000 && le 2 4 && le 2 16
    printf data && le 4 172800 && head -c 172800 /dev/urandom && printf LIST && le 4 4 && printf abcd
} >"$work/short.wav"
mkfifo "$work/fifo"
write_fifo() { # write_fifo FILE: into the FIFO, once somebody reads it, for a while
    timeout 20 sh -c 'cat "$1" >"$2"' - "$1" "$work/fifo" >/dev/null 2>&1 </dev/null &
}
for way in "$work/short.wav" - /dev/stdin fifo; do
    input=/dev/null
    [ "$way" = - ] || [ "$way" = /dev/stdin ] && input=$work/short.wav
    if [ "$way" = fifo ]; then
        write_fifo "$work/short.wav"
        way=$work/fifo
    fi
    check "a wav by $way" stream 0 audio="$way"
    check "23 frames" says " 23 frames, "
done
input=/dev/null
pipe() { # pipe COMMAND: the stream's sound, through a pipe
    eval "$1" | "$BIN/stream" "$work/student" threads=1 reference="$work/me.jpg" audio=- >"$work/out" 2>"$log" &&
        says " 23 frames, "
}
check "a wav through a pipe" pipe 'cat "$work/short.wav"'
check "raw samples through a pipe" pipe 'head -c 28800 /dev/urandom'
check "what a recorder writes that does not know how long it will last" pipe \
    '{ printf RIFF && le 4 2147483684 && printf "WAVEfmt " && le 4 16 && le 2 1 && le 2 1 &&
    le 4 16000 && le 4 32000 && le 2 2 && le 2 16 && printf data && le 4 2147483648 && head -c 28800 /dev/zero; }'
write_fifo "$work/me.jpg"
check "a picture by a FIFO" stream 0 audio="$work/short.wav" reference="$work/fifo"

# Waits until a program, PID, has a hand on SIGTERM, which takes long on a busy machine.
catches_term() {
    for _ in $(seq 100); do
        case $(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in *[4567cdef]???) return ;; esac
        sleep 0.1
    done
}
# inputs that nobody writes to: SIGTERM ends the program
for key in audio user reference mask; do
    rest="audio=$work/short.wav reference=$work/me.jpg channels=1"
    [ $key = mask ] && rest="$rest talk=file"
    [ $key = user ] && rest="audio=$work/sound.wav reference=$work/me.jpg"
    head -c 44 "$work/short.wav" >"$work/sound.wav" && head -c 64000 /dev/zero >>"$work/sound.wav"
    "$BIN/stream" "$work/student" threads=1 $rest $key="$work/fifo" >"$work/out" 2>"$log" &
    pid=$!
    catches_term $pid
    sleep 0.3
    kill -TERM $pid 2>/dev/null
    (sleep 5 && kill -9 $pid) >/dev/null 2>&1 </dev/null &
    guard=$!
    wait $pid
    code=$?
    kill $guard 2>/dev/null
    check "$key that never comes, exit $code" [ $code -lt 128 ]
done

# an output that is read slowly: SIGTERM ends the program after the frames that it has begun, each of them whole
slowly() { # what is read, once the pipe has long been full and the signal came
    (
        "$BIN/stream" "$work/student" threads=1 reference="$work/me.jpg" audio="$work/long.wav" out=- 2>"$log" &
        echo $! >"$work/pid"
        wait $!
        echo $? >"$work/code"
    ) | (sleep 5 && kill -TERM "$(cat "$work/pid")" && sleep 1 && cat >"$work/out")
    [ "$(cat "$work/code")" -eq 0 ] && [ $(($(stat -c %s "$work/out") % (3 * 16 * 16))) -eq 0 ]
}
{
    printf RIFF && le 4 960036 && printf 'WAVEfmt ' && le 4 16 && le 2 1 && le 2 1 && le 4 16000 && le 4 32000 &&
        le 2 2 && le 2 16
    printf data && le 4 960000 && head -c 960000 /dev/zero
} >"$work/long.wav"
check "a slow reader" slowly

# ---- sentences of people ----

# GRID's talker 1 where it is there: talk begins within 3 frames of the aligned word where that is a plosive (bin,
# place), and ends so of all. Alignments of "lay" and "set" begin in silence as often as not (docs/formats.md).
grid=../shared/data/grid/s1
if [ -d "$grid" ]; then
    for align in "$grid"/*.align; do
        name=$(basename "$align" .align)
        look sound "$grid/$name.mp4"
        sed 's/.* talk \(.*\) share.*/\1/' "$log" | awk -v name="$name" '
            FILENAME == "-" { first = $1 + 0; last = $NF; sub(/.*-/, "", last); next }
            $3 != "sil" { if (!words++) begin = $1 / 1000; end = $2 / 1000 }
            END { print substr(name, 1, 1), first - begin, last + 1 - end }' - "$align"
    done >"$work/edges"
    near() { awk -v of="$1" -v column="$2" \
        '$1 ~ of { n++; near += $column >= -3 && $column <= 3 } END { exit !(n && near >= 0.95 * n) }' "$work/edges"; }
    check "where people begin" near '[bp]' 2
    check "where they end" near . 3
else
    echo "media.sh: $grid is not there: its sentences are left out"
fi

# ---- the cases ----

cases=../shared/cases
if [ ! -d "$cases" ]; then
    echo "media.sh: $cases is not there: its files are left out"
    finish
fi
while read -r sense file pattern; do check "$file: $pattern" "$sense" "$cases/$file" "$pattern"; done <<END
seen photo_orientation6.jpg corners brwg
seen photo_orientation2.jpg corners grwb
seen mirrored.mp4 corners grwb
seen upside_down_mirror.mp4 corners bwrg
seen transparent.png corners wwww .* patch 255
seen container_aspect.mkv light 45x45
seen container_aspect.mp4 light 45x45
seen cut_between_keyframes.ts missing 6[4-7] first 6[4-7]
seen picture_20s_late.mkv missing \(49[89]\|500\) first \(49[89]\|500\)
seen hdr_pq.mp4 patch 2[345][0-9] .* hdr
seen interlaced.mpg interlaced
heard antiphase.mkv talk 25-[0-9]* 50-[0-9]* 75-
heard speech_without_offset.mkv talk 2[0-2]-
heard sound_48k_stereo.wav frames 23
END
look sound "$cases/speech_without_offset.mkv" && cp "$log" "$work/without"
look sound "$cases/speech_with_offset.mkv"
check "an offset changes nothing" cmp "$log" "$work/without"
mkdir "$work/cases"
cp "$cases"/*.mp4 "$cases"/*.mkv "$cases"/*.ts "$cases"/*.mpg "$work/cases"
check "all of them in a data set" expect 0 prepare source="$work/cases" out="$work/cases.h5" height=32 width=32 \
    channels=16 frames=3 \
    stride=25 audio_dim=8 fit.patches=1000 held_out=1 workers=2
check "with what is missing" grep -q "^56[0-9] frames in 2 clips have no picture" "$work/cases.report.txt"
expect 0 stream "$work/student" threads=1 reference="$work/me.jpg" audio="$cases/speech_with_offset.wav" out=- &&
    cp "$work/out" "$work/speech"
head -c 120000 /dev/zero >"$work/zeros"
input=$work/zeros
expect 0 stream "$work/student" threads=1 reference="$work/me.jpg" audio=- out=- && cp "$work/out" "$work/silence"
check "speech with an offset moves the picture" differ "$work/speech" "$work/silence"
finish
