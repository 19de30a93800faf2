"""What a queued job asks for, so that it gets the devices that its trainer wants."""

from __future__ import annotations

from typing import Any

from src.core.config import trainer_rules
from src.core.errors import Problems, UserError, describe
from src.sweeps import machine

DECIDE = ("accelerator", "devices", "num_nodes")


def of_all(given: dict[str, int | None], trainers: list[dict[str, Any]], cluster: str) -> dict[str, int]:
    """What ``sizes`` finds for each trainer of a sweep. Raises ``UserError`` where that differs: its jobs all ask the
    queue for the same."""
    found = [sizes(given, trainer, cluster) for trainer in trainers]
    if any(one != found[0] for one in found):
        values = {key: list(dict.fromkeys(str(trainer.get(key)) for trainer in trainers)) for key in DECIDE}
        typed = " ".join(f"trainer.{key}={','.join(several)}" for key, several in values.items() if len(several) > 1)
        raise UserError(typed, "all jobs of a sweep ask the queue for the same devices",
                        "start a sweep for each value; on one node hydra.launcher.tasks_per_node=1 "
                        "hydra.launcher.gpus_per_node=<the most> serves all")
    return found[0]


def sizes(given: dict[str, int | None], trainer: dict[str, Any], cluster: str) -> dict[str, int]:
    """`nodes`, `tasks_per_node` and `gpus_per_node` of a job; null is what the trainer has.

    ``trainer.devices=auto`` is as many as there are GPUs. Raises ``Problems`` where a number contradicts the trainer:
    such a job would wait in the queue only to fail. 0 GPUs are none, or some that are asked for in another way.
    """
    devices = trainer_rules.on_a_node(trainer) or given["gpus_per_node"] or 1
    nodes = trainer_rules.count(trainer.get("num_nodes")) or 1
    gpus = machine.gpus_of_a_job({**trainer, "devices": devices})
    usual = {"nodes": nodes, "tasks_per_node": devices if cluster == "slurm" else 1, "gpus_per_node": gpus}
    found = {key: size if given[key] is None else given[key] for key, size in usual.items()}
    one = {1} if nodes == 1 else set()  # of one task Lightning starts the others, on one node
    fits = {"nodes": {nodes}, "tasks_per_node": {usual["tasks_per_node"]} | one,
            "gpus_per_node": {0, max(gpus, found["gpus_per_node"])}}
    wanted = f"a job has trainer.devices={trainer.get('devices')} and trainer.num_nodes={nodes}"
    problems = [describe(f"hydra.launcher.{key}={found[key]}", wanted, f"null is {usual[key]}")
                for key in usual if found[key] not in fits[key]]
    if cluster == "local" and nodes > 1:
        problems = [describe(f"trainer.num_nodes={nodes}", "hydra/launcher=submitit_local is this machine alone",
                             "use hydra/launcher=submitit_slurm")]
    if problems:
        raise Problems(problems)
    return found
