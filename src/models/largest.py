"""The largest batch that fits, from peaks that were measured with small ones. Pure Python."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Bytes that grow in proportion with a size: `peak` at `size`, and `each` more for one more."""

    size: int
    peak: float
    each: float

    @classmethod
    def through(cls, size: int, peak: float, larger: int, larger_peak: float) -> Line:
        """Of two measurements; `larger_peak` is infinite where the larger size did not fit."""
        return cls(size, peak, (larger_peak - peak) / (larger - size))

    def at(self, size: int) -> float:
        """Bytes at a size."""
        return self.peak + (size - self.size) * self.each if size != self.size else self.peak

    def reach(self, room: float) -> float:
        """The size, not rounded, that takes `room`."""
        if self.each > 0:
            return self.size + (room - self.peak) / self.each
        return math.inf if self.peak <= room else 0


def largest(room: float, *lines: Line, most: int, step: int = 1) -> int:
    """The largest multiple of `step` that is at most `most`, rounded up to one, and takes at most `room` on every line;
    `step` where nothing fits."""
    reach = min(-(-most // step) * step, *(line.reach(room) for line in lines))
    return max(step, math.floor(reach / step) * step)


def evened(size: int, total: int, step: int = 1) -> int:
    """The smallest multiple of `step` with which `total` takes no more batches than with `size`, so that the last one,
    which is filled up to the others' shape, is filled up by little. `size` is such a multiple itself."""
    batches = -(-total // size)
    return min(size, -(-total // (batches * step)) * step)
