import io
import os
import pickle
import shutil
import threading
from pathlib import Path

import pytest
import torch

from checkpoints import CheckpointError, Store, files
from checkpoints.manifest import FileEntry, Manifest


def content(step: int) -> bytes:
    stream = io.BytesIO()
    torch.save({"step": step, "weights": torch.full((100,), float(step))}, stream)
    return stream.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "checkpoints", "identity", keep=3)
    for step in (10, 20, 30):
        store.commit(step, content(step))
    return store


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_latest_is_what_was_committed_last(store: Store) -> None:
    latest = store.latest()
    assert latest.step == 30
    assert torch.equal(latest.load()["weights"], torch.full((100,), 30.0))


@pytest.mark.parametrize("late", ["step-00000030", "step-00000030/manifest.json"])
def test_what_is_seen_late_is_waited_for(store: Store, late: str) -> None:
    name, hidden = store.folder / late, store.folder.parent / "hidden"
    name.rename(hidden)
    seen = threading.Timer(0.3, lambda: hidden.rename(name))
    seen.start()
    assert store.latest().step == 20  # meanwhile, whoever does not know of it makes do
    assert store.await_open(30).load()["step"] == 30
    seen.join()
    with pytest.raises(CheckpointError, match=r"step-00000040/manifest\.json is missing"):
        store.await_open(40, patience_s=0.0)


def test_one_that_is_taken_over_in_the_middle_of_a_commit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had begun is cleared away by the newer one, and is no fault of the disk."""
    newer = Store(tmp_path / "checkpoints", "identity")
    write = files.write_new

    def guard() -> None:
        if newer.steps():
            raise RuntimeError("taken over")

    def taken_over(path: Path, data: bytes) -> None:
        monkeypatch.setattr(files, "write_new", write)
        newer.commit(20, content(20))
        write(path, data)

    monkeypatch.setattr(files, "write_new", taken_over)
    with pytest.raises(RuntimeError, match="taken over"):
        Store(newer.folder, "identity", guard=guard).commit(10, content(10))
    assert [path.name for path in newer.folder.iterdir()] == ["step-00000020"]


def test_nothing_yet_is_none(tmp_path: Path) -> None:
    assert Store(tmp_path / "none", "identity").latest() is None


def test_only_the_newest_are_kept(store: Store) -> None:
    store.commit(40, content(40))
    assert store.steps() == [20, 30, 40]


def test_the_newest_landmark_stays_beside_them(store: Store) -> None:
    store.landmark = 15  # of the steps here, 30 and 60 are multiples
    for step in (40, 50, 55, 58):
        store.commit(step, content(step))
    assert store.steps() == [30, 50, 55, 58]
    store.commit(60, content(60))
    assert store.steps() == [55, 58, 60]


def test_later_ones_can_be_dropped(store: Store) -> None:
    store.drop_after(20)
    store.drop_after(20)
    assert store.steps() == [10, 20]
    assert store.latest().step == 20


def test_flipped_bit_is_skipped_with_a_warning_and_named(store: Store) -> None:
    flip_a_bit(store.path(30) / "state.pt")
    warnings: list[str] = []
    assert store.latest(warnings.append).step == 20
    assert len(warnings) == 1
    assert "step-00000030/state.pt: SHA-256 differs" in warnings[0]
    assert store.problems() == [warnings[0].removeprefix("checkpoint skipped: ")]


@pytest.mark.parametrize("damage", ["truncated", "no manifest", "no state", "bad manifest"])
def test_any_damage_is_skipped(store: Store, damage: str) -> None:
    state, manifest = store.path(30) / "state.pt", store.path(30) / "manifest.json"
    if damage == "truncated":
        os.truncate(state, 100)
    elif damage == "bad manifest":
        manifest.write_text('{"format": 1, "step"')
    else:
        (manifest if damage == "no manifest" else state).unlink()
    assert store.latest().step == 20


def test_damaged_checkpoints_never_push_out_good_ones(store: Store) -> None:
    for step in (20, 30):
        os.truncate(store.path(step) / "state.pt", 5)
    store.commit(40, content(40))
    assert 10 in store.steps()
    assert store.latest().step == 40


def test_flipped_bits_in_later_ones_never_push_out_what_is_committed(tmp_path: Path) -> None:
    store = Store(tmp_path, "identity", keep=1)
    for step in (20, 30):
        store.keep = 2
        store.commit(step, content(step))
    flip_a_bit(store.path(30) / "state.pt")
    store.keep = 1
    store.commit(22, content(22))  # went back to 20, two steps on
    assert store.latest().step == 22
    assert store.steps() == [22, 30]
    store.commit(30, content(30))
    assert store.steps() == [30]
    assert store.problems() == []


def test_a_damaged_step_is_replaced_when_reached_again(store: Store) -> None:
    flip_a_bit(store.path(30) / "state.pt")
    store.commit(30, content(30))
    assert store.problems() == []
    assert store.latest().step == 30


def test_all_damaged_is_an_error_not_a_new_start(store: Store) -> None:
    for step in store.steps():
        flip_a_bit(store.path(step) / "state.pt")
    with pytest.raises(CheckpointError, match=r"none of the 3 checkpoints .* is good"):
        store.latest()


def test_another_config_and_another_format_are_refused(store: Store) -> None:
    with pytest.raises(CheckpointError, match="belongs to another config"):
        Store(store.folder, "other").latest()
    path = store.path(30) / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(CheckpointError, match="format 99; this version reads format 1"):
        store.open(30)


def test_renamed_checkpoint_is_not_believed(store: Store) -> None:
    store.path(30).rename(store.path(50))
    assert store.latest().step == 20


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", ".", ""])
def test_manifest_may_not_name_files_elsewhere(store: Store, name: str) -> None:
    path = store.path(30) / "manifest.json"
    path.write_text(path.read_text().replace("state.pt", name))
    with pytest.raises(CheckpointError, match="outside its folder"):
        store.open(30)


class Exploit:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("exploited",))


def test_pickled_object_is_refused_and_not_executed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in ("torch", "plain"):
        stream = io.BytesIO()
        if protocol == "torch":
            torch.save({"step": Exploit()}, stream)
        else:
            pickle.dump(Exploit(), stream)
        data = stream.getvalue()
        folder = store.path(30)
        (folder / "state.pt").write_bytes(data)
        manifest = Manifest(30, "identity", {"state.pt": FileEntry.of(data)})
        (folder / "manifest.json").write_bytes(manifest.to_json())
        with pytest.raises(CheckpointError, match="refused, only tensors and plain") as refusal:
            store.latest().load()
        named = "mkdir" if protocol == "torch" else "not torch's zip format"
        assert named in str(refusal.value)
        assert len(str(refusal.value)) < 300
        assert not (tmp_path / "exploited").exists()


def test_full_disk_leaves_the_good_ones_and_no_rubbish(small_disk: Path) -> None:
    store = Store(small_disk / "checkpoints", "identity", keep=5)
    store.commit(1, bytes(1 << 20))
    with pytest.raises(OSError, match="No space left"):
        store.commit(2, bytes(4 << 20))
    assert store.steps() == [1]
    assert store.problems() == []
    assert [p.name for p in store.folder.iterdir()] == ["step-00000001"]


def test_guard_is_asked_before_the_commit(store: Store) -> None:
    def refuse() -> None:
        raise PermissionError("taken over")

    store.guard = refuse
    with pytest.raises(PermissionError):
        store.commit(40, content(40))
    assert store.steps() == [10, 20, 30]


def test_what_a_crash_left_aside_is_ignored_and_cleared(store: Store) -> None:
    shutil.copytree(store.path(30), store.folder / ".aside-123")
    assert store.steps() == [10, 20, 30]
    store.commit(40, content(40))
    assert not (store.folder / ".aside-123").exists()


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep is 0; at least 1"):
        Store(tmp_path, "identity", keep=0)
