"""DDIM as a policy: a denoising step is a Gaussian action N(mu_theta(x_t, t, c), sigma_t^2 I) with a log-probability.

Song et al., *Denoising Diffusion Implicit Models*, equations 12 and 16. Written for mixed batches: every row may be at
a step of its own.
"""

import math
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from src.core.errors import UserError


@dataclass(frozen=True)
class Ddim:
    """The T denoising steps of one sampler, noisiest first; every field is a tensor [T].

    A step's mean is linear in the latents and in the model's output, so the prediction type is resolved here, once:
    `mu = latent_weight * x_t + output_weight * model_output`.
    """

    timesteps: Tensor  # int64, as the UNet takes them
    alpha_bar_t: Tensor
    alpha_bar_prev: Tensor
    sigma: Tensor
    latent_weight: Tensor
    output_weight: Tensor

    @classmethod
    def from_scheduler(
        cls, scheduler: DDIMScheduler, steps: int, eta: float = 1.0, device: torch.device | str = "cpu"
    ) -> "Ddim":
        """Read the steps off a diffusers `DDIMScheduler` (which is left set to `steps` timesteps).

        The previous timestep is the next entry of the scheduler's own list, and after the last comes
        `final_alpha_cumprod`. Diffusers' own step takes `t - 1000 // steps` instead, which is another timestep for
        linspace, and for trailing where `steps` does not divide 1000.

        Args:
            steps: number of denoising steps, T.
            eta: share of DDPM's noise in [0, 1]; 0 is deterministic and has no log-probabilities.

        Raises:
            UserError: for clipping of the predicted x_0 and for lists of timesteps that make no chain.
        """
        _refuse_unsupported(scheduler, steps, eta)
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps.cpu().long()
        _refuse_broken_list(timesteps, steps, scheduler.config)
        now = scheduler.alphas_cumprod.cpu().double()[timesteps]
        if now[0] == 0 and scheduler.config.prediction_type == "epsilon":
            raise UserError(
                "prediction_type=epsilon with rescale_betas_zero_snr=True",
                "pure noise holds no x_0",
                "use a model with v_prediction",
            )
        previous = torch.cat([now[1:], torch.as_tensor(scheduler.final_alpha_cumprod).cpu().double().reshape(1)])
        sigma = eta * ((1 - previous) / (1 - now) * (1 - now / previous)).clamp(min=0).sqrt()
        weights = _mean_weights(now, previous, sigma, scheduler.config.prediction_type)
        values = (value.float().to(device) for value in (now, previous, sigma, *weights))
        return cls(timesteps.to(device), *values)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.timesteps)

    @property
    def usable(self) -> Tensor:
        """Bool [T]: the steps that have a log-probability; one with sigma = 0 is deterministic and never trained."""
        return self.sigma > 0

    def mean(self, latents: Tensor, model_output: Tensor, step_index: Tensor | int) -> Tensor:
        """mu_theta(x_t, t, c), in float32.

        Args:
            latents: x_t, [B, C, H, W].
            model_output: of the same shape, after guidance, in the scheduler's prediction type.
            step_index: int, or int64 [B] in [0, T).
        """
        x_weight, output_weight = _rows(self.latent_weight[step_index], latents), self.output_weight[step_index]
        return x_weight * latents.float() + _rows(output_weight, latents) * model_output.float()

    def add_noise(self, mean: Tensor, noise: Tensor, step_index: Tensor | int) -> Tensor:
        """x_{t-1} = mu + sigma_t * noise: the action, [B, C, H, W]."""
        return mean + _rows(self.sigma[step_index], mean) * noise

    def log_prob(self, next_latents: Tensor, mean: Tensor, step_index: Tensor | int) -> Tensor:
        """log N(x_{t-1}; mu, sigma_t^2 I), *averaged* over the latent dimensions.

        The average keeps ratios near 1 whatever the picture's size; log-ratios are then per dimension.

        Returns:
            float32 [B]; exactly 0, without a gradient, for a step with sigma = 0 (see `usable`).
        """
        sigma = self.sigma[step_index]
        usable = sigma > 0
        safe = torch.where(usable, sigma, 1.0)
        z = (next_latents.float() - mean.float()) / _rows(safe, mean)
        density = -0.5 * z.square().flatten(1).mean(1) - safe.log() - 0.5 * math.log(2 * math.pi)
        return torch.where(usable, density, 0.0)

    def kl(self, mean: Tensor, other: Tensor, step_index: Tensor | int) -> Tensor:
        """KL(N(mean, sigma_t^2 I) || N(other, sigma_t^2 I)) = ||mean - other||^2 / (2 sigma_t^2), *averaged* over the
        latent dimensions as `log_prob` is: times their number it is the KL in nats.

        Returns:
            float32 [B]; of steps with sigma > 0 only (see `usable`).
        """
        difference = (mean.float() - other.float()) / _rows(self.sigma[step_index], mean)
        return 0.5 * difference.square().flatten(1).mean(1)


def _mean_weights(now: Tensor, previous: Tensor, sigma: Tensor, prediction_type: str) -> tuple[Tensor, Tensor]:
    """Weights of x_t and of the model's output in mu = sqrt(a_prev) x_0 + sqrt(1 - a_prev - sigma^2) epsilon."""
    signal, noise = now.sqrt(), (1 - now).sqrt()
    to_x0, to_noise = previous.sqrt(), (1 - previous - sigma.square()).clamp(min=0).sqrt()
    if prediction_type == "epsilon":  # x_0 = (x_t - noise * epsilon) / signal
        return to_x0 / signal, to_noise - to_x0 * noise / signal
    if prediction_type == "sample":  # epsilon = (x_t - signal * x_0) / noise
        return to_noise / noise, to_x0 - to_noise * signal / noise
    # v = signal * epsilon - noise * x_0
    return to_x0 * signal + to_noise * noise, to_noise * signal - to_x0 * noise


def _rows(value: Tensor, like: Tensor) -> Tensor:
    """[B] or a scalar, shaped to multiply [B, C, H, W]."""
    return value.reshape(-1, *[1] * (like.dim() - 1))


def _refuse_unsupported(scheduler: DDIMScheduler, steps: int, eta: float) -> None:
    config = scheduler.config
    for switch in ("clip_sample", "thresholding"):
        if config.get(switch):
            raise UserError(
                f"{switch}=True in the model's scheduler",
                "a clipped step is not Gaussian and has no log-probability",
                f"set {switch} to false in scheduler/scheduler_config.json",
            )
    if config.prediction_type not in ("epsilon", "sample", "v_prediction"):
        raise UserError(f"prediction_type={config.prediction_type}", "a model predicts epsilon, sample or v_prediction")
    if not 0 <= eta <= 1:
        raise UserError(f"eta={eta}", "must lie in [0, 1]", "1 is the reference, 0 is for sampling only")
    if not 1 <= steps <= config.num_train_timesteps:
        raise UserError(f"steps={steps}", f"the model can take 1 to {config.num_train_timesteps} denoising steps")


def _refuse_broken_list(timesteps: Tensor, steps: int, config: dict) -> None:
    """Rounding gives diffusers' list a spurious entry for some numbers of steps (trailing, 61: it ends with -1)."""
    if not (len(timesteps) == steps and timesteps[-1] >= 0 and timesteps[0] < config["num_train_timesteps"]):
        raise UserError(
            f"steps={steps} with timestep_spacing={config['timestep_spacing']}",
            f"the scheduler's list, {len(timesteps)} entries from {timesteps[0]} to {timesteps[-1]}, is not a chain",
            "choose another number of steps",
        )
