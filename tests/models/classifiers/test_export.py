"""Exported classifiers give the trained module's logits, in timm alone, elsewhere."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from src.core.errors import UserError
from src.data.images.folder import image_folder
from src.methods.pskd.keeping import Keeping
from src.models.classifiers.network import Network

CLASSES = ["cat", "dog", "owl", "eel", "ant"]
OWN = {
    "small_preact_resnet": {"widths": [8, 8, 12], "depths": [1, 1, 1], "drop_rate": 0.1},
    "cifar_densenet121": {"depths": [1, 1], "growth": 4},
    "cifar_resnext29_8x64d": {"depth": 1, "cardinality": 2, "width": 2},
    "cifar_pyramidnet200_shakedrop": {"depth": 11, "alpha": 6},
}
# Loads every folder named on the command line and answers with logits and what timm knows of the pictures.
ELSEWHERE = """
import sys, torch, timm
pictures, answers = torch.load(sys.argv[1]), {}
for folder, module in zip(sys.argv[2::2], sys.argv[3::2]):
    if module != "-":
        sys.path.insert(0, folder)
        __import__(module)
    model = timm.create_model("local-dir:" + folder, pretrained=True).eval()
    data = timm.data.resolve_data_config({}, model=model)
    with torch.no_grad():
        answers[folder] = model.double()(pictures.double()), data, model.pretrained_cfg["label_names"]
torch.save(answers, sys.argv[1])
exec(sys.stdin.read())  # the model card's snippet
assert not [name for name in sys.modules if name == "src" or name.startswith("src.")]
"""


def trained(network: Network, channels: int = 3) -> nn.Module:
    """Built, with weights and statistics that no initialisation gives."""
    torch.manual_seed(1)
    module = network.build(len(CLASSES), channels, 32)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand_like(tensor)
    return module


def export(network: Network, module: nn.Module, folder: Path, channels: int = 3) -> Path:
    network.export(folder, module, classes=CLASSES, mean=[0.4, 0.5, 0.6][:channels], std=[0.2, 0.3, 0.25][:channels],
                   size=32, method="PS-KD", command="python -m src.run method=pskd", data="emoji",
                   figures={"test/nll": 1.25, "test/top1_err": 31.0})
    return folder


@torch.no_grad()
def logits(module: nn.Module, pictures: Tensor) -> Tensor:
    """In double precision: float32's rounding depends on the processor, and on how the weights lie in memory."""
    return copy.deepcopy(module).eval().double()(pictures.double())


def elsewhere(folder: Path, *arguments: str, snippet: str) -> str:
    """Runs ELSEWHERE in another folder and without this project; returns what the snippet prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-P", "-c", ELSEWHERE, *arguments], input=snippet, cwd=folder,
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_logits_are_the_same_elsewhere_and_the_cards_snippet_runs_as_it_stands(tmp_path: Path) -> None:
    networks = [Network(name=name, options=options) for name, options in OWN.items()]
    networks += [Network(name="resnet10t"), Network(name="vit_tiny_patch16_224", options={"depth": 1})]
    pictures, expected, arguments = torch.randn(3, 3, 32, 32), {}, []
    for network in networks:
        module = trained(network)
        folder = export(network, module, tmp_path / network.name)
        expected[str(folder)] = logits(module, pictures)
        code = [file.stem for file in folder.glob("*.py")]
        assert len(code) == (network.name in OWN)
        arguments += [str(folder), *(code or ["-"])]
    torch.save(pictures, tmp_path / "exchange.pt")
    grey = trained(networks[0], channels=1)
    snippet = snippet_of(export(networks[0], grey, tmp_path / "grey", channels=1))
    label = CLASSES[logits(grey, grey_picture(tmp_path / "picture.png")).argmax()]

    assert elsewhere(tmp_path, str(tmp_path / "exchange.pt"), *arguments, snippet=snippet) == label
    answers = torch.load(tmp_path / "exchange.pt", weights_only=True)
    assert set(answers) == set(expected)
    for folder, (found, data, names) in answers.items():
        assert torch.allclose(found, expected[folder], rtol=1e-12), folder
        assert list(names) == CLASSES
        assert tuple(data["input_size"]) == (3, 32, 32) and data["crop_pct"] == 1.0
        assert tuple(data["mean"]) == (0.4, 0.5, 0.6) and tuple(data["std"]) == (0.2, 0.3, 0.25)


def snippet_of(folder: Path) -> str:
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    return code.replace("<this folder>", str(folder))


def grey_picture(file: Path) -> Tensor:
    """Writes a random picture; returns it as `export`'s mean and std normalise it, [1, 1, 32, 32]."""
    picture = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(picture).save(file)
    return (torch.as_tensor(picture)[None, None] / 255 - 0.4) / 0.2


@pytest.mark.parametrize(("in_memory", "size", "resize"), [
    (False, 21, None), (True, 16, 18), (False, 17, 25), (True, 16, 16),  # 17 / (17 / 25) is rounded to less than 25
])
def test_the_cards_snippet_shows_pictures_as_the_evaluation_did(tmp_path, in_memory: bool, size: int, resize) -> None:
    for number, place in enumerate(("train/cat", "train/dog", "val/cat", "val/dog")):
        (tmp_path / place).mkdir(parents=True)
        noise = np.random.default_rng(number).integers(256, size=(60, 83, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6  # of a camera that was turned
        Image.fromarray(noise).save(tmp_path / place / "a.png", exif=exif)
    deep = np.random.default_rng(5).integers(65536, size=(60, 83), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "val" / "dog" / "a.png")
    data = image_folder(root=str(tmp_path), size=size, resize=resize, in_memory=in_memory, workers=0)
    data.load("cpu")
    network = Network(name="test_efficientnet")  # its own transform is bicubic and keeps less of a picture
    module = SimpleNamespace(model=network, data=data, deployed=network.build(2, 3, size), figures={}, run_dir=tmp_path,
                             loss=SimpleNamespace(describe=lambda: "PS-KD"))
    Keeping.export(module, tmp_path / "export")

    code, shown = snippet_of(tmp_path / "export"), []
    for name in ("cat", "dog"):
        exec(code.replace("picture.png", str(tmp_path / f"val/{name}/a.png")), done := {})
        shown.append(done["transform"](done["picture"]))
    evaluated = next(iter(data.eval_loader("test", batch_size=2))).images
    torch.testing.assert_close(torch.stack(shown), evaluated, atol=1e-5, rtol=0)


def test_the_card(tmp_path: Path) -> None:
    network = Network(name="small_preact_resnet", options=OWN["small_preact_resnet"])
    card = (export(network, trained(network), tmp_path) / "README.md").read_text()
    for words in ("small_preact_resnet", "PS-KD", "emoji", "python -m src.run method=pskd", "| test/nll | 1.25 |",
                  "cat, dog, owl", "import preact_resnet", "MIT", "library_name: timm"):
        assert words in card


def test_exporting_changes_nothing(tmp_path: Path) -> None:
    network = Network(name="small_preact_resnet", options=OWN["small_preact_resnet"])
    module = trained(network)
    module.compile(backend="eager")
    module(torch.randn(4, 3, 32, 32))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    config = dict(module.pretrained_cfg)
    export(network, module, tmp_path)
    assert module.training and module.pretrained_cfg == config
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert module.stages[1][0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert json.loads((tmp_path / "config.json").read_text())["model_args"]["widths"] == [8, 8, 12]


def test_an_export_is_where_another_run_starts(tmp_path: Path) -> None:
    network = Network(name="small_preact_resnet", options=OWN["small_preact_resnet"])
    module = trained(network)
    folder, pictures = export(network, module, tmp_path), torch.randn(3, 3, 32, 32)
    for weights in (folder, folder / "model.safetensors"):
        again = Network(name=network.name, options=network.options, pretrained=str(weights))
        assert torch.allclose(logits(again.build(5, 3, 32), pictures), logits(module, pictures), rtol=1e-12)
        fresh = again.build(7, 3, 32).eval()  # other classes: only the last layer is new
        assert torch.allclose(fresh.forward_features(pictures), module.eval().forward_features(pictures), atol=1e-5)
        assert fresh(pictures).shape == (3, 7)
    by_name = Network(name=f"local-dir:{folder}", pretrained=True).build(5, 3, 32)
    assert torch.allclose(logits(by_name, pictures), logits(module, pictures), rtol=1e-12)
    with pytest.raises(UserError, match=r"small_preact_resnet, and model.name is resnet18"):
        Network(name="resnet18", pretrained=str(folder)).build(5, 3, 32)
    with pytest.raises(UserError, match="not those of this network"):
        Network(name="resnet18", pretrained=str(folder / "model.safetensors")).build(5, 3, 32)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        Network(name="resnet18", pretrained=str(tmp_path / "broken.safetensors")).build(5, 3, 32)


def test_an_export_of_an_export(tmp_path: Path) -> None:
    first = Network(name="small_preact_resnet", options=OWN["small_preact_resnet"])
    folder = export(first, trained(first), tmp_path / "first")
    second = Network(name=first.name, options=first.options, pretrained=str(folder))
    config = json.loads((export(second, second.build(5, 3, 32), tmp_path / "second") / "config.json").read_text())
    assert config == json.loads((folder / "config.json").read_text())
