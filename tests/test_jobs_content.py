"""What a report has to show, gathered once: sections, provenance, what is missing."""

from pathlib import Path

import pytest
import reports

from jobs import records
from jobs.reporting import content, gallery
from jobs.reporting.content import Content
from jobs.run import Run


def gathered(run: Run) -> Content:
    return content.gather(run, dict.fromkeys(run.members(), b"<svg/>"), run.path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return reports.finished(tmp_path / "demo")


def test_sections_come_in_the_order_of_the_gallery(run: Run) -> None:
    found = gathered(run)
    assert [section.title for section in found.sections] == [
        gallery.OVER_TIME,
        gallery.BETWEEN,
        gallery.CURVES,
        "What the discriminator trained without the generator sees",
        "What the discriminator trained with the generator sees",
    ]
    alone = found.sections[3]
    assert [(shown.title, shown.member) for shown in alone.pictures] == [
        (title, "classifier")
        for title in ("real", "gradients", "altered", "max-class", "max-conv4", "max-conv8")
    ]
    assert [table.run for table in alone.tables] == ["demo"]
    assert "from 99.5 % to 25.0 % when every pixel moves by 8/255" in alone.text
    assert found.generates
    assert found.missing == []


def test_every_picture_says_where_it_is_from(run: Run) -> None:
    gan = run.members()["gan"]
    total = gan.settings()["total_steps"]
    over_time, between, curves, alone, _ = gathered(run).sections
    assert [shown.title for shown in over_time.pictures] == [
        f"epoch-{n:04d}" for n in (1, 3, 4, 6, 7, 9)
    ]
    first = over_time.pictures[0]
    assert first.provenance == f"demo/gan · train · step {total // 9:,} · seed 0"
    assert (first.label, first.item) == ("generated", "over time")
    assert first.alt == "Grid of generated images after epoch 1; each column is one class"
    assert between.pictures[0].provenance == f"demo/gan · sample · step {total:,} · seed 0"
    assert curves.pictures[1].caption.endswith("what counts is their gap.")
    steps = run.members()["classifier"].settings()["total_steps"]
    assert {shown.provenance for shown in alone.pictures} == {
        f"demo/classifier · visualize · step {steps:,} · seed 0"
    }
    for section in gathered(run).sections:
        assert all(shown.alt and shown.caption for shown in section.pictures)


def test_pictures_that_no_entry_describes_are_shown_last(run: Run) -> None:
    gan = run.members()["gan"]
    film = gan.figures / "epochs.mp4"
    film.write_bytes(b"film")
    reports.sample(gan, reports.draw(gan.figures / "new-kind.png"), film)
    found = gathered(run)
    last = found.sections[-1]
    assert last.title == gallery.OTHERS
    (shown,) = last.pictures
    assert shown.caption == "new-kind, as the stage sample drew it."
    assert found.sections[0].links == ["gan/figures/epochs.mp4"]
    elsewhere = content.gather(run, dict.fromkeys(run.members(), b""), run.path.parent / "away")
    assert elsewhere.sections[0].links == ["../demo/gan/figures/epochs.mp4"]


def test_what_a_network_cannot_do_is_said(run: Run) -> None:
    facts = {name: {"layers": []} for name in run.members()}
    records.complete(run, "visualize", [], facts)
    for section in gathered(run).sections[-2:]:
        assert "It names no classes" in section.text
        assert "Its layers cannot be looked into" in section.text
        assert section.pictures == section.tables == []


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = reports.prepared(tmp_path / "young")
    reports.train(run.members()["gan"])
    found = gathered(run)
    assert found.missing == [
        "young/classifier train: waiting", "young/gan sample: waiting",
        "young evaluate: waiting", "young visualize: waiting",
    ]  # fmt: skip
    assert [row.name for row in found.figures] == ["Test accuracy of gan"]
    assert found.data == [
        "digits: 1438 grey images of 8 x 8 pixels to learn from, 359 held out"
    ]  # the same for both
    assert [each.title for each in content.last_grids(run)] == ["epoch-0009"]


def test_the_table_tells_stages_without_places_or_hosts(run: Run) -> None:
    told = gathered(run).as_json()
    assert told["pictures"][0] == {
        "section": gallery.OVER_TIME, "member": "gan", "title": "epoch-0001",
        "label": "generated", "provenance": "demo/gan · train · step 66 · seed 0",
        "caption": "After epoch 1: the same noise every time, a class a column.",
    }  # fmt: skip
    assert told["stages"][0] == {
        "run": "demo/classifier", "stage": "train", "state": "finished", "cause": "finished",
        "error": None, "step": 1188, "total_steps": 1188, "attempts": 0, "seconds": 0,
    }  # fmt: skip
    assert str(run.path.parent) not in str(told)
