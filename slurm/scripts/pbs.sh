# Runs one attempt of a job under PBS, on its first node and on the others. Part of every wrapper,
# after setup.sh: a wrapper is the leader of its job's session, and what qdel, a preemption or the
# time limit send goes to every process of that session.
#
# Expects:  ganymede_python    array: the command that starts Python, prefix (container) included
#           ganymede_launch    array: options for slurm.launch, the same on every node
#           ganymede_warn_s    how long before its end a job of plain submitit is told; else empty
#           ganymede_submitit  folder of submitit's logs and results; %j in it stands for the job
#           ganymede_folder    folder of pickles and scripts
#           ganymede_order     name of this script and of its pickles
#           ganymede_nodes, ganymede_per_node    how many nodes, and ranks on each
#           ganymede_limit_s   time limit in seconds; empty: as the queue has it
#           ganymede_closing   array: tells what comes after an attempt; empty for plain submitit
#           GANYMEDE_TOLD      of run.pbs: whether the job has got SIGTERM before this attempt

# bash must outlive these to see how its processes end; those that it starts do get them. What it
# starts in the foreground it waits for, and keeps the status of, however many signals come: `wait`
# does not.
trap : INT HUP USR1 USR2 CONT
trap ganymede_told=1 TERM

# PBS starts a job in the home folder, without a profile; an attribute of it, by qstat.
ganymede_attribute() {
    qstat -f "$PBS_JOBID" 2>/dev/null | sed -n "s/^ *$1 = //p"
}

# Seconds of h:m:s, or of anything shorter.
ganymede_seconds() {
    local part total=0
    for part in ${1//:/ }; do total=$((total * 60 + 10#$part)); done
    echo "$total"
}

# Of numbers with decimals, a point before them whatever the language.
ganymede_sum() { LC_ALL=C awk "BEGIN { printf \"%.3f\", $1 }"; }

# Who this is, where it logs, and when it ends. Arguments: none on the first node; on another one its
# number, when the job began, the names of all nodes, and the id of the job's files.
ganymede_begin() {
    local limit
    ganymede_node=${1:-0}
    GANYMEDE_STEP=${2:-$(date +%s.%N)} # tells this start of the job from all others
    ganymede_hosts=${3:-$(awk '!seen[$0]++' "$PBS_NODEFILE" | paste -sd, -)}
    ganymede_id=${4:-$PBS_JOBID}
    # Of plain submitit: the id that whoever submitted it holds, and under which its files are.
    [ ${#ganymede_closing[@]} -gt 0 ] || ganymede_id=${GANYMEDE_LINE:-$ganymede_id}
    ganymede_logs=${ganymede_submitit//%j/$ganymede_id}
    ganymede_mark=$ganymede_folder/.$PBS_JOBID.$GANYMEDE_STEP
    mkdir -p "$ganymede_logs"
    GANYMEDE_LOG_SIZE=$(stat --format=%s "$ganymede_logs/${ganymede_id}_0_log.out" 2>/dev/null)
    exec >>"$ganymede_logs/${ganymede_id}_$((ganymede_node * ganymede_per_node))_log.out" 2>&1
    GANYMEDE_BEGIN=$GANYMEDE_STEP
    limit=${ganymede_limit_s:-$(ganymede_seconds "$(ganymede_attribute Resource_List.walltime)")}
    # With several attempts in one job (run.pbs) its time began before this one.
    [ "$limit" = 0 ] || GANYMEDE_END=$(ganymede_sum "${GANYMEDE_STARTED:-$GANYMEDE_BEGIN} + $limit")
    GANYMEDE_JOB=$PBS_JOBID GANYMEDE_NODES=$ganymede_hosts GANYMEDE_LOGS=$ganymede_logs
    GANYMEDE_SCRIPT=$ganymede_folder/$ganymede_order.sh
    GANYMEDE_INDEX=${GANYMEDE_INDEX:-${PBS_ARRAY_INDEX:-0}}
    export GANYMEDE_BEGIN GANYMEDE_END GANYMEDE_JOB GANYMEDE_NODES GANYMEDE_LOGS GANYMEDE_STEP
    export GANYMEDE_LOG_SIZE GANYMEDE_SCRIPT GANYMEDE_INDEX GANYMEDE_LINE=${GANYMEDE_LINE:-$PBS_JOBID}
    export GANYMEDE_TOKEN SUBMITIT_EXECUTOR=pbs GANYMEDE_SCHEDULER=pbs
    export SUBMITIT_PBS_JOB_ID=$ganymede_id SUBMITIT_PBS_HOSTS=$ganymede_hosts
    export SUBMITIT_PBS_NUM_TASKS=$((ganymede_nodes * ganymede_per_node))
    ganymede_pickle=$ganymede_folder/${ganymede_order}_$GANYMEDE_INDEX.pkl
}

# The ranks of this node; its end stands in a file that the other nodes look at.
ganymede_ranks() {
    local warn=() start=slurm.start # which loads the user's own pickles alone
    [ ${#ganymede_closing[@]} -gt 0 ] || start=submitit.core._submit
    [ -z "$ganymede_warn_s" ] || [ -z "${GANYMEDE_END:-}" ] ||
        warn=(--warn-at "$(ganymede_sum "$GANYMEDE_END - $ganymede_warn_s")")
    "${ganymede_python[@]}" -m slurm.launch "${ganymede_launch[@]}" "${warn[@]}" \
        --node "$ganymede_node" --mark "$ganymede_mark" --logs "$ganymede_logs" --id "$ganymede_id" -- \
        "${ganymede_python[@]}" -u -m "$start" "$ganymede_submitit"
}

# What another node does, through this same script. pbsdsh would pass a signal on and leave at once,
# so it gets none; when it ends and the node has left no word, the node is lost.
ganymede_on_node() {
    local slots=$((ganymede_per_node * $1)) # pbsdsh counts the lines of the node file
    trap : TERM INT HUP USR1 USR2 CONT
    setsid --wait pbsdsh -n $slots -- /bin/bash "$GANYMEDE_SCRIPT" \
        "$1" "$GANYMEDE_STEP" "$ganymede_hosts" "$ganymede_id"
    [ -e "$ganymede_mark.$1" ] || echo "255 node $1 left without a word" >"$ganymede_mark.$1"
}

# What submitit is to run: with plain submitit, what a method `checkpoint` has left in the file.
ganymede_submitted() {
    local file=$ganymede_logs/${ganymede_id}_submitted.pkl
    if [ ${#ganymede_closing[@]} -gt 0 ]; then
        ln -sfn "$ganymede_pickle" "$file"
    else
        # Killed just before it renamed what it had written.
        [ -e "$file" ] || mv "$file.save_tmp" "$file" 2>/dev/null || ln -sfn "$ganymede_pickle" "$file"
    fi
    # Half-written: submitit would never write these again.
    rm -f "$ganymede_logs/${ganymede_id}_"*.pkl.save_tmp
}

# One attempt; called once the set-up lines are through, or one of them has failed. If that one has
# left the shell, this is part of a trap, where a bare `return` has the status from before.
ganymede_attempt() {
    local status=0 node others=() error
    # PBS has queued it again though it has handed over: its successor does the rest.
    [ ! -e "$ganymede_folder/$PBS_JOBID.successor" ] || return 0
    if [ -n "${ganymede_setup_failed:-}" ]; then
        echo "2 $ganymede_setup_failed" >"$ganymede_mark.$ganymede_node"
        ganymede_say "$ganymede_setup_failed"
        status=2
    elif [ -n "${ganymede_told:-$GANYMEDE_TOLD}" ]; then # the job ends: too late to begin
        echo "143 " >"$ganymede_mark.$ganymede_node"
        status=143
    fi
    if [ "$ganymede_node" -gt 0 ]; then
        [ $status -ne 0 ] || ganymede_ranks
        return $?
    fi
    if [ $status -eq 0 ]; then
        ganymede_submitted
        for ((node = 1; node < ganymede_nodes; node++)); do
            ganymede_on_node $node &
            others+=($!)
        done
        ganymede_ranks
        status=$?
        [ -e "$ganymede_mark.0" ] || echo $status >"$ganymede_mark.0" # its launcher was killed
        for node in "${others[@]}"; do
            while kill -0 "$node" 2>/dev/null; do wait "$node"; done # a signal ends a wait
        done
    fi
    # Why a node refused to start at all, in words; one that was lost is no refusal.
    error=$(sed -s -n '1s/^2 \(..*\)/\1/p' "$ganymede_mark".* 2>/dev/null | head -n 1)
    rm -f "$ganymede_mark".*
    if [ ${#ganymede_closing[@]} -gt 0 ]; then
        "${ganymede_python[@]}" "${ganymede_closing[@]}" "$ganymede_pickle" --status $status \
            --step "$GANYMEDE_STEP" --error "$error"
        return $?
    fi
    # It goes on as another job: an end with any other status would delete what waits for this one.
    [ ! -e "$ganymede_folder/$PBS_JOBID.successor" ] || status=0
    return $status
}
