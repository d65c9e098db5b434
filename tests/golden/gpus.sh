#!/bin/bash
#SBATCH --job-name="demo.train"
#SBATCH --comment="ganymede:0123abcd"
#SBATCH --output="/home/me/runs/demo/logs/%j_0_log.out"
#SBATCH --open-mode=append
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --qos=long
#SBATCH --reservation=monday
#SBATCH --constraint="nvlink&a100"
#SBATCH --time="90:30"
#SBATCH --signal="USR2@120"
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --mem=1536M
#SBATCH --gpus-per-node="a100:4"
#SBATCH --requeue
#SBATCH --exclusive
#SBATCH --nice=10
#SBATCH --hold
#SBATCH --exclude="n[1-2],n9"

export GANYMEDE_GPUS_BOOKED=4
export OMP_NUM_THREADS=8
ganymede_python=(/opt/python -P)
ganymede_srun=(--cpus-per-task=8)
ganymede_logs=/home/me/runs/demo/logs

... slurm/scripts/setup.sh ...

... slurm/scripts/attempt.sh ...

ganymede_pickle="$ganymede_logs/0123abcd_0.pkl"
ganymede_attempt "$ganymede_pickle"
exit $?
