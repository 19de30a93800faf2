"""Guidance against diffusers' own rescaling."""

from __future__ import annotations

import pytest
import torch

from src.models.guidance import guided

free, bound = torch.randn(2, 5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rescale", [0.0, 0.7, 1.0])
def test_rescaled_as_in_diffusers(rescale: float) -> None:
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import rescale_noise_cfg

    expected = rescale_noise_cfg(free + 5.0 * (bound - free), bound, guidance_rescale=rescale)
    torch.testing.assert_close(guided(free, bound, 5.0, rescale), expected, atol=1e-5, rtol=1e-5)


def test_none_is_plain_guidance_to_the_bit() -> None:
    assert torch.equal(guided(free, bound, 5.0), free + 5.0 * (bound - free))


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    together = guided(free, bound, 5.0, 0.7)
    alone = torch.cat([guided(free[row : row + 1], bound[row : row + 1], 5.0, 0.7) for row in range(len(free))])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=1e-6)
    assert torch.equal(guided(free, torch.cat([bound[:1], 9 * bound[1:]]), 5.0, 0.7)[0], together[0])
