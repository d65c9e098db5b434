"""What a job books: from flags, over its stage, over the profile, over nothing."""

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from slurm import resources
from slurm.errors import SchedulerError
from slurm.resources import STAGES, Profile, Resources, load_profile

ONE_OF_EACH = Resources(
    partition="gpu", account="a", project="p", qos="q", reservation="r", constraint="c",
    minutes=60, nodes=2, tasks_per_node=3, gpus_per_node=4, gpu_type="a100", cpus_per_task=5,
    mem_gb=6, exclusive=True, extra=("nice=1",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user stands, with a home of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def here(text: str) -> Path:
    return write(Path("clusters.toml"), text)


def refusal(name: str = "x") -> str:
    with pytest.raises(SchedulerError) as refused:
        load_profile(name)
    return str(refused.value)


@pytest.mark.parametrize("name", [item.name for item in fields(Resources) if item.name != "extra"])
def test_every_setting_is_taken_from_above_and_else_from_below(name: str) -> None:
    value = getattr(ONE_OF_EACH, name)
    for above, below in ((ONE_OF_EACH, Resources()), (Resources(), ONE_OF_EACH)):
        assert getattr(above.over(below), name) == value
    lower = {"exclusive": False}.get(name, "z" if isinstance(value, str) else 1)
    assert getattr(ONE_OF_EACH.over(replace(ONE_OF_EACH, **{name: lower})), name) == value


def test_nothing_at_all_stays_nothing() -> None:
    assert Resources().over(Resources()) == Resources()


def test_zero_and_no_are_settings_too() -> None:
    merged = Resources(gpus_per_node=0, exclusive=False).over(ONE_OF_EACH)
    assert (merged.gpus_per_node, merged.exclusive) == (0, False)


def test_extra_options_of_both_are_kept_the_upper_ones_last() -> None:
    """sbatch takes the last of two that contradict each other."""
    merged = Resources(extra=("nice=2",)).over(Resources(extra=("nice=1", "wckey=w")))
    assert merged.extra == ("nice=1", "wckey=w", "nice=2")


def test_ranks_are_one_a_gpu_else_as_told_else_one() -> None:
    assert Resources().ranks == 1
    assert Resources(nodes=3).ranks == 3
    assert Resources(nodes=2, gpus_per_node=4).ranks == 8
    assert Resources(nodes=2, gpus_per_node=4, tasks_per_node=1).ranks == 2
    assert Resources(gpus_per_node=0).ranks == 1


def test_training_books_flags_over_its_stage_over_the_profile() -> None:
    profile = Profile(
        resources=Resources(partition="p", minutes=1, qos="q", nodes=4),
        stages={"train": Resources(partition="s", minutes=2)},
    )
    booked = profile.for_stage("train", Resources(partition="f", gpus_per_node=2))
    expected = Resources(partition="f", minutes=2, qos="q", nodes=4, gpus_per_node=2)
    assert booked == expected
    assert booked.ranks == 8


@pytest.mark.parametrize("stage", ["sample", "evaluate", "visualize"])
def test_follow_ups_take_one_node_one_rank_and_one_gpu(stage: str) -> None:
    flags = Resources(nodes=4, gpus_per_node=8, tasks_per_node=8, partition="p", minutes=5)
    booked = Profile().for_stage(stage, flags)
    assert (booked.nodes, booked.ranks, booked.gpus_per_node) == (1, 1, 1)
    assert (booked.partition, booked.minutes) == ("p", 5)
    assert Profile().for_stage(stage, Resources(nodes=4)).gpus_per_node == 0


def test_a_report_books_no_gpu() -> None:
    booked = Profile(resources=ONE_OF_EACH).for_stage("report", Resources(gpus_per_node=8))
    assert (booked.gpus_per_node, booked.ranks) == (0, 1)


def test_a_stage_of_the_profile_speaks_for_itself() -> None:
    own = Resources(partition="cpu", gpus_per_node=2, cpus_per_task=1)
    profile = Profile(resources=ONE_OF_EACH, stages={"sample": own, "report": own})
    for stage in ("sample", "report"):
        booked = profile.for_stage(stage, Resources(partition="flag", cpus_per_task=9))
        found = (booked.partition, booked.gpus_per_node, booked.cpus_per_task, booked.account)
        assert found == ("cpu", 2, 1, "a")
        assert booked.ranks == 1
    assert profile.for_stage("evaluate", Resources()).partition == "gpu"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minutes": 0.0}, "minutes is 0.0; allowed: above 0"),
        ({"minutes": float("nan")}, "minutes is nan; allowed: above 0"),
        ({"minutes": float("inf")}, "minutes is inf; allowed: above 0"),
        ({"mem_gb": -1.0}, "mem_gb is -1.0; allowed: above 0"),
        ({"nodes": 0}, "nodes is 0; allowed: above 0"),
        ({"tasks_per_node": 0}, "tasks_per_node is 0; allowed: above 0"),
        ({"cpus_per_task": -2}, "cpus_per_task is -2; allowed: above 0"),
        ({"gpus_per_node": -1}, "gpus_per_node is -1; allowed: 0 or more"),
        ({"partition": ""}, "partition is ''; allowed: text without control"),
        ({"account": "a\nb"}, r"account is 'a\\nb'; allowed: text without control"),
        ({"qos": "\udcff"}, r"qos is '\\udcff'; allowed: text"),
        ({"extra": ("nice=\x1b",)}, r"extra is 'nice=\\x1b'; allowed: text without control"),
        ({"extra": ("--nice=1",)}, "extra is '--nice=1'; allowed: name=value or name"),
        ({"extra": ("array=0-9",)}, "extra is 'array=0-9'; .* not comment, dependency, array"),
        ({"extra": ("no-requeue",)}, "extra is 'no-requeue'; .* not comment"),
        ({"gpu_type": "a100; rm"}, "gpu_type is 'a100; rm'; allowed: A-Z a-z 0-9"),
    ],
)
def test_what_no_cluster_could_book_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SchedulerError, match=message):
        Resources(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"setup": ("module load x\nrm y",)}, "setup is .*; allowed: text without control"),
        ({"prefix": ("",)}, "prefix is ''; allowed: text without control"),
        ({"python": "/a\tb"}, "python is .*; allowed: text without control"),
        ({"mail": "a\x00b"}, "mail is .*; allowed: text without control"),
        ({"interface": "ib0 ib1"}, "interface is 'ib0 ib1'; allowed: a name as ib0"),
        ({"retries": -1}, "retries is -1; allowed: 0 or more"),
        ({"stages": {"trian": Resources()}}, "stages has 'trian'; allowed: train, sample"),
    ],
)
def test_profiles_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SchedulerError, match=message):
        Profile(**settings)


def test_without_a_name_no_file_is_asked() -> None:
    here("not TOML")
    assert load_profile(None) == Profile()


def test_a_whole_profile_is_read() -> None:
    here(
        """
        [x]
        partition = "gpu"
        minutes = 90
        exclusive = true
        extra = ["nice=5"]
        setup = ["module load cuda", "source venv/bin/activate"]
        prefix = ["apptainer", "exec", "my image.sif"]
        python = "/usr/bin/python3"
        gpu_form = "gres"
        interface = "ib0"
        mail = "me@example.org"
        retries = 0
        [x.stages.report]
        partition = "cpu"
        mem_gb = 1.5
        """
    )
    booked = Resources(partition="gpu", minutes=90, exclusive=True, extra=("nice=5",))
    assert load_profile("x") == Profile(
        name="x",
        resources=booked,
        stages={"report": Resources(partition="cpu", mem_gb=1.5)},
        setup=("module load cuda", "source venv/bin/activate"),
        prefix=("apptainer", "exec", "my image.sif"),
        python="/usr/bin/python3",
        gpu_form="gres",
        interface="ib0",
        mail="me@example.org",
        retries=0,
    )


def test_the_users_own_file_is_read_from_home(empty_folder: Path) -> None:
    write(empty_folder / "home" / "ganymede" / "clusters.toml", '[x]\npartition = "home"')
    assert load_profile("x").resources.partition == "home"
    here('[y]\npartition = "y"')  # a file here adds to it, and goes first
    assert load_profile("x").resources.partition == "home"
    here('[x]\npartition = "here"')
    assert load_profile("x").resources.partition == "here"


def test_without_xdg_home_is_dot_config(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(empty_folder))
    write(empty_folder / ".config" / "ganymede" / "clusters.toml", "[x]\nretries = 7")
    assert load_profile("x").retries == 7


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o777])
def test_a_file_that_others_may_write_is_not_read(mode: int) -> None:
    here("[x]\nsetup = ['echo owned']").chmod(mode)
    said = refusal()
    assert "clusters.toml is not read, since others may write it" in said
    assert "allowed: a file that you own" in said


def test_a_file_of_somebody_else_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    here("[x]")
    monkeypatch.setattr(resources.os, "geteuid", lambda: os.getuid() + 1)
    assert "is not read" in refusal()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_a_file_of_ones_own_is_read(mode: int) -> None:
    here("[x]").chmod(mode)
    assert load_profile("x") == Profile(name="x")


def test_an_unknown_name_lists_those_there_are(empty_folder: Path) -> None:
    assert "profile is 'x'; allowed: none yet, the tables of clusters.toml or " in refusal()
    write(empty_folder / "home" / "ganymede" / "clusters.toml", "[old]")
    here("[big]\n[small]")
    assert "profile is 'x'; allowed: big, small, old, the tables of clusters.toml" in refusal()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x]\npartiton = 'gpu'", "[x] in clusters.toml has 'partiton'; allowed: account, const"),
        ("[x]\nname = 'y'", "[x] in clusters.toml has 'name'; allowed: "),
        ("[x]\nresources = {}", "[x] in clusters.toml has 'resources'; allowed: "),
        ("[x]\nminutes = '90'", "[x] in clusters.toml: Expected `float | null`, got `str`"),
        ("[x]\nnodes = 1.5", "[x] in clusters.toml: Expected `int | null`, got `float`"),
        ("[x]\nexclusive = 1", "[x] in clusters.toml: Expected `bool | null`, got `int`"),
        ("[x]\nsetup = 'module load'", "[x] in clusters.toml: Expected `array`, got `str`"),
        ("[x]\ngpu_form = 'old'", "[x] in clusters.toml: Invalid enum value 'old'"),
        ("[x]\nnodes = 0", "[x] in clusters.toml: nodes is 0; allowed: above 0"),
        ("[x]\nretries = -1", "[x] in clusters.toml: retries is -1; allowed: 0 or more"),
        ('[x]\nsetup = ["a\\u0007"]', "[x] in clusters.toml: setup is 'a\\x07'; allowed: text"),
        ("x = 3", "[x] in clusters.toml is 3; allowed: a table of account"),
        ("[x]\nstages = 3", "[x] in clusters.toml, stages is 3; allowed: a table of evaluate"),
        ("[x.stages.trian]", "[x] in clusters.toml, stages has 'trian'; allowed: evaluate"),
        ("[x.stages]\nreport = 3", "[x] in clusters.toml, stages.report is 3; allowed: a table"),
        ("[x.stages.report]\nsetup = []", "stages.report has 'setup'; allowed: account"),
        ("[x.stages.report]\nnodes = 0", "stages.report: nodes is 0; allowed: above 0"),
        ("[x]\n[x]", "clusters.toml cannot be read: "),
        ("[x", "clusters.toml cannot be read: "),
    ],
)
def test_mistakes_in_the_file_are_named(text: str, message: str) -> None:
    here(text)
    assert message in refusal()


def test_a_file_that_is_no_text_is_named() -> None:
    Path("clusters.toml").write_bytes(b"[x]\npartition = '\xff'")
    Path("clusters.toml").chmod(0o644)
    assert "clusters.toml cannot be read: " in refusal()


def test_hash_changes_with_every_setting_and_with_nothing_else() -> None:
    profile = Profile(name="x", resources=ONE_OF_EACH)
    assert profile.hash == Profile(name="x", resources=replace(ONE_OF_EACH)).hash
    others = [
        replace(profile, resources=replace(ONE_OF_EACH, minutes=61)),
        replace(profile, name="y"),
        replace(profile, stages={"report": Resources(nodes=1)}),
        replace(profile, setup=("true",)),
        replace(profile, prefix=("nice",)),
        replace(profile, python="python3"),
        replace(profile, gpu_form="gres"),
        replace(profile, interface="ib0"),
        replace(profile, mail="a@b"),
        replace(profile, retries=1),
    ]
    assert len({profile.hash, *(other.hash for other in others)}) == 1 + len(others)


def test_the_stages_are_those_that_jobs_have() -> None:
    from jobs import evaluate, report, sample, train, visualize

    jobs = (train.Train, sample.Sample, evaluate.Evaluate, visualize.Visualize, report.Report)
    assert tuple(job.stage for job in jobs) == STAGES
