"""Names that stand in a run's files may not lead out of its folder."""

import json
from pathlib import Path

import pytest
import whole_run
from whole_run import edit

from jobs import records, verify
from jobs.cli import main
from jobs.run import Run, RunError, check_name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return whole_run.copy(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp", "a/b", "-rf", "a\nb", "a\0", 3])
def test_members_lie_in_their_pipeline(tmp_path: Path, name: object) -> None:
    pipeline = Run(tmp_path / "both")
    pipeline.write_pipeline("demo", ["gan"], "comparison")
    edit(pipeline.config_file, lambda settings: settings.update(members=["gan", name]))
    if name in ("-rf", "a\nb"):  # strange, and within the folder
        assert pipeline.members()[str(name)].path.parent == pipeline.path
        return
    with pytest.raises(RunError, match="allowed: names of folders"):
        pipeline.members()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp", "a/b", "-rf", "a\nb", "a" * 101])
def test_runs_lie_in_the_runs_folder(name: str) -> None:
    with pytest.raises(RunError, match="allowed: up to 100 of"):
        check_name(name)


@pytest.mark.parametrize("name", ["../secret", "figures/../../secret", "{there}/secret"])
def test_records_vouch_for_files_of_their_run_alone(run: Run, name: str) -> None:
    secret = run.path.parent / "secret"
    secret.write_text("x")
    name = name.format(there=run.path.parent)
    digest = records._digest(secret)
    edit(run.stage_file("sample"), lambda record: record["outputs"].update({name: digest}))
    told = f"{run.stage_file('sample')} names {name!r}, outside of the run"
    assert told in verify.problems(run)
    with pytest.raises(records.Unfinished, match="outside of the run"):
        records.require(run, "sample")


def test_a_picture_elsewhere_does_not_get_into_the_report(run: Run) -> None:
    secret = run.path.parent / "secret.png"
    secret.write_bytes((run.figures / "epoch-0001.png").read_bytes())
    edit(run.stage_file("sample"), lambda record: record["outputs"].update(
        {"figures/../../secret.png": records._digest(secret)}))  # fmt: skip
    assert main(["report", str(run.path), "--out", str(run.path.parent / "out.html")]) == 0
    told = json.loads((run.path.parent / "out.json").read_text())
    assert "secret" not in [picture["title"] for picture in told["pictures"]]
