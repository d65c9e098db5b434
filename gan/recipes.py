"""Recipes: functions that return a whole config. A name on the command line is a name here.

S0 to S4 stand for the course documents: S0 and S3 the IE 534 assignment and its slides, S1 a DCGAN
lab, S2 the cats, S4 CS231n's GANs and SimCLR. Where a document is silent, the docstring says what
was chosen. Names that end in -digits need no download and take minutes on two cores; so do those
that end in -quick, on the recipe's own data.
"""

from collections.abc import Callable
from dataclasses import replace

from gan.config import (
    ACGANConfig,
    ACGANModel,
    AdamConfig,
    CatsConfig,
    CatsModel,
    ClassifierConfig,
    ClassifierModel,
    DataConfig,
    DCClassifierConfig,
    DCGANConfig,
    DCGANLabConfig,
    DCGANLabModel,
    DCGANModel,
    Game,
    MLPGANConfig,
    MLPGANModel,
    ProgressiveConfig,
    ProgressiveModel,
    RunConfig,
    TrainConfig,
)
from gan.simclr_recipes import RECIPES as SIMCLR_RECIPES

_CIFAR10 = DataConfig(name="cifar10", image_size=32, crop_scale_min=0.7, flip=True, jitter=0.1)
_DIGITS = DataConfig(name="digits", image_size=16)
_MNIST = DataConfig(name="mnist", image_size=28)
_CATS = DataConfig(name="folder", root="cats", image_size=64)
_FAST = TrainConfig(precision="bfloat16", channels_last=True)
_DCGAN_ADAM = AdamConfig(learning_rate=2e-4, beta1=0.5)  # Radford et al. (2016), section 4
_PROGRESSIVE_ADAM = AdamConfig(learning_rate=1e-3, beta1=0.0, beta2=0.99)
_CS231N_ADAM = AdamConfig(learning_rate=1e-3, beta1=0.5)


def classifier() -> ClassifierConfig:
    """S0 discriminator as a CIFAR-10 classifier, at the assignment's settings."""
    return ClassifierConfig(
        data=_CIFAR10,
        train=TrainConfig(epochs=100, batch_size=128),
        optim=AdamConfig(learning_rate=1e-4, drop_epochs=(50, 75)),
        model=ClassifierModel(width=196),
    )


def acgan() -> ACGANConfig:
    """S0 AC-WGAN-GP on CIFAR-10, at the assignment's settings."""
    return ACGANConfig(
        data=_CIFAR10,
        train=TrainConfig(epochs=200, batch_size=128),
        optim=AdamConfig(learning_rate=1e-4, beta1=0.0, beta2=0.9),
        model=ACGANModel(width=196),
    )


def acgan_original() -> ACGANConfig:
    """The original AC-GAN (Odena et al., 2017) on S0's networks: no Wasserstein loss, no penalty.

    Learning rate 2e-4, beta1 0.5 and dropout 0.5 as in its appendix.
    """
    return replace(
        acgan(),
        optim=_DCGAN_ADAM,
        model=ACGANModel(width=196, dropout=0.5),
        game=Game(loss="non-saturating", auxiliary=True),
    )


def wgan_gp() -> ACGANConfig:
    """WGAN-GP without labels (Gulrajani et al., 2017) on S0's networks and settings."""
    return replace(acgan(), game=Game(loss="wasserstein", regulariser="gradient-penalty"))


def wgan_clipping() -> ACGANConfig:
    """S3: the first Wasserstein GAN (Arjovsky et al., 2017), weights clipped, on S0's networks.

    Clip 0.01, learning rate 5e-5 and five critic steps for each of the generator are the paper's;
    its RMSprop is Adam without momentum here.
    """
    return replace(
        acgan(),
        optim=AdamConfig(learning_rate=5e-5, beta1=0.0),
        game=Game(loss="wasserstein", regulariser="clipping", clip=0.01, generator_every=5),
    )


def classifier_digits() -> ClassifierConfig:
    """The S0 classifier on handwritten digits: seconds on two cores."""
    return ClassifierConfig(
        data=replace(_DIGITS, crop_scale_min=0.7),
        train=TrainConfig(epochs=5, batch_size=64, passes_per_epoch=6),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(4,)),
        model=ClassifierModel(width=32),
    )


def acgan_digits() -> ACGANConfig:
    """The S0 GAN on handwritten digits: readable in about two minutes on two cores."""
    return ACGANConfig(
        data=_DIGITS,
        train=TrainConfig(epochs=10, batch_size=64, passes_per_epoch=3),
        optim=AdamConfig(learning_rate=1e-3, beta1=0.0, beta2=0.9),
        model=ACGANModel(width=32),
        game=replace(ACGANConfig().game, ema_decay=0.99),
    )


def acgan_original_digits() -> ACGANConfig:
    """The original AC-GAN, narrower, on handwritten digits: minutes on two cores."""
    return replace(
        acgan_digits(),
        optim=AdamConfig(learning_rate=1e-3, beta1=0.5),
        game=replace(acgan_original().game, ema_decay=0.99),
    )


def wgan_gp_digits() -> ACGANConfig:
    """WGAN-GP without labels, narrower, on handwritten digits: minutes on two cores."""
    return replace(acgan_digits(), game=replace(wgan_gp().game, ema_decay=0.99))


def dcgan_lab() -> DCGANLabConfig:
    """S1 DCGAN lab on MNIST; other sets with --data.name fashionmnist or emnist.

    Learning rate 5e-5, batch 64, 100 epochs and the critic first are those of a public copy of its
    starter code; the lab itself leaves them open.
    """
    return DCGANLabConfig(
        data=_MNIST,
        train=TrainConfig(epochs=100, batch_size=64, final_samples=10_000),
        optim=AdamConfig(learning_rate=5e-5),
    )


def dcgan_lab_svhn() -> DCGANLabConfig:
    """S1 DCGAN lab on house numbers in colour (SVHN), 32 x 32."""
    return replace(dcgan_lab(), data=DataConfig(name="svhn", image_size=32))


def dcgan_lab_quick() -> DCGANLabConfig:
    """S1 networks on MNIST, three epochs at DCGAN's own learning rate: minutes on two cores."""
    return replace(
        dcgan_lab(),
        train=replace(_FAST, epochs=3, batch_size=64, final_samples=10_000),
        optim=_DCGAN_ADAM,
    )


def dcgan_lab_digits() -> DCGANLabConfig:
    """S1 networks, narrower, on the embedded digits."""
    return DCGANLabConfig(
        data=_DIGITS,
        train=replace(_FAST, epochs=10, batch_size=64, passes_per_epoch=4),
        optim=AdamConfig(learning_rate=1e-3, beta1=0.5),
        model=DCGANLabModel(width=16),
    )


def cats() -> CatsConfig:
    """S2 cats at 64 x 64, the smaller network; --data.root is a folder or zip of pictures."""
    return CatsConfig(
        data=_CATS,
        train=TrainConfig(epochs=40, batch_size=16),
        optim=AdamConfig(learning_rate=3e-4),
    )


def cats_large() -> CatsConfig:
    """S2 cats, the larger network: depth 3, 128 channels, 300 epochs."""
    small = cats()
    return replace(
        small,
        train=replace(small.train, epochs=300),
        model=CatsModel(latent=128, depth=3, width=128),
    )


def cats_quick() -> CatsConfig:
    """S2 cats, the smaller network for three epochs: minutes on two cores."""
    small = cats()
    return replace(small, train=replace(_FAST, epochs=3, batch_size=16))


def cats_digits() -> CatsConfig:
    """S2 networks on the embedded digits, to see them run: the pictures stay poor.

    The generator ends in BatchNorm and a Sigmoid, which reaches pure black and white only after
    many more steps than this; the critic tells it by that at once. On photographs it does not.
    """
    return CatsConfig(
        data=_DIGITS,
        train=replace(_FAST, epochs=10, batch_size=64, passes_per_epoch=6),
        optim=_DCGAN_ADAM,
    )


def gan_mnist() -> MLPGANConfig:
    """S4 fully connected GAN on MNIST, non-saturating loss.

    Learning rate 1e-3 with betas 0.5 and 0.999, batch 128, uniform noise of length 96 and ten
    epochs are those of a public copy of the assignment.
    """
    return MLPGANConfig(
        data=_MNIST,
        train=TrainConfig(epochs=10, batch_size=128, final_samples=10_000),
        optim=_CS231N_ADAM,
    )


def lsgan_mnist() -> MLPGANConfig:
    """S4 fully connected GAN on MNIST, least squares loss."""
    return replace(gan_mnist(), game=Game(loss="least-squares"))


def dcgan_mnist() -> DCGANConfig:
    """S4 convolutional GAN (InfoGAN's generator) on MNIST, non-saturating loss."""
    return DCGANConfig(data=_MNIST, train=gan_mnist().train, optim=_CS231N_ADAM)


def dc_lsgan_mnist() -> DCGANConfig:
    """S4 convolutional GAN on MNIST, least squares loss."""
    return replace(dcgan_mnist(), game=Game(loss="least-squares"))


def dcgan_mnist_quick() -> DCGANConfig:
    """S4 convolutional GAN on MNIST for three epochs: minutes on two cores."""
    full = dcgan_mnist()
    return replace(full, train=replace(_FAST, epochs=3, batch_size=128, final_samples=10_000))


def gan_digits() -> MLPGANConfig:
    """S4 fully connected GAN on the embedded digits."""
    return MLPGANConfig(
        data=_DIGITS,
        train=TrainConfig(epochs=10, batch_size=64, passes_per_epoch=20),
        optim=_DCGAN_ADAM,
        model=MLPGANModel(generator_hidden=512),
    )


def dcgan_digits() -> DCGANConfig:
    """S4 convolutional GAN, narrower, on the embedded digits."""
    return DCGANConfig(
        data=_DIGITS,
        train=TrainConfig(epochs=10, batch_size=64, passes_per_epoch=6),
        optim=_CS231N_ADAM,
        model=DCGANModel(width=16),
    )


def mnist_classifier() -> DCClassifierConfig:
    """S4 discriminator's body as a classifier of MNIST: above 99 %, and the measure of its GANs.

    Learning rate, batch and epochs are ours; the document asks for the accuracy only.
    """
    return DCClassifierConfig(
        data=_MNIST,
        train=replace(_FAST, epochs=5, batch_size=128),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(3,)),
    )


def dc_classifier_digits() -> DCClassifierConfig:
    """S4 classifier on the embedded digits."""
    return DCClassifierConfig(
        data=_DIGITS,
        train=TrainConfig(epochs=5, batch_size=64, passes_per_epoch=4),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(4,)),
    )


def progressive() -> ProgressiveConfig:
    """Progressive growing (Karras et al., 2018) on CIFAR-10: 4, 8, 16, then 32 pixels.

    Learning rate 1e-3 with betas 0 and 0.99, the penalty's weight and the average of the generator
    are the paper's; width (512 there), batch and epochs are ours.
    """
    return ProgressiveConfig(
        data=DataConfig(name="cifar10", image_size=32, flip=True),
        train=TrainConfig(epochs=200, batch_size=64),
        optim=_PROGRESSIVE_ADAM,
        model=ProgressiveModel(latent=128, width=128),
    )


def progressive_digits() -> ProgressiveConfig:
    """Progressive growing, narrower, on the embedded digits: 4, 8, then 16 pixels."""
    full = progressive()
    return replace(
        full,
        data=_DIGITS,
        train=replace(_FAST, epochs=10, batch_size=64, passes_per_epoch=5),
        model=ProgressiveModel(latent=32, width=32),
        game=replace(full.game, ema_decay=0.99),
    )


def ring() -> MLPGANConfig:
    """A ring of Gaussians in the plane, whose modes can be counted: any loss with --game.loss."""
    return MLPGANConfig(
        data=DataConfig(name="ring", image_size=1),
        train=TrainConfig(epochs=10, batch_size=256, passes_per_epoch=20),
        optim=AdamConfig(learning_rate=1e-3, beta1=0.5),
        model=MLPGANModel(latent=16, noise="normal", critic_hidden=128, generator_hidden=128),
    )


_FUNCTIONS: tuple[Callable[[], RunConfig], ...] = (
    classifier, acgan, acgan_original, wgan_gp, wgan_clipping, classifier_digits, acgan_digits,
    acgan_original_digits, wgan_gp_digits,
    dcgan_lab, dcgan_lab_svhn, dcgan_lab_quick, dcgan_lab_digits,
    cats, cats_large, cats_quick, cats_digits,
    gan_mnist, lsgan_mnist, dcgan_mnist, dc_lsgan_mnist, dcgan_mnist_quick, gan_digits,
    dcgan_digits, mnist_classifier, dc_classifier_digits,
    *SIMCLR_RECIPES,
    progressive, progressive_digits, ring,
)  # fmt: skip
RECIPES = {function.__name__.replace("_", "-"): function for function in _FUNCTIONS}
