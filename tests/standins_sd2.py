"""Stable Diffusion 2.1 at reduced width, random weights: what its folder has that SD 1.x's has not.

v-prediction, an OpenCLIP text encoder as transformers' CLIPTextModel (GELU, a projection of its own, padding with `!`),
linear projections and a number of heads for each level in the UNet's attention, a DDIM scheduler.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.standins import SIDE, WIDTH, _sd_vae, _text_options, tokenizer_files


def unet() -> Any:
    """SD 2.1: sample_size 96, channels (320, 640, 1280, 1280), heads (5, 10, 20, 20), cross-attention 1024."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16, 16, 16),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, cross_attention_dim=WIDTH,
        attention_head_dim=(2, 4, 4, 4), use_linear_projection=True, upcast_attention=True, norm_num_groups=4,
    )


def stable_diffusion_2(folder: Path, seed: int = 0, **scheduler: Any) -> Path:
    """A StableDiffusionPipeline in SD 2.1's layout, saved into `folder`; `scheduler` changes its settings."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    settings = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
                "beta_schedule": "scaled_linear", "set_alpha_to_one": False, "clip_sample": False,
                "prediction_type": "v_prediction"} | scheduler
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = CLIPTokenizer.from_pretrained(_padded_with_exclamation(folder / "tokenizer"))
        options = _text_options(tokenizer) | {"hidden_act": "gelu", "projection_dim": 16}
        StableDiffusionPipeline(vae=_sd_vae(), text_encoder=CLIPTextModel(CLIPTextConfig(**options)),
                                tokenizer=tokenizer, unet=unet(), scheduler=DDIMScheduler(**settings),
                                safety_checker=None, feature_extractor=None,
                                requires_safety_checker=False).save_pretrained(folder)
    return folder


def _padded_with_exclamation(folder: Path) -> Path:
    file = tokenizer_files(folder) / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": "!"}))
    return folder
