"""A whole rehearsal on the stand-in for PBS: real jobs, really stopped."""

from pathlib import Path

import fake_pbs
import pytest

from jobs import pbs_rehearsal
from slurm.findings import Verdict
from slurm.resources import Profile, Resources


@pytest.mark.slow
def test_a_job_is_stopped_and_another_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    stand_in = fake_pbs.install(tmp_path / "pbs", monkeypatch)
    told: list[str] = []
    try:
        found = pbs_rehearsal.rehearse(tmp_path / "runs", Profile(), Resources(), told.append)
        states = {job["job_state"] for job in stand_in.jobs().values()}
    finally:
        stand_in.stop()
    verdicts = {finding.name: finding.verdict for finding in found}
    for name in ("qsub on a node", "saves when told to stop", "hands over", "goes on"):
        assert verdicts[name] == Verdict.HOLDS, told
    assert verdicts["can be cancelled"] == Verdict.HOLDS, told
    assert states == {"F"}, "nothing is left in the queue"
    assert list((tmp_path / "runs").iterdir()) == []
