#!/bin/sh
# number_type.sh: prints bf16 when this CPU multiplies matrices faster in it, else float (docs/design.md, section 3):
# with AMX, or with AVX-512 bf16 from AMD (Zen 4: a training step takes 0.6 of float's time). Some Intel parts with
# AVX-512 bf16 and no AMX are slower than in float. slow_bf16 in kernels/host/device.c says the same to a program that
# starts.
has() { grep -qm1 "$1" /proc/cpuinfo 2>/dev/null; }
if has amx_bf16 || { has AuthenticAMD && has avx512_bf16; }; then
    echo bf16
else
    echo float
fi
