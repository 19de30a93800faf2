"""Small runs that one process and several have to end alike; `main` is one rank of several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

import peft  # noqa: F401  once, before the ranks part
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: F401  the same
from lightning.pytorch import Callback
from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401  the same

from src.core.processes import ranks
from src.core.processes.parts import whole
from src.core.processes.sharding import ShardedStrategy
from src.methods.b2diffurl import auto_sizes
from src.methods.b2diffurl.objectives.d3po import D3PO
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.dpok import DPOK
from src.methods.b2diffurl.objectives.grpo import GRPO
from tests.methods.b2diffurl.conftest import built, trainer_for

BASE: dict[str, Any] = {"stages": 3, "prompts_per_stage": 3, "normaliser": "prompt", "inner_epochs": 2,
                        "samples_per_update": 4, "grad_clip": 1.0,
                        "interval": {"shape": "linear", "start": 2, "end": 4}}
CASES: dict[str, dict[str, Any]] = {
    "reference": {"selection": "reference", "objective": DDPO(clip_range=1e-3)},
    "lopsided": {"selection": "reference", "normaliser": "global", "history": 0, "positive_threshold": 1.0,
                 "negative_threshold": -99.0, "samples_per_update": 1, "inner_epochs": 1},
    "d3po": {"selection": "best_worst", "objective": D3PO(beta=10.0), "replay": "always"},
    "dpok": {"selection": "all", "objective": DPOK(clip_range=0.1), "prompts_per_stage": 5, "micro_batch": 5},
    # Siblings' rewards differ by little, which their own deviation magnifies: row by row, nothing is rounded otherwise.
    "grpo": {"selection": "all", "normaliser": "trunk", "objective": GRPO(clip_range=0.1, weighting="sigma"),
             "rollout_batch": 1, "micro_batch": 1},
    "full": {"lora_rank": 0, "lr": 1e-5, "replay": "always", "stages": 2},
    "auto": {"micro_batch": "auto", "rollout_batch": "auto"},
    # Two processes share the weights: one trunk more on the second, which makes more calls of the UNet.
    "sharded": {"lora_rank": 0, "lr": 1e-5, "replay": "always", "stages": 2, "rollout_batch": 2, "micro_batch": 2},
    "sharded_hosts": {"lora_rank": 0, "lr": 1e-5, "replay": "always", "stages": 2, "prompts_per_stage": 5},
    "sharded_half": {"lora_rank": 0, "lr": 1e-5, "replay": "auto", "stages": 2, "rollout_batch": 2, "micro_batch": 2,
                     "dtype": "bfloat16"},
    "sharded_auto": {"micro_batch": "auto", "rollout_batch": "auto", "lora_rank": 0, "lr": 1e-5, "replay": "always",
                     "stages": 2},
    "sharded_lopsided": {"lora_rank": 0, "lr": 1e-5, "selection": "reference", "normaliser": "global", "history": 0,
                         "positive_threshold": 1.0, "negative_threshold": -99.0, "samples_per_update": 1,
                         "inner_epochs": 1, "gradient_checkpointing": True},
}


class TwoHosts(ShardedStrategy):
    """Takes one host's processes for those of two."""

    hosts = 2


class Watch(Callback):
    """What every stage kept, its figures and weights; the gradient of every optimiser step."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self.gradients: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.gradients.append(torch.cat([whole(p.grad).flatten() for p in module.model.trainable_parameters()]))

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        if index == 0:
            kept = module.kept
            self.stages.append({"advantages": kept.advantages, "trajectory": kept.trajectory.flatten(2).mean(2),
                                "prompts": kept.prompt_index})

    def on_train_epoch_end(self, trainer, module) -> None:
        self.stages[-1] |= {"figures": module.policy_figures(), "weights": flat(module)}


def flat(module: Any) -> torch.Tensor:
    """A copy of all trained weights, in the gradients' order."""
    return torch.cat([whole(p.detach()).flatten() for p in module.model.trainable_parameters()])


def carried_out(case: str, sd: Path, folder: Path, devices: int = 1) -> dict[str, Any]:
    """Evaluates, trains and evaluates again; what this rank saw of it. The higher its number, the more is free."""
    folder.mkdir(parents=True, exist_ok=True)
    module, watch = built(sd, folder, **BASE | CASES[case]), Watch()
    kind = TwoHosts if case == "sharded_hosts" else ShardedStrategy
    strategy = kind() if devices > 1 and case.startswith("sharded") else "auto"
    trainer = trainer_for(module, watch, devices=devices, strategy=strategy)
    with mock.patch.object(auto_sizes, "free_on", lambda device: 16 * 10**6 * (1 + ranks.number())):
        trainer.test(module, verbose=False)
        before = module.figures
        trainer.fit(module)
        trainer.test(module, verbose=False)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {"before": before, "after": module.figures, "stages": watch.stages, "figures": figures,
            "gradients": watch.gradients, "costs": module.costs, "rewards": module.history_of_rewards.state_dict(),
            "sizes": (module.micro_batch, module.rollout_batch)}


def main(sd: str, folder: str, *names: str) -> None:
    """What one rank does, which leaves what it saw of each case in the folder."""
    for name in names:
        found = carried_out(name, Path(sd), Path(folder) / name, devices=int(os.environ["WORLD_SIZE"]))
        torch.save(found, Path(folder) / name / f"{ranks.number()}.pt")
