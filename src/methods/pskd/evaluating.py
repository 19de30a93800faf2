"""Lightning glue of evaluation: validation gives the curves, test the figures of the last and of the best epoch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from src.core import checkpoint
from src.core.media import log_image
from src.data.images.batch import Batch
from src.methods.pskd.overhead import measure
from src.metrics import plots as pictures
from src.metrics.scores import Scores

LAST, BEST = "test", "best"
MOST_LOGITS = 50_000_000  # of the test split, kept in samples/test.npz: 100 MB in half precision


class Evaluating:
    """The half of the method that never trains, and never touches the past predictions."""

    def before_eval(self, label: str) -> None:
        """`after` training, or `eval`uation of one checkpoint."""
        self.label = label

    @property
    def deployed(self) -> nn.Module:
        """What is evaluated and exported: the averaged weights where there are any."""
        return self.network if self.average is None else self.average.module

    def val_dataloader(self) -> Any:
        return self._loader("val") if self.data.has_split("val") else []

    def test_dataloader(self) -> Any:
        return self._loader("test")

    def _loader(self, split: str) -> Any:
        loader = self.data.eval_loader(split, batch_size=self.eval_batch, rank=self.trainer.global_rank,
                                       world=self.trainer.world_size)
        self.real[split] = loader.real
        return loader

    # --- curves -------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self.clock.pause()
        self.scores = Scores().to(self.device)

    def validation_step(self, batch: Batch, index: int) -> None:
        self._score(self.scores, self.deployed, batch, self.real["val"][index])

    def on_validation_epoch_end(self) -> None:
        found = self._figures(self.scores)
        self.log_dict({f"val/{name}": value for name, value in found.items() if name != "top1_err"})
        self.log("val/top1_err", found["top1_err"], prog_bar=True)
        self.clock.go_on()

    def _score(self, scores: Scores, net: nn.Module, batch: Batch, real: int) -> None:
        logits = net(batch.images)[:real].clone()  # with CUDA graphs the next batch's stand in the same place
        scores.update(logits, batch.labels[:real], batch.index[:real])

    def _figures(self, scores: Scores) -> dict[str, float]:
        """Of a split; among five classes the right one is always one of five."""
        found = scores.figures()
        return found if len(self.data.classes) > 5 else {key: found[key] for key in found if key != "top5_err"}

    # --- figures ------------------------------------------------------------------------------------------------

    def on_test_start(self) -> None:
        """What the loss cost is measured here: a run that was killed after its last epoch trains no more."""
        if self.label == "after" and self.measure_overhead and self.trainer.world_size == 1:
            with torch.enable_grad():
                self.overhead = measure(self)

    def on_test_epoch_start(self) -> None:
        self.nets = {LAST: self.deployed}
        if self.label == "after" and (best := self._best()) is not None:
            self.nets[BEST] = best
        self.scored = {name: Scores(self._kept_logits if name == LAST else None).to(self.device) for name in self.nets}

    @property
    def _kept_logits(self) -> int | None:
        """Of how many classes the logits of the last epoch are kept; None where they would be too many."""
        classes = len(self.data.classes)
        return classes if self.data.size_of("test") * classes <= MOST_LOGITS else None

    def _best(self) -> nn.Module | None:
        """The network of checkpoints/best.ckpt, chosen on validation pictures; None without any."""
        path = self.run_dir / "checkpoints" / "best.ckpt"
        if not path.is_file() or not self.data.has_split("val"):
            return None
        content = checkpoint.load(path)
        self.best_epoch = int(content["epoch"]) + 1
        prefix = "network." if self.average is None else "average.module."
        net = copy.deepcopy(self.deployed)
        net.load_state_dict({key.removeprefix(prefix): value for key, value in content["state_dict"].items()
                             if key.startswith(prefix)})
        return net.to(self.device).eval()

    def test_step(self, batch: Batch, index: int) -> None:
        for name, net in self.nets.items():
            self._score(self.scored[name], net, batch, self.real["test"][index])

    def on_test_epoch_end(self) -> None:
        self.figures = {f"{name}/{key}": value for name, scores in self.scored.items()
                        for key, value in self._figures(scores).items()}
        if BEST in self.nets:
            self.figures["best/epoch"] = float(self.best_epoch)
        self.log_dict(self.figures)
        if self.trainer.is_global_zero:
            self._draw(self.scored[LAST])
        self.nets = {}

    def _draw(self, scores: Scores) -> None:
        plots, samples = _made(self.run_dir / "plots"), _made(self.run_dir / "samples")
        title = f"{self.loss.describe()}\n{self.data.name}, {self.model.identity()}"
        drawn = [pictures.reliability(scores, plots / "reliability.png", title),
                 pictures.risk_coverage({"this run": scores}, plots / "risk_coverage.png")]
        drawn.append(self._hardest(scores, samples / "hardest.png"))
        scores.samples.save(samples / "test.npz", **self._more(scores))  # for comparisons between runs
        for file in drawn:
            log_image(self.trainer, file.stem, file)

    def _more(self, scores: Scores) -> dict[str, np.ndarray]:
        """What test.npz holds of each picture besides its figures: logits, and the file where it is one."""
        more = {} if scores.logits is None else {"logits": scores.logits.numpy()}
        files = self.data.files_of("test")
        return {**more, "path": np.array(files)[scores.index.numpy()]} if files else more

    def _hardest(self, scores: Scores, file: Path) -> Path:
        """The pictures with the largest negative log-likelihood."""
        rows = pictures.hardest_rows(scores, self.hardest)
        shown = self.data.pictures("test", scores.index[rows].tolist())
        return pictures.hardest(shown, labels=scores.label[rows], predicted=scores.predicted[rows],
                                confidence=scores.confidence[rows], classes=list(self.data.classes), file=file)

    def report(self, folder: Path) -> None:
        """Curves of the run so far; the other pictures are drawn by the test itself."""
        for file in pictures.curves(folder / "metrics.csv", folder / "plots"):
            log_image(self.trainer if self._trainer else None, file.stem, file)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
