#!/bin/sh
# oracle_names.sh HEADER OUT UNDEF: writes "#define name ref_name" to OUT, and "#undef name" to UNDEF, for each function
# and struct that HEADER (kernels.h) declares. A declaration starts in column 1; structs are "struct name {".
set -e
function='s/^(void|int|long|real|const [a-z]+ \*?)[ *]*([a-z_0-9]+)\(.*/\2/p'
struct='s/^struct ([a-z_0-9]+) \{.*/\1/p'
names=$(sed -nE "$function; $struct" "$1")
printf '/* generated from kernels.h */\n' >"$2"
printf '/* generated from kernels.h */\n' >"$3"
for n in $names; do
    # no element types inside: shared
    case $n in optim_state | rope_axes | conv_shape | block_order | tile_place) continue ;; esac
    echo "#define $n ref_$n" >>"$2"
    echo "#undef $n" >>"$3"
done
