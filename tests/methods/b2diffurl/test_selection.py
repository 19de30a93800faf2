"""Normalisation and selection against slow loops over prompts and trunks."""

import json
import math

import pytest
import torch

from src.core.errors import UserError
from src.methods.b2diffurl.selection import RewardHistory, advantages, normalise, reward_variance, select
from src.methods.b2diffurl.stage import SelectionOptions, choose, draw_prompts

KINDS = ["prompt", "trunk", "global", "prompt_center", "trunk_center"]


def stage(trunks=12, branches=5, prompts=4, seed=0):
    """Rewards, prompts and trunks of one stage; the prompt is the trunk's."""
    generator = torch.Generator().manual_seed(seed)
    prompt = torch.randint(0, prompts, (trunks,), generator=generator).repeat_interleave(branches)
    rewards = torch.rand(trunks * branches, generator=generator) * 0.1 + 0.2 + 0.02 * prompt
    return rewards, prompt, torch.arange(100, 100 + trunks).repeat_interleave(branches)


def past(stages, window=8):
    history = RewardHistory(window)
    for seed in range(1, stages + 1):
        rewards, prompts, _ = stage(seed=seed)
        history.add(prompts, rewards)
    return history


def population_std(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def slow_normalise(rewards, prompts, trunks, history, kind, std_floor):
    """One sample at a time, from lists."""
    earlier = [pair for p, r in history.stages for pair in zip(p.tolist(), r.tolist(), strict=True)]
    now = list(zip(prompts.tolist(), rewards.tolist(), strict=True))
    window = now if kind.startswith("trunk") else now + earlier
    keys = trunks.tolist() if kind.startswith("trunk") else [prompt for prompt, _ in window]
    keys = [0] * len(window) if kind == "global" else keys
    values = [reward for _, reward in window]
    groups = {key: [v for k, v in zip(keys, values, strict=True) if k == key] for key in set(keys)}
    means = {key: sum(group) / len(group) for key, group in groups.items()}
    squares = sum((value - means[key]) ** 2 for key, value in zip(keys, values, strict=True))
    pooled = math.sqrt(squares / max(1, len(values) - len(groups)))
    floor = std_floor * population_std(values)
    scores = []
    for key, value in zip(keys[: len(now)], values, strict=False):
        std = pooled if kind.endswith("center") else population_std(groups[key])
        scores.append((value - means[key]) / max(std, floor, 1e-7))
    return torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stages", [0, 3])
def test_normalise_against_a_loop(kind, stages):
    rewards, prompts, trunks = stage()
    history = past(stages)
    z, guarded = normalise(rewards, prompts, trunks, history, kind=kind, std_floor=0.05)
    torch.testing.assert_close(z, slow_normalise(rewards, prompts, trunks, history, kind, 0.05))
    assert guarded == {"single": 0, "floored": 0}


def test_the_window_is_the_last_h_stages_plus_this_one():
    rewards, prompts, trunks = stage()
    long, short = past(8, window=3), RewardHistory(3)
    for seed in (6, 7, 8):
        earlier = stage(seed=seed)
        short.add(earlier[1], earlier[0])
    z, _ = normalise(rewards, prompts, trunks, long)
    assert torch.equal(z, normalise(rewards, prompts, trunks, short)[0])
    assert not torch.equal(z, normalise(rewards, prompts, trunks, past(8, window=2))[0])
    alone = normalise(rewards, prompts, trunks, past(8, window=0))[0]
    assert torch.equal(alone, normalise(rewards, prompts, trunks, None)[0])


def test_rewards_of_another_kind_are_forgotten():
    history, resumed = past(3), RewardHistory(8)
    assert history.goes_on_with("clip on prompts a") and len(history.stages) == 3
    resumed.load_state_dict(history.state_dict())
    assert resumed.goes_on_with("clip on prompts a") and len(resumed.stages) == 3
    assert not resumed.goes_on_with("jpeg on prompts a") and not resumed.stages
    assert resumed.state_dict()["of"] == "jpeg on prompts a"


def test_trap_5_statistics_do_not_depend_on_how_prompts_were_dealt():
    rewards, prompts, trunks = stage()
    history = past(2)
    order = torch.randperm(len(rewards), generator=torch.Generator().manual_seed(3))
    for kind in KINDS:
        z, _ = normalise(rewards, prompts, trunks, history, kind=kind)
        dealt, _ = normalise(rewards[order], prompts[order], trunks[order], history, kind=kind)
        torch.testing.assert_close(dealt, z[order], rtol=1e-12, atol=1e-12)
        kept, shares = select(z, trunks)
        kept_dealt, shares_dealt = select(dealt, trunks[order])
        assert set(order[kept_dealt].tolist()) == set(kept.tolist()) and shares == shares_dealt


def test_z_does_not_depend_on_the_rewards_unit():
    rewards, prompts, trunks = stage()
    for kind in KINDS:
        z, _ = normalise(rewards, prompts, trunks, kind=kind)
        scaled, _ = normalise(rewards.double() * 1000 + 50, prompts, trunks, kind=kind)
        torch.testing.assert_close(z, scaled, rtol=1e-6, atol=1e-6)


def test_a_prompt_seen_once_gives_zero_and_is_counted():
    rewards, prompts = torch.tensor([0.1, 0.5, 0.9, 0.3]), torch.tensor([7, 8, 8, 8])
    for kind in ("prompt", "prompt_center"):
        z, guarded = normalise(rewards, prompts, torch.arange(4), kind=kind)
        assert z[0] == 0 and z[1:].abs().min() > 0
        assert guarded["single"] == 1
    assert guarded["floored"] == 0  # one std for all groups


def test_prompts_seen_too_rarely_are_compared_with_the_whole_stage():
    """Prompt 8 has three rewards of this stage and one of an earlier one, which the stage's own statistics lack."""
    rewards, prompts = torch.tensor([0.1, 0.5, 0.9, 0.3]), torch.tensor([7, 8, 8, 8])
    history = RewardHistory(8)
    history.add(torch.tensor([8, 9]), torch.tensor([0.7, 5.0]))
    values = [0.5, 0.9, 0.3, 0.7]
    own = [(value - 0.6) / population_std(values) for value in values[:3]]
    whole = [(value - 0.45) / population_std([0.1, 0.5, 0.9, 0.3]) for value in rewards.tolist()]
    for least, expected in ((2, [whole[0], *own]), (4, [whole[0], *own]), (5, whole)):
        z, guarded = normalise(rewards, prompts, torch.arange(4), history, std_floor=0.0, min_count=least)
        torch.testing.assert_close(z, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)
        assert guarded["single"] == 0
    assert normalise(rewards, prompts, torch.arange(4), history)[1]["single"] == 1


def test_nearly_equal_rewards_are_not_blown_up():
    """The floor fits the reward's scale: a spread of 1e-5 among rewards that range over 1 is noise."""
    rewards = torch.tensor([0.5, 0.50001, 0.50002, 0.0, 0.5, 1.0])
    prompts = torch.tensor([0, 0, 0, 1, 1, 1])
    z, guarded = normalise(rewards, prompts, prompts, std_floor=0.05)
    assert z[:3].abs().max() < 0.001 and z[3:].abs().max() > 1
    assert guarded == {"single": 0, "floored": 3}
    small, _ = normalise(rewards * 1e-4, prompts, prompts, std_floor=0.05)
    torch.testing.assert_close(small, z, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_floor_is_a_share_of_the_std_of_the_whole_window(kind):
    rewards, prompts, trunks = stage()
    history = past(3)
    z, guarded = normalise(rewards, prompts, trunks, history, kind=kind, std_floor=2.0)
    torch.testing.assert_close(z, slow_normalise(rewards, prompts, trunks, history, kind, 2.0))
    assert guarded == {"single": 0, "floored": len(rewards)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_equal_rewards_give_zero_and_no_nan(kind, value):
    rewards = torch.full((6,), value)
    z, guarded = normalise(rewards, torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6) // 2, kind=kind)
    assert z.abs().max() < 1e-6
    assert guarded["floored"] == 6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_trap_10_rewards_that_are_not_finite_are_refused(value):
    rewards = torch.tensor([0.1, value, 0.3])
    with pytest.raises(UserError, match=r"rewards\[1\]"):
        normalise(rewards, torch.arange(3), torch.arange(3))
    with pytest.raises(UserError, match=r"z\[1\]"):
        select(rewards, torch.arange(3))


def test_history_survives_a_checkpoint_exactly():
    history, restored = past(2, window=4), RewardHistory(4)
    history.add(torch.tensor([1, 2]), torch.tensor([0.1, 0.2], dtype=torch.float64))  # not exact in float32
    restored.add(torch.tensor([1]), torch.tensor([9.0]))
    restored.load_state_dict(json.loads(json.dumps(history.state_dict())))
    rewards, prompts, trunks = stage()
    z, again = (normalise(rewards, prompts, trunks, each)[0] for each in (history, restored))
    assert torch.equal(z, again)


def slow_select(z, trunks, rule, positive, negative):
    kept, signs = [], {}
    for trunk in sorted(set(trunks.tolist())):
        rows = [row for row, owner in enumerate(trunks.tolist()) if owner == trunk]
        best = min(rows, key=lambda row: (-z[row], row))
        worst = min(rows, key=lambda row: (z[row], row))
        chosen = set(rows) if rule == "all" else {best, worst} if rule == "best_worst" else set()
        if rule == "reference":
            chosen |= {best} if z[best] >= positive else set()
            chosen |= {worst} if z[worst] < negative else set()
        kept += chosen
        signs[trunk] = ({1 for row in chosen if z[row] > 0} | {-1 for row in chosen if z[row] < 0}, bool(chosen))
    count = len(signs)
    shares = {
        "positive_only": sum(sign == {1} for sign, _ in signs.values()) / count,
        "negative_only": sum(sign == {-1} for sign, _ in signs.values()) / count,
        "both": sum(sign == {1, -1} for sign, _ in signs.values()) / count,
        "none": sum(not any_kept for _, any_kept in signs.values()) / count,
        "kept": len(kept) / len(z),
    }
    return sorted(kept), shares


@pytest.mark.parametrize("rule", ["reference", "all", "best_worst"])
@pytest.mark.parametrize("branches", [1, 2, 5])
@pytest.mark.parametrize("levels", [2, 1000])  # two levels: many ties
@pytest.mark.parametrize("shuffle", [False, True])
def test_select_against_a_loop(rule, branches, levels, shuffle):
    generator = torch.Generator().manual_seed(branches)
    z = torch.randint(-levels, levels + 1, (20 * branches,), generator=generator) / levels
    trunks = torch.arange(20).repeat_interleave(branches)
    trunks = trunks[torch.randperm(len(trunks), generator=generator)] if shuffle else trunks
    kept, shares = select(z, trunks, rule=rule, positive=0.5, negative=-0.5)
    expected, expected_shares = slow_select(z, trunks, rule, 0.5, -0.5)
    assert kept.tolist() == expected
    assert shares == pytest.approx(expected_shares)


def test_thresholds_are_the_references():
    """Best branch if z >= +0.5 (inclusive), worst if z < -0.5 (exclusive)."""
    z, trunks = torch.tensor([0.5, -0.5, 0.49, -0.51]), torch.tensor([0, 0, 1, 1])
    kept, shares = select(z, trunks)
    assert kept.tolist() == [0, 3]
    assert shares["positive_only"] == shares["negative_only"] == 0.5


def test_trap_7_an_empty_selection_is_empty_and_says_so():
    kept, shares = select(torch.zeros(6), torch.arange(6) // 3)
    assert kept.shape == (0,) and kept.dtype == torch.int64
    assert shares == {"positive_only": 0, "negative_only": 0, "both": 0, "none": 1, "kept": 0}


def test_trunks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="1 to 2 branches"):
        select(torch.zeros(3), torch.tensor([0, 0, 1]))


def test_group_advantage_over_siblings_is_per_trunk_with_all_branches():
    rewards, prompts, trunks = stage()
    z, _ = normalise(rewards, prompts, trunks, kind="trunk", std_floor=0.0)
    families = rewards.double().view(12, 5)
    expected = (families - families.mean(1, True)) / families.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(z.view(12, 5), expected)
    assert select(z, trunks, rule="all")[0].tolist() == list(range(60))


def test_advantages_are_clipped_then_weighted():
    z = torch.tensor([-9.0, -1.0, 0.0, 2.0, 9.0], dtype=torch.float64)
    actual = advantages(z, clip=5, positive_weight=2.0, negative_weight=0.5)
    assert actual.tolist() == [-2.5, -0.5, 0.0, 4.0, 10.0] and actual.dtype == torch.float32
    assert advantages(z, clip=None).tolist() == z.tolist()


def test_reward_variance_adds_up_to_the_whole():
    rewards, _, trunks = stage()
    rewards[:5] = 0.25
    parts = reward_variance(rewards, trunks)
    assert parts["within"] + parts["between"] == pytest.approx(rewards.double().var(correction=0).item())
    assert parts["within"] == pytest.approx(sum(population_std(f) ** 2 for f in rewards.view(12, 5).tolist()) / 12)
    assert parts["zero_std"] == pytest.approx(1 / 12)
    assert reward_variance(torch.zeros(60), trunks) == {"within": 0, "between": 0, "zero_std": 1}
    assert reward_variance(rewards, torch.arange(60)) | {"between": 0} == {"within": 0, "between": 0, "zero_std": 1}


def test_a_stage_is_judged_with_the_earlier_ones_and_then_joins_them():
    rewards, prompts, trunks = stage()
    history, options = past(2), SelectionOptions("prompt", 0.05, 1, "all", 0.5, -0.5, None, 1.0, 1.0)
    chosen, found, figures = choose(prompts, trunks, rewards, history, options)
    assert chosen.tolist() == list(range(60))
    torch.testing.assert_close(found, slow_normalise(rewards, prompts, trunks, past(2), "prompt", 0.05).float())
    assert figures["reward/mean"] == pytest.approx(rewards.mean().item())
    assert figures["reward/std"] == pytest.approx(population_std(rewards.tolist()))
    assert len(history.stages) == 3 and torch.equal(history.stages[-1][1], rewards.double())


def test_every_stage_and_seed_draws_prompts_of_its_own():
    drawn, slots = draw_prompts(200, 10, seed=1, stage=2)
    assert slots.tolist() == list(range(200)) and set(drawn.tolist()) == set(range(10))
    assert torch.equal(drawn, draw_prompts(200, 10, seed=1, stage=2)[0])
    for other in ({"seed": 1, "stage": 3}, {"seed": 2, "stage": 2}):
        assert not torch.equal(drawn, draw_prompts(200, 10, **other)[0])
