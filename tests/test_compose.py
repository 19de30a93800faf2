"""Every option of every config group composes, and everything it names exists and takes the keys it is given."""

from __future__ import annotations

import pytest

from src.core.config.compose import compose, plain
from tests.composing import ROOT, problems

# What an option needs beside it to be a complete run.
COMPANIONS = {
    "data=prompt_file": ["data.train=[a cat]"],
    "experiment=pskd/imagenet_resnet152": ["data.root=somewhere"],
    "data=imagefolder": ["data.root=somewhere"],
    "data=imagenet": ["data.root=somewhere"],
    "data=tiny_imagenet": ["data.root=somewhere"],
    "data=none": ["method=tiny_unet"],
    "model=none": ["method=tiny_unet"],
    "reward=none": ["method=tiny_unet"],
    "objective=none": ["method=tiny_unet"],
    "reward=mix": ["reward.parts={clip:1.0,verifier:{weight:0.5,mean:0.5,std:0.1}}"],
    "reward=callable": ["reward.target=my_module.my_function"],
    "model=timm": ["model.name=resnet50", "method=tiny_unet"],
}
# A classifier is not for the default method, which asks its model for what only a pipeline has.
for file in (ROOT / "conf" / "model").glob("*.yaml"):
    if ".Network" in file.read_text():
        COMPANIONS.setdefault(f"model={file.stem}", ["method=tiny_unet"])
# A recipe is a classifier's, pulled in by its data.
for file in (ROOT / "conf" / "recipe").glob("*.yaml"):
    COMPANIONS[f"data={file.stem}"] = [*COMPANIONS.get(f"data={file.stem}", []), "method=pskd"]
# Folders whose files are pulled in by the choices in other groups.
BY_CHOICE = ("debug/tiny/", "preset/tuned/", "recipe/", "choice/", "measure/", "memory/24gb/")


def every_option() -> list[list[str]]:
    """`group=option` for each file of the two config roots, and each method through debug=tiny."""
    options = []
    for root in (ROOT / "conf", ROOT / "experiments"):
        for file in sorted(root.rglob("*.yaml")):
            name = file.relative_to(root).with_suffix("").as_posix()
            group, _, option = name.rpartition("/") if name.startswith("hydra/") else name.partition("/")
            if option and not f"{group}/{option}".startswith(BY_CHOICE):
                options.append([f"{group}={option}", *COMPANIONS.get(f"{group}={option}", [])])
    methods = [file.stem for file in sorted((ROOT / "conf" / "method").glob("*.yaml"))]
    tuned = ROOT / "conf" / "preset" / "tuned"
    return [*options, *([f"method={method}", "debug=tiny"] for method in methods),
            *([f"method={file.parent.name}", f"model={file.stem}"] for file in sorted(tuned.rglob("*.yaml")))]


OPTIONS = every_option()


@pytest.fixture(scope="module")
def answers() -> tuple[list[list[str]], list[str]]:
    """The problems of each entry of OPTIONS, and the heavy modules that were imported on the way."""
    return problems(OPTIONS)


@pytest.mark.parametrize("place", range(len(OPTIONS)), ids=[" ".join(overrides) for overrides in OPTIONS])
def test_every_option_of_every_group_composes(answers, place: int) -> None:
    assert answers[0][place] == []


def test_composing_and_checking_import_nothing_heavy(answers) -> None:
    assert answers[1] == []


def test_no_group_was_missed() -> None:
    groups = {overrides[0].split("=")[0] for overrides in OPTIONS}
    assert groups >= {"method", "model", "data", "reward", "scorers", "objective", "trainer", "logger", "debug"}
    assert len(OPTIONS) > 35


@pytest.mark.parametrize("method", ["b2diffurl", "ddpo", "dpok", "d3po"])
def test_the_reference_preset_is_the_method_without_what_suits_a_model(method: str) -> None:
    tuned, reference, elsewhere = (
        plain(compose([f"method={method}", *more]).cfg) for more in ([], ["preset=reference"], ["model=sd15"]))
    settings = [{name: value for name, value in cfg["method"].items() if not isinstance(value, dict)}
                for cfg in (tuned, reference, elsewhere)]
    assert settings[1] == settings[2] != settings[0]
    assert reference["objective"] == elsewhere["objective"]
    assert tuned["objective"]["weighting"] == "sigma" != reference["objective"]["weighting"]


def test_folders_of_pictures_get_the_recipe_of_imagenet_and_small_pictures_do_not() -> None:
    own, imagenet, cifar = (plain(compose([f"data={data}", "data.root=x", "method=pskd"]).cfg)["method"]
                            for data in ("imagefolder", "imagenet", "cifar10"))
    names = ("epochs", "batch_size", "milestones", "weight_decay")
    assert [own[name] for name in names] == [imagenet[name] for name in names] == [90, 256, [0.3333, 0.6667], 1.0e-4]
    assert [cifar[name] for name in names] == [300, 128, [0.5, 0.75], 5.0e-4]


@pytest.mark.parametrize(("method", "length"), [("b2diffurl", "stages"), ("d3po", "stages"), ("pskd", "epochs")])
def test_a_tiny_run_is_as_long_as_its_method_is_told(method: str, length: str) -> None:
    cfg = plain(compose([f"method={method}", "debug=tiny", f"method.{length}=3"]).cfg)
    assert cfg["trainer"]["max_epochs"] == cfg["method"][length] == 3
    assert plain(compose([f"method={method}", "debug=tiny"]).cfg)["trainer"]["max_epochs"] == 2
