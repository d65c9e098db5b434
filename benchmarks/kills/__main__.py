"""Kills without end: whatever a run is doing, it is killed, resumed, and ends in the same bits.

    python -m benchmarks.kills [--kills 300] [--processes 2] [--seed 0] [--only KIND] [--json]

Tiny runs through the command line, of one rank, of two ranks and of a whole pipeline, whose
processes get SIGKILL again and again: all at once, or only the launcher, one rank, or one process.
The moments are random, within phases that are chosen at random: start-up, training, saving,
sampling, hand-over (after SIGTERM), and each stage that follows training. After each kill the
newest checkpoint must not be an earlier one than before, and what was finished must be so still. At
its end a run must equal one that nothing disturbed: every tensor, image, point of a curve, picture
and figure.

Prints a line for each kill, and a table; with `--json` the lines go to the error output, and the
figures come as JSON. Exit status 1 if anything differs, was lost, or did not go on; the folder of
that run stays.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.kills import tree
from benchmarks.kills.campaign import ALL, Lane, Reference, Toll
from benchmarks.kills.moments import PHASES
from benchmarks.kills.scenarios import KINDS, LONG, Scenario

_MOST_IN_A_LANE = 40


@dataclass(frozen=True)
class Options:
    """How many kills, how many runs side by side, and where chance begins."""

    kills: int
    processes: int
    seed: int


def campaign(folder: Path, options: Options, kinds: Sequence[Scenario], toll: Toll) -> None:
    """Kill runs of these kinds in an empty folder; only those that failed are left there, beside
    the ones that nothing disturbed.
    """
    with ThreadPoolExecutor(options.processes) as pool:
        try:
            # Each is there, or on its way, before the first lane that waits for it.
            made = {kind.title: pool.submit(Reference.make, kind, folder) for kind in kinds}
            lanes = [
                Lane(kind, number, part, chance, folder, made[kind.title], toll)
                for kind in kinds
                for number, part, chance in _parts(kind, options)
            ]
            lanes.sort(key=lambda lane: lane.number)  # some of each kind first
            list(pool.map(Lane.go, lanes))
        except KeyboardInterrupt:
            toll.failures.append("interrupted")
            raise
        finally:
            tree.kill_all(f"{folder.name}-")


def _parts(kind: Scenario, options: Options) -> Iterator[tuple[int, int, random.Random]]:
    """The kills of one kind: number, how many, and the chance of each of its lanes."""
    left, number = round(kind.weight * options.kills), 0
    while left > 0:
        number += 1
        part = min(left, _MOST_IN_A_LANE)
        left -= part
        yield number, part, random.Random(f"{options.seed} {kind.title} {number}")


def table(toll: Toll, kinds: Sequence[Scenario]) -> list[str]:
    """How many kills fell into which phase of which scenario."""
    titles = [kind.title for kind in kinds]
    rows = [["phase", *titles, "all"]]
    for phase in PHASES:
        counts = [toll.phases[title, phase] for title in titles]
        rows.append([phase, *map(str, counts), str(sum(counts))])
    sums = [sum(n for (t, _), n in toll.phases.items() if t == title) for title in titles]
    rows.append(["all", *map(str, sums), str(toll.kills)])
    return ["  ".join([row[0].ljust(16), *(cell.rjust(9) for cell in row[1:])]) for row in rows]


def summary(toll: Toll) -> str:
    """What it all came to, in a few lines."""
    alone = {name: n for name, n in toll.victims.items() if name != ALL}
    counts = ", ".join(f"{n} of {name} alone" for name, n in sorted(alone.items()))
    return (
        f"{toll.kills} kills ({toll.victims[ALL]} of all processes{counts and ', '}{counts}), "
        f"{toll.stops} stops by SIGTERM\n{toll.runs} runs ended after {toll.attempts} attempts, "
        f"and were compared: {len(toll.failures)} failures"
    )


def figures(toll: Toll, kinds: Sequence[Scenario]) -> dict[str, Any]:
    """The same for programs: kills by kind and phase, and by what was hit."""
    return {
        "kills": toll.kills,
        "stops": toll.stops,
        "runs": toll.runs,
        "attempts": toll.attempts,
        "phases": {
            kind.title: {phase: toll.phases[kind.title, phase] for phase in PHASES}
            for kind in kinds
        },
        "victims": dict(sorted(toll.victims.items())),
        "failures": toll.failures,
    }


def tell(toll: Toll, kinds: Sequence[Scenario], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures(toll, kinds), indent=2))
    else:
        print("\n".join([*table(toll, kinds), summary(toll), *toll.failures]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2, help="runs side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS, help="one kind of run alone")
    parser.add_argument("--json", action="store_true", help="print the figures, as JSON")
    options = parser.parse_args()
    if not tree.available():
        print("there is no /proc here that shows the environment of processes", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kinds = (replace(KINDS[options.only], weight=1),) if options.only else LONG
    folder, toll = (
        Path(tempfile.mkdtemp(prefix="kills-")),
        Toll(log=sys.stderr if options.json else sys.stdout),
    )
    given = Options(options.kills, options.processes, options.seed)
    try:
        campaign(folder, given, kinds, toll)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    tell(toll, kinds, options.json)
    if toll.failures:
        print(f"what is left of the runs: {folder}", file=toll.log)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
