"""A linear head with the vote of neighbours: the mixture, written out, and a class added after training."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional

from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from tests.methods.conftest import CLASSES, NO_CLASSES, Build
from tests.methods.test_knn import clusters, dense


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_it_mixes_the_head_with_scikit_learns_neighbours(weight: float, build: Build) -> None:
    options = ["method.options.k=7", "method.options.temperature=0.5", f"method.options.weight={weight}"]
    method = build("head_knn", *options).eval()
    train, test = clusters(200, 1), clusters(90, 2)
    method.set_support(train)
    theirs = KNeighborsClassifier(
        7, weights=lambda d: torch.exp(-torch.as_tensor(d) / 0.5).numpy(), metric="cosine", algorithm="brute"
    ).fit(train.features.numpy(), train.labels)
    vote = torch.from_numpy(theirs.predict_proba(test.features.numpy()))
    head = functional.linear(test.features, method.head.weight, method.head.bias).softmax(1)
    with torch.no_grad(), method.inference("alone"):
        own = method.classify(test.features, None).softmax(1).double()
    torch.testing.assert_close(own, (1 - weight) * head.detach().double() + weight * vote, atol=2e-5, rtol=0)


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_mixed_precision_lowers_the_head_alone(weight: float, build: Build) -> None:
    """The vote is that of the dense formula, and the softmax that of the head's bfloat16 logits, in full."""
    method = build("head_knn", f"method.options.weight={weight}").eval()
    train, test = clusters(400, 1, common=5.0), clusters(300, 2, common=5.0)
    method.set_support(train)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), method.inference("alone"):
        own = method.classify(test.features, None)
        logits = method.head(test.features)
    assert (logits.dtype, own.dtype) == (torch.bfloat16, torch.float32)
    expected = (1 - weight) * logits.double().softmax(1) + weight * dense(test.features, train, 20, 0.07)
    torch.testing.assert_close(own.exp().double(), expected, atol=2e-6, rtol=0)


def test_training_is_that_of_a_linear_head(build: Build) -> None:
    method, linear = build("head_knn").train(), build("head").train()
    linear.head.load_state_dict(method.head.state_dict())
    method.set_support(clusters(50, 1))
    features = clusters(9, 2).features
    assert torch.equal(method.classify(features, None), linear.classify(features, None))
    assert method.parameter_counts() == linear.parameter_counts()
    assert method.linear_classifier() is None  # plain timm would lose the neighbours


def test_it_names_a_class_once_its_images_are_in_the_bank(build: Build) -> None:
    method = build("head_knn").eval()
    everything, test = clusters(600, 1), clusters(300, 2)
    new = CLASSES - 1
    with torch.no_grad():
        method.head.bias[new] = -100.0  # as if training had never seen it
    known = everything.labels != new
    method.set_support(LabelledFeatures(*(values[known] for values in everything)))
    is_new = test.labels == new

    def named() -> float:
        with torch.no_grad(), method.inference("alone"):
            predicted = method.classify(test.features[is_new], None).argmax(1)
        return (predicted == new).double().mean().item()

    assert named() == 0.0
    method.add_to_memories(LabelledFeatures(*(values[~known] for values in everything)), "alone")
    assert named() > 0.5


@pytest.mark.parametrize("option", ["k=0", "temperature=0", "weight=1.5", "weight=much"])
def test_an_option_out_of_range_is_named(option: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.options.{option} must be"):
        build("head_knn", f"method.options.{option}")


def dense_rank_vote(features: Tensor, train: LabelledFeatures, k: int) -> Tensor:
    """Geirhos et al.: the neighbour of rank r, from 0, votes with 1 / (r + 2)."""
    cosines = functional.normalize(features, dim=1) @ functional.normalize(train.features, dim=1).T
    nearest = cosines.argsort(dim=1, descending=True)[:, :k]
    votes = torch.zeros(len(features), CLASSES, dtype=torch.float64)
    for rank in range(k):
        votes[torch.arange(len(features)), train.labels[nearest[:, rank]]] += 1 / (rank + 2)
    return votes / votes.sum(1, keepdim=True)


def test_ranks_vote_as_published(build: Build) -> None:
    train, val, test = clusters(200, 1), clusters(90, 2), clusters(75, 3)
    options = ("method.options.voting=rank", "method.options.k=[7]")
    knn = build("knn", *options).eval()
    knn.fit(train, val)
    voted = dense_rank_vote(test.features, train, 7)
    torch.testing.assert_close(knn.classify(test.features, None).exp().double(), voted, atol=2e-5, rtol=0)
    assert knn.chosen == {"k": 7}
    many = build("knn", "method.options.voting=rank").eval()
    many.fit(train, val)
    hits = {k: (dense_rank_vote(val.features, train, k).argmax(1) == val.labels).sum() for k, _ in many.choices}
    assert hits[int(many.k)] == max(hits.values())
    method = build("head_knn", "method.options.voting=rank", "method.options.k=7").eval()
    method.set_support(train)
    head = method.head(test.features).softmax(1).double()
    with torch.no_grad(), method.inference("alone"):
        own = method.classify(test.features, None).softmax(1).double()
    torch.testing.assert_close(own, (head + voted) / 2, atol=2e-5, rtol=0)


@pytest.mark.parametrize("mix", ["probabilities", "logits"])
def test_k_temperature_and_weight_are_chosen_on_val(mix: str, build: Build) -> None:
    """Against a table of every choice, each written out."""
    method = build("head_knn_tuned", f"method.options.mix={mix}", "method.options.k=[20,1,5]").eval()
    train, val = clusters(200, 1), clusters(150, 2)
    method.set_support(train)
    with torch.no_grad():
        method.head.weight += 0.05 * torch.stack([train.features[train.labels == c].mean(0) for c in range(CLASSES)])
    log_head = method.head(val.features).double().log_softmax(1).detach()
    table = {}
    for k, temperature, weight in method.choices:
        voted = dense(val.features, train, k, temperature)
        if mix == "logits":
            mixed = (1 - weight) * log_head + weight * voted.log()
        else:
            mixed = ((1 - weight) * log_head.exp() + weight * voted).log()
        hits = (mixed.argmax(1) == val.labels).sum().item()
        table[k, temperature, weight] = hits, -functional.cross_entropy(mixed, val.labels).item()
    before = method.chosen
    assert before == {"k": 20, "temperature": 0.07, "weight": 0.5}
    for stale in (None, (1.0, 1.0, 0.9)):  # whatever was chosen before
        if stale is not None:
            method.chosen_mixture.copy_(torch.tensor(stale))
        method.calibrate(val, NO_CLASSES)
        chosen = method.chosen
        best = max(table.values())
        reached = table[chosen["k"], chosen["temperature"], chosen["weight"]]
        assert reached[0] == best[0] and reached[1] == pytest.approx(best[1], abs=1e-5)
        assert chosen != before
    with torch.no_grad(), method.inference("alone"):
        accuracy = (method.classify(val.features, None).argmax(1) == val.labels).sum().item()
    assert accuracy == best[0] > min(table.values())[0]
    again = build("head_knn_tuned", f"method.options.mix={mix}", "method.options.k=[20,1,5]").eval()
    again.load_state_dict(method.state_dict())
    assert again.chosen == chosen


def test_val_chooses_as_if_later_classes_had_no_images(build: Build) -> None:
    train, val = clusters(300, 1), clusters(150, 4)
    known = {name: features.chosen(features.labels < 8) for name, features in (("train", train), ("val", val))}
    chosen = []
    for bank in (train, known["train"]):
        method = build("head_knn_tuned", "method.options.k=[1,5,20,50]").eval()
        method.head.load_state_dict({"weight": torch.zeros(CLASSES, 96), "bias": torch.zeros(CLASSES)})
        method.set_support(bank)
        method.calibrate(known["val"], torch.tensor([8, 9]))
        chosen.append(method.chosen)
        assert len(method.bank) == len(bank.labels)
    assert chosen[0] == chosen[1]


def test_fixed_values_leave_nothing_to_save(build: Build) -> None:
    method = build("head_knn")
    assert not method.calibrates and method.chosen == {}
    assert {name for name in method.state_dict() if not name.startswith("backbone.")} == {
        *("head.weight", "head.bias", "bank.features", "bank.labels", "bank.ids")
    }


def test_a_class_that_the_run_did_not_know_is_named(build: Build) -> None:
    method = build("head_knn").eval()
    many, few = clusters(300, 1), clusters(100, 2)
    for features in (many, few):  # every third image moves away, to a class of its own
        features.features[::3] += 3 * torch.ones(96)
        features.labels[::3] = CLASSES
    known = many.labels < CLASSES
    method.set_support(LabelledFeatures(*(values[known] for values in many)))
    assert method.takes_new_classes and not build("head_knn", "method.options.mix=logits").takes_new_classes
    method.add_classes(1)
    method.add_to_memories(LabelledFeatures(*(values[~known] for values in many)), "alone")
    with torch.no_grad(), method.inference("alone"):
        probabilities = method.classify(few.features, None).softmax(1)
    assert probabilities.shape == (100, CLASSES + 1)
    right = probabilities.argmax(1) == few.labels
    assert right[few.labels == CLASSES].double().mean() > 0.9
    assert right[few.labels < CLASSES].double().mean() > 0.5
