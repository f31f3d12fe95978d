"""Hydra's loader of conf/, as the sweeps see it."""

import pytest
from hydra.core.config_loader import ConfigLoader

from tests.config.test_compose import config_loader


@pytest.fixture(scope="session")
def loader() -> ConfigLoader:
    """Loader of the repository's conf/, with the schema."""
    return config_loader()
