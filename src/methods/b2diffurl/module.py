"""Lightning glue of B²-DiffuRL: one epoch is one stage, one batch is one optimiser step.

The maths is in sampling, selection, update and objectives; this file only puts it in Lightning's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import LongTensor, Tensor

from src.core import ranks, sharding
from src.core.errors import UserError
from src.core.progress import phase
from src.data.prompts import PromptSet
from src.methods.b2diffurl import fitting, selection
from src.methods.b2diffurl.clock import Clock
from src.methods.b2diffurl.collecting import Collecting
from src.methods.b2diffurl.comparing import Comparing
from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.describing import Describing
from src.methods.b2diffurl.evaluating import Evaluating
from src.methods.b2diffurl.figures import policy_figures, policy_sums
from src.methods.b2diffurl.measures.base import Measure
from src.methods.b2diffurl.objectives.base import Objective
from src.methods.b2diffurl.sampling import Rollout, rollout
from src.methods.b2diffurl.stage import Choice
from src.methods.b2diffurl.update import Kept, loss_of, pairs_of, policy
from src.models.diffusion import DiffusionModel
from src.rewards.base import Reward


class B2DiffuRL(Comparing, Collecting, Evaluating, Describing, L.LightningModule):
    """Hu et al., CVPR 2025. With `branches=1` and the whole chain as interval it is plain DDPO.

    Sizes are totals over all devices; the YAML beside the method says what each key means. Several processes do what
    one would: each draws and keeps its share of the trunks, all know all rewards, and gradients are added up.
    """

    epoch_name = "stage"  # for the console
    shardable = True  # for trainer=fsdp

    def __init__(
        self,
        *,
        model: DiffusionModel,
        prompts: PromptSet,
        reward: Reward,
        scorers: Mapping[str, Reward],
        measures: Mapping[str, Measure],
        objective: Objective,
        stages: int,
        prompts_per_stage: int,
        branches: int,
        steps: int,
        interval: dict[str, Any],
        shared_trunk: bool,
        eta: float,
        guidance_scale: float,
        guidance_rescale: float,
        normaliser: selection.Normaliser,
        history: int,
        std_floor: float,
        selection: selection.Rule,
        positive_threshold: float,
        negative_threshold: float,
        advantage_clip: float | None,
        positive_weight: float,
        negative_weight: float,
        inner_epochs: int,
        samples_per_update: int,
        micro_batch: int | Literal["auto"],
        rollout_batch: int | Literal["auto"],
        replay: Literal["auto", "always", "never"],
        compile: bool,
        lr: float,
        lr_schedule: Literal["constant", "linear"],
        betas: tuple[float, float],
        weight_decay: float,
        grad_clip: float | None,
        eval_every: int,
        eval_prompts: int,
        eval_images: int,
        curve_images: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.prompts, self.reward, self.objective = model, prompts, reward, objective
        self.scorers = {s.name: s for s in scorers.values()} | {reward.name: reward}
        self.measures = dict(measures)
        self.stages, self.prompts_per_stage, self.branches, self.steps = stages, prompts_per_stage, branches, steps
        self.interval, self.shared_trunk, self.eta = dict(interval), shared_trunk, eta
        self.guidance_scale, self.guidance_rescale = guidance_scale, guidance_rescale
        self.choice = Choice(normaliser, std_floor, selection, positive_threshold, negative_threshold, advantage_clip,
                             positive_weight, negative_weight, objective.couples)
        self.inner_epochs, self.samples_per_update = inner_epochs, samples_per_update
        self.micro_batch, self.rollout_batch, self.replay = micro_batch, rollout_batch, replay
        self.wants_compile = compile
        self.lr, self.lr_schedule, self.betas = lr, lr_schedule, tuple(betas)
        self.weight_decay, self.grad_clip = weight_decay, grad_clip
        self.eval_every, self.eval_prompts, self.eval_images, self.curve_images = (
            eval_every, eval_prompts, eval_images, curve_images)
        self.seed, self.run_dir, self.figures, self.label = 0, Path("."), {}, "eval"  # core sets the first two
        self.history_of_rewards = _history(history)
        self.clock = Clock()
        self.queries = 0
        self.kept: Kept | None = None
        self._loaded = False

    # --- set-up -------------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Loads every part once; the prompts are embedded once for the whole run. Sizes become numbers when needed."""
        if not self._loaded:
            self._load_in_turn()
        fitting.settle(self, training=self.trainer.training)

    def _load_in_turn(self) -> None:
        processes = ranks.count()
        if processes > self.prompts_per_stage:
            raise UserError(f"method.prompts_per_stage={self.prompts_per_stage} on {processes} processes",
                            "each of them needs a trunk of its own", "raise it, or use fewer devices")
        first_of_host = self.trainer.local_rank == 0
        for turn in (True, False):  # what is downloaded is downloaded once
            with ranks.together():
                if turn == first_of_host:
                    self.load(self.trainer.strategy.root_device)
        if sharding.is_sharded(self.trainer):
            self.model.shard(self.trainer.strategy.mesh())

    def load(self, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # the adapter's start must not depend on what ran before
            self.model.load(device)
        for scorer in self.scorers.values():
            scorer.load(device)
        self.unet = self.model.unet
        if self.wants_compile:
            self.model.compile()
        self.ddim = Ddim.from_scheduler(self.model.scheduler, self.steps, self.eta, device)
        self.usable = int(self.ddim.usable.sum())
        self._refuse_silent_interval()
        self.words = [*self.prompts.train, *self.prompts.heldout]
        self.embeddings = self.model.encode_prompts(self.words)
        self._loaded = True

    def _refuse_silent_interval(self) -> None:
        """The chain's last step may have no noise, hence no probability; an interval of it alone trains nothing."""
        silent = self.steps - self.usable
        shortest = min(self.interval_of(stage) for stage in range(self.stages))
        if shortest <= silent:
            raise UserError(f"interval={shortest} with eta={self.eta}",
                            f"the last {silent} of {self.steps} steps of this model's scheduler have no noise, so no "
                            "probability to train", f"use interval.start={silent + 1} or more, and eta=1")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.model.trainable_parameters(), lr=self.lr, betas=self.betas,
                                 weight_decay=self.weight_decay)

    def denoise(self, latents: Tensor, step_index: LongTensor, prompt_index: LongTensor) -> Tensor:
        """The policy's model output, guidance included; rollout and update both call this."""
        return self.model.denoise(latents, self.ddim.timesteps[step_index], self.embeddings[prompt_index],
                                  self.guidance_scale, self.guidance_rescale)

    def sample_latents(self, prompt_index: LongTensor, slots: LongTensor, *, branches: int, interval: int, stage: int,
                       seed: int, keep: bool, progress: Any = None, most: int = 0) -> Rollout:
        with fitting.enough_for_pictures(self):
            return rollout(self.denoise, self.ddim, prompt_index.to(self.device), slots.to(self.device),
                           branches=branches, interval=interval, latent_shape=self.model.latent_shape, seed=seed,
                           stage=stage, max_batch=self.rollout_batch, keep=keep, shared_trunk=self.shared_trunk,
                           progress=progress, most=most)

    # --- the update ---------------------------------------------------------------------------------------------

    def lr_of(self, stage: int) -> float:
        """Learning rate of a stage: constant, or falling linearly towards 0 after the last stage."""
        return self.lr * (1 - stage / self.stages) if self.lr_schedule == "linear" else self.lr

    def training_step(self, samples: LongTensor, index: int) -> None:
        """One optimiser step on `samples`: the loss is the mean over all their (sample, step) pairs."""
        if not len(samples):
            return
        before, own = self.model.evaluations, self.own(samples).to(self.device)
        optimizer, parameters = self.optimizers(), self.model.trainable_parameters()
        optimizer.zero_grad(set_to_none=True)
        optimizer.param_groups[0]["lr"] = self.lr_of(self.current_epoch)
        steps = len(self.kept.step_indices)
        pairs_in_all = len(samples) * steps
        with (self.clock("train"), phase(self.trainer, "updating", total=len(own) * steps, unit="pair") as advance,
              self._gradients_stay_here(), fitting.enough_for_pairs(self)):
            batches = list(pairs_of(own, steps, self.micro_batch, self.kept.group, self.most(samples)))
            for place, pairs in enumerate(batches, 1):
                self.model.ends_update(place == len(batches))
                mean, new = policy(self.denoise, self.ddim, self.kept, pairs)
                if not pairs.real:  # other ranks have more, and need this one's part of the weights
                    self.manual_backward(new.sum())
                    continue
                loss, stats = loss_of(self.objective, self.ddim, self.kept, pairs, mean, new, self.step_weights)
                self.manual_backward(loss.sum() * self.averaged_over / pairs_in_all)
                self.policy_stats.append(stats | {"policy/loss": loss.detach().mean(), "first": index == 0,
                                                  "pairs": pairs.real})
                advance(pairs.real)
        if not self.model.sharded:
            with self.clock.between_ranks():
                ranks.sum_gradients(parameters)
        with self.clock("train"):
            if self.grad_clip:
                norm = sharding.whole(torch.nn.utils.clip_grad_norm_(parameters, self.grad_clip))
                self.policy_stats.append({"policy/grad_norm": norm.detach(), "first": False, "pairs": 1})
            optimizer.step()
        self.stage_evaluations += self.model.evaluations - before

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """A batch is numbers of samples, or of prompts: the host looks them up."""
        return batch

    def _gradients_stay_here(self) -> AbstractContextManager[None]:
        """Lightning's DDP would average at every backward, and wait for ranks that have no sample in this update."""
        return getattr(self.trainer.strategy, "block_backward_sync", nullcontext)()

    @property
    def averaged_over(self) -> int:
        """Shared weights take the mean of the ranks' gradients; others are added up."""
        return ranks.count() if self.model.sharded else 1

    def policy_figures(self) -> dict[str, float]:
        """The stage's `policy/*` of all ranks; the first call of a stage has to come from all of them."""
        if self.policy_row is None:
            with self.clock.between_ranks():
                self.policy_row = policy_figures(ranks.gathered(policy_sums(self.policy_stats)))
        return self.policy_row

    def on_train_epoch_end(self) -> None:
        """One row of figures a stage; nothing was read from the device before."""
        rows = self.policy_figures()
        self.clock.add_evaluations(sum(ranks.gathered(self.stage_evaluations)))
        kept, self.kept = self.kept_in_all, None
        self.log("reward/mean", self.stage_stats.pop("reward/mean"), prog_bar=True)
        self.log_dict({**self.stage_stats, **rows, **self.costs, "select/samples": float(kept)})
        if not kept:
            rank_zero_warn(f"stage {self.current_epoch + 1}: no branch passed the thresholds, the update is skipped")

    @property
    def costs(self) -> dict[str, float]:
        """The three axes of a fair comparison, so far: reward queries, UNet evaluations, seconds by phase."""
        seconds = {f"cost/seconds_{name}": value for name, value in self.clock.seconds.items()}
        counts = {"cost/reward_queries": self.queries, "cost/unet_evaluations": self.clock.evaluations}
        return {name: float(value) for name, value in (counts | seconds).items()}

    # --- what outlives the process ------------------------------------------------------------------------------

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Only what is trained: the frozen base is a folder of its own."""
        return self.model.trainable_state()

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> None:
        self.model.load_trainable_state(state_dict)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["b2diffurl"] = {"history": self.history_of_rewards.state_dict(), "queries": self.queries,
                                   "clock": self.clock.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["b2diffurl"]
        self.history_of_rewards.load_state_dict(state["history"])
        self.queries = state["queries"]
        self.clock.load_state_dict(state["clock"])

    def before_export(self) -> None:
        """On every rank: the weights come together where they are written."""
        self.model.gather()

    def export(self, folder: Path) -> None:
        """The trained weights as plain diffusers reads them, with a model card."""
        self.model.export(folder, method="B2-DiffuRL", figures=self.figures)


def _history(window: int) -> selection.RewardHistory:
    return selection.RewardHistory(window)
