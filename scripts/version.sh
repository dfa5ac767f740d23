#!/bin/sh
# version.sh BACKEND TYPE PACKAGE...: prints the C header of base/version.c. The version is the file VERSION's; the
# commit is git's, or, in a tree without git, the file COMMIT's, which `make dist` writes. Libraries are named with the
# versions that pkg-config knows, at the time of the build.
commit=unknown
git="git -c safe.directory=*" # the tree may be another user's: sudo make install
if [ -e .git ] && name=$($git rev-parse --short=12 HEAD 2>/dev/null); then
    commit=$name
    $git diff --quiet HEAD -- 2>/dev/null || commit="$commit with changes"
elif [ -f COMMIT ]; then
    commit=$(cat COMMIT)
fi
# of_header NAME HEADER MACRO...: a library that pkg-config does not know
of_header() {
    name=$1 header=$2
    shift 2
    found=$(printf '#include <%s>\n%s\n' "$header" "$*" | ${CC:-cc} $CFLAGS -E -P - 2>/dev/null | tail -n 1 | tr ' ' .)
    [ -z "$found" ] || printf '"%s %s\\n" \\\n' "$name" "$found"
}
cat <<TEXT
#define VERSION "$(cat VERSION)"
#define COMMIT "$commit"
#define TYPE "$2"
#define LIBRARIES \\
TEXT
backend=$1
shift 2
for package; do
    found=$(pkg-config --modversion "$package" 2>/dev/null) && printf '"%s %s\\n" \\\n' "$package" "$found"
done
case $backend in
cpu) of_header oneDNN dnnl_version.h DNNL_VERSION_MAJOR DNNL_VERSION_MINOR DNNL_VERSION_PATCH ;;
cuda)
    of_header CUDA cuda_runtime_api.h CUDART_VERSION
    of_header cuDNN cudnn_version.h CUDNN_MAJOR CUDNN_MINOR CUDNN_PATCHLEVEL
    of_header NCCL nccl.h NCCL_MAJOR NCCL_MINOR NCCL_PATCH
    ;;
esac
printf '""\n'
