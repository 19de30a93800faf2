"""Lightning glue of a stage up to its update: roll out, score, choose; one epoch of the loader is one stage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import LongTensor, Tensor
from torch.utils.data import DataLoader, IterableDataset

from src.core.phase import phase
from src.core.processes import ranks
from src.methods.b2diffurl.auto_sizes import enough_for_pairs
from src.methods.b2diffurl.objectives.weighting import step_weights
from src.methods.b2diffurl.reference import with_reference
from src.methods.b2diffurl.sampling import Rollout
from src.methods.b2diffurl.schedule import interval as interval_at
from src.methods.b2diffurl.stage import choose, draw_prompts
from src.methods.b2diffurl.update import Kept, Update, replayed, updates
from src.rewards.guard import checked_details


class Collecting:
    """The half of a stage that needs no gradient."""

    def interval_of(self, stage: int) -> int:
        return interval_at(stage, stages=self.stages, steps=self.steps, **self.interval)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(_Stage(self), batch_size=None)

    def on_train_start(self) -> None:
        """Past rewards are those of the checkpoint that the training goes on from."""
        before, now = self.history_of_rewards.of, self.scored()
        if not self.history_of_rewards.goes_on_with(now):
            rank_zero_warn(f"the checkpoint's past rewards are of {before}, and this training's are of {now}: each "
                           "prompt's statistics begin anew")

    def collect(self, stage: int) -> list[LongTensor]:
        """Fills `self.kept` and returns the samples of each optimiser step, `updates_per_stage` of them: numbers among
        the kept samples of all ranks."""
        before = self.model.evaluations
        interval = self.interval_of(stage)
        prompt_index, slots = draw_prompts(self.prompts_per_stage, len(self.prompts.train), seed=self.seed, stage=stage)
        own = ranks.share(len(slots))  # of the trunks; their trajectories never leave this rank
        with (ranks.together(self.clock.between_ranks), self.clock("sample"),
              phase(self.trainer, "sampling", total=self.steps, unit="step", most=self.steps) as advance):
            rolled = self.sample_latents(prompt_index[own], slots[own], branches=self.branches, interval=interval,
                                         stage=stage, seed=self.seed, keep=True, progress=advance,
                                         most=ranks.largest_share(len(slots)) if self.model.sharded else 0)
        with ranks.together(self.clock.between_ranks):
            scores = self.score(rolled)
        with self.clock.between_ranks():
            every = ranks.gathered(scores)
        scores = {name: torch.cat([one[name] for one in every]) for name in scores}
        rewards = scores.pop(self.reward.name)
        self.queries += len(rewards)
        prompts, trunks = (rows.repeat_interleave(self.branches) for rows in (prompt_index, slots))
        chosen, advantages, self.stage_stats = choose(prompts, trunks, rewards, self.history_of_rewards, self.choice)
        self._keep(rolled, own.start * self.branches, chosen, advantages)
        self.keeper = ranks.owner(chosen // self.branches, len(slots))
        sigma = self.ddim.sigma[self.kept.step_indices]
        self.step_weights = step_weights(sigma, self.objective.weighting)
        plan = updates(len(chosen), inner_epochs=self.inner_epochs, samples_per_update=self.samples_per_update,
                       seed=self.seed, stage=stage, group=self.choice.group)
        if self.kept_in_all:
            with enough_for_pairs(self):
                self._complete(plan[: len(plan) // self.inner_epochs])
        self.policy_stats: list[dict[str, Any]] = []
        self.policy_row: dict[str, float] | None = None
        self.stage_stats |= {f"reward/{part}": values.mean().item() for part, values in scores.items()}
        self.stage_stats |= {"interval": float(interval)}
        self.stage_evaluations = self.model.evaluations - before
        return plan + [torch.empty(0, dtype=torch.long)] * (self.updates_per_stage - len(plan))

    def _keep(self, rolled: Rollout, first: int, chosen: LongTensor, advantages: Tensor) -> None:
        """`self.kept`: those of the stage's chosen samples that this rank drew; `first` is the number of its first."""
        mine = (chosen >= first) & (chosen < first + len(rolled.latents))
        self.kept_in_all, self.place = len(chosen), torch.where(mine, mine.cumsum(0) - 1, -1)
        device = rolled.latents.device
        self.kept = Kept.of(rolled, (chosen[mine] - first).to(device), advantages[mine].to(device), self.usable,
                            self.choice.group)

    def own(self, samples: LongTensor) -> LongTensor:
        """Of numbers of kept samples, those that this rank holds, as places in `self.kept`."""
        place = self.place[samples]
        return place[place >= 0]

    def most(self, samples: LongTensor) -> int:
        """Of numbers of kept samples, the most that any rank holds, where all have to call the UNet equally often."""
        return self._most_of_any(samples) if self.model.sharded else 0

    def _most_of_any(self, samples: LongTensor) -> int:
        return int(self.keeper[samples].bincount().max()) if len(samples) else 0

    def _complete(self, first_pass: list[LongTensor]) -> None:
        """What the update compares with, where the rollout does not give it: no gradient, before any weight moves."""
        pairs, with_kl = self.kept.old_log_probs.numel(), self.objective.kl_weight > 0
        steps = len(self.kept.step_indices)
        batches = sum(math.ceil(self._most_of_any(samples) * steps / self.micro_batch) for samples in first_pass)
        most, first_pass = ([of(samples) for samples in first_pass] for of in (self.most, self.own))
        if self.needs_replay:
            with self.clock("train"), phase(self.trainer, "replaying", pairs, "pair", most=batches) as advance:
                self.kept = replayed(self.denoise, self.ddim, self.kept, first_pass, self.micro_batch, advance,
                                     with_graph=self.wants_compile, most=most)
        if self.objective.needs_reference or with_kl:
            with self.clock("train"), phase(self.trainer, "comparing", pairs, "pair", most=batches) as advance:
                self.kept = with_reference(self.model.reference(), self.denoise, self.ddim, self.kept, first_pass,
                                           self.micro_batch, means=with_kl, progress=advance)

    @property
    def updates_per_stage(self) -> int:
        """Optimiser steps of a stage that keeps as much as its selection can; what a stage lacks are empty steps."""
        return self.inner_epochs * math.ceil(self.prompts_per_stage * self.kept_per_trunk / self.samples_per_update)

    @property
    def kept_per_trunk(self) -> int:
        """Samples of a trunk that the selection keeps at most."""
        every = self.choice.selection == "all" and not self.choice.couples
        return self.branches if every else min(2, self.branches)

    def score(self, rolled: Rollout) -> dict[str, Tensor]:
        """Rewards [M] of a rollout's pictures under the reward's name, and its parts': decoded and scored in chunks,
        so that pictures never pile up; on the CPU."""
        size = self.rollout_batch
        total, most = len(rolled.latents), ranks.largest_share(self.prompts_per_stage) * self.branches
        chunks = []
        with self.clock("score"), phase(self.trainer, "scoring", total, "picture", math.ceil(most / size)) as advance:
            for latents, index in zip(rolled.latents.split(size), rolled.prompt_index.split(size), strict=True):
                words = [self.words[i] for i in index.tolist()]
                chunks.append(checked_details(self.reward, self.model.decode(latents), words, self.run_dir))
                advance(len(latents))
        return {name: torch.cat([chunk[name] for chunk in chunks]).cpu() for name in chunks[0]}

    @property
    def needs_replay(self) -> bool:
        """In half precision, and in a GPU's TF32, a row's rounding depends on its batch; its 1e-3 of log-ratio exceed
        DDPO's clip range. Compiled, rollout and update are different code."""
        if self.replay != "auto":
            return self.replay == "always"
        return self.wants_compile or self.model.dtype != torch.float32 or self.model.device.type != "cpu"


class _Stage(IterableDataset):
    """Iterating rolls out the current stage, then gives its optimiser steps. Lazy, so that a resumed run, which asks
    for the finished epoch's loader once more, does not sample for nothing; of known length, so that nothing is
    fetched ahead."""

    def __init__(self, module: Collecting) -> None:
        self.module = module

    def __len__(self) -> int:
        return self.module.updates_per_stage

    def __iter__(self) -> Iterator[Update]:
        yield from map(Update, self.module.collect(self.module.current_epoch))
