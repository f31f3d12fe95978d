"""The frozen methods at the documented length, data set by data set."""

from analysis.study.section import Section

_SEEDS = ("--where", "seed=" + ",".join(map(str, range(10))))  # those of the comparison; val chose with others
_METHODS = (
    "All on the same frozen features: methods that train by steps see ten augmented views of each training image, "
    "closed forms and `knn` the image as it is. Those that train take 1000 steps of 128 at the rate that val chose, "
    "with two seeds of their own, from a grid of five."
)
# Title, images (train, val, test) and classes, name in the sweep.
_DATA = (
    ("EuroSAT", "Satellite pictures (2000, 1000 and 3000 images, ten classes)", "eurosat"),
    ("DTD-10", "Textures (400, 400 and 400 images, ten classes)", "dtd"),
    (
        "CIFAR-10N",
        "Small photographs whose 2000 training labels are as people gave them, four in ten of them wrong, as are "
        "val's; the labels of the 2000 test images are right (ten classes)",
        "cifar10n_worse",
    ),
    ("CIFAR-100", "Small photographs (2000, 1000 and 5000 images, 100 classes)", "cifar100"),
    (
        "Flowers-102",
        "Flowers in 64 x 64 pixels (1020, 1020 and 6149 images, 102 classes, official splits)",
        "flowers102",
    ),
)


def _data_set(title: str, data: str, name: str) -> tuple[Section, Section]:
    """Against the linear head, then every kind of memory against the control."""
    sweep = f"study_frozen_{name}"
    memories = ("hma_head", "cache", "head_knn", "kernel_ridge", "ranpac")
    return (
        Section(
            f"Is it worth it on {title}?",
            f"{data}. {_METHODS}",
            sweep,
            (*_SEEDS, "--baseline", "head"),
            ("summary", "verdict", "cost"),
            f"pareto-{name}",
        ),
        Section(
            f"On {title}, is it the memory or the size?",
            "The same runs against `mlp_head`, which has as many trainable parameters as `hma_head` and no memory. "
            "`cache` trains keys that begin as training features, `kernel_ridge` reads all training images, RanPAC "
            "solves for their second moments.",
            sweep,
            ("--method", "mlp_head", *memories, *_SEEDS, "--baseline", "mlp_head"),
            ("verdict",),
        ),
    )


def _over_all() -> Section:
    """Every data set at once."""
    return Section(
        "Is it worth it over all data sets?",
        "The runs of all sections below. A method that some data set lacks is left out.",
        " ".join(f"study_frozen_{name}" for _, _, name in _DATA),
        (*_SEEDS, "--baseline", "head"),
        ("aggregate",),
        "ranks",
    )


FROZEN = (_over_all(), *(section for data in _DATA for section in _data_set(*data)))
