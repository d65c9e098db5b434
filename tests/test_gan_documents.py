"""Where the source documents are wrong: a test for each place, named after it.

S0 is the IE 534 assignment, S1 a DCGAN lab, S2 the cats, S3 the assignment's slides, S4 CS231n.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import ColorJitter

from gan import augment, evaluation, losses, variants
from gan.batches import to_bytes, to_unit
from gan.blocks import HeadOptions, S0Critic
from gan.config import DataConfig
from gan.data import DataInfo
from gan.recipes import RECIPES
from gan.rng import Draws
from gan.variants.dcgan_lab import LabCritic, LabGenerator
from gan.visual import attacks, maximisation, perturbation
from gan.visual.attacks import Attack
from gan.visual.maximisation import Channels

CPU = torch.device("cpu")
TESTS = Path(__file__).parent
# Places whose tests stand beside what they are about.
ELSEWHERE = {
    "the linked example of receptive fields has nine layers": (
        "test_gan_visual_receptive.py::test_s0_sees_what_its_table_says"
    ),
    "a receptive field of 45 with LayerNorm": (
        "test_gan_visual_receptive.py::test_layer_norm_makes_every_unit_see_everything"
    ),
    "EMNIST is stored transposed, its letters count from 1": (
        "test_gan_data_idx.py::test_letters_stand_upright_and_count_from_zero"
    ),
    "S1 takes the logarithm of a logit": (
        "test_gan_losses.py::test_extreme_logits_neither_overflow_nor_lose_their_gradient"
    ),
    "accuracy divides by the batch size": (
        "test_gan_evaluation.py::test_accuracy_counts_a_short_last_batch_right"
    ),
    "scaling to bytes in place": "test_gan_batches.py::test_bytes_survive_the_way_there_and_back",
    "plot() fails above 100 images": (
        "test_gan_visual.py::test_grids_of_any_number_and_both_channel_counts_are_saved"
    ),
    "whole modules are saved": (
        "test_checkpoints_store.py::test_pickled_object_is_refused_and_not_executed"
    ),
    "the penalty's norm is NaN at 0": (
        "test_gan_losses.py::test_penalty_at_zero_slope_has_a_finite_gradient"
    ),
    "the step counter of Adam is set back": (
        "test_gan_optim.py::test_legacy_shows_the_documents_fault_and_where_it_is_harmless"
    ),
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_the_other_places_have_their_tests(place: str) -> None:
    file, _, test = ELSEWHERE[place].partition("::")
    assert f"def {test}(" in (TESTS / file).read_text()


def networks(recipe: str, channels: int = 3) -> dict[str, nn.Module]:
    config = RECIPES[recipe]()
    info = DataInfo(config.data.name, 1000, 100, channels, tuple("0123456789"), "")
    return variants.build(config, info, CPU).networks


def test_s3_transposed_convolutions_without_padding() -> None:
    """They give 10, 22 and 46 from a side of 4; with the padding that S0 tells, 8, 16 and 32."""
    for padding, expected in ((0, [10, 22, 46]), (1, [8, 16, 32])):
        maps, sides = torch.zeros(1, 1, 4, 4), []
        for _ in range(3):
            maps = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=padding)(maps)
            sides.append(maps.shape[-1])
        assert sides == expected
    for recipe in ("acgan", "cats", "dcgan-mnist"):
        layers = networks(recipe)["generator"].modules()
        ups = [m for m in layers if isinstance(m, nn.ConvTranspose2d)]
        assert ups
        assert all((m.kernel_size, m.stride, m.padding) == ((4, 4), (2, 2), (1, 1)) for m in ups)


def test_s0_no_dropout_or_layer_normalisation_in_the_discriminator() -> None:
    """BatchNorm is what it means: the table itself has a LayerNorm after each convolution."""
    critic = networks("acgan")["discriminator"]
    kinds = [type(module) for module in critic.modules()]
    assert sum(issubclass(kind, nn.LayerNorm) for kind in kinds) == 8
    assert nn.BatchNorm2d not in kinds
    assert [m.p for m in critic.modules() if isinstance(m, nn.Dropout)] == [0.0]


def test_s1_expects_a_scalar_for_a_batch() -> None:
    """Its check has torch.Size(), true of losses; a batch of 64 has 64 scores."""
    scores, classes = LabCritic(28, 1, 32, HeadOptions())(torch.zeros(64, 1, 28, 28))
    assert scores.shape == (64,)
    assert classes is None
    for loss in losses.SOURCE_LOSSES.values():
        assert loss.critic(scores, scores).shape == loss.generator(scores).shape == torch.Size()


def test_s1_pads_same_with_stride_two() -> None:
    with pytest.raises(ValueError, match="padding='same' is not supported for strided"):
        nn.Conv2d(1, 1, 3, stride=2, padding="same")
    maps, sides = torch.zeros(2, 1, 28, 28), [28]
    for block in LabCritic(28, 1, 4, HeadOptions()).blocks:
        maps = block(maps)
        sides.append(maps.shape[-1])
    assert sides == [28, 14, 7, 4]


def test_s1_not_every_convolution_is_followed_by_batchnorm() -> None:
    """The strided one of a block is not, so it keeps its bias; the others need none."""
    layers = [m for m in LabCritic(28, 1, 4, HeadOptions()).modules() if not list(m.children())]
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            followed = isinstance(layers[place + 1], nn.BatchNorm2d)
            assert followed == (layer.stride == (1, 1))
            assert (layer.bias is None) == followed


def test_s1_upsampling_is_called_bilinear() -> None:
    """Its layer's default is nearest neighbour; here the mode is named."""
    ups = [m for m in LabGenerator(28, 1, 4, 10).modules() if isinstance(m, nn.Upsample)]
    assert [m.mode for m in ups] == ["nearest", "nearest"]
    assert nn.Upsample(scale_factor=2).mode == "nearest"
    quarters = ups[0](torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert quarters[0, 0, 0].tolist() == [1, 1, 2, 2]


def test_s2_300_iterations_of_the_large_network() -> None:
    large, small = RECIPES["cats-large"](), RECIPES["cats"]()
    assert (small.train.epochs, large.train.epochs) == (40, 300)
    assert small.train.batch_size == large.train.batch_size == 16


def test_s0_jitter_of_a_random_strength() -> None:
    """Drawn once a process, an error if negative; here fixed, and drawn for each image."""
    with pytest.raises(ValueError, match="must be non negative"):
        ColorJitter(brightness=-0.1)
    config = RECIPES["classifier"]().data
    assert config.jitter == RECIPES["acgan"]().data.jitter == 0.1
    white = torch.full((200, 3, 2, 2), 0.5)
    alone = DataConfig(jitter=0.1)
    altered = augment.augment(white, alone, Draws(0, 0))
    assert len({tuple(image.flatten().tolist()) for image in altered}) == 200
    assert torch.equal(altered, augment.augment(white, alone, Draws(0, 0)))
    # 0.5 is 0.75 of the brightness range [0, 1], which changes by a tenth at most
    assert (((altered + 1) / 2 - 0.75).abs() <= 0.0751).all()


def test_s0_accuracy_over_batches_of_128() -> None:
    """10,000 test images end in a batch of 16: its rule reports true x 0.989."""
    labels = np.arange(10_000) % 10
    logits = torch.eye(10)[torch.from_numpy(labels)]
    batches = [
        (logits[start : start + 128].argmax(1).numpy() == labels[start : start + 128]).sum() / 128
        for start in range(0, 10_000, 128)
    ]
    assert np.mean(batches) == pytest.approx(0.989, abs=5e-4)
    assert evaluation.accuracy(logits, labels) == 1


def test_s0_one_step_of_a_pixel_is_called_1_of_255() -> None:
    """0.0078 is 2/255, for images in [-1, 1]. Here epsilon counts steps of an 8-bit pixel."""
    assert pytest.approx(0.0078, abs=5e-5) == perturbation.PIXEL == 2 / 255
    original = torch.randint(20, 230, (4, 1, 6, 6), dtype=torch.uint8)
    images, weights = to_unit(original), torch.randn(36, 3)
    for epsilon in (1, perturbation.DEFAULT_EPSILON):
        altered = attacks.alter(
            lambda x: x.flatten(1) @ weights, images, torch.zeros(4).long(), Attack(), epsilon
        )
        moved = to_bytes(altered).astype(int) - to_bytes(images).astype(int)
        assert set(np.abs(moved).ravel()) == {int(epsilon)}
    assert perturbation.DEFAULT_EPSILON == 8


def test_s0_features_are_unpacked_from_a_pair() -> None:
    critic = S0Critic(16, 1, 4, HeadOptions(classes=10))
    features = critic.features(torch.zeros(5, 1, 16, 16))
    assert isinstance(features, Tensor)
    assert features.shape == (5, 4)


def test_s0_only_as_many_channels_as_a_batch_has_images() -> None:
    """Every channel of a layer has its picture, whatever the number of images to start from."""
    critic = S0Critic(8, 1, 12, HeadOptions(classes=10))
    few = torch.rand(3, 1, 8, 8) * 2 - 1
    wanted, rule = Channels("stages.conv3.0"), maximisation.Ascent(iterations=2)
    found = maximisation.maximise_channels(critic, wanted, few.mean(0), rule).images
    assert found.shape == (12, 1, 8, 8)
    assert len({tuple(picture.flatten().tolist()) for picture in found}) == 12


def test_s0_graph_of_the_maximisation_grows_with_each_step() -> None:
    seen: list[Tensor] = []
    kept = torch.ones(2, 2)

    def score(images: Tensor) -> Tensor:
        seen.append(images)
        return (images.flatten(1) @ kept.flatten()).square()

    start = torch.full((3, 1, 2, 2), 0.1)
    end = maximisation.maximise(score, start, maximisation.Ascent(iterations=200))
    assert len(seen) == 200
    assert all(images.is_leaf and images.grad_fn is None for images in seen)
    assert not end.requires_grad
    assert not start.requires_grad
    assert torch.equal(start, torch.full((3, 1, 2, 2), 0.1))


def test_s0_norm_by_a_root_of_squares() -> None:
    """Its derivative at 0 is 0/0; that of vector_norm is 0."""
    grown = []
    for norm in (lambda x: x.square().sum().sqrt(), torch.linalg.vector_norm):
        slope = torch.zeros(3, requires_grad=True)
        norm(slope).backward()
        grown.append(slope.grad)
    assert grown[0].isnan().all()
    assert grown[1].tolist() == [0, 0, 0]


def test_s0_whole_module_in_a_file(tmp_path: Path) -> None:
    """What its torch.save wrote is refused by today's torch.load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "model.pt")


def test_s0_essentially_random_guessing_after_one_step() -> None:
    """Three figures tell what a step did: accuracy, hits on the target, and random signs."""
    images = torch.full((50, 1, 10, 10), 0.0)
    labels = torch.zeros(50, dtype=torch.int64)
    weights = torch.ones(100)
    weights[50:] = -1

    def classify(x: Tensor) -> Tensor:
        lean = x.flatten(1) @ weights  # 0 of all images, changed by 100 x the step along the signs
        return torch.stack([torch.full_like(lean, 3.0), lean, torch.zeros_like(lean)], 1)

    result = attacks.measure(classify, images, labels, Attack(), (2, 8))
    weak, usual = result.by_epsilon
    assert result.accuracy == 1
    assert (usual.accuracy, usual.hit_rate) == (0, 1)  # 100 * 16/255 = 6.3 > 3
    assert usual.control_accuracy == 1  # as large a step, undirected: about 0.6
    assert (weak.accuracy, weak.hit_rate) == (1, 0)  # 100 * 4/255 = 1.6 < 3
