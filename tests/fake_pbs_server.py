"""The server of the stand-in for PBS: a process that holds the queue and runs the jobs."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import fake_pbs_answers
from fake_pbs_depend import Dependencies
from fake_pbs_jobs import HOST, RUNNING, Job, living

SETTINGS = {
    "history": True,  # job_history_enable
    "history_s": 1209600.0,  # job_history_duration
    "max_queued": None,  # jobs of a user, waiting and running
    "queued_jobs_threshold": None,  # those in state Q alone
    "max_array_size": 10000,
    "nodes": {HOST: {"ncpus": 8, "ngpus": 2}},
    "queues": {"workq": 0, "express": 200},  # and their priorities
    "kill_delay": 3.0,  # from SIGTERM to SIGKILL (really 10 s, and up to 16 s of polling)
    "walltime_late": 2.0,  # from the limit to SIGTERM (really 6 to 16 s, or more)
    "blind_s": 0.2,  # substate 41: a SIGTERM of qdel is lost
    "exiting_s": 0.0,  # how long a job stays in state E
    "qsub_in_jobs": True,  # whether nodes may submit
    "operator": False,  # whether the user may qrerun and suspend
    "home": None,  # where jobs start; a folder of its own
}


class Server(Dependencies):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, Job] = {}
        self.next = 1
        self.settings: dict[str, Any] = SETTINGS | {"home": str(folder / "home")}
        self.faults: dict[str, list[dict[str, Any]]] = {}

    def tick(self) -> None:
        for job in list(self.jobs.values()):
            if job.state in RUNNING and job.process:
                self.tend(job)
            if job.state == "E" and time.time() >= job.over_at:
                self.conclude(job)
            if job.state == "W":
                self.hold(job)
        kept = self.settings["history_s"] if self.settings["history"] else 0.0
        for job in list(self.jobs.values()):
            whole = job.array or job
            if not whole.is_live and time.time() >= whole.over_at + kept:
                del self.jobs[job.id]
        waiting = [job for job in self.jobs.values() if job.state == "Q" and job.index != ""]
        for job in sorted(waiting, key=lambda job: -self.settings["queues"][job.queue]):
            if job.array is None or self.has_room(job.array):
                self.try_to_start(job)

    # Starting

    def has_room(self, array: Job) -> bool:
        running = sum(job.state in "RSE" for job in array.subjobs)
        return array.state in "QB" and running < array.attributes.get("max_run_subjobs", 1 << 30)

    def try_to_start(self, job: Job) -> None:
        job.nodes, why_not = self.place(job)
        if why_not:
            job.comment = why_not
            return
        when = time.strftime("%a %b %d at %H:%M")
        job.comment = f"Job run at {when} on {job.vnodes()}"
        try:
            job.start(self.folder, self.settings["home"])
        except OSError:  # its output has nowhere to go
            job.holds, job.exit_status, job.run_count = job.holds | {"s"}, -3, 21
            job.comment = "job held, too many failed attempts to run"
            return self.hold(job)
        job.state, job.substate, job.exit_status = "R", 42, None
        job.run_count += 1
        self.settle_start(job)
        if job.array and job.array.state == "Q":
            job.array.state, job.array.substate, job.array.started = "B", 70, job.started
            job.array.comment = f"Job Array Began at {when}"
            self.settle_start(job.array)

    def place(self, job: Job) -> tuple[list[str], str]:
        """The node of each chunk, or why it cannot start."""
        nodes, how = self.settings["nodes"], job.resources["place"].split(":")
        if "scatter" in how and len(job.chunks) > len(nodes):
            return [], "Can Never Run: Not enough total nodes available"
        free = {name: dict(node) for name, node in nodes.items()}
        taken = set()
        for other in self.jobs.values():
            if other.state in "RE" and other.nodes:
                for name, chunk in zip(other.nodes, other.chunks, strict=True):
                    take(free.get(name, {}), chunk)
                exclusive = "excl" in how or "excl" in other.resources["place"]
                taken |= set(other.nodes) if exclusive else set()
        found: list[str] = []
        for chunk in job.chunks:
            for name in nodes:
                asked = {key: free[name][key] >= n for key, n in counted(chunk, nodes[name])}
                apart = "scatter" in how and name in found
                elsewhere = "pack" in how and found and name != found[0]
                if name not in taken and all(asked.values()) and not apart and not elsewhere:
                    found.append(name)
                    take(free[name], chunk)
                    break
            else:
                return [], self.lack(job, bool(taken))
        return found, ""

    def lack(self, job: Job, exclusive: bool) -> str:
        """The comment on a job for one of whose chunks there is no room."""
        nodes = self.settings["nodes"].values()
        for key in ("ncpus", "ngpus"):
            most = sum(node.get(key, 1 << 30) for node in nodes)
            if job.resources.get(key, 0) > most:
                told = f"(R: {job.resources[key]} A: {most} T: {most})"
                return f"Can Never Run: Insufficient amount of resource: {key} {told}"
        if any(chunk["ncpus"] > max(node["ncpus"] for node in nodes) for chunk in job.chunks):
            return "Can Never Run: Not enough total nodes available"
        if exclusive:
            return "Not Running: No available resources on nodes"
        return "Not Running: Insufficient amount of resource: ncpus "

    # Running and ending

    def terminate(self, job: Job, ending: str, by: str = "") -> None:
        """SIGTERM to all of the session, and SIGKILL once kill_delay is over."""
        now = time.time()
        job.kill_at = job.kill_at or now + self.settings["kill_delay"]
        if ending == "deleted" and now < job.started + self.settings["blind_s"]:
            return
        if ending == "deleted":
            job.comment = f"{job.comment.partition(' and ')[0]} and terminated by {by}"
        job.ending = ending if ending == "rerun" else job.ending or ending
        job.substate = 60 if ending == "rerun" else job.substate
        job.signal(signal.SIGTERM)

    def suspend(self, job: Job, by_scheduler: bool) -> None:
        job.signal(signal.SIGSTOP)
        job.suspended, job.state = time.time(), "S"
        job.substate = 45 if by_scheduler else 43
        if by_scheduler:
            job.comment = "Not Running: Not enough free nodes available"

    def resume(self, job: Job) -> None:
        job.started += time.time() - job.suspended  # its walltime stood still
        job.state, job.substate = "R", 42
        job.signal(signal.SIGCONT)

    def tend(self, job: Job) -> None:
        """What a MoM does at each of its polls."""
        assert job.process
        now, over = time.time(), job.process.poll() is not None
        limit = job.resources.get("walltime")
        if not over and not job.kill_at and limit and job.state == "R":
            if now > job.started + limit + self.settings["walltime_late"]:
                said = f"walltime {int(now - job.started)} exceeded limit {limit}"
                said = f"=>> PBS: job killed: {said}\n"
                job.say(said, self.folder, self.settings["home"])
                self.terminate(job, "walltime")
            return
        in_grace = job.kill_at is not None and now < job.kill_at
        if not over and (in_grace or job.kill_at is None):
            return
        # The end of a login shell is noticed at the next poll only.
        if in_grace and job.ending and (job.members() or not job.argv):
            return
        job.kill()
        self.end(job)

    def end(self, job: Job) -> None:
        """Its processes are gone."""
        assert job.process
        code = job.process.wait()
        code = code if code >= 0 else 256 - code
        job.exit_status = {"walltime": -29, "rerun": -11}.get(job.ending, code)
        job.state, job.substate = "E", 51
        job.over_at = time.time() + self.settings["exiting_s"]
        if job.ending == "rerun":
            job.state, job.substate, job.nodes = "Q", 10, []
            self.hold(job)

    def conclude(self, job: Job) -> None:
        delivered = job.deliver(self.folder, self.settings["home"])
        job.attributes |= {"Stageout_status": int(delivered)}
        deleted, good = job.ending == "deleted", job.exit_status == 0
        how = "finished" if good else "failed"
        how = "exceeded resource walltime" if job.ending == "walltime" else how
        job.comment += "" if deleted else f" and {how}"
        self.close(job, 91 if deleted else 92 if good else 93)
        good = good and not deleted  # to those that wait for it, whatever its exit status
        self.settle(job, {"afterok": good, "afternotok": not good, "afterany": True}.get)
        if job.array:
            self.note_end(job.array, job.exit_status == 0)

    def note_end(self, array: Job, good: bool) -> None:
        """A subjob is over; with the last one, the array is."""
        array.exit_status = int(bool(array.exit_status) or not good)
        if not array.is_live or any(job.is_live for job in array.subjobs):
            return
        good, deleted = array.exit_status == 0, array.ending == "deleted"
        array.comment += f" and {'terminated' if deleted else 'finished' if good else 'failed'}"
        self.close(array, 91 if deleted else 92 if good else 93)
        for job in array.subjobs:
            job.state = "F"
        self.settle(array, {"afterok": good, "afternotok": not good, "afterany": True}.get)

    def close(self, job: Job, substate: int) -> None:
        job.state = "X" if job.array and job.array.is_live else "F"
        job.substate, job.over_at = substate, time.time()

    def delete(self, job: Job, by: str) -> None:
        """As qdel does."""
        if job.subjobs and job.state == "B":
            job.ending = "deleted"
            for subjob in job.subjobs:
                if subjob.is_live:
                    self.delete(subjob, by)
                else:
                    subjob.lost = True
        elif job.state in RUNNING:
            self.terminate(job, "deleted", by)
        elif job.array:
            job.lost = True
            self.close(job, 91)
            self.note_end(job.array, False)
        else:
            job.comment += " and terminated" if job.comment else ""
            waited = job.substate == 22
            self.close(job, 91)
            for subjob in job.subjobs:
                subjob.lost, subjob.state = True, "F"
            if job.subjobs:
                self.settle(job, {"afternotok": True, "afterany": True}.get)
            elif waited:  # else, whatever waits for it will wait for ever
                self.settle(job, lambda kind: False)

    def clear(self) -> None:
        """End every process that a job has left, in whatever session."""
        for job in self.jobs.values():
            job.kill()
        mark = f"PBS_JOBCOOKIE={self.folder}:".encode()
        for pid, _ in living():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)


def counted(chunk: dict[str, Any], node: dict[str, int]) -> list[tuple[str, int]]:
    """The resources of a chunk that a node has a number of."""
    return [(key, value) for key, value in chunk.items() if key in node]


def take(free: dict[str, int], chunk: dict[str, Any]) -> None:
    for key, value in counted(chunk, free):
        free[key] -= value


def attend(server: Server, connection: socket.socket) -> None:
    """Answer one request, whether or not its client still lives."""
    connection.settimeout(5)
    asked = b""
    with contextlib.suppress(OSError):
        asked = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    if asked:
        answer = fake_pbs_answers.answer(server, json.loads(asked))
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(answer).encode())


def serve(folder: Path) -> None:
    """Until the process that started this one ends, or SIGTERM."""
    parent, server = os.getppid(), Server(folder)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(folder)
        listener.bind("socket")  # short: the address of a socket must be
        listener.listen(64)
        listener.settimeout(0.02)
        print("ready", flush=True)
        try:
            while os.getppid() == parent:
                with contextlib.suppress(TimeoutError), listener.accept()[0] as connection:
                    attend(server, connection)
                server.tick()
        finally:
            server.clear()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
