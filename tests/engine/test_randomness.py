"""What is drawn depends on the parts alone, and is what torch.manual_seed would have given."""

import torch

from hma_ft.engine.randomness import seed_torch
from hma_ft.seeds import derive_seed


def drawn() -> list[torch.Tensor]:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return [torch.nn.functional.dropout(torch.ones(50, device=device), 0.5).cpu() for device in devices]


def test_the_numbers_are_those_of_manual_seed() -> None:
    torch.manual_seed(derive_seed(3, "step", 17))
    expected = drawn()
    torch.rand(5)
    seed_torch(3, "step", 17)
    assert all(map(torch.equal, drawn(), expected))
    seed_torch(3, "step", 18)
    assert not any(map(torch.equal, drawn(), expected))
