"""What a run says about itself: the lines at its start, and what identifies its checkpoints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

ADDRESS = re.compile(r"https?://[^\s)]+")
SAMPLER = ("steps", "eta", "guidance_scale", "guidance_rescale")


class Describing:
    """The method in words; nothing needs to be loaded."""

    def banner(self) -> list[tuple[str, str]]:
        """What a stage costs, before anything is loaded."""
        rows, pictures = self.prompts_per_stage, self.prompts_per_stage * self.branches
        first, last = self.interval_of(0), self.interval_of(self.stages - 1)
        guided = 2 if self.guidance_scale > 1 else 1
        kl = f", KL to the pretrained policy x {self.objective.kl_weight:g}" if self.objective.kl_weight else ""
        shared = [self.steps - s if self.shared_trunk else 0 for s in (first, last)]
        cost = [guided * rows * (steps + self.branches * (self.steps - steps)) for steps in shared]
        return [
            ("model", f"{self.model.name}, {self.model.adapter}"),
            ("prompts", repr(self.prompts)),
            ("reward", f"{self.reward.identity()}; evaluated by {', '.join(self.scorers)}"),
            ("objective", f"{type(self.objective).__name__}{kl}"),
            ("a stage", f"{rows} trunks x {self.branches} branches = {pictures} pictures and reward queries, "
                        f"last {first} to {last} of {self.steps} steps trained"),
            ("its cost", f"{cost[0]:,} to {cost[1]:,} UNet evaluations for sampling, "
                         f"at most {self.updates_per_stage} updates"),
            ("the run", f"{self.stages} stages, {self.stages * pictures:,} reward queries"),
        ]

    def identity(self) -> dict[str, str | int]:
        return {"method": "b2diffurl", "model": self.model.name, "adapter": self.model.adapter,
                "objective": type(self.objective).__name__.lower()}

    def scored(self) -> str:
        """What past rewards are of: a reward has its scale, and prompts are numbered by their place in a list."""
        return f"{self.reward.identity()} on prompts {_digest(self.prompts.train)}"

    def evaluated_as(self) -> dict[str, Any]:
        """What decides an evaluation's figures besides the weights. Precision and the addresses of reward servers are
        left out: they may change on the way."""
        own = {f"method.{name}": getattr(self, name) for name in (*SAMPLER, "eval_prompts", "eval_images")}
        model = {f"model.{name}": getattr(self.model, name) for name in ("resolution", "timestep_spacing")}
        train, heldout = self.prompts.train, self.prompts.heldout
        prompts = f"{len(train)}+{len(heldout)} prompts {_digest([*train, *heldout])}"
        scorers = {f"scorers.{name}": ADDRESS.sub("", scorer.identity()) for name, scorer in self.scorers.items()}
        return own | model | {"data": prompts} | scorers


def _digest(prompts: Sequence[str]) -> str:
    """What tells one list of prompts from another."""
    return hashlib.sha256("\n".join(prompts).encode()).hexdigest()[:12]
