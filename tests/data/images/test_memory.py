"""What a set in memory knows of itself: hold-out, indices, fingerprint, bad labels."""

from __future__ import annotations

import pytest
import torch

from src.core.errors import UserError
from src.data.images.holdout import hold_out


def test_held_out_samples_keep_the_numbers_of_the_base(toy) -> None:
    data, whole = toy(val_share=0.25), toy()
    assert len(data.labels) == 61 == data.size_of("train") + data.size_of("val")
    order = data.order(0, seed=0, batch_size=8)
    trained = set(order.index.tolist())
    assert trained == set(data.candidates.tolist())
    for batch in data.train_loader(order, epoch=0, seed=0):
        assert torch.equal(batch.labels, whole.labels[batch.index])
    held = sorted(set(range(61)) - trained)
    assert torch.equal(data.pictures("val", list(range(len(held)))), whole.pictures("train", held))
    assert data.fingerprint == whole.fingerprint and not whole.has_split("val")


def test_the_share_is_of_each_class_and_does_not_move() -> None:
    labels = torch.tensor([0] * 100 + [1] * 10 + [2] * 1).repeat_interleave(1)
    trained, found = hold_out(labels, {"val": 0.2}, 0)
    held = found["val"]
    assert labels[held].bincount(minlength=3).tolist() == [20, 2, 0]
    assert torch.cat([trained, held]).sort().values.tolist() == list(range(111))
    again, other = (hold_out(labels, {"val": 0.2}, seed)[1]["val"] for seed in (0, 1))
    assert torch.equal(held, again) and not torch.equal(held, other)


@pytest.mark.parametrize("val", [0.0, 0.2, 0.5])
def test_the_test_share_does_not_depend_on_the_other_and_they_never_meet(val: float) -> None:
    labels = torch.tensor([0] * 40 + [1] * 10 + [2] * 2)
    trained, held = hold_out(labels, {"val": val, "test": 0.5}, 0)
    assert torch.equal(held["test"], hold_out(labels, {"test": 0.5}, 0)[1]["test"])
    assert labels[held["test"]].bincount().tolist() == [20, 5, 1]
    assert torch.cat([trained, *held.values()]).sort().values.tolist() == list(range(52))
    assert labels[trained].bincount(minlength=3).min() >= 1


def test_unusable_samples_are_in_neither_part() -> None:
    labels = torch.zeros(50, dtype=torch.long)
    plain = hold_out(labels, {"val": 0.5}, 0)[1]["val"]
    trained, found = hold_out(labels, {"val": 0.5}, 0, unusable=[3, int(plain[0])])
    held = found["val"]
    assert held.tolist() == [index for index in plain[1:].tolist() if index != 3]
    assert set(trained.tolist()) | set(held.tolist()) == set(range(50)) - {3, int(plain[0])}


@pytest.mark.parametrize(("share", "told"), [(0.01, "holds nothing out"), (1.0, "below 1"), (-0.1, "at least 0")])
def test_bad_shares(toy, share: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        toy(val_share=share)


def test_the_fingerprint_follows_pixels_labels_and_order(raw_toy) -> None:
    def changed(change=lambda train: None) -> str:
        data = raw_toy()
        change(data.given["train"])
        data.load("cpu")
        return data.fingerprint

    def label(train) -> None:
        train.labels = train.labels.clone()
        train.labels[5] = 2

    def pixel(train) -> None:
        train.pixels[7, 0, 0, 0] ^= 1

    def order(train) -> None:
        train.pixels, train.labels = train.pixels.flip(0), train.labels.flip(0)

    def names(train) -> None:
        train.names = [str(number) for number in range(61)]

    found = [changed(), changed(label), changed(pixel), changed(order), changed(names),
             changed(lambda train: (names(train), label(train)))]
    assert len(set(found)) == 6 and found[0] == changed() and len(found[0]) == 64


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range(raw_toy, label: int) -> None:
    data = raw_toy()
    data.given["train"].labels[4] = label
    with pytest.raises(UserError, match=rf"sample 4 of train has the label {label}.*0 to 2"):
        data.load("cpu")


def test_empty_and_unknown_splits(raw_toy, toy) -> None:
    data = raw_toy()
    data.given["test"].pixels, data.given["test"].labels = data.given["test"].pixels[:0], data.given["test"].labels[:0]
    with pytest.raises(UserError, match="the split test has no pictures"):
        data.load("cpu")
    with pytest.raises(UserError, match=r"no split val.*it has train and test.*val_share"):
        toy().eval_loader("val", batch_size=4)
