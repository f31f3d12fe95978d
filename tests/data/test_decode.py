"""Whatever the file holds, it loads as RGB, or is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hma_ft.data.decode import decode
from hma_ft.errors import UserError

GREY = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (16, 1))


def saved(path: Path, picture: Image.Image, **options: object) -> torch.Tensor:
    picture.save(path, **options)
    decoded = decode(path)
    assert decoded.shape == (3, 16, 24)
    assert decoded.dtype == torch.uint8
    return decoded


def test_grey(tmp_path: Path) -> None:
    expected = torch.from_numpy(GREY).expand(3, -1, -1)
    assert torch.equal(saved(tmp_path / "a.png", Image.fromarray(GREY)), expected)
    close = (saved(tmp_path / "a.jpg", Image.fromarray(GREY), quality=95).int() - expected.int()).abs()
    assert close.max() <= 4


def test_sixteen_bits(tmp_path: Path) -> None:
    decoded = saved(tmp_path / "a.png", Image.fromarray(GREY.astype(np.uint16) * 257))
    assert torch.equal(decoded, torch.from_numpy(GREY).expand(3, -1, -1))


def test_palette(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY // 32, mode="P")
    picture.putpalette([value for i in range(8) for value in (30 * i, 255 - 30 * i, 7)])
    decoded = saved(tmp_path / "a.png", picture)
    assert decoded[:, 0, 0].tolist() == [0, 255, 7]
    assert decoded[:, 0, -1].tolist() == [210, 45, 7]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    rgba = np.zeros((16, 24, 4), dtype=np.uint8)
    rgba[:, 12:] = (200, 100, 50, 255)
    decoded = saved(tmp_path / "a.png", Image.fromarray(rgba))
    assert decoded[:, 0, 0].tolist() == [255, 255, 255]
    assert decoded[:, 0, -1].tolist() == [200, 100, 50]


def test_cmyk(tmp_path: Path) -> None:
    picture = Image.new("CMYK", (24, 16), (0, 255, 255, 0))
    decoded = saved(tmp_path / "a.jpg", picture)
    expected = torch.from_numpy(np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")).copy()).permute(2, 0, 1)
    assert (decoded.int() - expected.int()).abs().max() <= 2
    assert decoded[0].min() > 200
    assert decoded[1:].max() < 60


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.gif"])
def test_a_png_under_another_name(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    assert torch.equal(decode(tmp_path / name), torch.from_numpy(GREY).expand(3, -1, -1))


def test_a_jpeg_is_what_pil_reads(shared: Path) -> None:
    worst = 0
    for path in sorted((shared / "data/dtd/dtd/images/banded").iterdir())[:10]:
        theirs = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)
        worst = max(worst, int((decode(path).int() - theirs.int()).abs().max()))
    assert worst <= 3  # two builds of libjpeg may round apart


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=str(path)) as refused:
        decode(path)
    assert len(str(refused.value).splitlines()) == 1


def test_no_picture_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not a picture")
    with pytest.raises(UserError, match=r"cannot decode image .*a\.jpg \(no image, or of an unknown format\)"):
        decode(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"cannot read image .*b\.jpg \(No such file"):
        decode(tmp_path / "b.jpg")
