"""`auto` is settled by the device, once; and each way to compute resumes to the last bit."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trainers import StopAt, assert_same_end, quiet

from gan import arithmetic, recipes, variants
from gan.config import ClassifierConfig, ConfigError, RunConfig, TrainConfig, identity
from gan.data import DataInfo
from gan.trainer import Trainer

CPU = torch.device("cpu")


def test_auto_is_what_suits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda device, fast=fast: fast)
        settled = arithmetic.settled(TrainConfig(precision="auto", compile="auto"), CPU)
        assert (settled.precision, settled.compile) == (precision, "off")
        for given in (TrainConfig(), TrainConfig(precision="bfloat16", compile="on")):
            assert arithmetic.settled(given, CPU) == given


def test_processors_without_matrix_instructions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for names, expected in (((), False), (("avx512_bf16",), True), (("amx_tile",), True)):
        for name in ("avx512_bf16", "amx_tile"):
            has = name in names
            monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda has=has: has)
        assert arithmetic.fast_bfloat16(CPU) is expected


def test_runs_from_before_there_was_a_choice_are_the_same_runs() -> None:
    """`compile` off is no part of a run's identity; on, it is, and so is auto."""
    config = recipes.acgan_digits()
    known = {
        compile: identity(replace(config, train=replace(config.train, compile=compile)))
        for compile in ("off", "on", "auto")
    }
    assert known["off"] == identity(config)
    assert len(set(known.values())) == 3


def test_networks_that_grow_are_not_compiled() -> None:
    config = recipes.progressive_digits()
    with pytest.raises(ConfigError, match=r"train\.compile is 'on' with networks that grow"):
        replace(config, train=replace(config.train, compile="on"))
    assert replace(config, train=replace(config.train, compile="auto")).train.compile == "auto"


def test_nothing_is_wrapped_unless_asked(tiny_classifier: ClassifierConfig) -> None:
    info = DataInfo("digits", 100, 10, 1, tuple("0123456789"), "")
    variant = variants.build(tiny_classifier, info, CPU)
    assert variant.called["discriminator"] is variant.critic


@pytest.mark.slow
def test_without_a_compiler_the_reason_is_told(tmp_path: Path) -> None:
    script = "import torch; from gan import arithmetic as a; print(a.cannot_compile(CPU))"
    script = script.replace("CPU", "torch.device('cpu')")
    environment = os.environ | {
        "CXX": str(tmp_path / "no-compiler"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert told != "None"
    assert "no-compiler" in told or "compiler" in told.lower()


def small(name: str, precision: str) -> RunConfig:
    """Few weights: what takes the time is the compiling."""
    config = recipes.RECIPES[name]()
    changes = {"critic_hidden": 8, "generator_hidden": 8, "width": 4}
    model = config.model
    model = replace(model, **{k: v for k, v in changes.items() if hasattr(model, k)})
    train = replace(
        config.train, precision=precision, compile="on", epochs=2, passes_per_epoch=1, grid_rows=1
    )
    data = replace(config.data, jitter=0.2)  # compiled, too
    return replace(config, model=model, train=train, data=data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"), [("gan-digits", "float32"), ("dc-classifier-digits", "bfloat16")]
)
@pytest.mark.filterwarnings("default")  # torch's compiler warns of its own parts
def test_compiled_and_stopped_ends_in_the_same_bits(
    name: str, precision: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """Compiled anew after every stop, as in another process."""
    if reason := arithmetic.cannot_compile(CPU):
        pytest.skip(f"needs a compiler: {reason}")
    config = small(name, precision)
    straight = make_trainer(tmp_path / "a", config, quiet())
    assert straight.train() is None
    for count in (7, 20, 1000):
        torch._dynamo.reset()
        broken = make_trainer(tmp_path / "b", config, quiet(StopAt(count)))
        broken.train()
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))
