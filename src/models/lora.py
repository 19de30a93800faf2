"""LoRA on a diffusers UNet through peft: added, read, restored, switched off, saved for plain diffusers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from src.core.errors import UserError


def add_lora(unet: nn.Module, rank: int, alpha: float | None, targets: Sequence[str]) -> None:
    """Adds a trainable adapter in float32 to the frozen `unet`; it starts as zero. alpha None means alpha = rank.

    A base in half precision needs autocast around it. There is no dropout: it would break the ratio of new to old
    probabilities.
    Raises UserError if a target names no module.
    """
    from peft import LoraConfig
    from peft.tuners.tuners_utils import BaseTunerLayer

    from src.models.lora_linear import add_in_place

    _check_targets(unet, targets)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank if alpha is None else alpha, target_modules=list(targets),
                                lora_dropout=0.0, init_lora_weights=True))
    for parameter in unet.parameters():
        if parameter.requires_grad:  # peft copies the base's precision; updates of 1e-4 need more
            parameter.data = parameter.data.float()
    for module in unet.modules():
        if isinstance(module, BaseTunerLayer):  # else peft makes each input float32, for autocast to make it half again
            module.cast_input_dtype_enabled = False
    add_in_place(unet)


def _check_targets(unet: nn.Module, targets: Sequence[str]) -> None:
    names = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    unknown = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in names)]
    if unknown or not targets:
        leaves = sorted({_ending(name) for name in names})
        raise UserError(f"model.lora_targets: {unknown or 'the empty list'} names no module of this UNet. "
                        f"It has {', '.join(leaves)}.")


def _ending(name: str) -> str:
    """`to_q` of `...attn1.to_q`, but `to_out.0` of `...attn1.to_out.0`: a bare number says nothing."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() and len(parts) > 1 else parts[-1]


def lora_state(unet: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors by peft's names."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(unet)


def load_lora_state(unet: nn.Module, state: dict[str, Tensor]) -> None:
    """Restores what `lora_state` gave. The caller has compared names and shapes."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(unet, state)


@contextmanager
def lora_off(unet: nn.Module) -> Iterator[None]:
    """Inside, the UNet is the pretrained one, without gradients."""
    unet.disable_adapters()
    try:
        with torch.no_grad():
            yield
    finally:
        unet.enable_adapters()


def save_lora(unet: nn.Module, folder: Path, pipeline: str) -> None:
    """Writes what `load_lora_weights(folder)` of a pipeline of that class reads, with rank, alpha and targets in the
    metadata."""
    import diffusers

    getattr(diffusers, pipeline).save_lora_weights(folder, unet_lora_layers=lora_state(unet),
                                                   unet_lora_adapter_metadata=unet.peft_config["default"].to_dict())
