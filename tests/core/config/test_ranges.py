"""Which numbers lie in a range, and what is told of others."""

from __future__ import annotations

import math

import pytest

from src.core.config.ranges import above, at_least, problems


@pytest.mark.parametrize(("rule", "inside", "outside", "words"), [
    (at_least(1), [1, 7], [0, math.inf, math.nan], "at least 1"),
    (above(0), [1e-9, 3], [0, -1], "above 0"),
    (at_least(0, at_most=1), [0, 0.5, 1], [-0.1, 1.1], "at least 0 and at most 1"),
    (above(0, below=1), [0.5], [0, 1], "above 0 and below 1"),
])
def test_ends_belong_to_a_range_or_not(rule, inside, outside, words) -> None:
    assert all(value in rule for value in inside) and not any(value in rule for value in outside)
    assert str(rule) == words


def test_a_problem_has_value_rule_and_fix_and_other_types_are_passed_over() -> None:
    ranges = {"lr": above(0, "the paper takes 0.1"), "batch": at_least(1), "size": at_least(1)}
    assert problems("method", {"lr": 0, "batch": "auto", "size": True}, ranges) == [
        "method.lr=0: must be above 0. The paper takes 0.1"]
