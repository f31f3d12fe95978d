"""Kernel ridge regression against scikit-learn's, and what is its own among the heads in closed form."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge as Theirs

from hma_ft.errors import UserError
from hma_ft.methods import closed_form, kernel_ridge
from hma_ft.methods.kernel_ridge import KernelRidge
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_closed_form import fitted, onehot, some
from tests.methods.test_knn import clusters


@pytest.mark.parametrize(("gamma", "ridge"), [(1.0, 0.1), (4.0, 3.0)])
def test_scores_are_scikit_learns(gamma: float, ridge: float, build: Build) -> None:
    train, test = clusters(150, 1), clusters(60, 3)
    method = fitted(
        build, "kernel_ridge", f"method.options.gamma=[{gamma}]", f"method.options.ridge=[{ridge}]", train=train
    )
    x, y = train.features.double(), onehot(train.labels)
    pairs = cdist(x, x)
    distance = np.sqrt((pairs**2).mean())  # pairs of an image with itself count
    theirs = Theirs(alpha=ridge, kernel="precomputed").fit(np.exp(-gamma * pairs / distance), (y - y.mean(0)).numpy())
    expected = theirs.predict(np.exp(-gamma * cdist(test.features.double(), x) / distance)) + y.mean(0).numpy()
    own = method.classify(test.features.double(), None) / method.scale
    np.testing.assert_allclose(own.numpy(), expected, atol=1e-9)
    alone = torch.cat([method.classify(one, None) for one in test.features.double().split(1)])
    np.testing.assert_allclose((alone / method.scale).numpy(), expected, atol=1e-9)


def test_gamma_and_ridge_are_the_best_on_val(build: Build) -> None:
    train, val = clusters(60, 1), clusters(200, 2)
    method = build("kernel_ridge", "method.options.gamma=[0.3,1,3]").eval()
    method.fit(train, val, None)
    assert isinstance(method, KernelRidge)

    def accuracy(gamma: float, ridge: float) -> float:
        options = f"method.options.gamma=[{gamma}]", f"method.options.ridge=[{ridge}]"
        logits = fitted(build, "kernel_ridge", *options, train=train).classify(val.features, None)
        return (logits.argmax(1) == val.labels).double().mean().item()

    table = {(gamma, ridge): accuracy(gamma, ridge) for gamma in method.gammas for ridge in method.candidates}
    assert table[method.chosen["gamma"], method.chosen["ridge"]] == max(table.values()) > min(table.values())


def test_it_reads_every_training_image(build: Build) -> None:
    """The logits change when any one of them leaves, most for its own class where the image is asked for."""
    train = clusters(40, 1)
    method = fitted(build, "kernel_ridge", train=train)
    before = method.classify(train.features[:1].double(), None)
    method.remove_from_memories(train.ids[:1], "alone", lambda ids: some(train, ids))
    change = before - method.classify(train.features[:1].double(), None)
    assert change[0].argmax() == train.labels[0] and change[0].max() > 0
    assert method.weight.shape == (CLASSES, 39)


def test_equal_images_are_told_apart_by_nothing(build: Build) -> None:
    same = clusters(20, 1)
    same = same._replace(features=same.features[:1].expand(20, -1))
    probabilities = fitted(build, "kernel_ridge", train=same).classify(same.features[:1], None).softmax(1)
    torch.testing.assert_close(probabilities, torch.full_like(probabilities, 1 / CLASSES))


def test_too_many_images_are_refused_in_one_line(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    assert closed_form.free_bytes(torch.device("cpu")) > 0
    monkeypatch.setattr(kernel_ridge, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"needs .* GiB of memory for 60 training images") as error:
        fitted(build, "kernel_ridge", train=clusters(60, 1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["gamma=[0]", "gamma=1", "ridge=[]"])
def test_an_option_out_of_range_is_named(option: str, build: Build) -> None:
    with pytest.raises(UserError, match=f"method.options.{option.partition('=')[0]}=.* must be"):
        build("kernel_ridge", f"method.options.{option}")
