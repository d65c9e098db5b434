# qsub -N demo.train -j oe -k doe -o /home/me/runs/demo/logs/ -W umask=022 -r y -l select=1:ncpus=2:mpiprocs=1:ompthreads=2 -J 0-2%2 -m n
#!/bin/bash
[ ! -r /etc/profile ] || . /etc/profile
set +eu
[ "$(command -v qsub)" = /home/me/bin/qsub ] || PATH=/home/me/bin:$PATH
umask 022
export COLOUR='it'"'"'s blue'
export OMP_NUM_THREADS=2
ganymede_python=(/opt/python)
ganymede_launch=(--per-node 1 --nodes 1 --gpus 0 --stderr-apart)
ganymede_closing=()
ganymede_folder=/home/me/runs/demo/logs
ganymede_submitit=/home/me/runs/demo/logs
ganymede_order=t0123abcd
ganymede_nodes=1 ganymede_per_node=1
ganymede_limit_s= ganymede_warn_s=90.0

... slurm/scripts/setup.sh ...

... slurm/scripts/pbs.sh ...

ganymede_begin "$@"
ganymede_setup 'cd /home/me'
ganymede_attempt
exit $?
