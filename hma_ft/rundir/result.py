"""result.json: what a finished run came to."""

import json
from pathlib import Path
from typing import Any

from hma_ft.errors import UserError

_METRICS = ("val", "test", "best/", "params/", "time/", "memory/")


def read_result(directory: Path) -> dict[str, Any]:
    """The flat keys of result.json. UserError where the run has none, or one that is damaged."""
    path = directory / "result.json"
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path} is missing or damaged ({reason}): finish the run, or use fresh=true") from error
    if not isinstance(result, dict) or any(
        isinstance(value, str | list | dict) for key, value in result.items() if key.startswith(_METRICS)
    ):
        raise UserError(f"{path} is damaged (metrics by name are expected): restore it, or use fresh=true")
    return result
