"""Bytes that SD 1.x's UNet moves on a GPU, counted on shapes alone: `python -m src.bench.traffic [--batch 32]`.

Every operation reads its inputs from the card's memory and writes its results there (nothing is fused); attention is
one pass over its inputs. With the bandwidth and the speed of matrix products as options this bounds what the network
can reach without a compiler. No GPU is needed: tensors are shapes, autocast's rules are CUDA's.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from peft.tuners.lora import Linear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from src.bench.unet_cases import BATCH, CONFIG, TOKENS, counted, sampling, unet
from src.core.console import note
from src.models.lora_linear import InPlaceLinear
from src.models.norms import KINDS

FREE = {"view", "_unsafe_view", "expand", "transpose", "t", "slice", "split", "permute", "unsqueeze", "squeeze",
        "as_strided", "detach", "alias", "select", "split_with_sizes", "empty_like", "unbind", "device"}
CUDA = torch.device("cuda")


class Traffic(TorchDispatchMode):
    """Bytes read and written inside, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, operation: Any, _: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = operation(*args, **kwargs or {})
        if (name := operation.overloadpacket.__name__) not in FREE:
            self.bytes[name] += sum(item.nbytes for item in tree_iter((args, result)) if isinstance(item, Tensor))
        return result


def on_shapes(network: nn.Module) -> None:
    """Parameters and buffers of a network on "meta" as shapes on a GPU; to be called inside FakeTensorMode."""
    for module in network.modules():
        for name, item in module._parameters.items():
            if item is not None:
                made = torch.empty(item.shape, dtype=item.dtype, device=CUDA)
                module._parameters[name] = nn.Parameter(made, requires_grad=item.requires_grad)
        for name, item in module._buffers.items():
            if item is not None:
                module._buffers[name] = torch.empty(item.shape, dtype=item.dtype, device=CUDA)


@contextmanager
def cuda_autocast(dtype: torch.dtype) -> Iterator[None]:
    """As torch.autocast("cuda", cache_enabled=False), which does nothing where no GPU is."""
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_cache_enabled(cached)


def one_pass(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """Attention that never writes its weights, as flash attention does."""
    return query + key[..., :1, :] + value[..., :1, :]


def traffic(batch: int, *, norms: bool, casts: bool, adds: bool) -> Counter[str]:
    """Bytes by operation of one call without gradients. `norms`, `casts`, `adds` of adapters: as the project has them,
    or as they come."""
    network = unet(CONFIG, torch.bfloat16, torch.device("meta"))
    plain = {half: kind for kind, half in KINDS.items()}
    for module in network.modules():
        if not norms and type(module) in plain:
            module.__class__ = plain[type(module)]
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = not casts
        if not adds and type(module) is InPlaceLinear:
            module.__class__ = Linear
    with FakeTensorMode(), mock.patch("torch.nn.functional.scaled_dot_product_attention", one_pass):
        on_shapes(network)
        latents = torch.empty(batch, 4, 64, 64, dtype=torch.bfloat16, device=CUDA)
        text = torch.empty(batch, TOKENS, CONFIG["cross_attention_dim"], dtype=torch.bfloat16, device=CUDA)
        with torch.no_grad(), cuda_autocast(torch.bfloat16), Traffic() as seen:
            network(latents, torch.empty(batch, dtype=torch.int64, device=CUDA), encoder_hidden_states=text)
    return seen.bytes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.bench.traffic", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--bandwidth", type=float, default=3.0, help="TB/s of the card's memory")
    parser.add_argument("--tflops", type=float, default=800, help="TFLOP/s that a large matrix product reaches")
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of the data sheet")
    options = parser.parse_args()
    flops = counted(sampling, CONFIG, 1) * options.batch
    note(f"SD 1.x UNet with LoRA, bfloat16, {options.batch} rows, no gradient: {flops / 1e12:.1f} TFLOP\n")
    note("| | GB moved | ms to move them | ms to compute | utilisation, if nothing overlaps |")
    note("|---|---|---|---|---|")
    ways = {"autocast and peft as they come": (False, False, False),
            "norms in half precision": (True, False, False),
            "and no input cast to float32 for LoRA": (True, True, False),
            "and LoRA's product added in place": (True, True, True)}
    for name, (norms, casts, adds) in ways.items():
        moved = sum(traffic(options.batch, norms=norms, casts=casts, adds=adds).values())
        move, compute = moved / options.bandwidth / 1e12, flops / options.tflops / 1e12
        note(f"| {name} | {moved / 1e9:.0f} | {1e3 * move:.0f} | {1e3 * compute:.0f} "
             f"| {100 * flops / (move + compute) / options.peak / 1e12:.0f} % |")


if __name__ == "__main__":
    main()
