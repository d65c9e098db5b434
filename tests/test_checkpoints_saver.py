import threading
import time
from pathlib import Path

import pytest
import torch

from checkpoints import Store
from checkpoints.saver import BackgroundSaver


def test_state_is_copied_before_save_returns(tmp_path: Path) -> None:
    release = threading.Event()
    store = Store(tmp_path, "identity", guard=lambda: release.wait(10) or None)
    saver = BackgroundSaver(store)
    weights = torch.ones(1000)
    saver.save(1, {"net": {"weights": weights}, "step": 1})
    weights.add_(1)  # the next update, while the writer is at work
    release.set()
    saver.close()
    saved = store.latest().load()
    assert torch.equal(saved["net"]["weights"], torch.ones(1000))
    assert saved["step"] == 1


def test_buffers_are_kept_and_follow_new_shapes(tmp_path: Path) -> None:
    store = Store(tmp_path, "identity")
    saver = BackgroundSaver(store)
    places = []
    for step, size in ((1, 10), (2, 10), (3, 20)):
        saver.save(step, {"weights": torch.full((size,), float(step))})
        saver.wait()
        assert torch.equal(store.latest().load()["weights"], torch.full((size,), float(step)))
        places.append(saver._buffers["/weights"].data_ptr())
    assert places[0] == places[1]
    saver.close()
    assert saver.longest_save_s > 0


def test_a_loaded_state_is_saved_in_the_same_bytes(tmp_path: Path) -> None:
    """Checksums of what a run leaves must not tell whether it was ever broken off."""
    state = {"step": 3, "adam": {"a.weight": {"step": torch.ones(1), "exp_avg": torch.zeros(2)}}}
    written = []
    for folder in ("first", "again"):
        saver = BackgroundSaver(Store(tmp_path / folder, "identity"))
        saver.save(3, state)
        saver.close()
        checkpoint = saver.store.latest()
        written.append((checkpoint.folder / "state.pt").read_bytes())
        state["adam"] = checkpoint.load()["adam"]  # its keys are equal, but other objects
    assert written[0] == written[1]


def test_error_in_the_background_is_raised_not_lost(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    for raising in ("check", "wait", "close"):
        saver = BackgroundSaver(Store(blocked, "identity"))
        saver.save(1, {"weights": torch.ones(3)})
        deadline = time.monotonic() + 10
        with pytest.raises(FileExistsError):
            while time.monotonic() < deadline:
                getattr(saver, raising)()
        saver.close()


def test_buffers_made_ahead_are_those_that_are_filled(tmp_path: Path) -> None:
    saver = BackgroundSaver(Store(tmp_path, "identity"))
    weights = torch.ones(1000)
    saver.prepare({"net": {"weights": weights, "step": 3}})
    assert not saver.busy
    saver._preparing.result()
    assert saver.store.steps() == []
    place = saver._buffers["/net/weights"].data_ptr()
    saver.prepare({"net": {"weights": weights}})
    saver.save(1, {"net": {"weights": weights}})  # waits for the buffers
    saver.close()
    assert saver._buffers["/net/weights"].data_ptr() == place
    assert torch.equal(saver.store.latest().load()["net"]["weights"], weights)


def test_what_is_not_approved_is_not_written(tmp_path: Path) -> None:
    """The copy is judged: what has become of the state since does not count."""
    seen, go_on = [], threading.Event()
    saver = BackgroundSaver(Store(tmp_path, "identity"))
    weights = torch.ones(3)

    def judge(copy: dict[str, object]) -> bool:
        go_on.wait(10)
        seen.append(copy["weights"].tolist())
        return copy["step"] == 2

    for step in (1, 2, 3):
        go_on.clear()
        saver.save(step, {"weights": weights, "step": step}, judge)
        weights.add_(1)
        go_on.set()
        saver.wait()
        assert not saver.busy
    saver.close()
    assert seen == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert saver.store.steps() == [2]
