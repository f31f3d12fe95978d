"""`task=export run=DIR`: a finished run's model as files for others, checked, with a model card."""

from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from hma_ft.config.schema import Config, Device
from hma_ft.errors import UserError
from hma_ft.export.card import Exported, card, read_record
from hma_ft.export.onnx_graph import onnx_difference, require_packages, write_onnx
from hma_ft.export.own_layout import write_own_layout
from hma_ft.export.peft_adapter import PEFT_FOLDER, fits_peft, write_peft_adapter
from hma_ft.export.preparation import preparation
from hma_ft.export.timm_layout import fits_timm, timm_difference, write_timm_layout
from hma_ft.export.verification import examples
from hma_ft.finished_run import FinishedRun, open_for_command
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.ring_buffer import RealMemory
from hma_ft.methods.base import Method, Output
from hma_ft.methods.choose import ABSENT

TIMM_TOLERANCE = 1e-6  # relative to the largest logit, or absolute where that is less than 1
SOLVED_TOLERANCE = 1e-5  # of a layer in single precision that was solved for in double precision (see `_scale`)
MERGED_TOLERANCE = 1e-5  # likewise: of weights with PEFT merged into them, and of peft
ONNX_TOLERANCE = 1e-4


def export(config: Config, given: frozenset[str] = frozenset()) -> int:
    """Write weights, ONNX graphs and README.md; returns 1 if one of them predicts other logits than the run.

    All in single precision, on the CPU, where graphs are traced and compared. The run's data set is not needed.
    """
    require_packages()
    directory = Path(config.run or "")
    folder = Path(config.output) if config.output else directory / "export"
    run = open_for_command(config, given, device=Device.cpu, compile=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        exported, problems = _write(folder, run)
        (folder / "README.md").write_text(card(read_record(directory, run.recorded), exported))
    except OSError as error:
        raise UserError(f"output={folder} can't be written ({error}): give another folder") from error
    _report(folder, exported, problems)
    return 1 if problems else 0


def _write(folder: Path, run: FinishedRun) -> tuple[Exported, list[str]]:
    """The files, and one line for each that disagrees with the run's own model."""
    method, names = run.method, run.class_names
    checked_on = examples(run)
    images = checked_on.images
    with torch.no_grad():
        output = method(images)
    logits, scale = output.logits, _scale(method, output)
    problems, difference, adapter = [], None, None
    if fits_peft(method):
        adapter = write_peft_adapter(folder / PEFT_FOLDER, method, model=run.recorded.model, images=images)
        if adapter.difference is not None and not adapter.difference <= MERGED_TOLERANCE * scale:
            problems.append(f"the logits of {PEFT_FOLDER} in peft differ by {adapter.difference:.1e}")
    plain = fits_timm(method, run.recorded.model)
    if not plain:
        for mode in _independent_modes(run):  # the support set becomes part of the weights
            run.prepare_inference(mode)
        write_own_layout(folder, method, config=run.recorded, transform=run.transform, class_names=names)
    problems += _merge(method, images, logits, MERGED_TOLERANCE * scale)
    if plain:
        write_timm_layout(folder, method, model=run.recorded.model, transform=run.transform, class_names=names)
        difference = timm_difference(folder, method, images)
        tolerance = SOLVED_TOLERANCE if method.fits else TIMM_TOLERANCE
        if not difference <= tolerance * scale:
            problems.append(f"plain timm's logits differ by {difference:.1e}")
    graphs = _write_graphs(folder, run, images)
    problems += [f"{file} differs by {d:.1e}" for file, d in graphs.values() if not d <= ONNX_TOLERANCE * scale]
    licence = method.backbone.vit.pretrained_cfg.get("license")
    prepared = preparation(method.backbone, run.transform)
    held = any(isinstance(module, (FeatureBank, RealMemory)) for module in method.modules())
    return Exported(difference, adapter, graphs, checked_on.said, prepared, names, held, licence), problems


@torch.no_grad()
def _scale(method: Method, output: Output) -> float:
    """What rounding is relative to: the largest logit, or the largest sum of terms of a layer that was solved for.

    Such a layer may have weights that are large and cancel; single precision keeps the terms, not their difference.
    """
    size = output.logits
    known = size.amax(0) > ABSENT / 2  # a class without a training image has a constant for a logit
    layer = method.linear_classifier()
    if method.fits and layer is not None:
        size = output.features.float().abs() @ layer.weight.abs().T + layer.bias.abs()
    return max(1.0, float(size[:, known].abs().max()))


@torch.no_grad()
def _merge(method: Method, images: Tensor, logits: Tensor, tolerance: float) -> list[str]:
    """Merge the backbone in place, for what is written from here on; one line if the logits [B, C] don't stay."""
    method.backbone.merge()
    difference = float((method(images).logits - logits).abs().max())
    return [] if difference <= tolerance else [f"merged weights change the logits by {difference:.1e}"]


def _write_graphs(folder: Path, run: FinishedRun, images: Tensor) -> dict[str, tuple[str, float]]:
    """One graph for each mode: mode, file name and largest difference."""
    modes, graphs = _independent_modes(run), {}
    facts = {"class_names": run.class_names, "preparation": preparation(run.method.backbone, run.transform)}
    for mode in modes:
        path = folder / ("model.onnx" if len(modes) == 1 else f"model_{mode}.onnx")
        run.prepare_inference(mode)
        write_onnx(path, run.method, mode, images=images, facts=facts | {"inference": mode})
        graphs[mode] = (path.name, onnx_difference(path, run.method, mode, images))
    return graphs


def _independent_modes(run: FinishedRun) -> list[str]:
    """Inference modes in which a prediction does not depend on the other images of a batch."""
    return [mode for mode in run.modes if mode != "batch"]


def _report(folder: Path, exported: Exported, problems: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if exported.timm_difference is None:
        console.print("model.safetensors: this suite's own names; plain timm cannot hold this method", markup=False)
    else:
        console.print(f"model.safetensors: timm's layout, logits differ by at most {exported.timm_difference:.1e}")
    if exported.peft is not None:
        checked = "not checked, as peft is not installed"
        if exported.peft.difference is not None:
            checked = f"logits differ by at most {exported.peft.difference:.1e}"
        console.print(f"{PEFT_FOLDER}: adapter for Hugging Face peft on the timm model, {checked}", markup=False)
    for mode, (file, difference) in exported.onnx.items():
        console.print(f"{file}: inference {mode}, logits differ by at most {difference:.1e}", markup=False)
    for problem in problems:
        console.print(f"differs: {problem}", markup=False)
    console.print(f"exported to {folder}, with the card README.md", markup=False)
