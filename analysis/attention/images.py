"""Figures of images and bars: galleries, rollout, shares, agreement."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from analysis.attention.gallery import Entry
from analysis.attention.heatmaps import COLOURS, cut, new_figure
from analysis.attention.statistics import Estimate, Reading
from hma_ft.data.datasets.base import ImageDataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT, WRONG = "#0072B2", "#D55E00"
SOURCES = ("self", "batch", "support", "real", "synthetic", "null")


def gallery_png(
    path: Path, entries: Sequence[Entry], *, test: ImageDataset, train: ImageDataset, class_names: Sequence[str]
) -> None:
    """A test image a row, the training images that it read most to its right, framed by whether classes agree."""
    width = 1 + max(len(entry.read) for entry in entries)
    figure = new_figure(1.75 * width, 2.15 * len(entries))
    grid = figure.subplots(len(entries), width, squeeze=False)
    for row, entry in zip(grid, entries, strict=True):
        for axes in row:
            axes.set_axis_off()
        verdict = "" if entry.predicted == entry.label else f"\ntaken for {cut(class_names[entry.predicted])}"
        _image(row[0], test.load(entry.id), f"test: {cut(class_names[entry.label])}{verdict}", "#000000")
        for axes, read in zip(row[1:], entry.read, strict=False):
            mixed = "\n(mixed)" if read.mixed_with else ""
            caption = f"{cut(class_names[read.label])}\n{read.weight:.4f}{mixed}"
            _image(axes, train.load(read.id), caption, RIGHT if read.label == entry.label else WRONG)
    figure.suptitle("Blue frame: of the test image's class; orange: of another. Numbers: attention weight", fontsize=9)
    figure.savefig(path)


def rollout_png(path: Path, images: Tensor, patches: Tensor, captions: Sequence[str]) -> None:
    """uint8 images [B, 3, S, S] above, the shares of their patches [B, h, w] over them below."""
    count = len(images)
    figure = new_figure(1.9 * count + 0.8, 4.4)
    grid = figure.subplots(2, count, squeeze=False)
    even = 1.0 / patches[0].numel()
    relative = patches / patches.sum((1, 2), keepdim=True) / even
    low, top = float(relative.min()), float(relative.max())
    large = functional.interpolate(relative[:, None].float(), size=images.shape[-2:], mode="nearest")[:, 0]
    for place in range(count):
        _image(grid[0][place], images[place], captions[place], "#000000")
        grey = images[place].float().mean(0)
        grid[1][place].imshow(grey, cmap="gray", vmin=0, vmax=255)
        shown = grid[1][place].imshow(large[place], cmap="inferno", vmin=low, vmax=top, alpha=0.6)
        grid[1][place].set_axis_off()
    figure.colorbar(shown, ax=grid[1, :], label="rollout / even share", shrink=0.9)
    figure.savefig(path)


def shares_png(path: Path, readings: Sequence[Reading]) -> None:
    """Where the attention goes: a bar a head and one for their mean, per block and mode."""
    from matplotlib.patches import Patch

    groups = list(dict.fromkeys((reading.block, reading.mode) for reading in readings))
    heads = len(readings[0].shares)
    figure = new_figure(1.5 + 2.3 * len(groups), 4.0)
    axes_list = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for axes, (block, mode) in zip(axes_list, groups, strict=True):
        bottom = torch.zeros(heads + 1)
        for reading in readings:
            if (reading.block, reading.mode) == (block, mode):
                heights = torch.tensor([reading.share, *reading.shares])
                colour = COLOURS[SOURCES.index(reading.source)]
                axes.bar(range(heads + 1), heights, bottom=bottom, color=colour, width=0.8)
                bottom = bottom + heights
        axes.set_xticks(range(heads + 1), ["mean", *map(str, range(1, heads + 1))])
        title = "first block, every mode" if block == "real" else f"second block, {mode}"
        axes.set(title=title, xlabel="head", ylim=(0, 1.02))
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
    axes_list[0].set_ylabel("share of the attention")
    used = [source for source in SOURCES if any(reading.source == source for reading in readings)]
    patches = [Patch(color=COLOURS[SOURCES.index(source)], label=source) for source in used]
    figure.legend(handles=patches, loc="outside right upper", frameon=False)
    figure.savefig(path)


def agreement_png(path: Path, readings: Sequence[Reading]) -> None:
    """Share of rows of the image's class among those it read most, beside what chance gives."""
    shown = [reading for reading in readings if reading.agreement]
    figure = new_figure(1.2 + 2.4 * len(shown), 3.8)
    axes_list = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    figures = [f for reading in shown for kinds in reading.agreement.values() for f in kinds.values()]
    top = min(1.0, 1.15 * max(max(f.mean + f.half_width, f.chance) for f in figures))
    for axes, reading in zip(axes_list, shown, strict=True):
        for place, name in enumerate(("true", "predicted")):
            _bars(axes, place, list(reading.agreement[name].values()), f"{name} class")
        kinds = list(reading.agreement["true"])
        axes.set_xticks(range(len(kinds)), kinds)
        axes.set_title(f"{reading.source} ({reading.mode})", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(0, top)
    axes_list[0].set_ylabel("share of the image's class")
    handles, labels = axes_list[0].get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    figure.legend(kept.values(), kept.keys(), loc="outside lower center", ncols=len(kept), frameon=False)
    figure.savefig(path)


def _bars(axes: "Axes", place: int, figures: Sequence[Estimate], label: str) -> None:
    positions = [kind + 0.4 * place - 0.2 for kind in range(len(figures))]
    means, half_widths = [figure.mean for figure in figures], [figure.half_width for figure in figures]
    axes.bar(positions, means, yerr=half_widths, width=0.38, color=COLOURS[place], label=label, ecolor="#777777")
    for position, figure in zip(positions, figures, strict=True):
        axes.hlines(figure.chance, position - 0.19, position + 0.19, color="#000000", linewidth=1.6, label="chance")


def _image(axes: "Axes", image: Tensor, caption: str, colour: str) -> None:
    axes.set_axis_on()
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(caption, fontsize=8)
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2.5)
