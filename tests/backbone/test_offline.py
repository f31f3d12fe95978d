"""Without network and without model.weights, the error says what to do."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from hma_ft.backbone import create_backbone
from hma_ft.config.schema import ModelConfig, TokensConfig
from hma_ft.errors import UserError
try:
    create_backbone(ModelConfig(name="vit_tiny_patch16_224.augreg_in21k"), image_size=224, tokens=TokensConfig())
except UserError as error:
    print(error)
    sys.exit(2)
"""


def test_weights_that_cannot_be_fetched(tmp_path: Path, repository: Path) -> None:
    # In a process of its own: the hub's client reads its environment when it is imported. Offline mode fails
    # where a lost connection does, but without the client's minute of retries.
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | offline | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 2, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("model.name=vit_tiny_patch16_224.augreg_in21k: its weights are not on this machine")
    for advice in ("model.weights=FILE", "model.pretrained=false", "once with network"):
        assert advice in lines[0]
    assert "Traceback" not in process.stderr
