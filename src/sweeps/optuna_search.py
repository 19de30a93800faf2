"""Search with Optuna; its database lies in the sweep's folder, so that a search goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from src.core.errors import UserError
from src.sweeps.counts import check_counts
from src.sweeps.record import Job, Record
from src.sweeps.space import Choice, Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STUDY = "sweep"


class OptunaSearch:
    """``n_trials`` points, each chosen in view of the finished ones; a failed trial stops nothing.

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

    def check(self, space: Space, record: Record) -> None:
        """A search needs Optuna and an aim."""
        _optuna()
        check_counts({"hydra.sweeper.n_trials": self.n_trials})
        if record.metric is None or record.direction is None:
            raise UserError("optimized_metric=null", "a search must know which figure to improve",
                            "add optimized_metric=test/top1_err, say, and optimized_direction=minimize")

    def begin(self, space: Space, record: Record, folder: Path) -> int:
        """Open the study; trials that were interrupted are taken up first."""
        optuna = _optuna()
        self._space, self._record = space, record
        self._study: Study = optuna.create_study(
            storage=self.storage or f"sqlite:///{folder / 'optuna.db'}", study_name=STUDY if not self.storage
            else folder.name, sampler=self._sampler(), direction=record.direction, load_if_exists=True)
        states = optuna.trial.TrialState
        trials = self._study.get_trials(deepcopy=False)
        self._begun = [record.job(self._values(trial.params), trial.number) for trial in trials
                       if trial.state == states.RUNNING]
        done = sum(trial.state == states.COMPLETE for trial in trials)
        self._left = max(0, self.n_trials - done - len(self._begun))
        return len(trials) + self._left

    def ask(self) -> Job | None:
        if self._begun:
            return self._begun.pop(0)
        if self._left == 0:
            return None
        self._left -= 1
        trial = self._study.ask({key: _distribution(one) for key, one in self._space.items()})
        return self._record.job(self._values(trial.params), trial.number)

    def tell(self, job: Job, objective: float | None) -> None:
        from optuna.trial import TrialState

        if objective is None:
            self._study.tell(job.number, state=TrialState.FAIL)
        else:
            self._study.tell(job.number, objective)

    def _values(self, params: dict[str, Any]) -> dict[str, str]:
        """A trial's numbers as they are typed; the same each time, so that a job is found again."""
        return {key: str(value) if isinstance(one := self._space[key], Choice) else one.text(value)
                for key, value in params.items() if key in self._space}

    def _sampler(self) -> BaseSampler:
        from optuna import samplers

        if self.sampler == "tpe":
            # constant_liar: jobs that run at the same time do not try the same point.
            return samplers.TPESampler(seed=self.seed, multivariate=True, constant_liar=True, n_startup_trials=5)
        return {"random": samplers.RandomSampler, "qmc": samplers.QMCSampler}[self.sampler](seed=self.seed)


def _distribution(dimension: Choice | Any) -> BaseDistribution:
    from optuna import distributions

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(dimension.values)
    if dimension.whole:
        return distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _optuna() -> Any:
    import warnings

    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError("hydra/sweeper=optuna", f"needs the package {error.name}",
                        'install it: .venv/bin/pip install -e ".[sweeps]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna
