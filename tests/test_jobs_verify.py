from pathlib import Path

import pytest
import whole_run

from jobs import verify
from jobs.cli import main
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return whole_run.copy(tmp_path)


def test_nothing_to_say_of_a_run_as_it_was_written(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(run.path)]) == 0
    assert capsys.readouterr().out == f"{run.path}: every file is as it was written\n"


def test_leftovers_and_strangers_are_notes_and_no_errors(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.attempts / ".aside-1").touch()
    (run.checkpoints / ".aside-gone-2").mkdir()
    (run.checkpoints / ".aside-gone-2" / ".aside-3").touch()
    (run.path / "thesis.doc").touch()
    assert main(["verify", str(run.path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"note: {run.attempts}/.aside-1 is a leftover of a crash; the next attempt removes it",
        f"note: {run.checkpoints}/.aside-gone-2 is a leftover of a crash; the next attempt removes "
        "it",
        f"note: {run.path}/thesis.doc is unknown: no stage has written it",
        f"{run.path}: every file is as it was written",
    ]


def test_status_1_and_the_findings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.report_file.write_bytes(b"else")
    assert main(["verify", str(run.path)]) == 1
    assert capsys.readouterr().out == f"{run.report_file} is not what stage report wrote\n"


def test_all_members_of_a_pipeline_are_looked_at(tmp_path: Path) -> None:
    first = whole_run.copy(tmp_path / "both")
    second = first.path.rename(tmp_path / "both" / "second")
    whole_run.copy(tmp_path / "both")
    Run(tmp_path / "both").write_pipeline("gan-digits", ["run", "second"], "sweep")
    assert verify.problems(Run(tmp_path / "both")) == []
    assert verify.notes(Run(tmp_path / "both")) == []
    (second / "generated.h5").unlink()
    (tmp_path / "both" / "run" / "strange").touch()
    found = verify.problems(Run(tmp_path / "both"))
    assert found == [f"{second}/generated.h5 is missing"]
    (note,) = verify.notes(Run(tmp_path / "both"))
    assert note.startswith(f"{tmp_path}/both/run/strange is unknown")
