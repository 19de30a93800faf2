"""TF-KD: teacher-free knowledge distillation (Yuan et al., CVPR 2020), with a virtual teacher or the net's own copy."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from src.core import checkpoint, resume
from src.core.errors import UserError
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.step import Context, Step
from src.methods.pskd.targets import hard_cross_entropy


class TFKD(Loss):
    """(1 - weight) cross-entropy + weight * KL(teacher at temperature T || P).

    `teacher: null` is the virtual teacher of TF-KD_reg: `correct` on the true class, the rest evenly, then softened by
    T (section 5.1 of the paper); the student is not softened. A checkpoint of an earlier cross-entropy run of the same
    network is TF-KD_self: both sides are softened, and the distance is scaled by T^2.
    """

    def __init__(self, *, weight: float = 0.1, temperature: float = 20.0, correct: float = 0.99,
                 teacher: str | None = None, output_dir: str = "outputs", smoothing: float = 0.0) -> None:
        super().__init__(smoothing=smoothing)
        self.weight, self.temperature, self.correct, self.teacher = weight, temperature, correct, teacher
        self.output_dir = output_dir
        self.name = f"TF-KD, {'virtual teacher' if teacher is None else teacher}, temperature {temperature}"

    def begin(self, context: Context) -> None:
        super().begin(context)
        self.net = self._load(context) if self.teacher is not None else None
        peak, other = virtual_teacher(self.correct, self.temperature, context.classes)
        self.peak, self.other, self.entropy = peak, other, _entropy(peak, other, context.classes)

    def __call__(self, network: nn.Module, step: Step) -> tuple[Tensor, Tensor]:
        logits = network(step.images)
        log_probs = logits.float().log_softmax(1)
        distance = self._to_virtual(log_probs, step) if self.net is None else self._to_net(logits.float(), step)
        return (1 - self.weight) * self.hard(log_probs, step) + self.weight * distance, logits

    def _to_virtual(self, log_probs: Tensor, step: Step) -> Tensor:
        """KL(u || P), [B]. u has two different values, so its cross-entropy is a label-smoothed one."""
        own = hard_cross_entropy(log_probs, step.labels)
        if step.mix is not None:
            own = step.mix.share * own + (1 - step.mix.share) * hard_cross_entropy(log_probs, step.labels.flip(0))
        return (self.peak - self.other) * own - self.other * log_probs.sum(1) - self.entropy

    def _to_net(self, logits: Tensor, step: Step) -> Tensor:
        with torch.no_grad():
            target = (self.net(step.images).float() / self.temperature).log_softmax(1)
        student = (logits / self.temperature).log_softmax(1)
        return self.temperature**2 * (target.exp() * (target - student)).sum(1)

    def _load(self, context: Context) -> nn.Module:
        path = resume.evaluated(str(self.teacher), Path(self.output_dir), key="method.loss.teacher")
        net = context.build()
        state = {key.removeprefix("network."): value for key, value in checkpoint.load(path)["state_dict"].items()
                 if key.startswith("network.")}
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise UserError(f"method.loss.teacher={self.teacher}", "its network is not the one that is trained here",
                            "give a run of the same model and the same classes") from error
        return net.to(context.device).eval().requires_grad_(False)


def virtual_teacher(correct: float, temperature: float, classes: int) -> tuple[float, float]:
    """Probability of the true class and of each other one, after softening by the temperature."""
    values = torch.full((classes,), (1 - correct) / max(classes - 1, 1), dtype=torch.float64)
    values[0] = correct
    soft = (values / temperature).softmax(0)
    return float(soft[0]), float(soft[-1])


def _entropy(peak: float, other: float, classes: int) -> float:
    values = torch.tensor([peak] + [other] * (classes - 1), dtype=torch.float64)
    return float(-(values * values.log()).sum())
