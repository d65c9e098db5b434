"""The table of a measured sweep: which run comes first, and what the seeds make of it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan.config import ACGANConfig
from gan.data import inspect
from gan.visual import grids
from jobs.measuring import ranking
from jobs.measuring.ranking import Measured
from jobs.reporting.figures import number
from jobs.run import Run
from jobs.sweep import sweep


@pytest.fixture
def measured(tmp_path: Path, tiny_acgan: ACGANConfig) -> list[Measured]:
    """Width 4 and 8 with two seeds each; the last one is not finished."""
    Run(tmp_path).write_pipeline("tiny", ["of the sweep"], "sweep")
    frechet = {("4", "0"): 2.0, ("4", "1"): 5.0, ("8", "0"): 3.0}
    found = []
    info = inspect(tiny_acgan.data)
    for name, config in sweep(tiny_acgan, ["model.width=4,8", "seed=0,1"]).members().items():
        run = Run(tmp_path / name)
        run.write("tiny", config, info, 1)
        value = frechet.get((str(config.model.width), str(config.seed)))
        figures = {
            "generated_distance": {"frechet": value, "kernel": -0.001234},
            "floor_distance": {"frechet": 0.5},
            "gan_test_accuracy": 0.75,
        }
        missing = "" if value else "not | finished"
        found.append(Measured(name, run, figures if value else {}, missing))
    return found


def test_best_first_unfinished_last(measured: list[Measured]) -> None:
    ranked = ranking.rank(measured)
    assert ranked.titles == [
        "rank", "run", "Frechet distance", "of real images", "kernel distance",
        "GAN-test accuracy", "seed", "model.width", "why not",
    ]  # fmt: skip
    assert ranked.rows == [
        ["1", "model.width-4_seed-0", "2.000", "0.500", "-0.00123", "75.0%", "0", "4", ""],
        ["2", "model.width-8_seed-0", "3.000", "0.500", "-0.00123", "75.0%", "0", "8", ""],
        ["3", "model.width-4_seed-1", "5.000", "0.500", "-0.00123", "75.0%", "1", "4", ""],
        ["", "model.width-8_seed-1", "", "", "", "", "1", "8", "not | finished"],
    ]


def test_means_over_the_seeds(measured: list[Measured]) -> None:
    means = ranking.over_seeds(measured)
    assert means is not None
    assert means.titles[:3] == ["model.width", "runs", "Frechet distance"]
    # of 2 and 5: mean 3.5, deviation sqrt(2 * 1.5^2 / 1) = 2.121
    assert [row[:3] for row in means.rows] == [["8", "1", "3.000"], ["4", "2", "3.500 ± 2.121"]]
    assert ranking.over_seeds(measured[:1]) is None
    assert ranking.over_seeds([replace(m, figures={}) for m in measured]) is None


def test_files_hold_the_table_whole(measured: list[Measured], tmp_path: Path) -> None:
    lines = ranking.write(Run(tmp_path), measured, "How <it> was done.")
    ranked = ranking.rank(measured)
    text = (tmp_path / "ranking.csv").read_text()
    assert list(csv.reader(io.StringIO(text))) == [ranked.titles, *ranked.rows]
    page = (tmp_path / "ranking.md").read_text()
    assert "How <it> was done." in page
    assert "| not \\| finished |" in page
    assert "| 4 | 2 | 3.500 ± 2.121 |" in page
    assert lines[1].split()[:3] == ["1", "model.width-4_seed-0", "2.000"]
    column = lines[0].index("Frechet")
    assert [line[column : column + 5] for line in lines[1:4]] == ["2.000", "3.000", "5.000"]


def test_better_runs_come_first() -> None:
    def merit(modes: int, quality: float) -> list[float]:
        return ranking._merit({"modes_found": modes, "high_quality": quality})

    assert merit(8, 0.5) < merit(7, 0.9) < merit(7, 0.8)
    near, far = ({"generated_distance": {"frechet": value}} for value in (0.5, 2.0))
    assert ranking._merit(near) < ranking._merit(far)


def test_the_page_stands_alone(measured: list[Measured], tmp_path: Path) -> None:
    for m in measured[:3:2]:  # the second of these is better than a run without a picture
        grids.save(m.run.figures / "epoch-0002.png", np.zeros((4, 8, 8, 1), np.uint8), 2)
    ranking.write(Run(tmp_path), measured, "How <it> was done.")
    text = (tmp_path / "ranking.html").read_text()
    assert "How &lt;it&gt; was done." in text
    assert text.count("<img") == text.count('src="data:image/png;base64,') == 2
    assert text.index("1: model.width-4_seed-0") < text.index("2: model.width-8_seed-0")
    assert "3.500 ± 2.121" in text
    assert "not | finished" in text


def test_numbers_have_three_digits_and_no_powers_of_ten() -> None:
    found = [number(value) for value in (0.0123456, -1.005e-3, 765.4321, 1234.5678)]
    assert found == ["0.0123", "-0.00101", "765", "1235"]
