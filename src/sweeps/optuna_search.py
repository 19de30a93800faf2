"""Search with Optuna; its database lies in the sweep's folder, so that a search goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from src.core import console
from src.core.errors import UserError
from src.sweeps import study as studies
from src.sweeps.counts import check_counts
from src.sweeps.default_metric import check_figure
from src.sweeps.earlier import check_aim_kept, check_space_kept
from src.sweeps.objective import objective
from src.sweeps.record import Job, Record
from src.sweeps.samplers import check_sampler, sampler
from src.sweeps.space import Choice, Dimension, Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial


class OptunaSearch:
    """``n_trials`` points, each chosen in view of the finished ones. A failed trial stops nothing; when the search goes
    on, another point takes its place.

    ``storage``: a database's URL; null = ``sqlite`` in the sweep's folder.
    """

    kind = "optuna"

    def __init__(
        self,
        *,
        n_trials: int = 20,
        seed: int = 0,
        sampler: Literal["tpe", "random", "qmc"] = "tpe",
        storage: str | None = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        self.n_trials, self.seed, self.sampler, self.storage = n_trials, seed, sampler, storage
        self.params = params or {}

    def check(self, space: Space, record: Record, folder: Path | None) -> None:
        """A search needs Optuna and an aim, and keeps its aim and its space."""
        studies.optuna()
        check_counts({"hydra.sweeper.n_trials": self.n_trials})
        check_sampler(self.sampler)
        if self.storage or folder:
            studies.check_storage(self.storage or studies.own_database(folder))
        if record.metric is None or record.direction is None:
            raise UserError("optimized_metric=null", "a search must know which figure to improve",
                            "add optimized_metric=test/top1_err, say, and optimized_direction=minimize")
        if folder is not None:
            check_space_kept(space, folder)
            check_aim_kept(record, folder)

    def begin(self, space: Space, record: Record, folder: Path) -> int:
        """Open the study; trials that were interrupted are taken up first."""
        from optuna.trial import TrialState

        self._space, self._record, self._folder = space, record, folder
        self._study = studies.opened(self.storage, folder, record.direction or "minimize")
        self._begun: list[Job] = []
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._take_up(trial)
        self._left = max(0, self.n_trials - self._complete() - len(self._begun))
        return self._complete() + len(self._begun) + self._left

    def ask(self) -> Job | None:
        if self._begun:
            return self._begun.pop(0)
        if self._left == 0:
            return None
        self._left -= 1
        self._study.sampler = sampler(self.sampler, self.seed, len(self._study.get_trials(deepcopy=False)))
        trial = self._study.ask()
        try:
            params = {key: _suggest(trial, key, one) for key, one in self._space.items()}
        except ValueError as error:
            self._fail(trial.number)
            raise UserError(f"trial {trial.number}", f"Optuna cannot draw its values ({error})",
                            "start a new search, without resume=") from error
        return self._record.job(self._values(params), trial.number)

    def tell(self, job: Job, objective: float | None) -> None:
        """Raises ``UserError`` where a finished run has no such figure; its trial waits for the right name."""
        if objective is not None:
            self._study.tell(job.number, objective)
            return
        if job.status == "finished":
            check_figure(self._folder / job.folder, self._record.metric or "")
            console.warn(f"{job.folder}: its {self._record.metric} is not a finite number; the trial counts as failed")
        self._fail(job.number)

    def done(self) -> bool:
        return not self._begun and self._complete() >= self.n_trials

    def _take_up(self, trial: FrozenTrial) -> None:
        if not set(self._space) <= set(trial.params):  # ended while its values were drawn
            self._fail(trial.number)
            return
        job = self._record.job(self._values(trial.params), trial.number)
        if job.status == "finished":
            self.tell(job, objective(self._folder / job.folder, self._record.metric))
        else:
            self._begun.append(job)

    def _complete(self) -> int:
        from optuna.trial import TrialState

        return len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    def _fail(self, number: int) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)

    def _values(self, params: dict[str, Any]) -> dict[str, str]:
        """A trial's numbers as they are typed; the same each time, so that a job is found again."""
        return {key: str(params[key]) if isinstance(one, Choice) else one.text(params[key])
                for key, one in self._space.items()}


def _suggest(trial: Trial, key: str, one: Dimension) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(key, one.values)
    if one.whole:
        return trial.suggest_int(key, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(key, one.low, one.high, log=one.log)
