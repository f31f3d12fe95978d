"""Everything random as a pure function of what it belongs to."""

import hashlib
import json

import torch


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits from (seed, what for, step, ...): equal parts give equal seeds, others unrelated ones."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_torch(*parts: int | str) -> None:
    """Set torch's generators, of the CPU and of all GPUs, from these parts.

    The training loop calls it for each forward pass, so that dropout at a step does not depend on what ran before,
    and a continued run needs no saved generator state.
    """
    torch.manual_seed(derive_seed(*parts))
