"""All figures of a classifier over one pass through a split, exact over any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from src.core.errors import FAILED_RUN, UserError
from src.metrics import functions


class Samples(NamedTuple):
    """What is known of each sample, on the CPU, [n] each, in the order of ``index``."""

    index: Tensor  # int64, number within the split
    label: Tensor  # int64
    predicted: Tensor  # int64
    rank: Tensor  # int64, place of the true class; 0 = predicted
    confidence: Tensor  # fp32, softmax probability of the predicted class
    nll: Tensor  # fp32, nats
    brier: Tensor  # fp32

    @property
    def correct(self) -> Tensor:
        """Whether the prediction is right, bool [n]."""
        return self.rank == 0

    def save(self, file: Path, **more: np.ndarray) -> None:
        """Write a compressed .npz, so that runs can be compared sample by sample later; `more` is [n, ...] too."""
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **{name: value.numpy() for name, value in self._asdict().items()}, **more)

    @classmethod
    def load(cls, file: Path) -> Samples:
        """Read what ``save`` wrote."""
        with np.load(file) as stored:
            return cls(**{name: torch.from_numpy(stored[name]) for name in cls._fields})


_DTYPES = {**dict.fromkeys(("confidence", "nll", "brier"), torch.float32), "logits": torch.float16}


class Scores(Metric):
    """Collects one number per sample and figure; what is added up is added up at the end, over all processes at once.

    Averages of per-batch or per-process figures would be wrong for ECE and AURC, and for every figure where shares are
    uneven. Callers cut padded rows off before ``update``; a row that comes twice is an error, not a weight of two.

    After ``compute`` or ``figures`` the numbers of each sample (CPU, sorted by index) stand in ``confidence``,
    ``correct``, ``nll``, ``index``, ``predicted`` and ``label``, and together in ``samples``; with ``logits_of``
    classes also their ``logits`` [n, C] in fp16, else these are None.
    """

    full_state_update = False
    is_differentiable = False
    samples: Samples
    index: Tensor
    label: Tensor
    predicted: Tensor
    confidence: Tensor
    correct: Tensor
    nll: Tensor
    logits: Tensor | None = None

    def __init__(self, logits_of: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logits_of = logits_of
        self._collected = Samples._fields + (("logits",) if logits_of else ())
        for name in self._collected:
            self.add_state(f"all_{name}", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Logits [B, C] of any float type, labels [B] and index [B]; no synchronisation with the device."""
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or index.shape != logits.shape[:1]:
            shapes = ", ".join(str(list(part.shape)) for part in (logits, labels, index))
            raise ValueError(f"logits, labels and index have the shapes {shapes}, not [B, C], [B] and [B]")
        numbers = functions.per_sample(logits, labels)
        found = {**numbers._asdict(), "label": labels, "index": index}
        if self.logits_of:
            found["logits"] = logits.detach().half()
        for name, rows in found.items():
            getattr(self, f"all_{name}").append(rows)

    def compute(self) -> dict[str, Tensor]:
        """The figures as fp64 scalars on the CPU; errors and ECE in percent, AURC and E-AURC x 1000, NLL in nats."""
        samples = self.samples = _checked(self._gathered())
        for name in ("confidence", "correct", "nll", "index", "predicted", "label"):
            setattr(self, name, getattr(samples, name))
        confidence, correct = samples.confidence, samples.correct
        return {
            "top1_err": functions.top_k_error(samples.rank, 1), "top5_err": functions.top_k_error(samples.rank, 5),
            "nll": samples.nll.double().mean(), "brier": samples.brier.double().mean(),
            "ece": functions.ece(confidence, correct, bins=10), "ece15": functions.ece(confidence, correct, bins=15),
            "aurc": functions.aurc(confidence, correct), "eaurc": functions.eaurc(confidence, correct),
        }

    def figures(self) -> dict[str, float]:
        """The figures as plain numbers. Under DDP every process has to call it. Raises ``UserError`` without any row or
        with NaN logits."""
        if self._update_count == 0 and not torch.distributed.is_initialized():
            raise _nothing()
        return {name: value.item() for name, value in self.compute().items()}

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather from all processes; one without rows takes part with empty tensors of the right type."""
        for name in self._collected:
            rows = getattr(self, f"all_{name}")
            if isinstance(rows, list) and not rows:
                shape = (0, self.logits_of) if name == "logits" else (0,)
                rows.append(torch.zeros(shape, dtype=_DTYPES.get(name, torch.int64), device=self.device))
        super().sync(*args, **kwargs)

    def _gathered(self) -> Samples:
        """All rows on the CPU (fp64 is missing on some devices), sorted: sums do not depend on who had which row."""
        states = {name: getattr(self, f"all_{name}") for name in self._collected}
        rows = {name: dim_zero_cat(state).cpu() if len(state) else torch.zeros(0) for name, state in states.items()}
        if not len(rows["index"]):
            raise _nothing()
        order = rows["index"].argsort(stable=True)
        sorted_rows = {name: value[order] for name, value in rows.items()}
        self.logits = sorted_rows.pop("logits", None)
        return Samples(**sorted_rows)


def _checked(samples: Samples) -> Samples:
    total, broken = len(samples.index), int(samples.confidence.isnan().sum())
    if broken:
        raise UserError(f"{broken} of {total} rows of logits have NaN", "metrics need numbers",
                        "training has diverged: a lower learning rate or trainer.precision=32-true helps",
                        exit_code=FAILED_RUN)
    twice = total - len(samples.index.unique())
    if twice:
        raise ValueError(f"{twice} of {total} rows came twice: cut padding off, and reset() before another pass")
    return samples


def _nothing() -> UserError:
    return UserError("0 samples", "metrics need at least one", "is the split empty?", exit_code=FAILED_RUN)
