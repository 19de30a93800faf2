"""Network: what conf/model names, built for the data at hand; and everything that can be wrong with it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.core.errors import UserError
from src.models.check import check
from src.models.classifiers.network import Network

ROOT = Path(__file__).parents[3]
TARGET = "src.models.classifiers.network.Network"
FILES = [file for file in sorted((ROOT / "conf" / "model").glob("*.yaml")) if TARGET in file.read_text()]
TINY = {"widths": [8, 8, 12], "depths": [1, 1, 1]}


def tiny(**given) -> Network:
    return Network(name="small_preact_resnet", options=TINY, **given)


def problems(**model) -> list[str]:
    return check({"model": {"_target_": TARGET, "pretrained": False, "options": None, **model}})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_yaml_builds(file: Path) -> None:
    model = OmegaConf.to_container(OmegaConf.load(file))
    assert model.pop("_target_") == TARGET and set(model) == {"name", "pretrained", "options"}
    if file.stem == "timm":
        model["name"] = "mobilenetv4_conv_small"
    assert problems(**model) == []
    with torch.device("meta"):
        module = Network(**model).build(num_classes=99, channels=3, size=224 if "152" in file.stem else 32)
    assert module.num_classes == 99 and module.training


def test_the_papers_networks_all_have_a_yaml() -> None:
    assert {file.stem for file in FILES} >= {
        "preact_resnet18", "preact_resnet101", "densenet121", "resnext29_8x64d", "pyramidnet200",
        "pyramidnet200_shakedrop", "resnet152", "timm", "small_preact_resnet"}


@pytest.mark.parametrize("name", ["small_preact_resnet", "resnet18", "vit_tiny_patch16_224"])
@pytest.mark.parametrize(("classes", "channels", "size"), [(10, 1, 28), (9, 3, 32)])
def test_the_data_decides_classes_channels_and_size(name: str, classes: int, channels: int, size: int) -> None:
    size = 32 if "vit" in name else size
    module = Network(name=name).build(classes, channels, size)
    assert module(torch.randn(2, channels, size, size)).shape == (2, classes)


def test_pretrained_weights_tell_of_pictures_that_are_normalised_otherwise(tmp_path: Path) -> None:
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    module, used = Network(name="test_vit").build(5, 3, 32), Network(name="test_vit", pretrained=True)
    told = used.other_statistics(module, *imagenet)
    assert told.startswith("the pretrained weights expect pictures normalised by mean [0.5, 0.5, 0.5] and std [0.5, ")
    assert told.endswith("set data.mean=[0.5,0.5,0.5] data.std=[0.5,0.5,0.5]") and "[0.485, 0.456, 0.406]" in told
    assert used.other_statistics(module, [0.5] * 3, [0.5004] * 3) is None
    assert "set data.mean" in used.other_statistics(module, [0.5] * 3, [0.25] * 3)
    assert used.other_statistics(module, [0.4], [0.2]) is None  # grey pictures: nobody says
    (tmp_path / "weights.pth").touch()
    for silent in (False, str(tmp_path / "weights.pth")):
        assert Network(name="test_vit", pretrained=silent).other_statistics(module, *imagenet) is None
    resnet = Network(name="resnet10t", pretrained=True)
    with torch.device("meta"):
        assert resnet.other_statistics(Network(name="resnet10t").build(5, 3, 32), *imagenet) is None


def test_weights_are_channels_last_and_a_seed_fixes_them() -> None:
    torch.manual_seed(3)
    first = tiny().build(5, 3, 32)
    torch.manual_seed(3)
    second = tiny().build(5, 3, 32)
    assert first.stages[1][0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_building_does_not_touch_running_statistics() -> None:
    module = tiny().build(5, 3, 32)
    assert module.norm.num_batches_tracked == 0 and not module.norm.running_mean.any()
    assert all(tensor.device.type == "cpu" for tensor in module.state_dict().values())


def test_identity_tells_architectures_apart_and_not_weights() -> None:
    assert Network(name="resnet50").identity() == Network(name="resnet50", pretrained=True).identity() == "resnet50"
    assert tiny().identity() == "small_preact_resnet(depths=[1, 1, 1], widths=[8, 8, 12])"


# --- what can be wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "right"), [
    ("resnet5o", "resnet50"), ("preact_resnet18", "cifar_preact_resnet18"), ("vit_tiny_patch16_222", "patch16_224"),
    ("resnet5o.a1_in1k", "resnet50"), ("qqqqxxxxzzzz", "cifar_densenet121")])
def test_unknown_name(name: str, right: str) -> None:
    message = problems(name=name)[0]
    assert name in message and right in message
    with pytest.raises(UserError, match=right):
        Network(name=name).build(10, 3, 32)


@pytest.mark.parametrize(
    "name", ["resnet50", "resnet50.a1_in1k", "tf_efficientnet_b0_ns", "hf-hub:timm/resnet18", "???"])
def test_known_names(name: str) -> None:
    assert problems(name=name) == []


def test_the_light_list_of_names_is_timms() -> None:
    import timm

    from src.models.classifiers.names import known_names

    assert set(known_names()) == set(timm.list_models())


def test_options_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"resnet18.*depthz.*unexpected keyword"):
        Network(name="resnet18", options={"depthz": 3}).build(10, 3, 32)
    with pytest.raises(UserError, match=r"widths"):
        Network(name="small_preact_resnet", options={"widths": [4, 4], "depths": [1, 1, 1]}).build(10, 3, 32)
    assert "the data decides" in problems(name="resnet18", options={"num_classes": 3})[0]


def test_a_network_that_cannot_serve_the_data() -> None:
    with pytest.raises(UserError, match=r"inception_v3.*cannot take pictures of 3 x 32 x 32"):
        Network(name="inception_v3").build(10, 3, 32)
    with pytest.raises(UserError, match="not 10 logits"):
        Network(name="resnet18", options={"features_only": True}).build(10, 3, 64)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    assert "nobody publishes" in problems(name="cifar_densenet121", pretrained=True)[0]
    assert "no such file" in problems(name="resnet18", pretrained="nowhere.safetensors")[0]
    assert "config.json" in problems(name="resnet18", pretrained=str(tmp_path))[0]
    assert "config.json" in problems(name=f"local-dir:{tmp_path}")[0]
    with pytest.raises(UserError, match="timm has no weights"):
        Network(name="cifar_densenet121", pretrained=True).build(10, 3, 32)
    with pytest.raises(UserError, match=r"resnet18.a1_in1j.*Did you mean a1_in1k"):
        Network(name="resnet18.a1_in1j", pretrained=True).build(10, 3, 32)


def test_published_weights_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError) as told:
        Network(name="resnet18", pretrained=True).build(10, 3, 32)
    assert "hf download timm/resnet18.a1_in1k" in str(told.value)
    assert "model.pretrained=<folder>" in str(told.value)


@pytest.mark.parametrize(("capability", "width", "refused"), [
    ("AVX2", 4, True), ("AVX2", 8, False), ("AVX512", 4, False)])
def test_what_a_processor_cannot_train_is_refused(capability: str, width: int, refused: bool, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    network = Network(name="small_preact_resnet", options={"widths": [width, 8], "depths": [1, 1]})
    with pytest.raises(UserError, match=r"4 channels before stages.1.0.shortcut") if refused else nullcontext():
        network.build(5, 3, 32)
