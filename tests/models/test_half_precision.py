"""What autocast does to a UNet in half precision: on a CPU for real, on a GPU by its rules, on shapes alone."""

from __future__ import annotations

from pathlib import Path

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from src.bench.traffic import CUDA, cuda_autocast, on_shapes
from src.models.diffusion import DiffusionModel
from src.models.norms import KINDS, keep_half


def test_inputs_of_an_adapter_need_no_detour_through_float32(sd_folder: Path) -> None:
    model = DiffusionModel(name="standin", path=str(sd_folder), dtype="bfloat16").load("cpu")
    adapters = [module for module in model.unet.modules() if isinstance(module, BaseTunerLayer)]
    assert adapters and not any(module.cast_input_dtype_enabled for module in adapters)
    seen = []
    adapters[0].lora_A["default"].register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    for name, parameter in model.unet.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    latents, text = torch.randn(3, *model.latent_shape), model.encode_prompts(["a red cat", "a dog", "a cat"])
    found = {}
    for detour in (False, True):
        for module in adapters:
            module.cast_input_dtype_enabled = detour
        predicted = model.denoise(latents, torch.tensor(500), text, 3.0)
        gradients = torch.autograd.grad(predicted.square().sum(), model.trainable_parameters())
        found[detour] = torch.cat([predicted.detach().flatten(), *(gradient.flatten() for gradient in gradients)])
    assert torch.equal(found[False], found[True]) and seen == [torch.bfloat16, torch.float32]


def norms() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 1), nn.GroupNorm(2, 8), nn.SiLU(), nn.LayerNorm(6))


def test_norms_are_as_they_were_on_a_cpu() -> None:
    plain, half = norms().bfloat16(), norms().bfloat16()
    half.load_state_dict(plain.state_dict())
    keep_half(half)
    images = torch.randn(2, 4, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(plain(images), half(images))
    assert [type(module) for module in half] == [nn.Conv2d, KINDS[nn.GroupNorm], nn.SiLU, KINDS[nn.LayerNorm]]


def test_norms_of_a_float32_network_stay_autocasts_business() -> None:
    network = norms()
    keep_half(network)
    assert type(network[1]) is nn.GroupNorm


def test_on_a_gpu_nothing_between_the_products_is_float32() -> None:
    kinds = {}
    for half in (False, True):
        with torch.device("meta"):
            network = norms().bfloat16()
        if half:
            keep_half(network)
        with FakeTensorMode(), cuda_autocast(torch.bfloat16):
            on_shapes(network)
            first = network[:3](torch.empty(2, 4, 6, 6, dtype=torch.bfloat16, device=CUDA))
            kinds[half] = first.dtype, network[3](first.bfloat16()).dtype
    assert kinds == {False: (torch.float32,) * 2, True: (torch.bfloat16,) * 2}
