"""LP-FT: a linear head that starts at a regression on the features."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.linear_model import LogisticRegression

from hma_ft.config.schema import HeadInit
from hma_ft.errors import UserError
from hma_ft.methods.head_init import start_head
from hma_ft.methods.logreg import STRENGTHS
from hma_ft.methods.ridge import RIDGES
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_knn import clusters


@pytest.mark.parametrize("name", ["full", "head_knn"])
def test_the_layer_predicts_as_the_method_that_it_starts_from(name: str, build: Build) -> None:
    train, val = clusters(150, 1), clusters(100, 2)
    layer = build(name).trained_linear_head()
    for init in (HeadInit.ridge, HeadInit.logreg):
        method = build(init.value).eval()
        method.fit(train, val)
        start_head(layer, init, train, val)
        assert layer.weight.requires_grad and layer.weight.dtype == torch.float32
        with torch.no_grad():
            torch.testing.assert_close(layer(val.features), method.classify(val.features, None), atol=1e-4, rtol=1e-3)
    found = [
        LogisticRegression(C=c, solver="newton-cholesky", tol=1e-9).fit(train.features.double(), train.labels)
        for c in np.logspace(-6, 5, 45)
        if abs(c / method.chosen["C"] - 1) < 1e-3
    ]
    assert len(found) == 1
    np.testing.assert_allclose(layer.weight.detach().numpy(), found[0].coef_, atol=1e-4)


def test_both_choose_from_the_lists_of_their_methods(repository: Path) -> None:
    for name, key, values in (("logreg", "C", STRENGTHS), ("ridge", "ridge", RIDGES)):
        options = yaml.safe_load((repository / f"conf/method/{name}.yaml").read_text())["options"]
        np.testing.assert_allclose(options[key], values, rtol=2e-4)


@pytest.mark.parametrize("name", ["hma", "knn", "mlp_head", "ridge"])
def test_a_method_without_a_linear_head_that_trains_says_so(name: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.head_init=logreg: method={name} has no linear head"):
        build(name, "method.head_init=logreg")


def test_it_has_as_many_classes(build: Build) -> None:
    assert build("full", "method.head_init=ridge").trained_linear_head().out_features == CLASSES
