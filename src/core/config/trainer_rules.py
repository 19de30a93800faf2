"""Values that Lightning's Trainer rejects only after the run has begun. Pure Python; wrong types are told elsewhere."""

from typing import Any

from src.core import cores
from src.core.errors import describe

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64",
              "transformer-engine", "transformer-engine-float16")
PROCESSES_PER_CORE = 4  # of a run on CPUs; more only wait for each other, and each takes memory


def problems(trainer: dict[str, Any]) -> list[str]:
    """One message for each value that no Trainer takes."""
    found = on_cpu(trainer) if trainer.get("accelerator") == "cpu" else _devices(trainer.get("devices"))
    nodes, steps, precision = (trainer.get(name) for name in ("num_nodes", "max_steps", "precision"))
    if _whole(nodes) and nodes < 1:
        found.append(describe(f"trainer.num_nodes={nodes}", "must be at least 1", "1 is this machine alone"))
    if _whole(steps) and steps != -1 and steps < 1:
        found.append(describe(f"trainer.max_steps={steps}", "must be at least 1, or -1: no limit",
                              "leave it out to train all epochs"))
    if isinstance(precision, str | int) and str(precision) not in PRECISIONS:
        found.append(describe(f"trainer.precision={precision}", "there is no such precision",
                              f"valid: {', '.join(PRECISIONS)}"))
    return found


def on_cpu(trainer: dict[str, Any]) -> list[str]:
    """Problems of ``trainer.devices`` where they are processes on this machine's cores."""
    devices, usable = trainer.get("devices"), len(cores.own())
    most = PROCESSES_PER_CORE * usable
    number = count(devices)
    if devices in (None, "auto"):
        return []
    if number is None or number < 1:
        return [describe(f"trainer.devices={devices}", "on a CPU it is the number of processes, 1 or more",
                         "1 uses all cores")]
    if number > most:
        return [describe(f"trainer.devices={devices}", f"on a CPU this is the number of processes; {usable} cores "
                         f"allow {most} at most", "1 uses all cores")]
    return []


def count(devices: Any) -> int | None:
    """The number that ``trainer.devices`` says, -1 for all; None where it names devices or leaves it open."""
    if isinstance(devices, str) and devices.strip().removeprefix("-").isdigit():
        return int(devices)
    return devices if _whole(devices) else None


def on_a_node(trainer: dict[str, Any]) -> int | None:
    """How many processes each node of a run has, one a device; None where only the node can tell."""
    devices, number = trainer.get("devices"), count(trainer.get("devices"))
    if number is not None:
        return number if number > 0 else None
    names = devices if isinstance(devices, list) else str(devices).split(",")
    return sum(str(name).strip().isdigit() for name in names) or (1 if trainer.get("accelerator") == "cpu" else None)


def processes(trainer: dict[str, Any]) -> int | None:
    """How many the run has on all nodes, one a device; None where only the machine can tell."""
    each, nodes = on_a_node(trainer), count(trainer.get("num_nodes", 1))
    return each * nodes if each and nodes and nodes > 0 else None


def _devices(devices: Any) -> list[str]:
    """On GPUs, or wherever Lightning finds best."""
    number = count(devices)
    if number is not None:
        fine = number == -1 or number > 0
    else:
        names = devices.split(",") if isinstance(devices, str) else devices if isinstance(devices, list) else []
        fine = devices in (None, "auto") or (bool(names) and all(str(name).strip().isdigit() for name in names))
    if fine:
        return []
    return [describe(f"trainer.devices={devices}", "must be a number of devices, at least 1, or -1 or auto: all, or a "
                     "list of GPUs", "write trainer.devices=1, or 'trainer.devices=[0,2]'")]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
