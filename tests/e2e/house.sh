#!/bin/sh
# house.sh: the order of the source tree that docs/design.md section 2 states. A file includes its own floor and lower
# ones only; the includes between rooms form no circle; no folder but those of tests holds more than 30 sources. Then
# the looks of the text: no line is too wide, and no comment or help text begins in the middle of a sentence. Reads the
# files alone and needs no build; what is wrong is listed as FILE:LINE.
# Usage: sh tests/e2e/house.sh [TREE]
. tests/e2e/checks
tree=${1:-.}

# What a floor may include besides itself. Programs stand on everything.
below() {
    case $1 in
    base) ;;
    kernels) echo base ;;
    comm) echo base kernels ;;
    model) echo base kernels comm ;;
    data | checkpoints) echo base kernels comm model ;;
    train | infer) echo base kernels comm model data checkpoints ;;
    tools) echo base kernels comm model data checkpoints train infer ;;
    programs) echo base kernels comm model data checkpoints train infer tools ;;
    esac
}
floors="base kernels comm model data checkpoints train infer tools programs"

# FILE INCLUDED, one a line; includes are written from the root of the tree.
includes() {
    (cd "$tree" &&
        grep -rnE '^#include "[^"]*/' $floors --include='*.[ch]' --include='*.cu' --include='*.cuh' --include='*.cc') |
        sed -nE 's|^([^:]*):[0-9]*:#include "([^"]*)".*|\1 \2|p'
}
includes >"$work/includes"
[ "$(wc -l <"$work/includes")" -gt 500 ]
verdict $? "the sources were read"

while read -r file included; do
    floor=${file%%/*} other=${included%%/*}
    [ "$floor" = "$other" ] && continue
    case " $(below "$floor") " in
    *" $other "*) ;;
    *) echo "$file includes $included" ;;
    esac
done <"$work/includes" >"$work/up"
[ ! -s "$work/up" ]
verdict $? "includes that run up or sideways between floors: $(cat "$work/up")"

# A room is a folder inside a floor, or a file (source and header) that lies in the floor itself; likewise inside
# kernels/cuda.
awk 'function room(path) {
         if (path ~ /^(kernels\/cuda|[a-z]*)\/[^\/]*$/)
             sub(/\.[a-z]*$/, "", path)
         else
             sub(/\/[^\/]*$/, "", path)
         return path
     }
     {a = room($1); b = room($2)} a != b {print a, b}' "$work/includes" | sort -u >"$work/rooms"
[ "$(wc -l <"$work/rooms")" -gt 100 ]
verdict $? "the rooms were found"
tsort "$work/rooms" >/dev/null 2>"$work/circles"
[ ! -s "$work/circles" ]
verdict $? "rooms in a circle: $(cat "$work/circles")"

(cd "$tree" && find $floors -name '*.c' -o -name '*.cu' -o -name '*.cc') | sed 's|/[^/]*$||' | sort | uniq -c |
    awk '$1 > 30' >"$work/heaps"
[ ! -s "$work/heaps" ]
verdict $? "folders of more than 30 sources: $(cat "$work/heaps")"

(cd "$tree" && grep -nE '#include <(hdf5|mpi|nccl)\.h>' -r base infer model programs/lean --include='*.[ch]') |
    grep -v '^base/hdf5_[a-z]*\.c:' >"$work/heavy"
[ ! -s "$work/heavy" ]
verdict $? "includes that the lean programs must not need: $(cat "$work/heavy")"

# Whatever is called of NVIDIA's libraries has its stand-in for the rehearsal of a visit to a GPU.
if [ -f tests/gpu/standin.c ]; then
    grep -rhoE '\b(cublasLt|cudnn|nccl|cuda)[A-Z][A-Za-z0-9]*\(' kernels/cuda comm tools programs | tr -d '(' |
        sort -u >"$work/calls"
    while read -r name; do grep -qw "$name" tests/gpu/standin.c || echo "$name"; done <"$work/calls" >"$work/called"
    [ ! -s "$work/called" ]
    verdict $? "tests/gpu/standin.c lacks: $(cat "$work/called")"
fi

# Tests make their folders where whoever starts them cleans up (tests/folder.h).
(cd "$tree" && grep -rnE 'mk[ds]temp|"/tmp' tests --include='*.[ch]') |
    grep -v '^tests/folder\.h:' >"$work/astray"
[ ! -s "$work/astray" ]
verdict $? "tests with folders or files of their own making: $(cat "$work/astray")"

# ---- the looks of the text ----

# Files of the tree whose names fit one of the patterns; what is built or downloaded does not count.
files() { # files PATTERN...
    for pattern; do
        (cd "$tree" && find . \( -path ./build -o -path ./bin -o -path ./runs -o -path ./gpu_pack -o -name '.?*' \) \
            -prune -o -type f -name "$pattern" -print)
    done | sed 's|^\./||' | sort
}
files '*.[ch]' '*.cu' '*.cuh' '*.cc' '*.cpp' >"$work/c"
files '*.sh' '*.bash' '*.sbatch' '*.py' '*.yaml' '*.mk' Makefile checks >"$work/scripts"
files '*.md' >"$work/markdown"
[ "$(wc -l <"$work/c")" -gt 500 ] && [ "$(wc -l <"$work/scripts")" -gt 50 ] && [ "$(wc -l <"$work/markdown")" -gt 10 ]
verdict $? "the files were found"

# wide COLUMNS <LIST: the lines that have more columns (characters; a tab is eight). In Markdown a table's row counts
# nothing, because it cannot be broken, nor does an address; of a link only what is shown counts.
wide() {
    (cd "$tree" && xargs awk -v columns="$1" '
        FILENAME ~ /\.md$/ {
            sub(/^ *\|.*/, "")
            gsub(/\]\([^)]*\)/, "]")
            gsub(/https?:\/\/[^ )>]*/, "")
        }
        {gsub(/\t/, "        ")}
        length > columns {print FILENAME ":" FNR ":" $0}') | LC_ALL=C.UTF-8 grep -aE "^[^:]*:[0-9]*:.{$(($1 + 1))}"
}
{
    cat "$work/c" "$work/scripts" | wide 120
    wide 160 <"$work/markdown"
} | cut -c1-150 >"$work/wide"
[ ! -s "$work/wide" ]
verdict $? "lines that are wider than 120 columns (Markdown: 160):
$(cat "$work/wide")"

# A comment that begins with one of these words in lower case leaves its noun to be guessed; in scripts a line that goes
# on with the sentence of the line above does not begin one. So does a help text, the last argument of a row of config
# keys (base/config.h); the row may go over several lines.
(cd "$tree" && {
    xargs grep -nE '(/\*+|//) ?(of|from|after|for)( |$)' <"$work/c"
    xargs awk '
        FNR == 1 {last = ""}
        /(^|[ \t])# ?(of|from|after|for)( |$)/ && !(/^ *#/ && last ~ /^ *#[^!].*[^.]$/) {print FILENAME ":" FNR ":" $0}
        {last = $0}' <"$work/scripts"
    xargs awk '
        FNR == 1 {row = 0; last = ""}
        /(^|[^A-Z_])(TEXT|INT|LONG|REAL|REALS|FLAG|CHOICE|[A-Z_]+_FIELDS?)\(/ {row = 1; last = ""}
        row && (/, *"(of|from|after|for) / || (/^ *"(of|from|after|for) / && last ~ /, *\\?$/)) {
            print FILENAME ":" FNR ":" $0
        }
        /\)[,;]?( *\\)?$/ {row = 0}
        {last = $0}' <"$work/c"
}) | cut -c1-150 >"$work/fragments"
[ ! -s "$work/fragments" ]
verdict $? "comments and help texts that begin with a lower-case of, from, after or for:
$(cat "$work/fragments")"
finish
