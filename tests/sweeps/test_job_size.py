"""How many nodes, tasks and GPUs a queued job asks for."""

from __future__ import annotations

from typing import Any

import pytest

from src.core.errors import Problems
from src.sweeps.job_size import sizes

GPU, CPU = {"accelerator": "gpu", "num_nodes": 1}, {"accelerator": "cpu", "num_nodes": 1}


def asked(trainer: dict[str, Any], cluster: str = "slurm", **given: int) -> tuple[int, ...]:
    """Nodes, tasks and GPUs of each."""
    found = sizes({"nodes": None, "tasks_per_node": None, "gpus_per_node": None, **given}, trainer, cluster)
    return found["nodes"], found["tasks_per_node"], found["gpus_per_node"]


def test_a_job_asks_for_what_its_trainer_has() -> None:
    assert asked(GPU | {"devices": 4}) == (1, 4, 4)
    assert asked(GPU | {"devices": [0, 1], "num_nodes": 2}) == (2, 2, 2)
    assert asked(GPU | {"devices": "auto"}, gpus_per_node=8) == (1, 8, 8)
    assert asked(GPU | {"devices": 4}, tasks_per_node=1) == (1, 1, 4)  # Lightning starts the other three
    assert asked(GPU | {"devices": 4}, gpus_per_node=0) == (1, 4, 0)
    assert asked(GPU | {"devices": 1}, gpus_per_node=2) == (1, 1, 2)  # one for the reward
    assert asked(CPU | {"devices": 2}) == (1, 2, 0)
    assert asked(CPU | {"devices": 2}, "local") == (1, 1, 0)


@pytest.mark.parametrize(("trainer", "cluster", "given", "told"), [
    ({"devices": 4}, "slurm", {"tasks_per_node": 2}, "hydra.launcher.tasks_per_node=2: a job has trainer.devices=4 and "
                                                     "trainer.num_nodes=1. Null is 4"),
    ({"devices": 4}, "slurm", {"gpus_per_node": 2}, "hydra.launcher.gpus_per_node=2: "),
    ({"devices": 2, "num_nodes": 2}, "slurm", {"tasks_per_node": 1}, "hydra.launcher.tasks_per_node=1: "),
    ({"devices": 1}, "slurm", {"nodes": 2}, "hydra.launcher.nodes=2: "),
    ({"devices": 2}, "local", {"tasks_per_node": 2}, "hydra.launcher.tasks_per_node=2: "),
    ({"devices": 1, "num_nodes": 2}, "local", {}, "trainer.num_nodes=2: hydra/launcher=submitit_local is this machine"),
])
def test_a_job_that_contradicts_its_trainer_is_refused(trainer, cluster, given, told) -> None:
    with pytest.raises(Problems) as error:
        asked(GPU | trainer, cluster, **given)
    assert error.value.problems[0].startswith(told) and len(error.value.problems) == 1
