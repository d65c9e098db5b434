"""Text that somebody has made to run in the reader's browser, and what records do not tell."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import whole_run
from whole_run import edit

from jobs import report
from jobs.train import Train
from slurm import executors, of_pbs
from slurm.orders import Order
from slurm.resources import Resources

ATTACKS = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "$\\frac{1}{$ _^",  # for matplotlib, formulas
)
SECRET = "a-token-that-nobody-may-see-4711"


class Page(HTMLParser):
    """Every tag and attribute that a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            self.names.add(name)
            if name in ("src", "href", "srcset"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text_in_every_report(tmp_path: Path, attack: str) -> None:
    run = whole_run.copy(tmp_path)
    plain = Page(run.report_file.read_text())
    edit(run.config_file, lambda settings: settings.update(recipe=attack))
    edit(run.config_file, lambda settings: settings["data"].update(name=attack, classes=[attack]))
    edit(run.attempt_file("train", 1), lambda record: record["numerics"].update(device=attack))
    edit(run.stage_file("sample"), lambda record: record["result"].update(
        warnings=[{"name": attack, "seen": attack, "advice": attack}],
        left_out=[attack],
        tables=[{"title": attack, "how": attack, "columns": [attack], "rows": [[attack]]}],
    ))  # fmt: skip
    run.stage_file("report").unlink()
    edit(run.attempt_file("sample", 1), lambda record: record.update(cause="crashed", error=attack))
    report.write(run)
    page = Page(run.report_file.read_text())
    assert page.text.count(attack) >= 8
    assert page.tags <= plain.tags | {"dl", "dt", "dd"}
    assert not {name for name in page.names if name.startswith("on")}
    assert all(
        link.startswith(("data:image/", "#")) or link == "figures/epochs.mp4" for link in page.links
    )


def test_an_error_with_a_script_in_it_stays_text(tmp_path: Path) -> None:
    run = whole_run.copy(tmp_path)
    for stage in ("sample", "report"):
        run.stage_file(stage).unlink()
    edit(run.attempt_file("sample", 1), lambda r: r.update(cause="crashed", error=ATTACKS[0]))
    report.write(run)
    page = Page(run.report_file.read_text())
    assert ATTACKS[0] in page.text
    assert "script" not in page.tags


def test_pictures_with_scripts_are_pictures(tmp_path: Path) -> None:
    """An SVG in an <img> runs nothing; it must never stand in the page as markup."""
    run = whole_run.copy(tmp_path)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>x()</script></svg>'
    path = run.figures / "scores.svg"
    path.write_bytes(svg)
    report.write(run)
    text = run.report_file.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "svg" not in page.tags
    assert "onload" not in text
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text


def test_the_environment_is_in_no_file_of_a_run(tmp_path: Path) -> None:
    """Records, logs, pickles, samples, curves, figures, report: all that a whole run leaves."""
    environment = os.environ | {"SECRET_TOKEN": SECRET, "WANDB_API_KEY": SECRET}
    command = [sys.executable, "-m", "jobs.cli", "run", *whole_run.FLAGS]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 25
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_what_schedulers_are_given_has_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", SECRET)
    order, logs = Order("run.train", "tabc", Resources()), tmp_path / "logs"
    of_pbs.write(order, logs, [Train(tmp_path)])
    (logs / "slurm.sh").write_text(executors.script(order, logs))
    files = list(logs.iterdir())
    assert {path.suffix for path in files} == {".sh", ".pkl"}
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
