#!/bin/bash
#SBATCH --job-name="demo.train"
#SBATCH --comment="ganymede:0123abcd"
#SBATCH --output="/home/me/runs/demo/logs/%j_0_log.out"
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --requeue

export OMP_NUM_THREADS=2
ganymede_python=(/opt/python -P)
ganymede_srun=(--cpus-per-task=2)
ganymede_logs=/home/me/runs/demo/logs

... slurm/scripts/setup.sh ...

... slurm/scripts/attempt.sh ...

ganymede_pickle="$ganymede_logs/0123abcd_0.pkl"
ganymede_attempt "$ganymede_pickle"
exit $?
