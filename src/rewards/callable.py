"""The reward `callable`: any Python function or class by its import path."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.core.errors import UserError
from src.rewards.callables import target_problem


class CallableReward:
    """`target(images, prompts)` with pictures [B, 3, H, W] in [0, 1] and a list of prompts gives scores [B].

    A class is made once with `options`, its `load(device)` is called if it has one, and its object is what scores;
    a function gets `options` as keyword arguments at each call. Lists and arrays become tensors.
    """

    def __init__(
        self,
        *,
        target: str | None,  # my_module.my_function, found from the working directory or among installed packages
        name: str = "callable",  # of the figures: eval/<name>_after
        options: dict[str, Any] | None = None,  # keyword arguments
        device: str | None = None,  # null: where the run computes
    ) -> None:
        self.target, self.name, self.options, self.device = target, name, dict(options or {}), device
        self._score: Callable[..., Any] | None = None

    def load(self, device: torch.device | str) -> CallableReward:
        """Imports the target. Raises UserError where there is none, or it does not take its options."""
        self._device = torch.device(self.device or device)
        found = imported(self.target, self.options)
        if not inspect.isclass(found):
            self._score = functools.partial(found, **self.options)
            return self
        try:
            self._score = found(**self.options)
        except TypeError as error:
            raise UserError(f"reward.options={self.options}", f"{self.target} does not take them ({error})",
                            "give its keyword arguments") from error
        if hasattr(self._score, "load"):
            self._score.load(self._device)
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], as the target gives them."""
        if self._score is None:
            raise RuntimeError("CallableReward.load(device) comes before the first score")
        scores = self._score(images.to(self._device, copy=True), list(prompts))  # its own: it may work in place
        return _numbers(scores) if isinstance(scores, list | tuple | np.ndarray) else scores

    def identity(self) -> str:
        options = "".join(f", {key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name} ({self.target}{options})"


def _numbers(scores: Any) -> Any:
    """A tensor of what is real numbers. Anything else as it is: "0.5" is none, and (rewards, info) is more."""
    try:
        array = np.asarray(scores)
        return torch.as_tensor(array.astype(np.float32)) if array.dtype.kind in "biufO" else scores
    except (ValueError, TypeError):
        return scores


def imported(target: str | None, options: Collection[str] | None = None) -> Callable[..., Any]:
    """The callable behind an import path, if it takes these options. Raises UserError with what is wrong."""
    if not target:
        raise UserError("reward.target=null", "names the function that scores",
                        "add reward.target=my_module.my_function")
    if problem := target_problem(target, options=options):
        raise UserError(problem)
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules beside the place one works in
    try:
        found = _attribute(target)
    except (ImportError, AttributeError) as error:
        raise UserError(f"reward.target={target}", f"cannot be imported ({error})") from error
    if not callable(found):
        raise UserError(f"reward.target={target}", f"is {found!r}, and should be called",
                        "name a function or a class")
    return found


def _attribute(target: str) -> Any:
    """Imports the longest module name there is, then takes attributes."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if length == 1 or error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, what it imports is not
            continue
        return functools.reduce(getattr, parts[length:], found)
    raise ImportError(f"there is no {target}")
