#!/bin/sh
# number_type.sh: prints bf16 when this CPU has AMX for it, else float (docs/design.md, section 3).
grep -qm1 amx_bf16 /proc/cpuinfo 2>/dev/null && echo bf16 || echo float
