"""A method small enough to test the plumbing with: a linear layer learns to double its input."""

import json
import os
import signal
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from src.core.errors import UserError
from src.core.media import log_image
from src.core.phase import phase


class Toy(LightningModule):
    """Uses what the contract offers: shuffling and dropout from the global generators, figures, report, export."""

    evaluate_before = True
    run_dir: Path
    seed: int

    def __init__(
        self,
        *,
        width: int = 4,
        lr: float = 0.1,
        kind: Literal["plain", "fancy"] = "plain",
        layers: list[int] | None = None,
        shape: dict[str, Any] | None = None,
        fail_at: int | None = None,
        fail_rank: int | None = None,
        delay: float = 0.0,
        weights: str | None = None,
        stop_at: int | None = None,
        validate: bool = False,
        junk: bool = False,
    ) -> None:
        super().__init__()
        self.stop_at, self.validate, self.junk = stop_at, validate, junk
        self.lr, self.kind, self.fail_at, self.delay, self.width = lr, kind, fail_at, delay, width
        self.weights, self.fail_rank = weights, fail_rank
        self.net = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.3))
        self.figures: dict[str, float] = {}
        self.history: list[float] = []
        self.asked: list[int] = []

    def setup(self, stage: str) -> None:
        if self.weights is not None:
            raise UserError(f"method.weights={self.weights}", "there are no such weights", "leave it out")

    def identity(self) -> dict[str, str | int]:
        return {"method": "toy", "width": self.width}

    def evaluated_as(self) -> dict[str, str]:
        return {"method.kind": f"{self.kind} (known by now)" if self.figures else self.kind}  # as a server's reward

    def banner(self) -> list[tuple[str, str]]:
        return [("width", str(self.width))]

    def train_dataloader(self) -> DataLoader:
        self.asked.append(self.current_epoch)
        generator = torch.Generator().manual_seed(0)
        return DataLoader(TensorDataset(torch.randn(24, self.width, generator=generator)), batch_size=4, shuffle=True)

    def val_dataloader(self) -> DataLoader | list:
        return self.test_dataloader() if self.validate else []

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val/loss", (self.net(batch[0]) - 2 * batch[0]).square().mean())

    def test_dataloader(self) -> DataLoader:
        return DataLoader(TensorDataset(torch.ones(8, self.width)), batch_size=4)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        mine = self.fail_rank in (None, self.trainer.global_rank)
        if self.fail_at is not None and self.global_step >= self.fail_at and mine:
            raise RuntimeError("the toy broke")
        if self.stop_at is not None and self.global_step >= self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.delay:
            with phase(self.trainer, "waiting", total=10, unit="nap") as advance:
                for _ in range(10):
                    time.sleep(self.delay / 10)
                    advance(1)
        loss = (self.net(batch[0]) - 2 * batch[0]).square().mean()
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/epoch_loss", loss, on_step=False, on_epoch=True)
        self.history.append(float(loss.detach()))
        return loss

    def on_train_epoch_end(self) -> None:
        log_image(self.trainer, "samples", Image.new("RGB", (4, 4)), self.current_epoch)
        if self.current_epoch >= 1:
            self.log("late/column", float(self.current_epoch))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = list(self.history)
        if self.junk:
            checkpoint["junk"] = Fraction(1, 3)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["history"])

    def before_eval(self, label: str) -> None:
        self.label = label

    def on_test_epoch_start(self) -> None:
        self.errors: list[Tensor] = []

    def test_step(self, batch: list[Tensor], index: int) -> None:
        self.errors.append((self.net(batch[0]) - 2 * batch[0]).square().mean())

    def on_test_epoch_end(self) -> None:
        self.figures = {"eval/error": float(torch.stack(self.errors).mean())}
        self.log_dict(self.figures)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)

    def report(self, folder: Path) -> None:
        (folder / "plots").mkdir(exist_ok=True)
        (folder / "plots" / "history.json").write_text(json.dumps(self.history))

    def export(self, folder: Path) -> None:
        torch.save(self.net.state_dict(), folder / "net.pt")

    def sample(self, prompts: list[str], folder: Path) -> list[Path]:
        paths = [folder / f"{index}.png" for index, _ in enumerate(prompts)]
        for path in paths:
            Image.new("RGB", (4, 4)).save(path)
        return paths
