"""Streamed pictures against plain PIL, and the same ones for any number of workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from src.core.errors import UserError
from src.data.images.chance import seed_of
from src.data.images.folder import image_folder


@pytest.fixture
def streamed(picture_folder):
    root = picture_folder(count=4)

    def make(**options):
        data = image_folder(root=str(root), **{"size": 16, "resize": 18, "workers": 0, **options})
        data.load("cpu")
        return data

    return make


def normalised(data, picture: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    return (pixels - torch.tensor(data.mean)[:, None, None]) / torch.tensor(data.std)[:, None, None]


def epoch_of(data, epoch: int = 0, **options) -> dict[int, torch.Tensor]:
    order = data.order(epoch, seed=7, batch_size=5 * options.get("world", 1), **options)
    loader = data.train_loader(order, epoch=epoch, seed=7)
    found = {}
    for number, batch in enumerate(loader):
        assert torch.equal(batch.index, order.rows(number)) and torch.equal(batch.labels, data.labels[batch.index])
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        found.update(zip(batch.index.tolist(), batch.images, strict=True))
    assert len(loader) == len(order)
    return found


def test_evaluation_equals_plain_loading(streamed) -> None:
    data = streamed()
    loader = data.eval_loader("test", batch_size=5)
    assert loader.real == [5, 5, 2] and len(loader) == 3
    batches = list(loader)
    images, labels = torch.cat([batch.images for batch in batches]), torch.cat([batch.labels for batch in batches])
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(12))
    for index, file in enumerate(data.files["test"]):
        picture = Image.open(file).convert("RGB")
        short = min(picture.size)
        picture = picture.resize([int(18 * side / short) for side in picture.size], Image.Resampling.BILINEAR)
        left, top = (round((side - 16) / 2) for side in picture.size)
        picture = picture.crop((left, top, left + 16, top + 16))
        torch.testing.assert_close(images[index], normalised(data, picture), atol=1e-5, rtol=0)
        assert data.classes[labels[index]] == file.parent.name


def test_training_equals_torchvision_seeded_by_hand(streamed) -> None:
    data = streamed(min_scale=0.3, jitter=0.2)
    transform = v2.Compose([v2.RandomResizedCrop(16, scale=(0.3, 1.0)), v2.RandomHorizontalFlip(),
                            v2.ColorJitter(0.2, 0.2, 0.2)])
    for index, image in epoch_of(data, epoch=3).items():
        torch.manual_seed(seed_of(7, 3, index))
        picture = transform(Image.open(data.files["train"][index]).convert("RGB"))
        torch.testing.assert_close(image, normalised(data, picture), atol=1e-5, rtol=0)


def test_workers_change_nothing_and_live_on(streamed) -> None:
    alone, helped = streamed(cutout=5), streamed(cutout=5, workers=2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for epoch in (0, 1):
        first, second = epoch_of(alone, epoch), epoch_of(helped, epoch)
        assert sorted(first) == list(range(12)) and all(torch.equal(first[index], second[index]) for index in first)
        if epoch == 0:  # an epoch that is left early, and evaluation while training goes on
            started = iter(helped.train_loader(helped.order(0, seed=7, batch_size=5), epoch=0, seed=7))
            next(started)
            assert len(list(helped.eval_loader("test", batch_size=4))) == 3
            assert len(list(started)) == 2
            next(iter(helped.train_loader(helped.order(0, seed=7, batch_size=5), epoch=0, seed=7)))
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_is_the_same_for_any_layout(streamed) -> None:
    data = streamed()
    alone = epoch_of(data)
    halves = [epoch_of(data, rank=rank, world=2) for rank in (0, 1)]
    pairs = epoch_of(data, paired=True)
    for found in (*halves, pairs):
        assert all(torch.equal(alone[index], image) for index, image in found.items())
    assert set(halves[0]) | set(halves[1]) == set(alone) and not torch.equal(alone[0], epoch_of(data, epoch=1)[0])


def test_held_out_pictures_are_not_augmented(streamed) -> None:
    data = streamed(val_share=0.25)
    batch = next(iter(data.eval_loader("val", batch_size=3)))
    assert batch.labels.tolist() == [0, 1, 2] and batch.index.tolist() == [0, 1, 2] and len(data.candidates) == 9
    shown = data.pictures("val", [0, 1, 2])
    for index in range(3):
        picture = Image.fromarray(shown[index].permute(1, 2, 0).numpy())
        torch.testing.assert_close(batch.images[index], normalised(data, picture), atol=1e-5, rtol=0)


def test_an_unreadable_picture_in_a_worker_is_named(streamed) -> None:
    data = streamed(workers=1)
    data.files["test"][6].write_bytes(b"")
    with pytest.raises(UserError, match=r"dog/2.png"):
        list(data.eval_loader("test", batch_size=4))


def test_the_fingerprint_follows_names_and_classes(picture_folder) -> None:
    root = picture_folder(count=2)
    first, again = (image_folder(root=str(root), size=16, workers=0) for _ in range(2))
    first.load("cpu")
    again.load("cpu")
    assert first.fingerprint == again.fingerprint
    (root / "train" / "cat" / "1.png").rename(root / "train" / "dog" / "9.png")
    changed = image_folder(root=str(root), size=16, workers=0)
    changed.load("cpu")
    assert changed.fingerprint != first.fingerprint
