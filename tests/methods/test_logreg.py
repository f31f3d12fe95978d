"""Logistic regression against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hma_ft.errors import UserError
from hma_ft.methods import logreg
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.logreg import logistic_regressions
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_closed_form import some
from tests.methods.test_knn import clusters


def theirs(train: LabelledFeatures, strength: float) -> LogisticRegression:
    model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=1000, tol=1e-10)
    return model.fit(train.features.double().numpy(), train.labels.numpy())


@pytest.mark.parametrize("strength", [1e-4, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("count", [300, 60])
def test_weights_are_scikit_learns(strength: float, count: int, build: Build) -> None:
    train = clusters(count, 1, common=3.0)
    method = build("logreg", f"method.options.C=[{strength}]").eval()
    method.fit(train, clusters(100, 2))
    expected = theirs(train, strength)
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(method.weight.numpy(), expected.coef_, atol=2e-4 * scale)
    bias, intercept = method.bias.numpy(), expected.intercept_
    np.testing.assert_allclose(bias - bias.mean(), intercept - intercept.mean(), atol=1e-3 * np.abs(intercept).max())
    test = clusters(50, 3, common=3.0).features
    np.testing.assert_allclose(
        method.classify(test, None).softmax(1).numpy(), expected.predict_proba(test.double().numpy()), atol=2e-4
    )


def test_a_path_of_strengths_ends_where_each_would_alone() -> None:
    train, present = clusters(120, 1), torch.ones(CLASSES, dtype=torch.bool)
    strengths = [1.0, 1e-4, 0.01]
    path = list(logistic_regressions(train, present, strengths))
    assert [solution.value for solution in path] == sorted(strengths)
    for solution in path:
        (alone,) = logistic_regressions(train, present, [solution.value])
        torch.testing.assert_close(solution.weight, alone.weight, atol=1e-6, rtol=1e-4)


def test_c_is_chosen_on_val(build: Build) -> None:
    train, val = clusters(100, 1), clusters(200, 2)
    method = build("logreg").eval()
    assert len(method.strengths) == 45
    np.testing.assert_allclose(np.log10(method.strengths), np.linspace(-6, 5, 45), atol=1e-3)
    method = build("logreg", "method.options.C=[1e-5,0.001,0.1,10]").eval()
    method.fit(train, val)
    table = {
        c: theirs(train, c).score(val.features.double().numpy(), val.labels.numpy()) for c in (1e-5, 0.001, 0.1, 10)
    }
    assert table[method.chosen["C"]] == max(table.values()) > min(table.values())


def test_blocks_are_added_up(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = clusters(100, 1), clusters(50, 2)
    weights = []
    for held in (logreg.HELD_ELEMENTS, 0):
        monkeypatch.setattr(logreg, "HELD_ELEMENTS", held)
        method = build("logreg", "method.options.C=[0.01]").eval()
        method.fit(train, val)
        weights.append(method.weight)
        monkeypatch.setattr(logreg, "BLOCK_ELEMENTS", 7 * 96)
    torch.testing.assert_close(*weights, atol=1e-8, rtol=1e-6)


def test_refit_takes_val_along(build: Build) -> None:
    train, val = clusters(60, 1), clusters(90, 2)
    method = build("logreg", "method.options.C=[0.001,0.1]", "method.options.refit=train_and_val").eval()
    assert method.learns_from_val
    method.fit(train, val)
    chosen = method.chosen["C"]
    method.refit(train, val)
    both = LabelledFeatures(*(torch.cat(pair) for pair in zip(train, val, strict=True)))
    np.testing.assert_allclose(method.weight.numpy(), theirs(both, chosen).coef_, atol=1e-5)
    assert method.chosen["C"] == chosen


def test_a_class_without_an_image_is_never_named(build: Build) -> None:
    train, val = clusters(200, 1), clusters(100, 2)
    method = build("logreg", "method.options.C=[0.01]").eval()
    method.fit(some(train, train.labels < 8), some(val, val.labels < 8), some(train, train.labels >= 8))
    probabilities = method.classify(val.features, None).softmax(1)
    assert probabilities[:, 8:].max() == 0
    expected = theirs(some(train, train.labels < 8), 0.01).predict_proba(val.features.double().numpy())
    np.testing.assert_allclose(probabilities[:, :8].numpy(), expected, atol=1e-4)


def test_it_is_a_linear_layer_and_saved(build: Build) -> None:
    method = build("logreg", "method.options.C=[0.01]").eval()
    method.fit(clusters(100, 1), clusters(50, 2))
    test = clusters(40, 3).features
    torch.testing.assert_close(method.linear_classifier()(test), method.classify(test, None), atol=1e-5, rtol=1e-5)
    again = build("logreg", "method.options.C=[0.01]").eval()
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.classify(test, None), method.classify(test, None))
    assert method.parameter_counts()[0] == 0


@pytest.mark.parametrize("option", ["C=[0]", "C=1", "max_iterations=0", "refit=test"])
def test_an_option_out_of_range_is_named(option: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.options.{option.partition('=')[0]}=.* must be"):
        build("logreg", f"method.options.{option}")
