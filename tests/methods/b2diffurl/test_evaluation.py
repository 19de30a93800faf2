"""Evaluation: the same pictures-to-be for every method and batch, figures by hand, the sheet and the plots."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from src.methods.b2diffurl.diversity import pairwise_distance
from src.methods.b2diffurl.evaluation import Tally, Task, share_of, tasks
from src.methods.b2diffurl.figures import policy_figures, policy_sums
from src.methods.b2diffurl.pictures import PER_SPLIT, Gallery, draw_sheet, gallery_of, title
from src.methods.b2diffurl.plots import draw_plots, read_columns
from tests.methods.b2diffurl.conftest import trainer_for

pytestmark = pytest.mark.draws

PNG = b"\x89PNG"


# --- which pictures --------------------------------------------------------------------------------------------------


def triples(plan: list[Task]) -> list[tuple[str, int, int]]:
    return [(task.split, p, s) for task in plan
            for p, s in zip(task.prompt_index.tolist(), task.slots.tolist(), strict=True)]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_same_slots_whatever_the_batch(batch: int) -> None:
    plan = tasks(5, 4, prompts=3, images=2, batch=batch)
    assert all(1 <= len(task.slots) <= batch for task in plan)
    expected = [("eval", p, p + 9 * image) for image in range(2) for p in (0, 1, 2)]
    expected += [("heldout", p, p + 9 * image) for image in range(2) for p in (5, 6, 7)]
    assert triples(plan) == expected


def test_no_two_pictures_share_a_slot_and_fewer_are_a_subset_of_more() -> None:
    many = triples(tasks(5, 4, prompts=99, images=6, batch=7))
    assert len({slot for *_, slot in many}) == len(many) == 9 * 6
    assert set(triples(tasks(5, 4, prompts=3, images=2, batch=4))) < set(many)


def test_without_held_out_prompts_there_is_one_split() -> None:
    assert {task.split for task in tasks(5, 0, prompts=3, images=2, batch=4)} == {"eval"}


# --- figures ---------------------------------------------------------------------------------------------------------


def slow_distance(features: Tensor, groups: Tensor) -> float:
    means = []
    for group in groups.unique():
        members = features[groups == group].double().flatten(1)
        distances = [(members[i] - members[j]).norm().item() for i in range(len(members)) for j in range(i)]
        means.append(sum(distances) / len(distances))
    return sum(means) / len(means) / math.sqrt(features[0].numel())


@pytest.mark.parametrize("members", [2, 5, 40])
def test_pairwise_distance_against_a_double_loop(members: int) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(3).repeat(members)[torch.randperm(3 * members, generator=generator)]
    features = 3 * torch.randn(3 * members, 4, 5, generator=generator) + 100
    assert pairwise_distance(features, groups) == pytest.approx(slow_distance(features, groups), rel=1e-4)


def test_pairwise_distance_of_known_pictures() -> None:
    groups = torch.tensor([0, 0, 1, 1])
    assert pairwise_distance(torch.ones(4, 2, 3), groups) == 0
    same = torch.full((40, 4), 30.1)
    assert pairwise_distance(same, torch.zeros(40, dtype=torch.long)) == 0
    noise = torch.randn(400, 500, generator=torch.Generator().manual_seed(1))
    assert pairwise_distance(noise, torch.arange(4).repeat(100)) == pytest.approx(math.sqrt(2), rel=0.02)


def filled_tally() -> Tally:
    """Two training prompts and one held out, two pictures each, in batches that do not respect the splits' sizes."""
    tally = Tally()
    for split, index, scores in (("eval", [0, 1], [1.0, 3.0]), ("eval", [0, 1], [5.0, 7.0]), ("heldout", [2], [10.0]),
                                 ("heldout", [2], [20.0])):
        index = torch.tensor(index)
        latents = torch.tensor(scores)[:, None, None, None].expand(-1, 4, 2, 2)
        scores = {"clip": torch.tensor(scores), "all_right": (torch.tensor(scores) > 4).double()}
        tally.add(Task(split, index, index), latents, torch.rand(len(index), 3, 8, 8), scores)
    return tally


def test_figures_are_means_of_each_split() -> None:
    figures = filled_tally().figures()
    assert figures == pytest.approx({"eval/clip": 4.0, "eval/all_right": 0.5, "diversity/latent": 4.0,
                                     "heldout/clip": 15.0, "heldout/all_right": 1.0, "diversity/latent_heldout": 10.0,
                                     "diversity/vendi": 1.0, "diversity/vendi_heldout": 1.0})


def test_pictures_are_rounded_to_bytes_not_cut() -> None:
    tally, index = Tally(), torch.tensor([0])
    picture = torch.tensor([0.0, 0.9, 1.4, 1.6, 254.4, 254.6, 255.0, 127.6]).expand(1, 3, 8, 8) / 255
    tally.add(Task("eval", index, index), torch.zeros(1, 4, 2, 2), picture, {})
    assert tally.pictures[0][0, 0, 0].tolist() == [0, 1, 1, 2, 254, 255, 255, 128]


def test_one_picture_a_prompt_has_no_diversity() -> None:
    tally = Tally()
    index = torch.tensor([0, 1])
    tally.add(Task("eval", index, index), torch.rand(2, 4, 2, 2), torch.rand(2, 3, 8, 8), {"clip": torch.ones(2)})
    assert tally.figures() == {"eval/clip": 1.0}


def part(loss: float, deviation: float, first: bool, pairs: int) -> dict:
    return {"policy/loss": torch.tensor(loss), "policy/ratio_max_dev": torch.tensor(deviation), "first": first,
            "pairs": pairs}


def test_a_stage_becomes_one_row() -> None:
    norm = {"policy/grad_norm": torch.tensor(9.0), "first": False, "pairs": 1}
    stats = [part(1.0, 0.25, True, 4), part(2.0, 0.0, True, 2), part(6.0, 4.0, False, 2), norm]
    assert policy_figures([policy_sums(stats)]) == {"policy/loss": 2.5, "policy/ratio_max_dev": 4.0,
                                                    "policy/grad_norm": 9.0, "policy/first_ratio_dev": 0.25}
    assert policy_figures([policy_sums([])]) == {}


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_stage_of_several_ranks_has_the_figures_of_one(cut: int) -> None:
    """... where one may have nothing, and where a figure is NaN on one of them."""
    stats = [part(1.0, 0.25, True, 4), part(2.0, 0.75, True, 2), part(6.0, 0.5, False, 3)]
    sums = [policy_sums(stats[:cut]), policy_sums(stats[cut:])]
    assert policy_figures(sums) == pytest.approx(policy_figures([policy_sums(stats)]))
    broken = policy_figures([*sums, policy_sums([part(math.nan, math.nan, False, 1)])])
    assert math.isnan(broken["policy/loss"]) and math.isnan(broken["policy/ratio_max_dev"])


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_processes_share_the_tasks_evenly_and_in_order(parts: int) -> None:
    plan = tasks(5, 4, prompts=3, images=2, batch=5)
    shares = [share_of(plan, number, parts) for number in range(parts)]
    assert len({len(share) for share in shares}) == 1
    assert triples([task for share in shares for task in share if len(task.slots)]) == triples(plan)


# --- an evaluation by the module -------------------------------------------------------------------------------------


def evaluated(make, **options) -> tuple[dict[str, float], Gallery]:
    module = make(**options)
    module.before_eval("before")
    trainer_for(module).test(module, verbose=False)
    return module.figures, Gallery.load(module.run_dir / "samples" / "before.npz")


def test_the_same_evaluation_whatever_the_batch_and_the_seed(make) -> None:
    figures, gallery = evaluated(make, eval_prompts=3, eval_images=3)
    for changed in ({"rollout_batch": 4}, {"rollout_batch": 1}, {"seed": 7}):
        seed = changed.pop("seed", 0)
        module = make(eval_prompts=3, eval_images=3, **changed)
        module.seed = seed
        trainer_for(module).test(module, verbose=False)
        for name in figures:
            if "all_right" not in name:  # the judge's depends on the batch
                assert module.figures[name] == pytest.approx(figures[name], rel=1e-4)
    assert gallery.prompts == ["a red cat", "a dog", "a red dog", "a cat", "two red dogs"]


def test_trap_11_scorers_beside_the_reward_appear_in_the_figures(make) -> None:
    figures, gallery = evaluated(make)
    names = {"judge", "redness", "all_right"}
    assert set(figures) == {f"{split}/{name}" for split in ("eval", "heldout") for name in names} | {
        f"diversity/{measure}{split}" for measure in ("latent", "vendi") for split in ("", "_heldout")}
    assert all("judge" in caption and "redness" in caption for caption in gallery.captions)
    assert all(caption.count(" ") == 3 for caption in gallery.captions)


def test_evaluating_costs_no_training_and_keeps_no_trajectory(make) -> None:
    module = make()
    trainer_for(module).test(module, verbose=False)
    assert module.model.evaluations == module.queries == 0
    assert module.costs["cost/unet_evaluations"] == 0 and set(module.clock.seconds.values()) == {0.0}


# --- sheets and plots ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [False, True])
def test_the_gallery_takes_the_first_picture_of_evenly_spread_prompts(tmp_path, every: bool) -> None:
    tally, words = Tally(), [f"prompt {number}" for number in range(40)]
    for task in tasks(30, 4, prompts=30, images=2, batch=7):
        scores = {"clip": task.slots.double() / 1000, "all_right": (task.slots > 10).float()}
        pictures = (task.slots / 255)[:, None, None, None].expand(-1, 3, 8, 8)
        tally.add(task, torch.rand(len(pictures), 4, 2, 2), pictures, scores, every=every)
    assert sum(map(len, tally.pictures)) == (68 if every else 34) and len(tally.split) == 68
    gallery = gallery_of(tally, words, ["clip"])
    assert gallery.splits == ["eval"] * PER_SPLIT + ["heldout"] * 4
    assert gallery.prompts[:3] == ["prompt 0", "prompt 3", "prompt 6"] and gallery.prompts[-4:] == words[30:34]
    assert gallery.captions[2] == "clip 0.01" and (gallery.pictures[2] == 6).all()
    assert gallery.right[:5] == [False, False, False, False, True]
    gallery.save(tmp_path / "new" / "before.npz")
    back = Gallery.load(tmp_path / "new" / "before.npz")
    assert np.array_equal(back.pictures, gallery.pictures)
    assert (back.prompts, back.splits, back.captions, back.right) == (
        gallery.prompts, gallery.splits, gallery.captions, gallery.right)


def test_the_gallery_leaves_out_prompts_whose_first_picture_is_not_there() -> None:
    """As where an evaluation was limited to a few batches, and another rank had the first ones."""
    tally, index = Tally(), torch.tensor([0, 1])
    for slots in ([2, 3], [0, 3]):  # of two prompts: second pictures, then the first of one
        pictures = (torch.tensor(slots) / 255)[:, None, None, None].expand(-1, 3, 8, 8)
        tally.add(Task("eval", index, torch.tensor(slots)), torch.rand(2, 4, 2, 2), pictures, {"clip": torch.ones(2)})
    gallery = gallery_of(tally, ["a cat", "a dog"], ["clip"])
    assert gallery.prompts == ["a cat"] and (gallery.pictures == 0).all()


@pytest.mark.parametrize("labels", [["before"], ["before", "after"]])
def test_a_sheet_is_drawn_of_whatever_there_is(tmp_path, labels) -> None:
    gallery = gallery_of(filled_tally(), ["a cat", "a dog", "a {strange} $prompt$ " * 9], ["clip"])
    file = draw_sheet(dict.fromkeys(labels, gallery), tmp_path / "sheet.png")
    assert file.read_bytes().startswith(PNG)


def test_a_sheet_without_a_verifier_and_with_one_split(tmp_path) -> None:
    tally = Tally()
    index = torch.tensor([0, 1])
    tally.add(Task("eval", index, index), torch.rand(2, 4, 2, 2), torch.rand(2, 3, 8, 8), {"clip": torch.ones(2)})
    gallery = gallery_of(tally, ["a cat", "a dog"], ["clip"])
    gallery.save(tmp_path / "before.npz")
    assert gallery.right is None is Gallery.load(tmp_path / "before.npz").right
    assert draw_sheet({"before": gallery}, tmp_path / "sheet.png").is_file()


METRICS = """step,epoch,cost/reward_queries,reward/mean,eval/clip,heldout/clip,eval/clip_red,diversity/latent,interval
1,0,16,0.5,,,,,5
2,1,,7.0,,,,,
2,1,32,0.75,,,,,6
2,1,32,,0.5,0.4,0.3,1.5,
"""


def test_curves_are_drawn_against_reward_queries(tmp_path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(METRICS)
    columns = read_columns(file)
    assert columns["reward/mean"] == [(16.0, 0.5), (32.0, 0.75)] and columns["eval/clip"] == [(32.0, 0.5)]
    drawn = draw_plots(file, tmp_path / "plots")
    assert {path.stem for path in drawn} == {"rewards", "details", "diversity", "interval"}
    assert all(path.read_bytes().startswith(PNG) for path in drawn)


def test_without_metrics_nothing_is_drawn(tmp_path) -> None:
    assert draw_plots(tmp_path / "metrics.csv", tmp_path / "plots") == []
    (tmp_path / "metrics.csv").write_text("step,epoch\n")
    assert draw_plots(tmp_path / "metrics.csv", tmp_path / "plots") == []


def test_a_long_prompt_stands_above_its_picture_in_part() -> None:
    assert title("a red circle above a blue square") == "a red circle above\na blue square"
    long = title("word " * 300)
    assert long.endswith("...") and len(long.splitlines()) <= 5
