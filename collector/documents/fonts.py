"""The font of the PDFs: one that carries Latin and Chinese and that can be embedded in part."""

from collections.abc import Iterable
from pathlib import Path

from collector.documents.layouts import UnrenderableError

PACKAGE = "fonts-wqy-microhei"
"""The Debian and Ubuntu package with the font."""

FILE = "wqy-microhei.ttc"
DIRECTORIES = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))


class NoFontError(UnrenderableError):
    """No font for the PDF is installed."""


def find(directories: Iterable[Path] = DIRECTORIES) -> Path:
    """The file of the font. Raises NoFontError, which names the package to install."""
    for directory in directories:
        for path in sorted(directory.rglob(FILE)):
            return path
    raise NoFontError(f"a PDF needs the font WenQuanYi Micro Hei: install the package {PACKAGE}")
