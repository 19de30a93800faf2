"""The words of the embedded world: captions of its scenes, and scenes of captions. Pure Python.

A scene is five numbers, the *attributes*: colour and shape of the first object, colour and shape of the second, and the
axis on which they stand. The first object is the upper one (axis 0) or the left one (axis 1), so every scene has
exactly two captions: "a red circle above a blue square" and "a blue square below a red circle".
"""

from __future__ import annotations

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.13, 0.13),
    "green": (0.13, 0.65, 0.22),
    "blue": (0.14, 0.30, 0.88),
    "yellow": (0.96, 0.83, 0.10),
    "purple": (0.60, 0.18, 0.70),
    "black": (0.07, 0.07, 0.07),
}
SHAPES = ("circle", "square", "triangle", "cross")
RELATIONS = (("above", "below"), ("left of", "right of"))  # [axis][phrase]: first object first, or second object first
ATTRIBUTES = ("colour_1", "shape_1", "colour_2", "shape_2", "relation")
SIZES = (len(COLOURS), len(SHAPES), len(COLOURS), len(SHAPES), len(RELATIONS))


def caption(scene: list[int], phrase: int = 0) -> str:
    """The caption of one scene; phrase 0 names the first object first, phrase 1 the second one."""
    colours = tuple(COLOURS)
    first, second = (f"a {colours[scene[i]]} {SHAPES[scene[i + 1]]}" for i in (0, 2))
    relation = RELATIONS[scene[4]][phrase]
    return f"{first} {relation} {second}" if phrase == 0 else f"{second} {relation} {first}"


def parse(prompt: str) -> list[int]:
    """The scene that a caption describes, five integers. Raises ValueError if the words are not of this world."""
    for axis, phrases in enumerate(RELATIONS):
        for phrase, relation in enumerate(phrases):
            left, found, right = prompt.strip().lower().partition(f" {relation} ")
            if found:
                objects = [_parse_object(left), _parse_object(right)]
                return [*objects[phrase], *objects[1 - phrase], axis]
    known = ", ".join(r for phrases in RELATIONS for r in phrases)
    raise ValueError(f"{prompt!r} names no relation of the shapes world (one of: {known}), "
                     "for example 'a red circle above a blue square'")


def _parse_object(words: str) -> list[int]:
    article, _, rest = words.strip().partition(" ")
    colour, _, shape = rest.partition(" ")
    if article != "a" or colour not in COLOURS or shape not in SHAPES:
        raise ValueError(f"{words!r} is not an object of the shapes world: say 'a <colour> <shape>' with a colour of "
                         f"{', '.join(COLOURS)} and a shape of {', '.join(SHAPES)}")
    return [list(COLOURS).index(colour), SHAPES.index(shape)]
