"""A Stable Diffusion (1.x, 2.x) to be trained: frozen parts, a trainable adapter, one guided prediction, pictures.

Nothing is loaded before `load`; importing this module imports no diffusers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from src.core.errors import UserError
from src.core.memory_error import enough_memory
from src.models import lora, sharded
from src.models.guidance import guided
from src.models.loading import Loading
from src.models.trained import Trained

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class DiffusionModel(Loading, Trained):
    """UNet with adapter, VAE, text encoder, tokenizer and DDIM scheduler of one StableDiffusionPipeline folder.

    The UNet stays in eval mode whatever a trainer does, and no safety checker is ever loaded.
    """

    def __init__(
        self,
        *,
        name: str,  # short name, for run folders and checkpoints
        path: str | None = None,  # local diffusers folder (from here, else from the project's root) or hub id
        hub: str | None = None,  # hub id of these weights: used when path is null, and named in the model card
        licence: str = "the base model's licence",  # of the base weights, for the model card
        clip_path: str | None = None,  # a CLIP that suits this model's pictures; reward=clip reads it
        lora_rank: int = 4,  # 0: train the whole UNet
        lora_alpha: float | None = None,  # scale is alpha / rank; null: alpha = rank
        lora_targets: list[str] | tuple[str, ...] = ATTENTION,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",  # of the arithmetic and the frozen weights
        gradient_checkpointing: bool = False,  # about a third more time for a fraction of the memory
        vae_batch: int = 8,  # pictures decoded at once
        resolution: int | None = None,  # height and width of a picture in pixels; null: the folder's own
        steps: int | None = None,  # DDIM steps set after loading; null: the caller sets them
        timestep_spacing: Literal["leading", "linspace", "trailing"] | None = None,  # null: the folder's own
    ) -> None:
        self.name, self.hub, self.licence, self.clip_path = name, hub, licence, clip_path
        self.path = path or hub
        self.lora_rank, self.lora_alpha, self.lora_targets = lora_rank, lora_alpha, tuple(lora_targets)
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.gradient_checkpointing, self.vae_batch = gradient_checkpointing, vae_batch
        self.resolution = resolution
        self.steps, self.timestep_spacing = steps, timestep_spacing
        self.evaluations = 0  # rows that went through the UNet; guidance doubles them
        self.unet: Any = None
        self.compiled = self.sharded = False

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one latent picture."""
        size = self.resolution // self.vae_scale if self.resolution else self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width

    @property
    def vae_scale(self) -> int:
        """Pixels to a latent, along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def encode_prompts(self, prompts: Sequence[str], batch: int = 64) -> Tensor:
        """Text embeddings [P, L, D] in float32, as the pipeline's own encode_prompt gives them. The caller caches."""
        return self.text.last_states(prompts, batch)

    def _encode_empty(self) -> Tensor:
        """What the rows without a prompt are told, one row of what `encode_prompts` gives."""
        return self.encode_prompts([""])

    def _with_empty(self, embeddings: Tensor) -> Tensor:
        """As many rows without a prompt, then `embeddings`."""
        return torch.cat([self.empty_embedding.expand(len(embeddings), -1, -1), embeddings])

    def _unet_inputs(self, embeddings: Tensor) -> dict[str, Any]:
        """The UNet's arguments for what `encode_prompts` gave."""
        return {"encoder_hidden_states": embeddings.to(self.dtype)}

    def denoise(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor, guidance_scale: float,
                guidance_rescale: float = 0.0) -> Tensor:
        """The UNet's prediction for latents [B, C, H, W] at timesteps [B] (or one for all), B rows of embeddings.

        Guidance above 1 runs conditional and unconditional rows in one batch; 1 or less costs one row each.
        Returns float32 [B, C, H, W]. Rollout and update both go through here, with whatever gradients are enabled.
        B = 0 is a process that only takes part in collecting shared weights.
        """
        if not len(latents):
            return self._idle(latents)
        guidance = guidance_scale > 1
        timesteps = timesteps.to(self.device).expand(len(latents))
        if guidance:
            latents, timesteps = torch.cat([latents, latents]), torch.cat([timesteps, timesteps])
            embeddings = self._with_empty(embeddings)
        self.evaluations += len(latents)
        prediction = self._predict(latents, timesteps, embeddings)
        return guided(*prediction.chunk(2), guidance_scale, guidance_rescale) if guidance else prediction

    def _predict(self, latents: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        if self.unet.training:  # a trainer may have switched it
            self.unet.eval()
        with self._autocast():
            inputs, told = latents.to(self.dtype), self._unet_inputs(embeddings)
            if self.sharded:  # its weights cannot be in this layout
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            if self.compiled:
                _rows_are_open(inputs, timesteps, *told.values())
            return self.unet(inputs, timesteps, **told).sample.float()

    def _idle(self, latents: Tensor) -> Tensor:
        """No rows [0, C, H, W], after the UNet has run on one that nobody asked for; a gradient of 0 flows back."""
        if not self.sharded:
            return latents
        one = latents.new_zeros(1, *latents.shape[1:])
        return self._predict(one, torch.zeros(1, device=self.device), self.empty_embedding)[:0]

    def _autocast(self) -> torch.autocast:
        """Half precision by `dtype` alone, whatever context the caller is in: rollout and update must agree.

        No weight cache: one filled during a rollout, without gradients, would be reused by an update.
        """
        half = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype if half else None, enabled=half, cache_enabled=False)

    def reference(self) -> AbstractContextManager[None]:
        """Inside, `denoise` is the pretrained policy: the same UNet with its adapter off, without gradients."""
        if not self.lora_rank:
            raise UserError("model.lora_rank=0 keeps no pretrained policy to compare with. Use model.lora_rank=4, or "
                            "an objective without a reference policy.")
        return lora.lora_off(self.unet)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, H, W] to pictures [B, 3, 8H, 8W] in [0, 1], float32, `vae_batch` at a time."""
        shift = getattr(self.vae.config, "shift_factor", None) or 0.0
        latents = latents.float() / self.vae.config.scaling_factor + shift
        with enough_memory("model.vae_batch", self.vae_batch, "lower it"):
            chunks = [self.vae.decode(chunk.to(self.vae.dtype)).sample.float()
                      for chunk in latents.split(self.vae_batch)]
        return (torch.cat(chunks) / 2 + 0.5).clamp(0, 1)

    def compile(self) -> None:
        """Compiles the UNet in place, so that names in its state stay. The number of rows is left open: rollout,
        update and evaluation share one graph each with and without gradients, and one more with the adapter off."""
        self.compiled = True
        self.unet.compile()

    def shard(self, mesh: DeviceMesh) -> None:
        """Shares the UNet's weights among the processes of `mesh`, which then have to call it equally often."""
        self.sharded = True
        sharded.shard(self.unet, mesh, self.dtype)

    def ends_update(self, now: bool) -> None:
        """Told before each backward pass of an update: gradients go from host to host once, with the last one."""
        if self.sharded:
            sharded.average_over_hosts(self.unet, now)


def _rows_are_open(*inputs: Tensor | dict[str, Tensor]) -> None:
    """Tells the compiler that the number of rows varies, so that a rest of a batch is not compiled anew."""
    for item in inputs:
        for tensor in item.values() if isinstance(item, dict) else (item,):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
