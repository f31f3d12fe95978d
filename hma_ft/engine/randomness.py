"""torch's generators, set anew for whatever is about to draw from them."""

import torch

from hma_ft.seeds import derive_seed


def seed_torch(*parts: int | str) -> None:
    """Set torch's generators, of the CPU and of all GPUs, from these parts.

    The training loop calls it for each forward pass, so that dropout at a step does not depend on what ran before,
    and a continued run needs no saved generator state.
    """
    torch.manual_seed(derive_seed(*parts))
