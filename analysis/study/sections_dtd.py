"""The questions asked of frozen features of textures, and the comparison that answers each."""

from analysis.study.section import Section, against_the_control


def _ablations(title: str, question: str, *settings: str) -> Section:
    """A family of ablations, tested together: eight seeds can decide at most six differences after Holm."""
    return Section(title, question, "study_ablations", ("--method", "hma_head", *settings, "--baseline", "hma_head"))


def _condition(title: str, question: str, sweep: str, setting: str) -> Section:
    """The runs of a sweep under one of its conditions."""
    question = f"Every method at its documented learning rate, against the linear head. {question}"
    return Section(title, question, sweep, ("--where", setting, "--baseline", "head"))


DTD = (
    Section(
        "Is memory worth it on textures?",
        "DTD (ten classes), frozen backbone. Every method at the learning rate that val chose from one grid. "
        "`hma_head_released` is the memory head with the released code's settings: a queue that is never written and "
        "read as the noise that it began as, slots that begin at zero, test images that read their batch. `mlp_head` "
        "is the control: as many parameters, no memory. `head_knn` is the linear head, its probabilities averaged with "
        "the vote of the 20 nearest training images.",
        "study_dtd",
        ("--baseline", "head"),
        ("summary", "verdict", "paired", "images", "modes", "cost"),
        "accuracy",
    ),
    Section(
        "Is it the memory, or the size of the head?",
        "The same runs against the MLP head with as many trainable parameters.",
        "study_dtd",
        ("--method", "mlp_head", "hma_head", "hma_head_released", "--baseline", "mlp_head"),
        ("verdict",),
    ),
    _ablations(
        "Which of its parts does it need?",
        "`hma_head` on DTD with one part off at a time, at the documented learning rate. All off is the linear head.",
        *("no_real", "no_synthetic", "no_datapoints", "train_alone"),
    ),
    _ablations(
        "What should the real memory hold?",
        "A queue of 512 augmented views is the default. `rows_64` and `rows_2048` are queues of other sizes; `bank` "
        "holds clean views of the whole training set, `bank_64` of 64 images balanced over classes, neither is ever "
        "updated; `never_updated` is read as noise, as in the released code; `own_rows` lets an image read itself.",
        *("rows_64", "rows_2048", "bank", "bank_64", "never_updated", "own_rows"),
    ),
    _ablations(
        "How should it be read?",
        "`sharp_10` and `sharp_50` multiply the attention scores, `top_10` keeps the ten largest weights, `one_head` "
        "has one attention head; `label_logits` classifies by the label's columns alone.",
        *("sharp_10", "sharp_50", "top_10", "one_head", "label_logits"),
    ),
    _ablations(
        "Should it read what is alike from the start?",
        "Attention of untrained projections is nearly even, so a memory is at first read as its mean. Here keys start "
        "as queries, so that the nearest rows are read from the first step on: `alike_10` and `alike_50` at the "
        "temperatures of `sharp_10` and `sharp_50`, `alike_bank` as `alike_10` on clean views of the whole training "
        "set.",
        *("alike_10", "alike_50", "alike_bank"),
    ),
    _ablations(
        "How should labels be kept?",
        "`label_vectors` keeps the embedding of the day of writing; `label_16` and `label_256` have narrower and wider "
        "embeddings than 64.",
        *("label_vectors", "label_16", "label_256"),
    ),
    _ablations(
        "What should a test image read?",
        "The memories alone is the default. `inference_batch` adds the other images of its batch, as in the released "
        "code, `inference_support` 128 training images; `support_16` and `support_2048` change their number, the last "
        "is the whole training set. Weights are chosen in the same mode.",
        *("inference_batch", "inference_support", "support_16", "support_2048"),
    ),
    Section(
        "How large should the memories be?",
        "Rows of the real memory by slots a class of the synthetic one, at the documented learning rate. A size is "
        "chosen on val; test shows what that choice is worth.",
        "study_memory_size",
        ("--by", "method.hma.real.size,method.hma.synthetic.slots"),
        ("summary",),
        "memory_size-dtd",
    ),
    *(
        _condition(
            f"With {number} training images a class?",
            "DTD; every seed draws its own training images.",
            "study_few",
            f"dataset.train_per_class={number}",
        )
        for number in (5, 10, 20)
    ),
    Section(
        "With wrong labels?",
        "DTD with four in ten training labels wrong; val and test are clean. Every method at the learning rate that "
        "val chose from one grid. `hma_head_label` classifies by the label's columns alone.",
        "study_noise",
        ("--baseline", "head"),
        figure="accuracy",
    ),
    against_the_control("With wrong labels, against the control?", "study_noise", "hma_head_label"),
    *(
        _condition(
            f"On test images corrupted by {corruption}?",
            "DTD, trained on clean images (severity 3 of 5 of Hendrycks and Dietterich, ICLR 2019).",
            "study_corruption",
            f"dataset.test_corruption={corruption}",
        )
        for corruption in ("noise", "blur", "contrast", "jpeg")
    ),
)
