"""The largest batch by arithmetic against trying every size."""

from __future__ import annotations

import math
import random

from src.models.largest import Line, evened, largest


def test_the_largest_size_is_the_one_that_trying_all_of_them_finds() -> None:
    chance = random.Random(0)
    for _ in range(2000):
        step, most = chance.choice([1, 2]), chance.randint(1, 60)
        lines = [Line.through(step, peak := chance.randint(1, 50), 2 * step, peak + chance.randint(0, 40))
                 for _ in range(chance.randint(1, 3))]
        room = chance.randint(0, 400)
        sizes = range(step, most + step, step)
        fitting = [size for size in sizes if all(line.at(size) <= room for line in lines)]
        assert largest(room, *lines, most=most, step=step) == max(fitting, default=step)


def test_a_larger_size_that_did_not_fit_leaves_the_smaller_one() -> None:
    line = Line.through(2, 100, 4, math.inf)
    assert largest(1e6, line, most=50, step=2) == 2 and line.at(2) == 100 and line.at(4) == math.inf
    assert largest(1e6, Line.through(1, 100, 2, 100), most=50) == 50


def test_an_evened_size_is_the_smallest_with_as_few_batches() -> None:
    for step in (1, 2):
        for total in range(1, 80):
            for size in range(step, 60, step):
                few = [smaller for smaller in range(step, size + 1, step) if -(-total // smaller) == -(-total // size)]
                assert evened(size, total, step) == min(few)
