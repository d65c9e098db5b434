"""The job that trains one network or one pair."""

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import steps_in
from gan import stored
from jobs import chosen, pretrained, records
from jobs.run import Run, RunError
from jobs.stage import Context, Result, StageJob, Stopped, save_progress
from jobs.version import version

if TYPE_CHECKING:
    from gan.trainer import Progress, Trainer

GPUS_BOOKED = "GANYMEDE_GPUS_BOOKED"  # environment: how many GPUs on each node the job asked for
BEGIN = "GANYMEDE_BEGIN"  # environment: when the batch script began, in UTC seconds
_LINE_EVERY_S = 60.0


@dataclass(frozen=True)
class Train(StageJob):
    stage = "train"

    def saved_step(self, run: Run) -> int:
        return max(steps_in(run.checkpoints), default=0)

    def work(self, context: Context) -> Result:
        from gan import data, numerics, trainer, variants  # torch: not for a submission
        from gan.distributed import World
        from gan.samples import SampleStore

        run, place = context.run, context.place
        config = pretrained.placed(run.config(), run)
        if not self.saved_step(run):
            pretrained.require_source(config)
        device = numerics.configure(run.settings()["threads"], place.local_rank)
        refuse_unusable_gpus()
        world, choice = World(), dict[str, str]()
        if place.rank == 0:
            choice = chosen.choose(context, config, device)
            present = {"ganymede": version(), **numerics.fingerprint(device), "ranks": place.size}
            present |= choice
            _compare_numerics(context, present)
        images = data.load(config.data)
        data.check(config, images.info)
        run.check_data(images.info)
        outputs = trainer.Outputs(
            checkpoints=run.store(keep=config.train.keep_checkpoints, guard=context.attempt.guard),
            samples=SampleStore(run.path, stored.provenance(run.settings()), context.attempt.guard),
            scalars=run.scalars,
            figures=run.figures,
        )
        hooks = trainer.Hooks(context.stop.reason, report=ProgressTeller(context), say=context.say)
        if context.meeting:
            world = context.meeting.connect(device)
        config = chosen.with_choice(config, world.broadcast(choice))
        variant = variants.build(config, images.info, device)
        variant.world = world
        loop = self.make_loop(config, images, variant, outputs, hooks)
        reason = loop.train()
        if place.rank == 0:
            hooks.report(loop.progress("finished"))
            _tell_hand_over(context, loop)
        if reason:
            raise Stopped(reason)
        if place.rank > 0:
            return Result()
        final = outputs.checkpoints.path(loop.step)
        return Result(
            [final / "state.pt", final / "manifest.json"],
            {"steps": loop.step, **variant.facts(), **loop.went_back()},
        )

    def make_loop(self, *parts: Any) -> "Trainer":
        """The loop that trains, of its `parts`; for those who want another one."""
        from gan import trainer

        return trainer.Trainer(*parts)


def _tell_hand_over(context: Context, loop: "Trainer") -> None:
    """What starting and stopping cost, in the log and in the attempt's record."""
    if loop.first_step_at is None or loop.last_step_at is None:
        return
    job_began = float(os.environ.get(BEGIN) or context.attempt.started)
    start_s, save_s = loop.first_step_at - job_began, time.time() - loop.last_step_at
    context.attempt.update(first_step_after_s=round(start_s, 2), saved_after_s=round(save_s, 2))
    context.say(
        f"first step {start_s:.1f} s after the job began; saved {save_s:.2f} s after the last step"
    )


def refuse_unusable_gpus() -> None:
    """Raise RunError if GPUs were asked for and cannot be used: never a silent fall back."""
    from gan import numerics

    wanted = int(os.environ.get(GPUS_BOOKED) or 0)
    problem = numerics.unusable_gpus() if wanted else None
    if problem:
        raise RunError(f"{wanted} GPUs a node were asked for and cannot be used: {problem}")


class ProgressTeller:
    """Keeps the progress file up to date, and puts a line into the log once a minute."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._told = time.monotonic()

    def __call__(self, progress: "Progress") -> None:
        self.context.attempt.guard()  # one that was suspended meanwhile ends here
        values = asdict(progress)
        save_progress(self.context.run, Train.stage, values)
        if time.monotonic() - self._told > _LINE_EVERY_S:
            self._told = time.monotonic()
            rate = f"{progress.steps_per_second:.1f} steps/s"
            step = f"step {progress.step}/{progress.total_steps}"
            self.context.say(f"{progress.phase}  {step}  {rate}  {time_left(values)}")


def time_left(progress: dict[str, Any]) -> str:
    """Minutes and seconds to the last step at the present rate, as m:ss; '' while unknown."""
    rate = progress["steps_per_second"]
    if not rate:
        return ""
    seconds = round((progress["total_steps"] - progress["step"]) / rate)
    return f"{seconds // 60}:{seconds % 60:02d} left"


def _compare_numerics(context: Context, present: dict[str, Any]) -> None:
    """Record this attempt's code and numerics; warn if the attempt before had others."""
    attempt, run = context.attempt, context.run
    facts: dict[str, Any] = {"numerics": present}
    if attempt.number > 1:
        before = records.read(run.attempt_file(attempt.stage, attempt.number - 1))
        earlier = before.get("numerics", present)
        changed = [
            f"{k}: {earlier.get(k)} -> {v}" for k, v in present.items() if earlier.get(k) != v
        ]
        if changed:
            facts["warning"] = f"not as in attempt {attempt.number - 1}: {', '.join(changed)}"
            context.say(f"{facts['warning']}; the result may differ in its last bits")
    attempt.update(**facts)
