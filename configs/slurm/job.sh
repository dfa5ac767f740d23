# job.sh: what the batch scripts of this folder share; run by the batch shell, in the folder that sbatch was called in.
# Processes find their rank in Slurm's variables and meet at the step's first node (docs/scaling.md).
# A stage that a signal stopped has saved its state and ends with 128 + the signal: the job then goes back to the queue,
# and its next run resumes. Any other exit code is the job's.
[ $# -ge 2 ] || {
    echo "usage: sbatch SCRIPT STAGE CONFIG [key=value ...]" >&2
    exit 2
}
stage=$1
shift
pass() {
    [ -z "$step" ] || kill -"$1" "$step" 2>/dev/null # srun passes it on to all processes
}
trap 'pass USR1' USR1
trap 'pass TERM' TERM
command=${STREAMAVATAR:-.}/bin/streamavatar # a checkout's; else that of PATH
[ -x "$command" ] || command=streamavatar
srun --kill-on-bad-exit=0 --label "$command" "$stage" "$@" &
step=$!
wait $step
code=$?
while kill -0 $step 2>/dev/null; do # a trap ends wait early
    wait $step
    code=$?
done
# Preempted, the processes got SIGTERM from Slurm and this shell nothing. A job that a user cancels gets the same, but
# is no longer running: it stays cancelled.
case $code in
138 | 143)
    if [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then
        echo "job $SLURM_JOB_ID: stopped by a signal (exit code $code): back to the queue"
        scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit $code
