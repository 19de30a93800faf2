"""What of a Stable Diffusion is trained, the adapter or the whole UNet: its state, and its export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from src.models import lora, sharded
from src.models.card import write_card
from src.models.state import copied_state, fits


class Trained:
    """The part of `DiffusionModel` that checkpoints, optimisers and exports ask."""

    @property
    def adapter(self) -> str:
        """What is trained, in a word: `lora r4` or `full`."""
        return f"lora r{self.lora_rank}" if self.lora_rank else "full"

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The adapter's parameters, or the whole UNet's; float32."""
        return [parameter for parameter in self.unet.parameters() if parameter.requires_grad]

    def trainable_state(self) -> dict[str, Tensor]:
        """Copies on the CPU of all trained tensors, by name; of shared weights on rank 0 alone, elsewhere nothing."""
        return sharded.whole_state(self.unet) if self.sharded else copied_state(self._trained())

    def _trained(self) -> dict[str, Tensor]:
        return lora.lora_state(self.unet) if self.lora_rank else self.unet.state_dict()

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Restores `trainable_state`. Raises UserError if names or shapes are another adapter's."""
        fits(state, self._trained(), f"model={self.name} ({self.adapter})")
        if self.lora_rank:
            lora.load_lora_state(self.unet, dict(state))
        elif self.sharded:
            sharded.load_whole(self.unet, state)
        else:
            self.unet.load_state_dict(state)

    def gather(self) -> None:
        """Ends the sharing of weights: rank 0 has the UNet, on the CPU, and may export it."""
        if self.sharded:
            self.unet, self.sharded = sharded.made_whole(self.unet), False

    def export(self, folder: Path | str, *, method: str = "", facts: Iterable[tuple[str, str]] = (), command: str = "",
               figures: Mapping[str, float] | None = None, call: Mapping[str, Any] | None = None) -> Path:
        """Writes the weights in diffusers' own format and a model card README.md; returns the folder.

        `facts` are further lines of the card, `call` the arguments with which diffusers' pipeline draws as the run did.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.lora_rank:
            lora.save_lora(self.unet, folder, self.pipeline)
        else:
            self.unet.save_pretrained(folder / "unet")
        size = {"height": self.resolution, "width": self.resolution} if self.resolution else {}
        write_card(folder, name=self.name, base=self.hub or str(self.path), licence=self.licence, adapter=self.adapter,
                   pipeline=self.pipeline, method=method, facts=facts, command=command, figures=figures or {},
                   scheduler=self._scheduler_changes, call={**call, **size} if call else {})
        return folder
