"""Which values a sweep tries: every combination, or points drawn at random. See ``optuna_search`` for the third way."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any, Protocol

from src.core.errors import UserError
from src.sweeps.counts import check_counts
from src.sweeps.earlier import check_space_kept
from src.sweeps.record import Job, Record
from src.sweeps.space import Choice, Space

MOST_JOBS = 10_000


class Sweeper(Protocol):
    """Proposes jobs and hears how they went; what an interrupted sweep had begun comes first."""

    kind: str

    def check(self, space: Space, record: Record, folder: Path | None) -> None:
        """Raise ``UserError`` if this cannot be, or cannot go on in ``folder``; creates nothing."""

    def begin(self, space: Space, record: Record, folder: Path) -> int:
        """Get ready in the sweep's folder; the number of jobs that there will be in all."""

    def ask(self) -> Job | None:
        """The next job to run, or None if there is none."""

    def tell(self, job: Job, objective: float | None) -> None:
        """How a job went: its figure, or None if it has none; not called for one that was interrupted.

        Raises ``UserError`` where the sweep cannot go on.
        """

    def done(self) -> bool:
        """Whether nothing is left to do, for a later process neither."""


class _Listed:
    """A sweep whose jobs are known before the first one starts."""

    kind = ""

    def check(self, space: Space, record: Record, folder: Path | None) -> None:
        self.points(space)

    def begin(self, space: Space, record: Record, folder: Path) -> int:
        self._jobs = [record.job(values) for values in self.points(space)]
        self._waiting = [job for job in self._jobs if job.status != "finished"]
        return len(self._jobs)

    def ask(self) -> Job | None:
        return self._waiting.pop(0) if self._waiting else None

    def tell(self, job: Job, objective: float | None) -> None:
        pass

    def done(self) -> bool:
        return all(job.status == "finished" for job in self._jobs)

    def points(self, space: Space) -> list[dict[str, str]]:
        raise NotImplementedError


class Grid(_Listed):
    """Every combination of the values, the last key changing fastest."""

    kind = "grid"

    def __init__(self, *, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def points(self, space: Space) -> list[dict[str, str]]:
        """All combinations. Raises ``UserError`` for an interval, and where there are too many."""
        count = 1
        for key, dimension in space.items():
            if not isinstance(dimension, Choice):
                raise UserError(f"{key}=interval(...)", "a grid needs a list of values",
                                "add hydra/sweeper=random or hydra/sweeper=optuna, which draw from intervals")
            count *= len(dimension.values)
        if count > MOST_JOBS:
            raise UserError(f"{count} combinations", f"a grid has {MOST_JOBS} at most", "try hydra/sweeper=random")
        return [dict(zip(space, values, strict=True))
                for values in itertools.product(*(one.values for one in space.values()))]


class RandomSearch(_Listed):
    """``n_trials`` points, drawn evenly (or evenly over magnitudes) from each interval and list."""

    kind = "random"

    def __init__(self, *, n_trials: int = 20, seed: int = 0, params: dict[str, Any] | None = None) -> None:
        self.n_trials, self.seed, self.params = n_trials, seed, params or {}

    def check(self, space: Space, record: Record, folder: Path | None) -> None:
        super().check(space, record, folder)
        if folder is not None:
            check_space_kept(space, folder)

    def points(self, space: Space) -> list[dict[str, str]]:
        """The same points for the same seed; more trials only add some. Repeated points are left out."""
        check_counts({"hydra.sweeper.n_trials": self.n_trials})
        rng = random.Random(self.seed)
        drawn = [{key: one.draw(rng) for key, one in space.items()} for _ in range(self.n_trials)]
        return [values for place, values in enumerate(drawn) if values not in drawn[:place]]
