"""From composed configurations to the trials of a sweep: checked, named, without doubles."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hma_ft.config import check, fingerprint, run_directory
from hma_ft.config.schema import Config, Task
from hma_ft.errors import UserError
from hma_ft.launch.sweep import Sweep, Trial, define_sweep

KEY_DIGITS = 12  # of the fingerprint
_NOT_OF_THE_RUN = ("hydra", "sweep", "tracking", "runs_dir")


@dataclass(frozen=True)
class Plan:
    """A sweep and the configuration of each of its trials, by key."""

    sweep: Sweep
    configs: dict[str, Config]
    keys: list[str]  # of the jobs in the order given; two of them may be one trial

    @property
    def repeated(self) -> int:
        """Jobs whose run is another job's too."""
        return len(self.keys) - len(self.sweep.trials)


def make_plan(jobs: Sequence[tuple[Sequence[str], Config]]) -> Plan:
    """`jobs`: the overrides and the configuration of each. Raises UserError that names every mistake of every trial."""
    require_valid([config for _, config in jobs])
    keys = [fingerprint(config)[:KEY_DIGITS] for _, config in jobs]
    labels = _labels([overrides for overrides, _ in jobs], keys)
    trials: dict[str, Trial] = {}
    configs: dict[str, Config] = {}
    for key, (_, config) in zip(keys, jobs, strict=True):
        if key not in trials:
            trials[key] = Trial(key=key, label=labels[key], directory=str(run_directory(config).absolute()))
            configs[key] = config
    first = jobs[0][1]
    name = first.sweep.name or name_of([overrides for overrides, _ in jobs])
    return Plan(define_sweep(first.runs_dir, name, list(trials.values())), configs, keys)


def require_valid(configs: Sequence[Config]) -> None:
    """Raise UserError with a line for every mistake of the trials' configurations."""
    others = {config.task.name for config in configs} - {Task.train.name}
    if others:
        raise UserError(
            f"a sweep trains: task={', '.join(sorted(others))} is run without -m, or with hydra/launcher=basic"
        )
    mistakes = dict.fromkeys(mistake for config in configs for mistake in check(config))
    if not mistakes:
        from hma_ft.methods.validate import model_problems  # timm comes with it

        models = {repr(_judged(config)): config for config in configs}
        mistakes = dict.fromkeys(mistake for config in models.values() for mistake in model_problems(config))
    if mistakes:
        raise UserError("\n".join(mistakes))


def _judged(config: Config) -> tuple[object, ...]:
    """All that `model_problems` looks at: trials that agree in it are judged once."""
    return config.model, config.method, config.augment.image_size, config.trainer.grad_accumulation


def settings_of(overrides: Sequence[str]) -> dict[str, str]:
    """Key to value, without what only concerns the launch."""
    pairs = (override.lstrip("+~").partition("=")[::2] for override in overrides)
    return {k: v for k, v in pairs if k.split(".")[0].split("/")[0] not in _NOT_OF_THE_RUN}


def _labels(jobs: Sequence[Sequence[str]], keys: Sequence[str]) -> dict[str, str]:
    """By key of the trial, the overrides in which jobs differ, and all of them where there is one trial.

    Where several jobs are one trial, those that they have in common: the others are settings that it never reads.
    """
    settings = [settings_of(overrides) for overrides in jobs]
    varied = varied_keys(settings)
    shown: dict[str, dict[str, str]] = {}
    for key, own in zip(keys, settings, strict=True):
        shown[key] = {k: v for k, v in shown.get(key, own).items() if own.get(k) == v}
    if len(shown) > 1:
        shown = {key: {k: v for k, v in common.items() if k in varied} for key, common in shown.items()}
    return {key: " ".join(f"{k}={v}" for k, v in label.items()) or "no overrides" for key, label in shown.items()}


def varied_keys(settings: Sequence[dict[str, str]]) -> list[str]:
    """Keys that have not the same value everywhere."""
    keys = dict.fromkeys(key for s in settings for key in s)
    return [key for key in keys if len({s.get(key) for s in settings}) > 1]


def name_of(jobs: Sequence[Sequence[str]]) -> str:
    """Name of a sweep that was given none: the settings that it varies."""
    settings = [settings_of(overrides) for overrides in jobs]
    keys = varied_keys(settings) or list(settings[0])
    return re.sub(r"[^\w-]+", "_", "-".join(key.split(".")[-1] for key in keys))[:60] or "sweep"
