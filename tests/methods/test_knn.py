"""kNN against scikit-learn's, and against the dense formula: in blocks, in mixed precision."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from hma_ft.errors import UserError
from hma_ft.memory.bank import FeatureBank
from hma_ft.methods import neighbours
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.neighbours import knn_probabilities, l2_normalize
from tests.methods.conftest import CLASSES, Build

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def clusters(count: int, seed: int, common: float = 0.0) -> LabelledFeatures:
    """Noisy clusters, so that k matters; `common` times one vector is added to all of them."""
    generator = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, 96, generator=fixed)
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 96, generator=generator)
    features = centres[labels] + 2.5 * noise + common * torch.randn(96, generator=fixed)
    return LabelledFeatures(features, labels, torch.arange(count))


def dense(features: Tensor, bank: LabelledFeatures, k: int, temperature: float, ids: Tensor | None = None) -> Tensor:
    """The vote written out in float64, all similarities at once: probabilities [B, C]."""
    queries, rows = (functional.normalize(x.double(), dim=1) for x in (features, bank.features))
    similarity = queries @ rows.T
    if ids is not None:
        similarity[ids[:, None] == bank.ids[None, :]] = -math.inf
    nearest = similarity.argsort(dim=1, descending=True)[:, :k]
    weight = ((similarity.gather(1, nearest) - similarity.max(1, keepdim=True).values) / temperature).exp()
    one_hot = functional.one_hot(bank.labels, CLASSES).double()[nearest]
    votes = (weight.unsqueeze(-1) * one_hot).sum(1)
    share = votes / votes.sum(1, keepdim=True) + 1e-6
    return share / share.sum(1, keepdim=True)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.07), (20, 0.5)])
def test_it_votes_like_scikit_learn(k: int, temperature: float, build: Build) -> None:
    method = build("knn", f"method.options.k=[{k}]", f"method.options.temperature=[{temperature}]").eval()
    train, val = clusters(200, 1), clusters(90, 2)
    method.fit(train, val)
    unit = functional.normalize(train.features, dim=1).numpy()

    def weights(distances: object) -> object:  # cosine distance is 1 - similarity
        return torch.exp(-torch.as_tensor(distances) / temperature).numpy()

    theirs = KNeighborsClassifier(k, weights=weights, metric="cosine", algorithm="brute").fit(unit, train.labels)
    expected = torch.from_numpy(theirs.predict_proba(functional.normalize(val.features, dim=1).numpy()))
    own = method.classify(val.features, None).exp().double()
    torch.testing.assert_close(own, expected.double(), atol=2e-5, rtol=0)


def test_k_and_temperature_are_chosen_on_val(build: Build) -> None:
    method = build("knn").eval()
    train, val = clusters(300, 1), clusters(200, 2)
    method.fit(train, val)
    table = {}
    for k, temperature in method.choices:
        probabilities = dense(val.features, train, k, temperature)
        accuracy = (probabilities.argmax(1) == val.labels).double().mean().item()
        table[k, temperature] = accuracy, -functional.nll_loss(probabilities.log(), val.labels).item()
    chosen = (int(method.k), round(float(method.temperature), 6))
    assert chosen == max(table, key=lambda choice: table[choice])
    assert min(table.values())[0] < max(table.values())[0]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Queries and rows of a block, so few that a test has many blocks, the last of each incomplete."""
    monkeypatch.setattr(neighbours, "QUERIES", 16)
    monkeypatch.setattr(neighbours, "ROWS", 23)
    return 16, 23


class LargestProduct(TorchDispatchMode):
    """Numbers in the largest matrix product, and how many products there were."""

    numbers = products = 0

    def __torch_dispatch__(
        self, function: Callable[..., Tensor], types: object, arguments: tuple = (), options: dict | None = None
    ) -> Tensor:
        result = function(*arguments, **(options or {}))
        if function is torch.ops.aten.mm.default:
            self.products += 1
            self.numbers = max(self.numbers, result.numel())
        return result


def test_blocks_give_the_dense_formula_and_bound_the_memory(small_blocks: tuple[int, int], build: Build) -> None:
    train, val, test = clusters(200, 1), clusters(90, 2), clusters(75, 3)
    method = build("knn").eval()
    with LargestProduct() as seen:
        method.fit(train, val)
    assert seen.numbers == math.prod(small_blocks)  # whatever the number of images
    assert seen.products == math.ceil(90 / 16) * math.ceil(200 / 23)  # once, for 42 choices
    table = {
        (k, t): (
            (dense(val.features, train, k, t).argmax(1) == val.labels).double().mean().item(),
            dense(val.features, train, k, t).gather(1, val.labels[:, None]).log().mean().item(),
        )
        for k, t in method.choices
    }
    assert (int(method.k), round(float(method.temperature), 6)) == max(table, key=lambda choice: table[choice])
    bank = FeatureBank(96)
    bank.set(*l2_normalize(train))
    for ids in (None, torch.arange(75)):
        for k, temperature in ((1, 0.07), (30, 0.2), (500, 1.0)):
            with LargestProduct() as seen:
                own = knn_probabilities(test.features, ids, bank, num_classes=CLASSES, k=k, temperature=temperature)
            expected = dense(test.features, train, k, temperature, ids)
            torch.testing.assert_close(own.double(), expected, atol=2e-6, rtol=0)
            assert seen.numbers == math.prod(small_blocks)


def test_mixed_precision_changes_no_neighbour(build: Build) -> None:
    """Features whose cosines are around 0.78, as those of a ViT are; bfloat16 has steps of 0.004 there."""
    train, val, test = (clusters(count, seed, common=5.0) for count, seed in ((400, 1), (200, 2), (300, 3)))
    queries, rows = l2_normalize(test).features, l2_normalize(train).features
    cosines, rounded = queries @ rows.T, queries.bfloat16() @ rows.bfloat16().T
    assert 0.75 < cosines.mean() < 0.81
    assert (rounded.argmax(1) != cosines.argmax(1)).double().mean() > 0.1  # so it would show
    plain, mixed = build("knn").eval(), build("knn").eval()
    plain.fit(train, val)
    expected = dense(test.features, train, int(plain.k), float(plain.temperature))
    with torch.autocast("cpu", torch.bfloat16):
        mixed.fit(train, val)
        own = mixed.classify(test.features, None)
    assert (mixed.k, mixed.temperature) == (plain.k, plain.temperature)
    assert own.dtype == torch.float32
    assert torch.equal(own, plain.classify(test.features, None))
    torch.testing.assert_close(own.exp().double(), expected, atol=2e-6, rtol=0)


def test_double_precision_stays(build: Build) -> None:
    train, val, test = (clusters(count, seed, common=5.0) for count, seed in ((100, 1), (50, 2), (60, 3)))
    method = build("knn").double().eval()
    method.fit(train._replace(features=train.features.double()), val._replace(features=val.features.double()))
    with torch.autocast("cpu", torch.bfloat16):
        own = method.classify(test.features.double(), None).exp()
    assert own.dtype == torch.float64
    expected = dense(test.features, train, int(method.k), float(method.temperature))
    torch.testing.assert_close(own, expected, atol=1e-12, rtol=0)


def test_without_a_row_to_read_all_classes_are_equal(build: Build) -> None:
    method = build("knn", "method.options.k=[3]").eval()
    one = clusters(1, 1)
    method.fit(one, clusters(5, 2))
    uniform = torch.full((1, CLASSES), 1 / CLASSES)
    torch.testing.assert_close(method.classify(one.features, one.ids).exp(), uniform)  # its own row is no neighbour
    method.bank.remove(one.ids)
    torch.testing.assert_close(method.classify(one.features, None).exp(), uniform)


@pytest.mark.parametrize("option", ["k=[]", "k=5", "k=[0]", "temperature=[0.1,-1]"])
def test_an_option_out_of_range_is_named(option: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.options.{option.partition('=')[0]}=.* must be"):
        build("knn", f"method.options.{option}")


def test_it_has_nothing_to_train(build: Build) -> None:
    method = build("knn")
    assert not method.requires_training
    assert method.parameter_counts()[0] == 0


@pytest.mark.slow
def test_a_run_in_bfloat16_finds_its_neighbours_in_full(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    """Its predictions are the dense vote over its own features, which bfloat16 made."""
    done = run_py(*tiny, "method=knn", "trainer.precision=bf16")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    (best,) = (run / "checkpoints").glob("best-*.pt")
    state = torch.load(best, weights_only=True)["method"]
    (stored,) = tmp_path.rglob("split-test.safetensors")
    test = load_file(stored)
    bank = LabelledFeatures(state["bank.features"], state["bank.labels"], state["bank.ids"])
    expected = dense(test["features"], bank, int(state["k"]), float(state["temperature"]))
    with np.load(run / "predictions.npz") as predictions:
        assert np.array_equal(predictions["ids"], test["ids"].numpy())
        differs = (torch.from_numpy(predictions["probabilities"]) - expected).abs().amax(1) > 1e-5
    assert differs.double().mean() < 0.01  # where the last neighbour is a tie in float32


def test_val_chooses_before_later_images_come(build: Build) -> None:
    train, val = clusters(300, 1), clusters(150, 4)
    known, later = train.chosen(train.labels < 5), train.chosen(train.labels >= 5)
    val = val.chosen(val.labels < 5)
    alone, extended = build("knn"), build("knn")
    alone.fit(known, val)
    extended.fit(known, val, later)
    assert alone.chosen == extended.chosen
    extended_bank = extended.memories("alone")["neighbours"]
    assert isinstance(extended_bank, FeatureBank) and len(extended_bank) == 300
