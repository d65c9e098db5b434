"""What can be wrong with a checkpoint."""


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message names the file and the reason."""
