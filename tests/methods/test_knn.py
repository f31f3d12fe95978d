"""kNN against scikit-learn's."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional

from hma_ft.methods.base import LabelledFeatures
from tests.methods.conftest import CLASSES, Build


def clusters(count: int, seed: int) -> LabelledFeatures:
    """Noisy clusters, so that k matters."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, 96, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 96, generator=generator)
    return LabelledFeatures(centres[labels] + 2.5 * noise, labels, torch.arange(count))


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.07), (20, 0.5)])
def test_it_votes_like_scikit_learn(k: int, temperature: float, build: Build) -> None:
    method = build("knn", f"method.options.k=[{k}]", f"method.options.temperature=[{temperature}]").eval()
    train, val = clusters(200, 1), clusters(90, 2)
    method.fit(train, val, None)
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
    method.fit(train, val, None)

    def accuracy(k: int, temperature: float) -> float:
        one = build("knn", f"method.options.k=[{k}]", f"method.options.temperature=[{temperature}]").eval()
        one.fit(train, val, None)
        return (one.classify(val.features, None).argmax(1) == val.labels).double().mean().item()

    table = {(k, t): accuracy(k, t) for k, t in method.choices}
    chosen = (int(method.k), round(float(method.temperature), 6))
    assert table[chosen] == max(table.values())
    assert min(table.values()) < max(table.values())


def test_it_has_nothing_to_train(build: Build) -> None:
    method = build("knn")
    assert not method.learns_by_steps
    assert method.parameter_counts()[0] == 0
