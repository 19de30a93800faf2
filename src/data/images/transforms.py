"""From a picture of any size to one of a fixed size: torchvision's transforms, on PIL pictures."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image
from torchvision.transforms import v2

from src.core.host import seeded_on_host
from src.data.images.chance import seed_of

Transform = Callable[[Image.Image], Image.Image]


def evaluation(size: int, resize: int) -> Transform:
    """The shorter side becomes `resize` pixels, by bilinear interpolation; of that the middle `size` x `size`."""
    return v2.Compose([v2.Resize(resize), v2.CenterCrop(size)])


def training(size: int, min_scale: float, flip: bool, jitter: float) -> Transform:
    """A crop of at least `min_scale` of the area and an aspect ratio of 3/4 to 4/3, scaled to `size` x `size`; mirrored
    with a chance of one half; brightness, contrast and saturation changed by a factor of 1 - `jitter` to 1 + `jitter`.
    """
    steps = [v2.RandomResizedCrop(size, scale=(min_scale, 1.0))]
    steps += [v2.RandomHorizontalFlip()] if flip else []
    steps += [v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter)] if jitter else []
    return v2.Compose(steps)


def seeded(transform: Transform, picture: Image.Image, *seed: int) -> Image.Image:
    """The transform with randomness from `seed` alone; the process's own generator is left as it was."""
    with seeded_on_host(seed_of(*seed)):
        return transform(picture)
