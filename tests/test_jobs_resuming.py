"""Recipes tried out with real processes: one that resumes to the last bit, and two that do not."""

from pathlib import Path

import pytest

from gan import recipes
from gan.config import DataConfig, MLPGANConfig, MLPGANModel, TrainConfig
from jobs import records, resuming
from jobs.cli import main
from jobs.resuming import Trial
from jobs.run import Run


def config() -> MLPGANConfig:
    whole = resuming.shorter(recipes.RECIPES["gan-digits"]())
    return resuming.fewer_images(
        MLPGANConfig(
            data=DataConfig("digits", image_size=8),
            train=TrainConfig(**{**vars(whole.train), "grid_rows": 1}),
            model=MLPGANModel(latent=8, critic_hidden=8, generator_hidden=8),
        )
    )


def tried(folder: Path, *entry: str) -> tuple[int, list[str]]:
    """Exit status, and what was said."""
    said: list[str] = []
    words = {"entry": entry} if entry else {}
    trial = Trial("gan-digits", config(), folder, 1, said.append, **words)
    return trial(), said


def test_a_recipe_that_resumes_to_the_last_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--data.image-size", "8", "--model.latent", "8", "--model.critic-hidden", "8",
             "--model.generator-hidden", "8", "--threads=1", "--keep", str(tmp_path))  # fmt: skip
    assert main(["verify-resume", "gan-digits", *flags]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == [
        "gan-digits: 12 steps in 2 epochs, twice",
        "undisturbed: trained to its end",
        "interrupted: SIGTERM after step 3; goes on from step 3",
        "interrupted: SIGKILL after step 9; goes on from step 6",
        "interrupted: trained to its end",
    ]
    assert said[-1] == "verdict: deterministic; the interrupted run ends in the same bits"
    run = Run(tmp_path / "interrupted")
    attempts = [records.read(run.attempt_file("train", n)) for n in (1, 2, 3)]
    assert [a.get("cause") for a in attempts] == ["terminated", "killed", "finished"]
    assert [a["from_step"] for a in attempts] == [0, 3, 6]


@pytest.mark.slow
def test_an_operation_that_is_not_deterministic_is_named(tmp_path: Path) -> None:
    script = tmp_path / "shaky.py"
    script.write_text(
        "import os, sys, torch\n"
        "from jobs import rerun\n"
        "class Shaky(torch.nn.Linear):\n"
        "    def forward(self, images):\n"
        "        chance = torch.Generator().manual_seed(int.from_bytes(os.urandom(7), 'big'))\n"
        "        made = super().forward(images)\n"
        "        return made + 1e-6 * torch.rand(made.shape, generator=chance)\n"
        "from gan.variants import base\n"
        "place = base.Variant.place\n"
        "def shaken(self, config, device):\n"
        "    for module in self.networks['discriminator'].modules():\n"
        "        if isinstance(module, torch.nn.Linear):\n"
        "            module.__class__ = Shaky\n"
        "            break\n"
        "    place(self, config, device)\n"
        "base.Variant.place = shaken\n"
        "sys.exit(rerun.main())\n"
    )
    status, said = tried(tmp_path / "trial", str(script))
    assert status == 1
    (verdict,) = [line for line in said if line.startswith("verdict: not deterministic; ")]
    assert "/variant/networks/" in verdict
    (blamed,) = [line for line in said if line.startswith("to blame: ")]
    assert blamed.startswith("to blame: aten.rand.generator in discriminator.")
    assert blamed.endswith(", step 1: given the same, it makes something else")


@pytest.mark.slow
def test_what_a_checkpoint_does_not_hold_is_told_from_operations(tmp_path: Path) -> None:
    script = tmp_path / "forgetful.py"
    script.write_text(
        "import sys\n"
        "from jobs import rerun\n"
        "from gan.variants import base\n"
        "descend = base.Variant.descend\n"
        "def counted(self, player, loss, terms):\n"
        "    self.calls = getattr(self, 'calls', 0) + 1\n"
        "    return descend(self, player, loss * (1 + self.calls / 100), terms)\n"
        "base.Variant.descend = counted\n"
        "sys.exit(rerun.main())\n"
    )
    status, said = tried(tmp_path / "trial", str(script))
    assert status == 1
    assert said[-1].startswith("to blame: no operation of the first 4 steps: something that a step")


def test_what_cannot_be_tried_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments, told in (
        ((), "verify-resume needs a recipe first"),
        (("demo",), "verify-resume is for recipes; demo is a pipeline"),
        (("gan-digits", "--keep", str(tmp_path / "full")), "allowed: an empty folder"),
        (("gan-digits", "--threads", "-1"), "threads is -1; allowed: 0 or more"),
    ):
        assert main(["verify-resume", *arguments]) == 2
        assert told in capsys.readouterr().err
