"""Converts an opened picture of any kind to RGB, as its author saw it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

SIXTEEN_BITS = ("PNG", "PPM")  # formats that hold no more than these, also where Pillow opens them with 32


def as_rgb(opened: Image.Image) -> Image.Image:
    """Upright, with 8 bits a channel. Raises ValueError for values whose range the file does not say."""
    return _eight_bits(_upright(opened), opened.format).convert("RGB")


def _upright(opened: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(opened)
    except Exception:  # damaged EXIF, which says nothing about the pixels
        return opened


def _eight_bits(opened: Image.Image, kind: str | None) -> Image.Image:
    """Deep grey values by their upper byte, as Pillow reads deep colour; its own conversion cuts them off at 255."""
    if opened.mode.startswith("I;16") or (opened.mode == "I" and kind in SIXTEEN_BITS):
        return Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
    if opened.mode in ("I", "F"):
        numbers = "whole" if opened.mode == "I" else "real"
        raise ValueError(f"its grey values are {numbers} numbers of 32 bits, and it does not say which is the largest; "
                         "save them with 8 or 16 bits")
    return opened
