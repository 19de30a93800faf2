"""Whether a run's sizes fit the card that was named, by the formula of src/models/memory.py. Pure Python."""

from typing import Any

from src.core.errors import describe
from src.models.memory import FOOTPRINTS, needed, parts

FREE = 0.05  # share of the card that is left free: the formula is not measured
# What to lower where a part is the largest.
KEYS = {"trajectories": "method.prompts_per_stage", "update": "method.micro_batch",
        "rollout": "method.rollout_batch", "decode": "model.vae_batch"}


def problems(cfg: dict[str, Any]) -> list[str]:
    """One message if the sizes take more than `card_gb`; none where the model's figures are not known."""
    card, model, method = cfg.get("card_gb"), cfg.get("model") or {}, cfg.get("method") or {}
    of = FOOTPRINTS.get(model.get("name"))
    sizes = {"micro_batch": method.get("micro_batch"), "rollout_batch": method.get("rollout_batch"),
             "vae_batch": model.get("vae_batch"), "steps": method.get("steps")}
    sizes = {name: 1 if size == "auto" else size for name, size in sizes.items()}  # auto takes 1 where it has to
    trunks, branches = method.get("prompts_per_stage"), method.get("branches")
    known = all(isinstance(number, int) for number in (*sizes.values(), trunks, branches))
    if of is None or not known or not isinstance(card, int | float) or not model.get("lora_rank"):
        return []
    of = of.at(model.get("resolution") or of.side)
    sizes |= {"pictures": trunks * branches, "checkpointing": bool(model.get("gradient_checkpointing"))}
    need, room = needed(of, **sizes), (1 - FREE) * card
    if need <= room:
        return []
    smallest = {"micro_batch": 1, "rollout_batch": 1, "vae_batch": 1, "checkpointing": True, "pictures": branches}
    least = needed(of, **sizes | smallest)
    value = f"model={model['name']} at {of.side} pixels on a card of {card} GB"
    if least > room:
        return [describe(value, f"takes {least:.1f} GB with the smallest sizes by a formula; 5 % stay free",
                         "use a larger card (memory=24gb), a smaller model or a smaller model.resolution")]
    taken = parts(of, **sizes)
    return [describe(value, f"takes {need:.1f} GB with these sizes by a formula; 5 % stay free",
                     _advice(taken, sizes))]


def _advice(taken: dict[str, float], sizes: dict[str, Any]) -> str:
    """What to lower: the keys of what takes most, largest first."""
    worst = sorted(taken, key=taken.get, reverse=True)[:2]
    lower = "lower " + " or ".join(f"{KEYS[part]} ({part}: {taken[part]:.1f} GB)" for part in worst)
    return lower if sizes["checkpointing"] else f"set model.gradient_checkpointing=true, or {lower}"
