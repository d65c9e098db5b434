"""What the pictures of a run show: the one table from which the report describes each of them.

A stage lists its pictures among its outputs, as `figures/MEMBER-TITLE.png` (of a single run
`figures/TITLE.png`); .svg, .gif and .mp4 are taken too. The entry of `KINDS` with the longest
prefix of TITLE says under which heading the picture stands, and what one should see in it. Adding
a picture is adding an entry here; one without is shown all the same, under the name of its file.
"""

from dataclasses import dataclass

from gan.visual.origin import ALTERED, DRAWN, GENERATED, MIXED, REAL, SYNTHETIC, Origin

OVER_TIME = "Generated images over training"
BETWEEN = "From one image to another"
MEMORISED = "Is it memorising?"
CURVES = "Curves"
SEES = "What {who} sees"
OTHERS = "More pictures"
SECTIONS = {  # headings in the order of the page, each with a line on what it is about
    OVER_TIME: "These pictures were made by the generator; none is a photograph or a scan. The "
    "noise is the same in all of them: rough shapes come first, details later.",
    BETWEEN: "A generator that has learned the data, not single pictures, changes step by step.",
    MEMORISED: "The samples that are most like one training image. A generator may come near to "
    "training images, as new real images do too; it should not give one of them back.",
    CURVES: "",
    SEES: "",
    OTHERS: "",
}
ITEMS = {  # of the paper that S0 asks for: titles, each with a line on what is to be seen
    "over time": (OVER_TIME, SECTIONS[OVER_TIME]),
    "perturbation": ("Real images, gradients and altered images", ""),
    "classes": (
        "Class maximisation",
        "One image for each class in order, raised until its logit is as large as it gets.",
    ),
    "features": (
        "Features",
        "One image for each channel of a layer, raised to the channel's largest response.",
    ),
}


@dataclass(frozen=True)
class Kind:
    """One sort of picture.

    In the texts `{who}` is the network, `{rest}` what follows the prefix in the file's name, and
    any other name a figure from the record of the stage that drew it.
    """

    prefix: str
    section: str  # one of `SECTIONS`
    alt: str
    caption: str  # what one should see
    origin: Origin
    span: int = 1  # thirds of the page's width
    item: str = ""  # of the paper: one of `ITEMS`


KINDS = (
    Kind(
        "epoch-", OVER_TIME, "Grid of generated images after epoch {epoch}",
        "After epoch {epoch}: the same noise every time", GENERATED, item="over time",
    ),
    Kind(
        "film", OVER_TIME, "The grids of all epochs, one after the other",
        "All epochs, one after the other: the pictures should settle, and not run through the same "
        "changes again and again.", GENERATED,
    ),
    Kind(
        "interpolation", BETWEEN,
        "Strips of generated images, each from one noise vector to another",
        "Each row: images of noise on a straight line from one vector to another. They should "
        "change little by little.", GENERATED, span=2,
    ),
    Kind(
        "nearest-pixels", MEMORISED,
        "Samples, each followed by the training images nearest to it in pixels",
        "First in each row: a sample of the generator; then its nearest training images, by "
        "pixels. One should see relatives, and no copy.", MIXED,
    ),
    Kind(
        "nearest-features", MEMORISED,
        "Samples, each followed by the training images that the classifier finds most like it",
        "First in each row: a sample; then the training images most like it to the classifier: "
        "the same kind, drawn otherwise.", MIXED,
    ),
    Kind(
        "history", CURVES,
        "Curves of distances, precision, recall and class score over training",
        "Figures of {snapshot_images} images at a time on the classifier's features, beside as "
        "many real ones: they should come near to those, and stay.", DRAWN, span=3,
    ),
    Kind("real", SEES, "Real images, {who}", "Real test images.", REAL, item="perturbation"),
    Kind(
        "gradients", SEES, "Gradient images, {who}",
        "Gradient of the loss towards the next class, scaled: where it is not grey, a change of "
        "the pixel counts.", DRAWN, item="perturbation",
    ),
    Kind(
        "altered", SEES, "Altered images, {who}",
        "The same images, every pixel moved by {epsilon}/255: hardly different to the eye.",
        ALTERED, item="perturbation",
    ),
    Kind(
        "max-class", SEES, "An image for each class, {who}",
        "Largest logit of each class, in order: what the class is known by, rarely a whole object.",
        SYNTHETIC, span=3, item="classes",
    ),
    Kind(
        "max-", SEES, "Features of {rest}, {who}",
        "Largest response of each channel of {rest}: strokes and edges in early layers, larger "
        "patterns in later ones.", SYNTHETIC, item="features",
    ),
)  # fmt: skip
_UNKNOWN = Kind("", OTHERS, "Picture {rest}, {who}", "{rest}, as the stage {stage} drew it.", DRAWN)


def kind_of(title: str) -> Kind:
    """The entry for a picture's title, which is its file's name without member and ending."""
    fitting = [kind for kind in KINDS if title.startswith(kind.prefix)]
    return max(fitting, key=lambda kind: len(kind.prefix), default=_UNKNOWN)


def title_of(stem: str, members: tuple[str, ...]) -> tuple[str, str]:
    """Member and title of a picture, from its file's name without the ending."""
    for name in sorted(members, key=len, reverse=True):
        if stem.startswith(f"{name}-"):
            return name, stem.removeprefix(f"{name}-")
    return "", stem


def fill(text: str, facts: dict[str, object]) -> str:
    """A text of the table with its names filled in; numbers without needless digits."""
    shown = {k: f"{v:g}" if isinstance(v, float) else v for k, v in facts.items()}
    return text.format_map(_Facts(shown))


class _Facts(dict[str, object]):
    def __missing__(self, name: str) -> str:
        return f"an unknown {name}"  # recorded by another version
