"""The prompt sets of conf/data: their counts, and that whatever is held out has been trained word by word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from src.data.check import check
from src.data.templates import TemplatePrompts, split_combinations

CONF = Path(__file__).parents[2] / "conf/data"
COUNTS = {"animals": (45, 90), "colours": (40, 40), "relations": (40, 30), "animal_photos": (45, 0)}


def node(name: str) -> dict:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


def prompts_of(name: str) -> TemplatePrompts:
    return TemplatePrompts(**{key: value for key, value in node(name).items() if key != "_target_"})


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_that_the_static_check_takes_them(name: str) -> None:
    prompts = prompts_of(name)
    assert (len(prompts.train), len(prompts.heldout)) == COUNTS[name]
    assert not set(prompts.train) & set(prompts.heldout)
    assert check({"data": node(name)}) == [] and prompts.name == name


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("seed", range(5))
def test_every_word_that_is_held_out_is_trained(name: str, seed: int) -> None:
    """Place by place, whatever the split's seed, so that only combinations are new."""
    given = node(name)
    prompts = TemplatePrompts(**{k: v for k, v in given.items() if k != "_target_"} | {"split_seed": seed})
    for words in given["parts"].values():
        for word in words:
            assert any(f" {word}" in prompt for prompt in prompts.train), word
    held = {word for prompt in prompts.heldout for word in prompt.split()}
    assert held <= {word for prompt in prompts.train for word in prompt.split()}


@pytest.mark.parametrize("name", ["colours", "relations"])
def test_parts_are_used_evenly(name: str) -> None:
    from itertools import product

    given = node(name)
    combinations = list(product(*given["parts"].values()))
    trained, held = split_combinations(combinations, given["train"], given["heldout"], given["split_seed"])
    for place, words in enumerate(given["parts"].values()):
        for group, spread in ((trained, 2), (held, 3)):
            counts = Counter(combination[place] for combination in group)
            used = [counts[word] for word in words]
            assert max(used) - min(used) <= spread, (name, used)
    assert set(map(tuple, held)).isdisjoint(trained)


@pytest.mark.parametrize("name", COUNTS)
def test_words_are_distinct_and_the_article_fits(name: str) -> None:
    parts = node(name)["parts"]
    words = [word for values in parts.values() for word in values]
    assert len(set(words)) == len(words)
    assert all(prompt.startswith("a ") for prompt in prompts_of(name).train)
    assert all(word[0] not in "aeiou" for slot, values in parts.items() if slot != "relation" for word in values)


def test_the_same_animals_in_both_sets() -> None:
    assert node("animals")["parts"]["animal"] == node("animal_photos")["parts"]["animal"]


def test_prompts_read_as_they_should() -> None:
    assert prompts_of("animal_photos").train.count("a photo of a hedgehog") == 1
    assert all(prompt.count(" a ") == 1 for prompt in prompts_of("relations").train)
