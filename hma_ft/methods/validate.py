"""Whether a model and a method go together, asked before data, weights or tracking are touched."""

from collections.abc import Iterator

import torch

from hma_ft.config.schema import Config, Reads
from hma_ft.errors import UserError
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_untrained

ANY_CLASSES = 2  # the data set, which knows their number, isn't read yet


def model_problems(config: Config) -> list[str]:
    """Why backbone and method can't be built or trained as configured, a line each; empty if they can.

    What only timm knows (names, widths, patch sizes) is found by building both without memory for their weights.
    """
    try:
        with torch.device("meta"):
            method = create_untrained(config, ANY_CLASSES)
    except UserError as error:
        return [str(error)]
    return list(_contradictions(method, config))


def _contradictions(method: Method, config: Config) -> Iterator[str]:
    """Settings that this method can't do with."""
    if method.requires_training and Reads.training not in config.method.reads:
        reads = ",".join(group.value for group in config.method.reads)
        yield (
            f"method.reads=[{reads}]: method={config.method.name} has parameters that train, so optimizer and steps "
            "count: add training, or freeze what trains"
        )
    if config.trainer.grad_accumulation > 1 and method.needs_whole_batch:
        yield (
            f"trainer.grad_accumulation={config.trainer.grad_accumulation} would narrow what an image of "
            f"method={config.method.name} attends to, from its batch to a micro-batch: set it to 1; "
            "trainer.grad_checkpointing=true saves memory, and several processes share a batch"
        )
