"""A real Slurm of our own on one machine: munge, a controller, nodes with GPUs that are only files.

Root starts the daemons; everything that a user does, an ordinary user does.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NODES = 4
MAX_ARRAY_SIZE = 101
_STARTED_S = 30.0
_MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
_STARTING = Path("/run/lock/ganymede-tests")  # one cluster at a time looks for ports and munge
_OUR_MUNGE = Path("/run/munge/started-by-ganymede-tests")

# Nothing here needs cgroups. KillWait is what a job has left where GraceTime is 0.
_SLURM_CONF = """
ClusterName=ganymede
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
SlurmdTimeout=15
SlurmctldTimeout=30
KillWait=15
MinJobAge={min_job_age}
MaxArraySize={max_array_size}
MessageTimeout=10
NodeName=n[1-{nodes}] NodeHostname=localhost Port=[{first_port}-{last_port}] CPUs=2 RealMemory=8000 Gres=gpu:2
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE OverSubscribe=EXCLUSIVE GraceTime=20
PartitionName=abrupt Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE OverSubscribe=EXCLUSIVE GraceTime=0
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF OverSubscribe=EXCLUSIVE
"""  # noqa: E501


def why_not() -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "only root may start Slurm's daemons"
    missing = [
        name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)
    ]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        pwd.getpwnam(user_name())
    except KeyError:
        return f"no ordinary user {user_name()!r} (GANYMEDE_TEST_USER) to submit as"
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import jobs.cli, submitit"],
        user=user_name(), group=user_name(), cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return f"user {user_name()} cannot use {sys.executable} and what is installed with it"
    return None


def user_name() -> str:
    return os.environ.get("GANYMEDE_TEST_USER", "ganymede")


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens at."""
    for first in range(17400, 30000, 50):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                listener = held.enter_context(socket.socket())
                listener.bind(("127.0.0.1", port))
            return first
    raise OSError("no free ports")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with _STARTING.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class Cluster:
    """Its daemons, and a user's commands on it."""

    folder: Path
    min_job_age: int = 300
    first_port: int = 17400
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        with _alone():
            self._start_daemons()
        self.wait_for(lambda: self.root("sinfo", "-h", "-o", "%T %D").strip() == f"idle {NODES}")
        self._hurry = threading.Thread(target=self._hurry_requeued, daemon=True)
        self._hurry.start()

    def _start_daemons(self) -> None:
        self.first_port = _free_ports(NODES + 1)
        (self.folder / "state").mkdir(parents=True)
        devices = [self.folder / f"nvidia{k}" for k in range(2)]
        for device in devices:
            device.touch()
        self.write_configuration()
        gres = f"NodeName=n[1-{NODES}] Name=gpu File={self.folder}/nvidia[0-1]\n"
        (self.folder / "gres.conf").write_text(gres)
        self._start_munge()
        self.start_controller()
        for number in range(1, NODES + 1):
            self.start_node(f"n{number}")

    def write_configuration(self) -> None:
        (self.folder / "slurm.conf").write_text(
            _SLURM_CONF.format(
                folder=self.folder,
                controller_port=self.first_port,
                max_array_size=MAX_ARRAY_SIZE,
                min_job_age=self.min_job_age,
                nodes=NODES,
                first_port=self.first_port + 1,
                last_port=self.first_port + NODES,
            )
        )

    def _start_munge(self) -> None:
        if _MUNGE_SOCKET.exists() and self._munge_works():
            return
        account = pwd.getpwnam("munge")
        for name in ("/run/munge", "/var/lib/munge", "/var/log/munge"):
            Path(name).mkdir(mode=0o755, exist_ok=True)
            os.chown(name, account.pw_uid, account.pw_gid)
        # A daemon of its own: clusters of other test processes may need it longer than this one.
        subprocess.run(["munged", "--force"], user="munge", group="munge", check=True)
        _OUR_MUNGE.touch()
        self.wait_for(self._munge_works)

    @staticmethod
    def _munge_works() -> bool:
        return subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0

    def forget_jobs_after(self, seconds: int) -> None:
        """Change MinJobAge: how long the controller remembers a job that has ended."""
        self.min_job_age = seconds
        self.write_configuration()
        self.root("scontrol", "reconfigure")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D")
        self.wait_for(lambda: "UP" in self.root("scontrol", "ping", check=False))

    def start_node(self, name: str) -> None:
        self._start(name, "slurmd", "-D", "-N", name)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment(), stdout=log, stderr=log, cwd=self.folder
            )

    def stop_daemon(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def clear_queue(self) -> None:
        """Remove the user's jobs, at once."""
        self.root("scancel", "--user", user_name(), check=False)
        self.root("scancel", "--full", "--signal=KILL", "--user", user_name(), check=False)
        self.wait_for(lambda: not self.root("squeue", "-h", check=False).strip())

    def stop(self) -> None:
        self._stopping = True
        if "slurmctld" in self.daemons:
            with contextlib.suppress(TimeoutError):
                self.clear_queue()
        for name in list(self.daemons):
            self.stop_daemon(name)
        with _alone():
            others = any(p.info["name"] == "slurmctld" for p in psutil.process_iter(["name"]))
            if _OUR_MUNGE.exists() and not others:
                subprocess.run(["munged", "--stop"], user="munge", group="munge", check=True)
                _OUR_MUNGE.unlink()

    _stopping = False

    def _hurry_requeued(self) -> None:
        """Slurm holds a requeued job back for two minutes; the operator lets it start earlier.

        Not at once: within the second, nodes take the new start for the old one and revoke it.
        """
        seen: dict[str, float] = {}
        while not self._stopping:
            time.sleep(0.5)
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                queue = self.root("squeue", "-h", "-t", "PD", "-o", "%i %r", check=False)
                waiting = [line.split()[0] for line in queue.splitlines() if "BeginTime" in line]
                now = time.monotonic()
                seen = {job: seen.get(job, now) for job in waiting}
                for job in waiting:
                    if now - seen[job] > 2:
                        self.root(
                            "scontrol", "update", f"jobid={job}", "StartTime=now", check=False
                        )

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TERM")}
        return kept | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def root(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    @staticmethod
    def wait_for(holds: Callable[[], object], seconds: float = _STARTED_S) -> None:
        """Return once it holds. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {holds}")
            time.sleep(0.2)
