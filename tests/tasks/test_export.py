"""`task=export` of real small runs, read back by plain timm, by onnxruntime, and by our own loader."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import timm
import torch
import yaml
from PIL import Image
from scipy.stats import norm
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config, ModelConfig, TokensConfig
from hma_ft.data.datasets.digits import Digits
from hma_ft.data.transforms import EvalTransform
from hma_ft.errors import UserError
from hma_ft.export import onnx_graph
from hma_ft.export.intervals import intervals
from hma_ft.export.own_layout import load_own_layout, write_own_layout
from hma_ft.export.timm_layout import timm_difference, write_timm_layout
from hma_ft.methods.base import Method, Output
from hma_ft.methods.choose import ABSENT
from hma_ft.methods.linear import Linear
from hma_ft.serving.mlflow_model import _load_pyfunc
from hma_ft.tasks.export import _scale, export
from tests.data.messes import save_turned

Exported = tuple[Path, Path, str]  # run directory, folder, what was printed


def sample_images() -> Tensor:
    """uint8 [40, 3, 16, 16]: the digits, prepared without the suite."""
    grey = torch.from_numpy(load_digits().images[:40] * (255 / 16)).round().to(torch.uint8)
    return v2.Resize(16, interpolation=InterpolationMode.BICUBIC, antialias=True)(grey[:, None].expand(-1, 3, -1, -1))


@pytest.fixture
def exported(run_py: Callable, tmp_path: Path, tiny: list[str]) -> Callable[..., Exported]:
    """Train a method and export it."""

    def make(*arguments: str) -> Exported:
        train = run_py(*arguments, *tiny, "trainer.max_steps=20", "scheduler.warmup_steps=2")
        assert train.returncode == 0, train.stderr
        (run,) = (tmp_path / "runs" / "digits").iterdir()
        done = run_py("task=export", f"run={run}", "trainer.num_workers=0")
        assert done.returncode == 0, done.stderr + done.stdout
        return run, run / "export", done.stdout

    return make


def onnx_logits(path: Path, images: Tensor) -> np.ndarray:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images.numpy()})[
        0
    ]


SOLVED = 3e-4  # of heads that are solved for: an untrained backbone's features are nearly collinear


def assert_as_recorded(run: Path, path: Path, name: str, *, atol: float = 2e-5) -> None:
    """The graph's probabilities are those that the run recorded for its test split."""
    with np.load(run / name) as recorded:
        ids, labels, expected = recorded["ids"], recorded["labels"], recorded["probabilities"]
    test = Digits(Path(), {}).splits()["test"]
    assert len(ids) == len(test)
    transform = EvalTransform(16, crop_ratio=1.0, interpolation="bicubic")
    images = torch.stack([transform(test.load(int(i))) for i in ids])
    assert (test.labels[torch.from_numpy(ids)].numpy() == labels).all()
    found = torch.from_numpy(onnx_logits(path, images)).softmax(1).numpy()
    np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.slow
def test_linear_head_loads_in_plain_timm(exported: Callable[..., Exported]) -> None:
    run, folder, printed = exported("method=full")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    data = timm.data.resolve_model_data_config(model)
    assert data["input_size"] == (3, 16, 16) and data["crop_pct"] == 1.0 and list(data["mean"]) == [0.5, 0.5, 0.5]
    assert model.pretrained_cfg["label_names"] == [str(digit) for digit in range(10)]
    images = sample_images()
    mean, std = (torch.tensor(data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        logits = model((images / 255 - mean) / std).numpy()
    np.testing.assert_allclose(onnx_logits(folder / "model.onnx", images), logits, atol=1e-5)
    assert_as_recorded(run, folder / "model.onnx", "predictions.npz")
    assert "logits differ by at most" in printed
    by_path = timm.create_model(
        "vit_tiny_patch16_224",
        **json.loads((folder / "config.json").read_text())["model_args"],
        num_classes=10,
        checkpoint_path=folder / "model.safetensors",
    ).eval()
    with torch.no_grad():
        assert torch.equal(by_path((images / 255 - mean) / std), torch.from_numpy(logits))


@pytest.mark.slow
def test_hma_exports_alone_and_support(exported: Callable[..., Exported]) -> None:
    run, folder, printed = exported("method=hma", "method.hma.real.size=40")
    images = sample_images()
    alone = onnx_logits(folder / "model_alone.onnx", images)
    assert_as_recorded(run, folder / "model_alone.onnx", "predictions.npz")
    assert_as_recorded(run, folder / "model_support.onnx", "predictions_support.npz")
    one_by_one = np.concatenate([onnx_logits(folder / "model_alone.onnx", image[None]) for image in images[:5]])
    np.testing.assert_allclose(one_by_one, alone[:5], atol=1e-5)  # whoever else is in the batch
    loaded = load_own_layout(folder)
    assert loaded.class_names == [str(digit) for digit in range(10)]
    for mode in ("alone", "support"):  # the support set came along
        with torch.no_grad(), loaded.method.inference(mode):
            logits = loaded.method(images).logits.numpy()
        np.testing.assert_allclose(logits, onnx_logits(folder / f"model_{mode}.onnx", images), atol=1e-5)
    card = (folder / "README.md").read_text()
    assert "timm alone cannot hold this model" in card and "features of training images" in card
    assert "cannot hold this method" in printed


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tokens_prop", "knn"])
def test_other_methods_load_without_data(exported: Callable[..., Exported], method: str) -> None:
    run, folder, _ = exported(f"method={method}")
    assert_as_recorded(run, folder / "model.onnx", "predictions.npz")
    loaded = load_own_layout(folder)
    with torch.no_grad():
        logits = loaded.method(sample_images()).logits.numpy()
    np.testing.assert_allclose(logits, onnx_logits(folder / "model.onnx", sample_images()), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("method=ridge", "method.options.ridge=[10]"),
        ("method=lda", "method.options.shrinkage=0.5", "dataset.held_out_classes=2"),
        ("method=logreg", "method.options.C=[0.1]"),
        ("method=ncm", "method.options.transform=un"),
    ],
    ids=" ".join,
)
def test_a_head_in_closed_form_is_a_linear_layer_in_plain_timm(
    arguments: tuple[str, ...], exported: Callable[..., Exported]
) -> None:
    run, folder, printed = exported(*arguments)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert isinstance(model.head, torch.nn.Linear) and model.head.weight.dtype == torch.float32
    images = sample_images()
    with torch.no_grad():
        logits = model((images / 255 - 0.5) / 0.5).numpy()
    tolerance = max(SOLVED, 2e-6 * np.abs(logits).max())  # logits of lda are large
    np.testing.assert_allclose(onnx_logits(folder / "model.onnx", images), logits, atol=tolerance)
    assert_as_recorded(run, folder / "model.onnx", "predictions.npz", atol=SOLVED)
    assert "timm's layout" in printed


@pytest.mark.slow
def test_weights_that_cancel_round_more(exported: Callable[..., Exported]) -> None:
    """A penalty near zero solves for large weights: the export says how far off single precision is, and succeeds."""
    _, folder, printed = exported("method=ridge", "method.options.ridge=[1e-6]")
    assert (folder / "model.onnx").is_file()
    assert "differs" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("method=ncm",),
        ("method=ranpac", "method.options.width=200"),
        ("method=kernel_ridge",),
        ("method=cache",),
        ("method=head_knn_tuned",),
    ],
    ids=" ".join,
)
def test_other_heads_load_without_data(arguments: tuple[str, ...], exported: Callable[..., Exported]) -> None:
    run, folder, _ = exported(*arguments)
    assert_as_recorded(run, folder / "model.onnx", "predictions.npz", atol=SOLVED)
    loaded = load_own_layout(folder)
    with torch.no_grad(), loaded.method.inference("alone"):
        logits = loaded.method(sample_images()).logits.numpy()
    np.testing.assert_allclose(onnx_logits(folder / "model.onnx", sample_images()), logits, atol=1e-3)


@pytest.mark.slow
def test_a_class_without_training_images_does_not_widen_the_tolerance() -> None:
    """Its logit is a constant of ten thousand."""
    layer = torch.nn.Linear(2, 3)
    layer.load_state_dict({"weight": torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]]), "bias": torch.zeros(3)})
    layer.bias.data[2] = ABSENT
    features = torch.tensor([[3.0, -1.0]])
    solved = SimpleNamespace(fits=True, linear_classifier=lambda: layer)
    read = SimpleNamespace(fits=False, linear_classifier=lambda: None)
    output = Output(features=features, logits=layer(features))
    assert [_scale(cast(Method, method), output) for method in (solved, read)] == [6.0, 6.0]
    layer.weight.data[0] = torch.tensor([3.0, 8.0])  # terms that cancel
    assert _scale(cast(Method, solved), output) == 17.0


def test_card_says_what_the_record_says(exported: Callable[..., Exported]) -> None:
    run, folder, _ = exported("method=head")
    card = (folder / "README.md").read_text()
    result = json.loads((run / "result.json").read_text())
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "timm"
    assert f"{result['test/top1']:.2%} [" in body and f"{result['test/ece']:.4f}" in body
    assert f"{result['params/trainable']:,} trainable of {result['params/total']:,}" in body
    assert json.loads((run / "env.json").read_text())["command"] in body
    assert f"torch {torch.__version__.split('+')[0]}" in body


@pytest.mark.slow
def test_card_says_what_was_made_harder(exported: Callable[..., Exported]) -> None:
    harder = ("train_per_class=9", "label_noise=0.3", "held_out_classes=2", "test_corruption=blur")
    _, folder, _ = exported("method=knn", *(f"dataset.{setting}" for setting in harder))
    card = " ".join((folder / "README.md").read_text().split())
    assert "Only 9 training images a class were used. 30% of the training labels were made wrong" in card
    assert (
        "No training, one pass over the features; fp32; seed 0." in card and "learning rate" not in card.split("<de")[0]
    )
    assert "No step trained on 2 of the classes" in card and "corrupted on purpose: blur, severity 3 of 5." in card


def test_wilson_interval_is_the_textbook_formula(tmp_path: Path) -> None:
    probabilities = np.full((200, 4), 0.1, dtype=np.float32)
    probabilities[:, 1] = 0.7
    labels = np.where(np.arange(200) < 130, 1, 2)
    np.savez(tmp_path / "p.npz", labels=labels, probabilities=probabilities)
    found, n, p, z = intervals(tmp_path / "p.npz"), 200, 0.65, norm.ppf(0.975)
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found["top1"] == pytest.approx((p, (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)))
    nats = -np.log(np.where(labels == 1, 0.7, 0.1))
    error = nats.std() / np.sqrt(n)
    assert found["nll"] == pytest.approx(
        (nats.mean(), nats.mean() - z * error, nats.mean() + z * error), abs=0.3 * error
    )
    assert found["mean_per_class"].value == 0.5


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("deit_tiny_distilled_patch16_224.fb_in1k", 48),
        ("vit_small_patch14_reg4_dinov2.lvd142m", 56),
        ("beit_base_patch16_224", 48),
    ],
)
def test_timm_layout_of_other_architectures(tmp_path: Path, name: str, side: int) -> None:
    """Two classifiers, registers and interpolated positions, average pooling: the logits stay."""
    torch.manual_seed(0)
    config = ModelConfig(name=name, pretrained=False, options={"depth": 2, "embed_dim": 48, "num_heads": 4})
    backbone = create_backbone(config, image_size=side, tokens=TokensConfig())
    method = Linear(backbone, 7, Config().method, False)
    transform = EvalTransform(side, crop_ratio=backbone.crop_ratio, interpolation=backbone.interpolation)
    names = [f"class {i}" for i in range(7)]
    write_timm_layout(tmp_path, method, model=config, transform=transform, class_names=names)
    images = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    assert timm_difference(tmp_path, method, images) < 1e-6
    steps = timm.data.create_transform(**timm.data.resolve_model_data_config(_created(tmp_path))).transforms
    assert steps[0].size == transform.resized_side and tuple(steps[1].size) == (side, side)


@pytest.mark.parametrize("upright", [True, False])
def test_whether_images_are_turned_travels_with_the_export(tmp_path: Path, upright: bool) -> None:
    """A server that has only the folder predicts an image as the run would; older exports turn none."""
    torch.manual_seed(0)
    config = Config(model=ModelConfig(name="vit_tiny_patch16_224", pretrained=False, options={"depth": 1}))
    config.augment.image_size = 32
    backbone = create_backbone(config.model, image_size=32, tokens=TokensConfig())
    config.method.target = "hma_ft.methods.linear.Linear"
    method = Linear(backbone, 3, config.method, False)
    transform = EvalTransform(32, crop_ratio=1.0, interpolation="bicubic", upright=upright)
    write_own_layout(tmp_path, method, config=config, transform=transform, class_names=["a", "b", "c"])
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    save_turned(tmp_path / "lying.png", pixels, 6)
    straight = Image.fromarray(pixels)
    lying = straight.transpose(Image.Transpose.ROTATE_90)
    for name, image in (("seen.png", straight if upright else lying), ("other.png", lying if upright else straight)):
        image.save(tmp_path / name)  # without a tag
    texts = [base64.b64encode((tmp_path / f"{name}.png").read_bytes()).decode() for name in ("lying", "seen", "other")]
    rows = _load_pyfunc(str(tmp_path)).predict(pd.DataFrame({"image": texts}))["probabilities"].tolist()
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)
    assert max(abs(rows[0][name] - rows[2][name]) for name in rows[0]) > 1e-4
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["preparation"].pop("exif_orientation") is upright
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert load_own_layout(tmp_path).transform.upright is False


def _created(folder: Path) -> torch.nn.Module:
    return timm.create_model(f"local-dir:{folder}", pretrained=True)


def test_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"needs no_such_package: pip install .*\.\[export\]"):
        export(Config(run="."))
