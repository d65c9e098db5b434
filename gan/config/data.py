"""Settings of the images: which, at what size, altered how."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gan.config.settings import added, operational, require, require_choices


@dataclass(frozen=True)
class DataConfig:
    """Which images, at what size, altered how during training."""

    prefix: ClassVar[str] = "data."
    name: str = "digits"
    """data set: digits (inside scikit-learn), mnist, fashionmnist, emnist, svhn, cifar10, ring
    (points in the plane), folder (any folder or zip file of images), or packed (a file that
    `ganymede data pack` wrote)"""
    root: str = operational("data")
    """folder that holds the files, as torchvision lays them out (the one above MNIST/raw); of
    folder the folder or zip file itself, of packed the file"""
    download: bool = operational(False)
    """fetch the files of a published set first if they are missing, on this machine"""
    emnist_split: Literal["letters", "balanced", "bymerge", "byclass", "digits", "mnist"] = (
        "letters"
    )
    """which selection of EMNIST"""
    image_size: int = 32
    """side in pixels, as the networks allow; images of another size are resized"""
    channels: Literal["as-is", "grey", "rgb"] = added("as-is")
    """colours: as the set has them, or all grey (ITU-R BT.601), or all RGB (grey three times)"""
    memory_gb: float = operational(8.0)
    """GB (1e9 bytes) of images that are held in memory; of larger sets, packed or in a folder, the
    training images are read when they are needed"""
    copy_to: str = operational("")
    """folder on the node to which a packed file is copied first, as '$TMPDIR', or none; variables
    are looked up in the job"""
    test_fraction: float = 0.2
    """share held out for testing where the set has no test part of its own"""
    train_share: float = added(1.0)
    """share of the training images that is used, of every class alike and at least one of each; the
    same images in every run, and the smaller of two shares is a part of the larger"""
    crop_scale_min: float = 1.0
    """smallest area of a random square crop, as a share of the image; 1 switches it off"""
    flip: bool = False
    """mirror half of the training images"""
    jitter: float = 0.0
    """strength of random brightness, contrast, saturation and hue changes; 0 switches it off"""
    crop_ratio_max: float = added(1.0)
    """longest crop, as its width over its height, or height over width; 1: squares only"""
    hue: float | None = added(None)
    """strength of the jitter's hue changes, in turns; as jitter if left out"""
    jitter_share: float = added(1.0)
    """share of the training images whose colours are jittered"""
    grey: float = added(0.0)
    """share of the training images that lose their colour"""
    blur: float = added(0.0)
    """share of the training images that are blurred"""

    @property
    def alters(self) -> bool:
        """Whether training images are altered at random."""
        crops = self.crop_scale_min < 1 or self.crop_ratio_max > 1
        return crops or self.flip or self.jitter > 0 or self.grey > 0 or self.blur > 0

    def __post_init__(self) -> None:
        require_choices(self)
        require(self, "image_size", 1 <= self.image_size <= 512, "1 to 512")
        require(self, "memory_gb", self.memory_gb >= 0, "0 or more")
        copies = not self.copy_to or self.name == "packed"
        require(self, "copy_to", copies, "nothing, unless data.name is packed")
        require(self, "test_fraction", 0 < self.test_fraction < 1, "between 0 and 1")
        require(self, "train_share", 0 < self.train_share <= 1, "above 0, up to 1")
        require(self, "crop_scale_min", 0 < self.crop_scale_min <= 1, "above 0, up to 1")
        require(self, "jitter", 0 <= self.jitter <= 1, "0 to 1")
        require(self, "crop_ratio_max", 1 <= self.crop_ratio_max <= 4, "1 to 4")
        require(self, "hue", self.hue is None or 0 <= self.hue <= 0.5, "0 to 0.5")
        for name in ("jitter_share", "grey", "blur"):
            require(self, name, 0 <= getattr(self, name) <= 1, "0 to 1")
