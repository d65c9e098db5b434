import pytest

from slurm.pbs_values import Attributes, gibibytes, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("01:30", 90),
        ("24:00:00", 86400),
        ("336:00:00", 1209600),
        ("00:00:01.400", 1),
        ("", None),
        ("1-00:00:00", None),
        ("unlimited", None),
    ],
)
def test_durations(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16gb", 16.0), ("16777216kb", 16.0), ("1048576", 1 / 1024), ("2TB", 2048.0), ("much", 0.0)],
)
def test_sizes(text: str, expected: float) -> None:
    assert gibibytes(text) == expected


def test_text_numbers_and_tables_as_json_has_them() -> None:
    found = Attributes(
        {"kill_delay": 60, "Priority": "3", "is": True, "on": "False", "t": {"a": 1}}
    )
    assert (found.number("kill_delay"), found.number("Priority"), found.number("is")) == (
        60,
        3,
        None,
    )
    assert (found.flag("is"), found.flag("on"), found.flag("kill_delay")) == (True, False, None)
    assert found.table("t").words("a") == "1"
    assert found.words("t") == found.words("absent") == ""
    assert not found.table("Priority")


def test_limits_in_a_list() -> None:
    text = '[o:PBS_ALL=500],[u:PBS_GENERIC=10], [u:"bob"=3],[g:lab=7]'
    found = Attributes({"max_queued": text})
    assert found.limit("max_queued", "o", "PBS_ALL") == 500
    assert found.limit("max_queued", "u", "PBS_GENERIC") == 10
    assert found.limit("max_queued", "u", "bob") == 3
    assert found.limit("max_queued", "g", "lab") == 7
    assert found.limit("max_queued", "u", "lab") is None
    assert found.limit("max_run", "u", "bob") is None


@pytest.mark.parametrize(
    ("entries", "admitted"),
    [
        ("alice,bob", True),
        ("alice", False),
        ("-bob,*", False),
        ("-alice,*", True),
        ("+bob@host.site", True),
        ("+", True),
        ("-", False),
        ("", False),
        ("bob,-bob", True),  # the first match decides
    ],
)
def test_who_is_let_in(entries: str, admitted: bool) -> None:
    assert Attributes({"acl_users": entries}).admits("acl_users", "bob") is admitted
