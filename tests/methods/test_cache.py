"""The trainable cache against its formula, and what val chooses of it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.cache import Cache
from tests.methods.conftest import CLASSES, NO_CLASSES, Build
from tests.methods.test_closed_form import some
from tests.methods.test_knn import clusters


def started(build: Build, *overrides: str, train: LabelledFeatures, seen_in_training: Tensor | None = None) -> Cache:
    method = build("cache", *overrides)
    assert isinstance(method, Cache)
    method.init_memory(some(train, method.memory_init_indices(train.labels, seen_in_training)))
    return method


def dense(method: Cache, keys: Tensor, labels: Tensor, features: Tensor, alpha: float, beta: float) -> Tensor:
    """Zhang et al., equations 5 and 6: the linear layer in place of the text embeddings."""
    logits = functional.linear(features, method.head.linear.weight, method.head.linear.bias).double()
    cosines = functional.normalize(features.double(), dim=1) @ keys.double().T
    values = functional.one_hot(labels, CLASSES).double()
    return (logits + alpha * torch.exp(-beta * (1 - cosines)) @ values).detach()


def test_it_is_the_published_formula(build: Build) -> None:
    train, test = clusters(200, 1), clusters(50, 3)
    method = started(build, "method.options.alpha=[2]", "method.options.beta=[5.5]", train=train).eval()
    chosen = method.memory_init_indices(train.labels)
    assert train.labels[chosen].bincount().tolist() == [16] * CLASSES
    keys = functional.normalize(train.features[chosen], dim=1)
    torch.testing.assert_close(method.head.keys.detach(), keys)
    expected = dense(method, keys, train.labels[chosen], test.features, 2, 5.5)
    torch.testing.assert_close(method.classify(test.features, None).double().detach(), expected, atol=1e-5, rtol=1e-5)
    affinities = method._affinities(test.features, None, method.head.keys)
    with torch.autocast("cpu", torch.bfloat16):  # which is not for exponents
        assert torch.equal(method._affinities(test.features, None, method.head.keys), affinities)


def test_a_class_with_few_images_has_few_keys(build: Build) -> None:
    train = clusters(200, 1)
    train = some(train, (train.labels > 0) | (train.ids < 30))  # three of class 0
    method = started(build, train=train)
    labels = method.head.labels
    assert labels[labels >= 0].bincount().tolist() == [3] + [16] * 9
    assert (labels == -1).sum() == 13
    assert build("cache").parameter_counts()[0] - method.parameter_counts()[0] == 13 * 96  # keys that nothing moves
    held = labels >= 0
    features = clusters(20, 3).features
    expected = dense(method, method.head.keys[held].detach(), labels[held], features, 1, 5.5)
    torch.testing.assert_close(method.eval().classify(features, None).double().detach(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("excludes", [False, True])
def test_keys_train_and_an_image_may_pass_over_its_own(excludes: bool, build: Build) -> None:
    train = clusters(200, 1)
    method = started(build, f"method.options.exclude_self={str(excludes).lower()}", train=train).train()
    method.loss(method(train.features, train.ids), train.labels).backward()
    gradient = method.head.keys.grad
    assert gradient is not None and (gradient.norm(dim=1) > 0).all()
    own = some(train, method.head.ids[:1])

    def logit(ids: Tensor | None) -> float:
        return method.classify(own.features, ids)[0, own.labels[0]].item()

    assert logit(None) - logit(own.ids) == pytest.approx(1.0 if excludes else 0.0, abs=1e-5)  # alpha * exp(0)
    method.eval()
    assert logit(None) - logit(own.ids) == pytest.approx(1.0, abs=1e-5)


def test_alpha_and_beta_are_chosen_on_val(build: Build) -> None:
    train, val = clusters(300, 1), clusters(150, 2)
    method = started(build, train=train).eval()
    keys, labels = method.head.keys.detach(), method.head.labels
    assert labels.min() == 0
    table = {}
    for alpha, beta in method.choices:
        logits = dense(method, keys, labels, val.features, alpha, beta)
        hits = (logits.argmax(1) == val.labels).sum().item()
        table[alpha, beta] = hits, -functional.cross_entropy(logits, val.labels).item()
    assert method.chosen == {"alpha": 1, "beta": 5.5}
    for stale in (None, (50.0, 1.0)):
        if stale is not None:
            method.chosen_strength.copy_(torch.tensor(stale))
        method.calibrate(val, NO_CLASSES)
        reached, best = table[method.chosen["alpha"], method.chosen["beta"]], max(table.values())
        assert reached[0] == best[0] and reached[1] == pytest.approx(best[1], abs=1e-5)
    assert best[0] > min(table.values())[0]
    assert (method.classify(val.features, None).argmax(1) == val.labels).sum() == best[0]
    before = method.train().classify(val.features, None)
    torch.testing.assert_close(  # training goes on as it began
        before.double().detach(), dense(method, keys, labels, val.features, 1, 5.5), atol=1e-5, rtol=1e-5
    )


def test_classes_that_come_later_have_keys_that_no_step_moved(build: Build) -> None:
    train, test = clusters(300, 1), clusters(100, 3)
    seen_in_training = (train.labels < 8).nonzero().flatten()
    method = started(build, train=train, seen_in_training=seen_in_training)
    assert method.head.labels.unique().tolist() == [-1, *range(8)]
    assert method.support_bank("alone") is method.bank and started(build, train=train).support_bank("alone") is None
    needed = method.support_indices("alone", train.labels)
    assert needed is not None and train.labels[needed].bincount().tolist() == [0] * 8 + [16, 16]
    before = method.eval().classify(test.features, None).detach()
    method.set_support(some(train, needed))
    read = method.classify(test.features, None).detach() - before
    assert read[:, :8].abs().max() == 0 and (read[:, 8:] > 0).all()
    val = clusters(200, 4)
    val = some(val, (val.labels < 8).nonzero().flatten())
    without, later = started(build, train=train, seen_in_training=seen_in_training).eval(), torch.tensor([8, 9])
    for calibrated in (method, without):
        calibrated.calibrate(val, later)
    assert method.chosen == without.chosen
    method.chosen_strength.copy_(torch.tensor(method.choices[0]))
    trained = method.train().classify(test.features, None)
    torch.testing.assert_close(trained, before)  # and steps don't read them
    assert started(build, train=train).support_indices("alone", train.labels) is None


def test_all_of_it_is_saved(build: Build) -> None:
    train, test = clusters(300, 1), clusters(40, 3).features
    method = started(build, train=train, seen_in_training=(train.labels < 8).nonzero().flatten()).eval()
    needed = method.support_indices("alone", train.labels)
    assert needed is not None
    method.set_support(some(train, needed))
    method.calibrate(clusters(100, 2), NO_CLASSES)
    again = build("cache").eval()
    again.load_state_dict(method.state_dict())
    assert again.chosen == method.chosen
    assert torch.equal(again.classify(test, None), method.classify(test, None))


@pytest.mark.parametrize("option", ["keys_per_class=0", "exclude_self=2", "alpha=1", "beta=[0]"])
def test_an_option_out_of_range_is_named(option: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.options.{option.partition('=')[0]}=.* must be"):
        build("cache", f"method.options.{option}")
