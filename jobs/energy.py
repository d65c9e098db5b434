"""How much energy the attempts of a run have taken: an estimate by codecarbon, made offline.

Switched on by `train.energy_country`. codecarbon measures the GPUs' power, and the CPU's where the
machine tells it; the rest it reckons from the load and the processor's nominal power. Nothing is
sent anywhere, and no file is written but the attempt's record.
"""

import contextlib
import importlib.util
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from jobs import records
from jobs.ranks import Place
from jobs.records import Attempt
from jobs.run import Run, RunError

_EVERY_S, _NOTED_EVERY = 15, 4  # seconds between two looks; looks between two notes


@dataclass(frozen=True)
class Spent:
    """What some attempts have taken together."""

    kwh: float
    co2_kg: float
    measured: int  # attempts of which it is known
    attempts: int

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.kwh + other.kwh,
            self.co2_kg + other.co2_kg,
            self.measured + other.measured,
            self.attempts + other.attempts,
        )


def country_of(run: Run) -> str:
    """The country whose electricity the run takes, of a pipeline that of its runs; '' if energy is
    not tracked. Raises RunError.
    """
    if not run.exists:
        return ""
    given = (member.config().train.energy_country for member in run.members().values())
    return next(filter(None, given), "")


def check(country: str) -> None:
    """Raise RunError if energy cannot be tracked as asked."""
    if importlib.util.find_spec("codecarbon") is None:
        raise RunError(
            f"train.energy_country is {country!r}, and codecarbon is not installed; "
            "pip install 'ganymede[energy]', or leave it empty"
        )
    from codecarbon.input import DataSource

    if country not in DataSource().get_global_energy_mix_data():
        raise RunError(
            f"train.energy_country is {country!r}; allowed: the three letters of a country whose "
            "electricity codecarbon knows, as FRA, DEU or USA"
        )


@contextlib.contextmanager
def metered(attempt: Attempt, place: Place) -> Iterator[None]:
    """Put what the block takes into the attempt's record, however it ends, if that is wanted.

    Of several ranks only the first is here: it stands for its whole node, a single one for itself.
    """
    country = country_of(attempt.run)
    if not country:
        yield
        return
    check(country)
    meter = _Meter(attempt, country, "process" if place.size == 1 else "machine")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full disk has a cause of its own
            meter.stop()


class _Meter:
    """codecarbon at work. A note aside tells the sum so far, in case the process is killed."""

    def __init__(self, attempt: Attempt, country: str, scope: str) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it reports on all it finds
        self.attempt, self.facts = attempt, {"country": country, "scope": scope}
        self.note = _note_file(attempt.run, attempt.stage, attempt.number)
        self.total: dict[str, Any] | None = None
        # Named here is all by which a user's own settings could have it write or send.
        self.tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            tracking_mode=scope,
            measure_power_secs=_EVERY_S,
            api_call_interval=_NOTED_EVERY,
            output_methods=[],
            output_handlers=[self],
            emissions_endpoint=None,
            electricitymaps_api_token="",
            allow_multiple_runs=True,
            log_level="critical",
        )
        self.tracker.start()

    def live_out(self, total: Any, delta: Any) -> None:
        """The sum so far; called by codecarbon, from a thread of its own."""
        with contextlib.suppress(OSError):
            files.write_json(self.note, self._values(total), sync=False)

    def out(self, total: Any, delta: Any) -> None:
        """The sum at the end; called by codecarbon."""
        self.total = self._values(total)

    def exit(self) -> None:
        """For codecarbon, which says so at the end."""

    def _values(self, total: Any) -> dict[str, Any]:
        return {
            "kwh": total.energy_consumed,
            "co2_kg": total.emissions,
            "seconds": round(total.duration, 1),
            "codecarbon": total.codecarbon_version,
            **self.facts,
        }

    def stop(self) -> None:
        self.tracker.stop()
        if self.total is not None:
            self.attempt.update(energy=self.total)
        self.note.unlink(missing_ok=True)


def _note_file(run: Run, stage: str, number: int) -> Path:
    # Not *.json: this is no attempt.
    return run.attempts / f"{stage}-{number:04d}.energy"


def spent(run: Run, stage: str) -> Spent:
    """The sum over the attempts of a stage; of one that was killed, what it had noted."""
    numbers = records.numbers(run, stage)
    found = [e for number in numbers if (e := _of_attempt(run, stage, number))]
    kwh, co2_kg = (math.fsum(e[key] for e in found) for key in ("kwh", "co2_kg"))
    return Spent(kwh, co2_kg, len(found), len(numbers))


def _of_attempt(run: Run, stage: str, number: int) -> dict[str, Any] | None:
    record = records.read(run.attempt_file(stage, number))
    if "energy" in record:
        return dict(record["energy"])
    try:
        return dict(files.read_json(_note_file(run, stage, number)))
    except (OSError, ValueError):
        return None
