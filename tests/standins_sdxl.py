"""Stable Diffusion XL base 1.0 at reduced width, random weights: what its folder has that SD 1.x's has not.

Two text encoders with tokenizers of their own, of different widths, the second with a projection; a UNet of three
levels that takes the pooled embedding and six sizes; Euler's scheduler with the published settings; a VAE that says
force_upcast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.standins import SIDE, WIDTH, _sd_vae, _text_options, tokenizer_files
from tests.standins_sd2 import _padded_with_exclamation

WIDTH_2 = 48  # of the second encoder's states (SDXL: 1280 beside 768)
POOLED = 24  # of its projection (SDXL: 1280)
SCHEDULER = {  # scheduler/scheduler_config.json of stabilityai/stable-diffusion-xl-base-1.0
    "_class_name": "EulerDiscreteScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False,
}


def unet() -> Any:
    """SDXL: sample_size 128, channels (320, 640, 1280), heads (5, 10, 20), layers (1, 2, 10), cross-attention 2048."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4, 4),
        transformer_layers_per_block=(1, 1, 2), cross_attention_dim=WIDTH + WIDTH_2, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + POOLED, norm_num_groups=4,
    )


def stable_diffusion_xl(folder: Path, seed: int = 0, *, zeros_for_empty: bool = True) -> Path:
    """A StableDiffusionXLPipeline in the base model's layout, saved into `folder`."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = CLIPTokenizer.from_pretrained(tokenizer_files(folder / "tokenizer"))
        second = CLIPTokenizer.from_pretrained(_padded_with_exclamation(folder / "tokenizer_2"))
        options = _text_options(second) | {"hidden_act": "gelu", "hidden_size": WIDTH_2, "num_hidden_layers": 3,
                                           "projection_dim": POOLED}
        StableDiffusionXLPipeline(
            vae=AutoencoderKL.from_config(_sd_vae().config, scaling_factor=0.13025, force_upcast=True),
            text_encoder=CLIPTextModel(CLIPTextConfig(**_text_options(first))),
            text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**options)),
            tokenizer=first, tokenizer_2=second, unet=unet(), scheduler=EulerDiscreteScheduler.from_config(SCHEDULER),
            force_zeros_for_empty_prompt=zeros_for_empty, add_watermarker=False).save_pretrained(folder)
    return folder
