"""The job that trains one network or one pair."""

from dataclasses import asdict, dataclass
from typing import Any

from jobs.run import Run
from jobs.stage import Context, Result, StageJob, Stopped, save_progress


@dataclass(frozen=True)
class Train(StageJob):
    stage = "train"

    def work(self, context: Context) -> Result:
        from gan import data, numerics, trainer, variants  # torch: not for a submission
        from gan.samples import SampleStore

        run, config = context.run, context.run.config()
        device = numerics.configure(run.settings()["threads"])
        _compare_numerics(context, numerics.fingerprint(device))
        images = data.load(config.data)
        data.check(config, images.info)
        outputs = trainer.Outputs(
            checkpoints=run.store(keep=config.train.keep_checkpoints, guard=context.attempt.guard),
            samples=SampleStore(run.path, provenance(run)),
            scalars=run.scalars,
            figures=run.figures,
        )
        hooks = trainer.Hooks(
            stop=context.stop.reason,
            report=lambda progress: save_progress(run, self.stage, asdict(progress)),
            say=context.say,
        )
        loop = trainer.Trainer(
            config, images, variants.build(config, images.info, device), outputs, hooks
        )
        reason = loop.train()
        hooks.report(loop.progress("finished"))
        if reason:
            raise Stopped(reason)
        final = outputs.checkpoints.path(loop.step)
        return Result([final / "state.pt", final / "manifest.json"], {"steps": loop.step})


def provenance(run: Run) -> dict[str, str | int]:
    """Where images come from, for a file's attributes: nothing of time, host or job."""
    settings = run.settings()
    return {
        "recipe": settings["recipe"],
        "seed": settings["config"]["seed"],
        "identity": settings["identity"],
        "content": "generated images, not photographs",
    }


def _compare_numerics(context: Context, present: dict[str, Any]) -> None:
    """Record this attempt's numerics; warn if earlier steps were taken under others."""
    attempt, run = context.attempt, context.run
    facts: dict[str, Any] = {"numerics": present}
    if attempt.number > 1:
        from checkpoints import files

        before = files.read_json(run.attempt_file(attempt.stage, attempt.number - 1))
        earlier = before.get("numerics", present)
        changed = [
            f"{k}: {earlier.get(k)} -> {v}" for k, v in present.items() if earlier.get(k) != v
        ]
        if changed:
            facts["warning"] = f"other numerics than attempt {attempt.number - 1}: {changed}"
            context.say(f"{facts['warning']}; the result will not be equal to the last bit")
    attempt.update(**facts)
