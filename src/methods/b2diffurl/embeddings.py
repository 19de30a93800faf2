"""Text embeddings of all prompts: on the device as long as they are few, else on the host but for those in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import LongTensor

MOST = 2**30  # bytes that rest on the device: some 9,000 prompts of SD 1.x in half precision, 3,000 of SDXL
CHUNK = 1024  # prompts embedded at once; what is embedded leaves the device at once


class Embeddings:
    """Rows are taken by the numbers of their prompts, as from a tensor."""

    def __init__(self, encode: Callable[[Sequence[str]], Any], prompts: Sequence[str], *, device: torch.device,
                 dtype: torch.dtype) -> None:
        """`encode`: a model's `encode_prompts`. `dtype` is what the UNet reads, in which the encoder computes."""
        host = joined([encode(prompts[start : start + CHUNK]).to("cpu", dtype)
                       for start in range(0, len(prompts), CHUNK)])
        self.device, self.count, self.rests = device, len(prompts), host.nbytes <= MOST
        self.rows, self.host = (host.to(device), None) if self.rests else (None, host)
        self.use(torch.zeros(1, dtype=torch.long))

    def use(self, prompts: LongTensor) -> None:
        """`prompts` [B], on the CPU: the only ones to be asked for until the next call, but for the first of all, with
        which sizes are measured."""
        if self.rests:
            return
        distinct = torch.cat([prompts.new_zeros(1), prompts]).unique()
        places = torch.full((self.count,), self.count)  # of others: out of range
        places[distinct] = torch.arange(len(distinct))
        self.rows, self.place = self.host[distinct].to(self.device), places.to(self.device)

    def __getitem__(self, prompts: LongTensor) -> Any:
        """`prompts` [B], on the device; B rows of what the model's `denoise` takes."""
        return self.rows[prompts if self.rests else self.place[prompts]]


def joined(parts: Sequence[Any]) -> Any:
    """Of a tensor's rows, or of what a model has instead."""
    return torch.cat(parts) if isinstance(parts[0], torch.Tensor) else type(parts[0]).joined(parts)
