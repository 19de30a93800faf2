"""Whether a verifier can read the prompts: it knows the shapes world alone. Pure Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from src.core.errors import UserError, describe
from src.data.check import READABLE
from src.data.shape_words import parse


def problems(cfg: dict[str, Any]) -> list[str]:
    """One message if a verifier scores or measures and the prompts are none of its world's."""
    places = list(_verifiers(cfg))
    if not places or (wrong := _unreadable(cfg.get("data") or {})) is None:
        return []
    removed = [f"~{place}" for place in places if place != "reward"]
    ways = [f"leave it out: {' '.join(removed)}"] if removed else []
    ways += ["take another reward, as reward=clip"] if "reward" in places else []
    return [describe(f"data: {wrong}", f"the verifier ({', '.join(places)}) reads only prompts as 'a red circle above "
                     "a blue square'", " and ".join(ways))]


def _verifiers(cfg: dict[str, Any]) -> Iterator[str]:
    """The places on the command line of what asks the verifier in this mode."""
    nodes = {"reward": cfg.get("reward")}
    groups = ("scorers", "measures") if cfg.get("mode") == "protocol" else ("scorers",)
    nodes |= {f"{group}.{name}": node for group in groups for name, node in (cfg.get(group) or {}).items()}
    for place, node in nodes.items():
        if isinstance(node, dict) and "erifier" in str(node.get("_target_")).rpartition(".")[2]:
            yield place


def _unreadable(data: dict[str, Any]) -> str | None:
    """The first prompt that is not of the shapes world; what is wrong with the prompts otherwise, others say."""
    options = {key: value for key, value in data.items() if key != "_target_"}
    kind = READABLE.get(str(data.get("_target_")))
    try:
        prompts = kind(**options) if kind else None
    except (UserError, TypeError, ValueError, AttributeError):
        return None
    for prompt in [*prompts.train, *prompts.heldout] if prompts else []:
        try:
            parse(prompt)
        except ValueError:
            return repr(prompt)
    return None
