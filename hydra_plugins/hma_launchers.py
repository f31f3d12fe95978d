"""`hydra/launcher=local` and `hydra/launcher=slurm`. What they do is in hma_ft.launch, imported when a sweep starts."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hma_ft.errors import UserError
from hma_ft.files.writable import folder_refusal
from hma_ft.launch.options import LocalOptions, SlurmOptions, has_stages

if TYPE_CHECKING:
    from hma_ft.config.schema import Config, SweepConfig
    from hma_ft.launch.backend import Backend


class _SweepLauncher(Launcher):
    """Composes every trial at once and hands them to hma_ft.launch; the trials never see conf/."""

    def __init__(self, options: LocalOptions | SlurmOptions) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by the sweeper, before it writes. Raises UserError if it couldn't."""
        reason = folder_refusal(Path(config.hydra.sweep.dir))
        if reason:
            raise UserError(f"runs_dir={config.runs_dir} can't be written ({reason}): give another directory")
        from hma_ft.launch.composition import SharedComposition

        if not isinstance(hydra_context.config_loader, SharedComposition):
            # the sweeper composes every trial with this context too, to validate it
            hydra_context.config_loader = SharedComposition(hydra_context.config_loader)  # type: ignore[assignment]
        self.hydra_context = hydra_context
        self.config = config

    def backend(self) -> "Backend":
        """Where the trials run."""
        raise NotImplementedError

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """One JobReturn a job, its value val top-1. Exit code 2 for mistakes, 1 for trials that did not finish."""
        setup_globals()
        if not job_overrides:
            raise UserError("the sweep has no trials: one of its overrides gives no value")
        try:
            return self._launch(job_overrides, initial_job_idx)
        except UserError as error:
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            raise SystemExit(2) from None

    def _launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hma_ft.launch.pairs import with_pairs
        from hma_ft.launch.submit import run_sweep

        settings = self._typed(self._compose(job_overrides[0], initial_job_idx)).sweep
        job_overrides = with_pairs(job_overrides, settings.pairs)
        if has_stages(settings):
            return self._launch_staged(job_overrides, settings, initial_job_idx)
        jobs = [self._compose(overrides, initial_job_idx + i) for i, overrides in enumerate(job_overrides)]
        trials = [(overrides, self._typed(job)) for overrides, job in zip(job_overrides, jobs, strict=True)]
        rows = run_sweep(trials, self.backend(), self.options)
        values = [row.val_top1 for row in rows] if rows is not None else [None] * len(jobs)
        return [_returned(job, value) for job, value in zip(jobs, values, strict=True)]

    def _launch_staged(
        self, job_overrides: Sequence[Sequence[str]], settings: "SweepConfig", initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """One JobReturn a thing that is compared, without a value: there is one a seed."""
        from hma_ft.config.frozen import without_hydra
        from hma_ft.launch.pairs import without_seeds
        from hma_ft.launch.staged import run_staged_sweep
        from hma_ft.launch.staged_planning import Composed

        found = without_seeds(job_overrides)
        jobs = [self._compose(overrides, initial_job_idx + i) for i, (overrides, _) in enumerate(found)]
        composed = [
            Composed(overrides, OmegaConf.create(without_hydra(job)), seeds)
            for (overrides, seeds), job in zip(found, jobs, strict=True)
        ]
        methods = self.hydra_context.config_loader.get_group_options("method")
        run_staged_sweep(composed, settings, self.backend(), methods)
        return [_returned(job, None) for job in jobs]

    def _compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = str(number)
            composed.hydra.job.num = number
        return composed

    def _typed(self, composed: DictConfig) -> "Config":
        """The configuration of one trial, resolved."""
        from hma_ft.config.frozen import typed, without_hydra

        singleton, before = HydraConfig.instance(), HydraConfig.instance().cfg
        try:
            singleton.set_config(composed)
            return typed(without_hydra(composed))
        finally:
            singleton.cfg = before


def _returned(composed: DictConfig, value: float | None) -> JobReturn:
    """What a sweeper reads: the value; configurations of a thousand trials are not copied for nobody."""
    job = JobReturn(overrides=list(composed.hydra.overrides.task), status=JobStatus.COMPLETED)
    job.return_value = value
    return job


class LocalLauncher(_SweepLauncher):
    """Trials as processes of this machine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(LocalOptions(**options))

    def backend(self) -> "Backend":
        """Where the trials run."""
        from hma_ft.launch.local import LocalBackend

        return LocalBackend(self.options)


class SlurmLauncher(_SweepLauncher):
    """Trials as tasks of a Slurm job array."""

    def __init__(self, **options: Any) -> None:
        plain = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in options.items()}
        super().__init__(SlurmOptions(**plain))

    def backend(self) -> "Backend":
        """Where the trials run."""
        from hma_ft.launch.slurm import SlurmBackend

        return SlurmBackend(self.options)


@dataclass
class LocalConfig(LocalOptions):
    """hydra.launcher of hydra/launcher=local."""

    _target_: str = "hydra_plugins.hma_launchers.LocalLauncher"


@dataclass
class SlurmConfig(SlurmOptions):
    """hydra.launcher of hydra/launcher=slurm."""

    _target_: str = "hydra_plugins.hma_launchers.SlurmLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalConfig, provider="hma")
ConfigStore.instance().store(group="hydra/launcher", name="slurm", node=SlurmConfig, provider="hma")
