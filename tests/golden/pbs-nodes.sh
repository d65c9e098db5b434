# qsub -N demo.train -j oe -k doe -o /home/me/runs/demo/logs/ -W umask=022 -r y -l select=2:ncpus=32:mpiprocs=4:ompthreads=8:mem=1536mb:ngpus=4:gpu_model=a100:tier=2 -l place=scatter -l walltime=01:30:30 -q gpu -A lab -P thesis -m n -p 10 -h -W group_list=students
#!/bin/bash
[ ! -r /etc/profile ] || . /etc/profile
set +eu
[ "$(command -v qsub)" = /home/me/bin/qsub ] || PATH=/home/me/bin:$PATH
umask 022
export GANYMEDE_GPUS_BOOKED=4
export OMP_NUM_THREADS=8
ganymede_python=(/opt/python -P)
ganymede_launch=(--per-node 4 --nodes 2 --gpus 4)
ganymede_closing=(-m jobs.succession)
ganymede_folder=/home/me/runs/demo/logs
ganymede_submitit=/home/me/runs/demo/logs
ganymede_order=t0123abcd
ganymede_nodes=2 ganymede_per_node=4
ganymede_limit_s=5430 ganymede_warn_s=

... slurm/scripts/setup.sh ...

... slurm/scripts/pbs.sh ...

ganymede_begin "$@"
ganymede_setup 'cd /home/me'
ganymede_attempt
exit $?
