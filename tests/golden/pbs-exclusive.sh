# qsub -N demo.train -j oe -k doe -o /home/me/runs/demo/logs/ -W umask=022 -r y -l select=1:ncpus=2:mpiprocs=2:ompthreads=1:ngpus=2 -l place=excl -l walltime=00:10:00 -m n
#!/bin/bash
[ ! -r /etc/profile ] || . /etc/profile
set +eu
[ "$(command -v qsub)" = /home/me/bin/qsub ] || PATH=/home/me/bin:$PATH
umask 022
ganymede_python=(/opt/python -P)
ganymede_launch=(--per-node 2 --nodes 1 --gpus 2 --all-gpus)
ganymede_closing=(-m jobs.succession)
ganymede_folder=/home/me/runs/demo/logs
ganymede_submitit=/home/me/runs/demo/logs
ganymede_order=t0123abcd
ganymede_nodes=1 ganymede_per_node=2
ganymede_limit_s=600 ganymede_warn_s=

... slurm/scripts/setup.sh ...

... slurm/scripts/pbs.sh ...

ganymede_begin "$@"
ganymede_setup 'cd /home/me'
ganymede_attempt
exit $?
