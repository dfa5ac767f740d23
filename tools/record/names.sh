#!/bin/sh
# names.sh SOURCE: prints the linker's options that lead calls to the functions which SOURCE (record.c) wraps.
sed -nE 's/^(COUNTED\(|WRAPPED\([a-z *]+, )([a-z_]+),.*/-Wl,--wrap=\2/p' "$1"
