"""mode=protocol from the command line to its table, on a stand-in for SD 1.5."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from src.core import states
from src.methods.b2diffurl.evaluating import Evaluating
from src.methods.b2diffurl.protocol import grid
from src.methods.b2diffurl.protocol.outcome import Store
from tests.methods.b2diffurl.conftest import Runner, summary

HEAD = ["run", "state", "stage", "prompts", "cost/reward_queries"]
SCORES = {"judge", "redness", "all_right"}


@pytest.fixture(scope="module")
def runner(sd_folder: Path, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(sd_folder, tmp_path_factory.mktemp("protocol"))


@pytest.fixture(scope="module")
def trained(runner: Runner) -> Path:
    """Two stages; weights are kept after each, the last one is the checkpoint's too."""
    assert runner("method.stages=2", "method.eval_every=1") == 0
    return runner.folder


def table(folder: Path) -> list[dict[str, Any]]:
    with (folder / "protocol.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def measured(clip_folder: Path) -> list[str]:
    return ["~measures.lpips", "~measures.inception", f"measures.clip.path={clip_folder}"]


@pytest.fixture(scope="module")
def protocol(runner: Runner, trained: Path, clip_folder: Path) -> Path:
    folder = runner.output / "first"
    assert runner("mode=protocol", f"ckpt={trained}", f"run_dir={folder}", *measured(clip_folder)) == 0
    return folder


def test_the_kept_weights_are_those_of_the_stage(trained: Path) -> None:
    kept = sorted((trained / states.KEPT).iterdir())
    assert [file.name for file in kept] == [f"stage_000{stage}.safetensors" for stage in (1, 2)]
    last = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    final, earlier = load_file(kept[-1]), load_file(kept[0])
    assert final.keys() == last.keys() and all(torch.equal(final[name], last[name]) for name in last)
    assert any(not torch.equal(final[name], earlier[name]) for name in last)
    assert kept[0].stat().st_mode == (trained / "config.yaml").stat().st_mode


def test_kept_weights_draw_pictures_and_are_no_checkpoint(runner: Runner, trained: Path, capsys) -> None:
    kept, folder = trained / states.KEPT / "stage_0001.safetensors", runner.output / "drawn"
    given = [f"ckpt={kept}", f"run_dir={folder}"]
    assert runner("mode=sample", "prompts=['a red circle above a blue square']", *given) == 0
    assert list((folder / "samples").iterdir())
    assert runner("mode=eval", *given) == 2
    told = capsys.readouterr().err
    assert "weights kept during training are not a checkpoint. Use mode=protocol to evaluate them" in told


def test_base_and_final_have_the_figures_that_the_run_had(trained: Path, protocol: Path) -> None:
    rows, run = table(protocol), summary(trained)
    assert [row["state"] for row in rows] == [s for s in ("base", "stage 1", "final") for _ in "ab"]
    assert [row["cost/reward_queries"] for row in rows[::2]] == ["0.0", "6.0", "12.0"]
    assert list(rows[0])[: len(HEAD)] == HEAD and rows[-1]["stage"] == "2"
    for row, end in ((rows[0], "before"), (rows[1], "before"), (rows[-2], "after"), (rows[-1], "after")):
        for name in SCORES:
            assert float(row[name]) == pytest.approx(run[f"{row['prompts']}/{name}_{end}"], rel=1e-5)
        split = "" if row["prompts"] == "eval" else "_heldout"
        assert float(row["latent_distance"]) == pytest.approx(run[f"diversity/latent{split}_{end}"], rel=1e-5)
    kl = [float(row["kl_base"]) for row in rows]
    assert kl[:2] == [0.0, 0.0] and min(kl[2:]) > 0
    assert all(float(row["clip_vendi"]) >= 1 for row in rows)


def test_everything_is_drawn_and_told(protocol: Path, trained: Path) -> None:
    for name in ("protocol.json", "plots/protocol.png", "plots/tradeoff.png", "samples/protocol.png"):
        assert (protocol / name).stat().st_size > 0, name
    found = json.loads((protocol / "protocol.json").read_text())
    assert len(found["rows"]) == 6 and found["settings"]["eval_images"] == 2
    told = summary(protocol)
    assert told["status"] == "finished" and told["eval/kl_base_before"] == 0 < told["eval/kl_base_after"]


def test_states_that_are_known_are_not_evaluated_again(runner, trained, protocol, clip_folder, monkeypatch) -> None:
    again, drawn = runner.output / "again", []
    evaluate = Evaluating.evaluate
    monkeypatch.setattr(Evaluating, "evaluate", lambda module, task: (drawn.append(1), evaluate(module, task))[1])
    options = ["mode=protocol", f"ckpt=[base,{trained}]", *measured(clip_folder)]
    assert runner(*options, f"run_dir={again}") == 0
    assert not drawn and (again / "protocol.csv").read_text() == (protocol / "protocol.csv").read_text()
    (file,) = trained.glob("protocol/*/stage_0001.json")
    file.unlink()  # as if the protocol had been interrupted there
    assert runner(*options, f"run_dir={runner.output / 'third'}") == 0
    assert len(drawn) == 2 and file.is_file()  # a batch of each list of prompts


@pytest.mark.slow
def test_methods_side_by_side(runner: Runner, trained: Path, protocol: Path, capsys) -> None:
    assert runner("seed=1", "method.stages=1", "objective=dpok", "~callbacks.keep") == 0
    other, folder = runner.folder, runner.output / "both"
    assert not (other / states.KEPT).exists()  # as in runs that were made before weights were kept
    assert runner("mode=protocol", f"ckpt=[{trained},{other}]", "measures=none", f"run_dir={folder}") == 0
    names = [(row["run"], row["state"]) for row in table(folder)[::2]]
    assert len(names) == 4 and names[0] == ("", "base")
    assert set(names[1:]) == {("b2diffurl seed 0", "stage 1"), ("b2diffurl seed 0", "final"),
                              ("b2diffurl seed 1", "final")}
    assert {file.name for file in (folder / "samples").iterdir()} == {
        "comparison.png", "protocol_b2diffurl_seed_0.png", "protocol_b2diffurl_seed_1.png"}
    assert "held-out prompts" in capsys.readouterr().out


@pytest.mark.parametrize(("overrides", "told"), [
    (["ckpt=[]"], "evaluates finished runs"),
    (["ckpt=null"], "evaluates finished runs"),
    (["ckpt=/no/run"], "no such file or run folder"),
    (["ckpt={trained}", "method.eval_images=1"], "compares the pictures of one prompt"),
    (["ckpt={trained}", "model.lora_rank=8"], "adapter=lora r4"),
    (["ckpt={trained}", "model.lora_alpha=9"], "was trained with model.lora_alpha=None, here it is 9"),
    (["ckpt={trained}", "measures.clip.path=/no/clip"], "measures.clip.path=/no/clip"),
    (["ckpt=base", "method=pskd", "data=emoji", "model=small_preact_resnet"], "compares pictures that models draw"),
    (["mode=eval", "ckpt=[{trained}]"], "only mode=protocol takes several"),
])
def test_what_cannot_be_compared_is_told_early(runner, trained, clip_folder, capsys, overrides, told) -> None:
    folder = runner.output / "refused"
    given = [text.format(trained=trained) for text in overrides]
    if "method=pskd" not in given:
        own = [text for text in measured(clip_folder) if text.split("=")[0] not in given[-1]]
        given = own + given
    assert runner("mode=protocol", f"run_dir={folder}", *given) == 2
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said and not folder.exists()


def test_what_runs_are_evaluated_with_does_not_hang_on_their_order(runner, trained, protocol, clip_folder, capsys):
    """A run with another sampler and other prompts: one line each, until one is typed for all of them."""
    other, options = runner.output / "other", ["mode=protocol", *measured(clip_folder)]
    shutil.copytree(trained, other)
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["method"] |= {"steps": 5, "lr": 1.0}
    config["data"]["heldout"].append("three red dogs")
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    with (other / "overrides.txt").open("a") as stream:
        stream.write("method.steps=5\ndata.heldout=[a cat,two red dogs,three red dogs]\n")
    for runs, here, made in ((f"{trained},{other}", 4, 5), (f"{other},{trained}", 5, 4)):
        assert runner(*options, f"ckpt=[{runs}]") == 2
        told = capsys.readouterr().err
        assert f"method.steps={here}: {other if made == 5 else trained} was made with method.steps={made}" in told
        assert "data.heldout=" in told and "method.lr" not in told and len(told.splitlines()) == 3
    typed = ["method.steps=4", "data.heldout=[a cat,two red dogs]"]
    assert runner(*options, f"ckpt=[{other},{trained}]", f"run_dir={runner.output / 'alike'}", *typed) == 0


@pytest.mark.parametrize(("change", "same"), [
    ({"steps": 5}, False), ({"eta": 0.5}, False), ({"guidance_scale": 2.0}, False), ({"guidance_rescale": 0.5}, False),
    ({"eval_prompts": 1}, False), ({"eval_images": 3}, False), ({"dtype": "bfloat16"}, False), ({"lr": 1.0}, True),
    ({"rollout_batch": 1}, True)])
def test_figures_are_found_again_for_equal_settings_alone(make, change: dict[str, Any], same: bool) -> None:
    """What shapes pictures or figures counts, what shapes training does not."""
    assert (Store(make(**change).settings, []).folder == Store(make().settings, []).folder) == same


def test_of_many_states_evenly_spread_ones_are_shown_the_first_and_the_last_among_them() -> None:
    assert grid._spread(list(range(9)), 10) == list(range(9))
    shown = grid._spread(list(range(28)), 10)
    assert shown == list(range(0, 28, 3))


def test_kl_of_a_whole_unet_is_measured_by_exchanging_its_weights(loaded) -> None:
    """The same change made through an adapter and in the UNet's own weights: the same KL, and weights that stay."""
    adapter, whole = loaded(lora_rank=4), loaded(lora_rank=0)
    small, large = adapter.model.trainable_state(), whole.model.trainable_state()
    noise = torch.Generator().manual_seed(0)
    for name in [name for name in small if "lora_B" in name]:
        small[name] = torch.randn(small[name].shape, generator=noise) / 10
        large[name.replace("lora_B.", "")] += small[name] @ small[name.replace("lora_B", "lora_A")]
    found = []
    for module, state in ((adapter, small), (whole, large)):
        module.untrained = module.model.trainable_state()
        assert module.kl_to_base(torch.arange(2), 2).abs().max() == 0
        module.model.load_trainable_state(state)
        found.append(module.kl_to_base(torch.arange(2), 2))
        assert all(torch.equal(value, state[name]) for name, value in module.model.trainable_state().items())
        assert module.model.evaluations == 0
    assert len(found[0]) == 4 and found[0].min() > 0
    torch.testing.assert_close(found[0], found[1], rtol=1e-2, atol=1e-7)
