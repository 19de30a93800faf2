"""A Stable Diffusion (1.x, 2.x) to be trained: frozen parts, a trainable adapter, one guided prediction, pictures.

Nothing is loaded before `load`; importing this module imports no diffusers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from src.core.errors import UserError
from src.core.memory_error import enough_memory
from src.models import lora, norms, sharded
from src.models.card import write_card
from src.models.fetch import loading, weights_folder
from src.models.guidance import guided
from src.models.pipelines import PIPELINES, folder_problem, resolution_problem
from src.models.state import copied_state, fits
from src.models.text import TextEncoder

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class DiffusionModel:
    """UNet with adapter, VAE, text encoder, tokenizer and DDIM scheduler of one StableDiffusionPipeline folder.

    The UNet stays in eval mode whatever a trainer does, and no safety checker is ever loaded.
    """

    pipeline = "StableDiffusionPipeline"  # the class of diffusers whose folder this is

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

    # --- loading -------------------------------------------------------------------------------------------------

    def load(self, device: torch.device | str) -> DiffusionModel:
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

    # --- inference -----------------------------------------------------------------------------------------------

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

    # --- what is trained -----------------------------------------------------------------------------------------

    @property
    def adapter(self) -> str:
        """What is trained, in a word: `lora r4` or `full`."""
        return f"lora r{self.lora_rank}" if self.lora_rank else "full"

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The adapter's parameters, or the whole UNet's; float32."""
        return [parameter for parameter in self.unet.parameters() if parameter.requires_grad]

    def trainable_state(self) -> dict[str, Tensor]:
        """Copies on the CPU of all trained tensors, by name; of shared weights on rank 0 alone, elsewhere nothing."""
        return sharded.whole_state(self.unet) if self.sharded else copied_state(self._trained())

    def _trained(self) -> dict[str, Tensor]:
        return lora.lora_state(self.unet) if self.lora_rank else self.unet.state_dict()

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Restores `trainable_state`. Raises UserError if names or shapes are another adapter's."""
        fits(state, self._trained(), f"model={self.name} ({self.adapter})")
        if self.lora_rank:
            lora.load_lora_state(self.unet, dict(state))
        elif self.sharded:
            sharded.load_whole(self.unet, state)
        else:
            self.unet.load_state_dict(state)

    def gather(self) -> None:
        """Ends the sharing of weights: rank 0 has the UNet, on the CPU, and may export it."""
        if self.sharded:
            self.unet, self.sharded = sharded.made_whole(self.unet), False

    def export(self, folder: Path | str, *, method: str = "", facts: Iterable[tuple[str, str]] = (), command: str = "",
               figures: Mapping[str, float] | None = None, call: Mapping[str, Any] | None = None) -> Path:
        """Writes the weights in diffusers' own format and a model card README.md; returns the folder.

        `facts` are further lines of the card, `call` the arguments with which diffusers' pipeline draws as the run did.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.lora_rank:
            lora.save_lora(self.unet, folder, self.pipeline)
        else:
            self.unet.save_pretrained(folder / "unet")
        size = {"height": self.resolution, "width": self.resolution} if self.resolution else {}
        write_card(folder, name=self.name, base=self.hub or str(self.path), licence=self.licence, adapter=self.adapter,
                   pipeline=self.pipeline, method=method, facts=facts, command=command, figures=figures or {},
                   scheduler=self._scheduler_changes, call={**call, **size} if call else {})
        return folder


def _rows_are_open(*inputs: Tensor | dict[str, Tensor]) -> None:
    """Tells the compiler that the number of rows varies, so that a rest of a batch is not compiled anew."""
    for item in inputs:
        for tensor in item.values() if isinstance(item, dict) else (item,):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
