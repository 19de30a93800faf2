"""Where a classifier's first weights come from, told to timm.create_model; or what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from src.core.errors import UserError, describe, did_you_mean
from src.core.hub import cached_snapshot, offline_message, unreachable
from src.models.classifiers.check import pretrained_problem
from src.models.classifiers.names import SOURCES

PATTERNS = ("config.json", "model.safetensors")
CLOSE = 1e-3  # two numbers for one mean of pictures in [0, 1]


def first_weights(name: str, pretrained: bool | str) -> dict[str, Any]:
    """Arguments of timm.create_model: the name and what makes it load `pretrained`. A file is for `load_file`.

    Raises UserError for weights that are not there, not of this network or out of reach.
    """
    if isinstance(pretrained, str):
        if problem := pretrained_problem(name, pretrained):
            raise UserError(problem)
        folder = Path(pretrained).expanduser()
        return {"model_name": name} if folder.is_file() else _folder(name, folder)
    if pretrained and not name.startswith(SOURCES):
        _published(name)
    return {"model_name": name, "pretrained": pretrained}


def load_file(module: nn.Module, file: Path) -> None:
    """Loads a network's tensors by their names; the last layer only if it has as many classes as the data.

    Raises UserError if the file cannot be read or holds other tensors than the network has.
    """
    from timm.models import load_state_dict

    try:
        state = load_state_dict(str(file))
    except Exception as error:  # the formats have a dozen exceptions for a broken file
        raise UserError(f"model.pretrained={file}", f"it cannot be read ({type(error).__name__}: {str(error)[:200]})",
                        "give a .safetensors or .pth file of tensors by name") from error
    last = module.pretrained_cfg["classifier"]
    layers = tuple(f"{layer}." for layer in ([last] if isinstance(last, str) else last or []))
    own = module.state_dict()
    taken = {name: tensor for name, tensor in state.items()
             if not (name.startswith(layers) and name in own and tensor.shape != own[name].shape)}
    wrong = [name for name in taken if name not in own or taken[name].shape != own[name].shape]
    wrong += [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if wrong:
        raise UserError(f"model.pretrained={file}", f"{len(wrong)} tensors are not those of this network, first "
                        f"{wrong[0]}", "give weights of the same network, and the model.options they were trained with")
    module.load_state_dict(taken, strict=False)


def other_statistics(expected: Mapping[str, Any], mean: Sequence[float], std: Sequence[float]) -> str | None:
    """One line if the weights, whose `pretrained_cfg` is `expected`, are used to pictures that were normalised by other
    numbers than `mean` and `std` [channels]; None if not, or if nobody knows."""
    used = [*(expected.get("mean") or ()), *(expected.get("std") or ())]
    own, count = [*mean, *std], len(mean)
    if len(used) != len(own) or all(abs(one - other) < CLOSE for one, other in zip(used, own, strict=True)):
        return None
    keys = f"data.mean={used[:count]} data.std={used[count:]}".replace(", ", ",")
    return describe(f"the pretrained weights expect pictures normalised by mean {used[:count]} and std {used[count:]}",
                    f"this run normalises them by mean {own[:count]} and std {own[count:]}",
                    f"for folders of pictures, set {keys}")


def _folder(name: str, folder: Path) -> dict[str, Any]:
    architecture = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architecture")
    if architecture != name.partition(".")[0]:
        raise UserError(f"model.pretrained={folder}", f"it holds a {architecture}, and model.name is {name}",
                        "give weights of the same network")
    return {"model_name": f"local-dir:{folder}", "pretrained": True}


def _published(name: str) -> None:
    """Raises UserError unless timm knows weights of that name and they are in the cache or may be in reach."""
    from timm import list_pretrained
    from timm.models import get_pretrained_cfg

    bare, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in list_pretrained(f"{bare}.*")]
    if tag and tag not in tags:
        raise UserError(f"model.name={name}", f"{bare} has no weights of that name", did_you_mean(tag, tags))
    known = get_pretrained_cfg(name)
    if not known or not known.has_weights:
        raise UserError("model.pretrained=true", f"timm has no weights of {name}", "give false, a file or a folder")
    cached = known.hf_hub_id and cached_snapshot(known.hf_hub_id)
    if known.hf_hub_id and not cached and (reason := unreachable()):
        raise UserError(offline_message(known.hf_hub_id, "model.pretrained", PATTERNS, reason))
