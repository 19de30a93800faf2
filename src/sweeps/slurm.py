"""Jobs on a SLURM cluster, through submitit; ``cluster=local`` does the same without one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Literal

from src.core.errors import UserError
from src.sweeps import commands
from src.sweeps.local import Running


class Submitit:
    """``n_jobs`` jobs in the queue at a time. One that is preempted or reaches its time is queued again and goes on."""

    def __init__(
        self,
        *,
        cluster: Literal["slurm", "local"] = "slurm",
        n_jobs: int = 64,
        timeout_min: int = 720,
        partition: str | None = None,
        nodes: int = 1,
        tasks_per_node: int = 1,
        gpus_per_node: int = 1,
        cpus_per_task: int = 8,
        mem_gb: float | None = 32,
        setup: list[str] | None = None,
        additional: dict[str, Any] | None = None,
    ) -> None:
        self.cluster, self.n_jobs, self.places = cluster, n_jobs, n_jobs
        self.resources = {"timeout_min": timeout_min, "nodes": nodes, "tasks_per_node": tasks_per_node,
                          "gpus_per_node": gpus_per_node, "cpus_per_task": cpus_per_task, "mem_gb": mem_gb}
        self.slurm = {"slurm_partition": partition, "slurm_setup": setup, "slurm_additional_parameters": additional}

    def prepare(self, folder: Path, trainer: dict[str, Any], jobs: int | str | None) -> None:
        """Find submitit and the cluster. Raises ``UserError`` if one is not there."""
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError("hydra/launcher=submitit_slurm", f"needs the package {error.name}",
                            'install it: .venv/bin/pip install -e ".[sweeps]"') from error
        if jobs not in (None, "auto"):
            self.places = int(jobs)
        try:
            self._executor = submitit.AutoExecutor(folder / "submitit", cluster=self.cluster)
        except RuntimeError as error:
            raise UserError("hydra/launcher=submitit_slurm", str(error).splitlines()[0],
                            "start the sweep where sbatch works, or try hydra/launcher=submitit_local") from error
        given = {**self.resources, **self.slurm}
        self._executor.update_parameters(**{key: value for key, value in given.items() if value})

    def start(self, command: list[str], folder: Path, log: Path) -> Running:
        """Submit one job."""
        self._executor.update_parameters(name=folder.name[:40])
        return Submitted(self._executor.submit(Task(command, folder, log)), log)


class Task:
    """What the job does on its node; submitit keeps it in a file and calls it there."""

    def __init__(self, command: list[str], folder: Path, log: Path) -> None:
        self.command, self.folder, self.log = command, folder, log

    def __call__(self) -> int:
        """Run it; the exit code."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                  check=False).returncode

    def checkpoint(self) -> Any:
        """Called by submitit before the node is taken away: the same job again, continued where the run can be."""
        from submitit.helpers import DelayedSubmission

        if (self.folder / "overrides.txt").is_file():
            self.command = [*commands.PROGRAM, f"resume={self.folder}"]
        return DelayedSubmission(self)


class Submitted:
    """A job in SLURM's hands."""

    def __init__(self, job: Any, log: Path) -> None:
        self._job, self._log = job, log

    def code(self) -> int | None:
        if not self._job.done():
            return None
        try:
            return max(self._job.results(), key=abs)
        except Exception as error:  # cancelled, or its node died: submitit raises what it knows
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a") as log:
                log.write(f"error: {str(error).strip().rpartition(chr(10))[2] or type(error).__name__}\n")
            return 1

    def stop(self, signum: int) -> None:
        self._job.cancel(check=False)
