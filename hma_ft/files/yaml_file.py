"""YAML by the C library, where PyYAML was built with it: a record's configuration in a tenth of the time."""

from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file. Raises OSError, UnicodeDecodeError or yaml.YAMLError."""
    return yaml.load(path.read_text(), Loader=_LOADER)
