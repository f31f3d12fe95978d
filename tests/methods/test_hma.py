"""HMA on a backbone: what is queued, what is read, what batch mates change."""

import pytest
import torch
from torch import Tensor

from hma_ft.methods.base import LabelledFeatures, Method, MicroBatchOutput
from hma_ft.methods.hma import HMA
from tests.methods.conftest import CLASSES, Build

SWITCHES = [
    "method.hma.real.size=0",
    "method.hma.synthetic.slots=0",
    "method.hma.batch_attention=false",
    "method.hma.train_context=alone",
    "method.hma.real.update=false",
    "method.hma.real.start=train",
    "method.hma.real.mask_unfilled=false",
    "method.hma.real.store=vectors",
    "method.hma.real.exclude_self=false",
    "method.hma.real.momentum=0",
    "method.hma.synthetic.init=zeros",
    "method.hma.logits_from=feature",
    "method.hma.logits_from=label",
    "method.hma.top_k=3",
    "method.hma.null_key=true",
    "method.hma.score_scale=4",
    "method.hma.tie_query_key_init=true",
    "method.hma.heads=1",
]


def train(method: Method, images: Tensor, steps: int = 2, soft: bool = False) -> None:
    """SGD steps as the loop does them."""
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    labels, ids = torch.arange(len(images)) % CLASSES, torch.arange(len(images))
    targets = torch.nn.functional.one_hot(labels, CLASSES) * 0.9 + 0.01 if soft else labels
    for _ in range(steps):
        method.train()
        output = method(images, ids)
        method.loss(output, targets).backward()
        method.after_backward([MicroBatchOutput(images, output, targets, ids)])
        optimizer.step()
        optimizer.zero_grad()


def reference(count: int = 20) -> LabelledFeatures:
    generator = torch.Generator().manual_seed(1)
    return LabelledFeatures(
        torch.randn(count, 96, generator=generator), torch.arange(count) % CLASSES, torch.arange(count)
    )


@pytest.mark.parametrize("name", ["hma", "hma_head"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_works_alone_in_every_inference_mode(name: str, switch: str, build: Build, images: Tensor) -> None:
    method = build(name, "method.hma.real.size=8", switch)
    train(method, images)
    method.eval()
    for mode in method.inference_modes():
        if method.support_indices(mode, reference().labels) is not None:
            method.set_support(reference())
        with torch.no_grad(), method.inference(mode):
            logits = method(images).logits
        assert logits.shape == (6, CLASSES)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", ["hma", "hma_head"])
@pytest.mark.parametrize("mode", ["alone", "support"])
def test_batch_mates_change_nothing(name: str, mode: str, build: Build, images: Tensor) -> None:
    method = build(name).double()
    train(method, images)
    method.eval()
    method.set_support(reference())
    others = torch.randint(256, (40, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad(), method.inference(mode):
        alone = method(images[:1]).logits[0]
        among = method(torch.cat([others, images[:1]])).logits[-1]
    torch.testing.assert_close(alone, among, atol=1e-12, rtol=0)
    with torch.no_grad(), method.inference("batch"):  # the released way, where they do
        among = method(torch.cat([others, images[:1]])).logits[-1]
    assert (alone - among).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["hma", "hma_head"])
def test_without_any_memory_it_is_the_linear_head(name: str, build: Build, images: Tensor) -> None:
    off = ["method.hma.real.size=0", "method.hma.synthetic.slots=0", "method.hma.batch_attention=false"]
    method = build(name, *off)
    linear = build("full" if name == "hma" else "head")
    assert method.parameter_counts() == linear.parameter_counts()
    linear.head.load_state_dict(method.head.classifier.state_dict())
    torch.testing.assert_close(method.eval()(images).logits, linear.eval()(images).logits, atol=0, rtol=0)


def hma(method: Method) -> HMA:
    assert isinstance(method, HMA)
    return method


def test_a_frozen_backbone_queues_its_own_features(build: Build, images: Tensor) -> None:
    method = hma(build("hma_head", "method.hma.real.size=8"))
    assert method.momentum_encoder is None
    train(method, images, steps=1)
    memory = method.head.real_memory
    assert memory is not None
    torch.testing.assert_close(memory.features[:6], method.eval()(images).features)
    assert memory.labels[:6].tolist() == list(range(6))
    assert memory.ids[:6, 0].tolist() == list(range(6))
    assert memory.filled.tolist() == [True] * 6 + [False] * 2
    train(method, images, steps=1)
    assert memory.ids[:, 0].tolist() == [2, 3, 4, 5, 4, 5, 0, 1]
    assert int(memory.pointer) == 4


def test_a_trained_backbone_queues_features_of_its_momentum_copy(build: Build, images: Tensor) -> None:
    method = hma(build("hma", "method.hma.real.size=8", "method.hma.real.momentum=0.9"))
    before = {n: p.clone() for n, p in method.backbone.named_parameters()}
    train(method, images, steps=1)
    train(method, images, steps=1)
    live = dict(method.backbone.named_parameters())
    copy = dict(method.momentum_encoder.encoder.named_parameters())
    # the first step moved it towards itself; the second towards the weights after one step, which are lost: bound it
    name = "vit.blocks.0.attn.qkv.weight"
    moved = (copy[name] - before[name]).abs().max()
    assert 0 < moved < (live[name] - before[name]).abs().max()
    memory = method.head.real_memory
    assert memory is not None
    written = memory.features[[6, 7, 0, 1, 2, 3]]
    torch.testing.assert_close(written, method.momentum_encoder(images))


def test_evaluation_never_writes(build: Build, images: Tensor) -> None:
    method = hma(build("hma_head"))
    train(method, images)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    method.eval()
    for mode in ("alone", "batch"):
        with torch.no_grad(), method.inference(mode):
            method(images)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_soft_labels_reach_the_memory(build: Build, images: Tensor) -> None:
    method = hma(build("hma_head", "method.hma.real.size=8", soft_labels=True))
    train(method, images, steps=1, soft=True)
    memory = method.head.real_memory
    assert memory is not None
    expected = torch.full((CLASSES,), 0.01)
    expected[2] = 0.91
    torch.testing.assert_close(memory.labels[2], expected)
    rows = memory.rows(method.head.labels)
    torch.testing.assert_close(rows[2, 96:], expected @ method.head.labels.embedding.weight[:CLASSES])


def test_the_support_set_is_balanced_and_fixed(build: Build) -> None:
    method = build("hma_head", "method.hma.support_size=24")
    labels = torch.randint(CLASSES, (300,), generator=torch.Generator().manual_seed(0))
    chosen = method.support_indices("support", labels)
    assert chosen is not None
    counts = labels[chosen].bincount(minlength=CLASSES)
    assert sorted(counts.tolist()) == [2] * 6 + [3] * 4
    torch.manual_seed(9)
    assert torch.equal(chosen, method.support_indices("support", labels))
    assert method.support_indices("alone", labels) is None


@pytest.mark.parametrize("update", [True, False])
def test_the_memory_can_start_with_training_images(update: bool, build: Build, images: Tensor) -> None:
    settings = ("size=8", "start=train", f"update={str(update).lower()}")
    method = hma(build("hma_head", *(f"method.hma.real.{setting}" for setting in settings)))
    labels = torch.tensor([0] * 14 + [1, 1, 1, 2, 2, 2])  # more images than rows
    chosen = method.memory_init_indices(labels)
    assert chosen is not None
    assert sorted(labels[chosen].bincount().tolist()) == [2, 3, 3]
    everything = reference()
    method.init_memory(LabelledFeatures(everything.features[chosen], labels[chosen], chosen))
    memory = method.head.real_memory
    assert memory is not None and bool(memory.filled.all())
    torch.testing.assert_close(memory.features, everything.features[chosen])
    train(method, images, steps=1)  # images 0 to 5 with labels 0 to 5
    expected = [*range(6), *chosen[6:].tolist()] if update else chosen.tolist()
    assert memory.ids[:, 0].tolist() == expected


def test_fewer_training_images_than_rows_leave_rows_unfilled(build: Build) -> None:
    method = hma(build("hma_head", "method.hma.real.size=30", "method.hma.real.start=train"))
    chosen = method.memory_init_indices(reference().labels)
    assert chosen is not None and chosen.tolist() == list(range(20))
    method.init_memory(reference())
    assert method.head.real_memory is not None and int(method.head.real_memory.filled.sum()) == 20
    assert build("hma_head").memory_init_indices(reference().labels) is None
