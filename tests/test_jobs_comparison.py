"""Several runs on one page: what is best, what cannot be compared, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import reports

from gan.config import ACGANConfig
from jobs.cli import main
from jobs.pipeline import prepare
from jobs.reporting import comparison, figures
from jobs.reporting.comparison import Compared, align, differing
from jobs.reporting.figures import Row
from jobs.run import Run
from jobs.sweep import sweep

Refused = Callable[..., str]


def compared(*values: float, **more: object) -> comparison.Line:
    """One row of as many runs, named a, b, c."""
    runs = []
    for name, value in zip("abc", values, strict=False):
        row = Row("Accuracy of a", "x", "how", "accuracy", value, run="a")
        runs.append(Compared(name, Run(Path(name)), [replace(row, **more)]))
    (line,) = align(runs)
    return line


def test_the_best_is_marked_where_a_direction_is_known() -> None:
    assert compared(1, 3, 2, better="higher").best == {"b"}
    assert compared(1, 3, 2, better="lower").best == {"a"}
    assert compared(3, 3, 2, better="higher").best == {"a", "b"}
    assert compared(1, 3, 2).best == set()
    assert compared(2, 2, 2, better="higher").best == set()
    assert compared(2, better="higher").best == set()
    assert compared(1, 2, better="higher").name == "Accuracy"


def test_values_within_a_deviation_are_as_good() -> None:
    assert compared(1.0, 1.2, 9.0, better="lower", spread=0.5).best == {"a", "b"}
    assert compared(1.0, 1.2, better="lower", spread=0.5).best == set()
    assert compared(1.0, 1.2, better="lower", spread=0.1).best == {"a"}


def test_figures_that_were_measured_on_something_else_are_not_ranked() -> None:
    rows = [
        Row("Distance", "x", "how", "frechet", value, better="lower", basis=f"judge {value}")
        for value in (1.0, 2.0)
    ]
    runs = [Compared(name, Run(Path(name)), [row]) for name, row in zip("ab", rows, strict=True)]
    (line,) = align(runs)
    assert line.best == set()
    assert "not to be compared" in line.note


def test_rows_come_in_the_order_of_the_runs_and_none_is_lost() -> None:
    def row(key: str) -> Row:
        return Row(key, "x", f"how {key}", key, 1.0)

    runs = [
        Compared("a", Run(Path("a")), [row("one"), row("two")]),
        Compared("b", Run(Path("b")), [row("two"), row("three")]),
    ]
    lines = align(runs)
    assert [(line.name, list(line.rows)) for line in lines] == [
        ("one", ["a"]), ("two", ["a", "b"]), ("three", ["b"])
    ]  # fmt: skip
    assert lines[1].hows == {"how two": ["a", "b"]}


def test_only_settings_that_differ_are_shown() -> None:
    known = {"a": {"seed": 0, "width": 4}, "b": {"seed": 0, "width": 8, "depth": 2}}
    assert differing(known) == {"width": ["4", "8"], "depth": ["", "2"]}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished pipelines and one that has not begun."""
    monkeypatch.chdir(tmp_path)
    reports.finished(tmp_path / "runs" / "one")
    reports.finished(
        tmp_path / "runs" / "two",
        gan_test_accuracy=0.75,
        generated_distance=reports.distances(3.0, 0.2, 0.125),
    )
    reports.prepared(tmp_path / "runs" / "young")
    return tmp_path / "runs"


def test_runs_side_by_side(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "one", "two", "young"]) == 0
    assert capsys.readouterr().out == "report: runs/comparison.html\n"
    text = (runs / "comparison.html").read_text()
    assert '<td class="value best">75.0 % ★</td>' in text
    assert '<td class="value best">3.000 ★</td>' in text
    assert '<td class="value">0.25 ± 0.125</td>' in text  # no worse than 0.2 ± 0.125
    assert "young: young/gan train: waiting" in text
    assert text.count("<figcaption>After epoch 9") == 2
    assert "<code>name</code>" not in text
    found = json.loads((runs / "comparison.json").read_text())
    (line,) = [line for line in found["figures"] if line["key"] == "gan_test_accuracy"]
    assert line["values"] == {"one": 0.625, "two": 0.75}
    assert line["best"] == ["two"]
    assert [run["name"] for run in found["runs"]] == ["one", "two", "young"]
    assert len(found["runs"][2]["missing"]) == 5
    before = (runs / "comparison.json").read_bytes()
    assert main(["report", "one", "two", "young", "--out", "elsewhere/all.html"]) == 0
    assert Path("elsewhere/all.json").read_bytes() == before
    assert not Path("elsewhere/all.pdf").exists()


def test_one_run_as_another_file_leaves_its_own_alone(runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    assert main(["report", "one", "--out", "mine.html"]) == 0
    assert sorted(runs.rglob("*")) == before
    assert {path.suffix for path in Path().glob("mine.*")} == {".html", ".pdf", ".json"}
    assert main(["report", "one"]) == 0
    assert main(["report", "one", "runs/one"]) == 0  # the same run
    assert not (runs / "comparison.html").exists()


def test_the_runs_of_a_sweep_are_compared(
    tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = prepare("tiny", sweep(tiny_acgan, ["seed=0,1"]), Path("runs/study"), 1)
    for member in run.members().values():
        reports.train(member)
    assert main(["report", "study"]) == 0
    text = run.report_file.read_text()
    assert '<th scope="col">study/seed-0</th><th scope="col">study/seed-1</th>' in text
    assert "<code>seed</code>" in text
    assert [row.name for row in figures.rows(run.members()["seed-0"])] == [
        "Test accuracy of seed-0"
    ]
    assert '<th scope="row">Test accuracy</th>' in text


@pytest.fixture
def refused(runs: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Calls the command line, which must refuse; returns what it said."""

    def call(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        try:
            status = main(["report", *arguments])
        except SystemExit as exit:
            status = exit.code
        assert status == 2
        assert sorted(tmp_path.rglob("*")) == before
        return " ".join(capfd.readouterr().err.replace("│", " ").split())

    return call


def test_what_cannot_be_done_is_refused_and_nothing_written(
    refused: Refused, tmp_path: Path
) -> None:
    assert "no run 'three'; the runs in runs are: one, two, young" in refused("one", "three")
    assert "report needs a run" in refused()
    both = ("one", "two", "--out")
    assert "out is 'x.pdf'; allowed: a name that ends in .html" in refused(*both, "x.pdf")
    (tmp_path / "folder.html").mkdir()
    assert "folder.html is a folder; give another --out" in refused(*both, "folder.html")
    (tmp_path / "file").write_text("precious")
    said = refused(*both, "file/x.html")
    assert "file is a file; allowed: a folder" in said
    for name in ("mine.html", "results.json", "thesis.pdf"):
        (tmp_path / name).write_text("precious")
        said = refused(*both, str(Path(name).with_suffix(".html")))
        assert f"{name} is there and is no report; give another --out" in said
        assert (tmp_path / name).read_text() == "precious"
