"""A trained classifier in timm's own format, with the code it needs and a model card."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.models.classifiers.card import write_card
from src.models.classifiers.names import own_networks

# What timm says of its published weights, and what no longer holds for these.
_OF_OTHERS = ("test_input_size", "test_crop_pct", "test_pool_size", "label_names", "label_descriptions", "label_offset",
              "state_dict", "file", "tag", "description", "notes")


def export(folder: Path, module: nn.Module, *, file: Path | None, options: Mapping[str, Any], pretrained: bool,
           classes: Sequence[str], mean: Sequence[float], std: Sequence[float], size: int, scaled_to: int | None,
           method: str, command: str, figures: Mapping[str, float], data: str) -> None:
    """Writes config.json (architecture, options, class names, mean, std and size of the pictures, and how they are
    brought to it), model.safetensors, README.md, and a copy of the network's file if it is not timm's: `file`, or one
    of this folder.

    timm.create_model("local-dir:<folder>", pretrained=True) then gives `module` back, and timm's transform shows it
    pictures as the run's evaluation did. `module` is left as it is.
    """
    from timm.models import save_for_hf

    folder.mkdir(parents=True, exist_ok=True)
    # safetensors stores no strides, and training may have compiled the module or put it on another device.
    plain = copy.deepcopy(module).to("cpu", memory_format=torch.contiguous_format)
    source = plain.pretrained_cfg
    plain.pretrained_cfg = {key: value for key, value in source.items() if key not in _OF_OTHERS} | {
        "num_classes": len(classes), "input_size": (len(mean), size, size), "mean": tuple(mean), "std": tuple(std),
        "crop_pct": _shown(size, scaled_to or size), "crop_mode": "center", "interpolation": "bilinear"}
    save_for_hf(plain, str(folder), model_config={"label_names": list(classes)}, model_args=dict(options),
                safe_serialization=True)
    architecture = source["architecture"]
    if file := file or own_networks().get(architecture):
        shutil.copyfile(file, folder / file.name)
    write_card(folder, architecture=architecture, file=file, classes=classes, channels=len(mean), size=size,
               weights=sum(parameter.numel() for parameter in plain.parameters()), method=method, data=data,
               command=command, figures=figures, licence=source.get("license") if pretrained else None)


def _shown(size: int, scaled_to: int) -> float:
    """The share of the shorter side that is seen, such that timm scales this side to floor(size / share) =
    `scaled_to`: a share that was rounded up would miss it by a pixel."""
    share = size / scaled_to
    return share if math.floor(size / share) == scaled_to else math.nextafter(share, 0)
