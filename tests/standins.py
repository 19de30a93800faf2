"""Small stand-ins in the libraries' own formats: a Stable Diffusion 1.x at reduced width and depth, and a CLIP;
random weights.

`stable_diffusion(folder)` and `clip(folder)` write them; the fixtures `sd_folder` and `clip_folder` in conftest.py keep
one of each for a whole test session.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

TOKENS = 77  # as SD 1.x
WIDTH = 32  # of the text embedding, hence of the cross-attention (SD 1.x: 768)
SIDE = 8  # of the latents (SD 1.x: 64); pictures are eight times as wide


def tokenizer_files(folder: Path) -> Path:
    """vocab.json and merges.txt of a byte-level CLIP tokenizer with a handful of merges."""
    from tokenizers.pre_tokenizers import ByteLevel

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(ByteLevel.alphabet())
    merges = [("r", "e"), ("re", "d</w>"), ("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    tokens = [*alphabet, *(f"{a}</w>" for a in alphabet), *(a + b for a, b in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(f"{a} {b}" for a, b in merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "pad_token": "<|endoftext|>",
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}))
    return folder


def _text_options(tokenizer) -> dict:
    return {"vocab_size": len(tokenizer), "max_position_embeddings": TOKENS, "hidden_size": WIDTH,
            "num_hidden_layers": 2, "intermediate_size": 37, "num_attention_heads": 4,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id}


def _sd_unet():
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=2, norm_num_groups=4,
    )


def _sd_vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=8 * SIDE, latent_channels=4, layers_per_block=1, block_out_channels=(4, 4, 8, 8), norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, scaling_factor=0.18215,
    )


def stable_diffusion(folder: Path, seed: int = 0) -> Path:
    """A StableDiffusionPipeline with SD 1.x's configuration at reduced width and depth, saved into `folder`."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_files(folder / "tokenizer"))
        text_encoder = CLIPTextModel(CLIPTextConfig(**_text_options(tokenizer)))
        scheduler = PNDMScheduler(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, skip_prk_steps=True,
                                  beta_schedule="scaled_linear", set_alpha_to_one=False, steps_offset=1)
        StableDiffusionPipeline(vae=_sd_vae(), text_encoder=text_encoder, tokenizer=tokenizer, unet=_sd_unet(),
                                scheduler=scheduler, safety_checker=None, feature_extractor=None,
                                requires_safety_checker=False).save_pretrained(folder)
    return folder


def clip(folder: Path, seed: int = 1, side: int = 32) -> Path:
    """A CLIPModel with tokenizer and image processor for pictures of `side` pixels, saved into `folder`."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_files(folder))
        vision = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 37, "num_attention_heads": 4,
                  "image_size": side, "patch_size": 8}
        model = CLIPModel(CLIPConfig(text_config=_text_options(tokenizer), vision_config=vision, projection_dim=16))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        crop = {"height": side, "width": side}
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size=crop).save_pretrained(folder)
    return folder
