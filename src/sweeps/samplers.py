"""How a search chooses its next point. A sampler is made anew for each trial, its seed out of the trial's number: its
random state is kept nowhere, and a search that goes on later must neither repeat points nor miss any."""

from __future__ import annotations

import importlib.util
import random
from typing import TYPE_CHECKING

from src.core.errors import UserError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

NEEDS = {"qmc": "scipy"}  # which Optuna imports as late as with the second trial


def check_sampler(name: str) -> None:
    """Raise ``UserError`` if the sampler's package is not installed."""
    package = NEEDS.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(f"hydra.sweeper.sampler={name}", f"needs the package {package}",
                        f"install it: .venv/bin/pip install {package}")


def sampler(name: str, seed: int, trial: int) -> BaseSampler:
    """The sampler that draws this trial of a search."""
    from optuna import samplers

    own = random.Random(f"{seed}/{trial}").getrandbits(32)
    if name == "tpe":
        # constant_liar: jobs that run at the same time do not try the same point.
        return samplers.TPESampler(seed=own, multivariate=True, constant_liar=True, n_startup_trials=5)
    if name == "random":
        return samplers.RandomSampler(seed=own)
    # Its sequence is one for all trials, the study keeps the place in it; lists are drawn at random beside it.
    return samplers.QMCSampler(seed=seed, independent_sampler=samplers.RandomSampler(seed=own),
                               warn_independent_sampling=False)
