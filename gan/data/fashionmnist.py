"""Fashion-MNIST (Xiao et al., 2017): 60,000 + 10,000 pictures of clothes, 28 x 28, grey."""

from gan.config import DataConfig
from gan.data import idx
from gan.data.images import DataInfo, ImageSet

_CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
# Packed: torchvision's. Unpacked: of the contents of these.
FILES = idx.IdxSet(
    name="fashionmnist",
    title="FashionMNIST",
    classes=_CLASSES,
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)


def inspect(config: DataConfig) -> DataInfo:
    return idx.inspect(FILES, config)


def load(config: DataConfig) -> ImageSet:
    return idx.load(FILES, config)


def natural_size(config: DataConfig) -> int:
    return idx.SIDE
