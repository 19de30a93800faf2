"""What the protocol found out about one state, and where it is kept so that no state is evaluated twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.core import atomic, console, results
from src.core.errors import UserError
from src.core.states import State
from src.methods.b2diffurl.pictures import Gallery

FOLDER = "protocol"  # in the folder of the run that was evaluated


@dataclass(frozen=True)
class Outcome:
    """Figures of one state: split -> name -> value, and a picture of each of a few prompts."""

    run: str  # name of the run in tables and plots; empty for the untrained model
    label: str  # base, stage 10, final
    stage: int
    costs: dict[str, float]  # what training had spent: cost/reward_queries, cost/unet_evaluations, ...
    figures: dict[str, dict[str, float]]  # split -> name -> value; a/b is a detail of a
    gallery: Gallery

    @property
    def queries(self) -> float:
        return self.costs.get("cost/reward_queries", 0.0)


class Store:
    """`<run>/protocol/<settings>/<state>.json` and `.npz`. What another setting, other weights or another version of
    the file gave is not found."""

    def __init__(self, settings: Mapping[str, Any], runs: Sequence[Path]) -> None:
        text = json.dumps(settings, sort_keys=True)
        self.folder = Path(FOLDER) / hashlib.sha256(text.encode()).hexdigest()[:12]
        self.runs = list(runs)

    def get(self, state: State, run: str) -> Outcome | None:
        """What was found out earlier. The untrained model's figures are the same for every run."""
        for folder in [state.run] if state.run else self.runs if state.file is None else []:
            place = folder / self.folder / _name(state)
            try:
                stored = json.loads(place.with_suffix(".json").read_text())
                if stored.pop("weights") == _weights(state):
                    return Outcome(**{**stored, "run": run}, gallery=Gallery.load(place.with_suffix(".npz")))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def put(self, state: State, outcome: Outcome) -> None:
        """Kept in the evaluated run's folder; one that cannot be written is no reason to stop."""
        run = state.run or (self.runs[0] if self.runs and state.file is None else None)
        if run is None:
            return
        place = run / self.folder / _name(state)
        content = {name: value for name, value in vars(outcome).items() if name != "gallery"}
        try:
            outcome.gallery.save(place.with_suffix(".npz"))
            atomic.write_text(place.with_suffix(".json"), json.dumps({**content, "weights": _weights(state)}) + "\n")
        except (OSError, UserError) as error:
            console.warn(f"{run}: the figures cannot be kept for the next time ({error})")


def run_names(runs: Sequence[Path]) -> dict[Path, str]:
    """Short names that tell runs apart: the method, else with its seed, else the folder's name."""
    heads = {run: results.read(run) for run in runs}
    candidates = (
        {run: str(head.get("method") or run.name) for run, head in heads.items()},
        {run: f"{head.get('method')} seed {head.get('seed')}" for run, head in heads.items()},
    )
    return next((names for names in candidates if len(set(names.values())) == len(names)),
                {run: run.name for run in runs})


def _name(state: State) -> str:
    return state.file.stem if state.file else state.label


def _weights(state: State) -> list[int]:
    """Changes when a file is written anew, without reading gigabytes."""
    if state.file is None:
        return []
    about = state.file.stat()
    return [about.st_size, about.st_mtime_ns]
