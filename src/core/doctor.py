"""``make doctor``: what of this machine is ready for a run, one line each, with the fix where something is not."""

import importlib
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from rich.text import Text

from src.core import console
from src.core.hub import hub_cache, is_switched_off, unreachable

DISK_GIB = 5.0  # one Stable Diffusion with its checkpoints
Finding = tuple[bool, str, str]  # fine?, what was found, the fix


def python_version() -> Finding:
    """Python is new enough."""
    return sys.version_info >= (3, 11), f"Python {platform.python_version()}", "take 3.11 or newer: make PYTHON=..."


def torch_pair() -> Finding:
    """torch and torchvision come from one build: a CPU torch with a CUDA torchvision fails at import."""
    fix = "rm -r .venv and `make setup`: both must come from one index"
    found = {name: metadata.version(name) for name in ("torch", "torchvision")}
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        return False, f"{text}: {str(error).splitlines()[0]}", fix
    return True, f"{text} fit together", ""


def accelerator() -> Finding:
    """Which device a run would use."""
    import torch

    cores = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        text = f"{len(names)} x {names[0]} ({memory:.0f} GiB), {cores}"
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return native, text, "it has no bfloat16 of its own: model.dtype=float16, trainer.precision=16-mixed"
    if torch.backends.mps.is_available():
        return True, f"Apple GPU, {cores}", ""
    return True, f"no GPU, {cores}: fine for small models", ""


def disk() -> Finding:
    """Room for runs."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return free >= DISK_GIB, f"{free:.0f} GiB free here", f"a real model needs {DISK_GIB:.0f} GiB; set output_dir="


def hub() -> Finding:
    """Where weights of real models are kept, and whether they could be fetched."""
    folder = hub_cache()
    models = len(list(folder.glob("models--*"))) if folder.is_dir() else 0
    reason = unreachable()
    return reason is None or is_switched_off(), f"hub cache {folder} ({models} models), {reason or 'hub reachable'}", (
        "the embedded model does not need it; others take model.path=<folder>")


def wandb_login() -> Finding:
    """Whether runs are uploaded or kept offline."""
    from src.core.wandb_logger import logged_in

    if logged_in():
        return True, "wandb: logged in, runs are uploaded (logger=csv to stop that)", ""
    return True, "wandb: no login, runs stay in outputs/wandb (`make dashboard`; `wandb login` to upload)", ""


CHECKS: tuple[Callable[[], Finding], ...] = (python_version, torch_pair, accelerator, disk, hub, wandb_login)


def examine() -> list[Finding]:
    """The findings of every check; a check that breaks is a finding too."""
    findings = []
    for check in CHECKS:
        try:
            findings.append(check())
        except Exception as error:
            findings.append((False, f"{check.__name__}: {type(error).__name__}: {error}", "`make setup` again"))
    return findings


def main() -> int:
    """Print the findings; the exit code counts what is not ready."""
    findings = examine()
    for fine, text, fix in findings:
        mark = ("ok  ", "green") if fine else ("warn", "yellow")
        console.out.print(Text.assemble(mark, f" {text}", "" if fine else f"  ->  {fix}"), soft_wrap=True)
    return sum(not fine for fine, _, _ in findings)


if __name__ == "__main__":
    main()
