#!/bin/sh
# launch: Starts N processes of one job on this host, as torchrun would, and waits for them.
#
# usage: streamavatar launch -n N [-p PORT] PROGRAM ARGS...
#
# PROGRAM is a command of streamavatar or any other program. RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR
# and MASTER_PORT are set, STREAMAVATAR_JOB tells this job from others, and every line that a process prints begins with
# its rank. When one ends with an error it is named, and the others have GRACE seconds (default 28) to say why and end;
# then they are killed. The exit code is that of the first that failed. SIGINT, SIGTERM and SIGUSR1 are passed on to
# all. Without -p a free port is found (docs/scaling.md). To use several hosts, set RANK and the other variables
# yourself, or use configs/slurm. $BIN (default bin) is where the commands lie.
[ "${1:-}" != --help ] || exec sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
usage() {
    echo "launch: expected -n N [-p PORT] PROGRAM ARGS... (see --help)" >&2
    exit 2
}
n= port=
while getopts n:p: option; do
    case $option in
    n) n=$OPTARG ;;
    p) port=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
case $n in '' | *[!0-9]* | 0*) usage ;; esac
[ $# -gt 0 ] || usage
program=$1
shift
[ "${program#*/}" != "$program" ] || [ ! -x "${BIN:-bin}/$program" ] || program=${BIN:-bin}/$program

# A port that nobody listens at, below those that the system gives out by itself (from 32768 on).
if [ -z "$port" ]; then
    used=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" {sub(/.*:/, "", $2); print $2}')
    port=$((20000 + $$ % 10000))
    while echo "$used" | grep -qix "$(printf '%04X' $port)"; do port=$((port + 1)); done
fi

state=$(mktemp -d) || exit 5
trap 'rm -rf "$state"' EXIT
pids=
pass() { [ -z "$pids" ] || kill -"$1" $pids 2>/dev/null; }
trap 'pass INT' INT
trap 'pass TERM' TERM
trap 'pass USR1' USR1

# The number of threads of a process is the config's; else the cores are shared out.
export WORLD_SIZE="$n" LOCAL_WORLD_SIZE="$n" MASTER_ADDR=127.0.0.1 MASTER_PORT="$port"
export STREAMAVATAR_JOB="$(uname -n).$$.$(date +%s)"
rank=0
while [ $rank -lt "$n" ]; do
    mkfifo "$state/out$rank"
    sed -u "s/^/[$rank] /" <"$state/out$rank" &
    readers="$readers $!"
    (
        trap - INT TERM USR1
        RANK=$rank LOCAL_RANK=$rank
        export RANK LOCAL_RANK
        exec "$program" "$@" >"$state/out$rank" 2>&1
    ) &
    pids="$pids $!"
    rank=$((rank + 1))
done

# Waits for all; the first that fails starts the clock.
code=0 deadline=
left=$pids
while [ -n "$left" ]; do
    still=
    for pid in $left; do
        if kill -0 "$pid" 2>/dev/null; then
            still="$still $pid"
            continue
        fi
        wait "$pid"
        ended=$?
        [ $ended -ne 0 ] && [ $code -eq 0 ] || continue
        code=$ended deadline=$(($(date +%s) + ${GRACE:-28}))
        rank=0
        for p in $pids; do
            [ "$p" -eq "$pid" ] && echo "launch: rank $rank ended with exit code $ended" >&2
            rank=$((rank + 1))
        done
    done
    left=$still
    [ -n "$deadline" ] && [ -n "$left" ] && [ "$(date +%s)" -ge "$deadline" ] && kill -KILL $left 2>/dev/null
    [ -n "$left" ] && { sleep 0.1 & wait $!; }
done
wait $readers
exit $code
