"""DDPO's loss against a hand-written formula and its gradient; step weights."""

import math

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.weighting import step_weights

EPS = 0.1


def by_hand(new, old, advantage, weight=1.0, eps=EPS):
    """Loss and its derivative by `new`, for one pair."""
    ratio = math.exp(weight * (new - old))
    free, clipped = -advantage * ratio, -advantage * min(max(ratio, 1 - eps), 1 + eps)
    inside = 1 - eps < ratio < 1 + eps
    return max(free, clipped), weight * free if inside or free > clipped else 0.0


@pytest.mark.parametrize("weight", [1.0, 0.3, 2.5])
@pytest.mark.parametrize("advantage", [2.0, -2.0, 0.0])
@pytest.mark.parametrize("shift", [0.0, 0.03, -0.03, 0.5, -0.5])
def test_loss_and_gradient_by_hand(weight, advantage, shift):
    new = torch.tensor([-1.2 + shift], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([-1.2], dtype=torch.float64)
    loss, _ = DDPO(clip_range=EPS)(new, old, torch.tensor([advantage]), torch.tensor([weight], dtype=torch.float64))
    loss.sum().backward()
    expected_loss, expected_gradient = by_hand(-1.2 + shift, -1.2, advantage, weight)
    assert loss.item() == pytest.approx(expected_loss)
    assert new.grad.item() == pytest.approx(expected_gradient)


def test_a_ratio_of_1_gives_the_policy_gradient():
    """-A times the gradient of the log-probability, for any clip range."""
    parameter = torch.tensor([0.3, -0.7, 1.1], requires_grad=True)
    advantage = torch.tensor([1.5, -0.5, 2.0])
    log_prob = parameter.square() * torch.tensor([1.0, 2.0, 3.0])
    loss, stats = DDPO(clip_range=1e-4)(log_prob, log_prob.detach(), advantage)
    loss.sum().backward()
    torch.testing.assert_close(parameter.grad, -advantage * 2 * parameter.detach() * torch.tensor([1.0, 2.0, 3.0]))
    assert stats["policy/ratio_mean"] == 1
    assert stats["policy/ratio_max_dev"] == stats["policy/clip_frac"] == stats["policy/approx_kl"] == 0


def test_statistics_are_detached_scalars():
    old = torch.tensor([-1.0, -1.0, -1.0, -1.0])
    new = (old + torch.tensor([0.0, 0.2, -0.2, 0.05])).requires_grad_()
    _, stats = DDPO(clip_range=0.1)(new, old, torch.ones(4))
    ratios = torch.tensor([0.0, 0.2, -0.2, 0.05]).exp()
    expected = {"ratio_mean": ratios.mean(), "ratio_max_dev": ratios.max() - 1, "clip_frac": 0.5}
    expected["approx_kl"] = 0.5 * (0.2**2 + 0.2**2 + 0.05**2) / 4
    for name, value in expected.items():
        assert stats[f"policy/{name}"].item() == pytest.approx(float(value), rel=1e-4)
    assert all(value.dim() == 0 and not value.requires_grad for value in stats.values())


def test_trap_7_the_loss_of_a_pair_does_not_depend_on_its_batch():
    generator = torch.Generator().manual_seed(0)
    new, old, advantage, weight = torch.randn(4, 40, generator=generator)
    together, _ = DDPO()(new, old, advantage, weight)
    batches = zip(*(values.split(7) for values in (new, old, advantage, weight)), strict=True)
    torch.testing.assert_close(torch.cat([DDPO()(*batch)[0] for batch in batches]), together)


def test_sigma_weights_have_mean_1_and_none_are_ones():
    sigma = torch.tensor([0.64, 0.3, 0.1, 0.02])
    assert torch.equal(step_weights(sigma, "none"), torch.ones(4))
    weights = step_weights(sigma, "sigma")
    assert weights.mean().item() == pytest.approx(1)
    torch.testing.assert_close(weights / weights[0], sigma / sigma[0])


def test_sigma_weights_give_every_step_the_same_gradient_in_its_mean():
    """The averaged log-probability's gradient grows as 1 / sigma; the weight takes exactly that away."""
    sigma = torch.tensor([0.64, 0.3, 0.1, 0.02])
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(0)).expand(4, 16)
    mean = torch.zeros(4, 16, requires_grad=True)
    log_prob = torch.distributions.Normal(mean, sigma[:, None]).log_prob(z * sigma[:, None]).mean(1)

    def sizes(weighting):
        loss, _ = DDPO(weighting=weighting)(log_prob, log_prob.detach(), torch.ones(4), step_weights(sigma, weighting))
        return torch.autograd.grad(loss.sum(), mean, retain_graph=True)[0].norm(dim=1)

    torch.testing.assert_close(sizes("none"), sizes("none")[0] * sigma[0] / sigma)
    torch.testing.assert_close(sizes("sigma"), sizes("sigma")[0].expand(4))


@pytest.mark.parametrize(("name", "clip_range"), [("ddpo", 0.1), ("ddpo_tight", 1e-4)])
def test_presets(name, clip_range, pytestconfig):
    with initialize_config_dir(str(pytestconfig.rootpath / "conf"), version_base="1.3"):
        objective = instantiate(compose(f"objective/{name}").objective)
    assert isinstance(objective, DDPO)
    assert objective.clip_range == clip_range and objective.weighting == "none"
    assert not objective.needs_reference
