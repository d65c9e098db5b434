"""What the pictures of a run show: the one table from which the report describes each of them.

A stage lists its pictures among its outputs, as `figures/MEMBER-TITLE.png` (of a single run
`figures/TITLE.png`); .svg, .gif and .mp4 are taken too. The entry of `KINDS` with the longest
prefix of TITLE says under which heading the picture stands, and what one should see in it. Adding
a picture is adding an entry here; one without is shown all the same, under the name of its file.
"""

from dataclasses import dataclass

from gan.visual.origin import ALTERED, DRAWN, GENERATED, REAL, SYNTHETIC, Origin

OVER_TIME = "Generated images over training"
BETWEEN = "From one image to another"
NOISE = "What the noise stands for"
TOLD_APART = "Told apart"
CURVES = "Curves"
NEAR = "What lies near to an image"
SEES = "What {who} sees"
OTHERS = "More pictures"
SECTIONS = {  # headings in the order of the page, each with a line on what it is about
    OVER_TIME: "These pictures were made by the generator; none is a photograph or a scan. The "
    "noise is the same in all of them: rough shapes come first, details later.",
    BETWEEN: "A generator that has learned the data, not single pictures, changes step by step.",
    NOISE: "Noise is all that a generator is given: what in it makes the picture?",
    TOLD_APART: "",
    CURVES: "",
    NEAR: "An encoder has learned what it is for if images of the same things lie together.",
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
        "epochs", OVER_TIME, "A film of the grids of the epochs, one after the other",
        "The epochs, one after the other: the pictures should settle, and not run through the same "
        "changes again and again.", GENERATED,
    ),
    Kind(
        "diversity", OVER_TIME, "Plot of the diversity of generated images over training",
        "How far two images (of a class, if there are any) are from each other, as a share of real "
        "ones: it should come near 1. Below the dotted line it is a collapse.", DRAWN, span=3,
    ),
    Kind(
        "interpolation", BETWEEN,
        "Strips of generated images, each from one noise vector to another",
        "Each row: images of noise on a straight line from one vector to another. They should "
        "change little by little.", GENERATED,
    ),
    Kind(
        "interpolation-spherical", BETWEEN,
        "Strips of generated images, each along an arc from one noise vector to another",
        "The same vectors joined by an arc, which keeps their length: the middle of a row should "
        "be no duller than its ends, as it may be on a straight line.", GENERATED,
    ),
    Kind(
        "interpolation-classes", BETWEEN,
        "Strips of generated images, each from one class to the next with the same noise",
        "One noise vector in all rows; each goes from one class to the next. What is no class, "
        "slant or stroke or colour, should stay.", GENERATED,
    ),
    Kind(
        "class-by-noise", NOISE, "Generated images, a row for each noise vector and a column for "
        "each class",
        "A row is one noise vector, a column one class: along a row the class alone should change, "
        "down a column all else.", GENERATED, span=2,
    ),
    Kind(
        "truncation", NOISE, "Generated images of the same noise, a row for each psi",
        "The same noise in each row, its numbers {truncation}: the smaller psi, the plainer and "
        "the more alike the pictures.", GENERATED, span=2,
    ),
    Kind(
        "truncation-curve", NOISE, "Plot of the diversity of generated images over psi",
        "How far two images (of a class, if there are any) are from each other at each psi: "
        "plainer pictures are paid for with variety.", DRAWN, span=3,
    ),
    Kind(
        "scores", TOLD_APART,
        "Histograms of the critic's scores of training, held-out and generated images",
        "The critic's scores: the more those of generated and held-out images overlap, the less it "
        "tells. Training images above held-out ones: it knows them by heart.", DRAWN, span=3,
    ),
    Kind(
        "neighbours", NEAR, "Held-out images, each followed by its nearest training images",
        "A held-out image, then its 5 nearest training images to the pre-trained encoder, which "
        "saw no label: {alike} of all neighbours show its class.", REAL,
    ),
    Kind(
        "neighbours-untrained", NEAR,
        "Held-out images, each followed by its nearest training images to an untrained encoder",
        "The same to the encoder before training, to which like shades are near: {alike_untrained} "
        "of all neighbours show the class.", REAL,
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
