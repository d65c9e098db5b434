# Runs one attempt of a job under Slurm, and asks for the next one. Part of every batch script, after
# setup.sh: it outlives Python's death, so it does the talking with the scheduler.
#
# Expects:  ganymede_python   array: the command that starts Python, prefix (container) included
#           ganymede_srun     array: options for srun
#           ganymede_logs     folder of submitit's files: pickles and logs
#           ganymede_pickle   the job's pickle, if there are set-up lines

ganymede_step=0     # number of the job's next step
ganymede_requeue=85 # exit status of a job that saved and wants to go on
# Of an array, the task: the last one has the array's own number, by which scontrol means them all.
ganymede_job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
ganymede_job=${ganymede_job:-$SLURM_JOB_ID}

# What Python is told of its place, whatever the scheduler. Here a job keeps its number for ever, so
# that it is the first of its line by itself.
export SUBMITIT_EXECUTOR=slurm GANYMEDE_SCHEDULER=slurm
export GANYMEDE_JOB=$ganymede_job GANYMEDE_LINE=$ganymede_job
export GANYMEDE_RESTARTS=${SLURM_RESTART_COUNT:-0} GANYMEDE_NODES=${SLURM_JOB_NODELIST:-}

# bash must outlive these to see srun's status; commands that it starts do get them.
trap ganymede_told=1 TERM
trap : USR2 CONT

# The time limit in UTC seconds, as the scheduler has it now; empty if it does not say.
ganymede_end() {
    SLURM_TIME_FORMAT=%s scontrol --oneliner show job "$ganymede_job" 2>/dev/null |
        sed -n 's/.* EndTime=\([0-9]*\) .*/\1/p'
}

# Whether Slurm has cancelled the job to make room (PreemptMode=CANCEL, GraceTime=0): it looks like
# the user's scancel, but that it ended when it was preempted. Expects times in seconds.
ganymede_made_room() {
    local ended
    [[ $1 == *" Restarts=${SLURM_RESTART_COUNT:-0} "* && $1 =~ \ EndTime=([0-9]+)\  ]] || return 1
    ended=${BASH_REMATCH[1]}
    [[ $1 =~ \ PreemptTime=([0-9]+)\  ]] && [ $((ended - BASH_REMATCH[1])) -le 1 ]
}

# Back into the queue under the same number, unless the user has cancelled the job or Slurm itself
# has queued it again already.
ganymede_ask_requeue() {
    local tries=0 state
    while [ $tries -lt 30 ]; do
        state=$(SLURM_TIME_FORMAT=%s scontrol --oneliner show job "$ganymede_job" 2>/dev/null)
        case $state in
        *JobState=COMPLETING*Reason=TimeLimit*) ;;
        *JobState=COMPLETING*)
            if ! ganymede_made_room "$state"; then
                ganymede_say "not queued again by this script: Slurm is ending this job by itself"
                return
            fi
            ;;
        esac
        ganymede_told=
        if [ -n "$state" ] && scontrol requeue "$ganymede_job"; then
            ganymede_say "queued again as job $ganymede_job"
            # Until Slurm ends this script: an end of its own would be taken for the job's.
            for _ in {1..60}; do
                [ -n "$ganymede_told" ] || sleep 1
            done
            return
        fi
        tries=$((tries + 1))
        sleep 5
    done
    ganymede_say "could not be queued again: run the same command, or ganymede resume"
}

# One attempt of the stage whose pickle is given. Returns 0 only if the stage is complete.
ganymede_attempt() {
    local pickle=$1 job=$ganymede_job status=1 wish
    GANYMEDE_BEGIN=$(date +%s.%N)
    GANYMEDE_END=$(ganymede_end)
    export GANYMEDE_BEGIN GANYMEDE_END GANYMEDE_LOGS=$ganymede_logs GANYMEDE_STEP=$ganymede_step
    if [ -z "${ganymede_setup_failed:-}" ]; then
        ln -sfn "$pickle" "$ganymede_logs/${job}_submitted.pkl"
        # How long the log is already: what comes after it is of this start.
        GANYMEDE_LOG_SIZE=$(stat --format=%s "$ganymede_logs/${job}_0_log.out" 2>/dev/null)
        export GANYMEDE_LOG_SIZE
        srun --unbuffered --kill-on-bad-exit=1 --export=ALL --open-mode=append \
            --output="$ganymede_logs/${job}_%t_log.out" "${ganymede_srun[@]}" \
            "${ganymede_python[@]}" -u -m slurm.start "$ganymede_logs"
        status=$?
        ganymede_step=$((ganymede_step + 1))
    fi
    if [ $status -eq $ganymede_requeue ]; then
        ganymede_ask_requeue
        return $ganymede_requeue
    fi
    wish=$("${ganymede_python[@]}" -m jobs.closing "$pickle" --status $status \
        --step $((ganymede_step - 1)) --error "${ganymede_setup_failed:-}")
    case $wish in
    finished) return 0 ;;
    requeue) ganymede_ask_requeue ;;
    esac
    [ $status -ne 0 ] || status=1
    return $status
}
