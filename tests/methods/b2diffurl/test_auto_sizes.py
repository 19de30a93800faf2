"""Sizes that are chosen: `auto` does what the sizes do that it chose, and a device that is too small is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from src.core.errors import UserError
from src.core.processes import ranks
from src.methods.b2diffurl import auto_sizes, probing
from src.methods.b2diffurl.module import B2DiffuRL
from src.methods.b2diffurl.objectives.d3po import D3PO
from src.methods.b2diffurl.update import policy
from src.models.peak import peak_of
from tests.methods.b2diffurl.conftest import fit, summary
from tests.methods.b2diffurl.test_b2_resume import outcome

SIZES = ("micro_batch", "rollout_batch")
AUTO = dict.fromkeys(SIZES, "auto")
CPU = torch.device("cpu")


def free_for(module: B2DiffuRL, pairs: float) -> int:
    """Bytes that have to be free for so large a micro-batch."""
    with probing.no_trace(module):
        line = probing.of_update(module)[0]
    return int((line.at(pairs) + auto_sizes.reserve(module)) / auto_sizes.HOST_SHARE)


def update_peak(module: B2DiffuRL, pairs: int) -> int:
    return peak_of(lambda: policy(module.denoise, module.ddim, *probing._pairs(module, pairs))[1].sum().backward(), CPU)


@pytest.mark.parametrize("options", [
    {}, {"gradient_checkpointing": True, "dtype": "bfloat16"}, {"lora_rank": 0, "guidance_scale": 1.0}])
def test_a_probe_leaves_no_trace_and_tells_what_more_pairs_take(loaded, options: dict[str, Any]) -> None:
    module = loaded(**AUTO | options)
    weights, chance = module.model.trainable_state(), torch.random.get_rng_state()
    with probing.no_trace(module):
        update, (denoising, decoding) = probing.of_update(module)[0], probing.of_rollout(module)
    assert module.model.evaluations == 0 and torch.equal(torch.random.get_rng_state(), chance)
    assert all(parameter.grad is None for parameter in module.model.trainable_parameters())
    after = module.model.trainable_state()
    assert all(torch.equal(weights[name], after[name]) for name in weights)
    for parameter in module.model.trainable_parameters():
        parameter.grad = torch.zeros_like(parameter)
    assert update_peak(module, 6) == pytest.approx(update.at(6), rel=0.02)
    assert denoising.at(6) < update.at(6)
    assert decoding.at(module.model.vae_batch + 1) > decoding.at(module.model.vae_batch) > 0


@pytest.mark.slow
def test_auto_interrupted_and_continued_equals_the_sizes_given_by_hand(runner, monkeypatch) -> None:
    """... and nothing is measured again when it goes on."""
    chosen = {"rollout_batch": 4, "micro_batch": 5}
    assert runner("method.stages=2", *[f"method.{name}={size}" for name, size in chosen.items()]) == 0
    given, step = outcome(runner.folder), B2DiffuRL.training_step
    sizes = iter(chosen.values())
    monkeypatch.setattr(auto_sizes, "largest", lambda *_, **__: next(sizes))
    with monkeypatch.context() as patch:
        patch.setattr(B2DiffuRL, "training_step",
                      lambda module, *args: step(module, *args) if module.current_epoch < 1 else 1 / 0)
        assert runner("method.stages=2", *[f"method.{name}=auto" for name in chosen]) == 1
    folder = runner.folder
    assert json.loads((folder / auto_sizes.FILE).read_text()) == chosen
    assert runner(f"resume={folder}") == 0 and summary(folder)["status"] == "finished"
    found = outcome(folder)
    for key, value in given.items():
        assert found[key] == value, key


def test_what_there_is_limits_a_size_and_so_does_the_rank_with_least_room(loaded, monkeypatch, capsys) -> None:
    couples = {"objective": D3PO(), "selection": "best_worst", "samples_per_update": 4}
    module = loaded(**AUTO | couples)  # two couples of three steps: twelve pairs, six pictures a stage
    monkeypatch.setattr(auto_sizes, "free_on", lambda device: 10**12)
    assert module.rollout_batch == 6 and module.micro_batch == "auto"
    auto_sizes.settle(module, training=True)
    assert module.micro_batch == 12 and "more are of no use" in capsys.readouterr().out
    assert json.loads((module.run_dir / auto_sizes.FILE).read_text()) == {"rollout_batch": 6, "micro_batch": 12}

    module.micro_batch = "auto"
    with monkeypatch.context() as patch:
        patch.setattr(auto_sizes, "free_on", lambda device: 0)  # the run goes on, with less memory
        auto_sizes.settle(module, training=True)
    assert module.micro_batch == 12 and "12, which this run chose before" in capsys.readouterr().out

    (module.run_dir / auto_sizes.FILE).unlink()
    module.micro_batch = "auto"
    monkeypatch.setattr(ranks, "gathered", lambda item: [item, 10] if item == 12 else [item])
    auto_sizes.settle(module, training=True)
    assert module.micro_batch == 6  # two batches, as ten would take

    (module.run_dir / auto_sizes.FILE).unlink()
    module.micro_batch, free = "auto", free_for(module, 5.9)
    monkeypatch.setattr(auto_sizes, "free_on", lambda device: free)
    auto_sizes.settle(module, training=True)
    assert module.micro_batch == 4  # three batches of whole couples

    (module.run_dir / auto_sizes.FILE).write_text("{")
    module.micro_batch = "auto"
    with pytest.raises(UserError, match=r"cannot be read.*remove the file"):
        auto_sizes.settle(module, training=True)


class Small:
    """A device on which the UNet takes `rows` at once."""

    def __init__(self, module: B2DiffuRL, rows: int) -> None:
        self.forward, self.rows = module.unet.forward, rows
        module.unet.forward = self

    def __call__(self, sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        if len(sample) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity "
                                         "of 7.60 GiB of which 1.21 GiB is free. Including non-PyTorch memory, 6 GiB")
        return self.forward(sample, *args, **options)


def test_a_probe_that_does_not_fit_leaves_the_smallest_size_or_a_sentence(loaded, monkeypatch) -> None:
    module = loaded(guidance_scale=1.0)
    module.micro_batch = "auto"
    small = Small(module, 1)
    auto_sizes.settle(module, training=True)
    assert module.micro_batch == 1
    (module.run_dir / auto_sizes.FILE).unlink()
    small.rows, module.micro_batch = 0, "auto"
    with pytest.raises(UserError, match=r"method.micro_batch=auto: not even 1 .*model.gradient_checkpointing=true"):
        auto_sizes.settle(module, training=True)


@pytest.mark.parametrize(("rows", "key"), [(5, "method.rollout_batch=6"), (7, "method.micro_batch=8")])
def test_a_size_that_is_too_large_is_named(make, rows: int, key: str) -> None:
    module = make(guidance_scale=1.0, micro_batch=8, rollout_batch=6)
    load = module.load
    module.load = lambda device: (load(device), Small(module, rows))
    with pytest.raises(UserError) as told:
        fit(module)
    words = str(told.value)
    assert words.startswith(key) and "Tried to allocate 2.00 GiB. GPU 0 has" in words and "1.21 GiB is free)" in words
    assert "Lower it" in words and "non-PyTorch" not in words


def test_pictures_that_are_too_many_to_decode_are_told(loaded, monkeypatch) -> None:
    module = loaded()

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module.model.vae, "decode", full)
    with pytest.raises(UserError, match=f"model.vae_batch={module.model.vae_batch}: .*CUDA out of memory"):
        module.model.decode(torch.zeros(1, *module.model.latent_shape))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_chosen_micro_batch_takes_what_was_foretold(make, tmp_path: Path) -> None:
    module = make(**AUTO)
    module.load(torch.device("cuda", 0))
    with probing.no_trace(module):
        line = probing.of_update(module)[0]
        peak = peak_of(lambda: policy(module.denoise, module.ddim, *probing._pairs(module, 6))[1].sum().backward(),
                       module.model.device)
    assert peak == pytest.approx(line.at(6), rel=0.1)
