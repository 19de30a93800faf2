"""Several devices that share the trained weights among them: each holds its part of every tensor (FSDP2).

Zhao et al. 2023, *PyTorch FSDP*; Rajbhandari et al. 2020, *ZeRO*, stage 3. Weights, gradients and the optimiser's state
take 1/n of their memory on each of the n devices of a host; a block's weights come together while it computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.optim import Optimizer

from src.core.errors import UserError
from src.core.processes import ranks
from src.core.processes.parts import part_of, whole_on_first


class ShardedStrategy(DDPStrategy):
    """DDP's processes without its wrapper: a module with `shardable` shards its network itself when it loads it.

    Checkpoints are those of one process, whole tensors on the CPU, so that a run may go on with another number of
    devices or with `ddp`.
    """

    @property
    def hosts(self) -> int:
        """Among the processes of each of them weights are shared."""
        return self.num_nodes

    def mesh(self) -> DeviceMesh:
        """The processes by host: every host has all weights (HSDP), so that only gradients travel between hosts."""
        kind, processes = self.root_device.type, ranks.count()
        if self.hosts == 1:
            return init_device_mesh(kind, (processes,), mesh_dim_names=("share",))
        return init_device_mesh(kind, (self.hosts, processes // self.hosts), mesh_dim_names=("copy", "share"))

    def connect(self, model: nn.Module) -> None:
        if not getattr(model, "shardable", False):
            raise UserError("trainer=fsdp", f"{type(model).__name__} does not split its weights",
                            "use trainer=gpu, which copies them to every device")
        super().connect(model)

    def setup(self, trainer: Trainer) -> None:
        """As DDP's, but nothing is wrapped, and no weights are sent: every process has loaded the same."""
        fitting = trainer.state.fn == TrainerFn.FITTING
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        if fitting:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state, on rank 0 only: `Optimizer.state_dict` of one process."""
        found = super().optimizer_state(optimizer)
        states = {key: {name: whole_on_first(value) for name, value in state.items()}
                  for key, state in found["state"].items()}
        return {**found, "state": states} if self.is_global_zero else {}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Each rank takes its part of what `optimizer_state` gave."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            parts = {key: {name: part_of(value, parameters[key]) for name, value in one.items()}
                     for key, one in state["state"].items()}
            optimizer.load_state_dict({**state, "state": parts})

    def teardown(self) -> None:
        """Leaves the weights where they are: moved, they would no longer be parts of one tensor."""
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()


def is_sharded(trainer: Trainer) -> bool:
    """Whether the processes share the weights, so that all have to call the network equally often."""
    return isinstance(trainer.strategy, ShardedStrategy)
