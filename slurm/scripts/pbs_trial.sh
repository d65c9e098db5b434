# Tries from inside a job what runs do on a node of PBS. What comes of it goes into a file of the run
# folder, in lines as key=value; a value is an exit status and the first words of what was said.
#
# Expects:  trial_folder   folder of this trial, which holds a file `mark`
#           trial_qsub     array: submits a job that is held
#           trial_gpus     how many GPUs were booked

trial_patience_s=30 # for each command

trial_answer() {
    local words=${2//[$'\n\r\t']/ }
    printf '%s=%s\n' "$1" "${words:0:300}" >>"$trial_folder/answers.part"
}

trial_try() {
    local name=$1 said status
    shift
    said=$(timeout $trial_patience_s "$@" 2>&1 </dev/null)
    status=$?
    trial_answer "$name" "$status $said"
    trial_said=$said
    return $status
}

cd "$trial_folder" || exit 2
trial_answer host "$HOSTNAME"
trial_try mark cat "$trial_folder/mark"
trial_try qstat qstat -x -E -f -F json "$PBS_JOBID"
if trial_try qsub "${trial_qsub[@]}"; then
    trial_held=$(grep -Eo '^[0-9]+[^[:space:]]*' <<<"$trial_said" | tail -n 1)
    trial_try qalter qalter -W "depend=afterany:$PBS_JOBID" "$trial_held"
    trial_try qdel qdel "$trial_held"
fi
trial_try pbsdsh pbsdsh -n 0 -- /bin/true
if [ "$trial_gpus" -gt 0 ]; then
    trial_answer visible "${CUDA_VISIBLE_DEVICES-}"
    trial_try gpus nvidia-smi --query-gpu=uuid --format=csv,noheader
fi
mv "$trial_folder/answers.part" "$trial_folder/answers"
