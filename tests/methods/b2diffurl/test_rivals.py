"""The losses of DPOK, GRPO and D3PO and their gradients by hand; the KL against torch's; their presets."""

import math

import pytest
import torch
from diffusers import DDIMScheduler
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.distributions import Independent, Normal, kl_divergence

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.objectives.d3po import D3PO
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.dpok import DPOK
from src.methods.b2diffurl.objectives.grpo import GRPO
from src.methods.b2diffurl.selection import advantages, normalise
from src.methods.b2diffurl.update import Kept, Pairs, loss_of

DDIM = Ddim.from_scheduler(DDIMScheduler(set_alpha_to_one=False, steps_offset=1, clip_sample=False), 4)
SHAPE = (2, 3, 3)


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- the KL ----------------------------------------------------------------------------------------------------------


def test_the_kl_is_that_of_two_gaussians_per_latent_dimension() -> None:
    mean, other, step = normals(4, *SHAPE), normals(4, *SHAPE, seed=1), torch.arange(4)
    sigma = DDIM.sigma.view(-1, 1, 1, 1)
    expected = kl_divergence(*(Independent(Normal(mu, sigma.expand_as(mu)), 3) for mu in (mean, other)))
    torch.testing.assert_close(DDIM.kl(mean, other, step) * math.prod(SHAPE), expected)
    assert (DDIM.kl(mean, mean, step) == 0).all()


def test_the_gradient_of_the_kl_is_the_scaled_difference_and_0_where_the_two_agree() -> None:
    mean, step = normals(4, *SHAPE).requires_grad_(), torch.arange(4)
    for other in (normals(4, *SHAPE, seed=1), mean.detach().clone()):
        (found,) = torch.autograd.grad(DDIM.kl(mean, other, step).sum(), mean)
        variance = DDIM.sigma.square().view(-1, 1, 1, 1)
        torch.testing.assert_close(found, (mean.detach() - other) / (variance * math.prod(SHAPE)))


@pytest.mark.parametrize("kind", [DDPO, DPOK, GRPO, D3PO])
def test_any_objective_takes_the_kl_with_its_weight(kind) -> None:
    """... times the step's weight; and at weight 0 nobody looks at the reference's means."""
    kept = Kept(normals(2, 5, *SHAPE), normals(2, 4), torch.tensor([1.0, -1.0]), torch.zeros(2, dtype=torch.long),
                torch.arange(4), 2, normals(2, 4, seed=2), normals(2, 4, *SHAPE, seed=3))
    pairs = Pairs(torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([1, 1, 3, 3, 1, 1]), real=4)
    weights, mean, new = torch.tensor([2.0, 1.0, 0.7, 0.3]), normals(4, *SHAPE, seed=4), normals(4, seed=5)

    def call(weight: float, kept: Kept = kept):
        return loss_of(kind(kl_weight=weight), DDIM, kept, pairs, mean, new, weights)

    plain, figures = call(0.0, Kept(**vars(kept) | {"reference_means": None}))
    assert "policy/kl_reference" not in figures
    loss, figures = call(0.25)
    step = pairs.step[:4]
    kl = DDIM.kl(mean, kept.reference_means[pairs.sample[:4], step], step)
    torch.testing.assert_close(loss - plain, 0.25 * weights[step] * kl)
    assert figures["policy/kl_reference"].item() == pytest.approx(kl.mean().item())


# --- DPOK and GRPO ---------------------------------------------------------------------------------------------------


def test_dpok_is_the_policy_gradient_held_back_by_the_kl() -> None:
    """At ratio 1, for D latent dimensions: d loss / d mu = [-A (x - mu) + beta (mu - mu_ref)] / (sigma^2 D)."""
    mean = normals(1, *SHAPE).requires_grad_()
    action, reference = normals(1, *SHAPE, seed=1), normals(1, *SHAPE, seed=2)
    new = DDIM.log_prob(action, mean, torch.tensor([2]))
    kept = Kept(torch.stack([action, action], 1), new.detach()[:, None], torch.tensor([1.5]), torch.tensor([0]),
                torch.tensor([2]), 1, None, reference[:, None])
    pairs = Pairs(torch.tensor([0]), torch.tensor([0]), 1)
    loss, _ = loss_of(DPOK(kl_weight=0.3), DDIM, kept, pairs, mean, new, torch.ones(1))
    (found,) = torch.autograd.grad(loss.sum(), mean)
    scale = DDIM.sigma[2].square() * math.prod(SHAPE)
    torch.testing.assert_close(found, (-1.5 * (action - mean) + 0.3 * (mean - reference)).detach() / scale)


def test_grpo_weighs_a_sample_by_its_place_among_its_siblings() -> None:
    rewards, trunks = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0, 8.0]), torch.tensor([0, 0, 0, 1, 1, 1])
    z, _ = normalise(rewards, torch.zeros(6, dtype=torch.long), trunks, kind="trunk", std_floor=0.0)
    group = rewards.view(2, 3)
    expected = ((group - group.mean(1, keepdim=True)) / group.std(1, correction=0, keepdim=True)).flatten()
    new = normals(6).requires_grad_()
    loss, figures = GRPO()(new, new.detach(), advantages(z))
    loss.sum().backward()
    torch.testing.assert_close(new.grad, -expected)
    torch.testing.assert_close(loss.detach(), -expected)
    assert figures["policy/ratio_max_dev"] == 0


# --- D3PO ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.1, 3.0])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 0.5, 2.0, 2.0])])
def test_d3po_by_hand(beta, weight) -> None:
    new = torch.tensor([-1.0, -1.3, -0.2, 0.4], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-1.1, -1.1, 0.3, -0.1], dtype=torch.float64)
    loss, figures = D3PO(beta=beta)(new, new.detach(), torch.zeros(4), weight, reference)
    loss.sum().backward()
    scale = [1.0, 1.0] if weight is None else [0.5, 2.0]
    margins = [beta * scale[0] * (0.1 + 0.2), beta * scale[1] * (-0.5 - 0.5)]
    by_hand = [math.log1p(math.exp(-margin)) for margin in margins]
    assert loss.tolist() == pytest.approx([by_hand[0]] * 2 + [by_hand[1]] * 2)
    # Of the sum over rows: twice -beta w sigmoid(-margin) for the winner, the opposite for the loser.
    pull = [2 * beta * s / (1 + math.exp(margin)) for s, margin in zip(scale, margins, strict=True)]
    assert new.grad.tolist() == pytest.approx([-pull[0], pull[0], -pull[1], pull[1]])
    assert figures["policy/preference_accuracy"] == 0.5
    assert figures["policy/ratio_max_dev"] == figures["policy/approx_kl"] == 0  # compared with the rollout
    assert figures["policy/preference_margin"].item() == pytest.approx(sum(margins) / 2)


def test_d3po_before_the_first_update_is_log_2_with_a_push_of_half_beta() -> None:
    new = normals(6).requires_grad_()
    loss, figures = D3PO(beta=0.1)(new, new.detach(), torch.zeros(6), None, new.detach())
    (found,) = torch.autograd.grad(loss.mean(), new)
    assert loss.tolist() == pytest.approx([math.log(2)] * 6)
    torch.testing.assert_close(found, 0.05 / 3 * torch.tensor([-1.0, 1.0] * 3))  # the mean over three couples
    assert figures["policy/preference_margin"] == figures["policy/preference_accuracy"] == 0
    assert figures["policy/ratio_max_dev"] == 0 and all(value.dim() == 0 for value in figures.values())


# --- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind", "values"), [
    ("dpok", DPOK, {"clip_range": 1e-4, "kl_weight": 0.01}),
    ("grpo", GRPO, {"clip_range": 1e-4, "kl_weight": 0.04}),
    ("d3po", D3PO, {"beta": 0.1, "kl_weight": 0.0}),
    ("ddpo", DDPO, {"clip_range": 0.1, "kl_weight": 0.0}),
])
def test_presets_are_the_authors(name, kind, values, pytestconfig) -> None:
    with initialize_config_dir(str(pytestconfig.rootpath / "conf"), version_base="1.3"):
        objective = instantiate(compose(f"objective/{name}").objective)
    assert type(objective) is kind and objective.weighting == "none"
    assert {key: getattr(objective, key) for key in values} == values
    assert objective.needs_reference == objective.couples == (kind is D3PO)
