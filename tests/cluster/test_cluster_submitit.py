"""Plain submitit on a real Slurm: the script that passes with `cluster="pbs"` passes here too."""

import sys
from pathlib import Path

from user import User

TESTS = Path(__file__).parent.parent
# submitit asks sacct for states, which knows nothing where a site keeps no accounts, as here. A job
# that squeue says is being signalled runs, by any account.
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
squeue --noheader --array --states=all --format='%i|%T|%N' | sed 's/SIGNALING/RUNNING/'
"""


def test_a_users_script_prints_what_it_prints_everywhere(user: User) -> None:
    sacct = user.home / "bin" / "sacct"
    sacct.parent.mkdir()
    sacct.write_text(SACCT)
    for path in (sacct.parent, sacct):
        path.chmod(0o755)
    script = str(TESTS / "submitit_script.py")
    path = f"{sacct.parent}:{user.cluster.environment()['PATH']}"
    done = user.command(sys.executable, script, "slurm", environment={"PATH": path}, seconds=900)
    assert done.stdout == (TESTS / "submitit_script.txt").read_text()
