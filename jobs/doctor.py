"""What a cluster does, and which guarantees hold on it."""

from jobs.options import Doctor


def examine(options: Doctor) -> int:
    raise NotImplementedError
