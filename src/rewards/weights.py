"""Loading for rewards: folders, bare files of weights, and the heads that sit on them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from src.core.errors import UserError
from src.core.places import local_path
from src.models.fetch import loading, weights_folder
from src.rewards.needs import Need

Dtype = Literal["float32", "bfloat16", "float16"]  # of a reward's network


def folder_of(path: str, need: Need) -> Path:
    """The local folder behind a path or hub id. Raises UserError that says what is missing and how to get it."""
    return weights_folder(path, need.files, f"reward.{need.option}", need.patterns)


def file_of(path: str, need: Need) -> Path:
    """The file of weights: the path itself, or the one that the folder or hub repository holds. Raises UserError."""
    file = local_path(path)
    if file is not None and file.is_file():
        return file
    folder = folder_of(path, need)
    return next(folder / name for name in need.files[0] if (folder / name).is_file())


def state_of(path: str, need: Need) -> dict[str, Tensor]:
    """The tensors of a file of weights (.pt, .pth, .bin, .safetensors), on the CPU. Raises UserError."""
    file, option = file_of(path, need), f"reward.{need.option}"
    with loading(option, str(file)):
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = _unpickled(file)
    for inner in ("state_dict", "model"):
        state = state.get(inner, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{option}={path}", "this file holds no state dict", "give the published file of weights")
    return state


def _unpickled(file: Path) -> dict:
    from pickle import UnpicklingError

    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError) as error:
        raise ValueError(str(error) or "not a file that torch.save wrote") from error


def linear_chain(state: dict[str, Tensor], prefix: str, path: str, width: int | None = None) -> nn.Sequential:
    """Linear layers one after the other, out of the keys `<prefix><number>.weight` and `.bias`, in order.

    LAION's aesthetic head and ImageReward's are of this kind: dropout between the layers, no activation.
    Raises UserError if there are none, if they do not fit together, or not to `width` inputs and one output.
    """
    found = [re.fullmatch(re.escape(prefix) + r"(\d+)\.weight", key) for key in state]
    numbers = sorted(int(match[1]) for match in found if match)
    layers = [_linear(state[f"{prefix}{n}.weight"], state.get(f"{prefix}{n}.bias")) for n in numbers]
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    fits = bool(sizes) and all(one[1] == two[0] for one, two in pairwise(sizes))
    if not fits or sizes[-1][1] != 1 or width not in (None, sizes[0][0]):
        raise UserError(path, f"its layers {prefix}* are {sizes or 'missing'}, and should lead from "
                              f"{width or 'the embedding'} values to one score", "give the published file of weights")
    return nn.Sequential(*layers).float().eval().requires_grad_(False)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer
