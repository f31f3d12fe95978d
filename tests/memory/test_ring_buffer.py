"""The ring buffer: any size, any batch, and who may read what."""

import pytest
import torch

from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.ring_buffer import RealMemory


def memory(size: int, **options: bool) -> tuple[RealMemory, LabelEmbedding]:
    torch.manual_seed(0)
    return RealMemory(size, feature_width=2, label_width=3, num_classes=4, **options), LabelEmbedding(4, 3)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 10])
@pytest.mark.parametrize("batch", [1, 3, 4, 9, 25])
def test_the_last_images_stay_whatever_the_sizes(size: int, batch: int) -> None:
    queue, table = memory(size)
    numbers = torch.arange(batch * 4)
    for chunk in numbers.split(batch):
        queue.write(chunk[:, None].expand(-1, 2).float(), chunk % 4, chunk, table)
    kept = numbers[-size:]
    order = (torch.arange(size) + queue.pointer) % size if len(numbers) >= size else torch.arange(len(kept))
    assert queue.ids[order, 0].tolist() == kept.tolist()
    assert queue.features[order, 0].tolist() == kept.tolist()
    assert queue.labels[order].tolist() == (kept % 4).tolist()
    assert int(queue.filled.sum()) == len(kept)


def test_writing_in_one_go_and_one_by_one_is_the_same() -> None:
    features, labels, ids = torch.randn(11, 2), torch.randint(4, (11,)), torch.arange(11)
    together, table = memory(5)
    apart, _ = memory(5)
    together.write(features, labels, ids, table)
    for row in range(11):
        apart.write(features[row : row + 1], labels[row : row + 1], ids[row : row + 1], table)
    for name, buffer in together.named_buffers():
        assert torch.equal(buffer, apart.get_buffer(name)), name


def test_an_image_does_not_read_its_own_row_nor_that_of_its_mixing_partner() -> None:
    queue, table = memory(4)
    pairs = torch.tensor([[0, 1], [2, -1], [3, 4]])
    queue.write(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64), pairs, table)
    mask = queue.read_mask(torch.tensor([[1, -1], [9, 2], [8, -1]]), mask_unfilled=True, exclude_self=True)
    assert mask.tolist() == [
        [False, True, True, False],  # image 1 is in row 0; row 3 was never written
        [True, False, True, False],
        [True, True, True, False],
    ]
    assert queue.read_mask(None, mask_unfilled=False, exclude_self=True) is None


def test_soft_labels_need_a_memory_for_them() -> None:
    queue, table = memory(4)
    with pytest.raises(ValueError, match="soft_labels"):
        queue.write(torch.randn(1, 2), torch.full((1, 4), 0.25), None, table)


@pytest.mark.parametrize("written", [0, 3, 5, 12])
@pytest.mark.parametrize("stored", ["ids", "vectors", "soft"])
def test_added_and_removed_rows_are_those_of_a_plain_list(written: int, stored: str) -> None:
    """Against a list of (number, label) to which Python's own append and filter are done."""
    queue, table = memory(5, store_vectors=stored == "vectors", soft_labels=stored == "soft")
    numbers = torch.arange(written + 4)
    features, labels = numbers[:, None].expand(-1, 2).float(), numbers % 4
    queue.write(features[:written], labels[:written], numbers[:written], table)
    queue.add(features[written:], labels[written:], numbers[written:], table)
    expected = [*numbers[:written].tolist()[-5:], *numbers[written:].tolist()]
    gone = [expected[0], expected[-2]]
    assert queue.remove(torch.tensor([*gone, 1000])) == 2
    expected = [number for number in expected if number not in gone]
    filled = queue.filled
    assert queue.ids[filled, 0].tolist() == expected
    assert queue.features[filled, 0].tolist() == expected
    assert queue.class_probabilities()[filled].argmax(1).tolist() == [number % 4 for number in expected]
    assert queue.age()[filled].tolist() == list(reversed(range(len(expected))))
    if stored == "vectors":
        assert torch.equal(queue.vectors[filled], table(torch.tensor(expected) % 4))
    assert queue.size == len(filled) == 5 - min(written, 5) + len(expected)
    queue.write(torch.full((1, 2), 99.0), torch.tensor([0]), torch.tensor([99]), table)
    left = expected if written < 5 else expected[1:]  # a row that was never written goes first, then the oldest
    order = queue.age()[queue.filled].argsort(descending=True)
    assert queue.ids[queue.filled, 0][order].tolist() == [*left, 99]


def test_removing_an_image_takes_out_what_was_mixed_with_it() -> None:
    queue, table = memory(4)
    pairs = torch.tensor([[0, 1], [2, -1], [3, 0]])
    queue.write(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64), pairs, table)
    assert queue.remove(torch.tensor([0])) == 2
    assert queue.ids[queue.filled].tolist() == [[2, -1]]
    assert queue.remove(torch.tensor([-1])) == 0  # no image's id
    assert queue.remove(torch.tensor([2])) == 1
    assert queue.size == 1  # the row that was never written
