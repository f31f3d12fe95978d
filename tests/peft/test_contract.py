"""What every method of conf/method/peft promises: one test for all of them, here and on every kind of ViT."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import OptimizerConfig
from hma_ft.engine.optimizer import parameter_groups
from hma_ft.engine.state import trainable_state_dict
from hma_ft.errors import UserError
from hma_ft.methods.linear import Linear
from tests.peft.conftest import (
    MODELS,
    NAMES,
    VIT,
    Make,
    bare,
    disturb,
    features_of,
    method_config,
    trainable,
)

Images = Callable[[Backbone], Tensor]
# At the start the model with these isn't the bare one; SSF is for gamma 1 and beta 0, tested in test_ssf.
CHANGED_AT_START = {"adapter_plus", "ssf", "tokens_prop", "tokens_standard", "vpt_deep", "vpt_shallow"}
MERGEABLE = {"lora", "dora", "ssf"}
BIASES_APART = ("beit_base_patch16_224", "eva02_tiny_patch14_224")  # of the fused layer, which timm doesn't call
REFUSED = {
    "beit_base_patch16_224": {"tokens_prop", "tokens_standard", "vpt_deep", "vpt_shallow"},
    "eva02_base_patch14_224": {"lora", "dora"},  # with targets=[qkv]; see test_low_rank
    "vit_small_patch16_18x2_224": {"adapter", "adaptformer"},
    "vit_base_patch16_xp_224": {"adapter", "adaptformer", "lora", "dora"},
    "vit_medium_patch16_gap_240": {"class_token"},
    "vit_base_patch16_siglip_224": {"class_token"},
    "aimv2_large_patch14_224": {"class_token"},
    "vit_dwee_patch16_reg1_gap_256": {"class_token"},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_start_is_the_bare_model_bit_for_bit_where_promised(name: str, make: Make, images: Images) -> None:
    backbone = make(name).float()  # as it is built
    images = images(backbone).float()
    unchanged = torch.equal(backbone(images), features_of(bare(backbone).float(), images))
    assert unchanged == (name not in CHANGED_AT_START)


@pytest.mark.parametrize("name", NAMES)
def test_exactly_what_it_names_gets_a_gradient(name: str, make: Make, images: Images) -> None:
    backbone = make(name)
    disturb(backbone)
    backbone(images(backbone)).square().sum().backward()
    graded = {key for key, value in backbone.vit.named_parameters() if value.grad is not None}
    named = backbone.tokens.trainable | backbone.peft.trainable or {"cls_token"}
    assert graded == set(trainable(backbone)) == named
    assert all(value.grad.abs().max() > 0 for key, value in trainable(backbone).items())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_vit_reads_what_trains_or_is_refused_in_one_line(
    name: str, model: str, make: Make, images: Images
) -> None:
    if name in REFUSED.get(model, ()):
        with pytest.raises(UserError, match=r"^method\.") as refused:
            make(name, model)
        assert "\n" not in str(refused.value)
        return
    backbone = make(name, model)
    images = images(backbone)
    if name not in CHANGED_AT_START:  # to rounding: some models add biases of the fused layer apart
        torch.testing.assert_close(backbone(images), features_of(bare(backbone), images), rtol=0, atol=1e-6)
    disturb(backbone)
    backbone(images).square().sum().backward()
    unread = [key for key, value in trainable(backbone).items() if value.grad is None]
    assert not unread
    flat = [key for key, value in trainable(backbone).items() if value.grad.abs().max() < 1e-13]
    # what only shifts all keys is invisible to a softmax; a ReLU in a hybrid's stem may be shut
    assert all("k_norm" in key or "patch_embed.backbone" in key for key in flat)


@pytest.mark.parametrize("name", NAMES)
def test_timms_names_stay_and_weights_load_before_and_after(name: str, make: Make, tmp_path: Path) -> None:
    plain = {key: torch.randn(value.shape) for key, value in bare(make(name)).state_dict().items()}
    torch.save(plain, tmp_path / "weights.pth")
    before = make(name, weights=tmp_path / "weights.pth").vit
    after = make(name).vit
    missing, unexpected = after.load_state_dict(plain, strict=False)
    assert not unexpected
    added = set(after.state_dict()) - set(plain)
    assert set(missing) == added
    assert added == set(before.state_dict()) - set(plain)
    for vit in (before, after):
        assert all(torch.equal(vit.state_dict()[key], value.double()) for key, value in plain.items())


@pytest.mark.parametrize("model", [VIT, "deit_tiny_distilled_patch16_224", *BIASES_APART])
@pytest.mark.parametrize("name", sorted(MERGEABLE))
def test_merged_is_unmerged(name: str, model: str, make: Make, images: Images) -> None:
    backbone = make(name, model)
    if name == "ssf" and model in BIASES_APART:
        assert backbone.peft.merge is None  # keys have no bias that could take up a shift
        return
    disturb(backbone)
    images = images(backbone)
    expected = backbone(images)
    twin = copy.deepcopy(backbone)
    twin.merge()
    assert twin.vit.state_dict().keys() == bare(backbone).state_dict().keys()
    torch.testing.assert_close(features_of(bare(twin), images), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(twin(images), expected, rtol=0, atol=1e-10)
    assert torch.equal(backbone(images), expected)  # the copy's weights were merged, not the original's
    assert not torch.allclose(features_of(bare(backbone), images), expected, rtol=0, atol=1e-3)


def test_the_others_have_nothing_to_merge(make: Make) -> None:
    assert {name for name in NAMES if make(name).peft.merge is not None} == MERGEABLE


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_reads_its_own(name: str, make: Make, images: Images) -> None:
    backbone = make(name)
    images = images(backbone)
    before = backbone(images)
    twin = copy.deepcopy(backbone)
    disturb(twin)
    assert torch.equal(backbone(images), before)
    assert not torch.allclose(twin(images), before)
    twin.train()
    assert not any(module.training for module in backbone.modules())


@pytest.mark.parametrize("name", NAMES)
def test_only_what_was_added_is_in_train_mode(name: str, make: Make, images: Images) -> None:
    backbone = make(name, VIT, "model.drop_path_rate=0.5", "method.peft.drop_path=0.5")
    disturb(backbone)
    images = images(backbone)
    assert torch.equal(backbone(images), backbone(images))
    backbone.train()
    assert not backbone.vit.training and not backbone.vit.blocks[0].attn.training
    inside = {id(part) for module in (*backbone.tokens.modules, *backbone.peft.modules) for part in module.modules()}
    assert inside and {id(module) for module in backbone.modules() if module.training} == inside
    assert not torch.equal(backbone(images), backbone(images))  # drop path of the frozen backbone
    backbone.eval()
    assert not any(module.training for module in backbone.modules())


@pytest.mark.parametrize("name", NAMES)
def test_gradient_checkpointing_changes_no_number(name: str, make: Make, images: Images) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = make(name, checkpointing=checkpointing).train()
        disturb(backbone)
        torch.manual_seed(1)  # the same elements and paths are dropped
        backbone(images(backbone)).square().sum().backward()
        gradients.append({key: value.grad for key, value in trainable(backbone).items()})
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_into_one_graph(name: str, make: Make, images: Images) -> None:
    backbone = make(name)
    disturb(backbone)
    torch._dynamo.reset()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images(backbone)), backbone(images(backbone)))
    compiled(images(backbone)).square().sum().backward()
    assert all(value.grad is not None for value in trainable(backbone).values())


@pytest.mark.parametrize("name", NAMES)
def test_bf16_and_channels_last_are_near_double_precision(name: str, make: Make, images: Images) -> None:
    backbone = make(name)
    disturb(backbone)
    expected = backbone(images(backbone))
    single = copy.deepcopy(backbone).float().to(memory_format=torch.channels_last)
    images = images(backbone).float().contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(single(images).double(), expected, rtol=0, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half = single(images)
        half.float().square().sum().backward()
    assert (half.double() - expected).abs().max() < 0.1 * expected.abs().max()
    assert all(value.grad.isfinite().all() for value in trainable(single).values())


@pytest.mark.parametrize("name", NAMES)
def test_saved_is_what_trains_and_the_head(name: str, make: Make) -> None:
    backbone = make(name)
    method = Linear(backbone, 5, method_config(name), False)
    expected = {f"backbone.vit.{key}" for key in trainable(backbone)} | {"head.weight", "head.bias"}
    assert set(trainable_state_dict(method)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_decays_is_matrices_and_rates_fall_with_the_layer(name: str, make: Make) -> None:
    backbone = make(name)
    method = Linear(backbone, 5, method_config(name), False)
    groups = parameter_groups(method, OptimizerConfig(name="adamw", weight_decay=0.5, layer_decay=0.5))
    found = {id(p): (group["weight_decay"], group["lr_scale"]) for group in groups for p in group["params"]}
    names = trainable(backbone)
    assert len(found) == len(names) + 2
    for key, value in names.items():
        decay, scale = found[id(value)]
        token = key.endswith(("added_mem", "prompts", "cls_token"))
        assert decay == (0.5 if value.ndim > 1 and not token else 0.0), key
        layer = int(key.split(".")[1]) + 1 if key.startswith("blocks.") else 2 if key.startswith("norm") else 0
        assert scale == 0.5 ** (3 - layer), key


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_with_memory_tokens_and_class_token(name: str, make: Make, images: Images) -> None:
    backbone = make(name, VIT, "method.tokens.type=standard", "method.tokens.number=3", "method.class_token=true")
    images = images(backbone)
    lengths: list[int] = []
    for block in backbone.vit.blocks:
        block.norm1.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    backbone.vit.norm.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    disturb(backbone)
    backbone(images).square().sum().backward()
    prompts = 10 if name.startswith("vpt") else 0
    assert lengths == [5 + 3 + prompts, 5 + 3 + prompts, 5]
    assert {"cls_token", "blocks.0.added_mem", "blocks.1.added_mem"} <= set(trainable(backbone))
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in trainable(backbone).values())


@pytest.mark.parametrize("name", NAMES)
def test_initial_values_are_a_function_of_the_seed(name: str, make: Make) -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append({key: value.detach() for key, value in make(name).vit.named_parameters()})
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_the_models_are_of_every_kind_that_is_accepted(make: Make) -> None:
    kinds = {type(make("none", model).vit.blocks[0]).__name__ for model in MODELS}
    assert kinds >= {"Block", "EvaBlock", "ParallelThingsBlock", "ParallelScalingBlock"}
    assert isinstance(make("none").vit, nn.Module)
