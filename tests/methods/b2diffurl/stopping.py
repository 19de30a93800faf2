"""One rank of two with unequal shares, of which the second is told to stop, or fails, in the middle of a stage: how
each of them ends, in `<case>/<rank>.txt`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.core import signals
from src.core.callbacks import RunState
from src.core.errors import UserError
from src.core.processes import ranks
from src.core.results import Results
from tests.methods.b2diffurl.conftest import built, trainer_for

SHARES = {"prompts_per_stage": 3, "rollout_batch": 2, "micro_batch": 2, "replay": "always"}


def main(sd: str, folder: str, *cases: str) -> None:
    for case in cases:
        place = Path(folder, case)
        place.mkdir(parents=True, exist_ok=True)
        found = carried_out(Path(sd), place, *case.split("-"))
        Path(place, f"{os.environ['RANK']}.txt").write_text(found)


def carried_out(sd: Path, folder: Path, phase: str, what: str) -> str:
    """How the stage ends and how many batches of each phase it began, if `what` happens in the first one of `phase`."""
    module, begun = built(sd, folder, **SHARES), []

    def watched(call: Callable[..., Any], name: Callable[[], str]) -> Callable[..., Any]:
        def first(*args: Any) -> Any:
            begun.append(name())
            if ranks.number() and begun[-1] == phase and begun.count(phase) == 1:
                {"stop": stop, "failure": fail}[what]()
            return call(*args)

        return first

    module.denoise = watched(module.denoise, lambda: "replaying" if module.kept else "sampling")
    module.model.decode = watched(module.model.decode, lambda: "scoring")
    module.training_step = lambda *_: begun.append("updating")
    state = RunState(0, 0, Results(folder, "b2diffurl", 0, "train", ""))
    with signals.caught():
        try:
            trainer_for(module, state, devices=2, strategy="ddp").fit(module)
            end = "finished"
        except signals.StopRun as stopped:
            end = f"signal {stopped.signum}"
        except UserError as error:
            end = str(error)
    return " ".join([end, *(f"{name}:{begun.count(name)}" for name in dict.fromkeys(begun))])


def stop() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def fail() -> None:
    raise UserError("broken")
