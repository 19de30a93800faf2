"""Classifier-free guidance, with the rescaling that keeps a strong one from overexposing the picture."""

from torch import Tensor


def guided(unconditional: Tensor, conditional: Tensor, scale: float, rescale: float = 0.0) -> Tensor:
    """The guided prediction [B, C, H, W] of two predictions of that shape.

    `rescale` in [0, 1] is the share of it that is brought to the conditional prediction's standard deviation, each row
    by its own: Lin et al., *Common Diffusion Noise Schedules and Sample Steps are Flawed*, section 3.4.
    """
    prediction = unconditional + scale * (conditional - unconditional)
    if not rescale:
        return prediction
    inner = tuple(range(1, prediction.ndim))
    ratio = conditional.std(inner, keepdim=True) / prediction.std(inner, keepdim=True)
    return prediction * (rescale * ratio + 1 - rescale)
