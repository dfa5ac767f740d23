#!/bin/sh
# packages.sh FOLDER: prints the Debian packages that hold the shared libraries of the programs in FOLDER, one a line;
# CUDA's are left out.
for program in "$1"/*; do ldd "$program"; done | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    while read -r library; do
        real=$(realpath "$library")
        # dpkg knows a file by its path in the package, which may or may not begin with /usr
        dpkg -S "$real" "/usr$real" "${real#/usr}" 2>/dev/null | cut -d : -f 1 | head -n 1
    done | sort -u | grep -v -e '^cuda-' -e '^libcu' -e '^libnccl'
