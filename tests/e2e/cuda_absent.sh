#!/bin/sh
# cuda_absent.sh: the CUDA build (make BACKEND=cuda) on a machine without a GPU: all of the contract comes from
# kernels/cuda, the driver's own library is not linked, programs say in one line that there is no driver and exit 5, and
# what is told to NVIDIA's libraries holds together. Skips when there is no such build, or a GPU.
CUDA=${CUDA:-build/cuda-bf16}
[ -x "$CUDA/bin/bench" ] || { echo "no CUDA build here: make BACKEND=cuda programs unit-tests"; exit 77; }
nvidia-smi -L >/dev/null 2>&1 && { echo "there is a GPU"; exit 77; }
. tests/e2e/checks

# No program needs libcuda.so.1 to start.
for program in "$CUDA"/bin/*; do
    ! readelf -d "$program" | grep -q 'NEEDED.*libcuda\.so'
    verdict $? "$program links the driver"
done

# Every function of kernels.h is defined by an object of kernels/cuda, none by ref.
names=$(sed -nE 's/^#define ([a-z_0-9]+) ref_.*/\1/p' "$CUDA/gen/oracle_names.h")
defined=$(nm -A "$CUDA"/kernels/cuda/*.o "$CUDA"/kernels/cuda/*/*.o | awk '$2 ~ /^[TW]$/ || $3 == "T" {print $NF}')
missing=
for name in $names; do
    case $name in attention_range) continue ;; esac # a struct
    echo "$defined" | grep -qx "$name" || missing="$missing $name"
done
[ -z "$missing" ] && [ -n "$names" ]
verdict $? "not in kernels/cuda:$missing"
! ls "$CUDA"/kernels/ref/*.o >/dev/null 2>&1
verdict $? "ref is in the CUDA build"

# Kernels that are templates are told apart by the names of their operands, over all files.
twice=$(cat kernels/cuda/*/*.cu | sed -nE 's/^struct ([a-z_]+) \{.*/\1/p' | sort | uniq -d)
[ -z "$twice" ]
verdict $? "structs of one name in kernels/cuda: $twice"

# expect_5 LABEL COMMAND...
expect_5() {
    label=$1
    shift
    text=$("$@" 2>&1 >/dev/null </dev/null)
    code=$?
    [ $code -eq 5 ] && [ "$(printf '%s\n' "$text" | wc -l)" -eq 1 ] && printf '%s' "$text" | grep -q 'cuda: .*driver'
    verdict $? "$label: exit $code, $text"
}
for stage in teacher ode_init distill refine; do
    expect_5 $stage "$CUDA/bin/$stage" configs/demo.yaml run="$work/$stage" data="$work/none.h5"
done
expect_5 bench "$CUDA/bin/bench"

# Plans are made where the device is not, and attention's workspace is in them: 21 frames at 12 KiB a token and array.
for stage in teacher ode_init distill refine; do
    [ "$("$CUDA/bin/$stage" configs/wan2.2-ti2v-5b.yaml --plan 2>"$log" |
        awk '/^workspace  / && $2 > 300 {n++} /^total  / {n++} END {print n}')" = 2 ] &&
        [ ! -s "$log" ]
    verdict $? "plan of $stage"
done
"$CUDA/bin/teacher" configs/wan2.2-ti2v-5b.yaml --plan workspace_mib=64 2>&1 >/dev/null |
    grep -q 'workspace_mib: 64, but .* are wanted'
verdict $? "a cap that is too small"

# Descriptors, made without a device.
for program in "$CUDA"/tests/cuda/test_cuda_*; do
    case $program in *.d | *.o) continue ;; esac
    [ -x "$program" ] || continue
    "$program" >"$log" 2>&1
    verdict $? "$program"
done
finish
