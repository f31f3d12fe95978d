"""Whatever the file holds, it loads as RGB, or is named."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from hma_ft.data.decode import UndecodableError, decode, decode_content
from hma_ft.data.jpeg_header import read_jpeg_header
from hma_ft.errors import UserError
from tests.data.messes import ORIENTATION, save_turned

GREY = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (16, 1))


def saved(path: Path, image: Image.Image, **options: object) -> torch.Tensor:
    image.save(path, **options)
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
    image = Image.fromarray(GREY // 32, mode="P")
    image.putpalette([value for i in range(8) for value in (30 * i, 255 - 30 * i, 7)])
    decoded = saved(tmp_path / "a.png", image)
    assert decoded[:, 0, 0].tolist() == [0, 255, 7]
    assert decoded[:, 0, -1].tolist() == [210, 45, 7]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    rgba = np.zeros((16, 24, 4), dtype=np.uint8)
    rgba[:, 12:] = (200, 100, 50, 255)
    decoded = saved(tmp_path / "a.png", Image.fromarray(rgba))
    assert decoded[:, 0, 0].tolist() == [255, 255, 255]
    assert decoded[:, 0, -1].tolist() == [200, 100, 50]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (24, 16), (0, 255, 255, 0))
    decoded = saved(tmp_path / "a.jpg", image)
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
    worst, paths = 0, sorted((shared / "data/dtd/dtd/images/banded").iterdir())[:10]
    assert len(paths) == 10
    for path in paths:
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


def test_no_image_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(UserError, match=r"cannot decode image .*a\.jpg \(no image, or of an unknown format\)"):
        decode(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"cannot read image .*b\.jpg \(No such file"):
        decode(tmp_path / "b.jpg")


NOISE = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def by_pillow(content: bytes, *, upright: bool) -> torch.Tensor:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        turned = ImageOps.exif_transpose(image) if upright else image
        return torch.from_numpy(np.array(turned.convert("RGB"))).permute(2, 0, 1)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("AVIF", {"quality": 95}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_every_orientation_is_turned_as_pillow_turns_it(kind: str, options: dict, orientation: int) -> None:
    """0 and 9 are no orientations; a TIFF can't be written with them."""
    if kind == "TIFF" and orientation in (0, 9):
        return
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    Image.fromarray(NOISE).save(file, kind, exif=exif, **options)
    turned = decode_content(file.getvalue(), upright=True)
    expected = by_pillow(file.getvalue(), upright=True)
    assert turned.shape == expected.shape == ((3, 40, 24) if 5 <= orientation <= 8 else (3, 24, 40))
    assert (turned.int() - expected.int()).abs().max() <= 3  # two builds of libjpeg may round apart
    assert turned.stride()[0] == 1  # the channels of a pixel side by side
    if kind != "TIFF":  # which pillow itself turns when it loads the pixels
        stored = decode_content(file.getvalue())
        assert (stored.int() - by_pillow(file.getvalue(), upright=False).int()).abs().max() <= 3
        assert torch.equal(stored, turned) == (orientation not in range(2, 9))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_copies_are_the_upright_image(tmp_path: Path, orientation: int) -> None:
    save_turned(tmp_path / "a.png", NOISE, orientation)
    assert torch.equal(decode(tmp_path / "a.png", upright=True), torch.from_numpy(NOISE).permute(2, 0, 1))


def test_an_orientation_in_xmp_counts_as_for_pillow() -> None:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", xmp=b'<x:xmpmeta><rdf tiff:Orientation="6"/></x:xmpmeta>', quality=95)
    expected = by_pillow(file.getvalue(), upright=True)
    assert expected.shape == (3, 40, 24)
    assert (decode_content(file.getvalue(), upright=True).int() - expected.int()).abs().max() <= 3


@pytest.mark.parametrize("exif", [b"Exif\0\0MM", b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_metadata_leave_the_pixels(exif: bytes) -> None:
    file, plain = io.BytesIO(), io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", exif=exif)
    Image.fromarray(NOISE).save(plain, "JPEG")
    assert exif in file.getvalue()
    assert torch.equal(decode_content(file.getvalue(), upright=True), decode_content(plain.getvalue()))


def test_one_bit(tmp_path: Path) -> None:
    decoded = saved(tmp_path / "a.png", Image.fromarray(GREY > 127))
    assert torch.equal(decoded, torch.from_numpy((GREY > 127) * np.uint8(255)).expand(3, -1, -1))


def test_grey_with_alpha_and_a_transparent_palette(tmp_path: Path) -> None:
    alpha = np.where(np.arange(24) < 12, 0, 255).astype(np.uint8) * np.ones((16, 1), dtype=np.uint8)
    decoded = saved(tmp_path / "a.png", Image.fromarray(np.stack([GREY, alpha], axis=2), mode="LA"))
    assert decoded[:, 0, 0].tolist() == [255] * 3
    assert decoded[:, 0, -1].tolist() == [255] * 3 and decoded[:, 0, 12].tolist() == [int(GREY[0, 12])] * 3
    palette = Image.fromarray(np.arange(384, dtype=np.uint8).reshape(16, 24) % 3, mode="P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    decoded = saved(tmp_path / "b.png", palette, transparency=1)
    assert [decoded[:, 0, column].tolist() for column in range(3)] == [[10, 20, 30], [255] * 3, [70, 80, 90]]


def test_floats_in_0_to_1_are_scaled(tmp_path: Path) -> None:
    decoded = saved(tmp_path / "a.tif", Image.fromarray(GREY.astype(np.float32) / 255))
    assert torch.equal(decoded, torch.from_numpy(GREY).expand(3, -1, -1))
    decoded = saved(tmp_path / "b.tif", Image.fromarray(GREY.astype(np.float32)))
    assert torch.equal(decoded, torch.from_numpy(GREY).expand(3, -1, -1))


@pytest.mark.parametrize("value", [-1.0, 1e6, float("nan")])
def test_floats_without_a_known_range_are_refused(tmp_path: Path, value: float) -> None:
    pixels = np.full((4, 4), 0.5, dtype=np.float32)
    pixels[0, 0] = value
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"cannot decode image .*a\.tif \(its float grey values, .* lie outside 0..1"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (bytes(100), "only zeros"),
        (b"\n<!DOCTYPE html><html><body>404", "it is a web page"),
        (b"\xff\xd8\xff", "no image, or of an unknown format"),
    ],
)
def test_what_is_wrong_is_said_without_an_address(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a b=c.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        decode(path)
    assert str(refused.value) == f"cannot decode image {path} ({reason}): replace it or take it out of the data set"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / b"caf\xe9.jpg".decode(errors="surrogateescape")
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"caf\\xe9\.jpg \(zero bytes\)") as refused:
        decode(path)
    str(refused.value).encode()


def test_too_many_pixels_are_one_line() -> None:
    """The headers claim 60000 x 60000 pixels, 10 GB; no pixel is ever made."""
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(NOISE).save(jpeg, "JPEG")
    content = bytearray(jpeg.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(UndecodableError, match="60000 x 60000 pixels are too many"):
        decode_content(bytes(content))
    Image.fromarray(NOISE).save(png, "PNG")
    content = bytearray(png.getvalue())
    content[16:24] = struct.pack(">II", 60000, 60000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    with pytest.raises(UndecodableError, match="more than 178956970 pixels are too many"):
        decode_content(bytes(content))


HEIC_START = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"


def test_heic_without_its_plugin_names_it(tmp_path: Path) -> None:
    """In a process where the package can't be imported, whether or not it is installed here."""
    (tmp_path / "a.heic").write_bytes(HEIC_START)
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from pathlib import Path\n"
        "from hma_ft.data.decode import decode\n"
        f"decode(Path({str(tmp_path / 'a.heic')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "a.heic (HEIC needs the package pillow-heif: pip install pillow-heif" in done.stderr.splitlines()[-1]


def test_heic_with_its_plugin() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    smooth = np.broadcast_to(np.linspace(0, 255, 96).astype(np.uint8)[None, :, None], (64, 96, 3))
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "HEIF", quality=95)
    decoded = decode_content(file.getvalue(), upright=True)
    assert torch.equal(decoded, by_pillow(file.getvalue(), upright=True))
    assert (decoded.int() - torch.from_numpy(smooth.copy()).permute(2, 0, 1)).abs().max() < 12


def test_the_header_of_a_jpeg_is_what_pillow_reads(tmp_path: Path) -> None:
    variants = [{}, {"progressive": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}, {"dpi": (9, 9)}]
    for number, options in enumerate(variants):
        file = io.BytesIO()
        Image.fromarray(NOISE[: 10 + number]).save(file, "JPEG", **options)
        header = read_jpeg_header(file.getvalue())
        assert header == (10 + number, 40, "exif" in options)
        content = file.getvalue()
        assert read_jpeg_header(content[:2] + b"\xff\xff" + content[2:]) == header  # padded
    assert read_jpeg_header(b"\xff\xd8\xff\xe0") is None
    assert read_jpeg_header(b"\xff\xd8\xff\xda\0\0\0\0") is None
