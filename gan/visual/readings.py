"""A reading of a GAN's training curves: named warnings, each with what was seen and what to try.

What is said concerns the last third of training, since much of it is passed through by trainings
that end well. The thresholds are held against the curves of three dozen trainings, good and failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan.scalars import Curves
from gan.visual.collapse import ANY, Diversity
from gan.visual.stretches import FEWEST, Series, Stretches

_NORMS = "train/gradient_norm_"
DIVERGED = "divergence"
TOO_STRONG = "critic too strong"
TOO_BLIND = "generator winning against a blind critic"
OSCILLATION = "oscillation"
VANISHING = "vanishing gradient"
COLLAPSE = "collapse"

# A critic of S1 that tells 96 % right, and one of cats with 97 %, still teach their generators.
STRONG = 0.98
GROWTH = (
    1.05  # factor from the middle third to the last one; ends that are level come to 0.9 to 1.04
)
BLIND = 0.53  # share told right that is next to guessing
MISLED = 0.45  # below this it is wrong more often than right: the generator has run past it
STILL_LOSS = 0.02  # standard deviation of the generator's loss, as a share of its size
STILL_PIXELS = 1.0  # mean change of a pixel of 255 from epoch to epoch; trainings that go on have 4

# Swings: the curve resembles itself a period later and its opposite half a period later, three
# times or more. Noise and random walks of 24 points do so in less than one case of a hundred.
ALIKE = 0.5
SWING_POINTS = 24
SWING_TOLD = 0.05  # standard deviation of the share told apart
SWING_GAP = 0.5  # ... or of the score gap, as a share of its mean

# Adam divides a gradient by its own size plus 1e-8: a gradient whose every part is below that no
# longer moves the weights as it should. For the networks here that is a length of about 1e-5.
VANISHED = 1e-5
VANISHED_SHARE = 0.01  # of the largest third: a generator's gradient otherwise stays or grows
VANISHED_LOSS = 1e-3  # of a saturating loss, which is flat where the critic sees through everything
LEARNED = 0.9  # accuracy from which on a classifier may have nothing left to learn


@dataclass(frozen=True)
class Caution:
    """One warning."""

    name: str
    seen: str  # a sentence with figures and steps
    advice: str  # a sentence


@dataclass(frozen=True)
class Reading:
    cautions: tuple[Caution, ...]
    told: str = ""  # why less was read than could be
    sought: tuple[str, ...] = ()  # names of the cautions that these curves could have given


def read(
    curves: Curves,
    steps_per_epoch: int,
    diversity: Diversity | None = None,
    movement: Series | None = None,
) -> Reading:
    """Read the curves of a run, finished or not.

    `diversity` and `movement` are those of its snapshots (`gan.visual.diversity`), if it has any.
    """
    found = [collapse(diversity)] if diversity else []
    sought = [COLLAPSE] if diversity else []
    if diverged := _diverged(curves):
        return Reading(tuple(c for c in (diverged, *found) if c), "", (DIVERGED, *sought))
    stretches = Stretches.of(curves, steps_per_epoch)
    if stretches is None:
        told = f"fewer than {FEWEST} entries in the curves: too few to be read"
        return Reading(tuple(c for c in found if c), told, tuple(sought))
    names = [DIVERGED]
    if stretches.has("told_apart", "real_source", "fake_source", "generator_loss"):
        found += [_strong(stretches), _blind(stretches, movement), _swings(stretches)]
        names += [TOO_STRONG, TOO_BLIND, OSCILLATION, VANISHING]
    elif stretches.has("accuracy") and any(tag.startswith(_NORMS) for tag in curves):
        names.append(VANISHING)
    found.append(_vanished(stretches, curves))
    return Reading(tuple(c for c in found if c), "", (*names, *sought))


def _diverged(curves: Curves) -> Caution | None:
    """Gradients may be infinite once in a while; what is learned from may not."""
    for tag, (steps, values) in curves.items():
        lost = ~np.isfinite(values)
        if tag.startswith("train/") and not tag.startswith(_NORMS) and lost.any():
            name = tag.removeprefix("train/").replace("_", " ")
            return Caution(
                DIVERGED,
                f"The curve of {name} has no finite number at {lost.sum()} of its {len(steps)} "
                f"entries, for the first time at step {steps[lost.argmax()]}.",
                "Use a smaller --optim.learning-rate, and a checkpoint from before.",
            )
    return None


def _strong(s: Stretches) -> Caution | None:
    told = float(s.last(s["told_apart"]).mean())
    _, gap, gap_now = s.thirds(s.gap)
    _, loss, loss_now = s.thirds(s["generator_loss"])
    grows = gap_now > GROWTH * gap > 0 and loss_now - loss > (GROWTH - 1) * abs(loss)
    if told < STRONG or not grows:
        return None
    return Caution(
        TOO_STRONG,
        f"The critic tells {told:.1%} of real and generated images right {s.when}, while its score "
        f"gap grew from {gap:.3g} in the third before to {gap_now:.3g} and the generator's loss "
        f"from {loss:.3g} to {loss_now:.3g}.",
        "Slow the critic down (--model.dropout 0.3, a smaller --optim.learning-rate), or use a "
        "loss whose gradient does not fade: --game.loss wasserstein --game.regulariser "
        "gradient-penalty.",
    )


def _blind(s: Stretches, movement: Series | None) -> Caution | None:
    told, losses = float(s.last(s["told_apart"]).mean()), s.last(s["generator_loss"])
    if told > BLIND:
        return None
    still = losses.std() <= STILL_LOSS * max(abs(losses.mean()), STILL_LOSS)
    what = "no better than guessing, and "
    what += f"the generator's loss stays at {losses.mean():.3g}"
    if movement is not None and len(movement) > 0:
        change = float(movement[-max(1, len(movement) // 3) :].mean())
        still = still and change <= STILL_PIXELS
        what += f" and the pictures change by {change:.2g} of 255 from one epoch to the next"
    if told < MISLED:
        what = "worse than guessing: it takes generated images for the real ones"
    elif not still:
        return None
    return Caution(
        TOO_BLIND,
        f"The critic tells {told:.1%} of real and generated images right {s.when}, {what}.",
        "Let the critic learn faster than the generator (--game.generator-every 5), give it more "
        "width, or take away what holds it back (dropout, a small --game.clip).",
    )


def _swings(s: Stretches) -> Caution | None:
    for name, series in (("share told apart", s["told_apart"]), ("score gap", s.gap)):
        late = series[len(series) // 3 :]
        swing = _without_trend(late)
        least = SWING_TOLD if name == "share told apart" else SWING_GAP * abs(late.mean())
        period = _period(swing) if len(late) >= SWING_POINTS and swing.std() > least else None
        if period:
            steps, start = s.edges[1] - s.edges[0], s.edges[len(series) // 3]
            return Caution(
                OSCILLATION,
                f"The {name} swings between {late.min():.3g} and {late.max():.3g} from step "
                f"{start:.0f} to {s.edges[-1]:.0f}, with a period of about {period * steps:.0f} "
                "steps: the players chase each other.",
                "Try a smaller --optim.learning-rate or --optim.beta1 0, an average of the "
                "generator (--game.ema-decay 0.99), or --game.regulariser gradient-penalty.",
            )
    return None


def _without_trend(series: Series) -> Series:
    places = np.arange(len(series))
    rest: Series = series - np.polyval(np.polyfit(places, series, 1), places)
    return rest


def _period(swing: Series) -> int | None:
    """The period, in points, of a series that swings at least three times; None if it does not."""
    count = len(swing)
    lags = range(count // 3 + 1)
    alike = np.array([(swing[: count - k] * swing[k:]).mean() for k in lags]) / swing.var()
    half = int(alike[: count // 6 + 1].argmin())
    whole = half + int(alike[half:].argmax())
    return whole if alike[half] < -ALIKE and alike[whole] > ALIKE else None


def _vanished(s: Stretches, curves: Curves) -> Caution | None:
    for tag, (steps, lengths) in curves.items():
        player = tag.removeprefix(_NORMS)
        finite = np.isfinite(lengths)
        if player == tag or finite.sum() < FEWEST or not _should_learn(player, s):
            continue
        medians = [float(np.median(part)) for part in np.array_split(lengths[finite], 3)]
        if medians[2] < max(VANISHED, VANISHED_SHARE * max(medians)):
            late = np.array_split(steps[finite], 3)[2]
            return _caution_vanished(
                f"The gradient of the {player} has a median length of {medians[2]:.2g} from step "
                f"{late[0]} to {late[-1]}; in the third where it was longest, {max(medians):.2g}."
            )
    if s.has("told_apart", "generator_loss"):
        losses = np.abs(s.last(s["generator_loss"]))
        told = float(s.last(s["told_apart"]).mean())
        if told >= STRONG and losses.max() < VANISHED_LOSS:
            return _caution_vanished(
                f"The generator's loss stays within {losses.max():.2g} of 0 {s.when}, where it is "
                f"flat, while the critic tells {told:.1%} of real and generated images right."
            )
    return None


def _should_learn(player: str, s: Stretches) -> bool:
    """Not a critic, which has little to learn where it wins; nor a classifier that has learned."""
    if s.has("told_apart"):
        return player == "generator"
    return s.has("accuracy") and float(s.last(s["accuracy"]).mean()) < LEARNED


def _caution_vanished(seen: str) -> Caution:
    return Caution(
        VANISHING,
        seen,
        "Use a loss with a slope everywhere (--game.loss non-saturating, or wasserstein with "
        "--game.regulariser gradient-penalty); for a classifier, another --optim.learning-rate.",
    )


def collapse(d: Diversity) -> Caution | None:
    """What `read` says of the diversity of a run's snapshots."""
    found = d.collapsed()
    if not found:
        return None
    worst = min(found, key=lambda c: c.value / c.real)
    which = "all images" if worst.label == ANY else f"images of class {worst.label}"
    others = _others([c.label for c in found if c is not worst])
    return Caution(
        COLLAPSE,
        f"At step {worst.step} {which} differ from each other by {worst.value:.3g} ({d.unit}), "
        f"{worst.value / worst.real:.0%} of the {worst.real:.3g} of real ones; the best was "
        f"{worst.best:.3g} at step {worst.best_step}, and it has been so since step "
        f"{worst.since}{others}.",
        "Let the critic compare images (--model.minibatch-kernels 16), try --game.loss wasserstein "
        "with --game.regulariser gradient-penalty, or use a checkpoint from before.",
    )


def _others(labels: Sequence[int]) -> str:
    names = ", ".join(map(str, labels))
    return f" (classes {names} too)" if len(labels) > 1 else f" (class {names} too)" * len(labels)
