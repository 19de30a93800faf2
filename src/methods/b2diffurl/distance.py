"""Lightning glue of the protocol's KL: new trajectories, which all ranks draw together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import LongTensor, Tensor

from src.core.processes import ranks
from src.methods.b2diffurl.auto_sizes import enough_for_pictures
from src.methods.b2diffurl.evaluation import EVALUATION_STAGE
from src.methods.b2diffurl.protocol.kl import trajectory_kl


class Distance:
    """The part of the method that measures how far it is from the untrained policy.

    Rank 0 has all pictures and measures them; of what has to be drawn for that, every rank draws a part (`assist`).
    """

    untrained: dict[str, Tensor] | None = None

    def kl_to_base(self, prompt_index: LongTensor, images: int) -> Tensor:
        """[prompts * images, steps]: see `measures.kl`; on the noise of the first `images` pictures of each prompt.
        Rank 0 calls it."""
        ranks.from_first((prompt_index, images))
        return torch.cat([part for parts in self._every_kl(prompt_index, images) for part in parts])

    def assist(self) -> None:
        """What the other ranks do while rank 0 measures: their part of what it asks for, until it asks for `None`."""
        while (asked := ranks.from_first(None)) is not None:
            self._every_kl(*asked)

    def _every_kl(self, prompt_index: LongTensor, images: int) -> list[list[Tensor]]:
        """The KL of all ranks' batches on rank 0, nothing elsewhere. What fails on one of them ends `assist` on all."""
        with ranks.together(), enough_for_pictures(self):
            own = self._own_kl(prompt_index, images)
        return ranks.collected(own)

    def _own_kl(self, prompt_index: LongTensor, images: int) -> list[Tensor]:
        """The KL of this rank's batches, the same ones for any number of ranks."""
        evaluations, total = self.model.evaluations, len(self.words)
        index = prompt_index.repeat(images)
        slots = index + total * torch.arange(images).repeat_interleave(len(prompt_index))
        batches = list(zip(index.split(self.rollout_batch), slots.split(self.rollout_batch), strict=True))
        parts = []
        for some, places in batches[ranks.share(len(batches))]:
            rolled = self.sample_latents(some, places, branches=1, interval=self.steps, stage=EVALUATION_STAGE, seed=0,
                                         keep=True)
            parts.append(trajectory_kl(rolled, self.denoise, self.ddim, self.pretrained, usable=self.usable,
                                       batch=self.rollout_batch).cpu())
        self.model.evaluations = evaluations
        return parts

    def pretrained(self) -> AbstractContextManager[None]:
        """Inside, `denoise` is the untrained policy: the adapter switched off, or a whole UNet's weights exchanged."""
        return self.model.reference() if self.model.lora_rank else _exchanged(self.model, self.untrained)


@contextmanager
def _exchanged(model: Any, weights: dict[str, Tensor]) -> Iterator[None]:
    own = model.trainable_state()
    model.load_trainable_state(weights)
    try:
        yield
    finally:
        model.load_trainable_state(own)
