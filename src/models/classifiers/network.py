"""A classifier by name: one of timm's networks or one of this folder's, built for the data at hand, and its export."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from src.core.errors import UserError
from src.models.classifiers.names import name_problem, own_networks


class Network:
    """Knows its name only until `build` makes it."""

    def __init__(
        self,
        *,
        name: str,  # timm's name, with or without a tag, local-dir:<folder>, hf-hub:<id>, or a name of this folder's
        pretrained: bool | str = False,  # true: timm's weights of that name; text: a weights file or an export's folder
        options: dict[str, Any] | None = None,  # further arguments of the network, as timm.create_model takes them
    ) -> None:
        self.name, self.pretrained, self.options = name, pretrained, dict(options or {})

    def identity(self) -> str:
        """Names the architecture: equal for two networks of the same kind, whatever weights they start from."""
        options = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}({options})" if options else self.name

    def build(self, num_classes: int, channels: int, size: int) -> nn.Module:
        """A network from [B, channels, size, size] to logits [B, num_classes], on the CPU (or the default device), in
        channels_last and training mode.

        Raises UserError for an unknown name or option, weights out of reach, and a network that cannot serve the data.
        """
        import timm

        register()
        if problem := name_problem(self.name):
            raise UserError(problem)
        arguments = {"num_classes": num_classes, "in_chans": channels, **self._size(size), **self.options}
        try:
            module = timm.create_model(self.name, **arguments)
        except TypeError as error:
            raise UserError(f"model.options={self.options}", f"{self.name} does not take them ({error})",
                            "see the network's arguments in timm") from error
        return module.to(memory_format=torch.channels_last)

    def _size(self, size: int) -> dict[str, int]:
        """Networks with a fixed picture size are told the data's."""
        from timm.models import get_pretrained_cfg, is_model

        known = get_pretrained_cfg(self.name, allow_unregistered=True) if is_model(self.name) else None
        return {"img_size": size} if known is not None and known.fixed_input_size else {}


def register() -> None:
    """Makes this folder's networks known to timm."""
    for file in dict.fromkeys(own_networks().values()):
        importlib.import_module(f"{__package__}.{file.stem}")
