from pathlib import Path

import pytest

from gan import data
from gan.config import ACGANConfig
from jobs.run import Run, RunError, check_name, find, list_runs


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    run = Run(tmp_path / "runs" / "one")
    run.write("acgan-digits", tiny_acgan, data.inspect(tiny_acgan.data), 1)
    return run


def test_config_comes_back_as_it_was(run: Run, tiny_acgan: ACGANConfig) -> None:
    assert run.config() == tiny_acgan
    assert run.settings()["total_steps"] == 44


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "-x", "a b", "a\nb", "$(x)", "käse", "x" * 101]
)
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(RunError, match="allowed: up to 100 of A-Z a-z 0-9"):
        check_name(name)
    assert check_name("ok-1.2_x") == "ok-1.2_x"


def test_runs_are_found_by_name_or_path(run: Run, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert find("one", runs) == run
    assert find(str(run.path), Path("elsewhere")).config() == run.config()
    with pytest.raises(RunError, match=r"no run 'two'; the runs in .* are: one"):
        find("two", runs)
    assert list_runs(runs) == [run]
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ('{"format": 7}', "format 7; this version reads format 1"),
        ('{"format": 1, "variant": "nonsense"}', "no training run of its own"),
    ],
)
def test_unusable_config_files_are_named(run: Run, content: str, message: str) -> None:
    run.config_file.write_text(content)
    with pytest.raises(RunError, match=message):
        run.config()


def test_invalid_values_in_the_file_are_named(run: Run) -> None:
    text = run.config_file.read_text().replace('"width": 4', '"width": 0')
    run.config_file.write_text(text)
    with pytest.raises(RunError, match=r"model\.width is 0; allowed: 1 or more"):
        run.config()
