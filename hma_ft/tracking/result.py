"""result.json: what a finished run came to."""

import json
from pathlib import Path
from typing import Any

from hma_ft.errors import UserError


def read_result(directory: Path) -> dict[str, Any]:
    """The flat keys of result.json. UserError where the run has none."""
    try:
        return json.loads((directory / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{directory / 'result.json'} is missing or damaged ({error}): finish the run, or use fresh=true"
        ) from error
