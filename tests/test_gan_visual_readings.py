"""Named warnings: on made-up curves that have what they warn of, and on those that do not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from logged import STEPS_PER_EPOCH, log
from trainers import quiet

from gan import recipes, samples, scalars
from gan.config import AdamConfig
from gan.scalars import Curves
from gan.visual import diversity, readings
from gan.visual.collapse import ANY, Diversity
from gan.visual.readings import Caution

ALL = (
    readings.DIVERGED, readings.TOO_STRONG, readings.TOO_BLIND, readings.OSCILLATION,
    readings.VANISHING, readings.COLLAPSE,
)  # fmt: skip
STEPS = 1000
AT = np.arange(STEPS)


def noisy(level: float | np.ndarray, spread: float, seed: int) -> np.ndarray:
    return level + spread * np.random.default_rng(seed).standard_normal(STEPS)


def training(**terms: float | np.ndarray) -> Curves:
    """A GAN that fares well, but for the terms that are given, of every step."""
    healthy = {
        "told_apart": noisy(0.72, 0.05, 0),
        "real_source": noisy(0.6, 0.3, 1),
        "fake_source": noisy(-0.5, 0.3, 2),
        "generator_loss": noisy(1.1, 0.2, 3),
    }
    made = {name: values + np.zeros(STEPS) for name, values in terms.items()}
    return log(healthy | made)


def add_norms(curves: Curves, player: str, norms: float | np.ndarray) -> Curves:
    steps = curves["train/told_apart" if "train/told_apart" in curves else "train/accuracy"][0]
    return curves | {f"train/gradient_norm_{player}": (steps, (norms + np.zeros(STEPS))[steps - 1])}


def read(curves: Curves, **snapshots: object) -> tuple[Caution, ...]:
    reading = readings.read(curves, STEPS_PER_EPOCH, **snapshots)
    assert reading.told == ""
    return reading.cautions


def names(curves: Curves, **snapshots: object) -> list[str]:
    return [caution.name for caution in read(curves, **snapshots)]


GROWING = {"real_source": 1 + 4 * AT / STEPS, "fake_source": -1 - 4 * AT / STEPS}


def test_a_healthy_training_has_no_warning() -> None:
    curves = add_norms(training(), "generator", noisy(0.5, 0.1, 4))
    assert names(add_norms(curves, "discriminator", 1e-12)) == []


def test_a_critic_that_is_too_strong() -> None:
    (caution,) = read(training(told_apart=0.995, generator_loss=2 + 6 * AT / STEPS, **GROWING))
    assert caution.name == "critic too strong"
    assert caution.seen == (
        "The critic tells 99.5% of real and generated images right from step 667 to 1000, while "
        "its score gap grew from 6 in the third before to 8.66 and the generator's loss from "
        "5 to 7."
    )
    assert "--model.dropout" in caution.advice


@pytest.mark.parametrize(
    "change",
    [
        {"told_apart": 0.96},  # S1's, whose images look right
        {"real_source": 5.0, "fake_source": -5.0},  # much apart, and not growing
        {"generator_loss": 5.0},
        {"generator_loss": 8 - 6 * AT / STEPS},
    ],
)
def test_a_strong_critic_that_still_teaches_is_no_warning(change: dict[str, np.ndarray]) -> None:
    strong = {"told_apart": 0.995, "generator_loss": 2 + 6 * AT / STEPS, **GROWING}
    assert names(training(**strong)) == ["critic too strong"]
    assert names(training(**strong | change)) == []


BLIND = {"told_apart": 0.5, "real_source": 0.1, "fake_source": 0.1, "generator_loss": 0.693}


def test_a_blind_critic() -> None:
    (caution,) = read(training(**BLIND), movement=np.array([9, 3, 1, 0.2, 0.2, 0.1]))
    assert caution.name == "generator winning against a blind critic"
    assert caution.seen == (
        "The critic tells 50.0% of real and generated images right from step 667 to 1000, no "
        "better than guessing, and the generator's loss stays at 0.693 and the "
        "pictures change by 0.15 of 255 from one epoch to the next."
    )
    assert names(training(**BLIND)) == [caution.name]  # without pictures, by the loss alone
    blind_late = {"told_apart": np.where(AT < 500, 0.8, 0.5)}
    assert names(training(**BLIND | blind_late)) == [caution.name]


def test_a_draw_between_players_that_move_is_no_warning() -> None:
    assert names(training(**BLIND), movement=np.full(6, 9.0)) == []
    assert names(training(**BLIND | {"generator_loss": noisy(0.7, 0.5, 5)})) == []
    assert names(training(**BLIND | {"told_apart": 0.6})) == []
    early = {"told_apart": np.where(AT < 500, 0.5, 0.7)}
    assert names(training(**BLIND | early)) == []


def test_a_critic_that_takes_one_for_the_other_is_blind_whatever_moves() -> None:
    misled = {"told_apart": 0.3, "real_source": -1.0, "fake_source": 1.0}
    moving = {"generator_loss": noisy(-1, 0.5, 5)}
    (caution,) = read(training(**misled, **moving), movement=np.full(6, 50.0))
    assert caution.name == "generator winning against a blind critic"
    assert "30.0%" in caution.seen
    assert "worse than guessing" in caution.seen


@pytest.mark.parametrize("period", [100, 150, 200])
def test_an_oscillation_is_found_with_its_period(period: int) -> None:
    wave = np.sin(2 * np.pi * AT / period)
    (caution,) = read(training(told_apart=noisy(0.7 + 0.15 * wave, 0.05, 6)))
    assert caution.name == "oscillation"
    assert "The share told apart swings between 0.5" in caution.seen
    found = int(caution.seen.partition("a period of about ")[2].split()[0])
    assert abs(found - period) <= 25  # a point is 21 steps
    (caution,) = read(training(real_source=2 + 2 * wave, fake_source=-1 - 2 * wave))
    assert caution.seen.startswith("The score gap swings between ")


def test_noise_drift_and_small_waves_are_no_oscillation() -> None:
    wave = np.sin(2 * np.pi * AT / 150)
    assert names(training(told_apart=0.7 + 0.03 * wave)) == []
    assert names(training(told_apart=0.7 + 0.15 * np.sin(2 * np.pi * AT / 900))) == []
    calm = [
        names(training(told_apart=(0.7 + 0.02 * noisy(0, 1, seed).cumsum()).clip(0.55, 0.95)))
        for seed in range(20)
    ]
    rough = [names(training(told_apart=noisy(0.7, 0.6, seed))) for seed in range(20)]
    assert calm == rough == [[]] * 20


def test_a_vanishing_gradient_by_its_length() -> None:
    falling = 2.0 * 10 ** (-4 * AT / STEPS)
    (caution,) = read(add_norms(training(), "generator", falling))
    assert caution.name == "vanishing gradient"
    assert caution.seen == (
        "The gradient of the generator has a median length of 0.00081 from step 700 to 1000; "
        "in the third where it was longest, 0.38."
    )
    assert names(add_norms(training(), "generator", 1e-6)) == ["vanishing gradient"]
    assert names(add_norms(training(), "generator", 2 - 1.9 * AT / STEPS)) == []
    assert names(add_norms(training(), "discriminator", falling)) == []
    infinite = np.where(AT < 300, np.inf, 1.0)
    assert names(add_norms(training(), "generator", infinite)) == []


def test_a_vanishing_gradient_by_a_flat_loss() -> None:
    """Of the saturating loss, which is 0 where the critic sees through everything."""
    lost = {"told_apart": 1.0, "real_source": 9.0, "fake_source": -9.0}
    (caution,) = read(training(**lost, generator_loss=-1e-4))
    assert caution.name == "vanishing gradient"
    assert "within 0.0001 of 0 from step 667 to 1000" in caution.seen
    assert names(training(**lost, generator_loss=-0.05)) == []


def test_a_classifier_that_has_learned_may_have_small_gradients() -> None:
    for accuracy, expected in ((0.2, ["vanishing gradient"]), (0.99, [])):
        curves = log({"accuracy": np.full(STEPS, accuracy), "loss": np.full(STEPS, 1.0)})
        falling = 2.0 * 10 ** (-4 * AT / STEPS)
        assert names(add_norms(curves, "discriminator", falling)) == expected


def collapsing(labels: tuple[int, ...] = (0, 1)) -> Diversity:
    values = np.array([[20.0, 20], [40, 38], [40, 10], [40, 4]])[:, : len(labels)]
    values = values[:, ::-1] if len(labels) == 1 else values
    steps = np.array([100, 200, 300, 400])
    return Diversity(steps, labels, values, np.full(len(labels), 42.0), "pixels of 255")


def test_a_collapse_is_read_from_the_snapshots() -> None:
    (caution,) = read(training(), diversity=collapsing())
    assert caution.name == "collapse"
    assert caution.seen == (
        "At step 400 images of class 1 differ from each other by 4 (pixels of 255), 10% of the 42 "
        "of real ones; the best was 38 at step 200, and it has been so since step 300."
    )
    whole = replace(collapsing((0, 1)), labels=(ANY, 1), values=collapsing().values[:, [1, 1]])
    (caution,) = read(training(), diversity=whole)
    assert caution.seen.startswith("At step 400 all images differ")
    assert caution.seen.endswith("since step 300 (class 1 too).")
    well = replace(collapsing(), values=np.full((4, 2), 40.0))
    assert names(training(), diversity=well) == []


def test_too_few_entries_are_told_and_the_snapshots_read_all_the_same() -> None:
    curves = {tag: (steps[:5], values[:5]) for tag, (steps, values) in training().items()}
    reading = readings.read(curves, STEPS_PER_EPOCH, collapsing())
    assert [caution.name for caution in reading.cautions] == ["collapse"]
    assert reading.told == "fewer than 12 entries in the curves: too few to be read"
    assert readings.read({}, STEPS_PER_EPOCH).cautions == ()


def test_what_was_looked_for_is_told() -> None:
    sought = readings.read(training(), STEPS_PER_EPOCH).sought
    assert sought == tuple(name for name in ALL if name != readings.COLLAPSE)
    classifier = log({"loss": noisy(0.5, 0.1, 7), "accuracy": noisy(0.95, 0.01, 8)})
    assert readings.read(classifier, STEPS_PER_EPOCH).sought == ("divergence",)
    classifier = add_norms(classifier, "classifier", 1.0)
    found = readings.read(classifier, STEPS_PER_EPOCH)
    assert found == readings.Reading((), "", ("divergence", "vanishing gradient"))
    assert readings.read({}, STEPS_PER_EPOCH).sought == ()


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_divergence_is_told_and_nothing_else_read_from_it(lost: float) -> None:
    late = {name: np.where(AT < 700, 1.0, lost) for name in ("told_apart", "generator_loss")}
    (caution,) = read(training(**late))
    assert caution.name == "divergence"
    assert caution.seen == (
        "The curve of told apart has no finite number at 15 of its 50 entries, for the first time "
        "at step 720."
    )
    found = readings.read(training(**late), STEPS_PER_EPOCH, collapsing())
    assert [each.name for each in found.cautions] == ["divergence", "collapse"]
    assert names(add_norms(training(), "generator", lost)) == []


def test_every_warning_is_two_whole_sentences() -> None:
    strong = training(told_apart=0.995, generator_loss=2 + 6 * AT / STEPS, **GROWING)
    wave = np.sin(2 * np.pi * AT / 150)
    cautions = [
        *read(add_norms(strong, "generator", 1e-9), diversity=collapsing()),
        *read(training(**BLIND)),
        *read(training(told_apart=0.7 + 0.15 * wave)),
        *read(training(told_apart=np.nan)),
    ]
    assert {caution.name for caution in cautions} == {*ALL}
    for caution in cautions:
        for sentence in (caution.seen, caution.advice):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert any(letter.isdigit() for letter in caution.seen)


def test_a_quick_real_training_that_goes_well_has_no_warning(
    make_trainer: Callable[..., object], tmp_path: Path
) -> None:
    config = recipes.gan_digits()
    train = replace(config.train, epochs=6, passes_per_epoch=4, log_every=20)
    model = replace(config.model, generator_hidden=128, critic_hidden=64)
    adam = AdamConfig(learning_rate=1e-3, beta1=0.5)
    trainer = make_trainer(tmp_path, replace(config, train=train, model=model, optim=adam), quiet())
    assert trainer.train() is None
    snapshots = samples.read(tmp_path / "samples.h5")
    reading = readings.read(
        scalars.read(tmp_path / "tensorboard"),
        trainer.batches.steps_per_epoch,
        diversity.watch(snapshots, trainer.data),
        diversity.movement(snapshots),
    )
    assert reading == readings.Reading((), "", ALL)
