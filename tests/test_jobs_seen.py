"""Networks and what they see, in words."""

import pytest

from gan.config import VARIANTS
from jobs.reporting import seen


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("acgan", "the discriminator trained with the generator"),
        ("classifier", "the discriminator trained without the generator"),
        ("dc_classifier", "the classifier"),
        ("encoder_classifier", "the classifier"),
        ("simclr", "the encoder"),
    ],
)
def test_networks_have_names(variant: str, words: str) -> None:
    assert seen.who(VARIANTS[variant]()) == words


def test_what_it_cannot_do_is_told_with_what_it_can() -> None:
    shares = {"accuracy_before": 0.9, "accuracy_after": 0.2, "hit_rate": 0.5}
    facts = {"epsilon": 8.0, "images": 7, "control_accuracy": 0.875, **shares}
    told = seen.told(facts | {"layers": [], "convolutions": []})
    assert "from 90.0 % to 20.0 % when every pixel moves by 8/255" in told
    assert told.endswith("and no receptive fields.")
    assert "names no classes" not in told
    assert seen.told(facts | {"layers": ["conv1"]}).endswith("leave 87.5 %.")
