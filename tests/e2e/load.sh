#!/bin/sh
# load.sh: an audience against a running server: what is planned, that all who come are served where there is room, that
# interruptions are answered and those who were cut off come back, and that too small a server is seen to be one.
. tests/e2e/checks
tiny=$BUILD/tests/programs/tiny_dataset
number() { # NAME [FILE]: of a JSON file, the first of that name
    sed -n "s/.*\"$1\":[^-0-9]*\([-0-9.e]*\).*/\1/p" "${2:-$work/results}" | head -n 1
}
clients() { # NAME: of the last load's results
    sed -n '/"clients"/,/}/p' "$work/results" >"$work/part"
    number "$1" "$work/part"
}
server_grew() {
    sed -n '/"server_grown"/,/}/p' "$work/results" >"$work/part"
    number "$1" "$work/part"
}

# ---- the plan ----

check "a plan" expect 0 load plan=list seed=3 rate=30 minutes=20 sessions=4 queue=2
cp "$work/out" "$work/plan"
check "the same seed" expect 0 load plan=list seed=3 rate=30 minutes=20 sessions=4 queue=2
check "is the same plan" cmp "$work/plan" "$work/out"
check "another seed" expect 0 load plan=list seed=4 rate=30 minutes=20 sessions=4 queue=2
check "is another" differ "$work/plan" "$work/out"
check "its figures" expect 0 load plan=only seed=3 rate=30 minutes=20 sessions=4 queue=2 out="$work/plan.json"
planned() { number "$1" "$work/plan.json"; }
check "count every visit" [ "$(planned visits)" -eq "$(grep -c '^[0-9]' "$work/plan")" ]
check "and every stay" awk -F, -v said="$(planned mean_stay_drawn)" '/^[0-9]/ { n++; stay += $3 }
    END { d = said - stay / n; exit !(d < 0.01 && d > -0.01) }' "$work/plan"
check "and what becomes of each" \
    [ $(($(planned admitted) + $(planned queued) + $(planned refused))) -eq "$(planned visits)" ]
check "a load without a server" expect 2 load
check "an address that is none" expect 2 load https://127.0.0.1:1
check "nobody is there" expect 5 load 127.0.0.1:1
check "a mean that cannot be" expect 2 load plan=only stay_mean=1

# ---- a server ----

"$tiny" configs/tiny.yaml "$work/data.h5" 8 16 4 >/dev/null 2>&1 || exit 1
check "a teacher" expect 0 teacher configs/tiny.yaml run="$work/run" data="$work/data.h5" teacher.steps=4 \
    teacher.optimiser.warmup=1 teacher.optimiser.ema=0
check "as a student" expect 0 export configs/tiny.yaml run="$work/run" data="$work/data.h5" stage=teacher \
    out="$work/student"
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
# six seconds each, in seven seconds; media in real time. How far they come in that depends on how busy the machine is.
visits="rate=100 minutes=0.12 brief=0 stay_median=0.1 stay_mean=0.1 seed=1 codecs=raw slow=0 breaks=0"
short="turn_median=0.3 turn_mean=0.3"

check "a server with room" start sessions=64 connections=64 reference=docs/demo.png
check "an audience" expect 0 load "$address" $visits $short interrupt=0 out="$work/results"
visitors=$(number visits)
check "that came" [ "$visitors" -ge 6 ]
check "was let in" [ "$(clients admitted)" -eq "$visitors" ]
check "whole" [ "$(clients queued) $(clients refused) $(clients failed)" = "0 0 0" ]
check "saw pictures" [ "$(clients pictures)" -gt $((visitors * 10)) ]
check "none lost" [ "$(clients pictures_lost)" -eq 0 ]
check "heard its turns" [ "$(clients turns_played)" -ge 1 ]
check "interrupted none" [ "$(clients interruptions)" -eq 0 ]
check "as the server counts them" [ "$(server_grew sessions_created_total)" -eq "$visitors" ]
check "pictures too" [ "$(server_grew pictures_total)" -ge "$(clients pictures)" ]

check "who brings a picture, interrupts, and loses the connection" expect 0 load "$address" $visits interrupt=1 \
    turn_median=1 turn_mean=1 breaks=1 away=0.2 picture=docs/demo.png out="$work/results"
check "breaks off" [ "$(clients broken)" -ge 2 ]
check "comes back" [ "$(clients resumed)" -ge 1 ]
check "is not forgotten" [ "$(clients expired)" -eq 0 ]
check "is answered" [ "$(clients interruptions_answered)" -ge 1 ]
check "a picture that is not there" expect 3 load "$address" picture="$work/nothing"
check "stop" stop

# the controls: what has to be seen where it is so
check "a server with one place" start sessions=1 queue=2 connections=64 reference=docs/demo.png keep=0
check "the same audience" expect 0 load "$address" $visits minutes=0.08 queue=2 out="$work/results"
check "one waits" [ "$(clients queued)" -ge 2 ]
check "one is sent away" [ "$(clients refused)" -ge 1 ]
check "not all are let in" [ "$(clients admitted)" -lt "$visitors" ]
"$BIN/load" "$address" $visits rate=600 minutes=1 out="$work/results" >"$work/out" 2>"$log" &
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
check "but with it" expect 0 load "$address" $visits minutes=0.05 token_file="$work/token" out="$work/results"
check "as many of a host as it was told" [ "$(clients not_let_in)" -ge 1 ]
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
