#!/bin/bash
#SBATCH --job-name="demo.train"
#SBATCH --comment="ganymede:0123abcd"
#SBATCH --output="/home/me/runs/demo/logs/%j_0_log.out"
#SBATCH --open-mode=append
#SBATCH --time="10:00"
#SBATCH --signal="USR2@120"
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --gpus-per-node=1
#SBATCH --requeue

ganymede_python=(/opt/python -P)
ganymede_srun=()
ganymede_logs=/home/me/runs/demo/logs

... slurm/scripts/setup.sh ...

... slurm/scripts/attempt.sh ...

ganymede_pickle="$ganymede_logs/0123abcd_0.pkl"
ganymede_attempt "$ganymede_pickle"
exit $?
