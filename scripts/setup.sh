#!/bin/sh
# setup.sh: installs what the build, the tests and the demo need and this machine lacks, by apt (Debian 12, Ubuntu), as
# root or through sudo. Says what it installs; silent when nothing is missing. A need is met by what works, not by a
# package's name, so libraries from elsewhere count. Exit 5: something is missing and cannot be installed.

# needs PACKAGE COMMAND...: adds the package to the list when the command fails.
missing=
needs() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
header() { # HEADER [PKG-CONFIG NAME]
    cflags=
    if [ -n "$2" ]; then
        pkg-config --exists "$2" || return 1
        cflags=$(pkg-config --cflags "$2")
    fi
    echo "#include <$1>" | ${CC:-gcc} $cflags -E - -o /dev/null
}
look() {
    missing=
    needs gcc command -v ${CC:-gcc}
    needs libc6-dev header stdio.h
    needs make command -v make
    needs pkg-config command -v pkg-config
    needs libdnnl-dev header dnnl.h
    needs libhdf5-dev header hdf5.h hdf5-serial
    needs libyaml-dev header yaml.h yaml-0.1
    needs libcjson-dev header cjson/cJSON.h libcjson
    needs libavformat-dev header libavformat/avformat.h libavformat
    needs libavcodec-dev header libavcodec/avcodec.h libavcodec
    needs libavfilter-dev header libavfilter/avfilter.h libavfilter
    needs libavutil-dev header libavutil/avutil.h libavutil
    needs libswscale-dev header libswscale/swscale.h libswscale
    needs libswresample-dev header libswresample/swresample.h libswresample
    needs libwebsockets-dev header libwebsockets.h libwebsockets
    needs libpng-dev header png.h libpng
    needs zlib1g-dev header zlib.h zlib
    needs libcairo2-dev header cairo.h cairo
    needs flite1-dev header flite/flite.h
    needs libcmocka-dev header cmocka.h cmocka
    needs libsentencepiece-dev pkg-config --exists sentencepiece
    needs g++ command -v ${CXX:-g++}
    needs gnuplot-nox command -v gnuplot
    needs libopenmpi-dev pkg-config --exists ompi-c
    needs openmpi-bin command -v mpirun
}

look
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: there is no apt-get here; install by hand what these Debian packages hold:$missing" >&2
    exit 5
fi
root=
if [ "$(id -u)" -ne 0 ]; then
    root=sudo
    [ -t 0 ] || root='sudo -n' # nobody is there to give a password
    if ! $root true 2>/dev/null; then
        echo "setup: as root, or with sudo: apt-get install$missing" >&2
        exit 5
    fi
fi
echo "setup: installing$missing"
log=$(mktemp) || exit 5
trap 'rm -f "$log"' EXIT
apt() { $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
    >>"$log" 2>&1 </dev/null; }
# the lists of a fresh machine are empty or old; an update that fails leaves those that are there
apt update
if ! apt install --no-install-recommends $missing; then
    grep '^E:' "$log" >&2 || tail -n 5 "$log" >&2
    echo "setup: apt-get could not install$missing" >&2
    exit 5
fi
look
if [ -n "$missing" ]; then
    echo "setup: still missing after the installation:$missing" >&2
    exit 5
fi
