#!/bin/sh
# hosts.sh: a job of two hosts, each a network namespace of this one with a name and an /etc/hosts of its own: Debian's,
# in which the own name is 127.0.1.1, a cluster's, in which it is 127.0.0.1, addresses of version 6, names that come to
# be known late or never. Needs root and ip (iproute2). Packets go between the two namespaces only.
# Usage: BIN=bin BUILD=build/cpu-float sh tests/e2e/hosts.sh
. tests/e2e/checks
a=sava$$ b=savb$$
if ! [ "$(id -u)" -eq 0 ] || ! command -v ip >/dev/null || ! ip netns add $a 2>/dev/null; then
    echo "skip: no network namespaces (root, iproute2)"
    exit 77
fi
trap 'ip netns del $a; ip netns del $b 2>/dev/null; rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1
log=$work/out
"$BUILD/tests/programs/tiny_dataset" configs/tiny.yaml "$work/data.h5" 16 24 4 || exit 1

ip netns add $b && ip link add ${a}v netns $a type veth peer name ${b}v netns $b || exit 1
up() { # up NAMESPACE NUMBER
    ip -n "$1" addr add 10.77.0."$2"/24 dev "$1v"
    ip -n "$1" addr add fd77::"$2"/64 dev "$1v" nodad 2>/dev/null
    ip -n "$1" link set "$1v" up
    ip -n "$1" link set lo up
}
up $a 1
up $b 2
v6=$(ip -n $a addr show dev ${a}v | grep -c fd77::1)

# on HOST RANK: that rank of four as a process of node0 or node1, in its namespace and with its /etc/hosts from $work.
on() {
    [ "$1" = node0 ] && space=$a || space=$b
    RANK=$2 WORLD_SIZE=4 MASTER_ADDR=$address MASTER_PORT=29500 LOCAL_WORLD_SIZE=2 LOCAL_RANK=$(($2 / 2)) \
        timeout -k 5 60 ip netns exec $space unshare -u sh -c \
        'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"' \
        "$1" "$work/hosts.$1" "$BIN/teacher" configs/tiny.yaml data="$work/data.h5" threads=1 run="$work/run" \
        teacher.steps=2 teacher.batch=4 comm.connect_timeout=${connect:-20} >"$work/rank$2" 2>&1
}
# job ADDRESS: ranks 0 and 2 on node0, 1 and 3 on node1; codes: what they ended with.
job() {
    address=$1 pids= codes=
    rm -rf "$work/run"
    for rank in 0 1 2 3; do
        on node$((rank % 2)) $rank &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid"
        codes="$codes $?"
    done
    tail -n 3 "$work"/rank? >"$log"
}
trained() { [ "$codes" = " 0 0 0 0" ] && grep -q 'done after step 2' "$work/run/teacher/log.txt"; }
hosts() { # hosts NODE LINE...
    file=$work/hosts.$1
    shift
    printf '%s\n' "$@" >"$file"
}

hosts node0 '127.0.0.1 localhost' '127.0.1.1 node0.example node0' '10.77.0.2 node1'
hosts node1 '127.0.0.1 localhost' '127.0.1.1 node1.example node1' '10.77.0.1 node0'
job node0
trained
verdict $? "Debian's /etc/hosts:$codes"

hosts node0 '127.0.0.1 localhost node0' '10.77.0.2 node1'
hosts node1 '127.0.0.1 localhost node1' '10.77.0.1 node0'
job node0
trained
verdict $? "a cluster's /etc/hosts:$codes"
job 10.77.0.1
trained
verdict $? "an address:$codes"

if [ "$v6" -eq 1 ]; then
    hosts node1 '127.0.0.1 localhost node1' 'fd77::1 node0'
    job node0
    trained
    verdict $? "a name of version 6 on one host, of version 4 on the other:$codes"
    job '[fd77::1]'
    trained
    verdict $? "an address of version 6:$codes"
else
    skipped=$((skipped + 2))
fi

# Names that the hosts learn after 3 s.
hosts node0 '127.0.0.1 localhost'
hosts node1 '127.0.0.1 localhost'
(
    sleep 3
    echo '127.0.1.1 late' >>"$work/hosts.node0"
    echo '10.77.0.1 late' >>"$work/hosts.node1"
) &
job late
trained
verdict $? "a name that is known late:$codes"

# A name that is never known, and one that means another host everywhere: one line, in time.
connect=2
job never.invalid
[ "$codes" = " 5 2 2 2" ] && tail -n 1 "$work/rank1" | grep -q 'MASTER_ADDR: never.invalid: ' &&
    tail -n 1 "$work/rank0" | grep -q '3 of 4 ranks did not come within 2 s: 1, 2, 3'
verdict $? "a name that is never known:$codes"
job localhost
[ "$codes" = " 5 5 5 5" ] && tail -n 1 "$work/rank1" |
    grep -q 'rank 0 was not met within 2 s: nobody of this job answers at 127.0.0.1:29500'
verdict $? "localhost on two hosts:$codes"
[ ! -e "$work/run" ]
verdict $? "a job that was not formed makes no folder"
finish
