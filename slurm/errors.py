"""What can go wrong between a person and a scheduler."""


class SchedulerError(Exception):
    """The scheduler refused, or a setting for it cannot be used; the message says which and why."""


class Unreachable(SchedulerError):
    """The scheduler does not answer. Whether it did what it was asked to is unknown."""


class SubmitLimit(SchedulerError):
    """No more jobs are accepted for now; the same request may succeed later."""
