"""Prompt lists of the shapes world with a compositional hold-out."""

from __future__ import annotations

import random

from src.data.prompts import PromptSet


class ShapePrompts(PromptSet):
    """`pairs` ordered pairs of different objects, each trained with one relation ("above") and held out with the other
    axis's ("left of"). Every colour, shape and relation occurs in both lists."""

    def __init__(self, *, pairs: int = 256, seed: int = 0) -> None:
        from src.data import shape_words, shapes  # imports torch

        chance = random.Random(seed)
        scenes = shapes.all_scenes().tolist()
        objects = [scene[:4] for scene in scenes if scene[4] == 0]
        train, heldout = [], []
        for pair in chance.sample(objects, min(pairs, len(objects))):
            axis, phrase = chance.randrange(2), chance.randrange(2)
            train.append(shape_words.caption([*pair, axis], phrase))
            heldout.append(shape_words.caption([*pair, 1 - axis], phrase))
        super().__init__(train=train, heldout=heldout)
