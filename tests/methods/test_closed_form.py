"""Heads in closed form against scikit-learn and the published formulas, written densely."""

import math

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import NearestCentroid
from torch import Tensor
from torch.nn import functional

from hma_ft.errors import UserError
from hma_ft.memory import class_sums
from hma_ft.methods.base import LabelledFeatures, joined
from hma_ft.methods.choose import best_scale
from hma_ft.methods.closed_form import ClosedForm
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_knn import clusters

MANY, FEW = 300, 60  # training images, more and fewer than the 96 features
RANPAC = ("ranpac", "method.options.width=128")
KERNEL = ("kernel_ridge",)
UN = "method.options.transform=un"


def fitted(build: Build, name: str, *overrides: str, train: LabelledFeatures) -> ClosedForm:
    method = build(name, *overrides).eval()
    assert isinstance(method, ClosedForm)
    method.fit(train, clusters(200, 2), None)
    return method


def some(features: LabelledFeatures, rows: Tensor) -> LabelledFeatures:
    return LabelledFeatures(*(column[rows] for column in features))


def onehot(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, CLASSES).double()


def raw(method: ClosedForm) -> tuple[Tensor, Tensor]:
    """Weight and bias before they were scaled."""
    return method.weight / method.scale, method.bias / method.scale


@pytest.mark.parametrize("count", [MANY, FEW])
def test_ridge_is_the_formula_of_big_vision(count: int, build: Build) -> None:
    train, ridge = clusters(count, 1), 16.0
    weight, bias = raw(fitted(build, "ridge", f"method.options.ridge=[{ridge}]", train=train))
    x = train.features.double()
    mean, std = x.mean(0), x.std(0, correction=0) + 1e-5
    padded = functional.pad((x - mean) / std, (0, 1), value=100.0)
    solved = torch.linalg.solve(
        padded.T @ padded + ridge * torch.eye(97, dtype=torch.float64), padded.T @ (2 * onehot(train.labels) - 1)
    )
    test = clusters(50, 3).features.double()
    expected = functional.pad((test - mean) / std, (0, 1), value=100.0) @ solved
    torch.testing.assert_close(test @ weight.T + bias, expected, atol=1e-9, rtol=0)


def test_ridge_is_scikit_learns(build: Build) -> None:
    train = clusters(MANY, 1)
    weight, bias = raw(fitted(build, "ridge", "method.options.ridge=[3]", train=train))
    x = train.features.double().numpy()
    mean, std = x.mean(0), x.std(0) + 1e-5
    theirs = RidgeClassifier(alpha=3, solver="cholesky").fit((x - mean) / std, train.labels)
    np.testing.assert_allclose(weight.numpy(), theirs.coef_ / std, atol=1e-10)
    # their bias is not penalised, ours by 3 / (100^2 N)
    np.testing.assert_allclose(bias.numpy() + weight.numpy() @ mean, theirs.intercept_, rtol=2e-6)


@pytest.mark.parametrize(("shrinkage", "count"), [(0.0, MANY), (0.3, MANY), (0.3, FEW), (1.0, FEW)])
def test_lda_is_scikit_learns(shrinkage: float, count: int, build: Build) -> None:
    train = clusters(count, 1)
    train = some(train, torch.arange(count - 7))  # classes of different sizes
    options = (f"method.options.shrinkage={shrinkage}", "method.options.prior=empirical")
    weight, bias = raw(fitted(build, "lda", *options, train=train))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None)
    theirs.fit(train.features.double().numpy(), train.labels)
    np.testing.assert_allclose(weight.numpy(), theirs.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bias.numpy(), theirs.intercept_, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("count", [MANY, FEW])
def test_lda_is_the_formula_of_the_paper(count: int, build: Build) -> None:
    train = clusters(count, 1)
    weight, bias = raw(fitted(build, "lda", train=train))
    x = train.features.double()
    means = torch.stack([x[train.labels == label].mean(0) for label in range(CLASSES)])
    covariance = (x - means[train.labels]).T.cov()
    inverse = 96 * torch.linalg.pinv(
        (count - 1) * covariance + covariance.trace() * torch.eye(96, dtype=torch.float64), hermitian=True
    )
    torch.testing.assert_close(weight, means @ inverse, atol=1e-9, rtol=1e-9)
    expected = -(means @ inverse * means).sum(1) / 2 + math.log(1 / CLASSES)
    torch.testing.assert_close(bias - bias.mean(), expected - expected.mean(), atol=1e-9, rtol=1e-9)


def test_ncm_is_scikit_learns_nearest_centroid(build: Build) -> None:
    train, test = clusters(MANY, 1), clusters(200, 3)
    mean = train.features.double().mean(0)
    transforms = {
        "un": lambda h: h,
        "l2n": lambda h: functional.normalize(h, dim=1),
        "cl2n": lambda h: functional.normalize(h - mean, dim=1),
    }
    found = {}
    for name, transform in transforms.items():
        method = fitted(build, "ncm", f"method.options.transform={name}", train=train)
        theirs = NearestCentroid().fit(transform(train.features.double()).numpy(), train.labels)
        predicted = method.classify(test.features, None).argmax(1)
        found[name] = predicted
        np.testing.assert_array_equal(predicted, theirs.predict(transform(test.features.double()).numpy()))
        distances = torch.cdist(transform(test.features.double()), torch.from_numpy(theirs.centroids_)).square()
        torch.testing.assert_close(
            method.classify(test.features.double(), None).softmax(1), (-method.scale * distances).softmax(1)
        )
    assert not torch.equal(found["un"], found["cl2n"])


@pytest.mark.parametrize("count", [MANY, FEW])
def test_ranpac_is_the_published_recursion(count: int, build: Build) -> None:
    """Tasks of two classes each, one after the other: Q and G grow, and the last solution is ours."""
    train = clusters(count, 1)
    method = fitted(build, *RANPAC, "method.options.ridge=[100]", train=train)
    directions = method.directions.double()
    assert directions.shape == (96, 128)
    assert abs(directions.mean()) < 0.03 and abs(directions.std() - 1) < 0.03
    gram, products = torch.zeros(128, 128).double(), torch.zeros(128, CLASSES).double()
    for task in range(0, CLASSES, 2):
        of_task = (train.labels == task) | (train.labels == task + 1)
        lifted = (train.features[of_task].double() @ directions).relu()
        gram += lifted.T @ lifted
        products += lifted.T @ onehot(train.labels[of_task])
    expected = torch.linalg.solve(gram + 100 * torch.eye(128), products).T
    torch.testing.assert_close(raw(method)[0], expected, atol=1e-11, rtol=1e-8)
    assert bool(len(method.sums)) == (count == MANY)  # the smaller of the two matrices is the one that is kept


@pytest.mark.parametrize(
    "options",
    [
        ("ncm",),
        ("ncm", UN),
        ("ridge",),
        ("lda",),
        ("lda", "method.options.shrinkage=0.2"),
        RANPAC,
        KERNEL,
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("count", [MANY, FEW])
def test_images_and_classes_come_and_go_as_if_fitted_anew(options: tuple[str, ...], count: int, build: Build) -> None:
    """Begin with seven classes; add three of the run's and one that it did not know; take images of all out."""
    everything = clusters(count, 1)
    everything = everything._replace(labels=torch.arange(count) % (CLASSES + 1))
    known, added = everything.labels < 7, everything.labels >= 7
    method = build(*options).eval()
    method.fit(some(everything, known), some(clusters(200, 2), clusters(200, 2).labels < 7), None)
    anew = build(*options).eval()
    method.add_classes(1)
    anew.add_classes(1)
    method.add_to_memories(some(everything, added), "alone")
    gone = everything.ids[::13]
    removed = method.remove_from_memories(
        torch.cat([gone, torch.tensor([10**6])]), "alone", lambda ids: some(everything, ids)
    )
    assert list(removed.values()) == [len(gone)]
    (memory,) = method.memories("alone").values()
    kept = ~torch.isin(everything.ids, gone)
    assert memory.ids.sort().values.tolist() == everything.ids[kept].tolist()

    anew.candidates = [float(method.value)]
    anew.fit(some(everything, kept), clusters(200, 2), None)
    anew.scale.copy_(method.scale)
    anew._solve()
    features = clusters(50, 3).features.double()
    own, expected = method.classify(features, None), anew.classify(features, None)
    assert own.shape == (50, CLASSES + 1)
    torch.testing.assert_close(own, expected, atol=1e-8, rtol=1e-8)
    assert own.argmax(1).unique().numel() > 8


def test_a_class_that_no_fit_chose_by_is_named(build: Build) -> None:
    """Classes that come later: nothing is chosen with them, and they are predicted."""
    train, val, test = clusters(MANY, 1), clusters(200, 2), clusters(200, 3)
    known, seen = train.labels < 8, val.labels < 8
    for options in (("ncm",), ("ridge",), ("lda",), RANPAC, KERNEL):
        chosen = {}
        for later in (some(train, ~known), None):
            method = build(*options).eval()
            method.fit(some(train, known), some(val, seen), later)
            predicted = method.classify(test.features, None).argmax(1)
            recall = (predicted == test.labels)[test.labels >= 8].double().mean()
            assert recall > 0.5 if later is not None else recall == 0
            chosen[later is None] = (method.value.item(), method.scale.item())
        assert chosen[True] == chosen[False]


@pytest.mark.parametrize("options", [("ridge",), ("lda", "method.options.shrinkage=[0.01,0.1,0.5,0.9]"), RANPAC])
def test_the_hyperparameter_is_the_best_on_val(options: tuple[str, ...], build: Build) -> None:
    train, val = clusters(FEW, 1), clusters(200, 2)
    method = build(*options).eval()
    method.fit(train, val, None)

    def accuracy(value: float) -> float:
        one = build(*options).eval()
        one.candidates = [value]
        one.fit(train, val, None)
        return (one.classify(val.features, None).argmax(1) == val.labels).double().mean().item()

    table = {value: accuracy(value) for value in method.candidates}
    assert table[method.value.item()] == max(table.values())
    assert min(table.values()) < max(table.values())
    assert method.chosen == {method.hyperparameter: method.value.item()}


def test_the_scale_is_the_likeliest(build: Build) -> None:
    val = clusters(200, 2)
    method = fitted(build, "ridge", train=clusters(MANY, 1))
    logits = method.classify(val.features.double(), None)
    losses = [
        functional.cross_entropy(factor * logits, val.labels, label_smoothing=1 / 202).item()
        for factor in (0.98, 1.0, 1.02)
    ]
    assert losses[1] == min(losses)
    perfect, labels = 5 * torch.eye(3), torch.arange(3)  # smoothed by 1/5: a right label counts as 13/15
    assert best_scale(perfect, labels) == pytest.approx(math.log(13) / 5, rel=1e-3)


def test_blocks_are_added_up(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    train = clusters(MANY, 1)
    whole = [fitted(build, *options, train=train) for options in (("ridge",), RANPAC)]
    monkeypatch.setattr(class_sums, "BLOCK_ELEMENTS", 7 * 96)
    for before, options in zip(whole, (("ridge",), RANPAC), strict=True):
        after = fitted(build, *options, train=train)
        torch.testing.assert_close(after.sums.gram, before.sums.gram, rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(after.weight, before.weight, rtol=1e-7, atol=1e-12)


def test_a_dead_feature_does_no_harm(build: Build) -> None:
    """A constant far from 0: its square must not drown the others' variance, nor be divided by rounding errors."""
    train = clusters(MANY, 1)
    dead = train._replace(features=torch.cat([train.features[:, :95], torch.full((MANY, 1), 1000.0)], dim=1))
    method = fitted(build, "ridge", "method.options.ridge=[0.001]", train=dead)
    weight, _ = raw(method)
    x = dead.features.double()
    standard = (x - x.mean(0)) / (x.std(0, correction=0) + 1e-5)
    solved = torch.linalg.solve(
        standard.T @ standard + 0.001 * torch.eye(96), standard.T @ (2 * onehot(train.labels) - 1)
    )
    torch.testing.assert_close(
        weight[:, :95], (solved.T / (x.std(0, correction=0) + 1e-5))[:, :95], rtol=1e-6, atol=1e-9
    )
    assert weight[:, 95].abs().max() < 1e-6


@pytest.mark.parametrize("options", [("ncm",), ("ridge",), ("lda",), RANPAC, KERNEL, ("ncm", UN)])
@pytest.mark.parametrize("count", [MANY, FEW])
def test_all_of_it_is_in_the_saved_weights(options: tuple[str, ...], count: int, build: Build) -> None:
    train, test = clusters(count, 1), clusters(90, 3).features
    method = fitted(build, *options, train=train)
    again = build(*options, "seed=5").eval()
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.classify(test, None), method.classify(test, None))
    for one in (method, again):
        one.add_to_memories(some(clusters(90, 4), torch.arange(20)), "alone")
    assert torch.equal(again.classify(test, None), method.classify(test, None))
    linear = method.linear_classifier()
    assert (linear is not None) == (options[0] in ("ridge", "lda") or "un" in options[-1])
    if linear is not None:
        torch.testing.assert_close(linear(test), method.classify(test, None), atol=2e-5, rtol=1e-5)


def test_what_can_not_be_fitted_is_said_in_one_line(build: Build) -> None:
    one_each = some(clusters(MANY, 1), torch.arange(CLASSES))
    for shrinkage in ("ks", "0.5", "0", "[0,0.5]"):
        with pytest.raises(UserError, match=r"do not vary within their class|is singular") as error:
            fitted(build, "lda", f"method.options.shrinkage={shrinkage}", train=one_each)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="96 features from 60 images of 10 classes is singular"):
        fitted(build, "lda", "method.options.shrinkage=0", train=clusters(FEW, 1))
    twice = joined(one_each, one_each._replace(ids=one_each.ids + 50))
    with pytest.raises(UserError, match="do not vary"):
        fitted(build, "lda", train=twice)
    with pytest.raises(UserError, match=r"width=1000000000 needs .* GiB"):
        build("ranpac", "method.options.width=1000000000")
    method = fitted(build, "ridge", train=one_each)
    with pytest.raises(UserError, match="no training image is left"):
        method.remove_from_memories(one_each.ids, "alone", lambda ids: some(one_each, ids))
    fitted(build, "ncm", train=one_each)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("ridge", "method.options.ridge=[0]", "ridge=.0. must be a list, each a number above 0"),
        ("ridge", "method.options.ridge=[]", "must be a list"),
        ("lda", "method.options.shrinkage=2", "must be one of ks, or a number from 0 to 1, or a list"),
        ("lda", "method.options.prior=flat", "prior=flat must be one of uniform, empirical"),
        ("ncm", "method.options.transform=x", "must be one of cl2n, l2n, un"),
        ("ranpac", "method.options.width=0", "must be a whole number from 1"),
        ("ncm", "+method.options.k=5", "unknown option method.options.k of method=ncm, which has: transform"),
        ("ridge", "method.backbone=full", "method.name=ridge has no head that trains by steps"),
        ("knn", "method.tokens.type=prop", "method.name=knn has no head that trains by steps"),
    ],
)
def test_an_option_that_can_not_work_is_named(name: str, override: str, message: str, build: Build) -> None:
    with pytest.raises(UserError, match=message):
        build(name, override)


def test_it_has_nothing_that_a_step_trains(build: Build) -> None:
    method = build("ridge")
    assert not method.requires_training
    backbone = sum(parameter.numel() for parameter in method.backbone.parameters())
    assert method.parameter_counts() == (0, backbone + CLASSES * 97)
