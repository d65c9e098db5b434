"""Checkpoints that are either whole or not there. Imports nothing else of this project.

`checkpoints.saver` (background saving) imports torch; the rest answers without it.
"""

from checkpoints.errors import CheckpointError
from checkpoints.store import Checkpoint, Store, steps_in

__all__ = ["Checkpoint", "CheckpointError", "Store", "steps_in"]
