"""`task=export run=DIR`: a finished run's model as files for others, checked, with a model card."""

from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from hma_ft.assembly import Parts, restore
from hma_ft.config.schema import Config, Device
from hma_ft.engine.processes import create_accelerator
from hma_ft.errors import UserError
from hma_ft.export.card import Exported, card, read_record
from hma_ft.export.onnx_graph import onnx_difference, require_packages, write_onnx
from hma_ft.export.own_layout import write_own_layout
from hma_ft.export.preparation import preparation
from hma_ft.export.timm_layout import fits_timm, timm_difference, write_timm_layout
from hma_ft.hma.bank import FeatureBank
from hma_ft.hma.real_memory import RealMemory

PICTURES = 32  # of test, that the files are checked on
# Relative to the largest logit, or absolute where that is less than 1. A head that was solved in double precision is a
# layer in single precision there.
TIMM_TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4


def export(config: Config) -> int:
    """Write weights, ONNX graphs and README.md; returns 1 if one of them predicts other logits than the run."""
    require_packages()
    directory = Path(config.run or "")
    folder = Path(config.output) if config.output else directory / "export"
    config.trainer.device = Device.cpu  # where graphs are traced and compared
    run_config, parts = restore(config, create_accelerator(config.trainer))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        exported, problems = _write(folder, run_config, parts)
        (folder / "README.md").write_text(card(read_record(directory, run_config), exported))
    except OSError as error:
        raise UserError(f"output={folder} can't be written ({error}): give another folder") from error
    _report(folder, exported, problems)
    return 1 if problems else 0


def _write(folder: Path, config: Config, parts: Parts) -> tuple[Exported, list[str]]:
    """The files, and one line for each that disagrees with the run's own model."""
    method, names = parts.method.eval(), parts.splits.class_names
    images = _test_pictures(parts)
    with torch.no_grad():
        scale = max(1.0, float(method(images).logits.abs().max()))
    problems, difference = [], None
    if fits_timm(method):
        write_timm_layout(folder, method, model=config.model, transform=parts.eval_transform, class_names=names)
        difference = timm_difference(folder, method, images)
        if not difference <= TIMM_TOLERANCE * scale:
            problems.append(f"plain timm's logits differ by {difference:.1e}")
    else:
        for mode in _independent_modes(parts):  # the support set becomes part of the weights
            parts.evaluator.prepare_inference(mode)
        write_own_layout(folder, method, config=config, transform=parts.eval_transform, class_names=names)
    graphs = _write_graphs(folder, parts, images)
    problems += [f"{file} differs by {d:.1e}" for file, d in graphs.values() if not d <= ONNX_TOLERANCE * scale]
    licence = parts.backbone.vit.pretrained_cfg.get("license")
    prepared = preparation(parts.backbone, parts.eval_transform)
    held = any(isinstance(module, (FeatureBank, RealMemory)) for module in method.modules())
    return Exported(difference, graphs, len(images), prepared, names, held, licence), problems


def _write_graphs(folder: Path, parts: Parts, images: Tensor) -> dict[str, tuple[str, float]]:
    """One graph for each mode: mode, file name and largest difference."""
    modes, graphs = _independent_modes(parts), {}
    facts = {"class_names": parts.splits.class_names, "preparation": preparation(parts.backbone, parts.eval_transform)}
    for mode in modes:
        path = folder / ("model.onnx" if len(modes) == 1 else f"model_{mode}.onnx")
        parts.evaluator.prepare_inference(mode)
        write_onnx(path, parts.method, mode, images=images, facts=facts | {"inference": mode})
        graphs[mode] = (path.name, onnx_difference(path, parts.method, mode, images))
    return graphs


def _independent_modes(parts: Parts) -> list[str]:
    """Inference modes in which a prediction does not depend on the other pictures of a batch."""
    return [mode for mode in parts.method.inference_modes() if mode != "batch"]


def _test_pictures(parts: Parts) -> Tensor:
    """uint8 [B, 3, S, S], evenly from the test split."""
    count = len(parts.splits.test)
    indices = torch.linspace(0, count - 1, min(PICTURES, count)).long().unique().tolist()
    return torch.stack([parts.eval_transform(parts.splits.test.load(index)) for index in indices])


def _report(folder: Path, exported: Exported, problems: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if exported.timm_difference is None:
        console.print("model.safetensors: this suite's own names; plain timm cannot hold this method", markup=False)
    else:
        console.print(f"model.safetensors: timm's layout, logits differ by at most {exported.timm_difference:.1e}")
    for mode, (file, difference) in exported.onnx.items():
        console.print(f"{file}: inference {mode}, logits differ by at most {difference:.1e}", markup=False)
    for problem in problems:
        console.print(f"differs: {problem}", markup=False)
    console.print(f"exported to {folder}, with the card README.md", markup=False)
