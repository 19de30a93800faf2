"""From rewards to advantages: z-scores over a window of stages, and which branches of a trunk are worth training on.

Everything here sees the samples of *all* ranks, sorted by slot: then results do not depend on how prompts were dealt to
ranks. Statistics run in float64, without loops over prompts; the tensors are small and belong on the CPU.
"""

from collections import deque
from typing import Any, Literal

import torch
from torch import LongTensor, Tensor

from src.core.errors import UserError

Normaliser = Literal["prompt", "trunk", "global", "prompt_center", "trunk_center"]
Rule = Literal["reference", "all", "best_worst"]
_ROUNDING = 1e-6  # rewards that differ by less than this share of their size differ by float32 rounding only


class RewardHistory:
    """The rewards of the last `window` stages, per prompt; `of` says which reward's and which prompts'."""

    def __init__(self, window: int) -> None:
        self.stages: deque[tuple[LongTensor, Tensor]] = deque(maxlen=window)
        self.of: str | None = None

    def goes_on_with(self, of: str) -> bool:
        """Whether what comes is of the same reward and prompts. Else the past is forgotten: it has another scale, or
        is numbered otherwise."""
        same = self.of in (None, of)
        if not same:
            self.stages.clear()
        self.of = of
        return same

    def add(self, prompts: LongTensor, rewards: Tensor) -> None:
        """Append one stage: prompts int64 [M], rewards [M]; the oldest stage leaves a full window."""
        self.stages.append((prompts.detach().cpu().clone(), rewards.detach().double().cpu().clone()))

    def pool(self, prompts: LongTensor, rewards: Tensor) -> tuple[LongTensor, Tensor]:
        """The window's prompts and float64 rewards, those given first."""
        past_prompts, past_rewards = zip(*self.stages, strict=True) if self.stages else ((), ())
        device = rewards.device
        pooled = torch.cat([prompts.cpu(), *past_prompts]), torch.cat([rewards.double().cpu(), *past_rewards])
        return pooled[0].to(device), pooled[1].to(device)

    def state_dict(self) -> dict[str, Any]:
        """Plain lists, exact in float64."""
        return {
            "of": self.of,
            "prompts": [prompts.tolist() for prompts, _ in self.stages],
            "rewards": [rewards.tolist() for _, rewards in self.stages],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stages.clear()
        self.of = state.get("of")
        for prompts, rewards in zip(state["prompts"], state["rewards"], strict=True):
            self.add(torch.tensor(prompts, dtype=torch.int64), torch.tensor(rewards, dtype=torch.float64))


def normalise(
    rewards: Tensor,
    prompts: LongTensor,
    trunks: LongTensor,
    history: RewardHistory | None = None,
    *,
    kind: Normaliser = "prompt",
    std_floor: float = 0.05,
    min_count: int = 1,
) -> tuple[Tensor, dict[str, int]]:
    """z-scores of this stage's rewards.

    Args:
        rewards: [M], finite.
        prompts, trunks: int64 [M].
        history: earlier stages, for `prompt`, `global` and `prompt_center`; trunks live for one stage only.
        kind: `prompt`: mean and std of the prompt's rewards in the window (reference). `trunk`: of the siblings.
            `global`: of the whole window. `prompt_center`, `trunk_center`: the group's mean, but one std,
            that of all residuals; steadier where a prompt is seen rarely, and small contrasts stay small.
        std_floor: smallest std to divide by, as a share of the std of all rewards in the window.
        min_count: for `prompt`: with fewer rewards of its prompt in the window, a sample is compared with all rewards
            of this stage instead (as the per-prompt statistics of DDPO's code do, with 16).

    Returns:
        z: float64 [M], and how many of the M samples were `single` (alone in their group: z = 0) and `floored` (divided
        by the floor, their std being below it).

    Raises:
        UserError: for a reward that is NaN or infinite.
    """
    _refuse_not_finite(rewards)
    by_trunk = kind.startswith("trunk")
    window = history.pool(prompts, rewards) if history and not by_trunk else (prompts, rewards.double())
    groups, values = (trunks if by_trunk else window[0]), window[1]
    group = torch.zeros_like(groups) if kind == "global" else groups.unique(return_inverse=True)[1]
    count, mean = _group_means(values, group)
    residual = values - mean[group]
    std = _group_means(residual.square(), group)[1].sqrt()[group]
    if kind.endswith("_center"):
        std = _pooled_std(residual, count).expand_as(residual)
    floor = max(std_floor * values.std(correction=0), _ROUNDING * values.abs().max(), torch.finfo(values.dtype).tiny)
    here = slice(len(rewards))  # this stage's, which come first
    residual, std, count, stage = residual[here], std[here], count[group][here], values[here]
    if kind == "prompt" and min_count > 1:
        few = count < min_count
        residual, std = torch.where(few, stage - stage.mean(), residual), torch.where(few, stage.std(correction=0), std)
        count = torch.where(few, len(rewards), count)
    guarded = {"single": int((count == 1).sum()), "floored": int((std < floor).sum())}
    return residual / std.clamp(min=floor), guarded


def select(
    z: Tensor, trunks: LongTensor, *, rule: Rule = "reference", positive: float = 0.5, negative: float = -0.5
) -> tuple[LongTensor, dict[str, float]]:
    """Which samples are trained on.

    Args:
        z: [M], one z-score per sample; trunks: int64 [M], the same number of samples for each trunk, in any order.
        rule: `reference`: a trunk's best branch if z >= positive, its worst if z < negative. `all`: every branch.
            `best_worst`: best and worst, whatever their z.

    Returns:
        Indices into z, ascending, [kept]; and shares of trunks by the sign of what they gave: `positive_only`,
        `negative_only`, `both`, `none` (nothing kept); `kept` is the share of samples.
    """
    _refuse_not_finite(z, "z")
    order = by_trunk(trunks)  # [N, K]
    scores = z[order]
    best, worst = scores.argmax(1, keepdim=True), scores.argmin(1, keepdim=True)
    mask = torch.full_like(scores, rule == "all", dtype=torch.bool)
    if rule == "best_worst":
        mask.scatter_(1, best, True).scatter_(1, worst, True)
    elif rule == "reference":
        branch = torch.arange(scores.shape[1], device=z.device)
        mask = ((branch == best) & (scores >= positive)) | ((branch == worst) & (scores < negative))
    return order[mask].sort().values, _shares(mask, scores)


def advantages(
    z: Tensor, *, clip: float | None = 5.0, positive_weight: float = 1.0, negative_weight: float = 1.0
) -> Tensor:
    """float32 [B]: z clipped to +-clip, times the weight of its sign."""
    clipped = z if clip is None else z.clamp(-clip, clip)
    return torch.where(clipped >= 0, clipped * positive_weight, clipped * negative_weight).float()


def reward_variance(rewards: Tensor, trunks: LongTensor) -> dict[str, float]:
    """Variance of the rewards `within` and `between` trunks, which add up to the whole.

    With little variance within, branches give no contrast. `zero_std` is the share of trunks whose branches tie.
    """
    families = rewards.double()[by_trunk(trunks)]
    spread = families.amax(1) - families.amin(1)
    return {
        "within": families.var(1, correction=0).mean().item(),
        "between": families.mean(1).var(correction=0).item(),
        "zero_std": (spread <= _ROUNDING * families.abs().max()).double().mean().item(),
    }


def _group_means(values: Tensor, group: LongTensor) -> tuple[Tensor, Tensor]:
    """Count and mean of each group, both [groups]."""
    groups = int(group.max()) + 1
    count = torch.bincount(group, minlength=groups)
    total = torch.zeros(groups, dtype=values.dtype, device=values.device).index_add_(0, group, values)
    return count, total / count


def _pooled_std(residual: Tensor, count: Tensor) -> Tensor:
    """Std within groups, pooled over them; each group's own mean costs it one degree of freedom."""
    return (residual.square().sum() / (count - 1).sum().clamp(min=1)).sqrt()


def by_trunk(trunks: LongTensor) -> LongTensor:
    """Indices of the samples, one row per trunk: [N, K]."""
    counts = trunks.unique(return_counts=True)[1]
    if len(counts) and (counts != counts[0]).any():
        raise ValueError(f"trunks have {int(counts.min())} to {int(counts.max())} branches; all need the same number")
    return torch.argsort(trunks, stable=True).view(len(counts), -1 if len(counts) else 0)


def _shares(mask: Tensor, scores: Tensor) -> dict[str, float]:
    up, down = (mask & (scores > 0)).any(1), (mask & (scores < 0)).any(1)
    kinds = {"positive_only": up & ~down, "negative_only": down & ~up, "both": up & down, "none": ~mask.any(1)}
    return {name: kind.double().mean().item() for name, kind in kinds.items()} | {"kept": mask.double().mean().item()}


def _refuse_not_finite(values: Tensor, name: str = "rewards") -> None:
    bad = (~values.isfinite()).nonzero().flatten()
    if len(bad):
        first = int(bad[0])
        raise UserError(
            f"{name}[{first}]={values[first].item()}",
            f"a sample whose reward is not finite never trains, and {len(bad)} of {len(values)} are not",
            "check the reward",
        )
