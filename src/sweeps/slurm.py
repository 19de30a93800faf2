"""Jobs on a SLURM cluster, through submitit; ``cluster=local`` does the same without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from src.core import console, runfolder
from src.core.errors import UserError
from src.sweeps.counts import check_counts
from src.sweeps.job_size import of_all
from src.sweeps.local import Line, Running
from src.sweeps.slurm_job import Submitted, Task

MARGIN = 30  # seconds that submitit has to queue a job again before SLURM ends it
OFTEN = 1000  # how often a job may reach its time limit and be queued again


class Submitit:
    """``n_jobs`` jobs in the queue at a time. One that is preempted or reaches its time is queued again and goes on."""

    def __init__(
        self,
        *,
        cluster: Literal["slurm", "local"] = "slurm",
        n_jobs: int = 64,
        timeout_min: int = 720,
        partition: str | None = None,
        nodes: int | None = None,
        tasks_per_node: int | None = None,
        gpus_per_node: int | None = None,
        cpus_per_task: int = 8,
        mem_gb: float | None = 32,
        signal_delay_s: int = 300,
        setup: list[str] | None = None,
        additional: dict[str, Any] | None = None,
    ) -> None:
        self.cluster, self.n_jobs, self.places = cluster, n_jobs, n_jobs
        self.patience = max(signal_delay_s - MARGIN, signal_delay_s // 2)
        self.resources = {"timeout_min": timeout_min, "nodes": nodes, "tasks_per_node": tasks_per_node,
                          "gpus_per_node": gpus_per_node, "cpus_per_task": cpus_per_task, "mem_gb": mem_gb}
        self.slurm = {"slurm_partition": partition, "slurm_setup": setup, "slurm_additional_parameters": additional,
                      "slurm_signal_delay_s": signal_delay_s}

    def prepare(self, folder: Path, trainers: list[dict[str, Any]], jobs: int | str | None) -> None:
        """Find submitit and the cluster. Raises ``UserError`` if one is not there, or a number is too small or does not
        fit the trainers."""
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise UserError("hydra/launcher=submitit_slurm", f"needs the package {error.name}",
                            'install it: .venv/bin/pip install -e ".[sweeps]"') from error
        for key, value in {"n_jobs": self.n_jobs, **self.resources}.items():
            check_counts({f"hydra.launcher.{key}": value}, 0 if key in ("gpus_per_node", "mem_gb") else 1)
        self.resources |= of_all(self.resources, trainers, self.cluster)
        if jobs not in (None, "auto"):
            self.places = int(jobs)
        try:
            self._pickles = folder / "submitit"
            self._executor = submitit.AutoExecutor(self._pickles, cluster=self.cluster, slurm_max_num_timeout=OFTEN)
        except RuntimeError as error:
            raise UserError("hydra/launcher=submitit_slurm", str(error).splitlines()[0],
                            "start the sweep where sbatch works, or try hydra/launcher=submitit_local") from error
        if self._executor.cluster == "slurm":
            from src.sweeps import queue

            queue.watch()
        given = {**self.resources, **self.slurm}
        self._executor.update_parameters(**{key: value for key, value in given.items() if value})

    def start(self, line: Line, folder: Path, log: Path) -> Running:
        """Submit one job; one that an earlier, killed sweep left in the queue is waited for instead."""
        if self._executor.cluster == "slurm":
            return Submitted(self._in_queue(line, folder, log), folder, log)
        return Submitted(self._submit(line, folder, log), folder, log)

    def _submit(self, line: Line, folder: Path, log: Path) -> Any:
        self._executor.update_parameters(name=folder.name[:40])
        return self._executor.submit(Task(line, log, self.patience))

    def _in_queue(self, line: Line, folder: Path, log: Path) -> Any:
        from src.sweeps import queue

        tasks = self.resources["nodes"] * self.resources["tasks_per_node"]
        if earlier := queue.queued(self._pickles, folder.name, tasks):
            console.note(f"{runfolder.short(folder)} is in the queue from before, as job {earlier.job_id}.")
            return earlier
        job = self._submit(line, folder, log)
        queue.remember(self._pickles, folder.name, job.job_id)
        return job
