"""States of runs that can be evaluated side by side: the untrained model, weights kept during training, the last."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.core import checkpoint_files, resume, runfolder
from src.core.checkpoint_files import KEPT_SUFFIX
from src.core.errors import UserError

KEPT = Path("checkpoints") / "kept"  # in a run's folder: <epoch's name>_<epochs behind it>.safetensors
BASE = "base"


@dataclass(frozen=True)
class State:
    """One set of weights. Without a file it is the untrained model."""

    file: Path | None = None
    run: Path | None = None  # the run's folder, where the file lies in one

    @property
    def epoch(self) -> int | None:
        """Epochs behind kept weights, 0 of the untrained model; None where only the checkpoint itself knows."""
        if self.file is None:
            return 0
        number = re.fullmatch(r"\D+_(\d+)", self.file.stem)
        return int(number[1]) if number and self.is_kept else None

    @property
    def is_kept(self) -> bool:
        return self.file is not None and self.file.suffix == KEPT_SUFFIX

    @property
    def label(self) -> str:
        """`base`, `stage 10`, `final`, or a loose file's name."""
        if self.file is None:
            return BASE
        if self.epoch is not None:
            return f"{self.file.stem.rpartition('_')[0]} {self.epoch}"
        return "final" if self.file.stem.startswith("last") else self.file.stem


def found(wanted: str | Sequence[str] | None, output_dir: Path) -> list[State]:
    """The untrained model, then every state of each run or file that `ckpt=` names, in the order of training.

    Raises UserError for an empty list, and for what is no run, no file, or has no weights.
    """
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted or []]
    if not names:
        raise UserError(f"ckpt={'null' if wanted is None else '[]'}", "mode=protocol evaluates finished runs",
                        "give a run folder, latest, base, or a list: ckpt='[outputs/runs/a,outputs/runs/b]'")
    states = [State()]
    for name in names:
        states += [] if name == BASE else _of(name, output_dir)
    return list(dict.fromkeys(states))


def run_of(file: Path) -> Path | None:
    """The run folder that a checkpoint lies in."""
    return next((folder for folder in list(file.parents)[1:3] if (folder / "overrides.txt").is_file()), None)


def _of(name: str, output_dir: Path) -> list[State]:
    folder = resume.located(name, output_dir)
    if folder.is_file():
        return [State(folder, run_of(folder))]
    runfolder.overrides(folder)
    files = sorted((folder / KEPT).glob("*_*.safetensors"), key=lambda file: State(file).epoch or 0)
    last = checkpoint_files.newest(folder)
    if not files and last is None:
        raise UserError(f"ckpt={name}", f"{folder} has no checkpoint", "give a run that finished an epoch")
    return [State(file, folder) for file in [*files, *([last] if last else [])]]
