"""Splits of a template's combinations."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import yaml

from src.core.errors import UserError
from src.data.check import check
from src.data.templates import TemplatePrompts, make_prompts, split_combinations

PARTS = {"colour": ["red", "green", "blue"], "fruit": ["apple", "pear", "plum", "fig"]}


@pytest.fixture(scope="module")
def animals() -> dict:
    return yaml.safe_load((Path(__file__).parents[2] / "conf/data/animals.yaml").read_text())


def test_animals_as_in_the_papers_first_template(animals: dict) -> None:
    assert check({"data": animals}) == []
    names, activities = (animals["parts"][slot] for slot in ("animal", "activity"))
    prompts = TemplatePrompts(**{key: value for key, value in animals.items() if key != "_target_"})
    assert len(set(names)) == 45 and (len(prompts.train), len(prompts.heldout)) == (45, 90)
    words = [prompt.split(" ", 2) for prompt in prompts.train]
    assert {animal for _, animal, _ in words} == set(names)
    assert Counter(activity for *_, activity in words) == dict.fromkeys(activities, 15)
    assert set(prompts.train) | set(prompts.heldout) == {f"a {a} {b}" for a, b in product(names, activities)}
    assert all(f"a {animal}"[2:3] not in "aeiou" for animal in names)  # the article fits


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("train", [4, 6, 11])
def test_every_part_is_trained(train: int, seed: int) -> None:
    trained, held = split_combinations(list(product(*PARTS.values())), train, seed=seed)
    assert len(trained) == train and len(held) == 12 - train and not set(trained) & set(held)
    for place, values in enumerate(PARTS.values()):
        counts = Counter(combination[place] for combination in trained)
        assert set(counts) == set(values)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_the_seed_decides() -> None:
    one, same, other = (make_prompts("a {colour} {fruit}", PARTS, 6, 3, seed) for seed in (0, 0, 1))
    assert one == same != other
    assert (len(one[0]), len(one[1])) == (6, 3)
    assert all(prompt.startswith("a ") for prompt in one[0] + one[1])


def test_thousands_of_combinations_are_quick() -> None:
    combinations = [c for c in product("abcdef", "0123", "abcdef", "0123", "+-") if c[:2] != c[2:4]]
    trained, held = split_combinations(combinations, 800, 200)
    assert (len(trained), len(held)) == (800, 200)


@pytest.mark.parametrize(("change", "told"), [
    ({"train": 3}, "data.train=3"),
    ({"train": 13}, "data.train=13"),
    ({"heldout": 9}, "data.heldout=9"),
    ({"heldout": -1}, "data.heldout=-1"),
    ({"template": "a {colour"}, "data.template"),
    ({"template": "a cat", "parts": {}}, "data.template"),
    ({"template": "a {colour} {vegetable}"}, "vegetable"),
    ({"parts": {"colour": ["red"], "fruit": []}}, "not empty"),
])
def test_counts_and_slots_that_cannot_be(change: dict, told: str) -> None:
    options = {"template": "a {colour} {fruit}", "parts": PARTS, "train": 6} | change
    with pytest.raises(UserError, match=told):
        TemplatePrompts(**options)
    target = {"_target_": "src.data.templates.TemplatePrompts"}
    assert told in check({"data": target | options})[0]
