#!/bin/sh
# collection.sh: `drive` over a list, and the folder that it leaves for other tools to score, read back with ffprobe:
# rate, length, sound, one entry of the manifest for every item. Lists that cannot be understood are refused with their
# line; a list that was stopped goes on where it was.
. tests/e2e/checks
command -v ffprobe >/dev/null || { echo "skipped: there is no ffprobe to read videos back"; exit 77; }
export OMP_NUM_THREADS=1
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 12 4 || exit 1
all="configs/tiny.yaml data=$work/data.h5 run=$work/run"
check "a teacher" expect 0 teacher $all teacher.steps=2
check "its export" expect 0 export $all stage=teacher out="$work/student"
check "clips" expect 0 puppet "$work/clips" size=32 identities=2 clips=1 seconds=3
mkdir "$work/lists"
i=0
for clip in "$work"/clips/*.mp4; do
    i=$((i + 1))
    mv "$clip" "$work/clips/clip $i.mp4"
done
list=$work/lists/list.csv
{
    printf '\357\273\277Audio,Reference,ID,truth,user\r\n'
    printf '../clips/clip 1.mp4,../clips/clip 1.mp4,one,../clips/clip 1.mp4,\r\n'
    printf '"../clips/clip 2.mp4","../clips/clip 2.mp4",two.b,,../clips/clip 1.mp4\r\n'
} >"$list"

probe() { # probe FILE STREAM FIELDS: of that stream, comma-separated
    ffprobe -v error -select_streams "$2" -show_entries "stream=$3" -of csv=p=0 "$1"
}
frames=75
same_length() { # same_length NAME: 25 pictures a second, as long as the wav, sound in it
    [ "$(probe "$out/$1.mp4" v codec_name,r_frame_rate,nb_frames)" = "h264,25/1,$frames" ] &&
        [ "$(probe "$out/$1.mp4" a codec_name,sample_rate,channels)" = "aac,16000,1" ] &&
        [ "$(probe "$out/$(basename "$1").wav" a codec_name,sample_rate,channels,duration_ts)" = \
        "pcm_s16le,16000,1,$((frames * 640))" ]
}
ids() { # ids NAMES: of the manifest's items, in their order
    [ "$(sed -n 's/^.*"id":[[:space:]]*"\(.*\)".*$/\1/p' "$out/manifest.json" | tr '\n' ' ')" = "$1 " ]
}
numbers() { # numbers KEY VALUES: of all items
    [ "$(sed -n "s/^.*\"$1\":[[:space:]]*\([-0-9.e]*\).*\$/\1/p" "$out/manifest.json" | tr '\n' ' ')" = "$2 " ]
}

out=$work/made
check "a list" expect 0 drive "$work/student" "$list" out="$out"
for name in one two.b truth/one; do check "$name: rate, length and sound" same_length $name; done
check "no truth where none is named" [ ! -e "$out/truth/two.b.mp4" ]
check "the other party's sound" \
    [ "$(probe "$out/two.b.user.wav" a sample_rate,duration_ts)" = "16000,$((frames * 640))" ]
check "the right channel is the other party" [ -s "$out/one.user.wav" ]
check "the reference" [ "$(probe "$out/one.reference.png" v width,height)" = "$(probe "$out/one.mp4" v width,height)" ]
check "every item is in the manifest" ids "one two.b"
check "with its length" numbers frames "$frames $frames"
check "and its speed" [ "$(grep -c '"rtf":.*[1-9]' "$out/manifest.json")" -eq 2 ]
check "what made it" grep -q '"commit":.*"[0-9a-z ]*"' "$out/manifest.json"
check "of which student" grep -q '"student_config_crc32":.*"[0-9a-f]\{8\}"' "$out/manifest.json"
check "the rate" numbers rate 25
check "segments fill each item" awk -F, \
    'NR > 1 { if ($1 != id) { if (id != "" && end != 3) exit 1; if ($2 != 0) exit 1 }
    else if ($2 != end) exit 1; id = $1; end = $3; if ($4 !~ /^(talk|listen|idle)$/) exit 1 } END { exit end != 3 }' \
        "$out/segments.csv"
check "somebody speaks" grep -q ',talk$\|,listen$' "$out/segments.csv"
sum=$(cksum <"$out/one.mp4")
rm "$out/records/one.json" "$out/manifest.json"
check "again" expect 0 drive "$work/student" "$list" out="$out"
check "the columns that are used are said" says 'list.csv: 2 rows of reference, audio, id, user, truth$'
check "only what was not finished is made" says '2 items in .*, 1 of them made now'
check "the same video" [ "$(cksum <"$out/one.mp4")" = "$sum" ]
check "the manifest is back" ids "one two.b"
check "another seed is not passed off as made" expect 3 drive "$work/student" "$list" out="$out" seed=7
check "the difference is named" says \
    'list.csv:2: .*made: one: finished already, but with seed 1, not 7; .*records/one.json'
check "nor is a part of the sound" expect 3 drive "$work/student" "$list" out="$out" seconds=1
cp -r "$work/student" "$work/other"
sed -i ':all;N;$!ball;s/,\n\t"sum":[^\n]*//; s/\n/\n /' "$work/other/config.json" # the last key, and a space
check "nor another student's" expect 3 drive "$work/other" "$list" out="$out"
check "that is said" says 'student_config_crc32'
check "from another folder it is the same list" expect 0 drive "$work/student" "$work/lists/../lists/list.csv" \
    out="$out"

out=$work/pieces frames=25
check "pieces of a second" expect 0 drive "$work/student" "$list" out="$out" split=1
check "three of each" ids "one_000 one_001 one_002 two.b_000 two.b_001 two.b_002"
check "each begins where it says" numbers start "0 1 2 0 1 2"
check "each a second long" same_length one_002
check "the truth as well" same_length truth/one_002

refuses() { # refuses CODE PATTERN TEXT: a list
    printf "$3" >"$work/lists/bad.csv"
    expect "$1" drive "$work/student" "$work/lists/bad.csv" out="$work/no" && says "$2"
}
r="../clips/clip 1.mp4"
check "no such column" refuses 3 'bad.csv:1: .*audio' 'reference,sound\na,b\n'
check "no item" refuses 3 'names no item' 'reference,audio\n'
check "an empty field" refuses 3 'bad.csv:2: reference: is empty' "reference,audio\n,$r\n"
check "an id twice" refuses 3 'bad.csv:3: the id x is that of line 2' "reference,audio,id\n$r,$r,x\n$r,$r,x\n"
check "an id that leaves the folder" refuses 3 'bad.csv:2: .*is no id' "reference,audio,id\n$r,$r,../x\n"
check "a row whose file is not there, behind good ones" refuses 3 'bad.csv:3: .*nothing.wav: is not there' \
    "reference,audio,id\n$r,$r,x\n$r,nothing.wav,y\n"
check "nothing was begun" [ ! -e "$work/no" ]
check "an id that is another item's sound" refuses 3 'bad.csv:2: .*a.user.* is no id' \
    "reference,audio,id\n$r,$r,a.user\n"
check "an id that is too long" refuses 3 'bad.csv:2: an id has 1 to' "reference,audio,id\n$r,$r,$(printf %0200d 1)\n"
check "a sound that is not there" refuses 3 'bad.csv:2: .*nothing.wav' "reference,audio\n$r,nothing.wav\n"
ffmpeg -v error -i "$work/clips/clip 1.mp4" -t 1 "$work/clips/short.mp4"
printf 'reference,audio,id,truth\n%s,%s,one,../clips/short.mp4\n' "$r" "$r" >"$work/lists/short.csv"
check "a truth that ends early" expect 0 drive "$work/student" "$work/lists/short.csv" out="$work/early"
check "that is said" says 'one: .*short.mp4 ends 2.00 s before the sound; its last picture fills that time'
check "a truth that ends before the piece" expect 3 drive "$work/student" "$work/lists/short.csv" out="$work/early" \
    split=1
check "is named" says 'short.csv:2: .*short.mp4: has pictures of 1.00 s, the item begins at 1.00 s'
check "sound that is too short" expect 3 drive "$work/student" "$list" out="$work/no" split=10
check "it is named" says 'list.csv:2: .*clip 1.mp4: 3.00 s of sound are too short'
mkdir -p "$work/folder/a"
for clip in a/b 'a b' a,b a-b; do cp "$work/clips/clip 1.mp4" "$work/folder/$clip.mp4"; done
held_out="configs/real_data.yaml source=$work/folder student=$work/student folder=$work/real held_out=3"
out=$work/held
check "clips whose paths make the same id" expect 0 evaluate_real $held_out out="$out"
check "have three" ids "a-b a-b-2 a-b-3"
check "with the codec's copy" [ -s "$out/codec/a-b-3.mp4" ]
: >"$work/file"
real=$work/real/report.json
check "its figures" [ "$(grep -c \
    '"correlation"\|"ceiling"\|"over_ceiling"\|"amount_over_copy"\|"exchanged_with_sound"' "$real")" -eq 7 ]
check "the control by other orders" grep -q '"codec_permutations"' "$real"
check "the same clip's sound exchanged with itself is the same video" sh -c \
    "sed -n '/\"sound_counts\"/,/}/p' '$real' | grep -q '\"value\":.-*0,'"
check "what cannot be written is not the clips' fault" expect 3 evaluate_real $held_out out="$work/file"
check "that is said" says 'evaluate_real: .*file: is not a folder'
finish
