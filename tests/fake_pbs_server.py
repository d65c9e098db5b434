"""The server of the stand-in for PBS: a process that holds the queue and runs its jobs."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import fake_pbs_answers
from fake_pbs_jobs import BEFORE, HOST, RUNNING, living

SETTINGS = {
    "history": True,  # job_history_enable
    "history_s": 3600.0,  # job_history_duration
    "max_queued": None,  # jobs of a user, waiting and running
    "max_queued_q": None,  # those in state Q alone
    "max_array_size": 10000,
    "nodes": {HOST: {"ncpus": 8, "ngpus": 2}},
    "queues": {"workq": 0, "express": 200},  # and their priorities
    "kill_delay": 3.0,  # from SIGTERM to SIGKILL (10 s and up to 16 s of polling)
    "walltime_late": 2.0,  # from the limit to SIGTERM (6 to 16 s, or more)
    "blind_s": 0.2,  # a SIGTERM so soon after the start is lost
    "exiting_s": 0.0,  # how long a job stays in state E
    "qsub_in_jobs": True,  # whether nodes may submit
    "operator": False,  # whether the user may qrerun and suspend
    "home": None,  # where jobs start; a folder of its own
}


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.jobs = {}  # by id, subjobs too
        self.next = 1
        self.settings = SETTINGS | {"home": str(folder / "home")}
        self.faults = {}

    # Dependencies

    def register(self, job, wanted):
        """Have a job wait for others; `wanted` is {type: ids}, other types stay as they are."""
        job.depend |= {kind: list(ids) for kind, ids in wanted.items()}
        for kind, parents in wanted.items():
            for parent in map(self.jobs.get, parents):
                if parent is None or (
                    not parent.is_live
                    and kind == ("afternotok" if not parent.exit_status else "afterok")
                ):
                    self.abort(job)
                    return
                if not parent.is_live:
                    job.depend[kind].remove(parent.id)
                    continue
                known = parent.depend.setdefault(BEFORE[kind], [])
                known.extend([job.id] * (job.id not in known))
                if kind == "after" and parent.state in "RSEB":
                    job.depend[kind].remove(parent.id)
        self.hold(job)

    def hold(self, job):
        """Held by the system while it waits for another."""
        job.depend = {kind: ids for kind, ids in job.depend.items() if ids}
        if any(kind in BEFORE for kind in job.depend):
            job.holds.add("s")
        else:
            job.holds.discard("s")
        if job.state in "QH":
            job.state = "H" if job.holds else "Q"
            job.substate = 22 if "s" in job.holds else 20 if job.holds else 10

    def abort(self, job):
        """It can never start: over, and whatever waits for it too."""
        if job.is_live:
            job.holds.add("s")
            self.close(job, 92)
            self.settle(job, lambda kind: False)

    def settle(self, job, released):
        """Free those that waited for a job, or abort them."""
        for kind in [kind for kind in job.depend if kind in BEFORE.values()]:
            for child in list(map(self.jobs.get, job.depend[kind])):
                after = kind.replace("before", "after")
                if child is None or not child.is_live:
                    continue
                if not released(after):  # whatever the child itself waits for by now
                    self.abort(child)
                elif job.id in child.depend.get(after, []):
                    child.depend[after].remove(job.id)
                    self.hold(child)

    def settle_started(self, job):
        for child in map(self.jobs.get, job.depend.get("before", [])):
            if child and job.id in child.depend.get("after", []):
                child.depend["after"].remove(job.id)
                self.hold(child)

    # The life of a job

    def place(self, job):
        """The node of each chunk, or why it cannot start now, or never."""
        used = {name: dict.fromkeys(node, 0) for name, node in self.settings["nodes"].items()}
        exclusive = set()
        for other in self.jobs.values():
            if other.state == "R":
                for node, chunk in zip(other.nodes, other.chunks, strict=True):
                    for key in used.get(node, {}).keys() & chunk.keys():
                        used[node][key] += chunk[key]
                    exclusive |= {node} if "excl" in other.resources["place"] else set()
        how, found = job.resources["place"].split(":"), []
        for chunk in job.chunks:
            for name, node in self.settings["nodes"].items():
                counted = {key: n for key, n in chunk.items() if key in node}
                fits = all(used[name][key] + n <= node[key] for key, n in counted.items())
                busy = name in exclusive or (
                    any(used[name].values()) and "excl" in how and name not in found
                )
                if fits and not busy and not ("scatter" in how and name in found):
                    found.append(name)
                    for key, n in counted.items():
                        used[name][key] += n
                    break
        if len(found) == len(job.chunks):
            return found, ""
        most = max((node["ncpus"] for node in self.settings["nodes"].values()), default=0)
        asked = max(chunk["ncpus"] for chunk in job.chunks)
        lack = f"Insufficient amount of resource: ncpus (R: {asked} A: {most} T: {most})"
        return (
            None,
            f"Can Never Run: {lack}"
            if asked > most
            else "Not Running: Not enough free nodes available",
        )

    def start_waiting(self):
        queues = self.settings["queues"]
        waiting = [job for job in self.jobs.values() if job.state == "Q" and job.index != ""]
        for job in sorted(waiting, key=lambda job: -queues[job.attributes["queue"]]):
            array = job.array
            if array and (array.state not in "QB" or self.is_full(array)):
                continue
            nodes, why = self.place(job)
            if nodes is None:
                job.comment = why
                continue
            self.start(job, nodes)

    def is_full(self, array):
        return sum(job.state in "RSE" for job in array.subjobs) >= array.attributes.get(
            "most", 1 << 30
        )

    def start(self, job, nodes):
        job.nodes = nodes
        when = time.strftime("%a %b %d at %H:%M")
        job.comment = f"Job run at {when} on {job.vnodes()}"
        try:
            job.start(self.folder)
        except OSError:  # its output has nowhere to go
            job.holds, job.exit_status, job.run_count = {"s"}, -3, 21
            job.state, job.substate = "H", 20
            job.comment = "job held, too many failed attempts to run"
            return
        job.state, job.substate = "R", 42
        job.run_count += 1
        array = job.array
        if array and array.state == "Q":
            array.state, array.substate, array.exit_status = "B", 70, 0
            array.comment = f"Job Array Began at {when}"
            self.settle_started(array)
        self.settle_started(job)

    def terminate(self, job, ending, by=""):
        """SIGTERM to every process of the session, SIGKILL when the patience is at its end."""
        if job.state == "S":
            self.suspend(job, False)
        now = time.time()
        if ending == "deleted" and now < job.started + self.settings["blind_s"]:
            job.kill_at = job.kill_at or now + self.settings["kill_delay"]
            return
        if ending == "deleted":
            job.terminated_by = by
            job.comment = f"{job.comment.partition(' and terminated')[0]} and terminated by {by}"
        job.ending = ending if ending == "rerun" else job.ending or ending
        job.substate = 60 if ending == "rerun" else job.substate
        job.kill_at = job.kill_at or now + self.settings["kill_delay"]
        job.signal(signal.SIGTERM)

    def suspend(self, job, stop):
        job.signal(signal.SIGSTOP if stop else signal.SIGCONT)
        now = time.time()
        if stop:
            job.suspended = now
            job.comment = "Not Running: Not enough free nodes available"
        else:
            job.started += now - job.suspended
        job.state, job.substate = ("S", 45) if stop else ("R", 42)

    def tend(self, job):
        """What the MoM does at each of its polls."""
        job.reap()
        now, ended = time.time(), job.process.returncode
        limit = job.limit_s()
        if job.state == "S" and ended is None:
            return
        if limit and not job.kill_at and ended is None:
            if now > job.started + limit + self.settings["walltime_late"]:
                used = int(now - job.started)
                self.say(job, f"=>> PBS: job killed: walltime {used} exceeded limit {limit}\n")
                self.terminate(job, "walltime")
            return
        in_grace = job.kill_at and now < job.kill_at
        if ended is None and (in_grace or not job.kill_at):
            return
        if in_grace and (job.members() or not job.argv):
            return  # a login shell is missed at the next poll only
        job.kill()
        self.end(job)

    def say(self, job, text):
        for path in (self.folder / "spool" / f"{job.id}.Error", job.path("Error_Path")):
            if path.exists():
                with path.open("a") as stream:
                    stream.write(text)
                return

    def end(self, job):
        code = job.process.returncode
        code = code if code >= 0 else 256 - code
        job.state, job.substate = "E", 51
        job.over_at = time.time() + self.settings["exiting_s"]
        job.exit_status = {"walltime": -29, "rerun": -11}.get(job.ending, code)
        if job.ending == "rerun":
            job.state, job.substate, job.over_at = "Q", 10, None
            self.hold(job)

    def conclude(self, job):
        job.deliver(self.folder)
        deleted = job.ending == "deleted"
        good = job.exit_status == 0
        if not deleted:
            how = (
                "exceeded resource walltime"
                if job.ending == "walltime"
                else "finished"
                if good
                else "failed"
            )
            job.comment += f" and {how}"
        self.close(job, 91 if deleted else 92 if good else 93)
        if deleted:
            self.settle(job, lambda kind: kind in ("afternotok", "afterany"))
        else:
            self.settle(job, {"afterok": good, "afternotok": not good, "afterany": True}.get)
        if job.array:
            job.array.exit_status = int(bool(job.array.exit_status) or not good)
            self.end_array(job.array)

    def end_array(self, array):
        """Over once all its subjobs are."""
        if array.is_live and not any(job.is_live for job in array.subjobs):
            good, deleted = not array.exit_status, array.ending == "deleted"
            array.comment += "" if deleted else " and finished" if good else " and failed"
            self.close(array, 91 if deleted else 92 if good else 93)
            for job in array.subjobs:
                job.state = "F"
            self.settle(array, {"afterok": good, "afternotok": not good, "afterany": True}.get)

    def close(self, job, substate):
        in_array = job.array and job.array.is_live
        job.state, job.substate, job.over_at = "X" if in_array else "F", substate, time.time()
        job.attributes["history_timestamp"] = int(time.time())

    def delete(self, job, by):
        """As qdel does."""
        if job.subjobs:
            job.ending, job.comment = "deleted", f"{job.comment} and terminated by {by}"
            for subjob in job.subjobs:
                if subjob.is_live:
                    self.delete(subjob, by)
            if job.state in "QH":
                job.exit_status = job.exit_status or None
                self.close(job, 91)
            self.end_array(job)
        elif job.state in RUNNING:
            self.terminate(job, "deleted", by)
        else:
            job.exit_status = job.exit_status if job.run_count else None
            job.comment = "Subjob finished" if job.array else job.comment
            self.close(job, 91)  # those that wait for it will wait for ever
            if job.array:
                job.array.exit_status = 1
                self.end_array(job.array)

    def tick(self):
        for job in list(self.jobs.values()):
            if job.state in RUNNING and job.process:
                self.tend(job)
            if job.state == "E" and time.time() >= job.over_at:
                self.conclude(job)
        kept = self.settings["history_s"] if self.settings["history"] else 0.0
        for job in list(self.jobs.values()):
            if not (job.array or job).is_live and time.time() >= (job.array or job).over_at + kept:
                del self.jobs[job.id]
        self.start_waiting()

    def clear(self):
        """End every process that any of its jobs has left, those in other sessions too."""
        mark = f"PBS_JOBCOOKIE={self.folder}:".encode()
        for _ in range(3):
            for pid, _ in living():
                with contextlib.suppress(OSError):
                    if mark in Path(f"/proc/{pid}/environ").read_bytes():
                        os.kill(pid, signal.SIGKILL)


def attend(server, connection):
    """Answer one request, if its client does not die meanwhile."""
    connection.settimeout(5)
    with contextlib.suppress(OSError):
        asked = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    if asked:
        answer = fake_pbs_answers.answer(server, json.loads(asked))
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(answer).encode())


def serve(folder):
    parent, server = os.getppid(), Server(folder)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
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
    os.chdir(sys.argv[1])
    serve(Path(sys.argv[1]))
