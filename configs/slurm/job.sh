# job.sh: runs a stage as a Slurm job; the batch scripts of this folder share it. The batch shell runs it in the folder
# in which sbatch was called. Processes find their rank in Slurm's variables and meet at the step's first node
# (docs/scaling.md). A stage that a signal stopped has saved its state and ends with 128 + the signal: the job then goes
# back to the queue, and its next run resumes. Any other exit code becomes the job's.
[ $# -ge 2 ] || {
    echo "usage: sbatch SCRIPT STAGE CONFIG [key=value ...]" >&2
    exit 2
}
stage=$1
shift
pass() {
    [ -z "$step" ] || kill -"$1" "$step" 2>/dev/null # srun passes the signal on to all processes
}
trap 'pass USR1' USR1
trap 'pass TERM' TERM
command=${STREAMAVATAR:-.}/bin/streamavatar # the checkout's, where there is one; else the one in PATH
[ -x "$command" ] || command=streamavatar
srun --kill-on-bad-exit=0 --label "$command" "$stage" "$@" &
step=$!
wait $step
code=$?
while kill -0 $step 2>/dev/null; do # a trap ends wait early, so wait again
    wait $step
    code=$?
done
# In a preempted job Slurm sends SIGTERM to the processes and nothing to this shell. A job that a user cancels gets the
# same signal, but is no longer RUNNING and stays cancelled.
case $code in
138 | 143)
    if [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then
        echo "job $SLURM_JOB_ID: stopped by a signal (exit code $code); it goes back to the queue and resumes"
        scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit $code
