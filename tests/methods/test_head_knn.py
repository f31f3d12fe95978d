"""A linear head with the vote of neighbours: the mixture, written out, and a class that came later."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional

from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_knn import clusters, dense


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_it_mixes_the_head_with_scikit_learns_neighbours(weight: float, build: Build) -> None:
    options = ["method.options.k=7", "method.options.temperature=0.5", f"method.options.weight={weight}"]
    method = build("head_knn", *options).eval()
    train, test = clusters(200, 1), clusters(90, 2)
    method.set_reference(train)
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
    method.set_reference(train)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), method.inference("alone"):
        own = method.classify(test.features, None)
        logits = method.head(test.features)
    assert (logits.dtype, own.dtype) == (torch.bfloat16, torch.float32)
    expected = (1 - weight) * logits.double().softmax(1) + weight * dense(test.features, train, 20, 0.07)
    torch.testing.assert_close(own.exp().double(), expected, atol=2e-6, rtol=0)


def test_training_is_that_of_a_linear_head(build: Build) -> None:
    method, linear = build("head_knn").train(), build("head").train()
    linear.head.load_state_dict(method.head.state_dict())
    method.set_reference(clusters(50, 1))
    features = clusters(9, 2).features
    assert torch.equal(method.classify(features, None), linear.classify(features, None))
    assert method.parameter_counts() == linear.parameter_counts()
    assert method.linear_classifier() is None  # plain timm would lose the neighbours


def test_it_names_a_class_once_its_pictures_are_in_the_bank(build: Build) -> None:
    method = build("head_knn").eval()
    everything, test = clusters(600, 1), clusters(300, 2)
    new = CLASSES - 1
    with torch.no_grad():
        method.head.bias[new] = -100.0  # as if training had never seen it
    known = everything.labels != new
    method.set_reference(LabelledFeatures(*(values[known] for values in everything)))
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
