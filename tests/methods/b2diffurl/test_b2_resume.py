"""Trap 9: a run that was ended anywhere and continued equals one that was not, bit for bit."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from src.core import checkpoint, signals
from src.core.states import KEPT
from src.data.prompts import PromptSet
from src.methods.b2diffurl import sampling, updating
from src.methods.b2diffurl.evaluating import Evaluating
from src.methods.b2diffurl.module import B2DiffuRL
from src.methods.b2diffurl.pictures import Gallery
from src.rewards.http import HttpReward
from src.rewards.mix import MixReward
from tests.methods.b2diffurl.conftest import Runner, summary
from tests.methods.b2diffurl.rewards import Redness
from tests.plain import plainly


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "seconds" not in name and name not in ("command", "status")}


def outcome(folder: Path) -> dict[str, Any]:
    """Weights, optimiser, history, queries, every row of metrics.csv, every figure; without seconds."""
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    own = stored["b2diffurl"]
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = [untimed(row) for row in csv.DictReader(stream)]
    return {
        "weights": plainly(stored["state_dict"]), "optimizer": plainly(stored["optimizer_states"]),
        "steps": stored["global_step"], "history": own["history"], "queries": own["queries"],
        "evaluations": own["clock"]["evaluations"], "rows": rows, "figures": untimed(summary(folder)),
        "export": plainly(load_file(folder / "export" / "pytorch_lora_weights.safetensors")),
        "kept": {file.name: plainly(load_file(file)) for file in (folder / KEPT).iterdir()},
    }


@pytest.fixture(scope="module")
def whole(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of an uninterrupted run."""
    runner = Runner(sd_folder, tmp_path_factory.mktemp("whole"))
    assert runner() == 0
    found = outcome(runner.folder)
    assert found["queries"] == 18 and len(found["rows"]) == 5 and found["steps"] == 6
    assert list(found["kept"]) == ["stage_0002.safetensors"]
    return found


def stopped() -> None:
    raise signals.StopRun(signal.SIGTERM)


def ctrl_c_twice() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def ctrl_c_once() -> None:
    signal.raise_signal(signal.SIGINT)


def crashed() -> None:
    raise RuntimeError("the power went")


class Breaker:
    """Calls `end` once, before (or after) the n-th call of `owner.name` since the given stage began."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, *, stage: int, nth: int,
                 end: Callable[[], None], after: bool = False) -> None:
        self.stage, self.calls, self.done = -1, 0, False
        collect = B2DiffuRL.collect

        def watched(module: B2DiffuRL, number: int) -> Any:
            self.stage, self.calls = number, 0
            return collect(module, number)

        patch.setattr(B2DiffuRL, "collect", watched)
        original = getattr(owner, name)

        def breaking(*args: Any, **options: Any) -> Any:
            self.calls += 1
            due = self.stage == stage and self.calls == nth and not self.done
            self.done |= due
            if due and not after:
                end()
            result = original(*args, **options)
            if due and after:
                end()
            return result

        patch.setattr(owner, name, breaking)


PLACES = {
    "sampling the first stage": (sampling._Walk, "step", {"stage": 0, "nth": 3, "end": stopped}, 143),
    "sampling": (sampling._Walk, "step", {"stage": 1, "nth": 2, "end": ctrl_c_once}, 130),
    "scoring": (Redness, "__call__", {"stage": 1, "nth": 1, "end": ctrl_c_twice}, 130),
    "an update": (updating, "policy", {"stage": 2, "nth": 3, "end": crashed}, 1),
    "between two updates": (B2DiffuRL, "training_step", {"stage": 2, "nth": 2, "end": ctrl_c_once}, 130),
    "an evaluation on the way": (Evaluating, "evaluate", {"stage": 1, "nth": 2, "end": stopped}, 143),
    "a stage's end": (B2DiffuRL, "on_train_epoch_end", {"stage": 1, "nth": 1, "end": stopped, "after": True}, 143),
    "saving": (checkpoint, "put_in_place", {"stage": 1, "nth": 1, "end": crashed}, 1),
    "after saving": (checkpoint, "put_in_place", {"stage": 0, "nth": 1, "end": ctrl_c_once, "after": True}, 130),
    "the last evaluation": (Evaluating, "evaluate", {"stage": 2, "nth": 2, "end": stopped}, 143),
}


OFTEN = ("sampling", "saving", "a stage's end")  # the other places are slow tests


@pytest.mark.parametrize("place", [place if place in OFTEN else pytest.param(place, marks=pytest.mark.slow)
                                   for place in PLACES])
def test_ended_anywhere_and_continued_equals_uninterrupted(runner, whole, monkeypatch, place: str) -> None:
    owner, name, options, code = PLACES[place]
    breaker = Breaker(monkeypatch, owner, name, **options)
    assert runner() == code and breaker.done
    folder = runner.folder
    assert summary(folder)["status"] == ("failed" if code == 1 else "interrupted")
    assert runner(f"resume={folder}") == 0
    assert runner.folder == folder and summary(folder)["status"] == "finished"
    found = outcome(folder)
    for key, value in whole.items():
        assert found[key] == value, key


def test_another_seed_is_another_run(runner, whole) -> None:
    assert runner("seed=1") == 0
    found = outcome(runner.folder)
    assert found["weights"] != whole["weights"] and found["history"] != whole["history"]
    before = {name: value for name, value in whole["figures"].items() if name.endswith("_before")}
    assert before and before == {name: found["figures"][name] for name in before}  # compared on the same pictures


def test_past_rewards_of_another_reward_or_of_other_prompts_are_not_mixed_in(loaded) -> None:
    module, again, other, renamed = (loaded() for _ in range(4))
    other.prompts = PromptSet(train=["a red cat", "a blue dog", "a red dog"])
    renamed.reward = Redness(name="rouge")
    module.on_train_start()
    module.history_of_rewards.add(torch.tensor([0, 2]), torch.tensor([0.5, 0.7]))
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    for one in (again, other, renamed):
        one.on_load_checkpoint(checkpoint)
    again.on_train_start()
    assert again.history_of_rewards.state_dict() == module.history_of_rewards.state_dict()
    for one in (other, renamed):
        with pytest.warns(UserWarning, match=r"of redness \(a formula\) on prompts \w+, and this .* begin anew"):
            one.on_train_start()
        assert not one.history_of_rewards.stages and one.history_of_rewards.of == one.scored()


@pytest.mark.parametrize(("change", "told"), [
    ({"steps": 5}, "method.steps"), ({"eta": 0.5}, "method.eta"), ({"guidance_scale": 2.0}, "method.guidance_scale"),
    ({"guidance_rescale": 0.5}, "method.guidance_rescale"), ({"eval_prompts": 1}, "method.eval_prompts"),
    ({"eval_images": 3}, "method.eval_images"), ({"lr": 1.0}, None), ({"dtype": "bfloat16"}, None)])
def test_a_run_says_what_its_figures_are_made_with(make, change: dict[str, Any], told: str | None) -> None:
    """What core compares before it goes on with a run."""
    before, now = make().evaluated_as(), make(**change).evaluated_as()
    assert [key for key in before if before[key] != now[key]] == ([told] if told else [])


def test_other_prompts_are_another_evaluation_and_another_reward_is_not(make) -> None:
    module, other = make(), make()
    before = module.evaluated_as()
    other.prompts = PromptSet(train=module.prompts.train, heldout=["a cat", "two blue dogs"])
    assert other.evaluated_as()["data"] != before["data"]
    module.scorers = {name: one for name, one in module.scorers.items() if name != "redness"} | {"rouge": Redness()}
    now = module.evaluated_as()
    assert now.keys() != before.keys() and all(now[key] == before[key] for key in now.keys() & before.keys())


@pytest.mark.parametrize("mixed", [False, True])
def test_a_server_of_rewards_may_move(make, mixed: bool) -> None:
    module, said = make(), []
    for host in ("node1", "node2"):
        scorer = HttpReward(url=f"http://{host}:8000")
        module.scorers["served"] = MixReward(parts={"clip": 1.0}, rewards={"clip": scorer}) if mixed else scorer
        said.append(module.evaluated_as())
    assert said[0] == said[1] and "http (" in said[0]["scorers.served"]


def test_the_sheet_leaves_out_pictures_of_other_prompts(make, tmp_path, capsys) -> None:
    """Of a run that was begun by a version which went on with other prompts."""
    for label, count in (("before", 1), ("after", 2)):
        Gallery(np.zeros((count, 8, 8, 3), np.uint8), [f"{label} {place}" for place in range(count)],
                ["eval"] * count, ["1.00"] * count, None).save(tmp_path / "samples" / f"{label}.npz")
    make().report(tmp_path)
    assert (tmp_path / "samples" / "before_after.png").is_file()
    assert "leaves out the pictures before training: they are of other prompts" in capsys.readouterr().out
