"""The frozen methods at the documented length, a section a data set and one over all of them."""

from analysis.study.section import Section

_SEEDS = ("--where", "seed=" + ",".join(map(str, range(10))))  # those of the comparison; val chose with others
_LENGTH = ("--where", "trainer.max_steps=1000", "--where", "augment.views=10")
_METHODS = (
    "Every method on the same frozen features of ten augmented views of each training image; those that train take "
    "1000 steps of 128 at the rate that val chose, with two seeds of their own, from a grid of five."
)
# Title, images (train, val, test) and classes, name in the sweep.
_DATA = (
    ("EuroSAT", "Satellite pictures (2000, 1000 and 3000 images, ten classes)", "eurosat"),
    ("Flowers-102", "Flowers in 64 x 64 pixels (1020, 1020 and 6149 images, 102 classes)", "flowers102"),
    ("DTD-10", "Textures (400, 400 and 400 images, ten classes)", "dtd"),
    ("CIFAR-100", "Small photographs (2000, 1000 and 5000 images, 100 classes)", "cifar100_subset"),
    ("Caltech-101", "Objects (1515, 505 and 1763 images, 101 classes)", "caltech101"),
    ("CIFAR-10", "Small photographs (5170 images, of which val is split off, and 1017; ten classes)", "cifar10_subset"),
)


def _data_set(title: str, data: str, name: str) -> tuple[Section, Section]:
    """Against the linear head, then the memory head against its control."""
    sweep = f"study_frozen_{name}"
    tables = ("summary", "verdict", "cost")
    control = ("--method", "mlp_head", "hma_head", "ranpac", *_SEEDS, "--baseline", "hma_head")
    return (
        Section(
            f"Is it worth it on {title}?",
            f"{data}. {_METHODS}",
            sweep,
            (*_SEEDS, "--baseline", "head"),
            tables,
            f"pareto-{name}",
        ),
        Section(
            f"On {title}, against the memory head?",
            "The same runs: its control, an MLP with as many trainable parameters, and RanPAC, against `hma_head`.",
            sweep,
            control,
            ("verdict",),
        ),
    )


FROZEN = (
    Section(
        "Is it worth it over the data sets?",
        "The runs of all sections below together: at which mean rank is each method?",
        None,
        (*_LENGTH, *_SEEDS, "--baseline", "head"),
        ("aggregate",),
        "accuracy",
    ),
    *(section for data in _DATA for section in _data_set(*data)),
)
