"""What several devices ask of the method's options. Pure Python."""

from typing import Any

from src.core.config import trainer_rules
from src.core.config.check import shares_weights
from src.core.errors import describe

COPIED = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")


def problems(cfg: dict[str, Any]) -> list[str]:
    """One message for each contradiction of strategy, number of devices, model and mode."""
    method, trainer = cfg.get("method") or {}, cfg.get("trainer") or {}
    return _strategy(trainer.get("strategy")) + _sharded(cfg, method, trainer) + _shares(method, trainer)


def _strategy(strategy: Any) -> list[str]:
    if not isinstance(strategy, str) or strategy in COPIED:
        return []
    return [describe(f"trainer.strategy={strategy}", "this method calls the UNet a different number of times on each "
                     "process, which this strategy cannot handle", "use trainer=gpu, which copies the weights to "
                     "every device, or trainer=fsdp, which shares those of a whole UNet")]


def _sharded(cfg: dict[str, Any], method: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    model, mode, found = method.get("model") or {}, cfg.get("mode"), []
    if not shares_weights(trainer):
        return []
    if model.get("lora_rank"):
        found.append(describe(f"trainer=fsdp with model.lora_rank={model['lora_rank']}",
                              "it shares the weights of a UNet that is trained as a whole; an adapter is small",
                              "use trainer=gpu, or model.lora_rank=0"))
    if method.get("compile"):
        found.append(describe("trainer=fsdp with method.compile=true", "a compiled UNet cannot be cut",
                              "set method.compile=false"))
    if model.get("dtype") == "float16":
        found.append(describe("trainer=fsdp with model.dtype=float16", "each device sees only the overflows in its own "
                              "part of the gradients, so devices would skip different steps",
                              "use model.dtype=bfloat16"))
    if mode in ("sample", "protocol"):
        found.append(describe(f"trainer=fsdp with mode={mode}", "shared weights are for training and mode=eval",
                              "use trainer=gpu: the checkpoint is a whole one"))
    return found


def _shares(method: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    trunks, devices = method.get("prompts_per_stage"), trainer_rules.processes(trainer)
    if not isinstance(trunks, int) or trunks < 1 or devices is None or trunks >= devices:
        return []
    return [describe(f"method.prompts_per_stage={trunks} on {devices} devices",
                     "each of them needs a trunk of its own", "raise it, or use fewer devices")]
