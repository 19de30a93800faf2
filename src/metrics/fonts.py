"""Which fonts of this machine can write a text in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

LAST_RESORT = "Last Resort"  # comes with matplotlib and has a box for every character


def families(text: Iterable[str]) -> tuple[list[str], set[str]]:
    """The names of fonts for matplotlib, its own first, the others for what that one lacks; and the characters that
    none of them has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    own = FontProperties().get_family()
    lacking = {one for one in text if not one.isspace()} - _written_by(findfont(FontProperties()))
    found = list(own)
    for font in sorted(fontManager.ttflist, key=_irregular):
        if not lacking:
            break
        if not font.name.startswith(LAST_RESORT) and (more := lacking & _written_by(font.fname)):
            found.append(font.name)
            lacking -= more
    return found, lacking


def _irregular(font: FontEntry) -> tuple[bool, bool, bool, str]:
    """Upright and regular ones come first: a family's name will give these."""
    return font.style != "normal", font.weight not in (400, "normal"), "Sans" not in font.name, font.name


def _written_by(file: str) -> set[str]:
    from matplotlib.font_manager import get_font

    with suppress(OSError, RuntimeError):  # a font that cannot be read writes nothing
        return {chr(code) for code in get_font(file).get_charmap()}
    return set()
