"""The Inception Score by the network that published figures use: torch-fidelity's port of the Inception v3 of 2015."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import torch

from src.core.errors import UserError
from src.methods.b2diffurl.diversity import inception_score
from src.methods.b2diffurl.measures.base import Advance, Drawn
from src.methods.b2diffurl.measures.weights import INCEPTION, fetched
from src.rewards.base import Reward

LOGITS = "logits_unbiased"


class InceptionScore:
    """`inception_score` of all pictures of a list of prompts, in one part. Few pictures bias it downwards, so it
    compares states that drew equally many, not papers."""

    def __init__(
        self,
        *,
        path: str | None = None,  # weights-inception-2015-12-05-6726825d.pth; null: torch's cache, else a download
        batch: int = 32,  # pictures at once
    ) -> None:
        self.path, self.batch = path, batch

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> InceptionScore:
        """Raises UserError where the package or the weights are missing."""
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise UserError("measures.inception", "needs the package torch-fidelity, which is not installed",
                            "run pip install -e '.[fidelity]', or leave it out: ~measures.inception") from error
        file = fetched(INCEPTION, self.path)
        try:
            torch.load(file, weights_only=True, map_location="cpu")  # the library would run code that is in the file
            net = FeatureExtractorInceptionV3("inception-v3-compat", [LOGITS], feature_extractor_weights_path=str(file))
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise UserError(f"{INCEPTION.option}={self.path}", "these are not weights of torch-fidelity's Inception",
                            f"take {INCEPTION.url}") from error
        self.net, self.device = net.to(device).eval(), device
        return self

    @torch.no_grad()
    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        parts = []
        for batch in drawn.pictures.flatten(0, 1).split(self.batch):
            (logits,) = self.net(batch.to(self.device))  # uint8, resized as TensorFlow does
            parts.append(logits.log_softmax(1).cpu())
            advance(len(batch))
        return {"inception_score": inception_score(torch.cat(parts))}

    def identity(self) -> str:
        return f"inception {self.path or INCEPTION.file}"
