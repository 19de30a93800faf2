"""Lightning glue of mode=protocol: the untrained model and every kept state of runs, evaluated on the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from src.core import keeping, runfolder
from src.core.errors import UserError
from src.core.phase import phase
from src.core.processes import ranks
from src.core.states import State
from src.methods.b2diffurl.distance import Distance
from src.methods.b2diffurl.measures.base import Drawn
from src.methods.b2diffurl.pictures import gallery_of
from src.methods.b2diffurl.protocol.drawn import pictures_of, plain_figures, rows_of
from src.methods.b2diffurl.protocol.outcome import Outcome, Store, run_names
from src.methods.b2diffurl.protocol.report import report

ADAPTER = ("name", "lora_rank", "lora_alpha", "lora_targets")


class Comparing(Distance):
    """The part of the method that compares states. Core calls `begin_protocol` before weights are loaded, sets
    `state` and tests once for each state it got, then calls `report_protocol`."""

    state: State | None = None
    compared_across = ("objective",)  # it shapes training; pictures are drawn alike

    @property
    def evaluated_alike(self) -> list[str]:
        """Keys in which the runs must not differ, unless one is typed for all of them."""
        return [*self.evaluated_as(), "model.dtype", "model.path"]

    def begin_protocol(self, wanted: Sequence[State]) -> list[State]:
        """The states that are still to be evaluated. Raises UserError for one of another method, model or adapter."""
        self.about = {state: keeping.about(state, self, self.compared_across) for state in wanted}
        last = {(state.run, about["epoch"]) for state, about in self.about.items() if state.file and not state.is_kept}
        self.compared = [state for state in wanted  # the last stage may have been kept too
                         if not state.is_kept or (state.run, self.about[state]["epoch"]) not in last]
        runs = list(dict.fromkeys(state.run for state in self.compared if state.run))
        for run in runs:
            self._refuse_other_adapter(run)
        self.run_names = run_names(runs)
        self.store = Store(self.settings, runs)
        found = {state: self.store.get(state, self.run_names.get(state.run, "")) for state in self.compared}
        self.outcomes = {state: outcome for state, outcome in found.items() if outcome}
        self.untrained = None
        self.measuring = False
        return [state for state in self.compared if state not in self.outcomes]

    def _refuse_other_adapter(self, run: Path) -> None:
        trained = runfolder.config(run).get("model") or {}
        own = {name: getattr(self.model, name) for name in ADAPTER}
        for name in ADAPTER:
            if name in trained and _plain(trained[name]) != _plain(own[name]):
                raise UserError(f"ckpt={run}", f"was trained with model.{name}={trained[name]}, here it is {own[name]}",
                                "compare runs of one model and adapter, or give this run alone")

    @property
    def settings(self) -> dict[str, Any]:
        """Everything besides the weights that decides the figures."""
        model, prompts = self.model, self.prompts
        return {
            "model": [model.name, str(model.path), str(model.dtype), model.timestep_spacing, model.resolution],
            "train_prompts": list(prompts.train), "heldout_prompts": list(prompts.heldout),
            "steps": self.steps, "eta": self.eta, "guidance_scale": self.guidance_scale,
            "guidance_rescale": self.guidance_rescale,
            "eval_prompts": self.eval_prompts, "eval_images": self.eval_images,
            "scorers": sorted(scorer.identity() for scorer in self.scorers.values()),
            "measures": sorted(measure.identity() for measure in self.measures.values()),
        }

    # --- one state ------------------------------------------------------------------------------------------------

    @torch.inference_mode(False)
    def on_test_start(self) -> None:
        """Loads the state's weights; with the first state also the measures, before anything is drawn."""
        if self.state is None:
            return
        if self.untrained is None:
            self.untrained = self.model.trainable_state()
        if not self.measuring:
            with ranks.together():
                self._prepare()
            self.measuring = True
        self.model.load_trainable_state(self.untrained)
        keeping.restore(self.state, self)

    def _prepare(self) -> None:
        """Rank 0, where the pictures come together, loads the measures. All must go through the same states."""
        missing = [state for state in self.compared if state not in self.outcomes]
        if missing != ranks.from_first(missing):
            names = ", ".join(state.label for state in missing)
            raise UserError(f"rank {ranks.number()} has to evaluate {names}", "rank 0 has others: it sees other "
                            "contents of the runs' folders", "start again, with the runs on one common disk")
        for measure in () if ranks.number() else self.measures.values():
            measure.load(self.model.device, self.scorers)

    def on_test_epoch_end(self) -> None:
        if self.state is None:
            return super().on_test_epoch_end()
        self._tallied()
        with ranks.together():
            if ranks.number():
                self.assist()
            else:
                self._conclude()

    def _conclude(self) -> None:
        """Figures of all ranks' pictures, kept for the next time."""
        try:
            outcome = self._outcome()
        except UserError as error:
            if not error.shared:  # else the others have stopped drawing, for the same error
                ranks.from_first(None)
            raise
        ranks.from_first(None)  # the others need not draw any more
        self.outcomes[self.state] = outcome
        self.store.put(self.state, outcome)

    def _outcome(self) -> Outcome:
        state, about = self.state, self.about[self.state]
        costs = about["costs"] if state.is_kept or state.file is None else self.costs
        figures = {split: self._figures(split) for split in dict.fromkeys(self.tally.split)}
        return Outcome(self.run_names.get(state.run, ""), state.label, about["epoch"], costs, figures,
                       gallery_of(self.tally, self.words, list(self.scorers)))

    def _figures(self, split: str) -> dict[str, float]:
        rows = rows_of(self.tally, split)
        pictures, index = pictures_of(self.tally, rows), torch.cat(self.tally.prompt_index)[rows].unique()
        drawn = Drawn(pictures, lambda images: self.kl_to_base(index, images))
        found = plain_figures(self.tally, rows)
        for name, measure in self.measures.items():
            with phase(self.trainer, f"measuring {name}", total=len(rows), unit="pictures") as advance:
                found |= measure(drawn, advance)
        return found

    # --- all of them ----------------------------------------------------------------------------------------------

    def report_protocol(self, folder: Path) -> dict[str, float]:
        """Table, plots and picture grids of the states evaluated so far; figures of the first and last state."""
        outcomes = [self.outcomes[state] for state in self.compared if state in self.outcomes]
        return report(outcomes, self.settings, self.reward.name, folder)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
