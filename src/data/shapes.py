"""Pictures of the embedded world, two coloured shapes and their relation, drawn by a program; shape_words says which.

Position, size, tint and background are free: there is something to be diverse in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from src.data.shape_words import COLOURS, SHAPES, SIZES

SIDE = 32  # pixels
RADIUS = (4.0, 6.0)  # pixels, half the extent of an object
MARGIN, GAP = 1.0, 2.0  # pixels, to the border and between the objects


def all_scenes() -> Tensor:
    """Every scene whose two objects differ: long [scenes, 5]."""
    scenes = torch.cartesian_prod(*(torch.arange(n) for n in SIZES))
    return scenes[(scenes[:, 0] != scenes[:, 2]) | (scenes[:, 1] != scenes[:, 3])]


def random_scenes(count: int, generator: torch.Generator) -> Tensor:
    """Scenes drawn uniformly: long [count, 5]."""
    scenes = all_scenes()
    return scenes[torch.randint(len(scenes), (count,), generator=generator)]


def draw(scenes: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of scenes [batch, 5] with random nuisance: float [batch, 3, 32, 32] in [0, 1]."""
    return draw_objects(scenes, 2, generator)


def draw_objects(scenes: Tensor, objects: int, generator: torch.Generator, morph: bool = False) -> Tensor:
    """As `draw`, with 1, 2 or 3 objects (the third one a copy of the first, anywhere); `morph` blurs the first object's
    shape with another one. All but two clean objects are for teaching the verifier what no scene looks like."""
    centres, radii = _place(scenes[:, 4], generator)
    picture = _background(len(scenes), generator)
    for index in range(min(objects, 2)):
        cover = coverage(scenes[:, 2 * index + 1], centres[:, index], radii[:, index])
        if morph and index == 0:
            shift = 1 + torch.randint(len(SHAPES) - 1, (len(scenes),), generator=generator)
            other = (scenes[:, 1] + shift) % len(SHAPES)
            cover = 0.5 * cover + 0.5 * coverage(other, centres[:, 0], radii[:, 0])
        picture = torch.lerp(picture, _tint(scenes[:, 2 * index], generator), cover)
    if objects == 3:
        reach = MARGIN + RADIUS[1]
        anywhere = reach + torch.rand(len(scenes), 2, generator=generator) * (SIDE - 2 * reach)
        cover = coverage(scenes[:, 1], anywhere, radii[:, 0])
        picture = torch.lerp(picture, _tint(scenes[:, 0], generator), cover)
    return picture


def _rand(*shape: int, low: float = 0.0, high: float = 1.0, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _place(axis: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres [batch, 2 objects, (x, y)] and radii [batch, 2]; along the axis the objects never touch, across it they
    are shifted by at most half their distance, so that the relation is beyond doubt."""
    batch = len(axis)
    radii = _rand(batch, 2, low=RADIUS[0], high=RADIUS[1], generator=generator)
    slack = SIDE - 2 * MARGIN - GAP - 2 * radii.sum(1)
    cuts = torch.rand(batch, 2, generator=generator).sort(1).values * slack[:, None]
    first = MARGIN + radii[:, 0] + cuts[:, 0]
    second = MARGIN + 2 * radii[:, 0] + GAP + cuts[:, 1] + radii[:, 1]
    reach = MARGIN + radii
    across = reach + torch.rand(batch, 2, generator=generator) * (SIDE - 2 * reach)
    limit = 0.5 * (second - first)
    other = (across[:, 1] - across[:, 0]).clamp(-limit, limit) + across[:, 0]
    other = torch.minimum(torch.maximum(other, reach[:, 1]), SIDE - reach[:, 1])
    along_axis = torch.stack([first, second], 1)
    across_axis = torch.stack([across[:, 0], other], 1)
    horizontal = (axis == 1)[:, None]
    return torch.stack([torch.where(horizontal, along_axis, across_axis),
                        torch.where(horizontal, across_axis, along_axis)], -1), radii


def _background(batch: int, generator: torch.Generator) -> Tensor:
    """Pale, slightly tinted, with a linear shade in a random direction: [batch, 3, side, side]."""
    level = _rand(batch, 1, 1, 1, low=0.62, high=0.95, generator=generator)
    tint = _rand(batch, 3, 1, 1, low=-0.06, high=0.06, generator=generator)
    slope = _rand(batch, 2, low=-0.10, high=0.10, generator=generator)
    ramp = torch.linspace(-1, 1, SIDE)
    shade = slope[:, :1, None] * ramp[None, :, None] + slope[:, 1:, None] * ramp[None, None, :]
    return (level + tint + shade[:, None]).clamp(0, 1)


def _tint(colour: Tensor, generator: torch.Generator) -> Tensor:
    base = torch.tensor(list(COLOURS.values()))[colour]
    return (base + _rand(len(colour), 3, low=-0.06, high=0.06, generator=generator)).clamp(0, 1)[:, :, None, None]


def coverage(shape: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Share of each pixel that an object covers, from its signed distance: [batch, 1, side, side]."""
    pixel = torch.arange(SIDE) + 0.5
    x = (pixel[None, None, :] - centre[:, 0, None, None]) / radius[:, None, None]
    y = (pixel[None, :, None] - centre[:, 1, None, None]) / radius[:, None, None]
    ax, ay = x.abs(), y.abs()
    circle = (x * x + y * y).sqrt() - 1
    square = torch.maximum(ax, ay) - 0.88
    triangle = torch.maximum((2 * ax - y - 1) / 5**0.5, y - 1)  # apex (0, -1), base from (-1, 1) to (1, 1)
    bar = 0.34
    cross = torch.minimum(torch.maximum(ax - 1, ay - bar), torch.maximum(ay - 1, ax - bar))
    distance = torch.stack([circle, square, triangle, cross], 1)
    distance = distance[torch.arange(len(shape)), shape] * radius[:, None, None]
    return (0.5 - distance).clamp(0, 1)[:, None]
