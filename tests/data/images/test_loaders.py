"""Loaders in memory against a slow reference, sample by sample."""

from __future__ import annotations

import pytest
import torch

from src.data.images.augment import Augmentation, draw_views


def reference(data, index: int, seed: int, epoch: int) -> torch.Tensor:
    """One augmented picture [3, 8, 8], step by step."""
    augmentation = data.augmentation
    views = draw_views(augmentation, len(data.labels), 8, seed=seed, epoch=epoch)
    padded = torch.full((3, 8 + 2 * augmentation.pad, 8 + 2 * augmentation.pad), data.fill, dtype=torch.uint8)
    middle = slice(augmentation.pad, augmentation.pad + 8)
    padded[:, middle, middle] = data.given["train"].pixels[index].permute(2, 0, 1)
    top, left = int(views.top[index]), int(views.left[index])
    picture = padded[:, top:top + 8, left:left + 8]
    picture = picture.flip(2) if views.flip[index] else picture
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    picture = (picture / 255 - mean) / std
    half = augmentation.cutout // 2
    row, column = (int(place) for place in views.centre[index])
    for y in range(row - half, row - half + augmentation.cutout):
        for x in range(column - half, column - half + augmentation.cutout):
            if 0 <= y < 8 and 0 <= x < 8:
                picture[:, y, x] = 0
    return picture


def epoch_of(data, *, world: int = 1, batch_size: int = 8, paired: bool = False, seed: int = 1, epoch: int = 4) -> dict:
    """Every picture of an epoch by its index, over all processes."""
    found = {}
    for rank in range(world):
        order = data.order(epoch, seed=seed, batch_size=batch_size, rank=rank, world=world, paired=paired)
        loader = data.train_loader(order, epoch=epoch, seed=seed)
        assert len(loader) == len(order) == len(list(loader))
        for number, batch in enumerate(loader):
            assert torch.equal(batch.index, order.rows(number)) and torch.equal(batch.labels, data.labels[batch.index])
            assert batch.images.dtype == torch.float32
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            found.update(zip(batch.index.tolist(), batch.images, strict=True))
    return found


@pytest.mark.parametrize("options", [
    {"pad": 0, "flip": False}, {"pad": 2, "flip": False}, {"pad": 0}, {"pad": 3}, {"cutout": 3},
    {"cutout": 4, "pad": 0},
])
def test_equals_the_reference_for_any_layout(toy, options) -> None:
    data = toy(**options)
    for layout in ({}, {"batch_size": 13}, {"world": 2, "batch_size": 12}, {"paired": True}):
        found = epoch_of(data, **layout)
        assert sorted(found) == list(range(61))
        for index, picture in found.items():
            torch.testing.assert_close(picture, reference(data, index, 1, 4), atol=1e-5, rtol=0)


def test_epochs_and_seeds_differ_and_repeat(toy) -> None:
    data = toy()
    first, again, later, other = (epoch_of(data, seed=s, epoch=e) for s, e in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert all(torch.equal(first[index], again[index]) for index in first)
    for changed in (later, other):
        assert sum(not torch.equal(first[index], changed[index]) for index in first) > 40


def test_options_do_not_change_what_others_draw() -> None:
    plain = draw_views(Augmentation(4, True, 0), 100, 32, seed=0, epoch=0)
    bare = draw_views(Augmentation(4, False, 8), 100, 32, seed=0, epoch=0)
    assert torch.equal(plain.top, bare.top) and torch.equal(plain.left, bare.left) and not bare.flip.any()
    assert set(plain.top.tolist()) == set(range(9)) and 30 < int(plain.flip.sum()) < 70
    assert torch.equal(plain.centre, bare.centre)


def test_the_generator_of_the_process_is_left_alone(toy) -> None:
    data = toy(cutout=3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    epoch_of(data)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_shows_each_picture_once_as_it_is(toy, world: int) -> None:
    data = toy(val_share=0.25)
    for split, pictures in (("test", data.given["test"].pixels), ("val", None)):
        seen = []
        for rank in range(world):
            loader = data.eval_loader(split, batch_size=5, rank=rank, world=world)
            assert len(loader) == len(loader.real)
            for batch, real in zip(loader, loader.real, strict=True):
                seen += [*zip(batch.index[:real].tolist(), batch.images[:real], batch.labels[:real], strict=True)]
        assert sorted(index for index, _, _ in seen) == list(range(data.size_of(split)))
        shown = data.pictures(split, list(range(data.size_of(split))))
        if pictures is not None:
            assert torch.equal(shown, pictures.permute(0, 3, 1, 2))
        mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
        for index, image, label in seen:
            torch.testing.assert_close(image, (shown[index] / 255 - mean) / std, atol=1e-5, rtol=0)
            expected = data.given["test"].labels if split == "test" else data.labels[data._splits["val"].rows]
            assert label == expected[index]
