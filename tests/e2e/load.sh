#!/bin/sh
# load.sh: an audience against a running server: what is planned, that all who come are served where there is room, that
# interruptions are answered and those who were cut off come back, and that too small a server is seen to be one.
. tests/e2e/checks
tiny=$BUILD/tests/programs/tiny_dataset

# ---- the plan ----

check "a plan" expect 0 load plan=list seed=3 rate=30 minutes=20 sessions=4 queue=2
cp "$work/out" "$work/plan"
check "the same seed" expect 0 load plan=list seed=3 rate=30 minutes=20 sessions=4 queue=2
check "is the same plan" cmp "$work/plan" "$work/out"
check "another seed" expect 0 load plan=list seed=4 rate=30 minutes=20 sessions=4 queue=2
check "is another" differ "$work/plan" "$work/out"
check "its figures" expect 0 load plan=only seed=3 rate=30 minutes=20 sessions=4 queue=2 out="$work/plan.json"
check "count every visit" awk -F, 'NR == FNR { visits += /^[0-9]/; stay += $3; next } /"visits"/ { split($0, a, ":"); ok = a[2] + 0 == visits }
    /"mean_stay_drawn"/ { split($0, a, ":"); d = a[2] - stay / visits; near = d < 0.01 && d > -0.01 } END { exit !(ok && near) }' \
    "$work/plan" "$work/plan.json"
number() { # number NAME [FILE]: of a JSON file, the first of that name
    sed -n "s/.*\"$1\":[^-0-9]*\([-0-9.e]*\).*/\1/p" "${2:-$work/results}" | head -n 1
}
admitted=$(number admitted "$work/plan.json") queued=$(number queued "$work/plan.json") refused=$(number refused "$work/plan.json")
check "and what becomes of each" [ $((admitted + queued + refused)) -eq "$(number visits "$work/plan.json")" ]
check "a load without a server" expect 2 load
check "an address that is none" expect 2 load https://127.0.0.1:1
check "nobody is there" expect 5 load 127.0.0.1:1
check "a mean that cannot be" expect 2 load plan=only stay_mean=1

# ---- a server ----

"$tiny" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=4 \
    teacher.optimiser.warmup=1 teacher.optimiser.ema=0
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher out="$work/student"
server=
start() { # start KEY=VALUE...: a server; $address, $server
    : >"$work/address"
    "$BIN/serve" "$work/student" port=0 encoder=raw "$@" >"$work/address" 2>"$work/server" &
    server=$!
    for _ in $(seq 400); do
        [ -s "$work/address" ] && break
        kill -0 $server 2>/dev/null || break
        sleep 0.05
    done
    address=$(cat "$work/address")
    [ -n "$address" ]
}
stop() {
    kill $server
    wait $server
    code=$?
    server=
    [ $code -eq 0 ]
}
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT
# three seconds each, some eight at once, for four seconds; media in real time
visits="rate=200 minutes=0.07 brief=0 stay_median=0.05 stay_mean=0.05 turn_median=0.6 turn_mean=0.7 codecs=raw slow=0 breaks=0 seed=1"

check "a server with room" start sessions=64 connections=64 reference=docs/demo.png
check "an audience" expect 0 load "$address" $visits interrupt=0 out="$work/results"
visitors=$(number visits)
check "that came" [ "$visitors" -ge 10 ]
sed -n '/"clients"/,/}/p' "$work/results" >"$work/clients"
check "was let in" [ "$(number admitted "$work/clients")" -eq "$visitors" ]
check "whole" [ "$(number queued "$work/clients") $(number refused "$work/clients") $(number failed "$work/clients")" = "0 0 0" ]
check "saw pictures" [ "$(number pictures "$work/clients")" -gt $((visitors * 20)) ]
check "none lost" [ "$(number pictures_lost "$work/clients")" -eq 0 ]
check "heard its turns" [ "$(number turns_played "$work/clients")" -ge 5 ]
check "interrupted none" [ "$(number interruptions "$work/clients")" -eq 0 ]
sed -n '/"server_grown"/,/}/p' "$work/results" >"$work/grown"
check "as the server counts them" [ "$(number sessions_created_total "$work/grown")" -eq "$visitors" ]
check "pictures too" [ "$(number pictures_total "$work/grown")" -ge "$(number pictures "$work/clients")" ]

check "who brings a picture, interrupts, and loses the connection" expect 0 load "$address" $visits interrupt=1 breaks=1 away=0.2 \
    picture=docs/demo.png out="$work/results"
sed -n '/"clients"/,/}/p' "$work/results" >"$work/clients"
check "breaks off" [ "$(number broken "$work/clients")" -ge 5 ]
check "comes back" [ "$(number resumed "$work/clients")" -ge 3 ]
check "is not forgotten" [ "$(number expired "$work/clients")" -eq 0 ]
check "is answered" [ "$(number interruptions_answered "$work/clients")" -ge 3 ]
check "a picture that is not there" expect 3 load "$address" picture="$work/nothing"
check "stop" stop

# the controls: what has to be seen where it is so
check "a server with one place" start sessions=1 queue=2 connections=64 reference=docs/demo.png keep=0
check "the same audience" expect 0 load "$address" $visits interrupt=0 queue=2 out="$work/results"
sed -n '/"clients"/,/}/p' "$work/results" >"$work/clients"
check "one waits" [ "$(number queued "$work/clients")" -ge 2 ]
check "one is sent away" [ "$(number refused "$work/clients")" -ge 1 ]
check "not all are let in" [ "$(number admitted "$work/clients")" -lt "$visitors" ]
"$BIN/load" "$address" $visits minutes=1 out="$work/results" >"$work/out" 2>"$log" &
loader=$!
sleep 1
check "a server that goes" stop
wait $loader
check "is missed" [ $? -eq 5 ]
check "in one line" [ "$(grep -c '^load: ' "$log")" -eq 1 ]

echo 0123456789abcdef0123 >"$work/token"
check "a server with a token" start sessions=4 connections=2 token_file="$work/token" reference=docs/demo.png
check "lets nobody in without" expect 5 load "$address" $visits
check "and says why" says "token"
check "but with it" expect 0 load "$address" $visits token_file="$work/token" out="$work/results"
sed -n '/"clients"/,/}/p' "$work/results" >"$work/clients"
check "as many of a host as it was told" [ "$(number not_let_in "$work/clients")" -ge 1 ]
"$BIN/load" "$address" minutes=5 token_file="$work/token" >"$work/out" 2>"$log" &
loader=$!
sleep 0.5
kill $loader
wait $loader
code=$?
check "an interrupted load" [ "$code" -eq 0 ]
check "says what there was" grep -q "^load: " "$work/out"
check "stop with a token" stop
finish
