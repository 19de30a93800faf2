"""Lightning glue of a stage's updates: one batch of the loader is one optimiser step, and its figures are a row."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn

from src.core.phase import phase
from src.core.processes import ranks
from src.core.processes.parts import whole
from src.methods.b2diffurl import auto_sizes
from src.methods.b2diffurl.figures import policy_figures, policy_sums
from src.methods.b2diffurl.float16 import norm_figures
from src.methods.b2diffurl.update import Update, loss_of, pairs_of, policy


class Updating:
    """The half of a stage that trains."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.model.trainable_parameters(), lr=self.lr, betas=self.betas,
                                 weight_decay=self.weight_decay)

    def lr_of(self, stage: int) -> float:
        """Learning rate of a stage: constant, or falling linearly towards 0 after the last stage."""
        return self.lr * (1 - stage / self.stages) if self.lr_schedule == "linear" else self.lr

    def training_step(self, update: Update, index: int) -> None:
        """One optimiser step: the loss is the mean over all (sample, step) pairs of its samples."""
        samples = update.samples
        if not len(samples):
            return
        before, own = self.model.evaluations, self.own(samples).to(self.model.device, non_blocking=True)
        optimizer, parameters = self.optimizers(), self.model.trainable_parameters()
        optimizer.zero_grad(set_to_none=True)
        optimizer.param_groups[0]["lr"] = self.lr_of(self.current_epoch)
        steps = len(self.kept.step_indices)
        pairs_in_all = len(samples) * steps
        with (self.clock("train"), phase(self.trainer, "updating", total=len(own) * steps, unit="pair") as advance,
              self._gradients_stay_here(), auto_sizes.enough_for_pairs(self)):
            batches = list(pairs_of(own, steps, self.micro_batch, self.kept.group, self.most(samples)))
            for place, pairs in enumerate(batches, 1):
                self.model.ends_update(place == len(batches))
                mean, new = policy(self.denoise, self.ddim, self.kept, pairs)
                if not pairs.real:  # other ranks have more, and need this one's part of the weights
                    self.manual_backward(new.sum())
                    continue
                loss, stats = loss_of(self.objective, self.ddim, self.kept, pairs, mean, new, self.step_weights)
                self.manual_backward(self.loss_scale.scale(loss.sum() * self.averaged_over / pairs_in_all))
                self.policy_stats.append(stats | {"policy/loss": loss.detach().mean(), "first": index == 0,
                                                  "pairs": pairs.real})
                advance(pairs.real)
        if not self.model.sharded:
            with self.clock.between_ranks():
                ranks.sum_gradients(parameters)
        with self.clock("train"):
            self.loss_scale.unscale_(optimizer)
            if self.grad_clip:
                norm = whole(torch.nn.utils.clip_grad_norm_(parameters, self.grad_clip)).detach()
                self.policy_stats.append(norm_figures(norm, self.loss_scale) | {"first": False, "pairs": 1})
            with auto_sizes.enough_for_pairs(self):  # the first one makes room for the moments
                self.loss_scale.step(optimizer)
            self.loss_scale.update()
        self.stage_evaluations += self.model.evaluations - before

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

    def on_train_batch_end(self, *_: Any) -> None:
        """After a stage's last update; what callbacks do at its end is told what it cost."""
        if self.trainer.is_last_batch:
            self._count_evaluations()

    def _count_evaluations(self) -> None:
        self.clock.add_evaluations(sum(ranks.gathered(self.stage_evaluations)))
        self.stage_evaluations = 0

    def on_train_epoch_end(self) -> None:
        """One row of figures a stage; nothing was read from the device before."""
        self._count_evaluations()  # of a stage that trainer.max_steps has ended early
        rows = self.policy_figures()
        kept, self.kept = self.kept_in_all, None
        self.log("reward/mean", self.stage_stats.pop("reward/mean"), prog_bar=True)
        self.log_dict({**self.stage_stats, **rows, **self.costs, "select/samples": float(kept)})
        if not kept:
            rank_zero_warn(f"stage {self.current_epoch + 1}: no branch passed the thresholds, the update is skipped")
