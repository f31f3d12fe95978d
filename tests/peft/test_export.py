"""Exports: merged weights as plain timm, an adapter folder for peft, our own layout for what stays added, ONNX."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from peft import PeftModel
from torch import Tensor

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config
from hma_ft.data.transforms import EvalTransform
from hma_ft.export.onnx_graph import onnx_difference, write_onnx
from hma_ft.export.own_layout import load_own_layout, write_own_layout
from hma_ft.export.peft_adapter import fits_peft, write_peft_adapter
from hma_ft.export.timm_layout import fits_timm, timm_difference, write_timm_layout
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_method
from tests.config.test_compose import composed
from tests.peft.conftest import NAMES, disturb

CLASSES = ["zero", "one", "two"]
PLAIN = {"bitfit", "layernorm", "partial", "class_token"}  # timm's own weights
MERGED = {"lora", "dora", "ssf"}
Build = Callable[..., tuple[Method, Config]]


@pytest.fixture
def build() -> Build:
    """A method whose backbone and head have moved, on a small ViT, and its configuration."""

    def built(*overrides: str) -> tuple[Method, Config]:
        config = composed("model=vit_micro", "augment=digits", "method.hma.heads=2", *overrides)
        backbone = create_backbone(config.model, image_size=16, tokens=config.method.tokens, peft=config.method.peft)
        method = create_method(config.method, backbone, len(CLASSES), soft_labels=False).eval()
        disturb(backbone)
        return method, config

    return built


@pytest.fixture
def images() -> Tensor:
    """uint8 [6, 3, 16, 16]."""
    return torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def logits(method: Method, images: Tensor) -> Tensor:
    with torch.no_grad():
        return method(images).logits


@pytest.mark.parametrize("name", sorted(PLAIN | MERGED))
def test_plain_timm_loads_the_merged_weights(name: str, build: Build, images: Tensor, tmp_path: Path) -> None:
    method, config = build("method=head", f"method/peft={name}")
    expected = logits(method, images)
    assert fits_timm(method, config.model)
    method.backbone.merge()
    transform = EvalTransform(16, crop_ratio=1.0, interpolation="bicubic")
    write_timm_layout(tmp_path, method, model=config.model, transform=transform, class_names=CLASSES)
    assert timm_difference(tmp_path, method, images) < 1e-6
    vit = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    with torch.no_grad():
        plain = vit((images / 255 - 0.5) / 0.5)
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - PLAIN - MERGED))
def test_the_rest_is_not_plain_timm_and_loads_in_our_layout(
    name: str, build: Build, images: Tensor, tmp_path: Path
) -> None:
    method, config = build("method=head", f"method/peft={name}")
    assert not fits_timm(method, config.model)
    assert_same_in_our_layout(method, config, images, tmp_path)


@pytest.mark.parametrize("name", ["hma_lora", "hma_vpt", "hma_adapter"])
def test_hma_over_adapted_features_in_our_layout(name: str, build: Build, images: Tensor, tmp_path: Path) -> None:
    method, config = build(f"method={name}")
    assert not fits_timm(method, config.model) and not fits_peft(method)
    assert_same_in_our_layout(method, config, images, tmp_path)


def assert_same_in_our_layout(method: Method, config: Config, images: Tensor, folder: Path) -> None:
    transform = EvalTransform(16, crop_ratio=1.0, interpolation="bicubic")
    write_own_layout(folder, method, config=config, transform=transform, class_names=CLASSES)
    loaded = load_own_layout(folder)
    assert torch.equal(logits(loaded.method, images), logits(method, images))


@pytest.mark.parametrize("targets", ["[qkv]", "[q,v]", "[q,k,v]"])
@pytest.mark.parametrize("name", ["lora", "dora"])
def test_peft_loads_the_adapter_folder_onto_the_timm_model(
    name: str, targets: str, build: Build, images: Tensor, tmp_path: Path
) -> None:
    method, config = build(f"method={name}", f"method.peft.options.targets={targets}", "method.peft.options.alpha=3")
    assert fits_peft(method)
    written = write_peft_adapter(tmp_path, method, model=config.model, images=images)
    assert written.difference is not None and written.difference < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}

    vit = timm.create_model(config.model.name.partition(".")[0], img_size=16, num_classes=3, **config.model.options)
    known = vit.state_dict().keys()
    pretrained = {key: value for key, value in method.backbone.vit.state_dict().items() if key in known}
    vit.load_state_dict(pretrained, strict=False)
    with torch.no_grad():
        loaded = PeftModel.from_pretrained(vit, str(tmp_path)).eval()((images / 255 - 0.5) / 0.5)
    torch.testing.assert_close(loaded, logits(method, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "overrides",
    [
        ["method=adapter"],
        ["method=head"],
        ["method=lora", "method.class_token=true"],
        ["method=lora", "method.tokens.type=prop"],
        ["method=mlp_head", "method/peft=lora"],
        ["method=lora", "model.name=beit_base_patch16_224"],  # peft's layer would be passed over in silence
        ["method=lora", "model.name=eva02_tiny_patch14_224", "model.options.patch_size=8"],
    ],
    ids=" ".join,
)
def test_what_peft_cannot_hold_is_not_written_for_it(overrides: list[str], build: Build) -> None:
    method, _ = build(*overrides)
    assert not fits_peft(method)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lora", "vpt_deep", "adapter", "adaptformer", "adapter_plus", "ssf"])
def test_onnx_graphs(name: str, build: Build, images: Tensor, tmp_path: Path) -> None:
    method, _ = build(f"method={name}")
    expected = logits(method, images).numpy()
    merged = copy.deepcopy(method)
    merged.backbone.merge()
    write_onnx(tmp_path / "model.onnx", merged, "alone", images=images, facts={})
    assert onnx_difference(tmp_path / "model.onnx", merged, "alone", images) < 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"images": images.numpy()})[0], expected, atol=1e-5)
