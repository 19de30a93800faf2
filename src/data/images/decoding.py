"""From an opened picture of any kind to the RGB one that its author saw."""

from __future__ import annotations

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # of EXIF: how the camera was held
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_90}
SIXTEEN_BITS = ("PNG", "PPM")  # formats that hold no more than these, also where Pillow opens them with 32


def as_rgb(opened: Image.Image) -> Image.Image:
    """Upright, with 8 bits a channel. Raises ValueError for values whose range the file does not say."""
    turn = TURNS.get(_orientation(opened))
    picture = _eight_bits(opened).convert("RGB")
    return picture if turn is None else picture.transpose(turn)


def _orientation(opened: Image.Image) -> int | None:
    try:
        return opened.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF, which says nothing about the pixels
        return None


def _eight_bits(opened: Image.Image) -> Image.Image:
    """Deep grey values by their upper byte, as Pillow reads deep colour; its own conversion cuts them off at 255."""
    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in SIXTEEN_BITS):
        return Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
    if opened.mode in ("I", "F"):
        kind = "whole" if opened.mode == "I" else "real"
        raise ValueError(f"its grey values are {kind} numbers of 32 bits, of which it says no largest; save them with "
                         "8 or 16 bits")
    return opened
