#!/bin/sh
# install.sh: `make install` into an empty folder, which is then moved; the checkout out of reach; what is there works
# by itself: help, manual pages, completion, a data set, every stage, export, a stream, a job of two processes. `make
# uninstall` leaves nothing.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/install.sh
. tests/e2e/checks
variant=$(basename "$BUILD") # BACKEND-TYPE and what instruments it
case $variant in
cpu-float | cpu-bf16 | ref-float) ;;
*) # instrumented builds are not installed
    skipped=1
    finish
    ;;
esac
installed() { # installed TARGET
    make -s -o programs BACKEND="${variant%-*}" TYPE="${variant#*-}" BIN="$BIN" BUILD="$BUILD" DESTDIR="$work/root" \
        PREFIX=/opt/sa "$1" >"$log" 2>&1
}
check "make install" installed install
check "it makes no file elsewhere" \
    [ "$(ls "$work/root" "$work/root/opt")" = "$(printf '%s\n' "$work/root:" opt '' "$work/root/opt:" sa)" ]
check "one name in bin" [ "$(ls "$work/root/opt/sa/bin")" = streamavatar ]
programs=$(ls programs/*.c programs/lean/*.c | wc -l)
check "every program" [ "$(ls "$work/root/opt/sa/libexec/streamavatar" | wc -l)" -eq $((programs - 1)) ]
check "nothing names the folder it was put into" [ -z "$(grep -rl "$work/root" "$work/root")" ]

# ---- without the checkout ----

mv "$work/root/opt/sa" "$work/moved"
here=$PWD
# away COMMAND...: in $work, with the checkout hidden behind an empty folder, where the system lets us; without the
# caller's variables
hide=
if unshare -rm true 2>/dev/null; then
    hide="unshare -rm sh -c"
else
    echo "the checkout stays in reach: unshare -rm is not allowed here"
    hide="sh -c"
fi
away() {
    (cd "$work" && env -u BIN -u BUILD PATH="$work/moved/bin:$PATH" OMP_WAIT_POLICY=passive $hide '
        here=$1
        shift
        case $0 in hide) mount -t tmpfs none "$here" || exit 9; esac
        "$@"' "$([ "$hide" = "sh -c" ] && echo show || echo hide)" "$here" "$@") >"$work/out" 2>"$log" <"$input"
}
works() { # works WHAT COMMAND...: without a checkout
    what=$1
    shift
    away "$@"
    verdict $? "$what"
}
[ "$hide" = "sh -c" ] || works "the checkout is out of reach" sh -c "! ls '$here/Makefile' 2>/dev/null"
works "version" streamavatar version
works "help" streamavatar help
compiled=$(ls "$work/moved/libexec/streamavatar" | wc -l)
commands=$((compiled + $(grep -l '^# usage: streamavatar' "$work"/moved/share/streamavatar/scripts/* | wc -l)))
check "help lists all that is there" [ "$(grep -c '^  [a-z_]*  *[A-Z].*\.$' "$work/out")" -eq $((commands + 2)) ]
for page in $(sed -n 's/^  \([a-z_]*\)  .*/\1/p' "$work/out" | grep -vx -e help -e version); do
    check "a manual page of $page" grep -q "^.SH SYNOPSIS" "$work/moved/share/man/man1/streamavatar-$page.1"
done
if command -v man >/dev/null; then
    check "man reads them" [ -z "$(man --warnings -E UTF-8 -l "$work/moved"/share/man/man1/*.1 2>&1 >/dev/null)" ]
fi
if command -v bash >/dev/null; then
    works "completion" bash -c '. moved/share/bash-completion/completions/streamavatar
        COMP_LINE="streamavatar str" COMP_POINT=16 COMP_WORDS=(streamavatar str) COMP_CWORD=1
        _streamavatar && [ "${COMPREPLY[*]}" = stream ]'
fi
works "a data set" streamavatar prepare source=puppet out=data.h5 height=16 width=16 patch=4 channels=16 frames=7 \
    stride=25 text_len=4 text_dim=8 \
    puppet.identities=3 puppet.dialogues=1 puppet.held_out=2 puppet.seconds=4 workers=1
tiny="moved/share/streamavatar/configs/tiny.yaml data=data.h5 run=run threads=1 model.audio_dim=32"
for stage in teacher ode_init distill refine; do
    works "$stage" streamavatar $stage $tiny $stage.steps=2
done
works "two processes" streamavatar launch -n 2 teacher $tiny run=two teacher.steps=2
works "or the command itself" streamavatar launch -n 2 streamavatar inspect data.h5
works "ablations, up to a row that there is not" sh -c \
    'streamavatar ablations moved/share/streamavatar/configs/tiny.yaml data.yaml run other
    [ $? -eq 2 ]'
check "which it names" grep -q 'has no row other' "$log"
works "export" streamavatar export $tiny stage=refine out=student
works "dialogues" streamavatar puppet clips size=32 identities=1 seconds=2
works "stream" streamavatar stream student reference="clips/0000-0000.mp4" audio="clips/0000-0000.mp4" out=made.mp4 \
    threads=1
check "a video" [ -s "$work/made.mp4" ]

# ---- taken away ----

mv "$work/moved" "$work/root/opt/sa"
touch "$work/root/opt/sa/bin/other"
check "make uninstall" installed uninstall
check "nothing of ours is left" [ -z "$(find "$work/root" -name '*streamavatar*')" ]
check "what was others' is, and no other file" [ "$(find "$work/root" ! -type d)" = "$work/root/opt/sa/bin/other" ]
finish
