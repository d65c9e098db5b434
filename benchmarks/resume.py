"""How long it takes to stop and to go on: from signal to save, from start to the first new step.

    python -m benchmarks.resume [--width 32] [--batch 8] [--repeats 7] [--threads 2] [--json]

A training in a process of its own is told to stop (SIGTERM) in the middle of its steps, and started
anew, again and again. Told are the medians of: the signal to the last step (the one under way is
finished), to the commit (the checkpoint is complete, named and synced), to the exit of the process;
and the start to the first new step, part by part. Each attempt must begin at the very step that the
one before has saved, which must be the last one that it did: else the command raises RuntimeError.
`--width 196` is the pair of the assignment; its state is 80 MB.
"""

import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import attempt, measuring
from benchmarks.attempt import PARTS, Attempt, Size
from checkpoints.store import STATE
from jobs import records
from jobs.run import Run

_STEPS = 3  # at the least before an attempt is told to stop


def stopped(run: Run, saved: int) -> dict[str, Any]:
    """One attempt, from `saved` steps until it has been told to stop: seconds, and the new step.

    Raises RuntimeError if it does not begin there, or has not saved its last step.
    """
    begun = Attempt.start(run)
    begun.wait(lambda: attempt.last_step(run) >= saved + _STEPS)
    before, signalled = attempt.last_step(run), time.time()
    begun.process.send_signal(signal.SIGTERM)
    told = begun.told()
    exited = time.time()
    now = require_seamless(run, saved, told)
    if now < before:
        raise RuntimeError(f"step {before} was done before the signal; saved is {now}")
    moments, parts = told["moments"], attempt.parts(told, begun.started)
    return {
        "step": now,
        "stop": {
            "last_step": max(0.0, moments["last"] - signalled),  # 0: it came between two steps
            "committed": moments["committed"] - signalled,
            "exited": exited - signalled,
        },
        "start": sum(parts.values()),
        "parts": parts,
    }


def require_seamless(run: Run, saved: int, told: dict[str, Any]) -> int:
    """The step that an attempt has saved. Raises RuntimeError if one was lost or done twice."""
    steps, record = told["steps"], records.latest(run, "train") or {}
    checkpoint = run.store().latest()  # verified: it is read and hashed
    now = checkpoint.step if checkpoint else 0
    begun = {"record": record.get("from_step"), "state": steps["from"], "first": steps["first"] - 1}
    if set(begun.values()) != {saved} or now != steps["last"]:
        raise RuntimeError(
            f"step {saved} was saved and the next attempt began at {begun}; its last step was "
            f"{steps['last']}, and saved is {now}"
        )
    return now


def measure(size: Size, repeats: int) -> dict[str, Any]:
    rounds, saved = [], [0]
    with tempfile.TemporaryDirectory() as name:
        run = attempt.make_ready(Path(name) / "run", size)
        for _ in range(repeats + 1):
            rounds.append(stopped(run, saved[-1]))
            saved.append(rounds[-1]["step"])
        state = run.store().path(saved[-1]) / STATE
        megabytes = state.stat().st_size / 1e6
    stops = measuring.Times({k: [r["stop"][k] for r in rounds[1:]] for k in rounds[0]["stop"]})
    resumed = [r["start"] for r in rounds[1:]]
    parts = measuring.Times({part: [r["parts"][part] for r in rounds[1:]] for part in PARTS})
    started = measuring.Times({"start": resumed})
    return {
        "width": size.width,
        "batch": size.batch,
        "threads": size.threads,
        "rounds": repeats,
        "state_mb": megabytes,
        "saved_steps": saved[1:],
        "signal_to_last_step_s": stops.median("last_step"),
        "signal_to_commit_s": stops.median("committed"),
        "signal_to_commit_most_s": max(stops.seconds["committed"]),
        "signal_to_exit_s": stops.median("exited"),
        "start_to_new_step_s": started.median("start"),
        "start_to_new_step_most_s": max(resumed),
        "parts_s": {part: parts.median(part) for part in PARTS},
    }


def text(result: dict[str, Any]) -> str:
    given = ("width", "batch", "threads", "rounds")
    rows: list[tuple[str, object]] = [
        ("state, MB", result["state_mb"]),
        ("signal to the end of the step under way, s", result["signal_to_last_step_s"]),
        ("signal to the commit, s", result["signal_to_commit_s"]),
        ("signal to the exit, s", result["signal_to_exit_s"]),
        ("start to the first new step, s", result["start_to_new_step_s"]),
    ]
    rows += [(f"of it: {PARTS[part]}, s", value) for part, value in result["parts_s"].items()]
    steps = ", ".join(map(str, result["saved_steps"]))
    return "\n\n".join(
        [
            ", ".join(f"{name} {result[name]}" for name in given),
            measuring.table(["what", "median"], rows),
            f"saved, and gone on from, at steps {steps}",
        ]
    )


def main() -> None:
    options = attempt.arguments(__doc__).parse_args()
    result = measure(Size.given(options), options.repeats)
    measuring.tell(result, options.json, lambda: text(result))


if __name__ == "__main__":
    main()
