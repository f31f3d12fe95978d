"""Trials composed once and set are those that Hydra composes one by one."""

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hma_ft.launch.composition import SharedComposition

TRIALS = [
    ["method=head", "seed=0"],
    ["method=head", "seed=1", "optimizer.lr=0.1"],
    ["seed=2", "method=hma", "method.hma.real.size=64", "method/peft=lora"],
    ["method=hma", "seed=3", "augment.crop_scale=[0.5,1]", "dataset.root=${oc.env:HOME}/images"],
    ["method=hma", "+dataset.options.extra=1", "+model.options.depth=2"],
    ["experiment=demo", "trainer.max_steps=7", "tracking=off", "hydra.job.name=x"],
]


@pytest.fixture
def master(loader: ConfigLoader) -> DictConfig:
    return loader.load_configuration("config", ["hydra.verbose=false", "seed=0,1"], RunMode.MULTIRUN)


def plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config)


def test_equal_to_a_composition_of_its_own(loader: ConfigLoader, master: DictConfig) -> None:
    shared = SharedComposition(loader)
    for overrides in TRIALS + TRIALS[::-1]:
        expected = loader.load_sweep_config(master, overrides)
        found = shared.load_sweep_config(master, overrides)
        assert plain(found) == plain(expected)
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


def test_what_trials_share_is_composed_once(
    loader: ConfigLoader, master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedComposition(loader)
    composed: list[list[str]] = []
    whole = loader.load_sweep_config
    monkeypatch.setattr(
        loader, "load_sweep_config", lambda config, overrides: composed.append(overrides) or whole(config, overrides)
    )
    for method in ("head", "hma"):
        for seed in range(3):
            assert shared.load_sweep_config(master, [f"method={method}", f"seed={seed}"]).seed == seed
    assert composed == [["method=head"], ["method=hma"]]


@pytest.mark.parametrize(
    "mistake", ["optimizer.rate=0.1", "seed=many", "method=nonsense", "method.hma.real.size={a:1}"]
)
def test_mistakes_are_worded_by_hydra(loader: ConfigLoader, master: DictConfig, mistake: str) -> None:
    messages = []
    for way in (loader, SharedComposition(loader)):
        with pytest.raises(ConfigCompositionException) as error:
            way.load_sweep_config(master, ["method=head", mistake])
        messages.append(str(error.value))
    assert messages[0] == messages[1]
