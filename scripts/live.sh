#!/bin/sh
# live.sh STUDENT [key=value ...]: serves a student that says typed words, and opens the page to talk to it (make live).
# Its faces are three generated people that no training has seen. The keys are those of serve and override what is
# chosen here. Programs are in $BIN. Ctrl-C ends it.
bin=${BIN:-bin}
student=$1
[ $# -ge 1 ] || { echo "live: usage: live.sh STUDENT_FOLDER [key=value ...]" >&2; exit 2; }
shift
if [ ! -f "$student/config.json" ]; then
    echo "live: there is no student in $student; make demo trains one, make live STUDENT=FOLDER takes another" >&2
    exit 3
fi
work=$(mktemp -d) || exit 5
trap 'rm -rf "$work"' EXIT
mkdir "$work/persons"
if ! "$bin/puppet" "$work/people" identities=3 first_identity=1000 seconds=0.5 2>"$work/log"; then
    cat "$work/log" >&2
    exit 5
fi
number=0
for picture in "$work"/people/*.png; do
    number=$((number + 1))
    mv "$picture" "$work/persons/person-$number.png"
done

show() { # show ADDRESS
    echo
    echo "The page is at $1 - connect, type a sentence, press Enter. Ctrl-C ends it."
    echo "A likeness and a voice belong to their owner: use them only with that person's consent."
    [ -n "$DISPLAY$WAYLAND_DISPLAY" ] && command -v xdg-open >/dev/null && xdg-open "$1" >/dev/null 2>&1
}
mkfifo "$work/address"
"$bin/serve" "$student" port=0 agent=say persons="$work/persons" "$@" >"$work/address" &
server=$!
trap 'kill $server 2>/dev/null' INT TERM
read -r address <"$work/address" && show "$address"
wait $server
code=$?
if [ $code -gt 128 ] && kill -0 $server 2>/dev/null; then # a signal ended the wait, not yet the server
    wait $server
    code=$?
fi
exit $code
