"""float16 has a narrow range: the loss is scaled, and a step whose gradients overflow is left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from src.methods.b2diffurl.float16 import loss_scale
from src.methods.b2diffurl.update import loss_of, pairs_of, policy
from src.models import precision
from tests.methods.b2diffurl.conftest import fit

SMALL = 1e-5  # a weight of the samples with which most gradients are below the smallest number of float16
CPU = torch.device("cpu")
NEAR = 0.05  # a wrong scale is off by a factor of two or more; PyTorch 2.11's rounding by 0.022


@pytest.fixture(autouse=True)
def slow_but_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "refuse_unfit", lambda *_: None)


class Gradients(Callback):
    """Those of the first update, and the same in float32, pair after pair."""

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        parameters = module.model.trainable_parameters()
        self.found = _flat(parameters)
        for parameter in parameters:
            parameter.grad = None
        module.model.dtype = torch.float32
        module.unet.float()
        every = torch.arange(len(module.kept))
        for pairs in pairs_of(every, len(module.kept.step_indices), 1):
            mean, new = policy(module.denoise, module.ddim, module.kept, pairs)
            loss, _ = loss_of(module.objective, module.ddim, module.kept, pairs, mean, new, module.step_weights)
            (loss.sum() / (len(every) * len(module.kept.step_indices))).backward()
        self.expected = _flat(parameters)


def _flat(parameters: list[Tensor]) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


def _cosine(callback: Gradients) -> float:
    return torch.nn.functional.cosine_similarity(callback.found, callback.expected, dim=0).item()


def _small(make: Any) -> Any:
    return make(dtype="float16", replay="auto", samples_per_update=64, positive_weight=SMALL, negative_weight=SMALL)


def test_small_gradients_are_those_of_float32(make) -> None:
    seen = Gradients()
    figures = fit(_small(make), seen)
    assert figures["policy/first_ratio_dev"] == 0
    assert _cosine(seen) > 0.999
    assert seen.found.norm().item() == pytest.approx(seen.expected.norm().item(), rel=NEAR)


def test_the_norm_that_is_clipped_is_the_gradients_own(make) -> None:
    seen = Gradients()
    figures = fit(make(dtype="float16", replay="auto", samples_per_update=64, grad_clip=1e-4), seen)
    assert figures["policy/grad_norm"] == pytest.approx(seen.expected.norm().item(), rel=NEAR)
    assert figures["policy/grad_norm"] > 1e-3 and seen.found.norm().item() == pytest.approx(1e-4, rel=0.01)


def test_without_a_scale_most_of_them_are_lost(make, monkeypatch) -> None:
    """What the test above would not see if its gradients were not small."""
    module, seen = _small(make), Gradients()
    monkeypatch.setattr("src.methods.b2diffurl.loading.loss_scale", lambda _, device: loss_scale(torch.float32, device))
    fit(module, seen)
    assert not _cosine(seen) > 0.99


def test_the_adapter_learns_as_in_float32(make) -> None:
    """AdamW's first step is the gradients' signs: they agree but where a gradient is near 0."""
    trained = {}
    for dtype in ("float32", "float16"):
        module = make(dtype=dtype, replay="auto", samples_per_update=64, lr=1e-3)
        fit(module)
        assert module.trainer.global_step == 1
        trained[dtype] = torch.cat([value.flatten() for value in module.state_dict().values()])
    apart = (trained["float16"] - trained["float32"]).abs()
    assert apart.quantile(0.8) < 1e-4


def test_an_update_that_overflows_is_left_out_and_the_next_one_scaled_less(make) -> None:
    class TooMuch(Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            module.loss_scale.load_state_dict(module.loss_scale.state_dict() | {"scale": 2.0**60})
            self.before = module.state_dict()

    module, start = make(dtype="float16", grad_clip=1.0, replay="auto", samples_per_update=64), TooMuch()
    figures = fit(module, start)
    assert figures["policy/left_out"] == 1 and figures["policy/grad_norm"] == 0
    assert all(torch.equal(now, start.before[name]) for name, now in module.state_dict().items())
    assert module.loss_scale.state_dict()["scale"] == 2.0**59


def test_a_checkpoint_keeps_the_scale(loaded) -> None:
    module, other, checkpoint = loaded(dtype="float16"), loaded(dtype="float16"), {}
    module.loss_scale.load_state_dict(module.loss_scale.state_dict() | {"scale": 8.0, "_growth_tracker": 3})
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    assert other.loss_scale.state_dict() == module.loss_scale.state_dict()
    loaded().on_load_checkpoint(checkpoint)  # in another precision the run goes on without it


def test_a_rank_without_samples_takes_part() -> None:
    """Its gradients are what the others sent; it has scaled no loss."""
    weight, scaler = torch.nn.Parameter(torch.ones(2)), loss_scale(torch.float16, CPU)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = scaler.get_scale() * torch.ones(2)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert weight.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_have_no_scale(dtype: torch.dtype) -> None:
    scaler = loss_scale(dtype, CPU)
    assert scaler.scale(torch.tensor(0.1)) == 0.1 and scaler.state_dict() == {}
