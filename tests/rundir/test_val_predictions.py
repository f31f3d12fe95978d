"""val_predictions.npz: what comes back, and what a damaged file says."""

from pathlib import Path

import numpy as np
import pytest

from hma_ft.errors import UserError
from hma_ft.rundir.val_predictions import FILE, ValPredictions, read_val_predictions


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_val_predictions(tmp_path) is None
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]], dtype=np.float32)
    ValPredictions.of(probabilities, np.array([0, 0, 1])).write(tmp_path)
    found = read_val_predictions(tmp_path)
    assert found is not None and found.confidence.dtype == np.float32
    np.testing.assert_array_equal(found.confidence, probabilities.max(1))
    assert found.predicted.tolist() == [0, 1, 1] and found.correct.tolist() == [True, False, True]


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"val_predictions.npz is damaged .*task=evaluate"):
        read_val_predictions(tmp_path)
    none = np.zeros(0)
    ValPredictions(none, none, none).write(tmp_path)
    with pytest.raises(UserError, match="is damaged"):
        read_val_predictions(tmp_path)
