"""A classifier by name: one of timm's networks or one of this folder's, built for the data at hand."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.core.errors import UserError
from src.models.classifiers.export import export
from src.models.classifiers.names import name_problem, own_networks, parted
from src.models.classifiers.weights import first_weights, load_file, other_statistics


class Network:
    """Knows its name only until `build` makes it."""

    def __init__(
        self,
        *,
        name: str,  # timm's, with or without a tag, local-dir:<folder>, hf-hub:<id>, this folder's, or <file>.py:<name>
        pretrained: bool | str = False,  # true: timm's weights of that name; text: a weights file or an export's folder
        options: dict[str, Any] | None = None,  # further arguments of the network, as timm.create_model takes them
    ) -> None:
        self.name, self.pretrained, self.options = name, pretrained, dict(options or {})

    def identity(self) -> str:
        """Names the architecture: equal for two networks of the same kind, whatever weights they start from."""
        options = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        name = parted(self.name)[1]
        return f"{name}({options})" if options else name

    def build(self, num_classes: int, channels: int, size: int) -> nn.Module:
        """A network from [B, channels, size, size] to logits [B, num_classes]; training mode, channels_last.

        Raises UserError for an unknown name or option, weights out of reach, and a network that cannot serve the data.
        """
        import timm

        register()
        if problem := name_problem(self.name):
            raise UserError(problem)
        file, name = parted(self.name)
        if file is not None:
            with self._told("its file cannot be imported"):
                register_file(file)
        weights = first_weights(name, self.pretrained)
        arguments = {"num_classes": num_classes, "in_chans": channels, **_size(name, size), **self.options}
        with self._told(f"it cannot be built for pictures of {channels} x {size} x {size}"):
            module = timm.create_model(**weights, **arguments)
        if isinstance(self.pretrained, str) and (file := Path(self.pretrained).expanduser()).is_file():
            load_file(module, file)
        self._check_logits(module, num_classes, channels, size)
        self._check_processor(module)
        return module.to(memory_format=torch.channels_last)

    def export(self, folder: Path, module: nn.Module, *, classes: Sequence[str], mean: Sequence[float],
               std: Sequence[float], size: int, method: str, command: str, figures: Mapping[str, float],
               data: str = "", scaled_to: int | None = None) -> None:
        """Writes `module`, which `build` made, so that timm loads it without this project; see `export.export`.

        `mean` and `std` have one number a channel; `scaled_to` is as in `ImageData`; `data` and `method` are words for
        the model card.
        """
        export(Path(folder), module, file=parted(self.name)[0], options=self.options,
               pretrained=bool(self.pretrained), classes=classes, mean=mean, std=std, size=size, scaled_to=scaled_to,
               method=method, command=command, figures=figures, data=data)

    def other_statistics(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> str | None:
        """One line if `module`, which `build` made, starts from weights that are used to pictures of another mean or
        standard deviation [channels] than these; None if not, or if nobody knows, as of a file."""
        if not self.pretrained or (isinstance(self.pretrained, str) and Path(self.pretrained).expanduser().is_file()):
            return None
        return other_statistics(module.pretrained_cfg, mean, std)

    @contextmanager
    def _told(self, rule: str) -> Iterator[None]:
        """Turns what a network says about its arguments into a UserError with the options that were given."""
        try:
            yield
        except Exception as error:  # each network checks its arguments in its own way
            given = [f"model.{key}={value}" for key, value in vars(self).items() if value]
            reason = f"{type(error).__name__}: {str(error).strip()[:200]}"
            raise UserError(" ".join(given), f"{rule} ({reason})",
                            "change these options, or choose another network") from error

    def _check_logits(self, module: nn.Module, num_classes: int, channels: int, size: int) -> None:
        """Runs shapes through the network, without data, to find out before training whether it suits them."""
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
        with self._told(f"it cannot take pictures of {channels} x {size} x {size}"), torch.no_grad():
            try:
                logits = torch.func.functional_call(module, shapes, torch.empty(2, channels, size, size, device="meta"))
            except (NotImplementedError, RuntimeError) as error:
                if "meta" in str(error).lower():  # it looks into tensors, so that shapes alone say nothing
                    return
                raise
        if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
            found = tuple(logits.shape[1:]) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise UserError(f"model.name={self.name}", f"it gives {found}, not {num_classes} logits a picture",
                            "choose another network, or other model.options")

    def _check_processor(self, module: nn.Module) -> None:
        """On processors with AVX2 but not AVX-512, the gradient of such a convolution writes beyond its memory: wrong
        figures, a crash or a run that hangs (oneDNN's issue 6035)."""
        if torch.backends.cpu.get_cpu_capability() != "AVX2" or torch.accelerator.is_available():
            return
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) != layer.stride and layer.in_channels < 8:
                raise UserError(f"model.name={self.name} with {layer.in_channels} channels before {name}",
                                "PyTorch cannot train a 1 x 1 convolution of fewer than 8 channels and stride 2 on "
                                "this processor", "widen the network by model.options, or train it on a GPU")


def register() -> None:
    """Makes this folder's networks known to timm."""
    for file in dict.fromkeys(own_networks().values()):
        importlib.import_module(f"{__package__}.{file.stem}")


def register_file(file: Path) -> None:
    """Makes the networks of a file of one's own known to timm, once a process."""
    name = f"own_networks_{abs(hash(file.resolve()))}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # timm looks it up while it registers
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _size(name: str, size: int) -> dict[str, int]:
    """Networks with a fixed picture size are told the data's."""
    from timm.models import get_pretrained_cfg, is_model

    known = get_pretrained_cfg(name) if is_model(name) else None
    return {"img_size": size} if known is not None and known.fixed_input_size else {}
