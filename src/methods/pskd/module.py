"""Lightning glue of the classifiers: PS-KD, and what it is compared with, are this training with different losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from src.core.averaging import Averaged, too_slow
from src.core.compiler import compile_in_place
from src.core.console import note, warn
from src.core.errors import FAILED_RUN, UserError
from src.core.host import made_on_host, seeded_on_host
from src.data.images.base import ImageData
from src.data.images.batch import Batch
from src.data.images.order import Order
from src.data.images.rules import insist, share_problem
from src.methods.pskd.clock import Clock
from src.methods.pskd.evaluating import Evaluating
from src.methods.pskd.keeping import Keeping
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.mixing import Kind, mixed
from src.methods.pskd.optimiser import optimiser
from src.methods.pskd.schedule import learning_rate, steps_of_epoch
from src.methods.pskd.step import Context, Step
from src.models import precision
from src.models.classifiers.network import Network


class Classifier(Keeping, Evaluating, L.LightningModule):
    """Trains a network on pictures with SGD or AdamW and one of the losses of this package.

    The YAML beside the method says what each key means. `batch_size` is the total over all devices.
    """

    def __init__(
        self,
        *,
        model: Network,
        data: ImageData,
        loss: Loss,
        epochs: int,
        batch_size: int,
        eval_batch: int,
        optimizer: Literal["sgd", "adamw"],
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        lr_schedule: Literal["step", "cosine"],
        milestones: list[float],
        gamma: float,
        warmup_epochs: float,
        mixing: Kind,
        mixing_probability: float,
        mixing_concentration: float,
        ema_decay: float | None,
        compile: bool | Literal["graphs"],
        hardest: int,
        measure_overhead: bool,
    ) -> None:
        super().__init__()
        self.model, self.data, self.loss = model, data, loss
        self.epochs, self.batch_size, self.eval_batch = epochs, batch_size, eval_batch
        self.optimizer, self.lr, self.momentum, self.nesterov = optimizer, lr, momentum, nesterov
        self.weight_decay = weight_decay
        self.lr_schedule, self.milestones, self.gamma = lr_schedule, list(milestones), gamma
        self.warmup_epochs, self.ema_decay = warmup_epochs, ema_decay
        self.mixing, self.mixing_probability = mixing, mixing_probability
        self.mixing_concentration = mixing_concentration
        self.wants_compile, self.hardest, self.measure_overhead = compile, hardest, measure_overhead
        self.seed, self.run_dir, self.figures, self.label = 0, Path("."), {}, "eval"  # core sets the first two
        self.clock, self.overhead, self.real = Clock(), {}, {}
        self.network: torch.nn.Module | None = None
        self.average: Averaged | None = None

    # --- set-up -------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Now the devices are counted, and nothing is loaded yet."""
        if stage == "fit":
            insist(share_problem(self.batch_size, self.trainer.world_size))

    def configure_model(self) -> None:
        """Reads the data and builds the network, whose weights depend on the seed alone."""
        if self.network is not None:
            return
        device, half = self.trainer.strategy.root_device, str(self.trainer.precision).startswith("bf16")
        precision.refuse_unfit(torch.bfloat16 if half else torch.float32, device, "trainer.precision", "use 16-mixed")
        with made_on_host():
            self.data.load(device)
            note(self.data.counts())
            self.network = self.build()
            if self.ema_decay is not None:
                self.average = Averaged(self.network, self.ema_decay)
        compile_in_place(self.network, self.wants_compile, "method.compile", device)

    def build(self) -> torch.nn.Module:
        """A network for this data; the generators of the training do not notice."""
        with seeded_on_host(self.seed):
            return self.model.build(len(self.data.classes), self.data.channels, self.data.size)

    def on_fit_start(self) -> None:
        """Past predictions and teachers are a training's alone; by now a checkpoint's weights are restored."""
        self.loss.begin(self._context(self.trainer.strategy.root_device))
        self.restore_loss()
        if self.ema_decay and (told := too_slow(self.ema_decay, self.epochs * self.steps_an_epoch)):
            warn(told)
        if told := self.model.other_statistics(self.network, self.data.mean, self.data.std):
            warn(told)

    def _context(self, device: torch.device) -> Context:
        return Context(labels=self.data.labels, candidates=self.data.candidates, classes=len(self.data.classes),
                       epochs=self.epochs, device=device, folder=self.run_dir, fingerprint=self.data.fingerprint,
                       network=self.network, build=self.build, order_of=self.order_of,
                       rank=self.trainer.global_rank, world=self.trainer.world_size)

    def order_of(self, epoch: int, rank: int) -> Order:
        """Which samples a rank visits in an epoch, and in which order: a function of (seed, epoch)."""
        return self.data.order(epoch, seed=self.seed, batch_size=self.batch_size, rank=rank,
                               world=self.trainer.world_size, paired=self.loss.paired)

    def train_dataloader(self) -> Any:
        epoch = self.trainer.current_epoch
        self.order = self.order_of(epoch, self.trainer.global_rank)
        return self.data.train_loader(self.order, epoch=epoch, seed=self.seed)

    def optimiser_of(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """The one that `method.optimizer` chooses, for any network."""
        return optimiser(self.optimizer, network.parameters(), lr=self.lr, momentum=self.momentum,
                         nesterov=self.nesterov, weight_decay=self.weight_decay)

    @property
    def steps_an_epoch(self) -> int:
        """Of the optimiser; the devices count together."""
        return steps_of_epoch(len(self.order_of(0, 0)), self.trainer)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.optimiser_of(self.network)
        factor = learning_rate(self.lr_schedule, epochs=self.epochs, steps=self.steps_an_epoch,
                               milestones=self.milestones, gamma=self.gamma, warmup_epochs=self.warmup_epochs)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # --- training -----------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        self.clock.start()
        self.loss.begin_epoch(self.current_epoch)
        self.sums = torch.zeros(3, device=self.device)  # loss, errors, samples; read once an epoch

    def training_step(self, batch: Batch, index: int) -> Tensor:
        images, mix = mixed(batch.images, self.mixing, self.mixing_concentration, self.mixing_probability,
                            (self.seed, self.current_epoch, index))
        count, real = self.order.sizes[index], self.order.real[index]  # partners stand behind the first `count`
        self.rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        step = Step(images, batch.labels[:count], batch.index[:count], self.order.rows(index)[:count],
                    self.order.start(index), real, mix)
        losses, logits = self.loss(self.network, step)
        total = losses[:real].sum()
        with torch.no_grad():
            wrong = (logits[:real].argmax(1) != step.labels[:real]).sum()
            self.sums += torch.stack([total, wrong.to(total.dtype), total.new_full((), real)])
        # DDP averages over ranks: so this is the mean over the real samples of all ranks
        return total * (self.trainer.world_size / self.order.total[index])

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        figures = self.loss.end_epoch()
        loss, wrong, count = self.trainer.strategy.reduce(self.sums, reduce_op="sum").tolist()
        self.clock.stop(int(count))
        if not torch.isfinite(torch.tensor(loss)):
            raise UserError(f"training loss {loss} in epoch {self.current_epoch + 1}", "the training has diverged",
                            "lower method.lr or add method.warmup_epochs; the last finite state is in checkpoints/",
                            FAILED_RUN)
        self.log("train/loss", loss / count, prog_bar=True)
        self.log_dict({"train/top1_err": 100 * wrong / count, "train/lr": self.rate, **figures, **self.costs})

    @property
    def costs(self) -> dict[str, float]:
        """What the training cost so far."""
        return {"cost/seconds_train": self.clock.seconds, "cost/samples": float(self.clock.samples), **self.overhead}
