"""The questions asked of other data, of classes that came later and of trained backbones."""

from analysis.study.section import Section, against_the_control

_FINETUNE = "study_finetune"


def _other_data(title: str, data: str, sweep: str) -> tuple[Section, Section]:
    """The frozen methods on another data set, against the linear head and against the control."""
    question = f"{data}, frozen backbone. Every method at the learning rate that val chose from one grid."
    tables = ("summary", "verdict", "modes")
    return (
        Section(f"{title}?", question, sweep, ("--baseline", "head"), tables, "accuracy"),
        against_the_control(f"{title}, against the control?", sweep),
    )


ELSEWHERE = (
    *_other_data("On flowers", "Oxford Flowers-102 in 64 x 64 pixels", "study_flowers"),
    *_other_data(
        "On small photographs",
        "A subset of CIFAR-10 as folders (5170 images, of which val is split off; 1017 test images)",
        "study_cifar",
    ),
    Section(
        "For classes added after training?",
        "DTD, frozen backbone. Each seed draws two of the ten classes, of which no step is made and which val lacks, "
        "while a bank of training images holds all ten: the neighbours of `knn`, the real memory of `hma_head` and "
        "`hma_head_label`, which those read while they train. Who can't predict a class added after training is "
        "right about 80 % of the test images at most. Every method at its documented learning rate.",
        "study_new_classes",
        ("--baseline", "head"),
    ),
    Section(
        "Does a kNN vote pay for classes added after training?",
        "The same with `head_knn`: the linear head, whose probabilities are averaged with the vote of the 20 nearest "
        "training images, those of the two classes among them; nothing of it was tuned.",
        "study_neighbours",
        ("--baseline", "head"),
    ),
    Section(
        "At which rate does a trained backbone learn?",
        "DTD, one seed that is not among those below, in bf16: `head_cls` trains the class token, `tokens_standard` "
        "also memory tokens in every block, `full` and `hma` everything. val's choice is a method's rate below.",
        "study_finetune_rates",
        ("--by", "method,optimizer.lr"),
        ("summary",),
    ),
    Section(
        "Is it worth training tokens inside the backbone?",
        "DTD in bf16: the class token (`head_cls`), or memory tokens in every block too (`tokens_standard`, the "
        "learnable memory of Sandler et al., CVPR 2022), at the rates that val chose above.",
        "study_tokens",
        ("--baseline", "head"),
        ("summary", "verdict", "cost"),
    ),
    Section(
        "Is it worth training the backbone?",
        "DTD in bf16; the frozen methods at their documented rates, the others at those that val chose above.",
        _FINETUNE,
        ("--baseline", "head"),
        ("summary", "verdict", "modes"),
        figure="accuracy",
    ),
    Section(
        "Is memory worth it where the whole backbone trains?",
        "The same runs: `hma` is `full` with the memory head and a momentum encoder that fills the queue.",
        _FINETUNE,
        ("--method", "full", "hma", "--baseline", "full"),
        ("verdict", "paired", "images"),
    ),
)
