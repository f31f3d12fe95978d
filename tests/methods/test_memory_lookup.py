"""The nearest images of a memory, against the dense formula."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.memory.ring_buffer import NO_ID
from hma_ft.methods.base import LabelledFeatures, Method
from hma_ft.methods.hma import HMA
from hma_ft.methods.memory_lookup import MemoryLookup, Neighbour
from tests.methods.conftest import Build
from tests.methods.test_knn import clusters

TRAIN, QUERIES = clusters(80, 1), clusters(5, 2).features


def lookup(method: Method, *, count: int = 3, mode: str = "alone") -> MemoryLookup:
    found = MemoryLookup.create(method.eval(), mode, count=count)
    assert found is not None
    return found


def dense(queries: Tensor, rows: LabelledFeatures, count: int) -> tuple[Tensor, Tensor]:
    """Cosine distances and places [B, count] of the nearest rows, all distances at once in float64."""
    cosines = functional.normalize(queries.double(), dim=1) @ functional.normalize(rows.features.double(), dim=1).T
    nearest = (1 - cosines).sort(dim=1, stable=True)
    return nearest.values[:, :count], nearest.indices[:, :count]


def assert_are(found: list[list[Neighbour]], distances: Tensor, rows: LabelledFeatures, places: Tensor) -> None:
    for neighbours, distance, place in zip(found, distances, places, strict=True):
        assert [n.distance for n in neighbours] == pytest.approx(distance.tolist(), abs=1e-6)
        assert [n.label for n in neighbours] == rows.labels[place].tolist()
        assert [n.ids for n in neighbours] == [(sample,) for sample in rows.ids[place].tolist()]


@pytest.mark.parametrize("name", ["knn", "head_knn", "cache", "kernel_ridge"])
def test_it_finds_the_nearest_rows(name: str, build: Build) -> None:
    method = build(name)
    if method.fits:
        method.fit(TRAIN, clusters(20, 3))
    elif name == "cache":
        method.init_memory(TRAIN)
    else:
        method.set_support(TRAIN)
    assert_are(lookup(method)(QUERIES), *_expected(QUERIES, TRAIN))


def _expected(queries: Tensor, rows: LabelledFeatures) -> tuple[Tensor, LabelledFeatures, Tensor]:
    distances, places = dense(queries, rows, 3)
    return distances, rows, places


def test_it_looks_where_the_method_compares(build: Build) -> None:
    """Nearest class means on centred features."""
    method = build("ncm")
    method.fit(TRAIN, clusters(20, 3))
    centred = TRAIN._replace(features=TRAIN.features - TRAIN.features.mean(0))
    distances, places = dense(QUERIES - TRAIN.features.mean(0), centred, 3)
    assert_are(lookup(method)(QUERIES), distances, TRAIN, places)


def test_an_image_is_not_near_itself(build: Build) -> None:
    method = build("knn")
    method.fit(TRAIN, clusters(20, 3))
    found = lookup(method, count=100)
    (itself,) = found(TRAIN.features[7:8])
    assert itself[0].ids == (7,) and itself[0].distance == pytest.approx(0, abs=1e-6) and len(itself) == 80
    (others,) = found(TRAIN.features[7:8], torch.tensor([7]))
    assert [n.ids for n in others] == [n.ids for n in itself[1:]]


def test_a_queue_holds_an_image_several_times_and_mixed_ones(build: Build) -> None:
    method = build("hma", "method.hma.real.size=60", soft_labels=True)
    assert isinstance(method, HMA) and method.head.real_memory is not None and method.head.labels is not None
    assert MemoryLookup.create(method, "alone", count=3) is None  # nothing was written yet
    memory, table = method.head.real_memory, method.head.labels
    soft = functional.one_hot(TRAIN.labels[:10], 10) * 0.7 + functional.one_hot(TRAIN.labels[10:20], 10) * 0.3
    for noise in (0.0, 0.01, 0.02):  # each image under three views
        memory.write(TRAIN.features[:10] + noise, TRAIN.labels[:10], TRAIN.ids[:10], table)
    memory.write(100 * TRAIN.features[20:30], soft, torch.stack([TRAIN.ids[:10], TRAIN.ids[10:20]], dim=1), table)
    found = lookup(method)
    for index, neighbours in enumerate(found(TRAIN.features[:10])):
        assert neighbours[0].ids == (index,) and neighbours[0].label == TRAIN.labels[index]
        assert len({n.ids for n in neighbours}) == len(neighbours) == 3
    for index, (first, *_) in enumerate(found(TRAIN.features[20:30])):
        assert first.ids == (index, index + 10) and first.label == TRAIN.labels[index]
        assert first.distance == pytest.approx(0, abs=1e-6)


def test_the_support_set_is_read_beside_the_queue(build: Build) -> None:
    method = build("hma", "method.hma.real.size=10")
    assert isinstance(method, HMA) and method.head.real_memory is not None and method.head.labels is not None
    method.head.real_memory.write(*TRAIN.chosen(torch.arange(10)), method.head.labels)
    method.set_support(TRAIN.chosen(torch.arange(5, 20)))
    assert lookup(method).bank.ids[:, 0].unique().tolist() == list(range(10))
    assert lookup(method, mode="support").bank.ids[:, 0].unique().tolist() == list(range(20))
    assert (lookup(method).bank.ids[:, 1] == NO_ID).all()


@pytest.mark.parametrize("name", ["head", "ridge", "lda"])
def test_without_single_images_there_is_nothing_to_look_up(name: str, build: Build) -> None:
    method = build(name)
    if method.fits:
        method.fit(TRAIN, clusters(20, 3))
    assert MemoryLookup.create(method, "alone", count=3) is None
