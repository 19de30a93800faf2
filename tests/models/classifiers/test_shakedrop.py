"""ShakeDrop against its definition (Yamada et al. 2019, equation 6): forward, backward, expectation."""

from __future__ import annotations

import timm
import torch

from src.models.classifiers.network import register
from src.models.classifiers.pyramidnet import ShakeDrop, scaled

register()


class Oracle(torch.autograd.Function):
    """The definition, word for word: one factor forward, another backward."""

    @staticmethod
    def forward(ctx, x, forward, backward):
        ctx.save_for_backward(backward)
        return x * forward

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


def test_one_factor_forward_another_backward() -> None:
    torch.manual_seed(0)
    x, upstream = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    forward, backward = 2 * torch.rand(5, 1, 1, 1) - 1, torch.rand(5, 1, 1, 1)
    results = []
    for function in (Oracle.apply, scaled):
        leaf = x.clone().requires_grad_()
        out = function(leaf, forward, backward)
        out.backward(upstream)
        results.append((out.detach(), leaf.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def factors(keep: float, steps: int, rows: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors [steps, rows] that a layer in training applies forward and backward."""
    layer, forward, backward = ShakeDrop(keep).train(), [], []
    for _ in range(steps):
        x = torch.ones(rows, 2, 3, 3, requires_grad=True)
        out = layer(x)
        out.sum().backward()
        assert (out == out[:, :1, :1, :1]).all() and (x.grad == x.grad[:, :1, :1, :1]).all()  # one draw a sample
        forward.append(out[:, 0, 0, 0].detach())
        backward.append(x.grad[:, 0, 0, 0])
    return torch.stack(forward), torch.stack(backward)


def test_factors_of_the_paper() -> None:
    torch.manual_seed(0)
    forward, backward = factors(keep=0.6, steps=1500)
    kept = (forward == 1).all(1)
    assert ((forward == 1).any(1) == kept).all()  # the gate is the layer's
    assert (backward[kept] == 1).all()
    assert abs(kept.float().mean() - 0.6) < 0.04
    alpha, beta = forward[~kept], backward[~kept]
    assert alpha.min() < -0.95 and alpha.max() > 0.95 and abs(alpha.mean()) < 0.03
    assert beta.min() >= 0 and beta.min() < 0.05 and beta.max() > 0.95 and abs(beta.mean() - 0.5) < 0.02
    assert abs(torch.corrcoef(torch.stack([alpha.flatten(), beta.flatten()]))[0, 1]) < 0.05


def test_eval_is_the_expectation_of_training() -> None:
    torch.manual_seed(0)
    forward, _ = factors(keep=0.7, steps=1500)
    x = torch.randn(3, 2, 4, 4)
    assert torch.equal(ShakeDrop(0.7).eval()(x), 0.7 * x)
    assert abs(forward.mean() - 0.7) < 0.035  # the gate's standard error is 0.012


def test_branches_are_kept_less_and_less() -> None:
    network = timm.create_model("cifar_pyramidnet200_shakedrop", depth=38, alpha=12)
    keeps = [block.shake.keep for block in network.blocks]
    assert len(keeps) == 12
    assert torch.allclose(torch.tensor(keeps), 1 - torch.arange(1, 13) / 12 * 0.5)
    plain = timm.create_model("cifar_pyramidnet200", depth=11)
    assert not any(isinstance(module, ShakeDrop) for module in plain.modules())


def test_under_autocast_and_compiled_without_a_break() -> None:
    layer = ShakeDrop(0.5)
    layer.compile(backend="eager", fullgraph=True)
    x = torch.randn(4, 2, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    layer(x).sum().backward()
    assert layer(x).dtype == x.grad.dtype == torch.bfloat16
