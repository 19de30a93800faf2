"""What a Stable Diffusion's parts keep in GPU memory, counted from their architecture without data.

`saved_by_autograd` runs one forward pass on shapes and types only and adds up what autograd keeps.
"""

from __future__ import annotations

from typing import Any
from unittest import mock


def picture_bytes(side: int) -> int:
    """Of decoding one picture of `side` pixels: about four tensors of 256 channels at full size in bfloat16."""
    return 4 * 256 * side * side * 2


def saved_by_autograd(config: dict[str, Any], rows: int = 2, rank: int = 4) -> dict[str, int]:
    """Bytes of a UNet2DConditionModel with `config` in bfloat16: its weights, and what autograd keeps of a pair.

    Tensors on the meta device have shapes and no data. Attention counts as the fused kernels do: q, k, v and result.
    """
    import torch
    from diffusers import UNet2DConditionModel

    from src.models.diffusion import ATTENTION
    from src.models.lora import add_lora

    with torch.device("meta"), mock.patch("torch.nn.functional.scaled_dot_product_attention", _fused()):
        unet = UNet2DConditionModel.from_config(config).to(torch.bfloat16).requires_grad_(False)
        add_lora(unet, rank, None, ATTENTION)
        weights = {parameter.untyped_storage()._cdata for parameter in unet.parameters()}
        side, width = unet.config.sample_size, unet.config.cross_attention_dim
        inputs = (torch.empty(rows, unet.config.in_channels, side, side, dtype=torch.bfloat16), torch.empty(rows),
                  torch.empty(rows, 77, width, dtype=torch.bfloat16))
        added = _added(unet.config, rows)
        plain, outer, blocks = _Counter(weights), _Counter(weights), []
        with plain:
            unet(*inputs, added_cond_kwargs=added)

        def checkpointed(module: Any, *args: Any) -> Any:
            for tensor in args:
                if isinstance(tensor, torch.Tensor):
                    outer.add(tensor)
            with _Counter(weights) as inner:
                result = module(*args)
            blocks.append(inner.bytes)
            return result

        unet.enable_gradient_checkpointing(checkpointed)
        unet.train()
        with outer:
            unet(*inputs, added_cond_kwargs=added)
    size = sum(parameter.numel() * parameter.element_size() for parameter in unet.parameters())
    return {"unet": size, "pair": plain.bytes, "pair_checkpointed": outer.bytes, "block": max(blocks)}


def _added(config: Any, rows: int) -> dict[str, Any] | None:
    """What SDXL's UNet takes beside the text: a pooled embedding and six sizes."""
    import torch

    if config.addition_embed_type != "text_time":
        return None
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return {"text_embeds": torch.empty(rows, pooled, dtype=torch.bfloat16), "time_ids": torch.empty(rows, 6)}


def _fused() -> Any:
    """An attention that saves what a fused kernel saves, for tensors without data."""
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            result = torch.empty_like(query)
            ctx.save_for_backward(query, key, value, result)
            return result

    return lambda query, key, value, **options: Attention.apply(query, key, value)


class _Counter:
    """Adds up the storages that autograd saves inside it, each once and without the weights."""

    def __init__(self, weights: set[int]) -> None:
        from torch.autograd.graph import saved_tensors_hooks

        self.weights, self.kept = weights, {}
        self.hooks = saved_tensors_hooks(self.add, lambda tensor: tensor)

    def add(self, tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.weights:
            self.kept[storage._cdata] = (storage, storage.nbytes())  # held, so that no address is used twice
        return tensor

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.kept.values())

    def __enter__(self) -> _Counter:
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.hooks.__exit__(*error)
