#!/bin/sh
# house.sh: the order of the source tree that docs/design.md section 2 states. A file includes its own floor and lower
# ones only; the includes between rooms form no circle; no folder but those of tests holds more than 30 sources. Reads
# the sources alone.
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
    grep -v '^base/hdf5_' >"$work/heavy"
[ ! -s "$work/heavy" ]
verdict $? "includes that the lean programs must not need: $(cat "$work/heavy")"
finish
