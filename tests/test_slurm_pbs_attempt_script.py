"""What the wrapper of a PBS job does around the ranks, run by bash with stand-ins for all that it
calls.
"""

import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_slurm import recorded, recorder

from slurm.executors import part

CLOSING = "-m jobs.succession"


@dataclass
class Wrapper:
    """setup.sh and pbs.sh, and the programs that they call; `done` is the finished bash."""

    folder: Path
    done: "subprocess.CompletedProcess[str] | None" = None
    nodes: int = 1
    per_node: int = 1
    settings: dict[str, str] = field(default_factory=dict)  # of the script, in place of its own

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        (self.folder / "nodes").write_text("n1\nn1\nn2\nn2\nn3\nn3\n")
        self.program("pbsdsh", 'echo "0 " >"$(ls mark* | head -n 1)"')
        self.python()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def program(self, name: str, body: str = "") -> None:
        recorder(self.folder / "bin" / name, body)

    def python(self, launch: str = "exit 0", closing: str = "exit 0") -> None:
        """What starting the ranks, and what comes after them, does."""
        self.program(
            "python", f'case "$*" in *slurm.launch*)\n{launch}\n;;\n*)\n{closing}\n;;\nesac'
        )

    def calls(self, name: str) -> list[list[str]]:
        return recorded(self.folder / "bin" / name)

    def run(self, *lines: str, arguments: tuple[str, ...] = (), **variables: str) -> int:
        """Exit status of a wrapper; `ganymede_attempt` is called last."""
        own = {
            "ganymede_python": "(python -P)", "ganymede_launch": "(--gpus 0)",
            "ganymede_closing": f"({CLOSING})", "ganymede_warn_s": "", "ganymede_limit_s": "60",
            "ganymede_folder": shlex.quote(str(self.logs)),
            "ganymede_submitit": shlex.quote(str(self.logs)), "ganymede_order": "abc",
            "ganymede_nodes": str(self.nodes), "ganymede_per_node": str(self.per_node),
        } | self.settings  # fmt: skip
        text = [
            "export top=$$",
            *(f"{name}={value}" for name, value in own.items()),
            part("setup.sh"),
            part("pbs.sh"),
            'ganymede_begin "$@"',
            *lines,
            "ganymede_attempt",
            "exit $?",
        ]
        (self.folder / "wrapper.sh").write_text("\n".join(text))
        place = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "PBS_JOBID": "7.there",
            "PBS_NODEFILE": str(self.folder / "nodes"), "GANYMEDE_TOKEN": "tabc",
        }  # fmt: skip
        self.done = subprocess.run(
            ["/bin/bash", "wrapper.sh", *arguments],
            env=place | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            timeout=60,
        )
        return self.done.returncode

    def launches(self) -> list[list[str]]:
        return [call for call in self.calls("python") if "slurm.launch" in call]

    def closing(self) -> dict[str, str]:
        """What jobs.succession was told; it must have been called once."""
        (call,) = [call for call in self.calls("python") if "jobs.succession" in call]
        assert call[:3] == ["-P", "-m", "jobs.succession"]
        return {"pickle": call[3]} | dict(zip(call[4::2], call[5::2], strict=True))

    def log(self, name: str = "7.there_0_log.out") -> str:
        return (self.logs / name).read_text()


@pytest.fixture
def wrapper(tmp_path: Path) -> Wrapper:
    return Wrapper(tmp_path)


def variables(path: Path) -> dict[str, str]:
    """Of a file that `env` has written."""
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs}


# The ranks


def test_the_ranks_are_started_and_their_end_is_told(wrapper: Wrapper) -> None:
    assert wrapper.run() == 0
    (launch,) = wrapper.launches()
    told = wrapper.closing()
    step = told["--step"]
    assert launch == [
        "-P", "-m", "slurm.launch", "--gpus", "0", "--node", "0",
        "--mark", f"{wrapper.logs}/.7.there.{step}", "--logs", str(wrapper.logs),
        "--id", "7.there", "--",
        "python", "-P", "-u", "-m", "slurm.start", str(wrapper.logs),
    ]  # fmt: skip
    assert told == {
        "pickle": f"{wrapper.logs}/abc_0.pkl", "--status": "0", "--step": step, "--error": ""
    }  # fmt: skip
    assert abs(float(step) - time.time()) < 60
    assert os.readlink(wrapper.logs / "7.there_submitted.pkl") == f"{wrapper.logs}/abc_0.pkl"


def test_the_ranks_learn_their_place_and_when_the_job_ends(wrapper: Wrapper) -> None:
    wrapper.nodes, wrapper.per_node = 3, 2
    wrapper.python("env > env")
    wrapper.program("pbsdsh", "")
    wrapper.run()
    found = variables(wrapper.folder / "env")
    step = wrapper.closing()["--step"]
    expected = {
        "GANYMEDE_JOB": "7.there", "GANYMEDE_LINE": "7.there", "GANYMEDE_SCHEDULER": "pbs",
        "GANYMEDE_NODES": "n1,n2,n3", "GANYMEDE_LOGS": str(wrapper.logs), "GANYMEDE_STEP": step,
        "GANYMEDE_BEGIN": step, "GANYMEDE_INDEX": "0", "GANYMEDE_TOKEN": "tabc",
        "GANYMEDE_SCRIPT": f"{wrapper.logs}/abc.sh", "SUBMITIT_EXECUTOR": "pbs",
        "SUBMITIT_PBS_JOB_ID": "7.there", "SUBMITIT_PBS_HOSTS": "n1,n2,n3",
        "SUBMITIT_PBS_NUM_TASKS": "6",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert float(found["GANYMEDE_END"]) == pytest.approx(float(step) + 60, abs=2e-3)


@pytest.mark.parametrize(
    ("booked", "seconds"),
    [("00:01:30", 90), ("100:00:08", 360008), ("", None), ("08:09:09", 29349)],
)
def test_a_limit_that_only_the_queue_has_is_asked_for(
    wrapper: Wrapper, booked: str, seconds: int | None
) -> None:
    wrapper.settings = {"ganymede_limit_s": ""}
    wrapper.python('printf "%s" "$GANYMEDE_END" > end')
    wrapper.program(
        "qstat",
        "echo 'Job Id: 7.there'; echo '    Resource_List.walltimes = 9'; "
        f"[ -z '{booked}' ] || echo '    Resource_List.walltime = {booked}'",
    )
    wrapper.run()
    assert wrapper.calls("qstat") == [["-f", "7.there"]]
    end, step = (wrapper.folder / "end").read_text(), float(wrapper.closing()["--step"])
    assert (float(end) if end else None) == (
        None if seconds is None else pytest.approx(step + seconds, abs=2e-3)
    )


def test_several_attempts_in_one_job_share_its_time(wrapper: Wrapper) -> None:
    wrapper.python('printf "%s" "$GANYMEDE_END" > end')
    wrapper.run("", GANYMEDE_STARTED="1700000000.25")
    assert (wrapper.folder / "end").read_text() == "1700000060.250"


def test_a_job_that_goes_on_keeps_the_line_it_is_of(wrapper: Wrapper) -> None:
    wrapper.python("env > env")
    wrapper.run(GANYMEDE_LINE="3.there", GANYMEDE_INDEX="2", PBS_ARRAY_INDEX="5")
    found = variables(wrapper.folder / "env")
    assert (found["GANYMEDE_LINE"], found["GANYMEDE_JOB"]) == ("3.there", "7.there")
    assert wrapper.closing()["pickle"] == f"{wrapper.logs}/abc_2.pkl"
    assert found["SUBMITIT_PBS_JOB_ID"] == "7.there"  # its files are its own


def test_a_task_of_an_array_takes_the_pickle_of_its_index(wrapper: Wrapper) -> None:
    wrapper.run(PBS_JOBID="7[5].there", PBS_ARRAY_INDEX="5")
    assert wrapper.closing()["pickle"] == f"{wrapper.logs}/abc_5.pkl"
    assert os.readlink(wrapper.logs / "7[5].there_submitted.pkl") == f"{wrapper.logs}/abc_5.pkl"
    assert (wrapper.logs / "7[5].there_0_log.out").exists()


@pytest.mark.parametrize("name", ["a b", "it's $(touch owned)", "käse", "*", "a&b"])
def test_odd_folders_are_carried_exactly(wrapper: Wrapper, name: str) -> None:
    logs = wrapper.folder / name
    wrapper.settings = {
        f"ganymede_{which}": shlex.quote(str(logs)) for which in ("folder", "submitit")
    }
    assert wrapper.run() == 0
    assert wrapper.closing()["pickle"] == f"{logs}/abc_0.pkl"
    (launch,) = wrapper.launches()
    assert (launch[10], launch[-1]) == (str(logs), str(logs))
    assert not (wrapper.folder / "owned").exists()


def test_what_is_said_goes_to_the_log_of_the_first_rank(wrapper: Wrapper) -> None:
    wrapper.logs.mkdir()
    (wrapper.logs / "7.there_0_log.out").write_text("before\n")
    wrapper.python('echo "began at $GANYMEDE_LOG_SIZE"', "echo closing >&2")
    wrapper.run("echo set up")
    assert wrapper.log() == "before\nset up\nbegan at 7\nclosing\n"
    assert (wrapper.done.stdout, wrapper.done.stderr) == ("", "")


# How it ends


@pytest.mark.parametrize(
    ("status", "closing"), [(0, 0), (1, 0), (0, 1), (85, 0), (85, 85), (137, 137), (2, 2)]
)
def test_the_last_word_is_the_jobs_end(wrapper: Wrapper, status: int, closing: int) -> None:
    wrapper.python(f"exit {status}", f"exit {closing}")
    assert wrapper.run() == closing
    assert wrapper.closing()["--status"] == str(status)


def test_ranks_that_cannot_be_started_are_told(wrapper: Wrapper) -> None:
    wrapper.settings = {"ganymede_python": "(no-such-python)"}
    assert wrapper.run() == 127


PLAIN = {"ganymede_closing": "()"}


@pytest.mark.parametrize("status", [0, 1, 143])
def test_with_plain_submitit_the_ranks_decide(wrapper: Wrapper, status: int) -> None:
    wrapper.settings = PLAIN
    wrapper.python(f"exit {status}")
    assert wrapper.run() == status
    assert len(wrapper.calls("python")) == 1
    assert os.readlink(wrapper.logs / "7.there_submitted.pkl") == f"{wrapper.logs}/abc_0.pkl"


def test_a_job_of_plain_submitit_that_goes_on_as_another_ends_well(wrapper: Wrapper) -> None:
    wrapper.settings = PLAIN
    wrapper.python('echo 8.there >"logs/$PBS_JOBID.successor"; exit 143')
    assert wrapper.run() == 0


def test_a_later_job_of_plain_submitit_has_the_first_ones_files(wrapper: Wrapper) -> None:
    """Whoever submitted it holds that id; and its pickle may be one that the function has left."""
    wrapper.settings = PLAIN | {"ganymede_submitit": shlex.quote(f"{wrapper.logs}/%j")}
    (wrapper.logs / "3.there").mkdir(parents=True)
    pickle = wrapper.logs / "3.there" / "3.there_submitted.pkl"
    pickle.write_text("left by the function")
    assert wrapper.run(GANYMEDE_LINE="3.there") == 0
    (launch,) = wrapper.launches()
    own = str(wrapper.logs / "3.there")
    assert [launch[launch.index(name) + 1] for name in ("--logs", "--id")] == [own, "3.there"]
    assert launch[-1] == f"{wrapper.logs}/%j"  # submitit's own to fill in
    assert pickle.read_text() == "left by the function"
    assert not pickle.is_symlink()


def test_plain_submitit_is_told_before_its_time_is_up(wrapper: Wrapper) -> None:
    wrapper.settings = PLAIN | {"ganymede_warn_s": "20.5"}
    wrapper.python('printf "%s" "$GANYMEDE_END" > end')
    wrapper.run()
    (launch,) = wrapper.launches()
    end = float((wrapper.folder / "end").read_text())
    warned = float(launch[launch.index("--warn-at") + 1])
    assert warned == pytest.approx(end - 20.5, abs=2e-3)


# Signals, which go to all of the session


@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP", "USR1", "USR2", "CONT"])
def test_signals_end_the_ranks_alone(wrapper: Wrapper, signal: str) -> None:
    wrapper.python(f"kill -{signal} $top; sleep 0.3; exit 85", f"kill -{signal} $top; exit 3")
    assert wrapper.run() == 3
    assert wrapper.closing()["--status"] == "85"


def test_a_rain_of_signals_hides_no_status(wrapper: Wrapper) -> None:
    """Also one that comes as the ranks end, when bash may have seen either first."""
    rain = "for i in {1..40}; do kill -USR1 $top; kill -TERM $top; done"
    for status in (85, 0, 7):
        wrapper.python(f"{rain}; exit {status}", f"{rain}; exit {status}")
        assert wrapper.run() == status
    told = [call[call.index("--status") + 1] for call in wrapper.calls("python")[1::2]]
    assert told == ["85", "0", "7"]


def test_a_job_that_is_ended_before_it_has_begun_starts_no_ranks(wrapper: Wrapper) -> None:
    """They would not know, and be killed; what comes after them tells why, and who goes on."""
    wrapper.nodes = 2
    wrapper.python(closing="exit 7")
    wrapper.settings = {"ganymede_limit_s": ""}
    wrapper.program("qstat", "kill -TERM $top")
    assert wrapper.run() == 7
    assert wrapper.launches() == wrapper.calls("pbsdsh") == []
    told = wrapper.closing()
    assert (told["--status"], told["--error"]) == ("143", "")
    assert not list(wrapper.logs.glob(".7.there*"))


def test_a_job_that_is_ended_between_two_attempts_begins_no_other(wrapper: Wrapper) -> None:
    wrapper.run(GANYMEDE_TOLD="1")
    assert wrapper.launches() == []
    assert wrapper.closing()["--status"] == "143"


@pytest.mark.parametrize("signal", ["TERM", "USR1"])
def test_a_signal_while_the_set_up_lines_run(wrapper: Wrapper, signal: str) -> None:
    wrapper.run(f"ganymede_setup 'kill -{signal} $$; export A=1'")
    is_end = signal == "TERM"
    assert len(wrapper.launches()) == (0 if is_end else 1)
    assert wrapper.closing()["--status"] == ("143" if is_end else "0")


def test_no_signal_reaches_what_runs_on_other_nodes(wrapper: Wrapper) -> None:
    """pbsdsh passes one on, and leaves at once: who waits for it would take the node for lost."""
    wrapper.nodes = 2
    wrapper.program(
        "pbsdsh",
        "trap 'touch told' TERM\n"
        "for i in {1..600}; do [ -e ended ] && break; sleep 0.05; done\n"
        'echo "85 " >"$mark.1"',
    )
    wrapper.python(
        "trap : TERM; sleep 0.2; kill -TERM 0; touch ended\n"
        "for i in {1..600}; do [ -e $mark.1 ] && break; sleep 0.05; done; exit 85"
    )
    assert wrapper.run("export mark=$ganymede_mark") == 0
    assert wrapper.closing()["--status"] == "85"
    assert not (wrapper.folder / "told").exists()


# Several nodes


def test_the_same_script_starts_on_every_node(wrapper: Wrapper) -> None:
    wrapper.nodes, wrapper.per_node = 3, 2
    wrapper.python("sleep 0.3")
    assert wrapper.run() == 0
    step = wrapper.closing()["--step"]
    assert sorted(wrapper.calls("pbsdsh")) == [
        [
            "-n", str(2 * node), "--", "/bin/bash", f"{wrapper.logs}/abc.sh", str(node), step,
            "n1,n2,n3", "7.there",
        ]
        for node in (1, 2)
    ]  # fmt: skip
    assert not list(wrapper.logs.glob(".7.there*"))


def test_a_node_that_leaves_no_word_is_known_to_be_lost_and_is_no_refusal(
    wrapper: Wrapper,
) -> None:
    wrapper.nodes = 2
    wrapper.program("pbsdsh", "exit 1")
    wrapper.python(
        'for i in {1..600}; do [ -e "$mark.1" ] && break; sleep 0.05; done\n'
        'cp "$mark.1" seen; echo "255 " >"$mark.0"; exit 255'
    )
    wrapper.run("export mark=$ganymede_mark")
    assert (wrapper.folder / "seen").read_text() == "255 node 1 left without a word\n"
    told = wrapper.closing()
    assert (told["--status"], told["--error"]) == ("255", "")


def test_a_node_that_refuses_is_told_in_its_words(wrapper: Wrapper) -> None:
    """Whatever the first node has to say, which was ended for it."""
    wrapper.nodes = 2
    wrapper.program("pbsdsh", 'echo "2 no GPU is free" >"$mark.1"')
    wrapper.python('echo "143 " >"$mark.0"; sleep 0.3; exit 143')
    wrapper.run("export mark=$ganymede_mark")
    assert wrapper.closing()["--error"] == "no GPU is free"


def test_what_another_node_does(wrapper: Wrapper) -> None:
    wrapper.nodes, wrapper.per_node = 3, 2
    wrapper.python("env > env; echo ranks; exit 5")
    arguments = ("2", "1700000000.5", "n1,n2,n3", "7.there")
    assert wrapper.run(arguments=arguments) == 5
    (call,) = wrapper.calls("python")
    assert call[5:9] == ["--node", "2", "--mark", f"{wrapper.logs}/.7.there.1700000000.5"]
    assert wrapper.calls("pbsdsh") == []
    assert wrapper.log("7.there_4_log.out") == "ranks\n"
    found = variables(wrapper.folder / "env")
    assert (found["GANYMEDE_STEP"], found["GANYMEDE_END"]) == ("1700000000.5", "1700000060.500")


# Set-up lines


def test_set_up_lines_come_first_and_in_this_shell(wrapper: Wrapper) -> None:
    wrapper.python('printf "%s" "$A-$B" > said')
    assert wrapper.run("ganymede_setup 'export A=1'", "ganymede_setup 'export B=\"$A 2\"'") == 0
    assert (wrapper.folder / "said").read_text() == "1-1 2"


@pytest.mark.parametrize(
    "line",
    [
        "cd /no/such/place", "exit 3", "false || exit 3", "set -u; echo $no_such_variable",
        "exit 0", "if; then",
    ],
)  # fmt: skip
def test_a_set_up_line_that_fails_or_exits_is_named_and_nothing_starts(
    wrapper: Wrapper, line: str
) -> None:
    wrapper.nodes = 2
    wrapper.python(closing="exit 2")
    lines = [f"ganymede_setup {shlex.quote(line)}", "ganymede_setup 'touch later; false'"]
    assert wrapper.run(*lines) == 2
    assert wrapper.launches() == wrapper.calls("pbsdsh") == []
    assert not (wrapper.folder / "later").exists()
    told = wrapper.closing()
    assert told["--status"] == "2"
    assert re.fullmatch(
        rf"set-up line (failed|left) with status \d+: {re.escape(line)}", told["--error"]
    )
    assert told["--error"] in wrapper.log()
    assert not list(wrapper.logs.glob(".7.there*"))


@pytest.mark.parametrize("line", ["false", "exit 0"])
def test_a_set_up_line_that_fails_on_another_node_leaves_word_of_it(
    wrapper: Wrapper, line: str
) -> None:
    wrapper.nodes = 2
    wrapper.run(f"ganymede_setup '{line}'", arguments=("1", "5.5", "n1,n2", "7.there"))
    assert wrapper.calls("python") == []
    told = (wrapper.logs / ".7.there.5.5.1").read_text()
    assert re.fullmatch(rf"2 set-up line (failed|left) with status \d: {line}\n", told)


def test_the_shells_options_do_not_outlive_a_set_up_line(wrapper: Wrapper) -> None:
    wrapper.python("exit 85", "exit 4")
    assert wrapper.run("ganymede_setup 'set -eu'") == 4


def test_set_up_lines_see_no_arguments(wrapper: Wrapper) -> None:
    """conda's activate takes those of the shell for its own."""
    (wrapper.folder / "activate").write_text('echo "$#" > arguments\n')
    wrapper.run("ganymede_setup 'source ./activate'", arguments=("1", "5.5", "n1,n2", "7.there"))
    assert (wrapper.folder / "arguments").read_text() == "0\n"


def test_a_job_started_again_takes_the_same_pickle(wrapper: Wrapper) -> None:
    assert wrapper.run() == wrapper.run() == 0
    assert sorted(path.name for path in wrapper.logs.iterdir()) == [
        "7.there_0_log.out", "7.there_submitted.pkl"
    ]  # fmt: skip
