"""CIFAR and Fashion-MNIST, through small files in torchvision's own format."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from src.core.errors import UserError
from src.data.check import check
from src.data.images.torchvision_sets import Cifar10, Cifar100, FashionMnist

CHANCE = np.random.default_rng(0)


def cifar(monkeypatch, root: Path, kind: type, files: list[str], label_key: str) -> np.ndarray:
    """Six pictures a file; their checksums are not looked at. Returns the pixels [pictures, 3, 32, 32]."""
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    pixels = []
    for file in files:
        data = CHANCE.integers(256, size=(6, 3072), dtype=np.uint8)
        (folder / file).write_bytes(pickle.dumps({"data": data, label_key: [0, 1, 0, 1, 0, 1]}))
        pixels.append(data)
    meta_key = "label_names" if kind is datasets.CIFAR10 else "fine_label_names"
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({meta_key: ["plane", "car"]}))
    monkeypatch.setattr(kind, "train_list", [[file, None] for file in files[:-1]])
    monkeypatch.setattr(kind, "test_list", [[files[-1], None]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    return np.concatenate(pixels).reshape(-1, 3, 32, 32)


def test_cifar10(monkeypatch, tmp_path: Path) -> None:
    pixels = cifar(monkeypatch, tmp_path, datasets.CIFAR10, ["data_batch_1", "data_batch_2", "test_batch"], "labels")
    data = Cifar10(root=str(tmp_path), download=False, val_share=0.34, pad=0, flip=False)
    data.load("cpu")
    assert (data.channels, data.size, data.classes, len(data.labels)) == (3, 32, ["plane", "car"], 12)
    assert [data.size_of(split) for split in ("train", "val", "test")] == [8, 4, 6]
    assert np.array_equal(data.pictures("train", list(range(12))).numpy(), pixels[:12])
    assert np.array_equal(data.pictures("test", [5]).numpy()[0], pixels[17])
    batch = next(iter(data.eval_loader("test", batch_size=6)))
    expected = (pixels[12:] / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
    np.testing.assert_allclose(batch.images.numpy(), expected, atol=1e-5)
    assert batch.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_cifar100(monkeypatch, tmp_path: Path) -> None:
    pixels = cifar(monkeypatch, tmp_path, datasets.CIFAR100, ["train", "test"], "fine_labels")
    data = Cifar100(root=str(tmp_path), download=False)
    data.load("cpu")
    assert np.array_equal(data.pictures("train", list(range(6))).numpy(), pixels[:6]) and data.name == "cifar100"


def fashion(folder: Path, packed: bool) -> np.ndarray:
    """The four files with 10 training and 5 test pictures, in the format of MNIST."""
    folder.mkdir(parents=True)
    pixels = CHANCE.integers(256, size=(15, 28, 28), dtype=np.uint8)
    for part, chosen in (("train", slice(0, 10)), ("t10k", slice(10, 15))):
        images = pixels[chosen]
        count = len(images).to_bytes(4, "big")
        side = (28).to_bytes(4, "big")
        for kind, content in (("images-idx3", b"\0\0\x08\x03" + count + side + side + images.tobytes()),
                              ("labels-idx1", b"\0\0\x08\x01" + count + bytes(n % 10 for n in range(len(images))))):
            name = f"{part}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return pixels


@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist(monkeypatch, tmp_path: Path, packed: bool) -> None:
    pixels = fashion(tmp_path / "FashionMNIST" / "raw", packed)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", [(n, None) for n, _ in datasets.FashionMNIST.resources])
    data = FashionMnist(root=str(tmp_path), download=packed)
    data.load("cpu")
    assert (data.channels, data.size, len(data.classes)) == (1, 28, 10) and data.size_of("test") == 5
    assert np.array_equal(data.pictures("test", [0, 4]).numpy()[:, 0], pixels[[10, 14]])
    batch = next(iter(data.train_loader(data.order(0, seed=0, batch_size=4), epoch=0, seed=0)))
    assert batch.images.shape == (4, 1, 28, 28) and batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("kind", "file"), [(Cifar10, "cifar-10-python.tar.gz"), (Cifar100, "cifar-100-python.tar.gz"),
                                            (FashionMnist, "t10k-labels-idx1-ubyte.gz")])
def test_without_files_and_network(monkeypatch, tmp_path: Path, kind: type, file: str) -> None:
    def offline(*_, **__) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", offline)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    monkeypatch.setattr(kind.kind, "mirrors", [], raising=False)
    root = tmp_path / "empty"
    for download, told in ((True, "could not be fetched"), (False, "data.download=true")):
        with pytest.raises(UserError, match=told) as error:
            kind(root=str(root), download=download).load("cpu")
        assert file in str(error.value) and str(root) in str(error.value)


def test_the_static_check_names_the_files(tmp_path: Path) -> None:
    def problems(**options) -> list[str]:
        target = "src.data.images.torchvision_sets.FashionMnist"
        return check({"data": {"_target_": target, "root": str(tmp_path), **options}})

    assert problems(download=True) == []
    told = problems(download=False)
    assert len(told) == 1 and "train-images-idx3-ubyte" in told[0] and "data.download=true" in told[0]
    fashion(tmp_path / "FashionMNIST" / "raw", packed=False)
    assert problems(download=False) == []
