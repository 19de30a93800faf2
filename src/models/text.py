"""A CLIP text encoder out of a pipeline's folder: prompts in batches, embedded once a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class TextEncoder:
    """Tokenizer and encoder; the encoder rests on the CPU and comes to the device only while it works."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, *, suffix: str = "",
                 projection: bool = False) -> None:
        """Reads `tokenizer<suffix>` and `text_encoder<suffix>`; with `projection` a pooled embedding comes with it."""
        from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

        kind = CLIPTextModelWithProjection if projection else CLIPTextModel
        self.device = device
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}")
        self.network = kind.from_pretrained(folder / f"text_encoder{suffix}", dtype=dtype).eval().requires_grad_(False)

    def cut(self, prompts: Sequence[str]) -> list[str]:
        """Those of `prompts` whose end the encoder does not read."""
        tokens = self.tokenizer(list(prompts), truncation=False, verbose=False).input_ids
        return [prompt for prompt, found in zip(prompts, tokens, strict=True)
                if len(found) > self.tokenizer.model_max_length]

    @torch.no_grad()
    def outputs(self, prompts: Sequence[str], batch: int, **options: Any) -> Iterator[Any]:
        """What the encoder says of `prompts`, `batch` of them at a time, padded and cut to its number of tokens."""
        self.network.to(self.device)
        for start in range(0, len(prompts), batch):
            tokens = self.tokenizer(list(prompts[start : start + batch]), padding="max_length", truncation=True,
                                    max_length=self.tokenizer.model_max_length, return_tensors="pt")
            masked = getattr(self.network.config, "use_attention_mask", False)
            mask = tokens.attention_mask.to(self.device) if masked else None
            yield self.network(tokens.input_ids.to(self.device), attention_mask=mask, **options)
        self.network.to("cpu")

    def last_states(self, prompts: Sequence[str], batch: int) -> Tensor:
        """[P, L, D] in float32, after the final norm: what SD 1.x and 2.x are conditioned on."""
        return torch.cat([output[0].float() for output in self.outputs(prompts, batch)])

    def penultimate_states(self, prompts: Sequence[str], batch: int) -> tuple[Tensor, Tensor]:
        """[P, L, D] before the last layer and the output's first field ([P, D'] with a projection), in float32."""
        outputs = self.outputs(prompts, batch, output_hidden_states=True)
        parts = [(output.hidden_states[-2].float(), output[0].float()) for output in outputs]
        states, pooled = zip(*parts, strict=True)
        return torch.cat(states), torch.cat(pooled)
