#!/bin/sh
# adapters.sh: the adapters for Pipecat and LiveKit agents (examples/) against those packages, in a loop without their
# clouds (adapters.py). PYTHON=VENV/bin/python names an interpreter that has them: pip install pipecat-ai livekit-agents
# websockets. Skipped where it has neither.
. tests/e2e/checks
export PYTHONDONTWRITEBYTECODE=1
python=${PYTHON:-python3}
has() { "$python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$1'))" 2>/dev/null; }
if ! has websockets || { ! has pipecat && ! has livekit; }; then
    echo "skipped: the adapters' test needs Python with websockets and pipecat-ai or livekit-agents (PYTHON=)"
    exit 77
fi
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=2
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
"$BUILD/tests/programs/voices" 1 4 >"$work/speech.pcm"
"$BIN/serve" "$work/student" port=0 reference=docs/demo.png threads=1 >"$work/address" 2>"$work/server" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    [ -s "$work/address" ] && break
    sleep 0.05
done
log=$work/said
timeout 120 "$python" tests/e2e/adapters.py "$(sed 's/http/ws/; s/\/$//' "$work/address")" "$work/speech.pcm" \
    >"$log" 2>&1
code=$?
sum=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log")
if [ -n "$sum" ]; then
    set -- $sum
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
else
    verdict $code "the adapters' script"
fi
grep -E "^(FAILED|skipped|Pipecat|LiveKit)" "$log"
kill $server
wait $server
verdict $? "the server's end"
finish
