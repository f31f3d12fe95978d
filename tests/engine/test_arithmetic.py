"""What is in force is asked of torch and the module, and features computed otherwise are never taken for these."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from hma_ft.build import RunComponents, assemble, feature_stores, prepare_for_device
from hma_ft.config.schema import Config
from hma_ft.engine.arithmetic import arithmetic_in_force, library_versions
from tests.config.test_compose import composed

CPU = torch.device("cpu")


def in_force(module: nn.Module | None = None, *, half: bool = False) -> dict[str, object]:
    autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
    return arithmetic_in_force(module or nn.Conv2d(3, 4, 2), CPU, autocast)


def test_precision_memory_format_and_compilation() -> None:
    plain = in_force()
    assert plain["autocast"] == "None" and not plain["channels_last"] and not plain["compiled"]
    assert in_force(half=True) == plain | {"autocast": "torch.bfloat16"}
    assert in_force() == plain  # nothing was left switched on
    last = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert in_force(last) == plain | {"channels_last": True}
    compiled = nn.Conv2d(3, 4, 2)
    compiled.compile()
    assert in_force(compiled) == plain | {"compiled": True}


def test_threads_count_on_a_cpu_only() -> None:
    threads = torch.get_num_threads()
    assert in_force()["threads"] == threads
    try:
        torch.set_num_threads(threads + 1)
        assert in_force()["threads"] == threads + 1
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_counts_by_its_kind() -> None:
    found = arithmetic_in_force(nn.Conv2d(3, 4, 2), torch.device("cuda", 0), nullcontext())
    assert found["gpu"] == torch.cuda.get_device_name(0) and "threads" not in found
    assert found["capability"] == list(torch.cuda.get_device_capability(0))


def test_libraries_that_turn_a_file_into_features() -> None:
    assert library_versions() == {
        "torch": torch.__version__,
        **{name: version(name) for name in ("torchvision", "timm", "pillow")},
    }


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return composed("model=vit_micro", "dataset=digits", "augment=digits", "method=head", f"runs_dir={tmp_path}")


def test_a_store_belongs_to_one_way_of_computing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    components = assemble(config, accelerator)

    def folders(half: bool = False) -> set[Path]:
        autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
        stores = feature_stores(config, accelerator, components.method, components.splits, autocast=autocast)
        return {store.directory for store in stores if store is not None}

    first = folders()
    assert len(first) == 2 and folders() == first
    assert components.view_store is not None and components.view_store.directory in first
    seen = [first, folders(half=True)]
    for change in _changes(config, components, monkeypatch):
        change()
        seen.append(folders())
    assert len(set.union(*seen)) == 2 * len(seen)
    keys = [json.loads((folder / "key.json").read_text()) for folder in seen[1]]
    assert all(key["arithmetic"]["autocast"] == "torch.bfloat16" and key["format"] == 2 for key in keys)


def _changes(config: Config, components: RunComponents, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    config.trainer.channels_last = True
    labels = components.splits.description | {"train_content": "0", "test_content": "0"}
    return [
        lambda: prepare_for_device(components.method, config.trainer),
        lambda: monkeypatch.setattr("hma_ft.engine.arithmetic.version", lambda name: f"{name} 0"),
        lambda: monkeypatch.setattr("hma_ft.engine.feature_store.FORMAT", 3),
        lambda: monkeypatch.setitem(components.splits.__dict__, "description", labels),
    ]
