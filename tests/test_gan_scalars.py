from pathlib import Path

import numpy as np

from gan.scalars import ScalarLog, read


def test_steps_logged_again_stand_once(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path, purge_step=0)
    for step in (5, 10, 15, 20):
        log.add(step, {"train/loss": float(step)})
    log.flush()  # killed here: never closed
    again = ScalarLog(tmp_path, purge_step=11)
    for step in (15, 20, 25):
        again.add(step, {"train/loss": step + 0.5})
    again.add_picture(25, "samples", np.zeros((4, 4, 1), np.uint8))
    again.close()
    steps, values = read(tmp_path)["train/loss"]
    assert steps.tolist() == [5, 10, 15, 20, 25]
    assert values.tolist() == [5, 10, 15.5, 20.5, 25.5]


def test_every_entry_of_a_long_run_is_kept(tmp_path: Path) -> None:
    log = ScalarLog(tmp_path, purge_step=0)
    for step in range(3000):
        log.add(step, {"x": 0.0})
    log.close()
    assert read(tmp_path)["x"][0].tolist() == list(range(3000))
