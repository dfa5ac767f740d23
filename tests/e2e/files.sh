#!/bin/sh
# files.sh: files that are not what a program asks for, and a run whose data or numbers are not what they were. A file
# that another tool wrote is refused by what it is, wherever it is named. A run that resumes with another data set is
# refused with both sums. A run that skipped updates says how many, and fails where most were skipped.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/files.sh
. tests/e2e/checks
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 12 4 || exit 1
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/other.h5" 16 13 4 || exit 1
teacher() { # teacher CODE RUN [key=value ...]
    want=$1 run=$2
    shift 2
    expect "$want" teacher configs/tiny.yaml data="$work/data.h5" run="$work/$run" threads=1 "$@"
}
check "a teacher" teacher 0 run teacher.steps=4
check "it skipped nothing and says nothing of it" [ "$(grep -c 'updates were skipped' "$log")" -eq 0 ]
check "export" expect 0 export configs/tiny.yaml data="$work/data.h5" run="$work/run" stage=teacher out="$work/student"
cp tests/inputs/picture.png tests/inputs/sound.wav "$work"

# ---- files of other tools ----

foreign() { # foreign FILE NAME: in every place where a program asks for a file
    file=$1 name=$2
    check "$name as a start" teacher 3 new teacher.init="$file"
    check "it says so" says "$name"
    check "$name as a data set" teacher 3 new data="$file"
    check "it says so" says "$name"
    check "$name as a student" expect 3 stream "$file" reference="$work/picture.png" audio="$work/sound.wav"
    check "it says so" says "$name"
    for key in reference audio text decoder; do
        reference=$work/picture.png audio=$work/sound.wav more=
        case $key in reference | audio) eval "$key=\$file" ;; *) more=$key=$file ;; esac
        check "$name as $key" expect 3 stream "$work/student" threads=1 reference="$reference" audio="$audio" $more
        check "it says so" says "$name"
    done
    rm -rf "$work/clips" && mkdir "$work/clips" && cp "$file" "$work/clips/a.mp4"
    check "$name as a clip" expect 3 prepare configs/demo_data.yaml source="$work/clips" out="$work/clips.h5" held_out=0
    check "it says so" says "$name"
}
printf '<!DOCTYPE html>\n<title>Sign in</title>' >"$work/page.html"
foreign tests/inputs/other_tool_1.bin 'a GGUF file'
foreign tests/inputs/other_tool_2.bin 'a PyTorch file (zip)'
foreign tests/inputs/other_tool_3.safetensors 'a Git LFS pointer'
foreign "$work/page.html" 'an HTML page'
check "metadata that are null" expect 0 inspect tests/inputs/metadata_null.safetensors

# ---- another data set ----

sums='its sum is [0-9a-f]\{8\}, the state.s [0-9a-f]\{8\}'
check "another data set of the same shape" teacher 3 run teacher.steps=6 data="$work/other.h5"
check "is refused with both sums" says "other.h5: is another data set.*$sums"
check "the same one under another name" sh -c "cp '$work/data.h5' '$work/moved.h5'"
check "goes on" teacher 0 run teacher.steps=5 data="$work/moved.h5"
check "another one, as is meant" teacher 0 run teacher.steps=6 data="$work/other.h5" data_changed=yes
check "is said" says "another data set: $sums"
check "from then on it is the run's" teacher 0 run teacher.steps=7 data="$work/other.h5"
check "and the first one another" teacher 3 run teacher.steps=8

# ---- skipped updates ----

check "most updates skipped" teacher 4 skips teacher.steps=120 faults.spike=0.3 faults.after=1000
check "are counted" says '[0-9]* of 120 updates were skipped'
check "and the state is there all the same" [ -s "$(newest skips/teacher)" ]
check "a few skipped" teacher 0 few teacher.steps=150 faults.spike=1.5 faults.after=1000
check "are counted" says '[0-9]* of 150 updates were skipped'
finish
