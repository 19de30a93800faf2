"""Lightning glue of B²-DiffuRL: one epoch is one stage, one batch is one optimiser step.

The maths is in sampling, selection, update and objectives; Lightning's order is here and in the parts of the class:
loading, collecting (roll out, score, choose), updating, evaluating, comparing (mode=protocol), describing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import LongTensor, Tensor

from src.core import results
from src.data.prompts import PromptSet
from src.methods.b2diffurl import auto_sizes
from src.methods.b2diffurl.clock import Clock
from src.methods.b2diffurl.collecting import Collecting
from src.methods.b2diffurl.comparing import Comparing
from src.methods.b2diffurl.describing import Describing
from src.methods.b2diffurl.evaluating import Evaluating
from src.methods.b2diffurl.loading import Loading
from src.methods.b2diffurl.measures.base import Measure
from src.methods.b2diffurl.objectives.base import Objective
from src.methods.b2diffurl.sampling import Rollout, rollout
from src.methods.b2diffurl.selection import Normaliser, RewardHistory, Rule
from src.methods.b2diffurl.stage import SelectionOptions
from src.methods.b2diffurl.update import Kept
from src.methods.b2diffurl.updating import Updating
from src.models.diffusion import DiffusionModel
from src.rewards.base import Reward


class B2DiffuRL(Loading, Comparing, Collecting, Updating, Evaluating, Describing, L.LightningModule):
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
        normaliser: Normaliser,
        history: int,
        std_floor: float,
        min_count: int,
        selection: Rule,
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
        self.choice = SelectionOptions(normaliser, std_floor, min_count, selection, positive_threshold,
                                       negative_threshold, advantage_clip, positive_weight, negative_weight,
                                       objective.couples)
        self.inner_epochs, self.samples_per_update = inner_epochs, samples_per_update
        self.micro_batch, self.rollout_batch, self.replay = micro_batch, rollout_batch, replay
        self.wants_compile = compile
        self.lr, self.lr_schedule, self.betas = lr, lr_schedule, tuple(betas)
        self.weight_decay, self.grad_clip = weight_decay, grad_clip
        self.eval_every, self.eval_prompts, self.eval_images, self.curve_images = (
            eval_every, eval_prompts, eval_images, curve_images)
        self.seed, self.run_dir, self.figures, self.label = 0, Path("."), {}, "eval"  # core sets the first two
        self.history_of_rewards = RewardHistory(history)
        self.clock = Clock()
        self.queries = 0
        self.kept: Kept | None = None

    # --- one stage ------------------------------------------------------------------------------------------------

    def denoise(self, latents: Tensor, step_index: LongTensor, prompt_index: LongTensor) -> Tensor:
        """The policy's model output, guidance included; rollout and update both call this."""
        return self.model.denoise(latents, self.ddim.timesteps[step_index], self.embeddings[prompt_index],
                                  self.guidance_scale, self.guidance_rescale)

    def sample_latents(self, prompt_index: LongTensor, slots: LongTensor, *, branches: int, interval: int, stage: int,
                       seed: int, keep: bool, progress: Any = None, most: int = 0) -> Rollout:
        self.embeddings.use(prompt_index)
        device = self.model.device  # self.device is the host while Lightning has no loop
        with auto_sizes.enough_for_pictures(self):
            return rollout(self.denoise, self.ddim, prompt_index.to(device), slots.to(device), branches=branches,
                           interval=interval, latent_shape=self.model.latent_shape, seed=seed, stage=stage,
                           max_batch=self.rollout_batch, keep=keep, shared_trunk=self.shared_trunk,
                           progress=progress, most=most)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """A batch is numbers of samples, or of prompts: the host looks them up."""
        return batch

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
                                   "clock": self.clock.state_dict(), "loss_scale": self.loss_scale.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["b2diffurl"]
        self.history_of_rewards.load_state_dict(state["history"])
        self.queries = state["queries"]
        self.clock.load_state_dict(state["clock"])
        if state.get("loss_scale"):  # one begun in another precision has none
            self.loss_scale.load_state_dict(state["loss_scale"])

    def before_export(self) -> None:
        """On every rank: the weights come together where they are written."""
        self.model.gather()
        self.unet = self.model.unet

    def export(self, folder: Path) -> None:
        """The trained weights as plain diffusers reads them, with a model card that says how to draw as the run did."""
        call = {"prompt": self.prompts.train[0], "num_inference_steps": self.steps, "eta": self.eta,
                "guidance_scale": self.guidance_scale, "guidance_rescale": self.guidance_rescale}
        facts = [(key, value) for key, value in self.banner() if key not in ("model", "its cost")]
        self.model.export(folder, method="B2-DiffuRL", facts=facts, figures=self.figures, call=call,
                          command=str(results.read(self.run_dir).get("command") or ""))
