from pathlib import Path

import numpy as np

from gan.scalars import ScalarLog, read


def test_steps_logged_again_stand_once(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path, purge_step=0)
    for step in (5, 10, 15, 20):
        log.add(step, {"train/loss": float(step)})
    log.flush()  # as far as a killed process gets
    again = ScalarLog(tmp_path, purge_step=11)
    for step in (15, 20, 25):
        again.add(step, {"train/loss": step + 0.5})
    again.add_picture(25, "samples", np.zeros((4, 4, 1), np.uint8))
    again.close()
    log.close()
    steps, values = read(tmp_path)["train/loss"]
    assert steps.tolist() == [5, 10, 15, 20, 25]
    assert values.tolist() == [5, 10, 15.5, 20.5, 25.5]


def test_every_entry_of_a_long_run_is_kept(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path, purge_step=0)
    for step in range(3000):
        log.add(step, {"x": 0.0})
    log.close()
    assert read(tmp_path)["x"][0].tolist() == list(range(3000))


def test_order_does_not_hang_on_the_clock(tmp_path: Path) -> None:
    for attempt in range(12):  # all in one second, and one more digit than names of one digit sort
        log = ScalarLog(tmp_path, purge_step=attempt)
        for step in range(attempt, 13):
            log.add(step, {"x": float(attempt)})
        log.close()
    steps, values = read(tmp_path)["x"]
    assert steps.tolist() == list(range(13))
    assert values.tolist() == [*range(12), 11]


def test_a_torn_last_record_does_not_hide_what_follows(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path, purge_step=0)
    log.add(1, {"x": 1.0})
    log.add(2, {"x": 2.0})
    log.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    again = ScalarLog(tmp_path, purge_step=2)
    again.add(2, {"x": 2.5})
    again.close()
    assert read(tmp_path)["x"][1].tolist() == [1, 2.5]


def test_pictures_are_readable_by_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = ScalarLog(tmp_path, purge_step=0)
    log.add_picture(3, "samples", np.zeros((4, 6, 1), np.uint8))
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (picture,) = events.Images("samples")
    assert (picture.step, picture.width, picture.height) == (3, 6, 4)
