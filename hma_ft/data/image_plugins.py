"""Image formats that pillow reads with a package of its own: HEIC, and AVIF in old builds."""

import importlib
import importlib.util
from contextlib import suppress

from PIL import features

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
AVIF_SUFFIXES = frozenset({".avif"})
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_PLUGINS = {"HEIC": ("pillow_heif", "pillow-heif"), "AVIF": ("pillow_avif", "pillow-avif-plugin")}


def format_of(content: bytes) -> str | None:
    """`HEIC` or `AVIF` by the brands that a file names in its first bytes; None for every other format."""
    if content[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(content[:4], "big"), len(content), 256)
    brands = {content[8:12], *(content[start : start + 4] for start in range(16, size, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def missing_plugin(name: str) -> str | None:
    """What must be installed to read the format `HEIC` or `AVIF`, in words; None if it can be read.

    Registers the plugin with pillow where it is installed.
    """
    module, package = _PLUGINS[name]
    if name == "AVIF" and features.check("avif"):
        return None
    with suppress(ImportError):
        plugin = importlib.import_module(module)
        if name == "HEIC":
            plugin.register_heif_opener()
        return None
    extra = " or pip install 'hma-ft[heic]'" if name == "HEIC" else ""
    return f"{name} needs the package {package}: pip install {package}{extra}, or convert it to JPEG"


def missing_for_suffixes(suffixes: set[str]) -> list[str]:
    """What must be installed for files with these suffixes, one line a format."""
    wanted = {"HEIC": HEIC_SUFFIXES, "AVIF": AVIF_SUFFIXES}
    lines = (missing_plugin(name) for name, own in wanted.items() if own & suffixes)
    return [line for line in lines if line is not None]
