"""How much GPU memory training a Stable Diffusion takes, by a formula; nothing here is measured. Pure Python.

The figures of a model are counted from its architecture (tests/models/counting.py); conf/memory names batch sizes that
fit a card.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1e9
OVERHEAD = 1.0  # GB: the CUDA context, cuDNN's and cuBLAS' workspaces
SCORERS = 2.5  # GB: reward=clip (ViT-L/14) and the scorer beside it in float32
HALF = 1.5  # a margin for autocast's copies, which the count leaves out
FRAGMENTS = 1.1  # what the allocator holds over what is asked of it


@dataclass(frozen=True)
class Footprint:
    """One model's figures in GB, in bfloat16 with LoRA on the attention; a pair is two rows (guidance)."""

    side: int  # pixels of a picture's side; all figures but the weights grow with its square
    weights: float  # UNet and VAE; the text encoders rest on the CPU
    pair: float  # kept by autograd for a (sample, step) pair
    pair_checkpointed: float  # ... with gradient checkpointing
    block: float  # the largest checkpointed block of one pair, which the backward pass computes again
    picture: float  # the VAE's largest tensors while it decodes one picture

    @property
    def latents(self) -> float:
        """One latent picture in float32."""
        return 4 * (self.side // 8) ** 2 * 4 / GB

    def at(self, side: int) -> Footprint:
        """For pictures of another side."""
        scale = (side / self.side) ** 2
        return Footprint(side, self.weights, scale * self.pair, scale * self.pair_checkpointed, scale * self.block,
                         scale * self.picture)


_SD1 = Footprint(side=512, weights=1.89, pair=1.59, pair_checkpointed=0.30, block=0.12, picture=0.54)
# `saved_by_autograd` on the published UNet configurations, `picture_bytes`, and the VAE's parameters x 2 bytes.
FOOTPRINTS = {
    "sd14": _SD1,
    "sd15": _SD1,
    "sd21": Footprint(side=768, weights=1.90, pair=3.38, pair_checkpointed=0.48, block=0.27, picture=1.21),
    "sdxl": Footprint(side=1024, weights=5.33, pair=11.16, pair_checkpointed=0.98, block=0.25, picture=2.15),
}


def parts(of: Footprint, *, checkpointing: bool, micro_batch: int, rollout_batch: int, vae_batch: int, pictures: int,
          steps: int) -> dict[str, float]:
    """GB of what sizes decide: `trajectories` all the time, and one of `update`, `rollout`, `decode` at a time.

    update = 1.5 micro_batch * pair, or 1.5 micro_batch * (pair_checkpointed + block); rollout = 1.5 rollout_batch *
    block, since without gradients hardly more than one block of the UNet is alive; decode = vae_batch * picture;
    trajectories = what is `held` where two fifths of a stage's pictures are kept, as with two of five branches.
    """
    pair = of.pair_checkpointed + of.block if checkpointing else of.pair
    latents = held(pictures, round(0.4 * pictures), steps)
    return {"trajectories": latents * of.latents, "update": HALF * micro_batch * pair,
            "rollout": HALF * rollout_batch * of.block, "decode": vae_batch * of.picture}


def held(pictures: int, kept: int, steps: int) -> int:
    """Most latent pictures that a stage holds at once: max(M (s + 8), (M + m)(s + 1) + M).

    While M pictures are sampled: s + 1 of each, the last s steps' trajectory, and seven at work (the old and new
    latents, outputs, means). When the m kept ones are chosen: both trajectories, and the M finished pictures. From then
    on only m (s + 1), and m s means of the reference policy where a KL is asked for.
    """
    return max(pictures * (steps + 8), (pictures + kept) * (steps + 1) + pictures)


def needed(of: Footprint, *, scorers: float = SCORERS, **sizes: int | bool) -> float:
    """GB of a run with the sizes of `parts`: 1.1 (weights + scorers + trajectories + max(update, rollout, decode)) + 1.
    """
    taken = parts(of, **sizes)
    most = max(taken["update"], taken["rollout"], taken["decode"])
    return FRAGMENTS * (of.weights + scorers + taken["trajectories"] + most) + OVERHEAD
