"""Interval schedules against the reference's formula and hand-written sequences."""

import pytest

from src.methods.b2diffurl.schedule import SHAPES, interval, problems


def run(stages, steps=20, **options):
    return [interval(stage, stages=stages, steps=steps, **options) for stage in range(stages)]


def test_linear_is_the_references_formula():
    expected = [14 + (stage * 7) // 100 for stage in range(100)]
    assert run(100, shape="linear", start=14, end=20) == expected
    assert expected[0] == 14 and expected[-1] == 20


@pytest.mark.parametrize(
    ("stages", "options", "expected"),
    [
        (4, {"shape": "constant", "start": 3}, [3, 3, 3, 3]),
        (3, {"shape": "constant"}, [20, 20, 20]),
        (5, {"shape": "linear", "start": 1, "end": 5}, [1, 2, 3, 4, 5]),
        (2, {"shape": "linear", "start": 1, "end": 10}, [1, 6]),
        (6, {"shape": "linear", "start": 18}, [18, 18, 19, 19, 20, 20]),
        (3, {"shape": "linear", "start": 7, "end": 7}, [7, 7, 7]),
        (6, {"shape": "stepped", "values": [5, 10, 20]}, [5, 5, 10, 10, 20, 20]),
        (5, {"shape": "stepped", "values": [5, 10]}, [5, 5, 5, 10, 10]),
        (2, {"shape": "stepped", "values": [5, 10]}, [5, 10]),
        (3, {"shape": "list", "values": [4, 2, 9]}, [4, 2, 9]),
        (3, {"shape": "list", "values": [4, 2, 9, 1]}, [4, 2, 9]),
    ],
)
def test_schedules_by_hand(stages, options, expected):
    assert run(stages, **options) == expected
    assert problems(stages=stages, steps=20, **options) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_stages_past_the_last_keep_the_last_interval(shape):
    options = {"stages": 4, "steps": 20, "shape": shape, "start": 5, "end": 8, "values": [5, 6, 7, 8]}
    assert interval(100, **options) == interval(3, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "linear", "start": 3, "end": 30}, ["interval.end=30", "20 denoising steps"]),
        ({"shape": "constant", "start": 0}, ["interval.start=0", "at least one"]),
        ({"shape": "linear", "start": -2, "end": 5}, ["interval.start=-2", "at least one"]),
        ({"shape": "linear", "start": 9, "end": 4}, ["interval.start=9", "interval.end=4", "Swap"]),
        ({"shape": "linear", "start": 2.5, "end": 4}, ["interval.start=2.5", "whole number"]),
        ({"shape": "list", "values": [1, 2]}, ["2 entries", "10 stages", "Add 8"]),
        ({"shape": "list", "values": []}, ["interval.values=[]", "list such as"]),
        ({"shape": "stepped", "values": None}, ["interval.values=[]", "list such as"]),
        ({"shape": "stepped", "values": [5, 21]}, ["interval.values[1]=21"]),
        ({"shape": "stepped", "values": list(range(1, 12))}, ["11 entries", "10 stages", "Remove 1"]),
        ({"shape": "exponential"}, ["interval.shape=exponential", "linear"]),
    ],
)
def test_each_problem_names_the_value_the_rule_and_the_fix(options, words):
    found = problems(stages=10, steps=20, **options)
    assert len(found) == 1
    assert all(word in found[0] for word in words), found


def test_all_problems_are_reported_at_once():
    assert len(problems(stages=10, steps=20, shape="linear", start=0, end=30)) == 2


def test_values_of_other_shapes_are_ignored():
    assert problems(stages=10, steps=20, shape="constant", start=3, end=99, values=[99]) == []
