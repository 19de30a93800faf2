"""The shapes world: captions and scenes are one to one, drawings show what they say, prompts hold combinations out."""

import pytest
import torch

from src.data import shape_words, shapes
from src.data.shape_prompts import ShapePrompts


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_caption_parses_back_to_its_scene() -> None:
    scenes = shapes.all_scenes().tolist()
    captions = [shape_words.caption(scene, phrase) for scene in scenes for phrase in (0, 1)]
    assert [shape_words.parse(text) for text in captions] == [scene for scene in scenes for _ in (0, 1)]
    assert len(set(captions)) == 2 * len(scenes) == 2 * 24 * 23 * 2


@pytest.mark.parametrize("words", ["a red circle", "a red circle above", "a pink circle above a blue square", "cat"])
def test_words_of_another_world_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="shapes world"):
        shape_words.parse(words)


def test_drawings_are_pictures_and_depend_on_the_generator_alone(generator: torch.Generator) -> None:
    scenes = shapes.random_scenes(64, generator)
    first, second = (shapes.draw(scenes, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (64, 3, 32, 32)
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_first_object_is_the_upper_or_left_one(generator: torch.Generator) -> None:
    scenes = shapes.all_scenes()
    centres, radii = shapes._place(scenes[:, 4], generator)
    along = torch.where(scenes[:, 4] == 1, centres[:, 1, 0] - centres[:, 0, 0], centres[:, 1, 1] - centres[:, 0, 1])
    across = torch.where(scenes[:, 4] == 1, centres[:, 1, 1] - centres[:, 0, 1], centres[:, 1, 0] - centres[:, 0, 0])
    assert (along >= radii.sum(1) + shapes.GAP - 1e-4).all()  # they never touch
    assert (across.abs() <= 0.5 * along + 1e-4).all()
    inside = (centres - radii[..., None] >= shapes.MARGIN - 1e-4) & (centres + radii[..., None] <= shapes.SIDE)
    assert inside.all()


def test_a_square_covers_its_area() -> None:
    cover = shapes.coverage(torch.tensor([1]), torch.tensor([[16.0, 16.0]]), torch.tensor([5.0]))
    assert cover.sum().item() == pytest.approx((2 * 0.88 * 5) ** 2, rel=0.02)


def test_prompts_hold_out_the_other_relation_of_each_pair() -> None:
    prompts = ShapePrompts(pairs=256, seed=0)
    train, heldout = ([shape_words.parse(text) for text in texts] for texts in (prompts.train, prompts.heldout))
    assert len(train) == len(heldout) == 256
    assert [scene[:4] for scene in train] == [scene[:4] for scene in heldout]
    assert all(a[4] == 1 - b[4] for a, b in zip(train, heldout, strict=True))
    for place, size in enumerate(shape_words.SIZES):  # every part is trained
        assert {scene[place] for scene in train} == set(range(size))
