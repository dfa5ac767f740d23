#!/bin/sh
# quiet_kernels.sh: prints C that defines each function of kernels.h so that it does nothing, but those that shapes.c
# has.
# Usage: sh quiet_kernels.sh HEADER
sed -nE 's/^(void|int|long|real) ([a-z_0-9]+)\(.*/\2/p' "$1" |
    grep -vxE 'conv_forward|conv_forward_real|conv_backward_input|conv_backward_weight' |
    grep -vxE 'attention_forward|attention_backward' |
    while read -r name; do printf 'long %s(void);\nlong %s(void) { return 0; }\n' "$name" "$name"; done
