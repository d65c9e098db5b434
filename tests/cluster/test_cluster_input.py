"""What a user types is carried exactly or refused, and never executed."""

import json

import pytest
from user import TINY, TWO_RANKS, User

HOSTILE = 'it\'s "a" $(touch pwned) `touch pwned`; touch pwned & ü'


def test_folder_with_everything_in_its_name_is_carried_exactly(user: User) -> None:
    runs = user.home / HOSTILE
    user.ganymede("run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS, "--runs", str(runs))
    there = runs / "run"
    user.cluster.wait_for((there / "stages" / "report.json").exists, 240)
    assert (there / "logs").is_dir()
    assert list((there / "logs").glob("*_0_log.out"))
    assert not list(user.home.rglob("pwned"))
    assert sorted(path.name for path in user.home.iterdir() if path.is_dir()) == sorted(
        {HOSTILE} | {path.name for path in user.home.iterdir() if path.name.startswith(".")}
    )


@pytest.mark.parametrize("name", ["a b", "$(touch pwned)", "a\nb", "'", "ü", "../a", ""])
def test_name_that_could_be_misread_is_refused(user: User, name: str) -> None:
    done = user.ganymede("run", *TINY, "--name", name, "--on", "slurm", *TWO_RANKS, check=False)
    assert done.returncode == 2
    assert "run name" in done.stderr
    assert not list(user.home.rglob("pwned"))
    assert not (user.home / "runs").exists()


@pytest.mark.parametrize("folder", ["new\nline", "back\\slash", "50%j"])
def test_folder_that_slurm_cannot_carry_is_refused(user: User, folder: str) -> None:
    done = user.ganymede(
        "run", *TINY, "--on", "slurm", *TWO_RANKS, "--runs", str(user.home / folder), check=False
    )
    assert done.returncode == 2
    assert "allowed for Slurm" in done.stderr
    assert user.command("squeue", "-h").stdout == ""


def test_values_for_slurm_reach_it_exactly(user: User) -> None:
    folder = user.home / 'a "quoted" $(touch pwned) `x` \\ word ü'
    user.command("mkdir", str(folder))
    user.ganymede(
        "run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS, "--extra", f"chdir={folder}",
    )  # fmt: skip
    job = json.loads(user.run("run").submission_file("train", 1).read_text())["job_id"]
    shown = user.command("scontrol", "--oneliner", "show", "job", job).stdout
    assert f" WorkDir={folder} " in shown
    assert not list(user.home.rglob("pwned"))


@pytest.mark.parametrize("flag", ["--partition", "--account", "--constraint"])
def test_hostile_resource_is_refused_by_slurm_in_its_words(user: User, flag: str) -> None:
    done = user.ganymede(
        "run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS, flag, "$(touch pwned) 'x'",
        check=False,
    )  # fmt: skip
    assert not list(user.home.rglob("pwned"))
    if flag != "--account":  # any account is accepted where there is no accounting
        assert done.returncode == 2
        assert "sbatch:" in done.stderr
