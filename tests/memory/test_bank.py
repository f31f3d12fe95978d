"""The fixed set of training features."""

import torch

from hma_ft.memory.bank import FeatureBank, class_balanced


def test_selection_is_balanced_and_repeats() -> None:
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 20)
    chosen = class_balanced(labels, 18)
    assert torch.equal(chosen, class_balanced(labels, 18))
    assert labels[chosen].bincount().tolist() == [7, 5, 6] or labels[chosen].bincount().tolist() == [6, 5, 7]
    assert len(chosen.unique()) == 18
    assert class_balanced(labels, 1000).tolist() == list(range(75))


def test_an_empty_bank_loads_any_number_of_rows() -> None:
    full, empty = FeatureBank(3), FeatureBank(3)
    full.set(torch.randn(6, 3), torch.arange(6), torch.arange(6) + 10)
    empty.load_state_dict(full.state_dict())
    assert torch.equal(empty.features, full.features)
    assert len(empty) == 6


def test_rows_are_added_and_removed_by_id() -> None:
    bank = FeatureBank(1)
    bank.set(torch.arange(4.0)[:, None], torch.arange(4) % 2, torch.arange(4) + 10)
    bank.add(torch.tensor([[7.0]]), torch.tensor([1]), torch.tensor([70]))
    assert bank.remove(torch.tensor([11, 70, 999])) == 2
    assert bank.features[:, 0].tolist() == [0.0, 2.0, 3.0]
    assert bank.labels.tolist() == [0, 0, 1]
    assert bank.ids.tolist() == [10, 12, 13]
