"""The words of a command line as text: which key each one sets, and two lists made one."""

from collections.abc import Sequence

OWN_KEYS = ("resume", "run_dir", "ckpt", "prompts", "mode")  # where a run is and how to continue it, not what it is


def key(override: str) -> str:
    """The name an override sets: ``+method.lr=1`` -> ``method.lr``."""
    return override.lstrip("+~").split("=", 1)[0].split("@")[0].strip()


def lasting(overrides: Sequence[str], own: Sequence[str] = OWN_KEYS) -> list[str]:
    """The overrides that say what the run is, without the keys ``own`` and Hydra's."""
    return [text for text in overrides if key(text) not in own and not key(text).startswith("hydra.")]


def merge(earlier: Sequence[str], later: Sequence[str]) -> list[str]:
    """Both lists; where both set a key, the later one counts."""
    renewed = {key(text) for text in later}
    return [text for text in earlier if key(text) not in renewed] + list(later)
