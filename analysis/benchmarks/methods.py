"""Training step and peak memory of every method beside full fine-tuning and the linear head, each in a process.

python -m analysis.benchmarks.methods [--quick]

A step decodes nothing and stores no features: images to loss, gradients and the optimizer, on a frozen backbone too.
Merged weights are measured as inference beside the bare backbone.
"""

import sys

import torch
from torch import nn

from analysis.benchmarks.child import in_a_process
from analysis.benchmarks.measurement import Measurement, Options, main
from analysis.benchmarks.timing import Times, interleaved, ratio

METHODS = (
    *("head", "head_cls", "mlp_head", "cache", "hma_head", "hma"),
    *("bitfit", "layernorm", "partial", "lora", "dora", "ssf", "vpt_shallow", "vpt_deep"),
    *("adapter", "adaptformer", "adapter_plus", "hma_lora", "hma_vpt", "hma_adapter"),
)
MERGEABLE = ("lora", "dora", "ssf")
QUICK = ("lora", "hma_lora")
MODEL, BATCH = "vit_s16", 16


def measure(options: Options) -> list[Measurement]:
    """A row a method; full fine-tuning is measured beside each, in turn."""
    model, size, repeats = ("vit_micro", 4, 2) if options.quick else (MODEL, BATCH, 3)
    head_peak, full_peak = (_mib(in_a_process(peak_bytes, name, model, size)) for name in ("head", "full"))
    measurements = []
    for name in QUICK if options.quick else METHODS:
        times = in_a_process(steps, name, model, size, repeats)
        middle, text = ratio(times["method"], times["full"])
        peak = _mib(in_a_process(peak_bytes, name, model, size))
        memory = f"peak {peak}; full {full_peak}, head {head_peak}"
        # HMA over a backbone that trains runs its momentum copy too, and is no rival in cost
        bounded = not name.startswith("hma")
        measurements.append(
            Measurement(
                f"step of {name}, {model}, batch {size}",
                "full fine-tuning in the same process",
                f"{text}; {memory}",
                "below 1" if bounded else "",
                middle < 1 if bounded else None,
            )
        )
    for name in QUICK[:1] if options.quick else MERGEABLE:
        times = in_a_process(inference, name, model, size, repeats)
        middle, text = ratio(times["merged"], times["bare"])
        measurements.append(
            Measurement(
                f"inference of {name}, merged, {model}", "the bare backbone", text, "within noise", middle < 1.1
            )
        )
    return measurements


def steps(name: str, model: str, size: int, repeats: int) -> dict[str, Times]:
    """Times of training steps of the `method` and of `full` fine-tuning, taken in turn."""
    both = {"method": _Training(name, model, size).step, "full": _Training("full", model, size).step}
    return interleaved(both, repeats=repeats)


def peak_bytes(name: str, model: str, size: int) -> int:
    """Peak memory of three training steps."""
    from hma_ft.engine.peak_memory import peak_memory_bytes

    training = _Training(name, model, size)
    for _ in range(3):
        training.step()
    return peak_memory_bytes()


def inference(name: str, model: str, size: int, repeats: int) -> dict[str, Times]:
    """Times of inference with `merged` weights and with the `bare` backbone, taken in turn."""
    from analysis.methods.build import build

    adapted = build(f"method={name}", f"model={model}", device="cpu")
    bare = build("method=head", f"model={model}", device="cpu").method.eval()
    adapted.method.backbone.merge()
    images = torch.zeros(size, 3, *[adapted.config.model.image_size] * 2, dtype=torch.uint8)

    def run(module: nn.Module) -> None:
        with torch.inference_mode():
            module(images)

    merged = adapted.method.eval()
    return interleaved({"merged": lambda: run(merged), "bare": lambda: run(bare)}, repeats=2 * repeats)


class _Training:
    """A method with its optimizer and one batch of noise."""

    def __init__(self, name: str, model: str, size: int) -> None:
        from analysis.methods.build import CLASSES, build

        torch.manual_seed(0)
        built = build(f"method={name}", f"model={model}", device="cpu")
        self.method = built.method.train()
        self.images = torch.randint(256, (size, 3, *[built.config.model.image_size] * 2), dtype=torch.uint8)
        self.labels, self.ids = torch.randint(CLASSES, (size,)), torch.arange(size)
        trained = [parameter for parameter in self.method.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def step(self) -> None:
        """Forward, backward, what the method observes, the optimizer."""
        from hma_ft.methods.base import MicroBatchOutput

        output = self.method(self.images, self.ids)
        self.method.loss(output, self.labels).backward()
        self.method.after_backward([MicroBatchOutput(self.images, output, self.labels, self.ids)])
        self.optimizer.step()
        self.optimizer.zero_grad()


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
