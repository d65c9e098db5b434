"""Runs whose training counts as finished, with networks as they begin."""

import io
from pathlib import Path

import torch

from gan import data, variants
from gan.config import RunConfig
from jobs import records
from jobs.run import Run


def finish(run: Run, networks: RunConfig | None = None) -> Run:
    """As if trained: a checkpoint of the last step, and its record. `networks`: those of another
    config are in it."""
    config, steps = networks or run.config(), run.settings()["total_steps"]
    variant = variants.build(config, data.inspect(config.data), torch.device("cpu"))
    stream = io.BytesIO()
    torch.save({"variant": variant.state()}, stream)
    run.store().commit(steps, stream.getbuffer())
    records.complete(run, "train", [run.store().path(steps) / "state.pt"], {"steps": steps})
    return run


def made(path: Path, config: RunConfig) -> Run:
    """A run of these networks that has not begun."""
    run = Run(path)
    run.write("tiny", config, data.inspect(config.data), threads=1)
    return run
