"""What the memory head adds to a step: against the released formulation, against the backbone, with a large memory.

python -m analysis.benchmarks.head [--quick]
"""

import sys

import torch
from torch import nn

from analysis.benchmarks.head_setup import (
    BATCH,
    CLASSES,
    FEATURE_WIDTH,
    SLOTS,
    batch,
    filled_head,
    gradient_step,
    sgd,
    training_step,
)
from analysis.benchmarks.measurement import Measurement, Options, main
from analysis.benchmarks.released_head import ReleasedHead
from analysis.benchmarks.timing import Times, interleaved, ratio
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import ModelConfig, TokensConfig
from hma_ft.hma.momentum import MomentumEncoder

ROWS, MANY_ROWS = 512, 65536


def measure(options: Options) -> list[Measurement]:
    """All rows of this file."""
    return [
        *_against_the_release(options),
        *_against_the_backbone(options),
        *_large_memory(options),
    ]


def _against_the_release(options: Options) -> list[Measurement]:
    """Forward and backward of the head alone."""
    size, rows = options.size(BATCH, 8), options.size(ROWS, 32)
    head = filled_head(rows, dropout=0.0)
    released = ReleasedHead(head)
    features, labels, ids = batch(size)
    difference = (released(features) - head(features, ids)).abs().max()
    if difference > 1e-3:
        raise RuntimeError(f"the two formulations differ by {difference:g}")
    times = interleaved(
        {
            "release": lambda: gradient_step(released, features, labels),
            "here": lambda: gradient_step(head, features, labels, ids),
        },
        repeats=options.size(5, 2),
    )
    factor, text = ratio(times["release"], times["here"])
    return [
        Measurement(
            f"HMA head, forward and backward, R={rows} S={SLOTS}, batch {size}: {times['here']}",
            f"the queue repeated and projected for each sample: {times['release']}",
            f"{text} faster",
            "25 x or more",
            factor >= 25,
        )
    ]


def _against_the_backbone(options: Options) -> list[Measurement]:
    """The head's part of a step, timed by itself: beside the backbone it would drown in the noise."""
    size, rows = options.size(BATCH, 8), options.size(ROWS, 32)
    features, labels, ids = batch(size)
    linear, head = nn.Linear(FEATURE_WIDTH, CLASSES), filled_head(rows)
    times = interleaved(
        {
            "hma": training_step(head, features, labels, ids, sgd(head)),
            "linear": training_step(linear, features, labels, ids, sgd(linear)),
        },
        repeats=options.size(9, 2),
        warm_up=2,
    )
    added = times["hma"].median - times["linear"].median
    full, frozen, momentum = _backbone_times(options)
    rows_of_table = [
        Measurement(
            f"HMA in a {name} step, R={rows} S={SLOTS}, batch {size}, fp32: {1000 * added:.0f} ms more than linear",
            f"ViT-B/32 {name} step with a linear head: {base}",
            f"{added / base.median:.2%}",
            f"at most {limit:.0%}",
            added / base.median <= limit,
        )
        for name, base, limit in (("full", full, 0.02), ("head-only", frozen, 0.05))
    ]
    share = momentum.median / full.median
    note = "not in the row above; the method asks for one forward pass a step, without a graph"
    return [
        *rows_of_table,
        Measurement(f"momentum encoder, update and forward: {momentum}", "the same full step", f"{share:.0%} ({note})"),
    ]


def _backbone_times(options: Options) -> tuple[Times, Times, Times]:
    """Times of a full step, of a step with the backbone frozen, and of the momentum encoder."""
    torch.manual_seed(0)
    name = "vit_tiny_patch16_224" if options.quick else "vit_base_patch32_224"
    side = options.size(224, 32)
    backbone = create_backbone(
        ModelConfig(name=name, pretrained=False, image_size=side), image_size=side, tokens=TokensConfig()
    )
    size = options.size(BATCH, 8)
    images, labels = torch.randint(256, (size, 3, side, side), dtype=torch.uint8), torch.randint(CLASSES, (size,))
    classifier = nn.Linear(backbone.width, CLASSES)
    whole = nn.Sequential(backbone, classifier)
    full_optimizer, head_optimizer = sgd(whole), sgd(classifier)
    copy = MomentumEncoder(backbone, 0.999)

    def full_step() -> None:
        nn.functional.cross_entropy(whole(images), labels).backward()
        full_optimizer.step()
        full_optimizer.zero_grad()

    def head_step() -> None:
        with torch.no_grad():
            features = backbone(images)
        nn.functional.cross_entropy(classifier(features), labels).backward()
        head_optimizer.step()
        head_optimizer.zero_grad()

    def momentum_step() -> None:
        copy.update(backbone)
        copy(images)

    times = interleaved({"full": full_step, "frozen": head_step, "momentum": momentum_step}, repeats=options.size(3, 2))
    return times["full"], times["frozen"], times["momentum"]


def _large_memory(options: Options) -> list[Measurement]:
    """The head's part of a training step with a small and with a large memory."""
    size, few, many = options.size(BATCH, 8), options.size(ROWS, 32), options.size(MANY_ROWS, 256)
    features, labels, ids = batch(size)
    steps = {}
    for rows in (few, many):
        head = filled_head(rows)
        steps[str(rows)] = training_step(head, features, labels, ids, sgd(head))
    times = interleaved(steps, repeats=options.size(5, 2))
    factor, text = ratio(times[str(many)], times[str(few)])
    return [
        Measurement(
            f"HMA head's part of a step, R={many}, batch {size}: {times[str(many)]}",
            f"the same with R={few}: {times[str(few)]}",
            f"{text} the time for {many // few} x the rows",
            "at most 10 x",
            factor <= 10,
        )
    ]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
