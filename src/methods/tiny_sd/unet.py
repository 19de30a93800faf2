"""Training of the embedded UNet: noise prediction on latents, some captions left out, a stated share of them wrong.

Wrong captions leave headroom: as with captions from the web, the model learns that prompts are mostly true.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from src.data import shapes
from src.methods.tiny_sd.clip import caption_tokens, change_one
from src.methods.tiny_sd.part import Part
from src.models.tiny_sd import architecture


class UNetTraining(Part):
    """`wrong_captions` and `caption_dropout` are shares of the pictures; `clip` and `autoencoder` are folders."""

    def __init__(self, *, steps: int, batch_size: int, lr: float, weight_decay: float, ema_decay: float, weights: str,
                 clip: str, autoencoder: str, wrong_captions: float, caption_dropout: float):
        super().__init__(steps=steps, batch_size=batch_size, lr=lr, weight_decay=weight_decay, ema_decay=ema_decay,
                         weights=weights)
        self.wrong_captions, self.caption_dropout = wrong_captions, caption_dropout
        self.clip_folder, self.autoencoder_folder = clip, autoencoder

    def network(self) -> UNet2DConditionModel:
        return architecture.unet().to(memory_format=torch.channels_last)

    def setup(self, stage: str) -> None:
        if hasattr(self, "vae"):
            return
        self.tokenizer = CLIPTokenizer.from_pretrained(self.clip_folder)
        clip = CLIPModel.from_pretrained(self.clip_folder)
        self.text_encoder = CLIPTextModel(clip.config.text_config).eval().requires_grad_(False)
        self.text_encoder.load_state_dict(clip.text_model.state_dict())
        self.vae = AutoencoderKL.from_pretrained(self.autoencoder_folder).eval().requires_grad_(False)
        self.scheduler = architecture.scheduler()

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        scenes = shapes.random_scenes(self.batch_size, generator)
        latents, noise, noisy, times = self.diffuse(scenes, generator)
        prediction = self.net(noisy, times, self.prompts(scenes, generator)).sample
        loss = F.mse_loss(prediction, noise)
        return loss, {"latent_std": latents.std()}

    @torch.no_grad()
    def diffuse(self, scenes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        images = (2 * shapes.draw(scenes, generator) - 1).to(self.device, memory_format=torch.channels_last)
        latents = self.vae.encode(images).latent_dist.mean * self.vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(self.scheduler.config.num_train_timesteps, (len(scenes),), generator=generator)
        noise, times = noise.to(self.device), times.to(self.device)
        return latents, noise, self.scheduler.add_noise(latents, noise, times), times

    @torch.no_grad()
    def prompts(self, scenes: Tensor, generator: torch.Generator) -> Tensor:
        """Text embeddings [batch, tokens, width] of captions, some wrong in one attribute, some left out."""
        wrong = torch.rand(len(scenes), 1, generator=generator) < self.wrong_captions
        tokens = caption_tokens(self.tokenizer, torch.where(wrong, change_one(scenes, generator), scenes), generator)
        empty = self.tokenizer("", padding="max_length", return_tensors="pt").input_ids
        left_out = torch.rand(len(scenes), 1, generator=generator) < self.caption_dropout
        return self.text_encoder(torch.where(left_out, empty, tokens).to(self.device))[0]

    @torch.no_grad()
    def score(self, generator: torch.Generator) -> dict[str, float]:
        """Mean squared error of the noise on fresh drawings with right captions."""
        scenes = shapes.random_scenes(1024, generator)
        _, noise, noisy, times = self.diffuse(scenes, generator)
        tokens = caption_tokens(self.tokenizer, scenes, generator).to(self.device)
        return {"noise_mse": float(F.mse_loss(self.trained(noisy, times, self.text_encoder(tokens)[0]).sample, noise))}

    def export(self, folder: Path) -> None:
        pipeline = StableDiffusionPipeline(
            vae=self.vae, text_encoder=self.text_encoder, tokenizer=self.tokenizer, unet=self.trained,
            scheduler=self.scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        for target in (folder, self.weights):
            pipeline.save_pretrained(target)
