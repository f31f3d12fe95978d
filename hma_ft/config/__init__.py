"""What a run is: the typed schema of conf/, its checks, and the fingerprint that identifies a run."""

from hma_ft.config.checks import check
from hma_ft.config.fingerprint import fingerprint
from hma_ft.config.frozen import load_config, run_directory, save_config, typed
from hma_ft.config.reads import as_read
from hma_ft.config.schema import Config

__all__ = ["Config", "as_read", "check", "fingerprint", "load_config", "run_directory", "save_config", "typed"]
