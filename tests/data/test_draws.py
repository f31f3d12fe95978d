"""Test and val drawn from train."""

import pytest
import torch

from hma_ft.data.draws import draw_test, stratified
from hma_ft.errors import UserError


def labels_of(*counts: int) -> torch.Tensor:
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def test_every_class_gives_its_share_and_keeps_one() -> None:
    labels = labels_of(100, 12, 3, 2, 1)
    train, test = draw_test(labels, 0.2, 0)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(118))
    assert labels[test].bincount(minlength=5).tolist() == [20, 2, 1, 1, 0]
    assert labels[train].bincount().tolist() == [80, 10, 2, 1, 1]


def test_it_is_a_function_of_class_and_seed_alone() -> None:
    few, more = labels_of(30, 20), torch.cat([labels_of(30, 20), torch.full((9,), 2)])
    torch.manual_seed(5)
    first = draw_test(few, 0.3, 0)[1]
    torch.manual_seed(6)
    assert torch.equal(first, draw_test(few, 0.3, 0)[1])
    assert not torch.equal(first, draw_test(few, 0.3, 1)[1])
    assert torch.equal(first, draw_test(more, 0.3, 0)[1][: len(first)])


@pytest.mark.parametrize("draw", [draw_test, stratified])
def test_one_image_in_every_class_is_one_line(draw: object) -> None:
    with pytest.raises(UserError, match="can't be drawn from train, where no class has two images left: add images"):
        draw(labels_of(1, 1, 1), 0.2, 0)  # type: ignore[operator]
