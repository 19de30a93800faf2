"""Folders of pictures: what is read, which splits there are, and every way in which they can be wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from src.core.errors import UserError
from src.data.check import check
from src.data.images.folder import image_folder
from src.data.images.picture_files import as_array, open_picture


def problems(root: Path | str, run: dict | None = None, **options) -> list[str]:
    """Those of the static check; `run` is what stands beside the data."""
    return check({"data": {"_target_": "src.data.images.folder.image_folder", "root": str(root), **options},
                  **(run or {})})


def loaded(root: Path, **options):
    data = image_folder(root=str(root), **{"size": 16, "workers": 0, **options})
    data.load("cpu")
    return data


@pytest.mark.parametrize("in_memory", [False, True])
def test_splits_classes_and_order(picture_folder, in_memory: bool) -> None:
    root = picture_folder(("train", "val"))
    (root / "train" / "dog" / "deep").mkdir()
    Image.new("L", (50, 20), 9).save(root / "train" / "dog" / "deep" / "Grey.JPG")
    (root / "train" / "dog" / "notes.txt").write_text("no picture")
    (root / "train" / ".cache").mkdir()
    data = loaded(root, in_memory=in_memory, val_share=0.25)
    assert data.classes == ["cat", "dog", "eel"] and data.labels.tolist() == [0] * 4 + [1] * 5 + [2] * 4
    assert [data.size_of(split) for split in ("train", "val", "test")] == [10, 3, 12]
    assert data.pictures("train", [8]).shape == (1, 3, 16, 16) and (data.pictures("train", [8]) == 9).all()
    assert "imagefolder" in data.describe() and problems(root) == []


def test_with_a_test_folder_val_is_for_validation(picture_folder) -> None:
    root = picture_folder(("train", "val", "test"), count=2)
    shutil.rmtree(root / "test" / "eel")
    (root / "test" / "eel").mkdir()
    data = loaded(root)
    assert [data.size_of(split) for split in ("train", "val", "test")] == [6, 6, 4]
    with pytest.raises(UserError, match=r"val_share=0.5.*Set data.val_share=0"):
        loaded(root, val_share=0.5)
    assert "data.val_share=0.5" in problems(root, val_share=0.5)[0]
    assert loaded(root, val_share=0.5, test=None).size_of("test") == 6


def test_annotated_val_folder_of_tiny_imagenet(picture_folder) -> None:
    root = picture_folder(("train",), count=2)
    for kind in ("cat", "dog", "eel"):
        (root / "train" / kind / "images").mkdir()
        for file in list((root / "train" / kind).glob("*.png")):
            file.rename(root / "train" / kind / "images" / file.name)
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for number, kind in enumerate(("eel", "cat", "dog", "cat")):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(root / "val" / "images" / f"val_{number}.png")
        lines.append(f"val_{number}.png\t{kind}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    data = loaded(root, in_memory=True, test=None, resize=16)
    assert problems(root, test=None) == []
    batch = next(iter(data.eval_loader("test", batch_size=4)))
    assert batch.labels.tolist() == [0, 0, 1, 2]
    assert data.pictures("test", [0, 1, 2, 3])[:, 0, 0, 0].tolist() == [1, 3, 2, 0]


def test_class_folders_that_differ_are_named(picture_folder) -> None:
    root = picture_folder(("train", "val", "test"), count=1)
    shutil.rmtree(root / "val" / "dog")
    (root / "test" / "yak").mkdir()
    told = problems(root)
    assert len(told) == 2
    assert "val lacks the class folders dog" in told[0] and "the class folders yak" in told[1]
    with pytest.raises(UserError, match="dog"):
        loaded(root)


def test_missing_folders(picture_folder, tmp_path: Path) -> None:
    assert "no such folder" in problems("/nowhere/at/all")[0]
    assert "no folder train" in problems(tmp_path)[0]
    root = picture_folder(("train",))
    assert "there is no folder val or test in it: there is nothing to test with. Hold" in problems(root)[0]
    (null,) = problems(root, val=None, test=None)
    assert "data.val and data.test are null: there is nothing to test with" in null and "None" not in null
    (root / "val").mkdir()
    assert "has no class folders" in problems(root)[0]
    with pytest.raises(UserError, match="has no class folders"):
        loaded(root)
    assert check({"data": {"_target_": "src.data.images.folder.image_folder", "root": "???"}}) == []


@pytest.mark.parametrize(("options", "told"), [
    ({"val": "vall"}, "data.val=vall: there is no such folder in ROOT. Did you mean val?"),
    ({"test": "tset"}, "data.test=tset: there is no such folder in ROOT. Did you mean test?"),
    ({"test": "other"}, "data.test=other: there is no such folder in ROOT. Valid: null, test, train, val"),
])
def test_a_folder_of_a_chosen_name_must_be_there(picture_folder, options: dict, told: str) -> None:
    root = picture_folder(("train", "val", "test"), count=1)
    (found,) = problems(root, **options)
    assert found.startswith(told.replace("ROOT", str(root)))
    with pytest.raises(UserError, match=f"data.{next(iter(options))}="):
        loaded(root, **options)


def test_an_evaluation_needs_no_pictures_of_training(picture_folder) -> None:
    root = picture_folder(("test",), count=2)
    (found,) = problems(root)
    assert "there is no folder train" in found and found.endswith("add data.train=test")
    assert problems(root, train="test") == []
    data = loaded(root, train="test")
    assert data.classes == ["cat", "dog", "eel"] and data.size_of("test") == 6


def test_splits_and_classes_without_pictures(picture_folder) -> None:
    root = picture_folder(("train", "val"), count=1)
    (root / "train" / "dog" / "0.png").unlink()
    assert "train/dog has no pictures: " in problems(root)[0]
    with pytest.raises(UserError, match="dog has no pictures"):
        loaded(root)
    root = picture_folder(("train", "val"), count=1)
    for file in (root / "val").rglob("*.png"):
        file.unlink()
    assert "val has no pictures (.jpg, " in problems(root)[0]
    with pytest.raises(UserError, match=r"val has no pictures"):
        loaded(root)


def test_what_is_odd_about_folders_is_told_once(picture_folder, capsys) -> None:
    root = picture_folder(("train", "val"), count=2)
    Image.new("RGB", (9, 9)).save(root / "train" / "cat" / "9.jfif", "JPEG")
    for name in ("a.heic", "b.HEIC", "no_suffix", "notes.txt", ".hidden"):
        (root / "train" / "dog" / name).write_text("left out")
    for file in (root / "val" / "eel").iterdir():
        file.unlink()
    data = loaded(root)
    assert data.counts() == "7 train / 4 test pictures, 3 classes"
    told = capsys.readouterr()
    left, absent = told.err.splitlines()
    assert left.startswith("warning: 3 files are left out for their suffix (2 .heic, 1 without one): pictures have")
    assert absent.endswith(f"{root / 'val'} has no pictures of eel: its figures say nothing about this class")
    assert told.out.startswith("The pictures of val are tested on: a training has none to validate with")
    assert told.out.endswith("Add data.val_share=0.1 for a validation\n") and told.out.count("\n") == 1
    for options in ({"val_share": 0.5}, {"val": None, "test": "val"}):
        loaded(root, **options)
        assert capsys.readouterr().out == ""


def test_one_class_is_refused(picture_folder) -> None:
    root = picture_folder(classes=("cat",))
    (found,) = problems(root)
    assert "train has one class folder, cat: a classifier tells two classes or more apart" in found
    with pytest.raises(UserError, match="two classes"):
        loaded(root)


@pytest.mark.parametrize(("batch_size", "devices", "share", "told"), [
    (12, 1, 0.0, None), (13, 1, 0.0, "method.batch_size=13: there are only 12 pictures to train on"),
    (9, 1, 0.25, None),
    (10, 1, 0.25, "only 9 pictures to train on: an epoch needs one full batch. Set it to 9 or less"),
    (12, 2, 0.0, None), (14, 2, 0.25, "method.batch_size=14: there are only 9 pictures to train on: an epoch needs one "
                                      "full batch. Set it to 8 or less"), (12, "auto", 0.0, None),
])
def test_a_batch_larger_than_the_training_set(picture_folder, batch_size: int, devices, share: float,
                                              told: str | None) -> None:
    root = picture_folder(count=4)  # of each of three classes
    run = {"mode": "train", "method": {"batch_size": batch_size}, "trainer": {"devices": devices, "num_nodes": 1}}
    found = problems(root, run, val_share=share)
    assert (found == []) if told is None else (len(found) == 1 and told in found[0])
    assert problems(root, {**run, "mode": "eval"}, val_share=share) == []


def test_a_plain_folder_of_classes_is_split_by_shares(picture_folder) -> None:
    root = picture_folder(("all",), count=10) / "all"
    (told,) = problems(root)
    assert "no folder train" in told and "train/<class>/ and val/<class>/" in told
    assert "(cat, dog, eel) as classes" in told and "data.train=. data.test_share=0.2 data.val_share=0.1" in told
    plain = {"train": ".", "val_share": 0.1, "test_share": 0.2}
    assert problems(root, **plain) == []
    found = [loaded(root, **plain, in_memory=in_memory) for in_memory in (False, True)]
    for data in found:
        assert [data.size_of(split) for split in ("train", "val", "test")] == [21, 3, 6]
        order = data.order(0, seed=0, batch_size=7)
        trained = {tuple(picture.flatten().tolist()) for picture in data.pictures("train", order.index.tolist())}
        held = {tuple(picture.flatten().tolist()) for split, count in (("val", 3), ("test", 6))
                for picture in data.pictures(split, list(range(count)))}
        assert len(trained) == 21 and len(held) == 9 and not trained & held
        (batch,) = data.eval_loader("test", batch_size=6)
        assert batch.labels.tolist() == [0, 0, 1, 1, 2, 2]
        for file, picture in zip(data.files_of("test"), data.pictures("test", list(range(6))), strict=True):
            shown = data.options.evaluation()(open_picture(root / file))
            assert (as_array(shown) == picture.permute(1, 2, 0).numpy()).all()
    assert (found[0].pictures("test", [0, 3]) == found[1].pictures("test", [0, 3])).all()


def test_the_split_does_not_hang_on_the_file_systems_order(picture_folder, monkeypatch) -> None:
    root = picture_folder(("all",), count=10) / "all"
    plain = {"train": ".", "test_share": 0.3, "in_memory": True}
    before, walk = loaded(root, **plain), os.walk
    monkeypatch.setattr(os, "walk", lambda *args, **options: [
        (place, folders, files[::-1]) for place, folders, files in walk(*args, **options)])
    after = loaded(root, **plain)
    assert after.fingerprint == before.fingerprint and after.candidates.tolist() == before.candidates.tolist()


def test_one_thing_to_test_with_is_enough(picture_folder) -> None:
    root = picture_folder(("train", "val", "test"))
    assert "data.test_share=0.2: " in problems(root, test_share=0.2)[0]
    assert "data.test_share=0.5: together" in problems(root, test=None, val_share=0.5, test_share=0.5)[0]
    data = loaded(root, test=None, test_share=0.25)  # val stays for validation
    assert [data.size_of(split) for split in ("train", "val", "test")] == [9, 12, 3]


@pytest.mark.parametrize(("options", "told"), [
    ({"size": 0}, "data.size=0"), ({"workers": -1}, "data.workers=-1"), ({"resize": 8}, "data.resize=8"),
    ({"jitter": 1.5}, "data.jitter"), ({"min_scale": 0.0}, "data.min_scale"), ({"fill": 300}, "data.fill"),
    ({"val_share": 1.0}, "data.val_share"), ({"std": [1.0, 0.0, 1.0]}, "data.std"), ({"mean": [0.1]}, "data.mean"),
    ({"cutout": -1}, "data.cutout"), ({"mean": [123.7, 116.3, 103.5]}, "data.mean"),
    ({"std": [58.4, 57.1, 57.4]}, "data.std"),
])
def test_bad_options(picture_folder, options, told: str) -> None:
    root = picture_folder(count=1)
    assert any(told in line for line in problems(root, size=options.pop("size", 16), **options))
    with pytest.raises(UserError, match=told):
        image_folder(root=str(root), **{"size": 0 if told == "data.size=0" else 16, **options})


@pytest.mark.parametrize("in_memory", [False, True])
def test_an_unreadable_picture_is_named_or_left_out(picture_folder, capsys, in_memory: bool) -> None:
    root = picture_folder(count=4)
    (root / "train" / "dog" / "1.png").write_bytes(b"no picture")
    whole = (root / "val" / "eel" / "2.png").read_bytes()
    (root / "val" / "eel" / "2.png").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(UserError, match=r"dog/1.png.*data.on_unreadable=skip"):
        data = loaded(root, in_memory=in_memory)
        list(data.train_loader(data.order(0, seed=0, batch_size=4), epoch=0, seed=0))
    data = loaded(root, in_memory=in_memory, on_unreadable="skip")
    told = capsys.readouterr().err.replace("\n", "")
    assert "dog/1.png" in told and "eel/2.png" in told
    order = data.order(0, seed=0, batch_size=4)
    seen = [index for batch in data.train_loader(order, epoch=0, seed=0) for index in batch.index.tolist()]
    assert sorted(seen) == [index for index in range(12) if index != 5]
    assert len(data.labels) == 12 and data.size_of("test") == 11
    evaluated = next(iter(data.eval_loader("test", batch_size=11)))
    assert evaluated.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 3 and evaluated.index.tolist() == list(range(11))
