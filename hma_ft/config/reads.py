"""Which settings a run reads. What it never reads can't change its result, so it is no part of what the run is.

A run is done, recorded and identified with every such setting at its default: two commands that differ in nothing else
are one run, and no method sees a value that its fingerprint doesn't count. A setting that is in no rule is read.

The seed is read by every method, `knn` among them: it draws the weights of a backbone that isn't pretrained, and a
sweep over seeds expects a run a seed.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from typing import Any, NamedTuple

from hma_ft.config.schema import Config, Corruption, Reads, TokenType

# What steps are made of. The views of training are drawn from `augment`; evaluation reads its other settings.
TRAINING = (
    "optimizer",
    "scheduler",
    "trainer.max_steps",
    "trainer.batch_size",
    "trainer.grad_accumulation",
    "trainer.eval_every",
    "trainer.select",
    "trainer.patience",
    "trainer.sampling",
    "trainer.class_weights",
    "trainer.logit_adjustment",
    "trainer.grad_checkpointing",
    "trainer.clip_grad_norm",
    "trainer.ema_decay",
    "augment.crop_scale",
    "augment.crop_ratio",
    "augment.flip",
    "augment.affine_degrees",
    "augment.affine_translate",
    "augment.affine_scale",
    "augment.auto_augment",
    "augment.randaugment_ops",
    "augment.randaugment_magnitude",
    "augment.random_erasing",
    "augment.views",
    "augment.mixup_alpha",
    "augment.cutmix_alpha",
    "augment.label_smoothing",
)


COMPILE = "trainer.compile"
# A graph of a block takes some ten seconds to compile, a step of a ViT some tenths of one, of which it saves a part.
COMPILED_STEPS = 50


class Unread(NamedTuple):
    """Settings, or whole groups of them, that no run reads for which the condition holds."""

    when: Callable[[Config], bool]
    keys: tuple[str, ...]
    reason: str = ""  # where it is not plain


RULES = (
    Unread(lambda c: Reads.training not in c.method.reads, TRAINING),
    Unread(lambda c: Reads.hma not in c.method.reads, ("method.hma",)),
    Unread(lambda c: c.optimizer.name != "sgd", ("optimizer.momentum",)),
    Unread(
        lambda c: c.augment.auto_augment != "randaugment", ("augment.randaugment_ops", "augment.randaugment_magnitude")
    ),
    Unread(lambda c: c.dataset.test_corruption is Corruption.none, ("dataset.corruption_severity",)),
    Unread(lambda c: c.method.tokens.type is TokenType.none, ("method.tokens.number",)),
    Unread(
        lambda c: c.method.hma.real.size == 0,
        # not exclude_self, which holds for the support set too
        tuple(f"method.hma.real.{name}" for name in ("momentum", "start", "update", "mask_unfilled", "store")),
    ),
    Unread(lambda c: c.method.hma.synthetic.slots == 0, ("method.hma.synthetic.init",)),
    # not inference, which names the figures
    Unread(lambda c: not c.method.hma.batch_attention, ("method.hma.train_context", "method.hma.support_size")),
    Unread(lambda c: c.method.hma.top_k is None, ("method.hma.renormalise_top_k",)),
    Unread(
        lambda c: Reads.training in c.method.reads and c.trainer.max_steps < COMPILED_STEPS,
        (COMPILE,),
        f"fewer than {COMPILED_STEPS} steps don't win back the time that compiling takes",
    ),
)


def as_read(config: Config) -> Config:
    """Return the configuration with the settings that its run never reads at their defaults."""
    found, defaults = copy.deepcopy(config), Config()
    for rule in RULES:
        if rule.when(found):
            for key in rule.keys:
                _copy_setting(key, defaults, found)
    return found


def unread(config: Config, given: Iterable[str]) -> list[str]:
    """The settings among those given whose value the run never reads, in the order of their names, with the reason.

    Compilation is among them unasked: a group of settings switches it on.
    """
    read = as_read(config)
    reasons = {key: f" ({rule.reason})" for rule in RULES if rule.reason and rule.when(config) for key in rule.keys}
    names = sorted(key for key in {*given, COMPILE} if _value(key, read) != _value(key, config))
    return [name + reasons.get(name, "") for name in names]


def _value(key: str, config: Config) -> Any:
    """A setting; None of a name that stands for a group or for no setting."""
    node: Any = config
    for name in key.split("."):
        node = getattr(node, name, None)
    return None if is_dataclass(node) else node


def _copy_setting(key: str, source: Any, target: Any) -> None:
    *groups, name = key.split(".")
    for group in groups:
        source, target = getattr(source, group), getattr(target, group)
    setattr(target, name, getattr(source, name))
