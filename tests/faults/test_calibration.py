"""A run killed after training, once it had chosen on val and saved that: it chooses again from the same weights."""

import json
import signal
from pathlib import Path

import pytest

from tests.faults.real_runs import RealRun, assert_same_outcome, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.parametrize("method", ["head_knn_tuned", "cache"])
def test_what_is_chosen_after_training_does_not_depend_on_a_kill(method: str, tmp_path: Path) -> None:
    whole, cut = (RealRun(tmp_path / name, f"method={method}") for name in ("whole", "cut"))
    whole.finish("trainer.num_workers=0")
    process = cut.start("trainer.num_workers=0")
    assert wait_for(lambda: cut.rows and cut.rows[-1]["step"] >= 7, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = cut.start("trainer.num_workers=0")

    def calibrated() -> bool:
        """Two files of the best step: as it was trained, and with what val chose."""
        steps = [path.name.split("-")[1] for path in cut.folder.glob("runs/digits/*/checkpoints/best-*.pt")]
        return len(steps) > len(set(steps))

    assert wait_for(calibrated, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (cut.directory / "result.json").exists(), "the kill came too late"
    cut.finish("trainer.num_workers=0")
    assert_same_outcome(cut, whole)
    result = json.loads((cut.directory / "result.json").read_text())
    assert any(key.startswith("chosen/") for key in result)
