"""torch's generators, set anew for whatever is about to draw from them."""

import torch

from hma_ft.seeds import derive_seed


def seed_torch(*parts: int | str) -> None:
    """Set torch's generators, of the CPU and of all GPUs, from these parts.

    The training loop calls it for each forward pass, so that dropout at a step does not depend on what ran before,
    and a continued run needs no saved generator state.
    """
    seed = derive_seed(*parts)
    # torch.manual_seed does the same, and for each kind of device that is absent it keeps the formatted stack of the
    # caller, for the day that one is there: nearly half of what a step on stored features takes
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
