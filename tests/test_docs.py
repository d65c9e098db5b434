"""What the documents promise can be found."""

import re
from pathlib import Path

import pytest

from jobs.records import Cause

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("document", "least"), [("clusters.md", 20), ("reliability.md", 5)])
def test_every_row_of_a_table_of_troubles_names_tests_that_exist(document: str, least: int) -> None:
    text = (ROOT / "docs" / document).read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "test_" in line]
    assert len(rows) > least
    for row in rows:
        named = re.findall(r"`([\w/]*test_\w+\.py)?(?:::(test_\w+))?`", row.rpartition(" | ")[2])
        file = ""
        assert any(part for part, _ in named), row
        for part, test in named:
            file = part or file
            path = ROOT / file if "/" in file else ROOT / "tests" / "cluster" / file
            assert path.is_file(), row
            assert f"def {test}(" in path.read_text() or not test, row


def test_every_row_of_what_can_go_wrong_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.split(" | ")[-1])
        assert named, row
        for file, test in named:
            assert (ROOT / file).is_file(), row
            assert f"def {test}(" in (ROOT / file).read_text(), row


def test_every_cause_of_an_end_is_among_what_can_go_wrong() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    table = "".join(line for line in text.splitlines() if line.startswith("| "))
    for cause in set(Cause) - {Cause.FINISHED}:
        assert cause in table, cause


def test_links_between_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
