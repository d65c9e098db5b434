"""Recipes of S4's self-supervised part: SimCLR, and what its encoder is worth.

The document asks for two augmented views, the NT-Xent loss, and a linear layer or a fine-tuned
classifier on top beside one without pre-training. It leaves the numbers open: they are those of
Chen et al., "A simple framework for contrastive learning of visual representations" (2020), for
CIFAR-10 (appendix B.9): tau 0.5, jitter at half strength, no blur. Ours are Adam at 1e-3 in place
of LARS, batches of 256, and 200 epochs of ResNet-18, after which others report 84.7 % for the
nearest neighbours.
"""

from dataclasses import replace

from gan.config import (
    AdamConfig,
    Contrast,
    DataConfig,
    EncoderClassifierConfig,
    EncoderClassifierModel,
    Pretrained,
    SimCLRConfig,
    SimCLRModel,
    TrainConfig,
)

# Crops of 8 % to all of the image; 0.8 s and 0.2 s with s = 0.5 (Chen et al., appendices A and B.9)
_VIEWS = DataConfig(
    name="cifar10", image_size=32, crop_scale_min=0.08, crop_ratio_max=4 / 3, flip=True,
    jitter=0.4, hue=0.1, jitter_share=0.8, grey=0.2,
)  # fmt: skip
_LABELLED = DataConfig(name="cifar10", image_size=32, crop_scale_min=0.7, flip=True)
_FAST = TrainConfig(precision="bfloat16", channels_last=True)


def simclr_pretrain() -> SimCLRConfig:
    """S4 SimCLR on CIFAR-10: a ResNet-18 that needs no labels, at Chen et al.'s settings."""
    return SimCLRConfig(
        data=_VIEWS,
        train=replace(_FAST, epochs=200, batch_size=256),
        optim=AdamConfig(learning_rate=1e-3),
    )


def simclr_probe() -> EncoderClassifierConfig:
    """S4 linear layer on the frozen encoder of `simclr-pretrain`, or of any --pretrained.run."""
    return EncoderClassifierConfig(
        data=_LABELLED,
        train=replace(_FAST, epochs=30, batch_size=256),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(20,)),
        model=EncoderClassifierModel(frozen=True),
        pretrained=Pretrained(run="simclr-pretrain"),
    )


def simclr_finetune() -> EncoderClassifierConfig:
    """S4 classifier that begins with the encoder of `simclr-pretrain`, with a tenth of the labels.

    --pretrained.run "" is the same without pre-training.
    """
    return EncoderClassifierConfig(
        data=replace(_LABELLED, train_share=0.1),
        train=replace(_FAST, epochs=60, batch_size=128),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(45,)),
        pretrained=Pretrained(run="simclr-pretrain"),
    )


def simclr_pretrain_quick() -> SimCLRConfig:
    """SimCLR on CIFAR-10 with a small encoder: for one core, without a GPU.

    Crops are of 20 % and more: with few epochs the hardest pairs of views are too hard.
    """
    return SimCLRConfig(
        data=replace(_VIEWS, crop_scale_min=0.2),
        train=replace(_FAST, epochs=6, batch_size=256),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(5,)),
        model=SimCLRModel(encoder="small", width=32),
        contrast=Contrast(bank=5_000),
    )


def simclr_probe_quick() -> EncoderClassifierConfig:
    """Linear layer on the frozen encoder of `simclr-pretrain-quick`, with all labels."""
    return EncoderClassifierConfig(
        data=replace(_LABELLED, crop_scale_min=1.0),
        train=replace(_FAST, epochs=4, batch_size=256),
        optim=AdamConfig(learning_rate=2e-3, drop_epochs=(3,)),
        model=EncoderClassifierModel(encoder="small", width=32, frozen=True),
        pretrained=Pretrained(run="simclr-pretrain-quick"),
    )


def simclr_finetune_quick() -> EncoderClassifierConfig:
    """Classifier that begins with the encoder of `simclr-pretrain-quick`, with 10 % of the labels.

    --pretrained.run "" is the same without pre-training.
    """
    return EncoderClassifierConfig(
        data=replace(_LABELLED, train_share=0.1),
        train=replace(_FAST, epochs=8, passes_per_epoch=3, batch_size=128),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(6,)),
        model=EncoderClassifierModel(encoder="small", width=32),
        pretrained=Pretrained(run="simclr-pretrain-quick"),
    )


def simclr_pretrain_digits() -> SimCLRConfig:
    """SimCLR with a small encoder on handwritten digits: a minute on two cores."""
    data = DataConfig(
        name="digits", image_size=16, crop_scale_min=0.4, crop_ratio_max=4 / 3, jitter=0.4
    )
    return SimCLRConfig(
        data=data,
        train=TrainConfig(epochs=10, batch_size=128, passes_per_epoch=3),
        optim=AdamConfig(learning_rate=1e-3),
        model=SimCLRModel(encoder="small", width=16),
        contrast=Contrast(temperature=0.5),
    )


def encoder_digits() -> EncoderClassifierConfig:
    """The classifier that SimCLR's encoders end in, from scratch, on handwritten digits."""
    return EncoderClassifierConfig(
        data=DataConfig(name="digits", image_size=16),
        train=TrainConfig(epochs=5, batch_size=64, passes_per_epoch=2),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(4,)),
        model=EncoderClassifierModel(encoder="small", width=16),
    )


RECIPES = (
    simclr_pretrain, simclr_probe, simclr_finetune,
    simclr_pretrain_quick, simclr_probe_quick, simclr_finetune_quick,
    simclr_pretrain_digits, encoder_digits,
)  # fmt: skip
