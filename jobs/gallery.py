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
CURVES = "Curves"
SEES = "What {who} sees"
BESIDE = "The same layers side by side"
OTHERS = "More pictures"
SECTIONS = {  # headings in the order of the page, each with a line on what it is about
    OVER_TIME: "These pictures were made by the generator; none is a photograph or a scan. The "
    "noise is the same in all of them: rough shapes come first, details later.",
    BETWEEN: "A generator that has learned the data, not single pictures, changes step by step.",
    CURVES: "",
    SEES: "",
    BESIDE: "What changes in a network when it learns beside a generator, layer by layer.",
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
    paired: bool = False  # stands beside that of another network, if it has the same


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
        "attacked", SEES, "Ten images, attacked; what {who} sees before and after",
        "From the top: image, gradient, saliency (bright: what its class hangs on, which should be "
        "the object), altered image; below, the class that is seen and how sure.",
        ALTERED, span=3,
    ),
    Kind(
        "attacks", SEES, "Shares over the size of the step, {who}",
        "The larger the step, the more images are misled: lower on the left, higher on the right. "
        "Random signs of the same size (dashed) should do next to nothing.", DRAWN, span=3,
    ),
    Kind(
        "line", SEES, "Logits along the line through an image, {who}",
        "In the middle the true class (thick) wins. To the right another one takes over and stays, "
        "though a person would hardly agree.", DRAWN, span=3,
    ),
    Kind(
        "max-class", SEES, "An image for each class, {who}",
        "Largest logit of each class, in order: what the class is known by, rarely a whole object.",
        SYNTHETIC, span=3, item="classes",
    ),
    Kind(
        "refined-class", SEES, "A smoother image for each class, {who}",
        "The same by the refined rule: rough shapes of the class rather than fine noise.",
        SYNTHETIC, span=3,
    ),
    Kind(
        "receptive", SEES, "What a unit in the middle of each layer can see, {who}",
        "Bright: the pixels that the middle unit of a layer can see, more from layer to layer; the "
        "red square is the same by arithmetic, with the padding.", DRAWN, span=3,
    ),
    Kind(
        "max-", SEES, "Features of {rest}, {who}",
        "Largest response of each channel of {rest}, {taken} its activation, in {who}: strokes and "
        "edges in early layers, larger patterns in later ones.",
        SYNTHETIC, item="features", paired=True,
    ),
    Kind(
        "refined-", SEES, "Smoother features of {rest}, {who}",
        "The same channels of {rest} by the refined rule, in {who}: smoother, and in natural "
        "colours where there are any.", SYNTHETIC, paired=True,
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
