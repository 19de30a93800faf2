"""What autocast does to a UNet in half precision: on a CPU for real, on a GPU by its rules, on shapes alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from src.bench.traffic import CUDA, cuda_autocast, on_shapes
from src.models.diffusion import DiffusionModel
from src.models.lora_linear import InPlaceLinear, add_in_place
from src.models.norms import KINDS, keep_half


def test_inputs_of_an_adapter_need_no_detour_through_float32(sd_folder: Path) -> None:
    model = DiffusionModel(name="standin", path=str(sd_folder), dtype="bfloat16", lora_targets=["conv1"]).load("cpu")
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


@pytest.fixture
def adapted() -> Linear:
    """A linear layer in bfloat16 with an adapter in float32 that changes its result by about as much as it is."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(32, 48)).bfloat16().requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=6, target_modules=["0"], init_lora_weights=False), network)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float() / 2
    add_in_place(network)
    return network[0]


def result_and_gradients(layer: Linear, given: Tensor) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        result = layer(given)
    trained = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    return result, torch.cat([gradient.flatten() for gradient in torch.autograd.grad(result.square().sum(), trained)])


def test_an_adapter_added_in_place_is_nearer_to_the_closed_form_than_one_added_in_three_steps(adapted: Linear) -> None:
    given = torch.randn(5, 7, 32, dtype=torch.bfloat16)
    base, down, up = (module.weight.double().requires_grad_() for module in
                      (adapted.base_layer, adapted.lora_A["default"], adapted.lora_B["default"]))
    wanted = given.double() @ (base + 1.5 * up @ down).t() + adapted.base_layer.bias.double()
    slopes = torch.cat([slope.flatten() for slope in torch.autograd.grad(wanted.square().sum(), [down, up])])
    errors = {}
    for kind in (InPlaceLinear, Linear):
        adapted.__class__ = kind
        result, gradients = result_and_gradients(adapted, given)
        assert result.dtype == torch.bfloat16 and result.shape == (5, 7, 48)
        errors[kind] = [((found.double() - true).norm() / true.norm()).item()
                        for found, true in ((result, wanted), (gradients, slopes))]
    assert errors[InPlaceLinear][0] < errors[Linear][0] < 0.01
    assert errors[InPlaceLinear][1] < 0.01


def test_the_adapters_product_is_written_where_the_bases_result_lies(adapted: Linear) -> None:
    places = []
    adapted.base_layer.register_forward_hook(lambda *hooked: places.append(hooked[-1].data_ptr()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert adapted(torch.randn(5, 32, dtype=torch.bfloat16)).data_ptr() == places[0]


def test_an_adapter_that_is_off_leaves_the_bases_result(adapted: Linear) -> None:
    given = torch.randn(5, 32, dtype=torch.bfloat16)
    adapted.enable_adapters(False)
    assert torch.equal(adapted(given), adapted.base_layer(given))


def test_a_float32_networks_adapters_stay_pefts() -> None:
    network = nn.Sequential(nn.Linear(4, 4))
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["0"]), network)
    add_in_place(network)
    assert type(network[0]) is Linear


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
