"""What follow-up jobs are asked to draw, refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from jobs import pipeline, views
from jobs.run import RunError
from jobs.views import Views

Ganymede = Callable[..., CompletedProcess[str]]


def test_a_layer_that_one_network_has_is_enough() -> None:
    known = {"classifier": ["conv1", "conv2"], "gan": ["body.0"]}
    Views(("conv2", "body.0")).require_layers(known)
    with pytest.raises(RunError) as error:
        Views(("conv1", "conv9", "fc")).require_layers(known)
    assert str(error.value) == (
        "no layer 'conv9', 'fc'; allowed: of classifier conv1, conv2; of gan body.0"
    )


def test_networks_of_the_same_layers_are_listed_once() -> None:
    with pytest.raises(RunError, match=r"allowed: of classifier and gan conv1, conv2$"):
        Views(("x",)).require_layers({key: ["conv1", "conv2"] for key in ("classifier", "gan")})
    with pytest.raises(RunError, match=r"no layer 'x'; allowed: body\.0, body\.3$"):
        Views(("x",)).require_layers({"": ["body.0", "body.3"]})
    for known in ({"gan": []}, {}):
        with pytest.raises(RunError, match=r"since there are no convolutions here$"):
            Views(("x",)).require_layers(known)


def test_networks_of_configs_are_known_before_they_are_trained() -> None:
    from gan import data

    members = pipeline.dcgan_digits_judged().members()
    infos = {name: data.inspect(config.data) for name, config in members.items()}
    views.check(Views(("body.0",)), members, infos)
    with pytest.raises(RunError, match=r"no layer 'conv5'; allowed: of classifier and gan body\.0"):
        views.check(Views(("conv5",)), members, infos)


def test_an_unknown_layer_is_refused_before_anything_is_queued(
    ganymede: Ganymede, tmp_path: Path
) -> None:
    done = ganymede("run", "demo", "--here", "--layers", "conv4", "conv2")
    assert done.returncode == 2
    assert done.stderr == (
        "ganymede: no layer 'conv2'; allowed: of classifier and gan conv1, conv3, conv4, conv5, "
        "conv6, conv7, conv8\n"
    )
    assert list(tmp_path.iterdir()) == []
