"""PS-KD's loss: the maths of targets.py on what the memory hands out."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from src.core.errors import UserError
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.memory import make
from src.methods.pskd.resuming import same
from src.methods.pskd.rows import MixedRows, Rows
from src.methods.pskd.step import Context, Step
from src.methods.pskd.targets import alpha_at, refined_cross_entropy


class PSKD(Loss):
    """Progressive self-knowledge distillation. `alpha` is a_T; `memory` says where the past predictions live."""

    def __init__(self, *, alpha: float, memory: Literal["table", "sharded", "memmap", "topk", "snapshot"],
                 top: int = 10, smoothing: float = 0.0) -> None:
        super().__init__(smoothing=smoothing)
        self.alpha, self.kind, self.top = alpha, memory, top
        self.memory = make(memory, top)
        self.name = f"PS-KD, a_t = {alpha} (t + 1) / T, memory {memory}" + (f" (k = {top})" if memory == "topk" else "")

    def begin(self, context: Context) -> None:
        super().begin(context)
        self.memory.open(context)
        self.weight = torch.zeros((), device=context.device)  # a_t: filled in each epoch, read by compiled code

    def begin_epoch(self, epoch: int) -> None:
        self.weight.fill_(alpha_at(epoch, self.context.epochs, self.alpha))
        self.memory.begin_epoch(epoch)
        self.tally = torch.zeros(2, 3, device=self.context.device)

    def __call__(self, network: nn.Module, step: Step) -> tuple[Tensor, Tensor]:
        past = self.past(step)
        logits = network(step.images)
        log_probs = logits.float().log_softmax(1)
        losses = refined_cross_entropy(log_probs, self.hard(log_probs, step), past, self.weight)
        if step.mix is None:  # what a mixed picture gives is no prediction for either sample: it is never kept
            probs = log_probs.detach().exp()
            self._count(probs, past, step)
            self.memory.write(step, probs, past)
        return losses, logits

    def past(self, step: Step) -> Rows:
        """P_{t-1} of the batch; of mixed pictures either exactly (snapshot) or as the mixture of both samples' rows."""
        rows = self.memory.read(step)
        if step.mix is None or self.memory.serves_mixed:
            return rows
        return MixedRows(rows, self.memory.read_mirrored(step), step.mix.share)

    def _count(self, probs: Tensor, past: Rows, step: Step) -> None:
        """Sums of 1 - P_t(y) and 1 - P_{t-1}(y) over samples that are now right, and over those that are wrong."""
        real = slice(0, step.real)
        labels = step.labels[real]
        now = 1 - probs[real].gather(1, labels[:, None]).squeeze(1)
        then = 1 - past.at(step.labels)[real]
        right = (probs[real].argmax(1) == labels).float()
        group = torch.stack([right, 1 - right])  # [2, B]
        # No product of matrices, which autocast would add up in half precision.
        self.tally += (group[:, :, None] * torch.stack([now, then, torch.ones_like(now)], 1)).sum(1)

    def end_epoch(self) -> dict[str, float]:
        """a_t, the memory's figures, and the gradient factor 1 - a g_{t-1} / g_t over right, wrong and all samples.

        By that factor PS-KD scales the gradient on the true class's logit, compared with cross-entropy (section 3.3):
        g is 1 - the class's probability, now and an epoch before. Samples that have become hard get nearly their full
        gradient; those that improved a lot get less, below zero once they are more certain than their target.
        """
        tally, alpha = self.tally.cpu().double(), float(self.weight)
        rows = {"easy": tally[0], "hard": tally[1], "all": tally.sum(0)}
        factors = {f"pskd/gradient_factor_{name}": float(1 - alpha * row[1] / row[0])
                   for name, row in rows.items() if row[0] > 0}
        return {"pskd/alpha": alpha, **factors, **self.memory.end_epoch()}

    def state_dict(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "epochs": self.context.epochs, "memory": self.memory.state_dict(),
                "fingerprint": self.context.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        same("method.epochs", self.context.epochs, state.get("epochs"), "a_t runs over the length it was started with")
        same("method.loss.alpha", self.alpha, state.get("alpha"), "a_t goes on as it was started")
        same("data", self.context.fingerprint[:12], str(state.get("fingerprint"))[:12],
             "past predictions belong to samples, and these are others (fingerprint of names and labels)")
        if not state.get("memory"):
            raise UserError("resume", "the checkpoint holds no past predictions, and zeros would be a wrong target",
                            "resume from a checkpoint of method=pskd, or start afresh")
        self.memory.load_state_dict(state["memory"])

    def fresh(self) -> PSKD:
        return PSKD(alpha=self.alpha, memory=self.kind, top=self.top, smoothing=self.smoothing)

    def close(self) -> None:
        self.memory.close()
