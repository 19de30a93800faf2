"""Diversity as the embedded world's verifier sees it: its scenes instead of Inception's classes, its features instead
of AlexNet's. The formulas are those of the Inception Score and of LPIPS; the network, and so the names, are others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from src.core.places import ROOT, local_path
from src.data.shape_words import SIZES
from src.methods.b2diffurl.diversity import inception_score, perceptual_distance
from src.methods.b2diffurl.measures.base import Advance, Drawn
from src.rewards.base import Reward


class VerifierDiversity:
    """`verifier_is`: exp of the mutual information of picture and scene, over all pictures of a list of prompts;
    `verifier_distance`: LPIPS' formula on the verifier's convolutions with equal weights, pictures of one prompt."""

    def __init__(self, *, path: str = "src/models/tiny_sd/weights/verifier", batch: int = 256) -> None:
        self.path, self.batch = path, batch

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> VerifierDiversity:
        from src.models.tiny_sd.verifier import load_verifier

        self.net = load_verifier(local_path(self.path) or ROOT / self.path).to(device)
        self.device = device
        return self

    @torch.no_grad()
    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        scenes, distances = [], []
        for families in drawn.families(self.batch, self.device, advance):
            layers, logits = features_and_logits(self.net, families.flatten(0, 1))
            shaped = [layer.unflatten(0, families.shape[:2]) for layer in layers]
            distances.append(perceptual_distance(shaped, [None] * len(shaped)))
            scenes.append(scene_log_probs(logits).cpu())
        return {"verifier_is": inception_score(torch.cat(scenes)),
                "verifier_distance": torch.cat(distances).mean().item()}

    def identity(self) -> str:
        return f"verifier {self.path}"


def features_and_logits(net: torch.nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """The output of each of the verifier's convolutional blocks, [B, C, H, W], and its logits [B, 24]."""
    hidden, layers = images * 2 - 1, []
    for layer in net.body:
        hidden = layer(hidden)
        if isinstance(layer, torch.nn.ReLU) and hidden.dim() == 4:
            layers.append(hidden)
    return layers[1::2], net.heads(hidden)


def scene_log_probs(logits: Tensor) -> Tensor:
    """log p(scene | picture) [B, scenes] from the logits [B, 24] of all heads: attributes are read independently."""
    heads = logits.split((*SIZES, logits.shape[1] - sum(SIZES)), 1)[: len(SIZES)]
    joint = heads[0].log_softmax(1)
    for head in heads[1:]:
        joint = (joint[:, :, None] + head.log_softmax(1)[:, None]).flatten(1)
    return joint
