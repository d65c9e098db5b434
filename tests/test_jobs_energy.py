"""Energy by the real codecarbon: in every attempt's record, whatever ends it, and nowhere else."""

import json
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gan.config import ACGANConfig, ConfigError
from jobs import energy, pipeline, records
from jobs.cli import main
from jobs.pipeline import prepare
from jobs.ranks import Place
from jobs.records import Attempt
from jobs.reporting import figures
from jobs.run import Run, RunError
from jobs.stage import Context, Result, StageJob, Stopped


@dataclass(frozen=True)
class Job(StageJob):
    """A stage that keeps the CPU busy for a moment, and then ends as it is told."""

    stage = "train"
    error: BaseException | None = None

    def work(self, context: Context) -> Result:
        sum(range(3_000_000))
        if self.error:
            raise self.error
        return Result(figures={"steps": 1})


def metered(config: ACGANConfig, country: str = "FRA") -> ACGANConfig:
    return replace(config, train=replace(config.train, energy_country=country))


@pytest.fixture
def codecarbon() -> None:
    pytest.importorskip("codecarbon", reason="the extra 'energy' is not installed")


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig, codecarbon: None) -> Run:
    return prepare("tiny", metered(tiny_acgan), tmp_path / "runs" / "run", 1)


def test_every_attempt_has_its_energy_and_the_sum_is_told(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert Job(run.path, Stopped("preempted"))() == "preempted"
    with pytest.raises(ZeroDivisionError):
        Job(run.path, ZeroDivisionError())()
    assert Job(run.path)() == "finished"
    said = capfd.readouterr()
    assert "codecarbon" not in said.out + said.err
    assert list((tmp_path / "cwd").iterdir()) == []
    assert not list(run.attempts.glob("*.energy"))
    found = [records.read(run.attempt_file("train", n)) for n in (1, 2, 3)]
    assert [record["cause"] for record in found] == ["preempted", "crashed", "finished"]
    for record in found:
        spent = record["energy"]
        assert 0 < spent["kwh"] < 0.01
        assert 0 < spent["co2_kg"] < spent["kwh"]  # France: some 56 g a kWh
        assert (spent["country"], spent["scope"]) == ("FRA", "process")
    total = energy.spent(run, "train")
    assert total.kwh == pytest.approx(sum(record["energy"]["kwh"] for record in found))
    assert (total.measured, total.attempts) == (3, 3)
    assert main(["status", "--json", "--runs", str(run.path.parent)]) == 0
    row = json.loads(capfd.readouterr().out)[0]
    assert (row["energy_kwh"], row["co2_kg"]) == (total.kwh, total.co2_kg)
    rows = {row.name: row for row in figures.rows(run)}
    assert rows["Energy"].value == f"{figures.number(1000 * total.kwh)} Wh"
    assert "3 of 3 attempts" in rows["Energy"].how
    assert "FRA" in rows["CO2 of that energy"].how


def test_settings_of_ones_own_do_not_make_it_write_or_send(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODECARBON_OUTPUT_METHODS", "csv,api")
    monkeypatch.setenv("CODECARBON_EMISSIONS_ENDPOINT", "http://127.0.0.1:9/")
    monkeypatch.setenv("CODECARBON_ELECTRICITYMAPS_API_TOKEN", "token")
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    before = {*tmp_path.iterdir()}
    assert Job(run.path)() == "finished"
    assert {*tmp_path.iterdir()} == before
    assert records.latest(run, "train")["energy"]["co2_kg"] > 0
    assert asked == []


def test_of_a_killed_attempt_counts_what_it_had_noted(run: Run) -> None:
    first = Attempt.begin(run, "train")
    meter = energy._Meter(first, "FRA", "process")
    meter.live_out(total(kwh=0.25), None)
    meter.tracker.stop()  # as if killed: its record says nothing
    first.end(records.Cause.KILLED)
    Attempt.begin(run, "train").end(records.Cause.CRASHED)  # before it could note anything
    spent = energy.spent(run, "train")
    assert (spent.kwh, spent.measured, spent.attempts) == (0.25, 1, 2)


def total(kwh: float) -> SimpleNamespace:
    return SimpleNamespace(
        energy_consumed=kwh, emissions=kwh / 20, duration=7.0, codecarbon_version="3"
    )


def test_several_ranks_are_measured_as_a_whole_node(run: Run) -> None:
    attempt = Attempt.begin(run, "train")
    with energy.metered(attempt, Place(rank=0, size=4)):
        pass
    assert records.latest(run, "train")["energy"]["scope"] == "machine"


def test_a_pipeline_has_one_country(tmp_path: Path, codecarbon: None) -> None:
    chosen = replace(pipeline.demo(), energy_country="DEU")
    run = prepare("demo", chosen, tmp_path / "demo", 2)
    assert energy.country_of(run) == "DEU"
    assert {m.config().train.energy_country for m in run.members().values()} == {"DEU"}


def test_switched_off_nothing_is_measured(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    run = prepare("tiny", tiny_acgan, tmp_path / "run", 1)
    assert Job(run.path)() == "finished"
    assert "energy" not in records.latest(run, "train")
    assert figures.rows(run) == []


def test_it_may_be_switched_on_and_off_between_attempts(run: Run, tiny_acgan: ACGANConfig) -> None:
    Job(run.path, Stopped("preempted"))()
    prepare("tiny", tiny_acgan, run.path, 1)  # the same run, since the result is the same
    Job(run.path)()
    spent = energy.spent(run, "train")
    assert (spent.measured, spent.attempts) == (1, 2)
    assert "1 of 2 attempts" in figures.rows(run)[0].how


def test_unknown_countries_are_refused_before_anything_is_written(
    tmp_path: Path, tiny_acgan: ACGANConfig, codecarbon: None
) -> None:
    with pytest.raises(ConfigError, match=r"energy_country is 'fr'; allowed: three capital"):
        metered(tiny_acgan, "fr")
    with pytest.raises(RunError, match=r"'XXX'; allowed: the three letters of a country"):
        prepare("tiny", metered(tiny_acgan, "XXX"), tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()


def test_without_the_extra_it_is_refused_before_anything_is_written(
    tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)  # as Python knows what cannot be found
    with pytest.raises(RunError, match=r"codecarbon is not installed; pip install 'ganymede\[ener"):
        prepare("tiny", metered(tiny_acgan), tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()
