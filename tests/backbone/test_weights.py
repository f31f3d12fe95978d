"""Local weights in every format: read exactly, or refused with every key named."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from hma_ft.backbone import Backbone, create_backbone
from hma_ft.backbone.weights import load_weights
from hma_ft.config.schema import ModelConfig, TokensConfig
from hma_ft.errors import UserError

DEIT = "deit_tiny_patch16_224"
NO_TOKENS = TokensConfig()


def deit_file(shared: Path) -> Path:
    return shared / "data" / "weights" / f"{DEIT}.pth"


def test_real_weights_give_timms_features(shared: Path) -> None:
    path = deit_file(shared)
    reference = timm.create_model(DEIT).eval()
    reference.load_state_dict(torch.load(path, weights_only=True), strict=True)
    reference.reset_classifier(0)
    backbone = create_backbone(ModelConfig(name=DEIT, weights=str(path)), image_size=224, tokens=NO_TOKENS).eval()
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), reference((images / 255 - mean) / std), rtol=1e-4, atol=1e-4)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 5_717_416 - 192 * 1000 - 1000


@pytest.mark.parametrize("image_size", [64, 128, 384])
def test_positions_are_interpolated_as_timm_does(image_size: int, shared: Path) -> None:
    state = torch.load(deit_file(shared), weights_only=True)
    config = ModelConfig(name=DEIT, weights=str(deit_file(shared)))
    backbone = create_backbone(config, image_size=image_size, tokens=NO_TOKENS).eval()
    grid = image_size // 16
    expected = resample_abs_pos_embed(state["pos_embed"], new_size=[grid, grid], num_prefix_tokens=1)
    assert torch.equal(backbone.vit.pos_embed, expected)
    assert torch.equal(backbone.vit.blocks[11].mlp.fc2.weight, state["blocks.11.mlp.fc2.weight"])
    if image_size <= 128:
        assert backbone(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8)).isfinite().all()


def test_the_hub_path_reads_the_same_weights_and_is_strict(shared: Path) -> None:
    # timm reads the hub's file from a place of our own: all but the download itself.
    source = {"pretrained_cfg_overlay": {"file": str(deit_file(shared))}}
    hub = create_backbone(ModelConfig(name=DEIT, options=source), image_size=64, tokens=NO_TOKENS)
    local = create_backbone(ModelConfig(name=DEIT, weights=str(deit_file(shared))), image_size=64, tokens=NO_TOKENS)
    assert hub.state_dict().keys() == local.state_dict().keys()
    assert all(torch.equal(value, local.state_dict()[key]) for key, value in hub.state_dict().items())
    with pytest.raises(UserError, match=r"do not fit model.options.*reg_token") as refused:
        create_backbone(ModelConfig(name=DEIT, options=source | {"reg_tokens": 2}), image_size=64, tokens=NO_TOKENS)
    assert "\n" not in str(refused.value)


def wrapped(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict": {f"module.{k}": v for k, v in state.items()}}


def ema(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"state_dict": {k: torch.zeros_like(v) for k, v in state.items()}, "state_dict_ema": state}


FORMS: dict[str, Callable[[dict[str, Tensor]], dict[str, Any]]] = {
    "bare": lambda state: state,
    "model": lambda state: {"model": state, "optimizer": {}},
    "ddp": wrapped,
    "ema": ema,
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "compiled within ddp": lambda state: {f"module._orig_mod.{k}": v for k, v in state.items()},
}


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
@pytest.mark.parametrize("form", FORMS)
def test_checkpoints_of_every_form(form: str, suffix: str, micro: Callable[..., Backbone], tmp_path: Path) -> None:
    trained = micro().vit
    state = trained.state_dict() | {"head.weight": torch.ones(7, 24), "head.bias": torch.ones(7)}
    path = tmp_path / f"weights{suffix}"
    torch.save(FORMS[form](state), path)
    fresh = micro().vit
    load_weights(fresh, path)
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in fresh.state_dict().items())


def test_safetensors_and_memory_tokens(micro: Callable[..., Backbone], tmp_path: Path) -> None:
    trained = micro("standard").vit
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "tokens.safetensors")
    fresh = micro("standard").vit
    load_weights(fresh, tmp_path / "tokens.safetensors")
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in fresh.state_dict().items())
    with pytest.raises(UserError, match=r"3 keys not in the model: blocks.0.added_mem, blocks.1.added_mem"):
        load_weights(micro().vit, tmp_path / "tokens.safetensors")


def test_memory_tokens_of_their_own_beside_weights_without_them(micro: Callable[..., Backbone], tmp_path: Path) -> None:
    trained = micro().vit
    torch.save(trained.state_dict(), tmp_path / "plain.pth")
    fresh = micro("prop").vit
    tokens = fresh.blocks[0].added_mem.clone()
    load_weights(fresh, tmp_path / "plain.pth")
    assert torch.equal(fresh.blocks[0].added_mem, tokens)
    assert torch.equal(fresh.patch_embed.proj.weight, trained.patch_embed.proj.weight)


def test_distilled_weights_and_layer_scale_under_the_names_of_deit(tmp_path: Path) -> None:
    cases = {"deit_tiny_distilled_patch16_224": {}, "deit3_small_patch16_224": {"ls1.gamma": "gamma_1"}}
    for name, rename in cases.items():
        trained = timm.create_model(name, depth=1, img_size=32)
        state = trained.state_dict()
        for new, old in rename.items():
            state = {key.replace(new, old): value + 1 for key, value in state.items()}
            trained.load_state_dict({key.replace(old, new): value for key, value in state.items()})
        torch.save({"model": state}, tmp_path / "deit.pth")
        config = ModelConfig(name=name, weights=str(tmp_path / "deit.pth"), options={"depth": 1})
        backbone = create_backbone(config, image_size=32, tokens=NO_TOKENS)
        assert all(torch.equal(value, trained.state_dict()[key]) for key, value in backbone.vit.state_dict().items())


def test_every_key_that_does_not_fit_is_listed(micro: Callable[..., Backbone], tmp_path: Path) -> None:
    state = micro().vit.state_dict()
    state["blocks.0.extra.weight"] = state.pop("blocks.2.norm1.weight")
    del state["norm.bias"]
    state["blocks.1.mlp.fc1.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "other.pth")
    vit = micro().vit
    before = {key: value.clone() for key, value in vit.state_dict().items()}
    with pytest.raises(UserError) as refused:
        load_weights(vit, tmp_path / "other.pth")
    message = str(refused.value)
    assert "2 keys missing in the file: blocks.2.norm1.weight, norm.bias" in message
    assert "1 keys not in the model: blocks.0.extra.weight" in message
    assert "1 keys of another shape: blocks.1.mlp.fc1.bias [5] instead of [96]" in message
    assert "\n" not in message
    assert all(torch.equal(value, before[key]) for key, value in vit.state_dict().items())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_small_patch16_224", r"keys of another shape: .*patch_embed.proj.bias \[192\] instead of \[384\]"),
        ("deit_tiny_distilled_patch16_224", r"missing in the file: dist_token"),
        ("eva02_tiny_patch14_224", r"not in the model: .*blocks.0.attn"),
    ],
)
def test_weights_of_another_architecture(name: str, message: str, shared: Path) -> None:
    config = ModelConfig(name=name, weights=str(deit_file(shared)))
    with pytest.raises(UserError, match=message):
        create_backbone(config, image_size=224, tokens=NO_TOKENS)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BROKEN: dict[str, Callable[[Path], object]] = {
    "cut short": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "html": lambda path: path.write_text("<html><body>404 not found</body></html>"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("damage", BROKEN)
def test_broken_files_are_refused_by_name(
    suffix: str, damage: str, micro: Callable[..., Backbone], tmp_path: Path
) -> None:
    vit, path = micro().vit, tmp_path / f"broken{suffix}"
    match suffix:
        case ".pth":
            torch.save(vit.state_dict(), path)
        case ".safetensors":
            safetensors.torch.save_file(vit.state_dict(), path)
        case ".npz":
            np.savez(path, **jax_arrays(vit))
    BROKEN[damage](path)
    with pytest.raises(UserError, match=rf"model.weights={path}: cannot be read") as refused:
        load_weights(vit, path)
    assert "\n" not in str(refused.value)


class Payload:
    """Unpickling an instance would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("unpickled"),)


def test_other_contents_are_refused(
    micro: Callable[..., Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vit = micro().vit
    for content, message in (
        (torch.zeros(3), "cannot be read"),
        ([1, 2], "cannot be read"),
        ({"epoch": 3}, "holds no weights; its keys are epoch"),
        ({"model": Payload()}, "cannot be read"),
    ):
        torch.save(content, "other.pth")
        with pytest.raises(UserError, match=message):
            load_weights(vit, Path("other.pth"))
    assert not Path("unpickled").exists()
    with pytest.raises(UserError, match=r"model\.weights=absent\.pth: no such file"):
        load_weights(vit, Path("absent.pth"))
    Path("weights.bin").touch()
    with pytest.raises(UserError, match=r"weights.bin: unknown format; use .pth, .pt, .safetensors or .npz"):
        load_weights(vit, Path("weights.bin"))


def jax_arrays(vit: torch.nn.Module, heads: int = 4) -> dict[str, np.ndarray]:
    """The weights of a Vision Transformer in the layout of the augreg releases (kernels [in, out], heads apart)."""
    state = {key: value.detach().numpy() for key, value in vit.state_dict().items()}
    width = state["cls_token"].shape[-1]
    arrays = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": np.zeros((width, 21843), np.float32),
        "head/bias": np.zeros(21843, np.float32),
    }
    for index in range(len(vit.blocks)):
        here, block = f"Transformer/encoderblock_{index}", f"blocks.{index}"
        attention = f"{here}/MultiHeadDotProductAttention_1"
        kernels = state[f"{block}.attn.qkv.weight"].reshape(3, heads, -1, width)
        biases = state[f"{block}.attn.qkv.bias"].reshape(3, heads, -1)
        for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
            arrays[f"{attention}/{part}/kernel"] = kernel.transpose(2, 0, 1)
            arrays[f"{attention}/{part}/bias"] = bias
        arrays[f"{attention}/out/kernel"] = state[f"{block}.attn.proj.weight"].T.reshape(heads, -1, width)
        arrays[f"{attention}/out/bias"] = state[f"{block}.attn.proj.bias"]
        for theirs, ours in ((0, 1), (2, 2)):
            arrays[f"{here}/LayerNorm_{theirs}/scale"] = state[f"{block}.norm{ours}.weight"]
            arrays[f"{here}/LayerNorm_{theirs}/bias"] = state[f"{block}.norm{ours}.bias"]
        for dense in (0, 1):
            arrays[f"{here}/MlpBlock_3/Dense_{dense}/kernel"] = state[f"{block}.mlp.fc{dense + 1}.weight"].T
            arrays[f"{here}/MlpBlock_3/Dense_{dense}/bias"] = state[f"{block}.mlp.fc{dense + 1}.bias"]
    return arrays


def test_jax_weights(micro: Callable[..., Backbone], images: Tensor, tmp_path: Path) -> None:
    trained = micro()
    path = tmp_path / "augreg.npz"
    np.savez(path, **jax_arrays(trained.vit))
    fresh = micro("prop")
    load_weights(fresh.vit, path)
    for key, value in trained.vit.state_dict().items():
        assert torch.equal(fresh.vit.state_dict()[key], value), key
    larger = micro(image_size=64)
    load_weights(larger.vit, path)
    assert larger.vit.pos_embed.shape == (1, 65, 24)
    assert larger(torch.zeros(1, 3, 64, 64)).isfinite().all()


def test_jax_weights_that_do_not_fit_are_listed(micro: Callable[..., Backbone], tmp_path: Path) -> None:
    path = tmp_path / "augreg.npz"
    np.savez(path, **jax_arrays(micro().vit))
    for options, message in (
        ({"depth": 2}, r"1 keys not in the model: encoderblock_2"),
        ({"depth": 4}, r"encoderblock_3/"),
        ({"init_values": 0.1}, r"6 keys missing in the file: blocks.0.ls1.gamma"),
        ({"embed_dim": 32}, r"cannot be read as weights of this model"),
    ):
        with pytest.raises(UserError, match=message):
            load_weights(micro(**options).vit, path)
    with pytest.raises(UserError, match=r"eva02_tiny_patch14_224 reads no .npz"):
        create_backbone(ModelConfig(name="eva02_tiny_patch14_224", weights=str(path)), image_size=28, tokens=NO_TOKENS)
