"""Pictures as their authors saw them: deep grey values keep their range, cameras that were turned are turned back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from src.data.images.picture_files import Unreadable, open_picture

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "big_endian.tif", "grey.pgm"])
def test_sixteen_bits_of_grey_keep_their_range(tmp_path: Path, name: str) -> None:
    deep = Image.frombytes("I;16B", (16, 16), RAMP.astype(">u2").tobytes()) if "big" in name else Image.fromarray(RAMP)
    if name.endswith(".pgm"):
        (tmp_path / name).write_bytes(b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes())
    else:
        deep.save(tmp_path / name)
    shown = np.asarray(open_picture(tmp_path / name))
    assert (shown == (RAMP // 257)[..., None]).all()


@pytest.mark.parametrize(("dtype", "told"), [(np.int32, "whole numbers"), (np.float32, "real numbers")])
def test_a_file_that_does_not_say_its_range_is_refused(tmp_path: Path, dtype: type, told: str) -> None:
    Image.fromarray(RAMP.astype(dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(Unreadable, match=rf"deep.tif: .*{told} of 32 bits.*8 or 16 bits"):
        open_picture(tmp_path / "deep.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_camera_makes_no_turned_picture(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RAMP.astype(np.uint8)[:, :9]).convert("RGB").save(tmp_path / "held.png", exif=exif)
    with Image.open(tmp_path / "held.png") as opened:
        expected = ImageOps.exif_transpose(opened)
    assert np.array_equal(open_picture(tmp_path / "held.png"), expected)
    assert expected.size == ((9, 16) if orientation < 5 else (16, 9))


def test_damaged_exif_says_nothing_about_the_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (9, 5), "red").save(tmp_path / "held.png", exif=b"Exif\x00\x00no directory of tags")
    assert open_picture(tmp_path / "held.png").size == (9, 5)
