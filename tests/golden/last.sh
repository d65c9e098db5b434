#!/bin/bash
#SBATCH --job-name="demo.train"
#SBATCH --comment="ganymede:0123abcd"
#SBATCH --output="/home/me/runs/demo/logs/%j_0_log.out"
#SBATCH --open-mode=append
#SBATCH --dependency="afterok:41:42"
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --mail-user="me@example.org"
#SBATCH --mail-type="END,FAIL"
#SBATCH --requeue

export OMP_NUM_THREADS=2
export GLOO_SOCKET_IFNAME=ib0
export NCCL_SOCKET_IFNAME=ib0
export GANYMEDE_INTERFACE=ib0
ganymede_python=(apptainer exec --nv 'my image.sif' python3 -P)
ganymede_srun=(--cpus-per-task=2)
ganymede_logs=/home/me/runs/demo/logs

... slurm/scripts/setup.sh ...

... slurm/scripts/attempt.sh ...

ganymede_pickle="$ganymede_logs/0123abcd_0.pkl"
ganymede_setup 'module load cuda/12.4'
ganymede_setup 'source ~/.venv/bin/activate'
ganymede_attempt "$ganymede_pickle"
exit $?
