"""What the batch script does around srun, run by bash with stand-ins for all that it calls."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_slurm import recorded, recorder

from slurm.executors import part

RUNNING = (
    "JobId=7 JobName=x JobState=RUNNING Reason=None Restarts=0 EndTime=1700000000 Deadline=N/A"
)
ENDING = RUNNING.replace("RUNNING", "COMPLETING")
AT_ITS_LIMIT = ENDING.replace("Reason=None", "Reason=TimeLimit")


@dataclass
class Script:
    """attempt.sh and the programs that it calls; `done` is the finished bash."""

    folder: Path
    done: "subprocess.CompletedProcess[str] | None" = None

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        (self.folder / "logs").mkdir()
        for name in ("srun", "sleep"):
            self.program(name)
        self.program("python", "echo failed")
        self.job(RUNNING)

    def program(self, name: str, body: str = "") -> None:
        recorder(self.folder / "bin" / name, body)

    def job(self, *states: str) -> None:
        """What `scontrol show job` says, call by call; the last one from then on."""
        lines = "\n".join(f"{n}) echo {shlex.quote(s)} ;;" for n, s in enumerate(states[:-1]))
        self.program(
            "scontrol",
            f'case "$*" in requeue*) exit $(cat "$0.requeue" 2>/dev/null || echo 0) ;; esac\n'
            f'n=$(cat "$0.count" 2>/dev/null || echo 0); echo $((n + 1)) > "$0.count"\n'
            f"case $n in\n{lines}\n*) echo {shlex.quote(states[-1])} ;;\nesac",
        )

    def calls(self, name: str) -> list[list[str]]:
        return recorded(self.folder / "bin" / name)

    def requeues(self) -> list[list[str]]:
        return [call for call in self.calls("scontrol") if call[0] == "requeue"]

    def run(self, *lines: str, logs: Path | None = None, **variables: str) -> int:
        """Exit status of a batch script; `ganymede_attempt` is called last."""
        logs = logs or self.folder / "logs"
        text = "\n".join(
            [
                "ganymede_python=(python -P)",
                "ganymede_srun=(--cpus-per-task=2)",
                f"ganymede_logs={shlex.quote(str(logs))}",
                part("setup.sh"),
                part("attempt.sh"),
                'ganymede_pickle="$ganymede_logs/abc_0.pkl"',
                *lines,
                'ganymede_attempt "$ganymede_pickle"',
                "exit $?",
            ]
        )
        self.done = subprocess.run(
            ["bash", "-c", text],
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "SLURM_JOB_ID": "7"} | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return self.done.returncode

    def closing(self) -> dict[str, str]:
        """What jobs.closing was told; it must have been called once."""
        (call,) = self.calls("python")
        assert call[:3] == ["-P", "-m", "jobs.closing"]
        return {"pickle": call[3]} | dict(zip(call[4::2], call[5::2], strict=True))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


# srun


def test_srun_starts_the_pickles_job_on_every_rank(script: Script) -> None:
    script.program("python", "echo finished")
    assert script.run() == 0
    logs = script.folder / "logs"
    assert script.calls("srun") == [
        [
            "--unbuffered", "--kill-on-bad-exit=1", "--export=ALL", "--open-mode=append",
            f"--output={logs}/7_%t_log.out", "--cpus-per-task=2",
            "python", "-P", "-u", "-m", "slurm.start", str(logs),
        ]
    ]  # fmt: skip
    assert os.readlink(logs / "7_submitted.pkl") == f"{logs}/abc_0.pkl"


def test_the_job_learns_when_it_ends_and_what_started_it(script: Script) -> None:
    script.program("srun", "env > env")
    script.run()
    found = (script.folder / "env").read_text().splitlines()
    expected = {
        "SUBMITIT_EXECUTOR=slurm", "GANYMEDE_SCHEDULER=slurm", "GANYMEDE_END=1700000000",
        f"GANYMEDE_LOGS={script.folder / 'logs'}", "GANYMEDE_JOB=7", "GANYMEDE_LINE=7",
        "GANYMEDE_RESTARTS=0", "GANYMEDE_NODES=", "GANYMEDE_STEP=0",
    }  # fmt: skip
    assert expected <= set(found)


def test_the_job_learns_its_place(script: Script) -> None:
    """Of an array too, of a later start, and of a later step; whatever it inherits."""
    script.program("srun", "env >> env")
    again = 'ganymede_attempt "$ganymede_pickle"'
    place = {
        "SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_RESTART_COUNT": "2", "SLURM_JOB_NODELIST": "n[1-2]",
        "GANYMEDE_JOB": "5", "GANYMEDE_LINE": "4.there", "GANYMEDE_STEP": "6",
    }  # fmt: skip
    script.run(again, **place)
    found = (script.folder / "env").read_text().splitlines()
    told = [line for line in found if line.startswith("GANYMEDE_")]
    for expected in (
        "GANYMEDE_JOB=7_3", "GANYMEDE_LINE=7_3", "GANYMEDE_RESTARTS=2", "GANYMEDE_NODES=n[1-2]"
    ):  # fmt: skip
        assert told.count(expected) == 2
    assert [line for line in told if "STEP" in line] == ["GANYMEDE_STEP=0", "GANYMEDE_STEP=1"]


def test_a_job_without_a_limit_is_told_no_end(script: Script) -> None:
    script.job(RUNNING.replace("EndTime=1700000000", "EndTime=Unknown"))
    script.program("srun", 'printf "%s" "$GANYMEDE_END" > end')
    script.run()
    assert (script.folder / "end").read_text() == ""


def test_a_task_of_an_array_has_its_own_files_and_is_requeued_alone(script: Script) -> None:
    """The last task has the array's own number: by that, scontrol would requeue all of them."""
    script.program("srun", "exit 85")
    array = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    assert script.run(**array) == 85
    logs = script.folder / "logs"
    assert os.readlink(logs / "7_3_submitted.pkl") == f"{logs}/abc_0.pkl"
    assert f"--output={logs}/7_3_%t_log.out" in script.calls("srun")[0]
    assert script.requeues() == [["requeue", "7_3"]]
    asked = [call for call in script.calls("scontrol") if call[0] != "requeue"]
    assert asked == [["--oneliner", "show", "job", "7_3"]] * 2


@pytest.mark.parametrize("name", ["a b", "it's $(touch owned)", "käse", "*"])
def test_odd_folders_are_carried_exactly(script: Script, name: str) -> None:
    logs = script.folder / name
    logs.mkdir()
    script.program("python", "echo finished")
    assert script.run(logs=logs) == 0
    call = script.calls("srun")[0]
    assert f"--output={logs}/7_%t_log.out" in call
    assert call[-1] == str(logs)
    assert os.readlink(logs / "7_submitted.pkl") == f"{logs}/abc_0.pkl"
    assert script.closing()["pickle"] == f"{logs}/abc_0.pkl"
    assert not (script.folder / "owned").exists()


def test_a_job_started_again_takes_the_same_pickle(script: Script) -> None:
    script.program("python", "echo finished")
    assert script.run() == script.run() == 0
    logs = script.folder / "logs"
    assert [path.name for path in logs.iterdir()] == ["7_submitted.pkl"]


# Into the queue again


def test_a_job_that_saved_is_queued_again_once(script: Script) -> None:
    script.program("srun", "exit 85")
    assert script.run() == 85
    assert script.requeues() == [["requeue", "7"]]
    assert script.calls("python") == []  # the job itself has recorded its end
    assert "queued again as job 7" in script.done.stdout


@pytest.mark.parametrize("state", [ENDING, ENDING.replace("Restarts=0", "Restarts=1")])
def test_a_cancelled_job_or_one_queued_again_by_slurm_is_not(script: Script, state: str) -> None:
    script.program("srun", "exit 85")
    script.job(RUNNING, state)
    assert script.run() == 85
    assert script.requeues() == []
    assert "not queued again by this script" in script.done.stdout


def test_a_job_at_its_limit_is(script: Script) -> None:
    script.program("srun", "exit 85")
    script.job(RUNNING, AT_ITS_LIMIT)
    assert script.run() == 85
    assert script.requeues() == [["requeue", "7"]]


def test_a_controller_that_is_away_is_asked_again(script: Script) -> None:
    script.program("srun", "exit 85")
    script.job(RUNNING, "", "", RUNNING)
    assert script.run() == 85
    assert script.requeues() == [["requeue", "7"]]
    assert script.calls("sleep") == [["5"], ["5"], *[["1"]] * 60]  # until Slurm ends it


def test_a_requeue_that_is_refused_is_tried_again_and_then_told(script: Script) -> None:
    script.program("srun", "exit 85")
    (script.folder / "bin" / "scontrol.requeue").write_text("1")
    assert script.run() == 85
    assert len(script.requeues()) == 30
    assert "could not be queued again: run the same command" in script.done.stdout


# What jobs.closing decides


@pytest.mark.parametrize(
    ("word", "status", "returned", "requeued"),
    [
        ("finished", 0, 0, 0),
        ("finished", 1, 0, 0),  # it finished, then something failed on the way out
        ("failed", 0, 1, 0),  # whatever srun says: the stage is not complete
        ("failed", 1, 1, 0),
        ("failed", 137, 137, 0),
        ("requeue", 137, 137, 1),
        ("requeue", 0, 1, 1),
        ("", 0, 1, 0),  # it could not even be asked
        ("", 2, 2, 0),
    ],
)
def test_the_last_word_decides(
    script: Script, word: str, status: int, returned: int, requeued: int
) -> None:
    script.program("srun", f"exit {status}")
    script.program("python", f"echo {word}")
    assert script.run() == returned
    assert len(script.requeues()) == requeued
    told = script.closing()
    assert (told["--status"], told["--step"], told["--error"]) == (str(status), "0", "")
    assert told["pickle"] == str(script.folder / "logs" / "abc_0.pkl")


def test_the_script_outlives_signals_that_end_the_step(script: Script) -> None:
    """bash gets them too; it must still see srun's status and have the end recorded."""
    script.program("srun", 'kill -TERM "$PPID"; kill -USR2 "$PPID"; kill -CONT "$PPID"; exit 143')
    assert script.run() == 143
    assert script.closing()["--status"] == "143"


# Set-up lines


def test_set_up_lines_come_first_and_in_this_shell(script: Script) -> None:
    script.program("srun", 'printf "%s" "$A-$B" > said')
    script.program("python", "echo finished")
    assert script.run("ganymede_setup 'export A=1'", "ganymede_setup 'export B=\"$A 2\"'") == 0
    assert (script.folder / "said").read_text() == "1-1 2"


def test_a_set_up_line_that_fails_is_named_and_nothing_starts(script: Script) -> None:
    lines = ["ganymede_setup true", "ganymede_setup 'cd /no/such/place'"]
    # What fails because of it must not take its place, nor be run at all.
    lines += ["ganymede_setup 'touch later; false'"]
    assert script.run(*lines) == 1
    assert script.calls("srun") == []
    assert not (script.folder / "later").exists()
    told = script.closing()
    assert told["--error"] == "set-up line failed with status 1: cd /no/such/place"
    assert (told["--status"], told["--step"]) == ("1", "-1")


@pytest.mark.parametrize(
    "line", ["exit 3", "false || exit 3", "set -u; echo $no_such_variable", "exit 0", "if; then"]
)
def test_a_set_up_line_that_ends_the_script_is_named_too(script: Script, line: str) -> None:
    assert script.run(f"ganymede_setup {shlex.quote(line)}") == 1
    assert script.calls("srun") == []
    assert re.fullmatch(
        rf"set-up line (failed|left) with status \d+: {re.escape(line)}",
        script.closing()["--error"],
    )


def test_the_shells_options_do_not_outlive_a_set_up_line(script: Script) -> None:
    """With `set -e`, srun's 85 would end the script before it asks for the next start."""
    script.program("srun", "exit 85")
    assert script.run("ganymede_setup 'set -eu'") == 85
    assert script.requeues() == [["requeue", "7"]]


def test_a_sourced_file_sees_no_arguments(script: Script) -> None:
    """conda's activate takes those of the shell for its own."""
    (script.folder / "activate").write_text('echo "$#" > arguments\n')
    script.run("ganymede_setup 'source ./activate'")
    assert (script.folder / "arguments").read_text() == "0\n"


def test_a_set_up_lines_own_clean_up_stays(script: Script) -> None:
    script.program("python", "echo finished")
    assert script.run("ganymede_setup 'trap \"touch cleaned\" EXIT'") == 0
    assert (script.folder / "cleaned").exists()
