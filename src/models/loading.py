"""The parts of a Stable Diffusion as they are loaded from a diffusers folder, with the adapter that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch

from src.core.errors import UserError
from src.models import lora, norms
from src.models.fetch import loading, weights_folder
from src.models.pipelines import PIPELINES, folder_problem, resolution_problem
from src.models.text import TextEncoder


class Loading:
    """The part of `DiffusionModel` that reads weights. Nothing is loaded, and no diffusers imported, before `load`."""

    pipeline = "StableDiffusionPipeline"  # the class of diffusers whose folder this is

    def load(self, device: torch.device | str) -> Self:
        """Loads all parts to `device` and adds the adapter. Raises UserError for missing weights or wrong targets."""
        if self.path is None:
            raise UserError("model.path is null: give a diffusers folder or a hub id.")
        of = PIPELINES[self.pipeline]
        folder = weights_folder(self.path, of.files, "model.path", of.patterns)
        if problem := folder_problem(self.path, folder, of) or resolution_problem(self.resolution, folder):
            raise UserError(problem)
        self.device = torch.device(device)
        with loading("model.path", self.path):
            self._load_text(folder)
            self._load_vae(folder)
            self._load_unet(folder)
            self.scheduler = self._load_scheduler(folder)
        if self.unet.config.in_channels != self.vae.config.latent_channels:
            raise UserError(f"model.path={self.path}: its UNet takes {self.unet.config.in_channels} channels, its VAE "
                            f"gives {self.vae.config.latent_channels}. Give a text-to-image model, not inpainting.")
        self.empty_embedding = self._encode_empty()  # [1, L, D]
        return self

    def _load_text(self, folder: Path) -> None:
        self.text = TextEncoder(folder, self.device, self.dtype)

    def _load_vae(self, folder: Path) -> None:
        from diffusers import AutoencoderKL

        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=self._vae_dtype(folder))
        self.vae.to(self.device).eval().requires_grad_(False)
        self.vae.to(memory_format=torch.channels_last)

    def _vae_dtype(self, folder: Path) -> torch.dtype:
        return self.dtype

    def _load_unet(self, folder: Path) -> None:
        from diffusers import UNet2DConditionModel

        # Trained as a whole, the weights stay in float32 and only the arithmetic is in half precision.
        dtype = self.dtype if self.lora_rank else torch.float32
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype).to(self.device).eval()
        self.unet.to(memory_format=torch.channels_last)  # what convolutions of several threads, and of a GPU, like best
        self.unet.requires_grad_(not self.lora_rank)
        if self.lora_rank:
            norms.keep_half(self.unet)
            lora.add_lora(self.unet, self.lora_rank, self.lora_alpha, self.lora_targets)
        if self.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()

    def _load_scheduler(self, folder: Path) -> Any:
        """DDIM from the folder's scheduler settings, but for our own."""
        from diffusers import DDIMScheduler

        settings = DDIMScheduler.load_config(folder / "scheduler")
        scheduler = DDIMScheduler.from_config(settings, **self._scheduler_changes)
        if self.steps:
            scheduler.set_timesteps(self.steps)
        return scheduler

    @property
    def _scheduler_changes(self) -> dict[str, Any]:
        """Clipping x_0 would make the policy's mean wrong."""
        spacing = {"timestep_spacing": self.timestep_spacing} if self.timestep_spacing else {}
        return {"clip_sample": False, "thresholding": False, **spacing}
