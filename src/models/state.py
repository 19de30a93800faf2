"""Plain dictionaries of tensors: copied for a checkpoint, compared before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from src.core.errors import UserError


def copied_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that later training does not change."""
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def fits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], owner: str) -> None:
    """Raises UserError unless `state` has exactly the names and shapes of `expected`."""
    differing = sorted(state.keys() ^ expected.keys())
    differing += [name for name in state.keys() & expected.keys() if state[name].shape != expected[name].shape]
    if differing:
        name = differing[0]
        shapes = [str(tuple(s[name].shape)) if name in s else "nothing" for s in (state, expected)]
        raise UserError(f"These trained weights do not fit {owner}: {len(differing)} tensors differ, first {name} "
                        f"({shapes[0]} given, {shapes[1]} needed). Use the model, lora_rank and lora_targets they were "
                        "trained with.")
