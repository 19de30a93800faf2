"""Lightning glue of what comes before a stage: every part loaded, on every process, and sizes settled."""

from __future__ import annotations

import torch

from src.core import console
from src.core.errors import UserError
from src.core.host import made_on_host, seeded_on_host
from src.core.processes import ranks, sharding
from src.methods.b2diffurl import auto_sizes
from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.embeddings import Embeddings
from src.methods.b2diffurl.float16 import loss_scale
from src.models import precision


class Loading:
    """The part of the method that reads weights. Lightning asks for the model before each fit and test; one load serves
    them all."""

    _loaded = False

    def configure_model(self) -> None:
        """Loads every part once; the prompts are embedded once for the whole run. Sizes become numbers when needed."""
        with made_on_host():
            if not self._loaded:
                self._load_in_turn()
            auto_sizes.settle(self, training=self.trainer.training)

    def _load_in_turn(self) -> None:
        processes = ranks.count()
        if processes > self.prompts_per_stage:
            raise UserError(f"method.prompts_per_stage={self.prompts_per_stage} on {processes} processes",
                            "each of them needs a trunk of its own", "raise it, or use fewer devices")
        first_of_host, device = self.trainer.local_rank == 0, self.trainer.strategy.root_device
        for turn in (True, False):  # what is downloaded is downloaded once
            with ranks.together():
                if turn == first_of_host:
                    precision.refuse_unfit(self.model.dtype, device, "model.dtype", "use model.dtype=float16, or "
                                           "float32 (sd21, whose attention overflows in float16)")
                    self.load(device)
        if sharding.is_sharded(self.trainer):
            self.model.shard(self.trainer.strategy.mesh())

    def load(self, device: torch.device) -> None:
        with seeded_on_host(self.seed):  # the adapter's start must not depend on what ran before
            self.model.load(device)
        for scorer in self.scorers.values():
            scorer.load(device)
        self.unet = self.model.unet
        self.loss_scale = loss_scale(self.model.dtype, self.model.device)
        if self.wants_compile:
            self.model.compile()
        self.ddim = Ddim.from_scheduler(self.model.scheduler, self.steps, self.eta, device)
        self.usable = int(self.ddim.usable.sum())
        self._refuse_silent_interval()
        self.embed([*self.prompts.train, *self.prompts.heldout])
        self._tell_cut_prompts()
        self._loaded = True

    def embed(self, prompts: list[str]) -> None:
        """The prompts that the policy is asked for from now on, by their numbers."""
        self.words = prompts
        self.embeddings = Embeddings(self.model.encode_prompts, prompts, device=self.model.device,
                                     dtype=self.model.dtype)

    def _tell_cut_prompts(self) -> None:
        cut, most = self.model.text.cut(self.words), self.model.text.tokenizer.model_max_length
        if cut:
            console.warn(f"{len(cut)} of {len(self.words)} prompts are longer than the {most} tokens that the text "
                         f"encoder reads, and lose their ends. The first: {cut[0][:60]!r}...")

    def _refuse_silent_interval(self) -> None:
        """The chain's last step may have no noise, hence no probability; an interval of it alone trains nothing."""
        silent = self.steps - self.usable
        shortest = min(self.interval_of(stage) for stage in range(self.stages))
        if shortest <= silent:
            raise UserError(f"interval={shortest} with eta={self.eta}",
                            f"the last {silent} of {self.steps} steps of this model's scheduler have no noise, so no "
                            "probability to train", f"use interval.start={silent + 1} or more, and eta=1")
