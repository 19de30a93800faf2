"""Any function by its import path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.core.errors import UserError
from src.rewards.base import Reward
from src.rewards.callable import CallableReward
from src.rewards.callables import target_problem
from src.rewards.guard import checked_scores

IMAGES, PROMPTS = torch.rand(3, 3, 4, 4), ["a", "bb", "ccc"]
SOURCE = '''
import numpy as np
import torch

def redness(images, prompts, strength=1.0):
    return strength * images[:, 0].mean((1, 2))

def lengths(images, prompts):
    return [len(prompt) for prompt in prompts]

def wrong(images, prompts):
    return images.mean()

if True:
    hidden = redness

class Judge:
    def __init__(self, bias):
        self.bias, self.where = bias, None

    def load(self, device):
        self.where = device

    def __call__(self, images, prompts):
        return images.mean((1, 2, 3)) + self.bias

class Strict(Judge):
    pass

NUMBER = 3

def blind(images):
    return images.mean((1, 2, 3))

def ddpo(images, prompts, metadata):
    return images.mean((1, 2, 3)), {}

def open_to_all(images, prompts, *rest, strict, **others):
    return images.mean((1, 2, 3))

def texts(images, prompts):
    return ["0.5" for prompt in prompts]

def complexes(images, prompts):
    return np.ones(len(prompts), dtype=np.complex64)

def turned(images, prompts):
    return images.mean((1, 2, 3)).to(torch.complex64)

def with_info(images, prompts):
    return images.mean((1, 2, 3)), {}

def scalars(images, prompts):
    return [torch.tensor(1.0) for prompt in prompts]

def in_place(images, prompts):
    return images.sub_(0.5).div_(0.5).mean((1, 2, 3))
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_scores.py").write_text(SOURCE)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("from .inner import shade\n")
    (tmp_path / "my_package" / "inner.py").write_text("def shade(images, prompts):\n    return 1\n")
    (tmp_path / "needy.py").write_text("import no_such_package\ndef f(images, prompts): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_scores", "my_package", "my_package.inner", "needy"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_functions_and_classes() -> None:
    plain = CallableReward(target="my_scores.redness").load("cpu")
    assert isinstance(plain, Reward) and torch.equal(plain(IMAGES, PROMPTS), IMAGES[:, 0].mean((1, 2)))
    strong = CallableReward(target="my_scores.redness", options={"strength": 2.0}).load("cpu")
    assert torch.equal(strong(IMAGES, PROMPTS), 2 * plain(IMAGES, PROMPTS))
    assert CallableReward(target="my_scores.lengths").load("cpu")(IMAGES, PROMPTS).tolist() == [1, 2, 3]
    assert strong.identity() == "callable (my_scores.redness, strength=2.0)"  # another strength is another scale
    judge = CallableReward(target="my_scores.Judge", options={"bias": 5.0}).load("cpu")
    torch.testing.assert_close(judge(IMAGES, PROMPTS), IMAGES.mean((1, 2, 3)) + 5)
    assert judge._score.where == torch.device("cpu")


def test_a_function_that_works_in_place_leaves_the_pictures_to_the_others() -> None:
    images = IMAGES.clone()
    CallableReward(target="my_scores.in_place").load("cpu")(images, PROMPTS)
    assert torch.equal(images, IMAGES)


def test_the_guard_looks_at_what_comes_back(tmp_path: Path) -> None:
    scalars = checked_scores(CallableReward(target="my_scores.scalars").load("cpu"), IMAGES, PROMPTS, tmp_path)
    assert scalars.tolist() == [1, 1, 1]
    for name, told in {"wrong": r"a tensor of shape \(\)", "texts": "a list of str", "complexes": "a ndarray",
                       "turned": "a complex tensor", "with_info": "a tuple of Tensor and dict"}.items():
        with pytest.raises(UserError, match=f"returned {told}.* for 3 pictures.*Return one float per picture"):
            checked_scores(CallableReward(target=f"my_scores.{name}").load("cpu"), IMAGES, PROMPTS, tmp_path)


@pytest.mark.parametrize("target", ["my_scores.redness", "my_scores.hidden", "my_package.shade", "my_scores.Judge",
                                    "my_package.inner.shade", "torch.mean", "torch.nn.functional.relu", "math.sqrt",
                                    "src.rewards.jpeg.JpegReward"])
def test_what_is_there_is_found(target: str) -> None:
    assert target_problem(target) is None


@pytest.mark.parametrize(("target", "told"), [
    ("my_scores.rednes", "did you mean redness"), ("my_score.redness", "did you mean my_scores"),
    ("my_package.iner.shade", "did you mean inner"), ("my_package.inner.shad", "did you mean shade"),
    ("my_scores.NUMBER", "is 3, and should be called"), ("my_scores.blind", "takes 1 argument"),
    ("redness", "no import path"), ("my scores.redness", "no import path"), ("no_such_thing.f", "there is no module"),
])
def test_a_wrong_path_and_its_nearest_name(target: str, told: str) -> None:
    assert told in target_problem(target).replace("Did", "did")
    with pytest.raises(UserError, match="(?i)" + told):
        CallableReward(target=target).load("cpu")


@pytest.mark.parametrize(("target", "options", "told"), [
    ("ddpo", {}, "reward.target=my_scores.ddpo: also needs metadata. Give options={metadata:...}"),
    ("ddpo", {"metadata": 1}, None), ("redness", {"strength": 2}, None),
    ("redness", {"strenght": 2}, "takes no option strenght. Did you mean strength?"),
    ("lengths", {"strength": 2}, "takes no option strength. Leave options out"),
    ("redness", {"images": 2}, "takes no option images"),
    ("Judge", {"bias": 1}, None), ("Judge", {}, "also needs bias"), ("Judge", {"bias": 1, "bas": 1}, "mean bias?"),
    ("open_to_all", {"strict": 1, "any": 2}, None), ("open_to_all", {}, "also needs strict"),
])
def test_arguments_are_read_off_the_source(target: str, options: dict, told: str | None) -> None:
    problem = target_problem(f"my_scores.{target}", options=options)
    assert problem is None if told is None else told in problem


def test_what_only_importing_tells() -> None:
    with pytest.raises(UserError, match="no_such_package"):
        CallableReward(target="needy.f").load("cpu")
    with pytest.raises(UserError, match="does not take them"):
        CallableReward(target="my_scores.Strict", options={"bas": 1}).load("cpu")
    with pytest.raises(UserError, match=r"reward\.target=null"):
        CallableReward(target=None).load("cpu")


def test_looking_imports_nothing() -> None:
    code = ("import sys; from src.rewards.callables import target_problem; target_problem('torch.mean'); "
            "sys.exit('torch' in sys.modules)")
    root = str(Path(__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0
