"""The questions of the study, and the comparison that answers each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One comparison with its question. The answer is what the tables say."""

    title: str
    question: str
    sweep: str  # of sweeps/study/
    arguments: tuple[str, ...]  # of analysis.compare, beside --sweep
    tables: tuple[str, ...] = ("summary", "paired")
    figure: str | None = None  # its file's stem


SECTIONS = (
    Section(
        "Is memory worth it on textures?",
        "DTD (ten classes), frozen backbone. Every method at the learning rate that val chose from one grid. "
        "`hma_head_released` is the memory head with the released code's settings: a queue that is never written and "
        "read as the noise that it began as, slots that begin at zero, test images that read their batch. `mlp_head` "
        "is the control: as many parameters, no memory.",
        "study_dtd",
        ("--baseline", "head"),
        ("summary", "paired", "images", "modes", "cost"),
        "accuracy",
    ),
    Section(
        "Is it the memory, or the size of the head?",
        "The same runs against the MLP head with as many trainable parameters.",
        "study_dtd",
        ("--method", "mlp_head", "hma_head", "hma_head_released", "--baseline", "mlp_head"),
        ("paired",),
    ),
    Section(
        "Does it need what it is made of?",
        "`hma_head` on DTD with one part changed at a time, at the documented learning rate.",
        "study_ablations",
        ("--baseline", "hma_head"),
    ),
    Section(
        "With few pictures a class?",
        "DTD with five and twenty training pictures a class; every seed draws its own.",
        "study_few",
        ("--by", "dataset.train_per_class,method"),
        ("summary",),
    ),
    Section(
        "With wrong labels?",
        "DTD with four in ten training labels wrong; val and test are clean.",
        "study_noise",
        ("--baseline", "head"),
    ),
    Section(
        "On damaged test pictures?",
        "DTD, trained on clean pictures, tested on damaged ones (severity 3 of 5 of Hendrycks and Dietterich).",
        "study_corruption",
        ("--by", "dataset.test_corruption,method"),
        ("summary",),
    ),
    Section(
        "On other data?",
        "Oxford Flowers-102 in 64 x 64 pixels.",
        "study_flowers",
        ("--baseline", "head"),
    ),
)
