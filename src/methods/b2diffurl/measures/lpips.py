"""LPIPS of the pictures of one prompt: AlexNet's features, weighted by the heads that torchmetrics ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from src.core.errors import UserError
from src.methods.b2diffurl.diversity import perceptual_distance
from src.methods.b2diffurl.measures.base import Advance, Drawn
from src.methods.b2diffurl.measures.weights import ALEXNET, fetched
from src.rewards.base import Reward

TAPS = (1, 4, 7, 9, 11)  # the rectified convolutions
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1], as LPIPS was trained
SMALLEST = 64  # pixels


class Lpips:
    """`lpips`: mean over pairs of pictures of one prompt, mean over prompts; version 0.1 with AlexNet.

    Features are computed once a picture and pairs never: the mean over pairs is a variance (`mean_square_distance`).
    """

    def __init__(
        self,
        *,
        path: str | None = None,  # torchvision's alexnet-owt-7be5be79.pth; null: its cache, else a download
        batch: int = 24,  # pictures at once, at least those of one prompt
    ) -> None:
        self.path, self.batch = path, batch

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> Lpips:
        """Raises UserError where there are no weights."""
        from torchvision.models import alexnet

        state = torch.load(fetched(ALEXNET, self.path), weights_only=True, map_location="cpu")
        with torch.device("meta"):  # the classifier's 230 MB are not needed
            net = alexnet().features
        try:
            net.load_state_dict({name.removeprefix("features."): value for name, value in state.items()
                                 if name.startswith("features.")}, assign=True)
        except RuntimeError as error:
            raise UserError(f"{ALEXNET.option}={self.path}", "these are not the weights of torchvision's AlexNet",
                            f"take {ALEXNET.url}") from error
        self.net = net.to(device).eval().requires_grad_(False)
        self.heads = [head.to(device) for head in heads()]
        self.device = device
        return self

    @torch.no_grad()
    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        if min(drawn.pictures.shape[-2:]) < SMALLEST:
            raise UserError(f"measure lpips on pictures of {drawn.pictures.shape[-1]} pixels",
                            f"AlexNet needs {SMALLEST}", "choose measures=tiny_sd for the embedded model")
        distances = [perceptual_distance(self.features(families), self.heads).cpu()
                     for families in drawn.families(self.batch, self.device, advance)]
        return {"lpips": torch.cat(distances).mean().item()}

    def features(self, families: Tensor) -> list[Tensor]:
        """Five layers [B, n, C, H, W] of pictures [B, n, 3, H, W] in [0, 1]."""
        shift, scale = (families.new_tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        hidden, layers = ((families * 2 - 1 - shift) / scale).flatten(0, 1), []
        for place, layer in enumerate(self.net[: TAPS[-1] + 1]):
            hidden = layer(hidden)
            if place in TAPS:
                layers.append(hidden.unflatten(0, families.shape[:2]).clone())  # the next layers may work in place
        return layers

    def identity(self) -> str:
        return f"lpips alexnet {self.path or ALEXNET.file}"


def heads() -> list[Tensor]:
    """LPIPS' weight of each channel, [C] a layer, from the files of torchmetrics."""
    from torchmetrics.functional.image import lpips

    state = torch.load(Path(lpips.__file__).parent / "lpips_models" / "alex.pth", weights_only=True, map_location="cpu")
    return [state[f"lin{place}.model.1.weight"].flatten() for place in range(len(TAPS))]
