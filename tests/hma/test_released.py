"""Agreement with exact numbers of the released implementation, float64."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hma_ft.hma import released

SETTINGS = [
    "default",
    "zero_init",
    "local_only",
    "global_only",
    "datapoints_only",
    "local_and_datapoints",
    "no_momentum",
    "null_kv",
    "topk",
    "topk_renormalised",
    "temperature",
    "logits_label",
    "logits_feature",
    "one_head",
]
TOLERANCE = {"rtol": 0.0, "atol": 1e-9}


class Projection(nn.Module):
    """The encoder of the parity runs."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(10, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Setting:
    """One parity file."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.flags: dict[str, Any] = json.loads(str(self.arrays.pop("config")))

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def group(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): self[name] for name in self.arrays if name.startswith(prefix)}


def queue_of(model: released.ReleasedHMA) -> Tensor:
    memory = model.head.real_memory
    assert memory is not None
    return torch.cat([memory.features, memory.vectors], dim=1)


@pytest.mark.parametrize("name", SETTINGS)
def test_three_training_steps_agree(shared: Path, name: str) -> None:
    setting = Setting(shared / "parity" / f"{name}.npz")
    model = released.load(setting.flags, setting.group("state/"), Projection())
    model.eval()
    torch.testing.assert_close(model(setting["x_eval"]), setting["eval_before"], **TOLERANCE)

    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    for step in range(3):
        labels = setting["y"][step]
        logits = model(setting["x"][step], labels)
        loss = nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(logits, setting["train_logits"][step], **TOLERANCE)
        torch.testing.assert_close(loss, setting["train_loss"][step], **TOLERANCE)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert_gradients_agree(model, setting)
        optimizer.step()
        if setting.flags["local_mem_size"]:
            torch.testing.assert_close(queue_of(model), setting[f"queue_after/{step}"], **TOLERANCE)

    final = setting.group("final/")
    own = model.state_dict()
    for released_name in [key for key in final if not key.startswith("queue")]:
        expected = final[released_name]
        torch.testing.assert_close(
            own[released.translate(released_name)].reshape(expected.shape), expected, **TOLERANCE
        )
    model.eval()
    torch.testing.assert_close(model(setting["x_eval"]), setting["eval_after"], **TOLERANCE)


def assert_gradients_agree(model: nn.Module, setting: Setting) -> None:
    parameters = dict(model.named_parameters())
    expected = setting.group("grad/")
    assert expected
    for name, gradient in expected.items():
        own = parameters[released.translate(name)].grad
        assert own is not None, name
        torch.testing.assert_close(own.reshape(gradient.shape), gradient, **TOLERANCE)


def test_weights_that_do_not_fit_are_named(shared: Path) -> None:
    setting = Setting(shared / "parity" / "default.npz")
    state = setting.group("state/")
    state.pop("fc.bias")
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        released.load(setting.flags, state, Projection())
