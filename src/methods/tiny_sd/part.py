"""Glue that the trainings of the embedded model's four parts share: one pass over steps, cosine learning rate, EMA."""

from __future__ import annotations

import math
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from src.core.averaging import Averaged
from src.core.host import made_on_host, seeded_on_host


class Part(L.LightningModule):
    """A network trained on freshly drawn pictures; the batch of step i is a function of (seed, i) alone.

    Subclasses give `network()`, `loss(generator)`, `score(generator)` and `export(folder)`; they draw on the host and
    move what they drew to the network's device. An epoch is a sixth of the steps, only so that there is a checkpoint to
    go on from.
    """

    EPOCHS = 6

    def __init__(self, *, steps: int, batch_size: int, lr: float, weight_decay: float, ema_decay: float, weights: str):
        super().__init__()
        self.steps, self.batch_size, self.lr, self.weight_decay = steps, batch_size, lr, weight_decay
        self.ema_decay, self.weights = ema_decay, Path(weights)
        self.seed, self.figures = 0, {}

    def network(self) -> nn.Module:
        """The network to train, randomly initialised."""
        raise NotImplementedError

    def configure_model(self) -> None:
        """The network, and the exponential moving average of its weights, which is what is scored and exported."""
        if hasattr(self, "net"):
            return
        with made_on_host(), seeded_on_host(self.seed):
            self.net = self.network().train()
            self.average = Averaged(self.net, self.ema_decay)

    @property
    def trained(self) -> nn.Module:
        """The averaged network."""
        return self.average.module.eval()

    def generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError

    def score(self, generator: torch.Generator) -> dict[str, float]:
        raise NotImplementedError

    def train_dataloader(self) -> DataLoader:
        return DataLoader(range(math.ceil(self.steps / self.EPOCHS)), batch_size=None)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(range(1), batch_size=None)

    def training_step(self, _: int, index: int) -> Tensor:
        loss, stats = self.loss(self.generator(self.global_step))
        if self.global_step % 50 == 0:
            self.log_dict({"loss": loss.detach(), **stats}, on_step=True, batch_size=self.batch_size)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        # A short memory at the start, so that the average does not carry the random initialisation along.
        self.average.update_parameters(self.net)

    def test_step(self, *_: object) -> None:
        self.figures = {f"test/{k}": float(v) for k, v in self.score(self.generator(-1)).items()}
        self.log_dict(self.figures, batch_size=1)

    def configure_optimizers(self):
        params = [p for p in self.net.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(params, lr=self.lr, weight_decay=self.weight_decay, betas=(0.9, 0.99))
        schedule = OneCycleLR(optimizer, self.lr, total_steps=self.steps + self.EPOCHS, pct_start=0.05, div_factor=25)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def banner(self) -> list[tuple[str, str]]:
        return [("steps", f"{self.steps:,} of {self.batch_size} drawings"),
                ("weights go to", str(self.weights))]
