"""Watches a run of B²-DiffuRL: logs `alarm/<kind>` every stage and says on the console, once a kind, what is wrong."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, Trainer

from src.core import console, results
from src.core.errors import UserError
from src.methods.b2diffurl.alarms import ADVICE, Figures, Limits, findings
from src.methods.b2diffurl.module import B2DiffuRL

BEFORE = "_before"
WATCHED = ("eval/", "diversity/")


class Guard(Callback):
    """The rules are in alarms.py. What has been seen and said is part of the checkpoint, so that a resumed run neither
    repeats an alarm nor forgets one."""

    def __init__(
        self,
        *,
        ratio: float = Limits.ratio,
        zero_variance: float = Limits.zero_variance,
        negatives: float = Limits.negatives,
        stages: int = Limits.stages,
        kl: float = Limits.kl,
        kl_reference: float = Limits.kl_reference,
        scorer_drop: float = Limits.scorer_drop,
        diversity_drop: float = Limits.diversity_drop,
        evaluations: int = Limits.evaluations,
    ) -> None:
        """Raises UserError for a limit below 0 and for fewer than one stage or evaluation."""
        self.limits = Limits(ratio, zero_variance, negatives, stages, kl, kl_reference, scorer_drop, diversity_drop,
                             evaluations)
        for name, value in vars(self.limits).items():
            least = 1 if name in ("stages", "evaluations") else 0
            if not least <= value < math.inf:
                raise UserError(f"callbacks.guard.{name}={value}", f"must be a number of at least {least}",
                                f"the default is {getattr(Limits, name):g}; ~callbacks.guard switches all alarms off")
        self.stages: list[dict[str, float]] = []
        self.evaluations: list[dict[str, float]] = []
        self.told: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: B2DiffuRL) -> None:
        """The evaluation before training comes from metrics.json: a run that is begun again does not repeat it."""
        if not self.evaluations:
            stored = results.read(pl_module.run_dir).items()
            self._add({name.removesuffix(BEFORE): value for name, value in stored
                       if name.endswith(BEFORE) and value is not None})

    def on_validation_end(self, trainer: Trainer, pl_module: B2DiffuRL) -> None:
        if not trainer.sanity_checking:
            self._add({name: float(value) for name, value in trainer.callback_metrics.items()})

    def _add(self, figures: Figures) -> None:
        watched = {name: value for name, value in figures.items() if name.startswith(WATCHED)}
        self.evaluations += [watched] if watched else []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: B2DiffuRL) -> None:
        """Runs before the module logs the same figures; its row gets the alarms too."""
        figures = {**pl_module.stage_stats, **pl_module.policy_figures()}
        self.stages = [*self.stages, figures][-self.limits.stages:]
        found = findings(self.stages, self.evaluations, self.limits, reward=pl_module.reward.name,
                         scorers=list(pl_module.scorers), branches=pl_module.branches)
        pl_module.log_dict({f"alarm/{kind}": float(kind in found) for kind in ADVICE})
        for kind in found:
            if kind not in self.told:
                self.told.append(kind)
                console.warn(f"alarm/{kind} at stage {trainer.current_epoch + 1}: {found[kind]}. What to do: "
                             f"{ADVICE[kind]}")

    def state_dict(self) -> dict[str, Any]:
        return {"stages": list(self.stages), "evaluations": list(self.evaluations), "told": list(self.told)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.stages, self.evaluations, self.told = (list(state_dict[k]) for k in ("stages", "evaluations", "told"))
